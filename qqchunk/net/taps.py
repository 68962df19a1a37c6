"""Taps on urllib3's connections, which show each socket to the upload whose thread uses it.

A tap is put on in place: a pool manager, a pool or a connection becomes an instance of a subclass
of what it was. The subclass calls what it taps, whatever others have made of that meanwhile, and
does nothing of its own but in an exchange of ours.
"""

from __future__ import annotations

import functools
import queue
import socket
import ssl
from contextlib import suppress
from typing import Any, Callable, Dict, Iterator

import requests
import urllib3

from .connecting import connect, connects_as_urllib3, plain_socket, register
from .stopping import current, monotonic

#: Seconds after which an idle connection is not used again. A NAT on the way forgets idle ones, and
#: then drops what comes without a word; the shortest limit seen is a minute.
MAX_IDLE = 55.0

_NO_RETRIES = urllib3.Retry(0, read=False)  # as in an adapter for which nobody asked for any


def tap(session: requests.Session) -> None:
    """Make the connections of *session* show their sockets to exchanges of ours."""
    adapter: Any
    for adapter in session.adapters.values():
        _put_on(getattr(adapter, "poolmanager", None), "connection_from_pool_key", _tapped_manager)
        managers = getattr(adapter, "proxy_manager", None)
        if type(managers) is dict:
            adapter.proxy_manager = _ProxyManagers(managers)


def close_pools(manager: Any) -> None:
    """Close the idle connections of *manager*, and its pools.

    Its ``clear()`` forgets the pools only, since urllib3 2; the tracebacks of earlier failures,
    which refer to themselves, keep them and their sockets alive.
    """
    for pool in _pools(manager):
        # Not by its close() alone: that takes a lock for each of its places, and Ctrl-C in
        # one of these moments leaves it taken, for the end of the process to wait for.
        places = getattr(pool.pool, "queue", [])  # a list, or with urllib3 1.26 a deque
        with suppress(IndexError):
            while True:
                connection = places.pop()
                if connection:
                    connection.close()
        pool.close()
    manager.clear()


def close_idle(manager: Any) -> None:
    """Close the idle connections of *manager*, whose pools go on being used."""
    for pool in _pools(manager):
        places = 0
        with suppress(queue.Empty, AttributeError):  # all seen, or the pool was closed
            while True:
                connection = pool.pool.get(block=False)
                places += 1
                if connection:
                    connection.close()
        with suppress(queue.Full, AttributeError):
            for _ in range(places):
                pool.pool.put(None, block=False)


def _pools(manager: Any) -> Iterator[Any]:
    pools: Any = manager.pools
    for key in pools.keys() if hasattr(pools, "keys") else ():  # else urllib3-future's
        pool = pools.get(key)
        if pool is not None:
            yield pool


class _ProxyManagers(Dict[str, Any]):
    """An adapter's pool managers by proxy, which are tapped as they are made."""

    def __init__(self, managers: Dict[str, Any]) -> None:
        super().__init__()
        for proxy, manager in managers.items():
            self[proxy] = manager

    def __setitem__(self, proxy: str, manager: Any) -> None:
        _put_on(manager, "connection_from_pool_key", _tapped_manager)
        super().__setitem__(proxy, manager)


def _put_on(thing: Any, method: str, tapped: Callable[[Any], Any]) -> None:
    """Tap *thing*, unless it is of another kind than urllib3's: without that *method*."""
    base = type(thing)
    if hasattr(base, method) and not hasattr(base, "shows_sockets"):
        with suppress(TypeError):  # somebody's with slots of its own
            # Not by assignment: a recorder's connection hands that on to the one it records.
            object.__setattr__(thing, "__class__", tapped(base))


@functools.lru_cache(maxsize=100)
def _tapped_manager(base: Any) -> Any:
    class TappedManager(base):  # type: ignore[misc]  # the base is the session's choice
        shows_sockets = True

        def connection_from_pool_key(self, *args: Any, **kwargs: Any) -> Any:
            pool = super().connection_from_pool_key(*args, **kwargs)
            if current():
                _put_on(pool, "_get_conn", _tapped_pool)
            return pool

    return TappedManager


