"""The stop signal of one upload: checks and waits that end at once."""

from __future__ import annotations

import socket
import threading
import time
from typing import List

import pytest

from qqchunk.errors import UploadError
from qqchunk.net.stopping import Aborted, StopSignal


def test_abort_that_was_not_set_stops_nothing() -> None:
    stop = StopSignal()
    stop.check()
    stop.wait(0.0)
    assert not stop.is_set()


def test_abort_that_was_set_stops_everything() -> None:
    stop = StopSignal()
    stop.set()
    stop.set()
    assert stop.is_set()
    with pytest.raises(Aborted):
        stop.check()
    with pytest.raises(Aborted):
        stop.wait(60.0)


def test_socket_that_comes_after_the_stop_is_not_used() -> None:
    stop = StopSignal()
    stop.set()
    with pytest.raises(Aborted):
        stop.register(socket.socket.__new__(socket.socket))


def test_wait_takes_as_long_as_it_was_told() -> None:
    began = time.monotonic()
    StopSignal().wait(0.05)
    assert 0.045 <= time.monotonic() - began < 2.0


def test_abort_ends_a_wait_at_once() -> None:
    stop = StopSignal()
    ended: List[bool] = []

    def wait() -> None:
        try:
            stop.wait(50.0)
        except Aborted:
            ended.append(True)

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.02)
    stop.set()
    thread.join(2.0)
    assert ended == [True]
    assert not thread.is_alive()


def test_stop_signal_is_no_upload_error() -> None:
    assert not issubclass(Aborted, UploadError)


def test_second_stop_wants_no_lock_that_an_interrupt_of_the_first_left_taken() -> None:
    stop = StopSignal()
    stop.set()
    with stop._event._cond:  # type: ignore[attr-defined]
        stop.set()
        assert stop.is_set()
