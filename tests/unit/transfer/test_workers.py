"""The worker threads of one upload, and how they end."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import time
from typing import Iterator

import pytest

from qqchunk.transfer.workers import Workers

SLOW = 0.05  # seconds that a thread takes to end, once it has ended for Python


@pytest.fixture
def slow_key() -> Iterator[ctypes.c_uint]:
    """A key of the system's; a thread that has a value for it takes long to end."""
    system = ctypes.CDLL(None)
    destructor = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda value: time.sleep(SLOW))
    key = ctypes.c_uint()
    assert system.pthread_key_create(ctypes.byref(key), destructor) == 0
    yield key
    system.pthread_key_delete(key)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
def test_no_thread_is_there_for_the_system_once_the_stop_returns(slow_key: ctypes.c_uint) -> None:
    # OpenSSL ends a thread in the same way, under a lock that a fork would take along.
    def work() -> int:
        assert ctypes.CDLL(None).pthread_setspecific(slow_key, ctypes.c_void_p(1)) == 0
        return threading.get_native_id()

    workers = Workers(1)
    done = workers.submit(0, work)
    assert workers.next_done(5.0) is done
    ident = done.result()
    assert os.path.exists(f"/proc/self/task/{ident}")
    workers.stop()
    assert not os.path.exists(f"/proc/self/task/{ident}")
