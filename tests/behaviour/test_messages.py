"""Sending a file: the message, its repeats, expired files, many chats; and files by URL."""

from __future__ import annotations

import http.server
import logging
import pathlib
import threading
import traceback
from typing import Any, Callable, Dict, Iterator, List, Type

import pytest

from qqchunk import (
    ApiError,
    Progress,
    ProtocolError,
    TransportError,
    Uploader,
    UploadError,
    UploadResult,
)
from qqchunk.emulator import Emulator, Request
from qqchunk.transfer.messages import Message
from tests.support import wait_until

CONTENT = b"a file of some bytes"
MakeUploader = Callable[..., Uploader]


@pytest.fixture
def uploader(emulator: Emulator, uploader_for: MakeUploader) -> Uploader:
    return uploader_for(emulator, backoff=0.0)


def send(uploader: Uploader, **options: Any) -> Dict[str, Any]:
    arguments: Dict[str, Any] = dict(file=CONTENT, file_name="a.bin")
    arguments.update(options)
    return uploader.send("c2c", "U1", **arguments)


def bodies(emulator: Emulator, stage: str = "message") -> List[Any]:
    return [request.body for request in emulator.requests if request.stage == stage]


def refused(uploader: Uploader, **options: Any) -> UploadError:
    with pytest.raises(UploadError) as caught:
        send(uploader, **options)
    assert caught.value.stage == "message"
    return caught.value


class Looks:
    """A ``cancel`` that is never set; counts how often it was looked at."""

    count = 0

    def is_set(self) -> bool:
        self.count += 1
        return False


class Pipe:
    """A stream that can be read once."""

    def __init__(self, content: bytes) -> None:
        self._left = content

    def read(self, size: int = -1) -> bytes:
        end = len(self._left) if size < 0 else size
        block, self._left = self._left[:end], self._left[end:]
        return block


# The message


def test_file_is_uploaded_and_sent_and_the_reply_given_back(
    emulator: Emulator, uploader: Uploader
) -> None:
    reply = send(uploader)
    (message,) = emulator.messages
    assert reply["id"].startswith("ROBOT1.0_")
    assert set(reply) == {"id", "timestamp", "ext_info"}
    assert emulator.received(message["media"]["file_info"]) == CONTENT
    assert message["msg_type"] == 7
    assert set(message) == {"msg_type", "media", "msg_seq", "scene", "target"}
    assert emulator.refusals == []


def test_group_gets_its_message(emulator: Emulator, uploader: Uploader) -> None:
    uploader.send("group", "G1", CONTENT, file_name="a.bin")
    (message,) = emulator.messages
    assert (message["scene"], message["target"]) == ("groups", "G1")


@pytest.mark.parametrize("options", [
    {"msg_id": "M"}, {"event_id": "E"}, {"content": "words"}, {"content": ""},
    {"msg_id": "M", "content": "words", "msg_seq": 5}, {"msg_seq": 0}, {"msg_seq": 1},
])
def test_message_carries_what_it_was_given(
    emulator: Emulator, uploader: Uploader, options: Dict[str, Any]
) -> None:
    send(uploader, **options)
    (body,) = bodies(emulator)
    sent = {k: v for k, v in body.items() if k in ("msg_id", "event_id", "content")}
    sent["msg_seq"] = body["msg_seq"]
    assert sent == {"msg_seq": body["msg_seq"], **options}


def test_reply_under_data_is_unwrapped(uploader_for: MakeUploader) -> None:
    with Emulator(wrapped=True) as emulator:
        reply = send(uploader_for(emulator))
    assert reply["id"].startswith("ROBOT1.0_")


def test_type_and_name_of_the_file_are_those_of_upload(
    emulator: Emulator, uploader: Uploader
) -> None:
    send(uploader, file_name="b/c.png")
    stored = emulator.stored(bodies(emulator)[0]["media"]["file_info"])
    assert (stored.name, stored.file_type) == ("b_c.png", 1)
    send(uploader, file_name="b.png", file_type=4)
    stored = emulator.stored(bodies(emulator)[1]["media"]["file_info"])
    assert (stored.name, stored.file_type) == ("b.png", 4)


# msg_seq


def test_msg_seq_is_drawn_anew_for_each_message_and_is_never_that_of_a_plain_reply() -> None:
    drawn = [Message.checked(None, None, None, None).msg_seq for _ in range(300)]
    assert len(set(drawn)) > 280
    assert 2 <= min(drawn) < 100_000
    assert 900_000 < max(drawn) <= 1_000_000


