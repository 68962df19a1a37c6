"""What other people's clients show of the live platform, and what of it can be set otherwise."""

from __future__ import annotations

import json
from typing import Any, Dict, Iterator
from urllib.parse import urlsplit

import pytest

from tests.emulator.client import CONTENT, Bot, Answer, notes, serving


@pytest.fixture
def bot() -> Iterator[Bot]:
    with serving() as started:
        yield started


def fetch(bot: Bot, url: str) -> Answer:
    parts = urlsplit(url)
    return bot.request("GET", f"{parts.path}?{parts.query}", None, {})


# How it answers


def test_content_type_is_json_to_the_letter(bot: Bot) -> None:
    answers = [bot.fetch_token(), bot.prepare(), bot.prepare(md5=""), bot.send("nothing")]
    assert {answer.headers["Content-Type"] for answer in answers} == {"application/json"}


@pytest.mark.parametrize("error_codes, fields", [
    ("both", {"message": ..., "code": 850019, "err_code": 40034002}),
    ("code", {"message": ..., "code": 850019}),
    ("err_code", {"message": ..., "err_code": 40034002}),
])
def test_refusals_may_have_one_number_alone(error_codes: str, fields: Dict[str, Any]) -> None:
    with serving(error_codes=error_codes) as bot:
        refused = bot.prepare(file_type=1, file_name="a.gif").json
        assert {name: refused[name] for name in refused if name != "message"} == {
            name: fields[name] for name in fields if name != "message"}
        assert set(bot.prepare(md5="").json) - {"trace_id", "message"} == (
            {"err_code"} if error_codes == "err_code" else {"code"})


def test_absent_id_and_link_are_empty_texts(bot: Bot) -> None:
    document = bot.upload()
    assert (document["id"], document["raw_url"]) == ("", "")
    picture = bot.upload(file_type=1, file_name="a.png")
    assert picture["id"] == "" and picture["raw_url"]


# Nulls


def test_null_counts_as_absent_in_a_message(bot: Bot) -> None:
    file_info = bot.upload()["file_info"]
    nulls = dict.fromkeys(["msg_id", "event_id", "content", "msg_seq", "keyboard"])
    assert [bot.send(file_info, **nulls).status for _ in range(2)] == [200, 200]
    assert set(bot.emulator.messages[0]) == {"msg_type", "media", "scene", "target"}
    assert bot.send(file_info, **dict(nulls, msg_id="A")).status == 200
    assert bot.send(file_info, **dict(nulls, msg_id="A")).json["code"] == 40054005


def test_null_counts_as_absent_at_complete(bot: Bot) -> None:
    plan = bot.prepare().json
    bot.send_parts(plan)
    nulls = dict.fromkeys(["file_type", "file_name", "srv_send_msg", "url", "file_data"])
    assert bot.complete(plan, **nulls).status == 200
    assert notes(bot) == []


def test_null_upload_id_makes_a_call_by_url(bot: Bot) -> None:
    body = {"upload_id": None, "url": "ftp://x", "file_type": 1, "file_name": None}
    assert bot.api("/v2/users/U1/files", body).json["code"] == 40093010
    assert bot.emulator.count("url") == 1


@pytest.mark.parametrize("name, code", [
    ("file_size", 10000), ("file_type", 10000), ("md5", 850012), ("file_name", 850012),
])
def test_null_does_for_no_field_that_is_required(bot: Bot, name: str, code: int) -> None:
    assert bot.prepare(**{name: None}).json["code"] == code


# Messages by the way


def test_file_is_posted_at_once_if_asked(bot: Bot) -> None:
    plan = bot.prepare(to="groups/G1").json
    bot.send_parts(plan, to="groups/G1")
    reply = bot.complete(plan, "groups/G1", srv_send_msg=True).json
    assert reply["id"].startswith("ROBOT1.0_")
    (message,) = bot.emulator.messages
    assert message == {
        "msg_type": 7, "media": {"file_info": reply["file_info"]}, "scene": "groups",
        "target": "G1"}


def test_complete_that_posts_does_so_each_time() -> None:
    with serving(complete_repeatable=True) as bot:
        plan = bot.prepare().json
        bot.send_parts(plan)
        for _ in range(2):
            assert bot.complete(plan, srv_send_msg=True).status == 200
        assert len(bot.emulator.messages) == 2


def test_inline_file_is_posted_at_once_if_asked(bot: Bot) -> None:
    body = {"file_type": 4, "file_data": "YWJj", "srv_send_msg": True}
    reply = bot.api("/v2/users/U1/files", body).json
    assert reply["id"] and len(bot.emulator.messages) == 1


