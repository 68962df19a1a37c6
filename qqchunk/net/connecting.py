"""How a connection of urllib3's is made: as urllib3 does it, but stoppable while it connects."""

from __future__ import annotations

import socket
import sys
import threading
from contextlib import contextmanager
from types import FunctionType, MethodType
from typing import Any, Callable, Dict, Iterator, Optional

from urllib3.exceptions import ConnectTimeoutError, NewConnectionError
from urllib3.util import connection as urllib3_connecting

from .stopping import current

_local = threading.local()


@contextmanager
def on_connect(do: Callable[[], object]) -> Iterator[None]:
    """Call *do* once if the calling thread begins to connect inside the block, as urllib3 does."""
    _local.do = do
    try:
        yield
    finally:
        _local.do = None


def register(sock: Any) -> None:
    """Register *sock*, unless it is None, with the upload that the calling thread works for."""
    stop = current()
    plain = plain_socket(sock)
    if stop and plain:
        stop.register(plain)


def plain_socket(sock: Any) -> Any:
    """Return the socket of the system's behind *sock*; None if it is a recorder's or a mock's."""
    # Of pyOpenSSL, and of TLS inside TLS; not by getattr(): a mock's may refuse to be asked.
    plain = getattr(sock, "__dict__", {}).get("socket", sock)
    try:
        return plain if hasattr(plain, "family") else None
    except Exception:  # httpretty's
        return None


def connects_as_urllib3(method: Any) -> bool:
    """Say whether a connection's *method* connects in urllib3's own way, patched nowhere."""
    function = method.__func__ if type(method) is MethodType else None
    return any(
        function and _is_of(function, sys.modules.get(module))
        and used in function.__code__.co_names  # urllib3-future has another in its place
        and _is_of(getattr(sys.modules.get(home), "create_connection", None), sys.modules.get(home))
        for module, used, home in (
            ("urllib3.connection", "connection", "urllib3.util.connection"),
            ("urllib3.contrib.socks", "socks", "socks")))


def _is_of(function: Any, module: Any) -> bool:
    # A wrapper may have taken over all but the type and the globals.
    return type(function) is FunctionType and function.__globals__ is getattr(
        module, "__dict__", None)


def connect(connection: Any) -> socket.socket:
    """Connect as urllib3 does, but register the socket before it is connected."""
    do, _local.do = getattr(_local, "do", None), None
    if do is not None:
        do()
    try:
        sock = _connect(connection)
        sys.audit("http.client.connect", connection, connection.host, connection.port)
        return sock
    except socket.timeout:
        text = f"connecting to {connection.host} timed out (connect timeout={connection.timeout})"
        failure: Exception = ConnectTimeoutError(connection, text)
    except OSError as error:
        failure = NewConnectionError(connection, f"connecting to {connection.host} failed: {error}")
        failure.__cause__ = error
    raise failure


def _connect(connection: Any) -> socket.socket:
    target = connection._dns_host.strip("[]"), connection.port
    new_socket: Any = socket.socket
    options: Optional[Dict[str, Any]] = getattr(connection, "_socks_options", None)
    if options:
        import socks  # PySocks, which requests' own SOCKS support needs as well

        new_socket = socks.socksocket
        host, port = options["proxy_host"].strip("[]"), options["proxy_port"]
    else:
        host, port = target
    failure: OSError = OSError(f"{host} has no address")
    family = socket.AF_UNSPEC if options else urllib3_connecting.allowed_gai_family()
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


def _prepared(connection: Any, sock: Any, address: Any) -> socket.socket:
    try:
        # To a proxy urllib3 has none, which means to wait with a body until its headers are
        # acknowledged: for up to 40 ms a call.
        for option in connection.socket_options or connection.default_socket_options:
            sock.setsockopt(*option)
        if connection.timeout is None or isinstance(connection.timeout, (int, float)):
            sock.settimeout(connection.timeout)
        if connection.source_address:
            sock.bind(connection.source_address)
        register(sock)
        sock.connect(address)
        stop = current()
        if stop:
            stop.check()  # a stop between the two found nothing to shut
    except BaseException:
        sock.close()
        raise
    result: socket.socket = sock
    return result
