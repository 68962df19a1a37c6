"""The sockets one upload is using, known while they connect, shake hands, send and read.

Threads blocked in a socket cannot be interrupted in Python; a socket can be shut down under them.
:mod:`qqchunk.taps` shows each socket to the upload whose thread uses it.
"""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from contextlib import contextmanager, suppress
from typing import Dict, Iterator, List, Optional

# SO_LINGER of 0 seconds: closing drops what is still unsent. Windows has two shorts there.
_AT_ONCE = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
_local = threading.local()


class Aborted(Exception):
    """The upload this thread works for has been stopped. Never leaves the package."""


class Abort:
    """One upload's stop signal."""

    def __init__(self) -> None:
        self._stopped = False
        self._event = threading.Event()

    def set(self) -> None:
        """Stop everything that works for this upload."""
        if not self._stopped:
            # Never twice: Ctrl-C in the first could have left its lock taken by this very thread.
            self._stopped = True
            self._event.set()

    def is_set(self) -> bool:
        """Say whether the upload has been stopped."""
        return self._stopped

    def check(self) -> None:
        """Raise :class:`Aborted` if the upload has been stopped."""
        if self._stopped:
            raise Aborted

    def wait(self, delay: float) -> None:
        """Wait *delay* seconds; raise :class:`Aborted` as soon as the upload is stopped."""
        if self._event.wait(delay):
            raise Aborted


class Lifeline(Abort):
    """The stop signal of one upload, which also ends whatever its threads are blocked in.

    Kept are duplicates of the descriptors: a duplicate stays valid, and keeps meaning the same
    connection, while another thread closes the original or wraps it in TLS.
    """

    def __init__(self) -> None:
        super().__init__()
        self._sockets_lock = threading.Lock()
        self._sockets: Dict[int, List[socket.socket]] = {}
        self._limits: Dict[int, float] = {}

    def cut(self) -> None:
        """Stop everything that works for this upload and shut its sockets.

        May be called again: a socket that was about to connect the first time is caught then.
        """
        self.set()
        with self._sockets_lock:
            for sockets in self._sockets.values():
                for sock in sockets:
                    _shut(sock)

    @contextmanager
    def watch(self, limit: Optional[float] = None) -> Iterator[None]:
        """Show this upload every socket that the calling thread uses inside the block.

        :param limit: seconds the block may take, see :meth:`limit`
        """
        self.check()
        _local.lifeline = self
        self.limit(limit)
        try:
            yield
        finally:
            _local.lifeline = None
            with self._sockets_lock:
                self._forget()
                self._limits.pop(threading.get_ident(), None)

    def limit(self, seconds: Optional[float]) -> None:
        """Let the calling thread's exchange take that long from now on; None changes nothing.

        Time-outs of sockets start anew with each byte: without this, an answer that drips in
        would hold its thread for days.
        """
        if seconds is not None:
            with self._sockets_lock:
                self._limits[threading.get_ident()] = time.monotonic() + seconds

    def reap(self) -> None:
        """Shut the sockets of exchanges that are past their limit."""
        now = time.monotonic()
        with self._sockets_lock:
            for ident, end in self._limits.items():
                if now > end:
                    for sock in self._sockets.get(ident, ()):
                        _shut(sock)

    def hold(self, sock: socket.socket) -> None:
        """Take note of a socket that the calling thread is going to use.

        :raises Aborted: if the upload has been stopped already
        """
        with self._sockets_lock:
            self.check()
            held = socket.fromfd(sock.fileno(), socket.AF_INET, socket.SOCK_STREAM)
            self._sockets.setdefault(threading.get_ident(), []).append(held)

    def release(self) -> bool:
        """Let go of the calling thread's sockets; return False if they have been shut."""
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


def current() -> Optional[Lifeline]:
    """Return the upload that the calling thread works for right now, if any."""
    return getattr(_local, "lifeline", None)