@pytest.mark.parametrize("fault, options", [
    ("reset_unprocessed", {}), ("reset_before", {}), ("close", {}),
    ("cut_reply", {"processed": False}), ("status", {"status": 500}), ("status", {"status": 502}),
    ("html_200", {}), ("empty_body", {"processed": False}),
])
def test_reply_without_an_answer_is_repeated_with_its_msg_seq(
    emulator: Emulator, uploader: Uploader, fault: str, options: Dict[str, Any]
) -> None:
    emulator.fail("message", fault, **options)
    assert send(uploader, msg_id="M")["id"].startswith("ROBOT1.0_")
    first, second = bodies(emulator)[-2:]
    assert len(emulator.messages) == 1
    assert emulator.count("message") == 2
    assert second["msg_id"] == "M"
    assert first is None or first == second


@pytest.mark.parametrize("fault", ["reset_after", "cut_reply", "empty_body"])
@pytest.mark.parametrize("to", ["msg_id", "event_id"])
def test_duplicate_after_a_lost_answer_means_that_it_was_sent(
    emulator: Emulator, uploader: Uploader, fault: str, to: str
) -> None:
    emulator.fail("message", fault)
    assert send(uploader, **{to: "M"}) == {"id": None, "deduplicated": True}
    assert emulator.count("message") == 2
    assert len(emulator.messages) == 1


def test_duplicate_after_a_timed_out_send_means_that_it_was_sent(
    emulator: Emulator, uploader: Uploader
) -> None:
    emulator.fail("message", "code", code=850027)
    emulator.fail("message", "code", code=40054005)
    assert send(uploader, msg_id="M") == {"id": None, "deduplicated": True}


def test_duplicate_after_a_clear_refusal_is_an_error(
    emulator: Emulator, uploader: Uploader
) -> None:
    emulator.fail("message", "code", code=304082)
    emulator.fail("message", "code", code=40054005)
    assert refused(uploader, msg_id="M").code == 40054005


def test_other_refusal_after_a_lost_answer_is_an_error(
    emulator: Emulator, uploader: Uploader
) -> None:
    emulator.fail("message", "reset_unprocessed")
    emulator.fail("message", "code", code=40034005)
    assert refused(uploader, msg_id="M").code == 40034005
    assert emulator.messages == []


def test_duplicate_is_known_by_the_other_code_too(emulator: Emulator, uploader: Uploader) -> None:
    emulator.fail("message", "reset_after")
    emulator.fail("message", "code", code=999, err_code=40054005)
    assert send(uploader, msg_id="M") == {"id": None, "deduplicated": True}


def test_duplicate_at_the_first_try_is_an_error(emulator: Emulator, uploader: Uploader) -> None:
    send(uploader, msg_id="M", msg_seq=7)
    error = refused(uploader, msg_id="M", msg_seq=7)
    assert type(error) is ApiError
    assert error.code == 40054005
    assert not error.retryable
    assert "msg_seq of its own" in str(error)
    assert emulator.count("message") == 2


# Messages that must not be repeated


@pytest.mark.parametrize("fault, options, kind", [
    ("reset_after", {}, TransportError),
    ("reset_unprocessed", {}, TransportError),
    ("close", {}, TransportError),
    ("cut_reply", {}, TransportError),
    ("status", {"status": 500}, ApiError),
    ("status", {"status": 503}, ApiError),
    ("html_200", {}, ProtocolError),
    ("empty_body", {}, ProtocolError),
    ("code", {"code": 850027}, ApiError),
])
def test_message_to_nobody_in_particular_is_not_repeated_without_an_answer(
    emulator: Emulator, uploader: Uploader, fault: str, options: Dict[str, Any],
    kind: Type[UploadError],
) -> None:
    emulator.fail("message", fault, times=None, **options)
    error = refused(uploader, msg_seq=5, content="words")
    assert type(error) is kind
    assert emulator.count("message") == 1


@pytest.mark.parametrize("code, count", [(304082, 3), (11281, 2), (850018, 1), (40034005, 1)])
def test_clear_refusal_is_repeated_as_its_code_allows(
    emulator: Emulator, uploader: Uploader, code: int, count: int
) -> None:
    emulator.fail("message", "code", code=code, times=None)
    error = refused(uploader)
    assert (type(error), error.code) == (ApiError, code)
    assert emulator.count("message") == count


def test_rate_limit_is_waited_for(emulator: Emulator, uploader: Uploader) -> None:
    emulator.fail("message", "status", status=429, retry_after=0)
    assert send(uploader)["id"]
    assert emulator.count("message") == 2


