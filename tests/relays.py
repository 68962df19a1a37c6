"""Relays between a client and a server: a wiretap, a SOCKS5 proxy and an HTTP CONNECT proxy."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from typing import Callable, List, Optional, Tuple
from urllib.parse import urlsplit

from tests.support import Peer, Server, reset

TLS_RECORDS = range(20, 24)  # change_cipher_spec, alert, handshake, application_data


class Relay(Server):
    """Passes on to one address whatever comes, and keeps what clients sent in ``peers``.

    :param pause: seconds between two reads; a read is 32 KiB at the most
    :param hold_at: a connection that has brought so many bytes goes on after `release()`
    """

    def __init__(self, url: str, pause: float = 0.0, hold_at: Optional[int] = None) -> None:
        super().__init__(self._relay)
        split = urlsplit(url)
        self._target = (split.hostname or "", split.port or 0)
        self._pause = pause
        self._hold_at = hold_at or 0
        self._released = threading.Event()
        if hold_at is None:
            self.release()
        if pause or hold_at:  # and the kernel shall not read ahead
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)

    def __exit__(self, *exc_info: object) -> None:
        self.release()
        super().__exit__(*exc_info)

    @property
    def held(self) -> int:
        """How many connections are held."""
        return sum(map(self._holds, self.peers))

    def release(self) -> None:
        """Hold no connection any more."""
        self._released.set()

    def _holds(self, peer: Peer) -> bool:
        return len(peer.heard) >= self._hold_at and not self._released.is_set()

    def _relay(self, peer: Peer) -> None:
        def wait() -> None:
            time.sleep(self._pause)
            if self._holds(peer):
                self._released.wait()

        pump(peer, self._target, wait=wait)


class SocksProxy(Server):
    """SOCKS5 without authentication; *silent*: accepts, reads and never answers."""

    def __init__(self, silent: bool = False) -> None:
        super().__init__(Peer.read_all if silent else self._serve)
        self.targets: List[Tuple[str, int]] = []

    def _serve(self, peer: Peer) -> None:
        methods = _exactly(peer, 2)[1]
        _exactly(peer, methods)
        peer.sock.sendall(b"\x05\x00")
        kind = _exactly(peer, 4)[3]
        if kind == 1:
            host = socket.inet_ntoa(_exactly(peer, 4))
        else:
            host = _exactly(peer, _exactly(peer, 1)[0]).decode("ascii")
        target = (host, int.from_bytes(_exactly(peer, 2), "big"))
        self.targets.append(target)
        peer.sock.sendall(b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x00")
        peer.heard.clear()
        pump(peer, target)


class HttpProxy(Server):
    """Answers CONNECT, and forwards plain requests; *silent*: reads and never answers."""

    def __init__(self, silent: bool = False) -> None:
        super().__init__(Peer.read_all if silent else self._serve)
        self.heads: List[str] = []

    def _serve(self, peer: Peer) -> None:
        first, _ = peer.read_head()
        if not first:
            return
        method, target, version = first.split(" ")
        self.heads.append(bytes(peer.heard).decode("latin-1"))
        if method == "CONNECT":
            host, port = target.rsplit(":", 1)
            peer.sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            peer.heard.clear()
            pump(peer, (host, int(port)))
        else:
            split = urlsplit(target)
            base = f" {split.scheme}://{split.netloc}/".encode("ascii")
            first_head = bytes(peer.heard).replace(base, b" /")
            pump(peer, (split.hostname or "", split.port or 80), first_head, base)


def pump(
    peer: Peer, target: Tuple[str, int], first: bytes = b"", base: bytes = b"",
    wait: Callable[[], object] = lambda: None,
) -> None:
    """Connect to *target*, send *first* there, then pass bytes on both ways to the end.

    :param base: what the paths of requests begin with, taken off
    :param wait: called after each read from the client
    """
    with socket.create_connection(target) as server:
        for sock in (peer.sock, server):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        server.sendall(first)
        while True:
            _acknowledge(peer)
            for ready in select.select([peer.sock, server], [], [])[0]:
                if ready is server:
                    try:
                        data = server.recv(65536)
                    except OSError:
                        data = b""
                    try:
                        peer.sock.sendall(data)
                    except ConnectionResetError:  # no read would tell of it any more
                        peer.end = "RST"
                        reset(server)
                        return
                    except OSError:
                        pass
                    if not data:
                        with contextlib.suppress(OSError):
                            peer.sock.shutdown(socket.SHUT_RDWR)
                        return
                else:
                    data = peer.read(32768)
                    wait()
                    if not data:
                        if peer.end == "RST":
                            reset(server)
                        return
                    with contextlib.suppress(OSError):
                        server.sendall(data.replace(base, b" /") if base else data)


def _acknowledge(peer: Peer) -> None:
    """Acknowledge at once: towards proxies urllib3 holds a body back until its headers are."""
    if hasattr(socket, "TCP_QUICKACK"):
        with contextlib.suppress(OSError):
            peer.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


def clear_text(heard: bytes) -> bytes:
    """Give what follows the last whole or cut-off TLS record; empty if all is TLS."""
    position = 0
    while position < len(heard):
        header = heard[position:position + 5]
        if header[0] not in TLS_RECORDS or len(header) > 1 and header[1] != 3:
            return bytes(heard[position:])
        if len(header) < 5:
            break
        position += 5 + int.from_bytes(header[3:], "big")
    return b""


def _exactly(peer: Peer, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = peer.read(size - len(data))
        if not more:
            raise ConnectionAbortedError
        data += more
    return data
