"""Answers that are huge, endless or slow: bounded in memory and in time."""

from __future__ import annotations

import functools
import gzip
import json
import threading
import time
import tracemalloc
from typing import Any, Callable, Dict, Iterator, List

import pytest
import requests

from qqchunk import (
    ApiError,
    ProtocolError,
    TransportError,
    UploadDailyLimitExceededError,
    UploadError,
    Uploader,
)
from qqchunk.emulator import Emulator, Fault

from tests import support
from tests.support import Peer, Server, nothing_left

MB = 1 << 20
STAGES = ["token", "prepare", "put", "finish", "complete"]
SECONDS = 3.0  # for an answer that never ends; the time limits of these tests are below


@pytest.fixture(autouse=True)
def all_returned() -> Iterator[None]:
    with nothing_left():
        yield


uploader_for = functools.partial(support.uploader_for, retries=0, timeout=(0.05, 0.1))


def failing(emulator: Emulator, **options: Any) -> UploadError:
    """Upload; give the exception, which has to come in time and without much memory."""
    began = time.monotonic()
    with uploader_for(emulator, **options) as uploader:
        with pytest.raises(UploadError) as caught:
            uploader.upload("c2c", "U1", b"content", file_name="a.bin")
    assert time.monotonic() - began < SECONDS
    return caught.value


@pytest.mark.parametrize("stage", STAGES)
def test_error_body_of_100_mb_is_read_no_further_than_needed(stage: str) -> None:
    with Emulator(faults=[Fault(stage, "huge_body", size=100 * MB, status=400)]) as emulator:
        error = failing(emulator)
    assert error.http_status == 400
    assert error.stage == stage
    assert len(str(error)) < 1000


def redirect(peer: Peer) -> None:
    """Answer with a redirect whose long body does not come."""
    peer.read_head()
    peer.sock.sendall(b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 99999\r\n\r\n"
                      + bytes(90_000))
    peer.read_all()


@pytest.mark.parametrize("stage", ["token", "put"])
def test_body_of_a_redirect_is_read_no_further_than_needed(stage: str) -> None:
    with Server(redirect) as server, Emulator() as emulator:
        plan = {"upload_id": "u", "block_size": 7, "parts": [{"presigned_url": server.url()}]}
        emulator.fail("prepare", "status", status=200, body=json.dumps(plan))
        error = failing(emulator, **{"token_url": server.url()} if stage == "token" else {})
    assert (error.stage, error.http_status) == (stage, 302)


@pytest.mark.parametrize("stage", ["token", "prepare", "finish", "complete"])
def test_success_body_that_never_ends_is_given_up(stage: str) -> None:
    fault = Fault(stage, "huge_body", size=None, status=200, times=None)
    with Emulator(faults=[fault]) as emulator:
        error = failing(emulator)
    assert isinstance(error, (ApiError, ProtocolError))


@pytest.mark.parametrize("stage", STAGES)
def test_headers_that_never_end_are_given_up(stage: str) -> None:
    with Emulator(faults=[Fault(stage, "header_flood", times=None)]) as emulator:
        assert isinstance(failing(emulator), TransportError)


@pytest.mark.parametrize("stage", ["prepare", "put"])
def test_memory_stays_small_whatever_comes(stage: str) -> None:
    faults = [
        Fault(stage, "huge_body", size=100 * MB, status=500),
        Fault(stage, "huge_body", size=None, status=500),
        Fault(stage, "header_flood"),
    ]
    with Emulator(faults=faults) as emulator, uploader_for(
        emulator, retries=3, backoff=0.0
    ) as uploader:
        tracemalloc.start()
        try:
            uploader.upload("c2c", "U1", b"content", file_name="a.bin")
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    # The answers, as they are sent and as they are read, and 100 header lines of 100 bytes.
    assert peak < 8 * MB


# The limits for an answer that keeps coming: connect + 2 * read seconds, 0.25 s here.


@pytest.mark.parametrize("stage,delay", [("token", 0.02), ("prepare", 0.0), ("put", 0.0)])
def test_endless_100_continue_is_given_up(stage: str, delay: float) -> None:
    fault = Fault(stage, "endless_continue", times=None, delay=delay)
    with Emulator(faults=[fault]) as emulator:
        assert isinstance(failing(emulator), TransportError)


@pytest.mark.parametrize("stage", ["token", "prepare", "put", "finish"])
def test_answer_that_drips_in_is_given_up(stage: str) -> None:
    with Emulator(faults=[Fault(stage, "drip", times=None, delay=0.04)]) as emulator:
        error = failing(emulator)
    assert isinstance(error, TransportError)
    assert error.retryable


