"""A cache that is slow, that breaks, or in which a time limit strikes."""

from __future__ import annotations

import signal
import threading
import time
from typing import Any, Callable, Dict, Iterator, List, Type

import pytest

from qqchunk import UploadCancelledError, UploadDeadlineError, UploadError, Uploader
from qqchunk.emulator import Emulator

CONTENT = b"a file of some bytes"
CALLS = ["get", "set", "delete"]
UploaderFor = Callable[..., Uploader]


class SoftTimeLimitExceeded(Exception):
    """What Celery raises; RQ's is no Exception."""


class JobTimeout(BaseException):
    """What a stricter one raises."""


class SlowCache:
    """A memory cache, one method of which waits until *release* is called.

    :ivar threads: those that called it
    """

    def __init__(self, slow: str = "") -> None:
        self.slow = slow
        self.kept: Dict[str, Any] = {}
        self.threads: List[threading.Thread] = []
        self.reached = threading.Event()
        self._released = threading.Event()

    def release(self) -> None:
        self._released.set()

    def _called(self, method: str) -> None:
        self.threads.append(threading.current_thread())
        if method == self.slow:
            self.reached.set()
            self._released.wait(20)

    def get(self, key: str) -> Any:
        self._called("get")
        return self.kept.get(key)

    def set(self, key: str, value: Any, timeout: Any) -> None:
        self._called("set")
        self.kept[key] = value

    def delete(self, key: str) -> None:
        self._called("delete")
        self.kept.pop(key, None)


@pytest.fixture
def slow_cache() -> Iterator[SlowCache]:
    cache = SlowCache()
    yield cache
    cache.release()


def send_expired(emulator: Emulator, uploader: Uploader, cache: SlowCache, slow: str) -> None:
    """Prepare a send() that gets, deletes and sets, and is slow in one of them."""
    uploader.upload("c2c", "U", CONTENT, file_name="a")
    emulator.expire_files()
    cache.slow = slow
    if slow == "set":
        cache.kept.clear()


@pytest.mark.parametrize("limit", [SoftTimeLimitExceeded, JobTimeout])
@pytest.mark.parametrize("slow", CALLS)
def test_time_limit_in_a_cache_call_reaches_the_caller(
    emulator: Emulator, uploader_for: UploaderFor, slow_cache: SlowCache, slow: str,
    limit: Type[BaseException],
) -> None:
    def strike(*_: Any) -> None:
        slow_cache.release()  # so that nobody has to wait for the thread that is in it
        raise limit()

    before = signal.signal(signal.SIGUSR1, strike)
    uploader = uploader_for(emulator, cache=slow_cache)
    send_expired(emulator, uploader, slow_cache, slow)
    main = threading.main_thread().ident
    assert main is not None
    striker = threading.Thread(
        target=lambda: slow_cache.reached.wait(10) and signal.pthread_kill(main, signal.SIGUSR1))
    striker.start()
    try:
        with pytest.raises(limit):
            uploader.send("c2c", "U", CONTENT, file_name="a")
        assert slow_cache.reached.is_set()
    finally:
        striker.join()
        signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize("slow", ["get", "delete"])
def test_slow_cache_obeys_the_deadline(
    emulator: Emulator, uploader_for: UploaderFor, slow_cache: SlowCache, slow: str
) -> None:
    uploader = uploader_for(emulator, cache=slow_cache)
    send_expired(emulator, uploader, slow_cache, slow)
    began = time.monotonic()
    with pytest.raises(UploadDeadlineError):
        uploader.send("c2c", "U", CONTENT, file_name="a", deadline=0.3)
    assert 0.25 < time.monotonic() - began < 2.5
    assert slow_cache.reached.is_set()


@pytest.mark.parametrize("slow", ["get", "delete"])
def test_slow_cache_obeys_cancel(
    emulator: Emulator, uploader_for: UploaderFor, slow_cache: SlowCache, slow: str
) -> None:
    uploader = uploader_for(emulator, cache=slow_cache)
    send_expired(emulator, uploader, slow_cache, slow)

    class Cancel:
        def is_set(self) -> bool:
            if slow_cache.reached.is_set():
                slow_cache.release()
            return slow_cache.reached.is_set()

    with pytest.raises(UploadCancelledError):
        uploader.send("c2c", "U", CONTENT, file_name="a", cancel=Cancel())


