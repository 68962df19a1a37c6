"""What tests on real sockets share: certificates, descriptors, waiting, servers of one trick."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import ssl
import struct
import threading
import time
import warnings
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterator, List, Optional, Set, Tuple

import requests

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # cryptography's, about the age of Python 3.8
    import trustme

from qqchunk import Uploader
from qqchunk.net.stopping import monotonic

if TYPE_CHECKING:
    import pytest

TICK = 0.005  # seconds between two looks


def uploader_for(emulator: Any, **options: Any) -> Uploader:
    """An Uploader for that emulator, in this process or another."""
    return Uploader(**{
        "app_id": emulator.app_id, "client_secret": emulator.client_secret,
        "api_url": emulator.api_url, "token_url": emulator.token_url, **options})


def wait_until(reached: Callable[[], Any], seconds: float = 5.0) -> None:
    """Return once *reached* is true; fail after that many seconds."""
    give_up = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < give_up, "this was never reached"
        time.sleep(TICK)


def deadline_when(reached: Callable[[], Any], patch: pytest.MonkeyPatch) -> float:
    """Return a deadline, in seconds, that passes as soon as *reached* is true."""
    leaps = [3600.0]

    def clock() -> float:
        return monotonic() + (leaps.pop() if leaps and reached() else 0.0)

    patch.setattr("qqchunk.transfer.operation.monotonic", clock)
    return 60.0


@contextlib.contextmanager
def callers_sessions() -> Iterator[Dict[str, requests.Session]]:
    """Options for an Uploader: sessions that go by the environment, to this machine as well."""
    with requests.Session() as api, requests.Session() as storage:
        yield {"session": api, "storage_session": storage}


class Pki:
    """A certificate authority of one's own.

    :ivar ca_file: where its certificate is
    :ivar context: a server's, with a certificate for 127.0.0.1 and localhost
    :ivar server_file: such a certificate with its key, see `server_context`
    """

    def __init__(self, directory: Any) -> None:
        self._authority = trustme.CA()
        self.ca_file = os.path.join(str(directory), "authority.pem")
        self._authority.cert_pem.write_to_path(self.ca_file)
        self.context = self.context_for("127.0.0.1", "localhost")
        self.server_file = os.path.join(str(directory), "server.pem")
        issued = self._authority.issue_cert("127.0.0.1", "localhost")
        issued.private_key_and_cert_chain_pem.write_to_path(self.server_file)

    def context_for(self, *names: str) -> ssl.SSLContext:
        """A server's context with a certificate for these names."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._authority.issue_cert(*names).configure_cert(context)
        return context


def server_context(server_file: str) -> ssl.SSLContext:
    """A server's context, made in another process than the certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server_file)
    return context


def sockets() -> Set[str]:
    """The sockets this process has open, by inode."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            target = os.readlink(f"/proc/self/fd/{name}")
            if target.startswith("socket:"):
                found.add(target)
    return found


def own_threads() -> List[str]:
    """The names of the library's threads."""
    return [t.name for t in threading.enumerate() if t.name.startswith("qqchunk")]


@contextlib.contextmanager
def nothing_left() -> Iterator[None]:
    """Fail if the block leaves a socket or a thread of the library behind."""
    before = sockets()
    yield
    wait_until(lambda: not own_threads() and sockets() <= before, 1.0)


def _connections(port: int) -> Iterator[List[str]]:
    """The kernel's rows about connections to that port of this machine."""
    with open("/proc/net/tcp", encoding="ascii") as table:
        rows = [line.split() for line in list(table)[1:]]
    return (row for row in rows if int(row[2].split(":")[1], 16) == port)


def connecting_to(port: int) -> bool:
    """Say whether a connect to that port is unanswered (state SYN_SENT)."""
    return any(row[3] == "02" for row in _connections(port))


def connected_to(port: int) -> bool:
    """Say whether this process still has a socket that is connected to that port, or was."""
    mine = sockets()
    return any(f"socket:[{row[9]}]" in mine for row in _connections(port))


@contextlib.contextmanager
def full_backlog() -> Iterator[int]:
    """Give a port where connecting gets no answer."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.socket())
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        address = server.getsockname()
        while True:
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(address)
            if not select.select([], [filler], [], 0.1)[1]:
                filler.close()
                break
        yield address[1]


class Peer:
    """One connection as the server sees it.

    :ivar heard: all bytes that came
    :ivar end: how it ended: ``"FIN"``, ``"RST"``, or None while it is open
    """

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.heard = bytearray()
        self.end: Optional[str] = None

    def read(self, size: int = 65536) -> bytes:
        """Read what is there, wait for it if there is nothing; empty at the end."""
        try:
            data = self.sock.recv(size)
        except ConnectionError:
            self.end = "RST"
            return b""
        except OSError:  # the server itself stops
            return b""
        self.heard += data
        if not data:
            self.end = "FIN"
        return data

    def read_all(self) -> None:
        """Read to the end."""
        while self.read():
            pass

    def read_head(self) -> Tuple[str, Dict[str, str]]:
        """Read a request up to its body; give its first line and its headers, lower-case."""
        head = b""
        while b"\r\n\r\n" not in head:
            byte = self.read(1)
            if not byte:
                return "", {}
            head += byte
        first, *lines = head.decode("latin-1").rstrip().split("\r\n")
        pairs = (line.split(": ", 1) for line in lines)
        return first, {name.lower(): value for name, value in pairs}


Handler = Callable[[Peer], None]


class Server:
    """Lets *handle* attend each connection, in a thread of its own. A context manager."""

    def __init__(self, handle: Handler = Peer.read_all) -> None:
        self._handle = handle
        self._listener = socket.socket()
        self._threads: List[threading.Thread] = []
        self._stopping = False
        self.peers: List[Peer] = []

    def __enter__(self) -> Server:
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(64)
        self._start(self._accept)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stopping = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join(5)
        for peer in self.peers:
            with contextlib.suppress(OSError):
                peer.sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        for peer in self.peers:
            peer.sock.close()
        self._listener.close()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def url(self, scheme: str = "http") -> str:
        return f"{scheme}://127.0.0.1:{self.port}"

    def _start(self, target: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=target, args=args, name="test-server", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._stopping:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                break
            peer = Peer(sock)
            self.peers.append(peer)
            self._start(self._attend, peer)

    def _attend(self, peer: Peer) -> None:
        with contextlib.suppress(OSError):
            self._handle(peer)
        if peer.end:
            peer.sock.close()


def reset(sock: socket.socket) -> None:
    """Close with an RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