def answering(*answers: bytes) -> Callable[[Peer], None]:
    """A server that answers every request with one piece after the other."""

    def handle(peer: Peer) -> None:
        peer.read_head()
        for answer in answers:
            peer.sock.sendall(answer)
        peer.read_all()

    return handle


def uploading_to(server: Server, timeout: float = 0.3) -> UploadError:
    with Uploader(
        "app", "secret", api_url=server.url(), token_url=server.url() + "/token",
        retries=0, timeout=timeout,
    ) as uploader, pytest.raises(UploadError) as caught:
        uploader.upload("c2c", "U1", b"content", file_name="a.bin")
    return caught.value


@functools.lru_cache(maxsize=None)
def packed(times: int) -> bytes:
    """100 MB of nothing, packed so many times over."""
    return gzip.compress(packed(times - 1) if times > 1 else bytes(100 * MB), 1)


def compressed(times: int) -> bytes:
    body = packed(times)
    coding = b", ".join([b"gzip"] * times)
    return (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: " + coding
            + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


@pytest.fixture(scope="module", params=[1, 2], ids=["once", "twice"])
def bomb(request: Any) -> bytes:
    return compressed(request.param)


def test_compressed_answer_does_not_explode(bomb: bytes) -> None:
    with Server(answering(bomb)) as server:
        tracemalloc.start()
        try:
            error = uploading_to(server)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert error.stage == "token"
    assert peak < 32 * MB


@pytest.mark.parametrize("answer", [
    b"", b"\r\n\r\n", b"\x00" * 100, b"HTTP/9.9 abc def\r\n\r\n", b"HTTP/1.1 99999 X\r\n\r\n",
    b"HTTP/1.1 200 " + b"x" * 70_000, b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 70_000,
    b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"f" * 70_000,
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n\xff\xfe",
    b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n" + b"[" * 60_000,
    b"HTTP/1.1 401 \xff\xfe\r\nRetry-After: \xff\r\nX-Tps-trace-ID: \xff\r\n\r\n",
], ids=range(15))
def test_garbage_is_one_of_our_errors(answer: bytes) -> None:
    with Server(answering(answer)) as server:
        began = time.monotonic()
        uploading_to(server, timeout=0.1)
        assert time.monotonic() - began < SECONDS


def test_flooded_upload_can_still_be_cancelled() -> None:
    fault = Fault("prepare", "endless_continue", times=None)
    with Emulator(faults=[fault]) as emulator, uploader_for(emulator, timeout=30.0) as uploader:
        cancel = threading.Event()
        ended: List[float] = []

        def upload() -> None:
            with pytest.raises(UploadError):
                uploader.upload("c2c", "U1", b"content", file_name="a.bin", cancel=cancel)
            ended.append(time.monotonic())

        thread = threading.Thread(target=upload)
        thread.start()
        while not emulator.count("prepare"):
            time.sleep(0.005)
        stopped = time.monotonic()
        cancel.set()
        thread.join(5)
        assert ended and ended[0] - stopped < 1.0


def test_compressed_answer_is_read_all_the_same() -> None:
    body = gzip.compress(b'{"message": "no such bot", "code": 100016}')
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body)
    with Server(answering(head + body)) as server:
        assert uploading_to(server).code == 100016


class Noting(requests.Session):
    """Notes the time limits of each call."""

    def __init__(self) -> None:
        super().__init__()
        self.limits: Dict[str, Any] = {}

    def request(self, *args: Any, **options: Any) -> Any:
        self.limits[args[1].rpartition("/")[2]] = options["timeout"]
        return super().request(*args, **options)


@pytest.mark.parametrize("given, slow", [
    ((1.0, 2.0), (1.0, 120.0)), ((1.0, 200.0), (1.0, 200.0)), ((1.0, None), (1.0, None)),
])
@pytest.mark.parametrize("by_url", [False, True])
def test_platform_may_take_two_minutes_where_it_has_work_to_do(
    given: Any, slow: Any, by_url: bool
) -> None:
    with Noting() as session, Emulator(faults=[Fault("url", "quota")]) as emulator:
        with uploader_for(emulator, session=session, timeout=given) as uploader:
            if by_url:
                with pytest.raises(UploadDailyLimitExceededError):
                    uploader.upload_url("c2c", "U1", "https://files.invalid/a.bin")
            else:
                uploader.upload("c2c", "U1", b"content", file_name="a.bin")
    assert session.limits.pop("files") == slow
    assert set(session.limits.values()) == {given}