@functools.lru_cache(maxsize=100)
def _tapped_pool(base: Any) -> Any:
    class TappedPool(base):  # type: ignore[misc]  # the base is the session's choice
        shows_sockets = True

        def urlopen(self, *args: Any, **kwargs: Any) -> Any:
            if current():  # what is tried again, and when, is decided elsewhere
                if len(args) > 4:
                    args = (*args[:4], _NO_RETRIES, *args[5:])
                else:
                    kwargs["retries"] = _NO_RETRIES
            return super().urlopen(*args, **kwargs)

        def _get_conn(self, *args: Any, **kwargs: Any) -> Any:
            connection = super()._get_conn(*args, **kwargs)
            stop = current()
            if stop:
                if _is_stale(connection):
                    connection.close()
                    if getattr(connection, "auto_open", 1) == 0:  # urllib3 1.26: through a tunnel
                        connection = self._new_conn()
                _put_on(connection, "_new_conn", _tapped_connection)
                try:
                    register(getattr(connection, "sock", None))
                except BaseException:
                    connection.close()  # urllib3 itself fills its place in the pool
                    raise
            return connection

        def connect_ahead(self, timeout: Any) -> None:
            """Open a connection that the next request will use, if none is idle here."""
            connection = self._get_conn()
            idle_since = getattr(connection, "idle_since", None)
            try:
                # urllib3 1.26 would take the tickets of TLS 1.3 for the end of the connection.
                if not getattr(connection, "is_connected", True):
                    connection.timeout = timeout
                    connection.connect()
                    connection.has_unread_tickets = True
                    idle_since = None
            except BaseException:
                connection.close()
                raise
            finally:
                self._put_conn(connection)
                if idle_since is not None:  # it was not used: its time goes on
                    connection.idle_since = idle_since

        def _put_conn(self, connection: Any, *args: Any, **kwargs: Any) -> None:
            stop = current()
            if stop and not stop.release() and connection:
                connection.close()
            if connection:
                connection.idle_since = monotonic()
            super()._put_conn(connection, *args, **kwargs)

    return TappedPool


@functools.lru_cache(maxsize=100)
def _tapped_connection(base: Any) -> Any:
    class TappedConnection(base):  # type: ignore[misc]  # the base is the pool's choice
        shows_sockets = True

        @property
        def is_connected(self) -> bool:
            if self.__dict__.pop("has_unread_tickets", False) and not _is_silent(self.sock):
                return False
            return bool(super().is_connected)

        def connect(self, *args: Any, **kwargs: Any) -> Any:
            try:
                return super().connect(*args, **kwargs)
            except Exception as error:  # a handshake's breaks look like those of a request
                error.unsent = True  # type: ignore[attr-defined]  # a mark for diagnose()
                raise

        def _new_conn(self) -> Any:
            if current() and connects_as_urllib3(super()._new_conn):
                return connect(self)
            sock = super()._new_conn()
            try:
                register(sock)  # somebody's own way to connect: it is known afterwards
            except BaseException:
                sock.close()
                raise
            return sock

    return TappedConnection


def _is_silent(sock: Any) -> bool:
    """Say whether nothing came but what TLS 1.3 sends after a handshake, and read that.

    urllib3 takes bytes that wait for a hang-up; a server's word before any request is one.
    """
    plain = plain_socket(sock)
    if not plain:
        return True
    with suppress(OSError):  # it is closed, or TLS says why it will be
        timeout = plain.gettimeout()  # pyOpenSSL's own cannot say
        plain.settimeout(0.0)
        try:
            sock.recv(1)
        except (BlockingIOError, ssl.SSLWantReadError, socket.timeout):  # the last is pyOpenSSL's
            return True
        finally:
            plain.settimeout(timeout)
    return False


def _is_stale(connection: Any) -> bool:
    idle_since = getattr(connection, "idle_since", -MAX_IDLE)
    return bool(getattr(connection, "sock", None)) and monotonic() - idle_since > MAX_IDLE
