"""HTTP parsing, by the standard library; everything after the headers is the exchange's."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler

from .connections import Connection, Listener
from .exchange import Exchange
from .faults import FaultScript
from .journal import Journal
from .service import Service


class Handler(BaseHTTPRequestHandler):
    """Serves one connection, request after request."""

    protocol_version = "HTTP/1.1"
    server_version = "qqchunk-emulator"

    def __init__(
        self,
        connection: Connection,
        listener: Listener,
        service: Service,
        journal: Journal,
        script: FaultScript,
    ) -> None:
        self._connection = connection
        self._listener = listener
        self._service = service
        self._journal = journal
        self._script = script
        super().__init__(connection.socket, ("", 0), listener)

    def _exchange(self) -> None:
        stopping = self._listener.stopping
        exchange = Exchange(self, self._connection, self._service, self._journal, stopping)
        exchange.run(self._script)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _exchange

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the requests are in ``Emulator.requests``."""
