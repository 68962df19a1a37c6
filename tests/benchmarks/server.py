"""The benchmark's server: one API process and several storage processes behind one port each.

The storage processes accept from one shared listening socket, so that the kernel deals new
connections out to whoever waits; to a client they are one host.
"""

from __future__ import annotations

import multiprocessing
import socket
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Callable, Dict, List, Optional, Tuple, Type
from urllib.parse import urlsplit

import trustme

from .api import serve_api
from .line import Line, serve_line
from .process import Listeners, Report
from .storage import serve_storage
from .wire import Behaviour

STORAGE_PROCESSES = 2
HOST = "127.0.0.1"


class Server:
    """A context manager; `behave` before a run, `report` after it."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="benchmark-tls-")
        self.ca_file = str(Path(self._folder.name, "ca.pem"))
        self._certificate = str(Path(self._folder.name, "server.pem"))
        self._controls: List[Connection] = []
        self._processes: List[multiprocessing.process.BaseProcess] = []

    def __enter__(self) -> Server:
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.ca_file)
        issued = authority.issue_cert(HOST)
        issued.private_key_and_cert_chain_pem.write_to_path(self._certificate)
        with _listen() as api, _listen() as api_tls, _listen() as cos, _listen() as cos_tls:
            self._urls = _urls(api, api_tls)
            self._storage_urls = _urls(cos, cos_tls)
            storage = Listeners(cos, cos_tls, self._certificate)
            for _ in range(STORAGE_PROCESSES):
                self._start(serve_storage, storage)
            self._start(serve_api, Listeners(api, api_tls, self._certificate), self._storage_urls)
        self._open_line()
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        for control in [*self._controls, self._line]:
            control.close()
        for process in self._processes:
            process.join(5)
            process.terminate()
        self._folder.cleanup()

    def api_url(self, tls: bool = False) -> str:
        return self._urls[1 if tls else 0]

    def storage_url(self, tls: bool = False) -> str:
        return self._storage_urls[1 if tls else 0]

    @property
    def far_urls(self) -> Dict[str, str]:
        """The https addresses of "token", "api" and "storage" at the other end of the long line."""
        return self._far_urls

    def stretch(self, line: Line) -> None:
        """Sets how long the line is from here on."""
        self._line.send(line)
        self._line.recv()

    def behave(self, behaviour: Behaviour) -> None:
        """Sets what every process does from here on, and forgets what was seen before."""
        for control in self._controls:
            control.send(behaviour)
        for control in self._controls:
            control.recv()
        self.report()

    def report(self) -> Tuple[Report, Report]:
        """What the API and the storage processes saw since the last call; hashes what was kept."""
        for control in self._controls:
            control.send("report")
        *storage, api = [control.recv() for control in self._controls]
        merged = Report()
        for report in storage:
            merged.connections += report.connections
            merged.parts += report.parts
            merged.errors += report.errors
        return api, merged

    def _open_line(self) -> None:
        targets = {"token": self.api_url(True), "api": self.api_url(True)}
        targets["storage"] = self.storage_url(True)
        addresses = {name: urlsplit(url) for name, url in targets.items()}
        routes = {
            name: (_listen(), (HOST, split.port)) for name, split in addresses.items()}
        self._far_urls = {
            name: f"https://{HOST}:{listener.getsockname()[1]}"
            for name, (listener, _) in routes.items()}
        self._start(serve_line, routes)
        self._line = self._controls.pop()
        for listener, _ in routes.values():
            listener.close()

    def _start(self, body: Callable[..., None], *arguments: object) -> None:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=body, args=(*arguments, theirs), daemon=True)
        process.start()
        theirs.close()
        self._controls.append(ours)
        self._processes.append(process)


def _listen() -> socket.socket:
    sock = socket.socket()
    sock.bind((HOST, 0))
    sock.listen(128)
    return sock


def _urls(plain: socket.socket, tls: socket.socket) -> Tuple[str, str]:
    ports = plain.getsockname()[1], tls.getsockname()[1]
    return f"http://{HOST}:{ports[0]}", f"https://{HOST}:{ports[1]}"
