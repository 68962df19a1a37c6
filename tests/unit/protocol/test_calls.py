"""The bodies of the calls, exactly as the samples have them; and the token's reply."""

from __future__ import annotations

import json
import pathlib
from typing import Any, Dict, Optional

import pytest

from qqchunk.errors import ProtocolError
from qqchunk.protocol.calls import Upload, message_call, read_token, token_call, url_call
from qqchunk.protocol.plan import Part, UploadPlan
from qqchunk.protocol.values import Call, ChatType, FileType, Reply, Secret

SAMPLES = pathlib.Path(__file__).parents[2] / "samples"
UPLOAD = Upload(ChatType.C2C, "U1", FileType.VIDEO, "demo.mp4", 64806266)
PLAN = UploadPlan("upload_1778164576144309519_23744", ())


def sample(name: str) -> Any:
    return json.loads((SAMPLES / name).read_text("utf-8"))


def text(body: Any) -> str:
    """The body as it goes over the wire, where 1 and true and "1" differ."""
    return json.dumps(body, sort_keys=True)


def message(**changes: Any) -> Call:
    facts: Dict[str, Any] = dict(
        msg_seq=1, msg_id=None, event_id=None, content=None, file_name=None, file_size=None)
    facts.update(changes)
    return message_call(ChatType.C2C, "U1", "<verbatim>", **facts)


# Bodies


def test_token_body_is_that_of_the_sample() -> None:
    call = token_call("102000001", Secret("CLIENTSECRET"))
    assert text(call.body) == text(sample("01_token_request.json")["body"])
    assert (call.stage, call.path) == ("token", "")
    assert call.repeatable
    assert "CLIENTSECRET" not in repr(call)


def test_prepare_body_is_that_of_the_sample() -> None:
    body = sample("04_prepare_request.json")["body"]
    call = UPLOAD.prepare(body["md5"], body["sha1"], body["md5_10m"])
    assert text(call.body) == text(body)
    assert len({body["md5"], body["sha1"], body["md5_10m"]}) == 3
    assert (call.stage, call.path) == ("prepare", "/v2/users/U1/upload_prepare")


def test_finish_body_is_that_of_the_sample() -> None:
    body = sample("09_part_finish_request.json")["body"]
    call = UPLOAD.finish(PLAN, Part(7, 62914560, 1891706, Secret("https://h/")), body["md5"])
    assert text(call.body) == text(body)
    assert (call.stage, call.path) == ("finish", "/v2/users/U1/upload_part_finish")


def test_finish_sends_index_0_as_it_came() -> None:
    call = UPLOAD.finish(PLAN, Part(0, 0, 1, Secret("https://h/")), "m")
    assert text(call.body["part_index"]) == "0"


def test_complete_body_is_that_of_the_sample() -> None:
    call = UPLOAD.complete(PLAN)
    assert text(call.body) == text(sample("12_merge_request.json")["body"])
    assert (call.stage, call.path) == ("complete", "/v2/users/U1/files")


def test_url_body_is_that_of_the_sample() -> None:
    url = Secret("https://example.com/a.png")
    call = url_call(ChatType.C2C, "U1", url, FileType.IMAGE, "a.png")
    assert text(call.body) == text(sample("14_files_url_request.json"))
    assert (call.stage, call.path) == ("url", "/v2/users/U1/files")
    assert (call.file_name, call.file_size) == ("a.png", None)
    assert "example.com" not in repr(call)


@pytest.mark.parametrize("kind", [FileType.IMAGE, FileType.VIDEO, FileType.VOICE])
def test_name_goes_with_a_url_for_plain_files_only(kind: FileType) -> None:
    url = Secret("https://example.com/a")
    assert "file_name" not in url_call(ChatType.C2C, "U1", url, kind, "a").body
    body = url_call(ChatType.C2C, "U1", url, FileType.FILE, "a.pdf").body
    assert text(body) == text({
        "file_type": 4, "url": "https://example.com/a", "srv_send_msg": False,
        "file_name": "a.pdf"})


def test_message_body_is_that_of_the_sample() -> None:
    body = sample("17_message_request.json")["body"]
    assert text(message(msg_id=body["msg_id"]).body) == text(body)
    assert message().path == "/v2/users/U1/messages"
    assert message().stage == "message"


@pytest.mark.parametrize("changes", [
    {}, {"msg_id": "M"}, {"event_id": "E"}, {"content": "words"}, {"content": ""},
    {"event_id": "E", "content": "words"},
])
def test_message_carries_what_it_was_given_and_nothing_else(changes: Dict[str, str]) -> None:
    bare = {"msg_type": 7, "media": {"file_info": "<verbatim>"}, "msg_seq": 9}
    assert text(message(msg_seq=9, **changes).body) == text({**bare, **changes})


