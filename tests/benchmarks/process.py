"""What the API and the storage processes of the benchmark's server have in common."""

from __future__ import annotations

import socket
import ssl
import threading
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Dict, List, Optional

from .wire import Behaviour, Channel

PACED_BUFFER = 1 << 18  # bytes; a link with a limit must not swallow megabytes into the kernel


@dataclass(frozen=True)
class Listeners:
    """The listening sockets of one host, and the certificate of the second one."""

    plain: socket.socket
    tls: socket.socket
    certificate: str  # path of key and chain in PEM


@dataclass(frozen=True)
class PartRecord:
    """One PUT as it was received."""

    upload_id: str
    index: int
    size: int
    md5: str
    received_at: float  # time.monotonic(), the same clock in all processes


@dataclass
class UploadRecord:
    """One upload as the API saw it: what was claimed, confirmed and completed."""

    upload_id: str
    file_size: int
    md5: str
    sha1: str
    md5_10m: str
    prepared_at: float
    asked: Dict[int, int] = field(default_factory=dict)  # confirmations tried, by part
    finished: Dict[int, PartRecord] = field(default_factory=dict)
    completed_at: Optional[float] = None


@dataclass
class Report:
    """What a process saw since the last report."""

    connections: int = 0
    parts: List[PartRecord] = field(default_factory=list)
    uploads: List[UploadRecord] = field(default_factory=list)
    token_at: List[float] = field(default_factory=list)
    errors: List[str] = field(default_factory=list)


class Service:
    """Accepts connections, a thread each, and obeys the benchmark over a pipe.

    Subclasses say how one connection is answered (`answer`) and what there is to report
    (`collect`).
    """

    def __init__(self, listeners: Listeners) -> None:
        self.behaviour = Behaviour()
        self.lock = threading.Lock()
        self.report = Report()
        self._listeners = listeners
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(listeners.certificate)

    def answer(self, channel: Channel) -> bool:
        """Serves one request; False when the client has gone."""
        raise NotImplementedError

    def collect(self) -> Report:
        """The report so far; a new one is begun."""
        with self.lock:
            report, self.report = self.report, Report()
        return report

    def run(self, control: Connection) -> None:
        """Serves until the benchmark says stop or goes away."""
        for listener, context in (
            (self._listeners.plain, None),
            (self._listeners.tls, self._context),
        ):
            threading.Thread(target=self._accept, args=(listener, context), daemon=True).start()
        while True:
            try:
                order = control.recv()
            except EOFError:
                return
            if isinstance(order, Behaviour):
                self.behaviour = order
                control.send(None)
            elif order == "report":
                control.send(self.collect())
            else:
                return

    def _accept(self, listener: socket.socket, context: Optional[ssl.SSLContext]) -> None:
        while True:
            sock, _ = listener.accept()
            with self.lock:
                self.report.connections += 1
            threading.Thread(target=self._serve, args=(sock, context), daemon=True).start()

    def _serve(self, sock: socket.socket, context: Optional[ssl.SSLContext]) -> None:
        if self.behaviour.rate:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, PACED_BUFFER)
        try:
            if context is not None:
                sock = context.wrap_socket(sock, server_side=True)
            channel = Channel(sock)
            while self.answer(channel):
                pass
        except (OSError, ValueError, KeyError) as error:
            with self.lock:
                self.report.errors.append(f"{type(error).__name__}: {error}")
        finally:
            sock.close()
