"""What a send that failed says: whether the message may have been sent, and where the file is."""

from __future__ import annotations

import contextlib
import pickle
import random
import threading
from typing import Any, Callable, Dict, Iterator, List, Type

import pytest

from qqchunk import (
    ApiError,
    ProtocolError,
    TransportError,
    UploadCancelledError,
    UploadDeadlineError,
    Uploader,
    UploadError,
    UploadResult,
)
from qqchunk.emulator import Emulator
from qqchunk.net.auth import BearerAuth
from qqchunk.net.stopping import StopSignal
from tests.support import Pki, Server, deadline_when, full_backlog, reset, wait_until

CONTENT = b"a file of some bytes"
IN_DOUBT = "it may have been sent all the same"
MakeUploader = Callable[..., Uploader]


@pytest.fixture
def uploader(emulator: Emulator, uploader_for: MakeUploader) -> Uploader:
    return uploader_for(emulator, backoff=0.0, retries=0)


def failed(uploader: Uploader, file: Any = CONTENT, **options: Any) -> UploadError:
    name = None if isinstance(file, UploadResult) else "a.png"
    with pytest.raises(UploadError) as caught:
        uploader.send("c2c", "U1", file, file_name=name, **options)
    return caught.value


def usable(error: UploadError) -> UploadResult:
    result = error.result
    assert isinstance(result, UploadResult)
    return result


# Nothing was sent


@pytest.mark.parametrize("fault, kind", [
    ("status", ApiError), ("html_200", ProtocolError), ("reset_after", TransportError),
])
def test_token_that_cannot_be_fetched_leaves_no_doubt(
    emulator: Emulator, uploader: Uploader, fault: str, kind: Type[UploadError]
) -> None:
    result = uploader.upload("c2c", "U1", CONTENT, file_name="a.png")
    emulator.expire_tokens()
    emulator.fail("message", "code", code=11244)
    emulator.fail("token", fault, times=None)
    error = failed(uploader, result)
    assert type(error) is kind
    assert (error.stage, error.retryable, usable(error)) == ("token", True, result)
    assert IN_DOUBT not in str(error)
    assert emulator.messages == []


def test_host_that_refuses_the_connection_leaves_no_doubt(uploader_for: MakeUploader) -> None:
    with Emulator() as emulator:
        uploader = uploader_for(emulator, backoff=0.0)
        result = uploader.upload("c2c", "U1", CONTENT, file_name="a.png")
    error = failed(uploader, result)  # the port is closed now
    assert type(error) is TransportError
    assert (error.stage, error.retryable, usable(error)) == ("message", True, result)
    assert IN_DOUBT not in str(error)


@contextlib.contextmanager
def unknown_host(pki: Pki) -> Iterator[str]:
    yield "http://api.invalid"


@contextlib.contextmanager
def silent_host(pki: Pki) -> Iterator[str]:
    with full_backlog() as port:
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def untrusted_host(pki: Pki) -> Iterator[str]:
    with Emulator(ssl_context=pki.context) as emulator:
        yield emulator.api_url


@contextlib.contextmanager
def host_without_a_handshake(pki: Pki) -> Iterator[str]:
    with Server() as server:
        yield server.url("https")


@contextlib.contextmanager
def host_that_breaks_the_handshake(pki: Pki) -> Iterator[str]:
    with Server(lambda peer: peer.read() and reset(peer.sock)) as server:
        yield server.url("https")


@pytest.mark.parametrize("host, retryable", [
    (unknown_host, True), (silent_host, True), (untrusted_host, False),
    (host_without_a_handshake, True), (host_that_breaks_the_handshake, True),
])
def test_host_that_is_not_reached_leaves_no_doubt(
    emulator: Emulator, uploader: Uploader, uploader_for: MakeUploader, pki: Pki, host: Any,
    retryable: bool,
) -> None:
    result = uploader.upload("c2c", "U1", CONTENT, file_name="a.png")
    with host(pki) as url:
        error = failed(uploader_for(emulator, api_url=url, retries=0, timeout=(0.1, 5.0)), result)
    assert type(error) is TransportError
    assert (error.stage, error.retryable, usable(error)) == ("message", retryable, result)
    assert IN_DOUBT not in str(error)


