"""The sockets one upload is using, known while they connect, shake hands, send and read.

Threads blocked in a socket cannot be interrupted in Python; a socket can be shut down under them.
So the connection classes of the sessions in use are replaced by subclasses that show each socket to
the upload whose thread uses it, before it is connected and until it is pooled again.
"""

from __future__ import annotations

import functools
import os
import socket
import struct
import threading
import time
from contextlib import contextmanager, suppress
from typing import Any, Dict, Iterator, List, Optional, Type

import urllib3
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError
from urllib3.util.connection import allowed_gai_family

from .retry import Abort, Aborted

# SO_LINGER of 0 seconds: closing drops what is still unsent. Windows has two shorts there.
_AT_ONCE = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
_local = threading.local()


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
        """Let the calling thread's exchange take that long from now on, None for ever.

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


def _current() -> Optional[Lifeline]:
    return getattr(_local, "lifeline", None)


def tap(manager: urllib3.PoolManager) -> None:
    """Make the connections of *manager* show their sockets; those it holds idle are closed."""
    classes = manager.pool_classes_by_scheme
    tapped = {scheme: _tapped_pool(cls) for scheme, cls in classes.items()}
    if tapped != classes:
        manager.pool_classes_by_scheme = tapped
        manager.clear()


def close_pools(manager: urllib3.PoolManager) -> None:
    """Close the idle connections of *manager*.

    Its ``clear()`` forgets the pools only, since urllib3 2; the tracebacks of earlier failures,
    which refer to themselves, keep them and their sockets alive.
    """
    for key in manager.pools.keys():
        pool = manager.pools.get(key)
        if pool is not None:
            pool.close()
    manager.clear()


@functools.lru_cache(maxsize=None)
def _tapped_pool(base: Type[HTTPConnectionPool]) -> Type[HTTPConnectionPool]:
    if hasattr(base, "shows_sockets"):
        return base

    class TappedPool(base):  # type: ignore[misc, valid-type]  # the base is the session's choice
        shows_sockets = True
        ConnectionCls = _tapped_connection(base.ConnectionCls)

        def _get_conn(self, timeout: Any = None) -> Any:
            connection = super()._get_conn(timeout)
            lifeline, sock = _current(), getattr(connection, "sock", None)
            if lifeline and sock:
                try:
                    lifeline.hold(sock)
                except Aborted:
                    connection.close()
                    super()._put_conn(connection)
                    raise
            return connection

        def _put_conn(self, connection: Any) -> None:
            lifeline = _current()
            if lifeline and not lifeline.release() and connection:
                connection.close()
            super()._put_conn(connection)

    return TappedPool


def _tapped_connection(base: Any) -> Any:
    if not hasattr(base, "_socks_options") and base._new_conn is not HTTPConnection._new_conn:
        connect = base._new_conn  # somebody's own way to connect: the socket is known afterwards

        def new_conn(self: Any) -> socket.socket:
            sock: socket.socket = connect(self)
            _hold(sock)
            return sock
    else:
        new_conn = _new_conn

    return type("TappedConnection", (base,), {"_new_conn": new_conn})


def _hold(sock: socket.socket) -> None:
    lifeline = _current()
    if lifeline:
        lifeline.hold(sock)


def _new_conn(self: Any) -> socket.socket:
    """Connect as urllib3 does, but show the socket before it is connected."""
    try:
        if hasattr(self, "_socks_options"):
            return _connect_through_socks(self)
        return _connect(self)
    except socket.timeout:
        text = f"connecting to {self.host} timed out (connect timeout={self.timeout})"
        failure: Exception = ConnectTimeoutError(self, text)
    except OSError as error:
        failure = NewConnectionError(self, f"connecting to {self.host} failed: {error}")
        failure.__cause__ = error
    raise failure


def _connect(connection: Any) -> socket.socket:
    failure: OSError = OSError(f"{connection.host} has no address")
    host = connection._dns_host.strip("[]")
    addresses = socket.getaddrinfo(
        host, connection.port, allowed_gai_family(), socket.SOCK_STREAM)
    for family, kind, protocol, _, address in addresses:
        sock = socket.socket(family, kind, protocol)
        try:
            return _prepared(connection, sock, address)
        except OSError as error:
            failure = error
    raise failure


def _connect_through_socks(connection: Any) -> socket.socket:
    import socks  # PySocks, which requests' own SOCKS support needs as well

    options = connection._socks_options
    sock = socks.socksocket()
    sock.set_proxy(
        options["socks_version"], options["proxy_host"], options["proxy_port"],
        options["rdns"], options["username"], options["password"])
    return _prepared(connection, sock, (connection.host, connection.port))


def _prepared(connection: Any, sock: socket.socket, address: Any) -> socket.socket:
    try:
        for option in connection.socket_options or ():
            sock.setsockopt(*option)
        if connection.timeout is None or isinstance(connection.timeout, (int, float)):
            sock.settimeout(connection.timeout)
        if connection.source_address:
            sock.bind(connection.source_address)
        _hold(sock)
        sock.connect(address)
    except BaseException:
        sock.close()
        raise
    return sock
