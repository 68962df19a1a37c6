"""Calls in signal handlers, at moments when this thread holds a lock of Python's."""

from __future__ import annotations

import concurrent.futures
import signal
import threading
from typing import Any, Callable, Iterator, List

import pytest

from qqchunk import UploadError, Uploader
from qqchunk.emulator import Emulator

CONTENT = bytes(1 << 20)
UploaderFor = Callable[..., Uploader]


class Handler:
    """Calls *act* once in a handler of SIGUSR1; keeps what came of it."""

    def __init__(self) -> None:
        self.outcomes: List[Any] = []
        self.act: Callable[[], Any] = int

    def __call__(self, *_: Any) -> None:
        try:
            self.outcomes.append(self.act())
        except UploadError as error:
            self.outcomes.append(error)

    def strike(self) -> None:
        if not self.outcomes and threading.current_thread() is threading.main_thread():
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)


@pytest.fixture
def handler() -> Iterator[Handler]:
    handling = Handler()
    before = signal.signal(signal.SIGUSR1, handling)
    yield handling
    signal.signal(signal.SIGUSR1, before)


def strike_in_submit(handler: Handler, patch: pytest.MonkeyPatch) -> None:
    adjust = concurrent.futures.ThreadPoolExecutor._adjust_thread_count

    def wrapped(pool: Any) -> None:
        handler.strike()
        adjust(pool)

    patch.setattr(concurrent.futures.ThreadPoolExecutor, "_adjust_thread_count", wrapped)


def strike_in_start(handler: Handler, patch: pytest.MonkeyPatch) -> None:
    class Limbo(dict):  # type: ignore[type-arg]
        def __setitem__(self, thread: Any, value: Any) -> None:
            if thread.name.startswith("qqchunk-sha1"):  # held: the lock of all starting threads
                handler.strike()
            super().__setitem__(thread, value)

    patch.setattr(threading, "_limbo", Limbo())


def strike_in_enumerate(handler: Handler, patch: pytest.MonkeyPatch) -> None:
    class Active(dict):  # type: ignore[type-arg]
        def values(self) -> Any:
            handler.strike()
            return super().values()

    patch.setattr(threading, "_active", Active(threading._active))  # type: ignore[attr-defined]


@pytest.mark.parametrize("place", [strike_in_submit, strike_in_start])
def test_upload_in_a_handler_that_would_wait_for_itself_is_one_error_in_words(
    emulator: Emulator, uploader_for: UploaderFor, handler: Handler,
    monkeypatch: pytest.MonkeyPatch, place: Callable[..., None],
) -> None:
    uploader = uploader_for(emulator)
    handler.act = lambda: uploader.upload("c2c", "U", b"note", file_name="note.txt")
    place(handler, monkeypatch)
    result = uploader.upload("c2c", "U", CONTENT, file_name="a.bin")
    assert emulator.received(result.file_info) == CONTENT
    (error,) = handler.outcomes
    assert type(error) is UploadError
    assert "in a signal handler only note what is to be done" in str(error)
    assert error.retryable


def test_upload_in_a_handler_that_interrupts_the_users_own_list_of_threads(
    emulator: Emulator, uploader_for: UploaderFor, handler: Handler,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    uploader = uploader_for(emulator)
    handler.act = lambda: uploader.upload("c2c", "U", b"note", file_name="note.txt")
    with monkeypatch.context() as patch:
        strike_in_enumerate(handler, patch)
        threading.enumerate()
    (error,) = handler.outcomes
    assert type(error) is UploadError


@pytest.mark.parametrize("place", [strike_in_submit, strike_in_start])
def test_close_in_a_handler_works_at_any_moment(
    emulator: Emulator, uploader_for: UploaderFor, handler: Handler,
    monkeypatch: pytest.MonkeyPatch, place: Callable[..., None],
) -> None:
    uploader = uploader_for(emulator)
    handler.act = uploader.close
    place(handler, monkeypatch)
    with pytest.raises(UploadError, match="the uploader was closed"):
        uploader.upload("c2c", "U", CONTENT, file_name="a.bin")
    assert handler.outcomes == [None]


def test_upload_in_a_handler_works_while_another_waits_for_the_network(
    emulator: Emulator, uploader_for: UploaderFor, handler: Handler
) -> None:
    uploader = uploader_for(emulator)
    uploader.upload("c2c", "U", b"warm", file_name="warm.bin")
    handler.act = lambda: uploader.upload("c2c", "U", b"note", file_name="note.txt")

    result = uploader.upload(
        "c2c", "U", CONTENT, file_name="a.bin", progress=lambda _: handler.strike())
    assert emulator.received(result.file_info) == CONTENT
    assert emulator.received(handler.outcomes[0].file_info) == b"note"