@pytest.mark.parametrize("slow", ["get", "delete"])
def test_slow_cache_obeys_close(
    emulator: Emulator, uploader_for: UploaderFor, slow_cache: SlowCache, slow: str
) -> None:
    uploader = uploader_for(emulator, cache=slow_cache)
    send_expired(emulator, uploader, slow_cache, slow)

    def close() -> None:
        slow_cache.reached.wait(10)
        uploader.close()
        slow_cache.release()  # so that nobody has to wait for the thread that is in it

    closer = threading.Thread(target=close)
    closer.start()
    with pytest.raises(UploadCancelledError, match="the uploader was closed"):
        uploader.send("c2c", "U", CONTENT, file_name="a")
    closer.join()


def test_file_that_is_up_is_not_lost_by_a_slow_cache(
    emulator: Emulator, uploader_for: UploaderFor, slow_cache: SlowCache
) -> None:
    slow_cache.slow = "set"
    uploader = uploader_for(emulator, cache=slow_cache)
    began = time.monotonic()
    result = uploader.upload("c2c", "U", CONTENT, file_name="a", deadline=0.5)
    assert time.monotonic() - began < 2.5
    assert emulator.received(result.file_info) == CONTENT


def test_slow_cache_does_not_keep_a_message_from_its_deadline(
    emulator: Emulator, uploader_for: UploaderFor, slow_cache: SlowCache
) -> None:
    slow_cache.slow = "set"
    uploader = uploader_for(emulator, cache=slow_cache)
    with pytest.raises(UploadDeadlineError) as caught:
        uploader.send("c2c", "U", CONTENT, file_name="a", deadline=0.5)
    assert caught.value.result is not None
    assert emulator.messages == []


def test_cache_calls_of_one_call_are_on_one_thread_that_is_not_the_callers(
    emulator: Emulator, uploader_for: UploaderFor, slow_cache: SlowCache
) -> None:
    uploader = uploader_for(emulator, cache=slow_cache)
    send_expired(emulator, uploader, slow_cache, "")
    slow_cache.threads.clear()
    uploader.send("c2c", "U", CONTENT, file_name="a")
    assert len(slow_cache.threads) == 3
    (thread,) = set(slow_cache.threads)
    assert thread is not threading.current_thread()


@pytest.mark.parametrize("error", [ConnectionError, KeyError])
def test_failed_delete_does_not_bring_back_the_expired_file(
    emulator: Emulator, uploader_for: UploaderFor, slow_cache: SlowCache, error: Type[Exception]
) -> None:
    def delete(key: str) -> None:
        raise error(key)

    uploader = uploader_for(emulator, cache=slow_cache)
    send_expired(emulator, uploader, slow_cache, "")
    slow_cache.delete = delete  # type: ignore[method-assign]
    uploader.send("c2c", "U", CONTENT, file_name="a")
    (message,) = emulator.messages
    assert emulator.count("complete") == 2
    uploader.send("c2c", "U", CONTENT, file_name="a")  # the fresh one took its place
    assert emulator.count("complete") == 2


def test_cache_without_a_thread_costs_no_upload_that_is_done(
    emulator: Emulator, uploader_for: UploaderFor, slow_cache: SlowCache,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from qqchunk.transfer.operation import Operation

    def no_thread(self: Operation, do: Any) -> Any:
        raise UploadError("no thread could be started", retryable=True)

    uploader = uploader_for(emulator, cache=slow_cache)
    run = Operation.run_for_cache
    calls: List[int] = []

    def run_once(self: Operation, do: Any) -> Any:
        calls.append(1)
        return (run if len(calls) == 1 else no_thread)(self, do)

    monkeypatch.setattr(Operation, "run_for_cache", run_once)
    result = uploader.upload("c2c", "U", CONTENT, file_name="a")
    assert emulator.received(result.file_info) == CONTENT
    assert len(calls) == 2
