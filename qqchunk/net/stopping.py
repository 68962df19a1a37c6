"""The stop signal of an upload, and the register of the sockets its threads are blocked in.

A thread blocked in a socket cannot be interrupted in Python; a socket can be shut down under it.
:mod:`qqchunk.net.taps` registers each socket before it is used: while it connects, shakes hands,
sends and reads.
"""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from contextlib import contextmanager, suppress
from functools import partial
from typing import Callable, Dict, Iterator, List, Optional

# SO_LINGER of 0 seconds: closing drops what is still unsent. Windows has two shorts there.
_AT_ONCE = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
_local = threading.local()

#: Seconds that go on also while a test has frozen ``time`` (freezegun).
monotonic: Callable[[], float] = (
    partial(time.clock_gettime, time.CLOCK_MONOTONIC) if hasattr(time, "clock_gettime")
    else time.monotonic)


class Aborted(Exception):
    """The upload this thread works for has been stopped. Never leaves the package."""


class StopSignal:
    """An event that also shuts the sockets which the upload's threads are using.

    Registered are duplicates of the descriptors: a duplicate stays valid, and keeps meaning the
    same connection, while another thread closes the original or wraps it in TLS.
    """

    def __init__(self) -> None:
        self._stopped = self._announced = False
        self._event = threading.Event()
        self._sockets_lock = threading.Lock()
        self._sockets: Dict[int, List[socket.socket]] = {}
        self._ends: Dict[int, float] = {}

    def set(self) -> None:
        """Stop everything that works for this upload and shut its sockets.

        May be called again: a socket that was about to connect the first time is shut then.
        """
        if not self._stopped:
            # Never twice: Ctrl-C in the first could have left its lock taken by this very thread.
            self._stopped = True
            self._event.set()
        with self._sockets_lock:
            for sockets in self._sockets.values():
                for sock in sockets:
                    _shut(sock)

    def announce(self) -> None:
        """Let nothing begin any more. Takes no lock: a signal handler may have interrupted us."""
        self._announced = True

    def is_set(self) -> bool:
        """Say whether the upload has been stopped."""
        return self._stopped

    def check(self) -> None:
        """Raise :class:`Aborted` if the upload has been stopped, or is going to be."""
        if self._stopped or self._announced:
            raise Aborted

    def wait(self, delay: float) -> None:
        """Wait *delay* seconds; raise :class:`Aborted` as soon as the upload is stopped."""
        if self._event.wait(delay):
            raise Aborted

    @contextmanager
    def exchange(self, limit: Optional[float] = None) -> Iterator[None]:
        """Register every socket that the calling thread uses inside the block.

        :param limit: seconds the block may take, see :meth:`limit`
        :raises Aborted: if the upload has been stopped already
        """
        self.check()
        _local.stop_signal = self
        self.limit(limit)
        try:
            yield
        finally:
            _local.stop_signal = None
            with self._sockets_lock:
                self._forget()
                self._ends.pop(threading.get_ident(), None)

    def limit(self, seconds: Optional[float]) -> None:
        """Let the calling thread's exchange take that long from now on; None changes nothing.

        Time-outs of sockets start anew with each byte: without this, an answer that drips in
        would hold its thread for days.
        """
        if seconds is not None:
            with self._sockets_lock:
                self._ends[threading.get_ident()] = monotonic() + seconds

    def shut_expired(self) -> None:
        """Shut the sockets of exchanges that are past their limit."""
        now = monotonic()
        with self._sockets_lock:
            for ident, end in self._ends.items():
                if now > end:
                    for sock in self._sockets.get(ident, ()):
                        _shut(sock)

    def register(self, sock: socket.socket) -> None:
        """Note a socket that the calling thread is going to use.

        :raises Aborted: if the upload has been stopped already
        """
        with self._sockets_lock:
            self.check()
            duplicate = socket.fromfd(sock.fileno(), socket.AF_INET, socket.SOCK_STREAM)
            self._sockets.setdefault(threading.get_ident(), []).append(duplicate)

    def release(self) -> bool:
        """Forget the calling thread's sockets; return False if they have been shut."""
        with self._sockets_lock:
            self._forget()
            return not self.is_set()

    def _forget(self) -> None:
        for sock in self._sockets.pop(threading.get_ident(), ()):
            sock.close()


def _shut(sock: socket.socket) -> None:
    with suppress(OSError):  # not connected yet, or no longer
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        # Not SSLSocket.shutdown(): that would let the sending thread go on in clear text.
        sock.shutdown(socket.SHUT_RDWR)


def current() -> Optional[StopSignal]:
    """Return the stop signal of the upload that the calling thread works for now, if any."""
    return getattr(_local, "stop_signal", None)
