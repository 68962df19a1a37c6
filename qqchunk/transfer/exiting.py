"""The end of the program: calls of threads that Python waits for go on, others are stopped."""

from __future__ import annotations

import atexit
import sys
import threading
import time
from concurrent.futures import thread as pools
from typing import Protocol, Set

from ..net.stopping import monotonic
from .workers import JOIN_TIMEOUT, program_ends

_TURN = 0.02  # seconds between two looks
_BETWEEN_UPLOADS = 0.2  # seconds in which a thread begins its next one


class Call(Protocol):
    """A call of a user's, the thread that waits for it, and what it belongs to."""

    thread: threading.Thread
    owner: object

    def close(self, reason: str) -> None: ...

    def begin_stop(self) -> None: ...


#: The calls of all uploaders.
running: Set[Call] = set()


def _end_calls() -> None:
    """Wait for the calls of threads that Python waits for, then stop all others."""
    until = 0.0
    try:
        while True:
            if any(_is_waited_for(call.thread) for call in list(running)):
                until = monotonic() + _BETWEEN_UPLOADS
            if monotonic() >= until:
                break
            time.sleep(_TURN)
    finally:
        program_ends.set()
        give_up = monotonic() + JOIN_TIMEOUT
        while running and monotonic() < give_up:
            for call in list(running):
                call.close("the program is ending")
                call.begin_stop()
            time.sleep(_TURN)


def _is_waited_for(thread: threading.Thread) -> bool:
    if sys.version_info < (3, 9):  # where atexit comes after the other threads
        return thread in pools._threads_queues
    return not thread.daemon


try:
    # Python 3.9 and later end their thread pools before they come to what atexit has.
    getattr(threading, "_register_atexit", atexit.register)(_end_calls)
except RuntimeError:  # imported only now that the program ends
    program_ends.set()