def test_message_is_repeated_after_a_refused_connection(
    uploader_for: MakeUploader, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator = Emulator()
    with emulator:
        uploader = uploader_for(emulator, backoff=0.05, retries=1)
        result = uploader.upload("c2c", "U1", CONTENT, file_name="a.png")
    wait = StopSignal.wait

    def wait_and_start(stop: StopSignal, delay: float) -> None:
        emulator.start()
        wait(stop, delay)

    monkeypatch.setattr(StopSignal, "wait", wait_and_start)
    try:
        assert uploader.send("c2c", "U1", result)["id"]
    finally:
        emulator.stop()
    assert len(emulator.messages) == 1


def test_deadline_while_the_token_is_fetched_leaves_no_doubt(
    emulator: Emulator, uploader: Uploader, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = uploader.upload("c2c", "U1", CONTENT, file_name="a.png")
    emulator.fail("message", "code", code=11244)
    emulator.fail("token", "silence", times=None)
    deadline = deadline_when(lambda: emulator.count("token") == 2, monkeypatch)
    error = failed(uploader, result, deadline=deadline)
    assert type(error) is UploadDeadlineError
    assert (error.retryable, usable(error)) == (True, result)
    assert "allow more time" in str(error)
    assert IN_DOUBT not in str(error)


def test_deadline_while_a_rate_limit_is_waited_for_leaves_no_doubt(
    emulator: Emulator, uploader: Uploader, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator.fail("message", "code", code=22009, times=None)
    waits: List[float] = []
    wait = StopSignal.wait
    monkeypatch.setattr(StopSignal, "wait", lambda *given: waits.append(given[1]) or wait(*given))
    error = failed(uploader, deadline=deadline_when(lambda: waits, monkeypatch))
    assert emulator.count("message") == 1
    assert type(error) is UploadDeadlineError
    assert IN_DOUBT not in str(error)


# It may have been sent


def cancelled(
    emulator: Emulator, uploader: Uploader, patch: pytest.MonkeyPatch
) -> Dict[str, Any]:
    cancel = threading.Event()
    return {"cancel": cancel, "then": cancel.set}


def closed(emulator: Emulator, uploader: Uploader, patch: pytest.MonkeyPatch) -> Dict[str, Any]:
    return {"then": uploader.close}


def too_late(emulator: Emulator, uploader: Uploader, patch: pytest.MonkeyPatch) -> Dict[str, Any]:
    return {"deadline": deadline_when(lambda: emulator.messages, patch)}


@pytest.mark.parametrize("stopped, kind", [
    (cancelled, UploadCancelledError), (closed, UploadCancelledError),
    (too_late, UploadDeadlineError),
])
def test_end_of_a_message_on_its_way_says_that_it_may_have_been_sent(
    emulator: Emulator, uploader: Uploader, stopped: Callable[..., Dict[str, Any]],
    kind: Type[UploadError], monkeypatch: pytest.MonkeyPatch,
) -> None:
    emulator.fail("message", "silence", processed=True, times=None)
    options = stopped(emulator, uploader, monkeypatch)
    then = options.pop("then", None)

    def stop() -> None:
        wait_until(lambda: emulator.messages)
        then()

    stopping = threading.Thread(target=stop)
    if then is not None:
        stopping.start()
    error = failed(uploader, **options)
    if then is not None:
        stopping.join()
    assert type(error) is kind
    assert (error.stage, error.retryable) == ("message", False)
    assert IN_DOUBT in str(error)
    assert "allow more time" not in str(error)
    assert len(emulator.messages) == 1
    assert emulator.received(usable(error).file_info) == CONTENT


def test_deadline_of_a_reply_with_a_number_of_its_own_may_be_repeated(
    emulator: Emulator, uploader: Uploader, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator.fail("message", "silence", processed=True, times=None)
    deadline = deadline_when(lambda: emulator.messages, monkeypatch)
    error = failed(uploader, deadline=deadline, msg_id="M", msg_seq=7)
    assert (type(error), error.retryable) == (UploadDeadlineError, True)
    assert IN_DOUBT in str(error) and "will not post it twice" in str(error)
    assert "allow more time" not in str(error)


@pytest.mark.parametrize("options, retryable", [
    ({}, False), ({"msg_id": "M"}, False), ({"msg_seq": 7}, False),
    ({"msg_id": "M", "msg_seq": 7}, True), ({"event_id": "E", "msg_seq": 7}, True),
])
def test_lost_answer_leaves_a_second_call_to_a_reply_with_a_number_of_its_own(
    emulator: Emulator, uploader: Uploader, options: Dict[str, Any], retryable: bool
) -> None:
    emulator.fail("message", "reset_after", times=None)
    error = failed(uploader, **options)
    assert (type(error), error.retryable) == (TransportError, retryable)
    assert IN_DOUBT in str(error)
    assert ("look in the chat" in str(error)) is not retryable


def test_message_with_the_callers_auth_may_have_been_sent_too(
    emulator: Emulator, uploader: Uploader, uploader_for: MakeUploader
) -> None:
    result = uploader.upload("c2c", "U1", CONTENT, file_name="a.png")
    auth = BearerAuth(uploader._transport.token(StopSignal()))
    cancel = threading.Event()
    emulator.fail("message", "silence", processed=True, times=None)
    emulator.watch(lambda request: cancel.set() if request.stage == "message" else None)
    error = failed(uploader_for(emulator, client_secret=None, auth=auth), result, cancel=cancel)
    assert (type(error), error.retryable) == (UploadCancelledError, False)
    assert IN_DOUBT in str(error)


@pytest.mark.parametrize("options", [{"code": 850012}, {"code": 50055002}])
def test_refusal_that_leaves_it_open_says_so(
    emulator: Emulator, uploader: Uploader, options: Dict[str, Any]
) -> None:
    emulator.fail("message", "code", times=None, **options)
    error = failed(uploader)
    assert (error.retryable, IN_DOUBT in str(error)) == (False, True)


def test_refusal_after_a_lost_answer_says_that_the_first_may_have_been_sent(
    emulator: Emulator, uploader_for: MakeUploader
) -> None:
    emulator.fail("message", "reset_after")
    emulator.fail("message", "code", code=40034005, after=1)
    error = failed(uploader_for(emulator, backoff=0.0), msg_id="M")
    assert error.code == 40034005
    assert IN_DOUBT in str(error)


# Where the file is


@pytest.mark.parametrize("code", [
    40034005, 40034128, 304103, 40034024, 304026, 40034105, 850018, 40034006, 304082])
def test_refused_message_leaves_a_file_that_can_be_sent_again(
    emulator: Emulator, uploader: Uploader, code: int
) -> None:
    emulator.fail("message", "code", code=code)
    error = failed(uploader, msg_id="too old")
    assert code in (error.code, error.err_code)
    assert uploader.send("c2c", "U1", usable(error))["id"]
    assert emulator.count("complete") == 1


@pytest.mark.parametrize("code, times", [(304080, None), (40034032, 1)])
def test_file_info_that_was_refused_is_not_given_back(
    emulator: Emulator, uploader: Uploader, code: int, times: Any
) -> None:
    emulator.fail("message", "code", code=code, times=times)
    assert failed(uploader).result is None


@pytest.mark.parametrize("stage", ["token", "prepare", "put", "finish", "complete"])
def test_failure_before_the_message_has_no_result(
    emulator: Emulator, uploader: Uploader, stage: str
) -> None:
    emulator.fail(stage, "status", status=400, times=None)
    assert failed(uploader).result is None


def test_result_of_a_failure_survives_pickle_and_shows_no_secret(
    emulator: Emulator, uploader: Uploader
) -> None:
    emulator.fail("message", "code", code=40034005)
    error = failed(uploader, msg_id="too old")
    same = pickle.loads(pickle.dumps(error))
    result = usable(error)
    assert (same.result, same.result.raw, str(same)) == (result, result.raw, str(error))
    assert result.raw and "raw_url" not in result.raw
    assert result.file_info not in f"{error} {error!r} {result!r} {vars(error)!r}"


# Types, numbers, mistakes


def plain_types(value: Any) -> List[type]:
    if isinstance(value, dict):
        return [type(value), *(t for v in value.values() for t in plain_types(v))]
    return [type(value)]


def test_what_the_user_gets_is_of_plain_types(emulator: Emulator, uploader: Uploader) -> None:
    result = uploader.upload("c2c", "U1", CONTENT, file_name="a.png")
    reply = uploader.send("c2c", "U1", result)
    found = {*plain_types(result.raw), *plain_types(reply), type(result.file_info)}
    assert found <= {str, int, dict, type(None)}


def test_seed_of_the_program_does_not_repeat_a_msg_seq(
    emulator: Emulator, uploader: Uploader
) -> None:
    result = uploader.upload("c2c", "U1", CONTENT, file_name="a.png")
    for _ in range(4):
        random.seed(1)
        uploader.send("c2c", "U1", result)
    assert len({message["msg_seq"] for message in emulator.messages}) > 1


@pytest.mark.parametrize("method", ["send", "upload"])
def test_file_info_given_as_a_path_is_told_from_one_and_not_shown(
    uploader: Uploader, method: str
) -> None:
    file_info = uploader.upload("c2c", "U1", CONTENT, file_name="a.png").file_info
    with pytest.raises(ValueError, match="UploadResult") as caught:
        getattr(uploader, method)("c2c", "U1", file_info)
    assert caught.value.__context__ is None and caught.value.__cause__ is None
    assert file_info not in str(caught.value)