@pytest.mark.parametrize("changes, repeatable", [
    ({}, False), ({"content": "words"}, False), ({"msg_id": "M"}, True), ({"event_id": "E"}, True),
    ({"msg_id": ""}, False), ({"event_id": ""}, False),
])
def test_only_a_reply_may_be_repeated(changes: Dict[str, str], repeatable: bool) -> None:
    assert message(**changes).repeatable is repeatable


def test_file_info_hides_in_the_repr_of_a_message() -> None:
    assert "verbatim" not in repr(message())


def test_message_knows_its_file() -> None:
    call = message(file_name="a.mp4", file_size=5)
    assert (call.file_name, call.file_size) == ("a.mp4", 5)


# What the calls have in common


def every_call() -> Dict[str, Call]:
    part = Part(1, 0, 5, Secret("https://h/"))
    return {
        "prepare": UPLOAD.prepare("a", "b", "c"),
        "finish": UPLOAD.finish(PLAN, part, "m"),
        "complete": UPLOAD.complete(PLAN),
        "url": url_call(ChatType.C2C, "U1", Secret("https://h/"), FileType.FILE, "a"),
        "message": message(),
        "token": token_call("1", Secret("s")),
    }


@pytest.mark.parametrize("stage", ["prepare", "finish", "complete"])
def test_call_of_an_upload_knows_its_file_and_may_be_repeated(stage: str) -> None:
    call = every_call()[stage]
    assert (call.file_name, call.file_size) == ("demo.mp4", 64806266)
    assert call.repeatable


@pytest.mark.parametrize("stage, slow", [
    ("token", False), ("prepare", False), ("finish", False), ("complete", True), ("url", True),
    ("message", False),
])
def test_platform_works_before_it_answers_some_calls(stage: str, slow: bool) -> None:
    assert every_call()[stage].slow is slow


@pytest.mark.parametrize("stage", ["prepare", "finish", "complete"])
def test_upload_for_a_group_goes_to_the_group(stage: str) -> None:
    upload = Upload(ChatType.GROUP, "G/1", FileType.FILE, "a", 1)
    part = Part(1, 0, 1, Secret("https://h/"))
    path = {
        "prepare": upload.prepare("a", "b", "c"),
        "finish": upload.finish(PLAN, part, "m"),
        "complete": upload.complete(PLAN),
    }[stage].path
    assert path.startswith("/v2/groups/G%2F1/")


def test_upload_is_frozen() -> None:
    with pytest.raises(AttributeError):
        setattr(UPLOAD, "file_name", "other")


def test_bad_target_is_refused_in_every_call() -> None:
    for target in ("", "..", "."):
        with pytest.raises(ValueError, match="target_id"):
            Upload(ChatType.C2C, target, FileType.FILE, "a", 1).prepare("a", "b", "c")
        with pytest.raises(ValueError, match="target_id"):
            url_call(ChatType.C2C, target, Secret("https://h/"), FileType.FILE, "a")


# The token's reply


def test_sample_of_a_token_is_read() -> None:
    assert read_token(Reply(sample("02_token_response_200.json"))) == ("ACCESS_TOKEN", 7200.0)


@pytest.mark.parametrize("given, life", [
    (7200, 7200.0), ("7200", 7200.0), (7200.0, 7200.0), ("1.5", 1.5), (1, 1.0),
    (0, 0.0), ("0", 0.0), (-1, 0.0), ("-7200", 0.0),
    # One that is not said is the documented one: else there would be a token call before each.
    (None, 7200.0), (..., 7200.0), ("soon", 7200.0), ("", 7200.0), (True, 7200.0), ([], 7200.0),
    (float("nan"), 7200.0), (float("inf"), 7200.0), ("inf", 7200.0),
])
def test_life_of_a_token_is_read(given: Any, life: float) -> None:
    fields = {"access_token": "t"}
    if given is not ...:
        fields["expires_in"] = given
    assert read_token(Reply(fields)) == ("t", life)


def test_token_under_data_is_unwrapped() -> None:
    fields = {"code": 0, "data": {"access_token": "t", "expires_in": "60"}}
    assert read_token(Reply(fields)) == ("t", 60.0)


def test_token_hides_in_a_repr() -> None:
    token, _ = read_token(Reply({"access_token": "5ecret"}))
    assert repr(token) == "<secret>"


@pytest.mark.parametrize("token", [
    ..., None, "", 5, True, ["t"], "t\n", "t\r\nX: y", "t\x00", "t\x7f", "tökén", "\ud800",
])
def test_what_cannot_go_into_a_header_is_no_token(token: Optional[Any]) -> None:
    fields = {"expires_in": 7200}
    if token is not ...:
        fields["access_token"] = token
    with pytest.raises(ProtocolError) as caught:
        read_token(Reply(fields))
    assert caught.value.stage == "token"
    assert str(caught.value) == (
        "token: the platform's reply makes no sense: it has no access_token; there is no file "
        "to send - report it if it happens again")