def test_expired_token_is_replaced_and_the_message_sent(
    emulator: Emulator, uploader: Uploader
) -> None:
    result = uploader.upload("c2c", "U1", CONTENT, file_name="a.bin")
    emulator.expire_tokens()
    assert uploader.send("c2c", "U1", result)["id"]
    assert (emulator.count("token"), emulator.count("message")) == (2, 2)


@pytest.mark.parametrize("code", [None, 304080])
def test_progress_ends_once_the_message_is_sent(
    emulator: Emulator, uploader: Uploader, code: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qqchunk.transfer.progress.INTERVAL", 0.0)
    looks = Looks()

    def hold(request: Request) -> None:
        if request.stage == "message" and request.status is None:
            enough = looks.count + 2  # before the second, what the first found was reported
            wait_until(lambda: looks.count >= enough)

    emulator.watch(hold)
    if code:
        emulator.fail("message", "code", code=code)
    seen: List[Progress] = []
    send(uploader, progress=seen.append, cancel=looks)
    assert [p.stage for p in seen].count("done") == 1
    assert seen[-1] == Progress("done", len(CONTENT), len(CONTENT), 1, 1)
    assert seen[-2].stage == "waiting"


# Under review


@pytest.mark.parametrize("status, code", [(202, 304023), (201, 304024)])
def test_message_under_review_is_sent(
    emulator: Emulator, uploader: Uploader, status: int, code: int
) -> None:
    emulator.fail("message", "audit", status=status, code=code)
    reply = send(uploader)
    assert reply["code"] == code
    assert reply["data"]["message_audit"]["audit_id"]
    assert emulator.count("message") == 1


# One upload, many chats


def test_one_upload_goes_to_many_chats(emulator: Emulator, uploader: Uploader) -> None:
    result = uploader.upload("group", "G0", CONTENT, file_name="a.bin")
    for n in range(3):
        uploader.send("group", f"G{n}", result, content=str(n))
    assert [m["target"] for m in emulator.messages] == ["G0", "G1", "G2"]
    assert {m["media"]["file_info"] for m in emulator.messages} == {str(result.file_info)}
    assert (emulator.count("prepare"), emulator.count("put")) == (1, 1)


def test_file_of_another_scene_is_refused_and_not_uploaded(
    emulator: Emulator, uploader: Uploader
) -> None:
    result = uploader.upload("group", "G1", CONTENT, file_name="a.bin")
    error = refused(uploader, file=result, file_name=None)
    assert error.code == 304080
    assert "upload the file again for this chat type" in str(error)
    assert (emulator.count("prepare"), emulator.count("message")) == (1, 1)


def test_result_that_was_kept_elsewhere_may_be_sent(
    emulator: Emulator, uploader: Uploader
) -> None:
    file_info = str(uploader.upload("c2c", "U1", CONTENT, file_name="a.bin").file_info)
    assert uploader.send("c2c", "U1", UploadResult(file_info))["id"]


# Expired files


@pytest.mark.parametrize("file", [
    lambda: CONTENT, lambda: Pipe(CONTENT),
], ids=["bytes", "stream"])
@pytest.mark.parametrize("status", [200, 400])
def test_expired_file_is_uploaded_again_and_sent(
    emulator: Emulator, uploader: Uploader, file: Callable[[], Any], status: int
) -> None:
    emulator.fail("message", "code", code=304080, status=status)
    assert send(uploader, file=file(), msg_id="M")["id"]
    first, second = bodies(emulator)
    assert (emulator.count("prepare"), emulator.count("complete")) == (2, 2)
    assert first["media"] != second["media"]
    assert first["msg_seq"] == second["msg_seq"]
    assert emulator.received(second["media"]["file_info"]) == CONTENT


def test_file_that_expires_again_is_an_error(emulator: Emulator, uploader: Uploader) -> None:
    emulator.fail("message", "code", code=304080, times=None)
    assert refused(uploader).code == 304080
    assert (emulator.count("prepare"), emulator.count("message")) == (2, 2)


def test_expiry_is_known_by_the_other_code_too(emulator: Emulator, uploader: Uploader) -> None:
    emulator.fail("message", "code", code=999, err_code=304080)
    assert send(uploader)["id"]
    assert emulator.count("prepare") == 2


def test_other_refusals_upload_nothing_again(emulator: Emulator, uploader: Uploader) -> None:
    emulator.fail("message", "code", code=850018)
    assert refused(uploader).code == 850018
    assert emulator.count("prepare") == 1


# Files by URL


class Site(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(404 if "missing" in self.path else 200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def site() -> Iterator[str]:
    """Where the platform finds the file, short of its path."""
    with http.server.HTTPServer(("127.0.0.1", 0), Site) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("chat_type, scene", [("c2c", "users"), ("group", "groups")])
def test_platform_downloads_a_file_by_itself(
    emulator: Emulator, uploader: Uploader, site: str, chat_type: str, scene: str
) -> None:
    result = uploader.upload_url(chat_type, "T1", f"{site}/a.png?sign=5ecret")
    assert emulator.received(result.file_info) == CONTENT
    assert emulator.stored(result.file_info).scene == scene
    assert (result.ttl, result.reused) == (86400, False)
    assert "5ecret" not in repr(result)
    assert [r.stage for r in emulator.requests] == ["token", "url"]
    assert emulator.refusals == []


def test_file_by_url_can_be_sent(emulator: Emulator, uploader: Uploader, site: str) -> None:
    assert uploader.send("c2c", "U1", uploader.upload_url("c2c", "U1", f"{site}/a.png"))["id"]


@pytest.mark.parametrize("path, options, kind, name", [
    ("/a.png", {}, 1, ...),
    ("/a.mp4?x=b.png", {}, 2, ...),
    ("/a.png", {"file_type": 4}, 4, "a.png"),
    ("/a.pdf", {}, 4, "a.pdf"),
    ("/dir/a%20%E5%81%87.pdf", {}, 4, "a 假.pdf"),
    ("/dir/a%2Fb.pdf", {}, 4, "a_b.pdf"),
    ("/dir/", {}, 4, "file"),
    ("", {}, 4, "file"),
    ("/a.pdf", {"file_name": "b?.txt"}, 4, "b_.txt"),
    ("/a", {"file_name": "b.png"}, 1, ...),
    ("/a.png", {"file_name": "b.txt"}, 4, "b.txt"),
    ("/a.silk", {"file_type": 3, "file_name": "b.txt"}, 3, ...),
])
def test_type_and_name_come_from_the_url_unless_given(
    emulator: Emulator, uploader: Uploader, site: str, path: str, options: Dict[str, Any],
    kind: int, name: Any,
) -> None:
    uploader.upload_url("c2c", "U1", site + path, **options)
    (body,) = bodies(emulator, "url")
    expected = {"file_type": kind, "url": site + path, "srv_send_msg": False}
    if name is not ...:
        expected["file_name"] = name
    assert body == expected


def test_file_that_cannot_be_downloaded_is_tried_twice_again(
    emulator: Emulator, uploader: Uploader, site: str
) -> None:
    with pytest.raises(ApiError) as caught:
        uploader.upload_url("c2c", "U1", f"{site}/missing.png")
    error = caught.value
    assert (error.code, error.stage, error.file_name) == (850026, "url", "missing.png")
    assert error.file_size is None
    assert "public internet" in str(error)
    assert emulator.count("url") == 3


def test_lost_answer_about_a_url_is_asked_for_again(
    emulator: Emulator, uploader: Uploader, site: str
) -> None:
    emulator.fail("url", "reset_after")
    assert uploader.upload_url("c2c", "U1", f"{site}/a.png").file_info
    assert emulator.count("url") == 2


def test_answer_about_a_url_without_file_info_is_no_success(
    emulator: Emulator, uploader: Uploader, site: str
) -> None:
    emulator.fail("url", "wrong_shape", body={"file_uuid": "u"})
    with pytest.raises(ProtocolError) as caught:
        uploader.upload_url("c2c", "U1", f"{site}/a.png")
    assert (caught.value.stage, caught.value.file_name) == ("url", "a.png")


@pytest.mark.parametrize("fault, options", [
    ("code", {"code": 40093010}), ("status", {"status": 500}), ("wrong_shape", {"body": {}}),
    ("reset_after", {}),
])
def test_signature_of_a_url_shows_nowhere(
    emulator: Emulator, uploader: Uploader, site: str, caplog: pytest.LogCaptureFixture,
    fault: str, options: Dict[str, Any],
) -> None:
    caplog.set_level(logging.DEBUG, "qqchunk")
    emulator.fail("url", fault, times=None, **options)
    with pytest.raises(UploadError) as caught:
        uploader.upload_url("c2c", "U1", f"{site}/a.png?sign=5ecret")
    shown = [record.getMessage() for record in caplog.records if record.name[:7] == "qqchunk"]
    error: Any = caught.value
    while error is not None:
        trace = traceback.TracebackException(
            type(error), error, error.__traceback__, capture_locals=True)
        shown += traceback.StackSummary.from_list([
            f for f in trace.stack if "qqchunk" in pathlib.Path(f.filename).parts]).format()
        shown += [str(error), repr(error), repr(vars(error))]
        error = error.__cause__ or error.__context__
    assert "in upload_url" in "".join(shown)
    assert "5ecret" not in "".join(shown)
