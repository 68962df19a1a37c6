"""Taps on urllib3's connection pools, which register each socket with the upload that uses it.

The pools and connections of a session in use are replaced by subclasses of their own classes: these
register a socket before it is connected, or as it is taken from the pool, until it is pooled again.
"""

from __future__ import annotations

import functools
import os
import socket
import threading
from contextlib import suppress
from typing import Any, Type

import urllib3
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError
from urllib3.util.connection import allowed_gai_family

from .stopping import current

#: Held while pools are tapped, and for a fork: the child must not inherit it held by nobody.
tapping = threading.RLock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=tapping.acquire, after_in_parent=tapping.release, after_in_child=tapping.release)


def tap(manager: urllib3.PoolManager) -> None:
    """Make the connections of *manager* show their sockets; those it holds idle are closed.

    The caller holds :data:`tapping`: a second thread would close pools the first has begun to use.
    """
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


@functools.lru_cache(maxsize=None)
def _tapped_pool(base: Type[HTTPConnectionPool]) -> Type[HTTPConnectionPool]:
    if hasattr(base, "shows_sockets"):
        return base

    class TappedPool(base):  # type: ignore[misc, valid-type]  # the base is the session's choice
        shows_sockets = True
        ConnectionCls = _tapped_connection(base.ConnectionCls)

        def _get_conn(self, timeout: Any = None) -> Any:
            connection = super()._get_conn(timeout)
            stop, sock = current(), getattr(connection, "sock", None)
            if stop and sock:
                try:
                    stop.register(sock)
                except BaseException:
                    connection.close()  # urllib3 itself fills its place in the pool
                    raise
            return connection

        def _put_conn(self, connection: Any) -> None:
            stop = current()
            if stop and not stop.release() and connection:
                connection.close()
            super()._put_conn(connection)

    return TappedPool


def _tapped_connection(base: Any) -> Any:
    connect = base._new_conn
    if connect is HTTPConnection._new_conn or connect.__module__ == "urllib3.contrib.socks":
        new_conn = _new_conn
    else:  # somebody's own way to connect: the socket is known afterwards
        def new_conn(self: Any) -> socket.socket:
            sock: socket.socket = connect(self)
            try:
                _register(sock)
            except BaseException:
                sock.close()
                raise
            return sock

    return type("TappedConnection", (base,), {"_new_conn": new_conn})


def _register(sock: socket.socket) -> None:
    stop = current()
    if stop:
        stop.register(sock)


def _new_conn(self: Any) -> socket.socket:
    """Connect as urllib3 does, but show the socket before it is connected."""
    try:
        return _connect(self)
    except socket.timeout:
        text = f"connecting to {self.host} timed out (connect timeout={self.timeout})"
        failure: Exception = ConnectTimeoutError(self, text)
    except OSError as error:
        failure = NewConnectionError(self, f"connecting to {self.host} failed: {error}")
        failure.__cause__ = error
    raise failure


def _connect(connection: Any) -> socket.socket:
    target = connection._dns_host.strip("[]"), connection.port
    new_socket: Any = socket.socket
    options = getattr(connection, "_socks_options", None)
    if options:
        import socks  # PySocks, which requests' own SOCKS support needs as well

        new_socket = socks.socksocket
        host, port = options["proxy_host"].strip("[]"), options["proxy_port"]
    else:
        host, port = target
    failure: OSError = OSError(f"{host} has no address")
    family = socket.AF_UNSPEC if options else allowed_gai_family()
    for found in socket.getaddrinfo(host, port, family, socket.SOCK_STREAM):
        sock = new_socket(*found[:3])
        if options:
            sock.set_proxy(
                options["socks_version"], host, port,
                options["rdns"], options["username"], options["password"])
        try:
            return _prepared(connection, sock, target if options else found[4])
        except OSError as error:
            failure = error
    raise failure


def _prepared(connection: Any, sock: socket.socket, address: Any) -> socket.socket:
    try:
        for option in connection.socket_options or ():
            sock.setsockopt(*option)
        if connection.timeout is None or isinstance(connection.timeout, (int, float)):
            sock.settimeout(connection.timeout)
        if connection.source_address:
            sock.bind(connection.source_address)
        _register(sock)
        sock.connect(address)
        stop = current()
        if stop:
            stop.check()  # a stop between the two found nothing to shut
    except BaseException:
        sock.close()
        raise
    return sock
