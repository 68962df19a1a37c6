"""One request and its reply: reading the body in steps, answering, breaking off."""

from __future__ import annotations

import threading
import time
from http.client import HTTPMessage
from http.server import BaseHTTPRequestHandler
from typing import Optional, cast

from .calls import Call, read_json, read_path
from .chunked import read_chunk
from .connections import Connection
from .digests import new_md5
from .faults import Fault, FaultScript
from .journal import Journal, Request
from .replies import Reply, gateway_page
from .service import Admission, Service

CHUNK = 256 * 1024  # bytes taken from the socket at once
API_BODY_LIMIT = 19_000_000  # bytes; bodies of that size met the gateway's 413
_SLOW_TICK = 0.02  # seconds between the reads of a slow server


class Exchange:
    """Reads one request, lets the service act on it, answers; faults drive the same steps."""

    def __init__(
        self,
        handler: BaseHTTPRequestHandler,
        connection: Connection,
        service: Service,
        journal: Journal,
        stopping: threading.Event,
    ) -> None:
        self.handler = handler
        self.connection = connection
        self.stopping = stopping
        self.service = service
        self._journal = journal
        self._arrived = time.monotonic()
        headers = cast(HTTPMessage, handler.headers)
        self.call: Call = read_path(handler.command, handler.path, headers)
        length = 0 if handler.command in ("GET", "DELETE") else None
        length = length if self.call.length is None else self.call.length
        # Whether chunks are still to come; a strict emulator does not even look at them.
        self._chunked = self.call.chunked and not service.behaviour.strict
        self._readable = self._chunked or (
            length is not None and "Transfer-Encoding" not in headers)
        self.length = length if length and not self._chunked else 0
        if not self._readable:
            handler.close_connection = True  # where the next request starts, nobody knows
        self.received = 0
        self._buffer: Optional[bytearray] = None
        self._md5 = new_md5()
        self._admission: Optional[Admission] = None
        self._entry: Optional[Request] = None

    def begin(self, script: FaultScript) -> Optional[Fault]:
        """Write the request down and give the fault that is due for it, if there is one.

        The body of an API call is read first, that of a PUT is left to what follows.
        """
        if self.call.stage == "put":
            self._admission = self.service.admit(self.call)
            if self._admission.part is not None:
                self._buffer = bytearray(self.length)
        elif self._readable and self.length <= API_BODY_LIMIT:
            self._buffer = bytearray(self.length)
            self.read()
            read_json(self.call, bytes(self._buffer))
        call = self.call
        fault = script.strike(call.stage, call.part_index)
        self._entry = Request(
            call.stage, call.method, call.path, call.headers, call.body, call.part_index,
            call.upload_id, at=self._arrived, connection=self.connection.number,
            fault=fault.kind if fault else None,
        )
        self._journal.begin(self._entry)
        if call.stage != "put":
            self.stopping.wait(self.service.behaviour.latency)
        return fault

    def respond(self) -> None:
        """Let the platform act on the request, and send its reply."""
        if not self._readable or (self._buffer is None and self.call.stage != "put"):
            self._answer_unreadable()
        else:
            self.answer(self.process())

    def _answer_unreadable(self) -> None:
        """Refuse a body of unknown length or above all measure, without trusting its framing."""
        if self._admission is not None and self._admission.refusal is not None:
            reply = self._admission.refusal
        elif self._readable:
            reply = gateway_page(413)
        else:
            self.call.note = "chunked transfer or no Content-Length"
            self._journal.refuse(self.call.named(self.call.note))
            reply = gateway_page(411)
        self.answer(reply, close=True)
        self.close_early(1.0)

    def read(self, upto: Optional[int] = None, *, bandwidth: Optional[float] = None) -> None:
        """Read the body from the socket up to a byte count; without one, to its end.

        :param bandwidth: bytes a second; None for as fast as it comes.
        """
        self._read_chunks(upto)
        goal = self.length if upto is None else min(upto, self.length)
        step = CHUNK if bandwidth is None else max(1, int(bandwidth * _SLOW_TICK))
        buffer = bytearray(min(step, CHUNK)) if self._buffer is None else self._buffer
        with memoryview(buffer) as view:
            while self.received < goal:
                start = 0 if self._buffer is None else self.received
                size = min(step, goal - self.received, len(view) - start)
                count = self.handler.rfile.readinto1(view[start:start + size])
                if not count:
                    raise ConnectionAbortedError("the client went away in mid-body")
                if self._buffer is not None:
                    self._md5.update(view[start:start + count])
                self._count(count)
                if bandwidth is not None:
                    self.stopping.wait(count / bandwidth)

    def _read_chunks(self, upto: Optional[int]) -> None:
        most = API_BODY_LIMIT
        if self.call.stage == "put":
            most = self.service.behaviour.max_file_size
        while self._chunked and (upto is None or self.received < upto):
            data = read_chunk(self.handler.rfile, most - self.received)
            self._chunked = bool(data)
            if self._buffer is not None:
                self._buffer += data
                self._md5.update(data)
            self._count(len(data))

    def _count(self, size: int) -> None:
        self.received += size
        if self._admission is not None and self._admission.part is not None:
            self._admission.part.received = self.received

    def process(self) -> Reply:
        """Read what is left of the body and let the platform act on the request."""
        self.read()
        if self._admission is None:
            return self.service.answer(self.call)
        part = self._admission.part
        if part is None or self._buffer is None:
            return self._admission.refusal or gateway_page(400)
        return self.service.local_storage.store(part, self._buffer, self._md5.hexdigest())

    def record(self, reply: Optional[Reply]) -> None:
        """Write the outcome down, once: before the reply's last byte, or the client knows first."""
        entry, self._entry = self._entry, None
        if entry is not None:
            self._journal.end(
                entry,
                status=reply.status if reply else None,
                code=reply.code if reply else None,
                received=self.received,
                note=self.call.note,
                manners=self.call.manners,
            )

    def answer(self, reply: Reply, *, close: bool = False) -> None:
        """Send a whole reply; the connection stays open unless either side wants it closed."""
        if close:
            self.handler.close_connection = True
        with_delivery = self.call.stage == "complete" and reply.status == 200 and not reply.code
        upload_id = self.call.upload_id or ""
        self.record(reply)
        if with_delivery:
            # Before the send: the client may call again the moment it has the last byte.
            delivered = not self.connection.client_gone()
            self.service.uploads.mark_delivered(upload_id, reply, delivered)
        try:
            self.send(reply.head(close=self.handler.close_connection) + reply.body)
        except OSError:
            if with_delivery:
                self.service.uploads.mark_delivered(upload_id, reply, False)
            raise

    def send(self, data: bytes) -> None:
        self.handler.wfile.write(data)

    def reset(self) -> None:
        """Break the connection with an RST."""
        self.connection.reset_on_close()
        self.handler.close_connection = True

    def close_early(self, linger: float) -> None:
        """Close while the body may still be coming; drop what comes for ``linger`` seconds."""
        self.handler.close_connection = True
        self.connection.end_output()
        end = time.monotonic() + linger
        while time.monotonic() < end and not self.stopping.is_set():
            self.connection.socket.settimeout(max(0.01, end - time.monotonic()))
            if not self.handler.rfile.read1(CHUNK):
                break

    def wait_until_gone(self) -> None:
        """Sit still until the client closes or the emulator stops."""
        self.handler.close_connection = True
        while not self.stopping.is_set() and not self.connection.client_gone(0.2):
            self.stopping.wait(0.01)  # on systems without poll() only the stop ends this