@pytest.mark.parametrize("required, content, status", [
    (False, None, 200), (True, None, 400), (True, "", 400), (True, " ", 200),
])
def test_media_may_need_some_content(required: bool, content: Any, status: int) -> None:
    with serving(content_required=required) as bot:
        assert bot.send(bot.upload()["file_info"], content=content).status == status


# Parts of a wrong length


@pytest.mark.parametrize("block", [b"", CONTENT[:99], CONTENT[:101]])
def test_part_of_a_wrong_length_passes_until_complete(block: bytes) -> None:
    with serving(strict=False) as bot:
        plan = bot.prepare(CONTENT[:100]).json
        assert bot.put(plan["parts"][0]["presigned_url"], block).status == 200
        assert bot.finish(plan, 1, block).json == {}
        assert notes(bot) == []
        assert bot.complete(plan).codes == (400, 850019, 40034002)
        assert f"{len(block)} bytes of 100 in part 1" in notes(bot)[0]


def test_strict_emulator_takes_the_wrong_length_too(bot: Bot) -> None:
    plan = bot.prepare(CONTENT[:100]).json
    assert bot.put(plan["parts"][0]["presigned_url"], b"").status == 200
    assert bot.finish(plan, 1, b"", block_size="100").json == {}
    assert bot.complete(plan).codes == (400, 850019, 40034002)


@pytest.mark.parametrize("file_type, name, status", [(1, "a.png", 200), (4, "a.bin", 400)])
def test_what_came_under_types_1_to_3_may_go_unchecked(
    file_type: int, name: str, status: int
) -> None:
    with serving(media_checked=False) as bot:
        other = bytes(320)
        plan = bot.prepare(file_type=file_type, file_name=name).json
        bot.send_parts(plan, other)
        answer = bot.complete(plan)
        assert answer.status == status
        if status == 200:
            assert bot.emulator.received(answer.json["file_info"]) == other


def test_nothing_at_all_is_the_format_error_even_unchecked() -> None:
    with serving(media_checked=False, strict=False) as bot:
        plan = bot.prepare(CONTENT[:100], file_type=1, file_name="a.png").json
        bot.put(plan["parts"][0]["presigned_url"], b"")
        bot.finish(plan, 1, b"")
        assert bot.complete(plan).codes == (400, 850019, 40034002)


# The link to the file


@pytest.mark.parametrize("file_type, name", [(1, "a.png"), (2, "a.mp4"), (3, "a.silk")])
def test_link_gives_the_whole_file(bot: Bot, file_type: int, name: str) -> None:
    reply = bot.upload(file_type=file_type, file_name=name)
    answer = fetch(bot, reply["raw_url"])
    assert (answer.status, answer.body) == (200, CONTENT)
    assert bot.emulator.requests[-1].stage == "raw_url" and bot.emulator.count("put") == 4
    assert notes(bot) == []


def test_link_is_good_only_as_it_was_signed(bot: Bot) -> None:
    plan = bot.prepare(file_type=1, file_name="a.png").json
    put_url = plan["parts"][0]["presigned_url"]
    assert fetch(bot, put_url).status == 403
    bot.send_parts(plan)
    raw_url = bot.complete(plan).json["raw_url"]
    assert fetch(bot, raw_url[:-1]).status == 403
    assert bot.put(raw_url, b"x").status == 403
    assert len(notes(bot)) == 3


def test_link_to_a_file_that_is_gone_is_404(bot: Bot) -> None:
    reply = bot.upload(file_type=1, file_name="a.png")
    bot.emulator.forget(reply["file_info"])
    answer = fetch(bot, reply["raw_url"])
    assert answer.status == 404 and b"NoSuchKey" in answer.body
    with serving(keep_bodies=False) as other:
        reply = other.upload(file_type=1, file_name="a.png")
        assert fetch(other, reply["raw_url"]).status == 404


def test_numbers_of_content_length_are_read_with_care(bot: Bot) -> None:
    for length in ("²", "9" * 5000, "-1", "1_0", "+5", "5 5"):
        headers = {"Content-Length": length.encode("latin-1"), "Connection": "close"}
        bot.connection.putrequest("POST", "/v2/users/U1/files")
        for name, value in headers.items():
            bot.connection.putheader(name, value)
        bot.connection.endheaders()
        with bot.connection.getresponse() as response:
            assert response.status == 411
        bot.connection.close()
    assert json.dumps(notes(bot)).count("no Content-Length") == 6
