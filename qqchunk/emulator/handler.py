"""HTTP parsing, by the standard library; what follows the headers is in exchange.py."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler

from .connections import Connection, Listener
from .exchange import Exchange
from .fault_actions import apply_fault
from .faults import FaultScript
from .inbox import Inbox
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
        inbox: Inbox,
    ) -> None:
        self._connection = connection
        self._listener = listener
        self._service = service
        self._journal = journal
        self._script = script
        self._inbox = inbox
        super().__init__(connection.socket, ("", 0), listener)

    def _exchange(self) -> None:
        stopping = self._listener.stopping
        if self._inbox.concerns(self.command, self.path):
            self._inbox.serve(self, self._connection, stopping)
            return
        exchange = Exchange(self, self._connection, self._service, self._journal, stopping)
        fault = exchange.begin(self._script)
        try:
            if fault is None:
                exchange.respond()
            else:
                apply_fault(fault, exchange)
        finally:
            exchange.record(None)  # where no reply was recorded there was none

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _exchange

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the requests are in ``Emulator.requests``."""
