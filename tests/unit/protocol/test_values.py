"""Names of files, chats and types, and the type that hides secrets."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest

from qqchunk.protocol.values import (
    MAX_NAME_LENGTH,
    Call,
    ChatType,
    FileType,
    Secret,
    chat_path,
    clean_file_name,
    guess_file_type,
)

# Secrets


def masked(text: str, **body: Any) -> str:
    return Call("message", "/", body).mask(text)


def test_secret_that_a_call_told_is_masked_wherever_it_comes_back() -> None:
    assert masked("no: hunter22, hunter22", key=Secret("hunter22")) == "no: <secret>, <secret>"
    assert masked("bad media hunter22", media={"file_info": Secret("hunter22")}) == (
        "bad media <secret>")


def test_what_follows_the_question_mark_of_a_secret_url_is_masked_alone_too() -> None:
    url = Secret("https://host/a?sign=1?2&token=3")
    assert masked(f"cannot load {url}", url=url) == "cannot load <secret>"
    assert masked("bad query sign=1?2&token=3 for host", url=url) == "bad query <secret> for host"


def test_secret_that_could_be_a_word_stays() -> None:
    assert masked("hunter2 and hunter22", a=Secret("hunter2"), b=Secret("")) == (
        "hunter2 and hunter22")
    assert masked("hunter22", a=Secret("hunter22")) == "<secret>"  # eight characters are none


def test_what_is_no_secret_is_not_masked() -> None:
    assert masked("holiday.mp4 of 12345678", name="holiday.mp4", size=12345678) == (
        "holiday.mp4 of 12345678")


def test_repr_of_a_secret_does_not_show_it() -> None:
    secret = Secret("hunter2")
    assert repr(secret) == "<secret>"
    assert f"{secret!r}" == "<secret>"
    assert repr([secret]) == "[<secret>]"


def test_secret_is_the_text_in_every_other_way() -> None:
    secret = Secret("hunter2")
    assert secret == "hunter2"
    assert str(secret) == "hunter2"
    assert f"{secret}" == "hunter2"
    assert hash(secret) == hash("hunter2")
    assert json.dumps({"token": secret}) == '{"token": "hunter2"}'


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_secret_stays_one_through_pickle(protocol: int) -> None:
    again = pickle.loads(pickle.dumps(Secret("hunter2"), protocol))
    assert again == "hunter2"
    assert repr(again) == "<secret>"


def test_secret_stays_one_through_copies() -> None:
    assert repr(copy.deepcopy(Secret("hunter2"))) == "<secret>"
    assert repr(copy.copy(Secret("hunter2"))) == "<secret>"


# File names


@pytest.mark.parametrize("name, cleaned", [
    ("holiday.mp4", "holiday.mp4"),
    ("假期.mp4", "假期.mp4"),
    ("😀.png", "😀.png"),
    (r'a\b/c:d*e?f"g<h>i|j', "a_b_c_d_e_f_g_h_i_j"),
    ("../../etc/passwd", ".._.._etc_passwd"),
    ("a\x00b\x1fc\x7fd\x9fe", "a_b_c_d_e"),
    ("line\nbreak\ttab", "line_break_tab"),
    ("a\x20b\x7eb", "a b~b"),
    ("a\xa0b", "a\xa0b"),
    ("a\ud800b\udfffc", "a_b_c"),
    ("a\ud7ffb\ue000c", "a\ud7ffb\ue000c"),
    ("photo\u202egpj.exe", "photo_gpj.exe"),
    ("\u061ca\u200eb\u200fc\u202ad\u2066e\u2069", "_a_b_c_d_e_"),
    ("a\u2028b\u2029c", "a_b_c"),
    ("\u200d👩\u200d💻\u2065", "\u200d👩\u200d💻\u2065"),
    ("a  b    c", "a b c"),
    ("  a.txt  ", "a.txt"),
    ("", "file"),
    ("   ", "file"),
    (".", "file"),
    ("..", "file"),
    (". .", ". ."),
    ("???", "___"),
    (".bashrc", ".bashrc"),
    ("a.", "a."),
    ("XfileX", "XfileX"),
    ("X.X", "X.X"),
    ("\u3000a.txt\u3000", "\u3000a.txt\u3000"),
])
def test_name_is_cleaned(name: str, cleaned: str) -> None:
    assert clean_file_name(name) == cleaned


def test_name_of_180_characters_stays() -> None:
    name = "a" * 176 + ".mp4"
    assert len(name) == MAX_NAME_LENGTH == 180
    assert clean_file_name(name) == name


def test_longer_name_loses_from_its_stem_and_keeps_its_extension() -> None:
    assert clean_file_name("a" * 177 + ".mp4") == "a" * 176 + ".mp4"
    assert clean_file_name("b" + "a" * 5000 + ".mp4") == "b" + "a" * 175 + ".mp4"


def test_name_is_counted_in_characters_not_bytes() -> None:
    assert clean_file_name("假" * 300 + ".png") == "假" * 176 + ".png"


def test_extension_of_20_characters_is_kept_and_a_longer_one_is_none() -> None:
    extension = "." + "x" * 19
    assert clean_file_name("a" * 300 + extension) == "a" * 160 + extension
    assert clean_file_name("a" * 170 + extension + "x") == "a" * 170 + extension[:10]


def test_only_the_last_extension_counts() -> None:
    assert clean_file_name("a" * 300 + ".tar.gz") == "a" * 177 + ".gz"


# File types


@pytest.mark.parametrize("name, kind", [
    ("a.png", 1), ("a.jpg", 1), ("a.jpeg", 1), ("A.PNG", 1), ("a.b.JPeG", 1),
    ("a.mp4", 2), ("a.MP4", 2),
    ("a.silk", 3),
    ("a.gif", 4), ("a.mov", 4), ("a.wav", 4), ("a.mp3", 4), ("a.pdf", 4), ("a", 4), ("", 4),
    ("png", 4), (".png", 4), ("a.png.txt", 4), ("a.png ", 4),
])
def test_file_type_follows_the_extension(name: str, kind: int) -> None:
    assert guess_file_type(name) is FileType(kind)


def test_file_types_have_the_platforms_numbers() -> None:
    assert [(t.name, t.value) for t in FileType] == [
        ("IMAGE", 1), ("VIDEO", 2), ("VOICE", 3), ("FILE", 4)]


# Chats


@pytest.mark.parametrize("chat_type, target, path", [
    ("c2c", "0123456789ABCDEF0123456789ABCDEF", "/v2/users/0123456789ABCDEF0123456789ABCDEF"),
    ("group", "G1", "/v2/groups/G1"),
    ("c2c", "a/b", "/v2/users/a%2Fb"),
    ("c2c", "../groups/G1", "/v2/users/..%2Fgroups%2FG1"),
    ("c2c", "a?b#c", "/v2/users/a%3Fb%23c"),
    ("c2c", "%2e%2e", "/v2/users/%252e%252e"),
    ("c2c", "a b\n", "/v2/users/a%20b%0A"),
    ("c2c", "用户", "/v2/users/%E7%94%A8%E6%88%B7"),
    ("c2c", ".a", "/v2/users/.a"),
    ("c2c", "X.", "/v2/users/X."),
    ("c2c", "a;b=c&d+e", "/v2/users/a%3Bb%3Dc%26d%2Be"),
])
def test_target_is_one_segment_of_the_path(chat_type: str, target: str, path: str) -> None:
    assert chat_path(ChatType(chat_type), target) == path


@pytest.mark.parametrize("target", ["", " ", "\t\n", ".", "..", "...", "\ud800", "a\udfff"])
def test_target_that_is_no_id_is_refused(target: str) -> None:
    with pytest.raises(ValueError, match="^target_id must be the openid of a user or group, not "):
        chat_path(ChatType.C2C, target)


@pytest.mark.parametrize("target, kind", [(None, "NoneType"), (1, "int"), (b"U1", "bytes")])
def test_target_that_is_no_text_is_refused(target: Any, kind: str) -> None:
    with pytest.raises(TypeError, match=f"^target_id must be the openid as text, not {kind}$"):
        chat_path(ChatType.C2C, target)
