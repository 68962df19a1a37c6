"""The TCP server: a thread for each connection, all of them ended at once by stop()."""

from __future__ import annotations

import os
import select
import selectors
import socket
import socketserver
import ssl
import struct
import threading
import traceback
from typing import Any, Callable, Dict, Tuple

JOIN_TIMEOUT = 10.0  # seconds; a handler that outlives this is a defect

_GONE = getattr(select, "POLLRDHUP", 0) | getattr(select, "POLLHUP", 0)
_GONE |= getattr(select, "POLLERR", 0)


class Connection:
    """One client's connection. Its socket is closed by its own thread only."""

    def __init__(self, number: int, sock: socket.socket) -> None:
        self.number = number
        self.socket = sock
        self._lock = threading.Lock()
        self._closed = False

    def secure(self, context: ssl.SSLContext) -> None:
        """Do the TLS handshake; a client that never says a word blocks this thread only."""
        with self._lock:
            try:
                secured = context.wrap_socket(
                    self.socket, server_side=True, do_handshake_on_connect=False
                )
            except OSError as error:
                _close_half_made(error)
                raise
            self.socket = secured
        secured.do_handshake()

    def cut(self) -> None:
        """End all reads, writes and waits on this connection, from any thread."""
        with self._lock:
            if not self._closed:
                _shut(self.socket, socket.SHUT_RDWR)

    def end_output(self) -> None:
        """Send the FIN, go on receiving."""
        _shut(self.socket, socket.SHUT_WR)

    def reset_on_close(self) -> None:
        """Make the coming close an RST instead of a FIN."""
        layout = "hh" if os.name == "nt" else "ii"
        linger = struct.pack(layout, 1, 0)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self.socket.close()

    def client_gone(self, timeout: float = 0.0) -> bool:
        """Wait up to ``timeout`` seconds for the client to close; False where nobody can tell."""
        if not hasattr(select, "poll"):
            return False
        poll = select.poll()
        poll.register(self.socket, _GONE)
        return bool(poll.poll(timeout * 1000))


def _close_half_made(error: OSError) -> None:
    """Close the socket that wrap_socket() took over and left open: the client was gone already."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        half_made = frame.f_locals.get("self")
        if isinstance(half_made, ssl.SSLSocket):
            half_made.close()


def _shut(sock: socket.socket, how: int) -> None:
    try:
        # Not SSLSocket.shutdown: that one drops the TLS state under its user's feet.
        socket.socket.shutdown(sock, how)
    except OSError:
        pass  # the client was quicker


class Listener(socketserver.TCPServer):
    """A TCP server with a thread for each connection, which :meth:`stop` waits for."""

    allow_reuse_address = os.name != "nt"
    request_queue_size = 128

    def __init__(self, address: Tuple[str, int], serve: Callable[[Connection], None]) -> None:
        super().__init__(address, socketserver.BaseRequestHandler)
        # For the client that leaves between select() and accept().
        self.socket.settimeout(1.0)
        self._serve = serve
        self._lock = threading.Lock()
        self._living: Dict[Connection, threading.Thread] = {}
        self.stopping = threading.Event()
        self.accepted = 0
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._acceptor = threading.Thread(target=self._accept, name="emulator-accept", daemon=True)

    def run(self) -> None:
        """Begin to accept.

        :raises RuntimeError: if no thread can be started
        """
        self._acceptor.start()

    @property
    def open_connections(self) -> int:
        with self._lock:
            return len(self._living)

    def _accept(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self.socket, selectors.EVENT_READ)
            selector.register(self._wake_reader, selectors.EVENT_READ)
            while not self.stopping.is_set():
                selector.select()
                if not self.stopping.is_set():
                    self._accept_one()

    def _accept_one(self) -> None:
        try:
            sock, _ = self.get_request()
        except OSError:
            return  # the client gave up while it waited in the queue
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self.accepted += 1
            connection = Connection(self.accepted, sock)
            thread = threading.Thread(
                target=self._attend,
                args=(connection,),
                name=f"emulator-{connection.number}",
                daemon=True,
            )
            self._living[connection] = thread
        try:
            thread.start()
        except RuntimeError:  # no more threads are to be had: the client may come again
            connection.reset_on_close()
            self._forget(connection)

    def _attend(self, connection: Connection) -> None:
        try:
            self._serve(connection)
        except OSError:
            pass  # the client went away, or the emulator stops
        finally:
            self._forget(connection)

    def _forget(self, connection: Connection) -> None:
        connection.close()
        with self._lock:
            del self._living[connection]

    def stop(self) -> None:
        """Stop accepting, cut every connection, wait for every thread."""
        self.stopping.set()
        self._wake_writer.send(b"x")
        if self._acceptor.is_alive():  # else run() failed
            self._acceptor.join(JOIN_TIMEOUT)
        self.server_close()
        with self._lock:
            living = dict(self._living)
        for connection in living:
            connection.cut()
        for thread in living.values():
            thread.join(JOIN_TIMEOUT)
        self._wake_reader.close()
        self._wake_writer.close()
        stuck = [thread.name for thread in living.values() if thread.is_alive()]
        if stuck:
            raise RuntimeError(f"emulator threads did not end: {', '.join(stuck)}")

    def shutdown_request(self, request: Any) -> None:
        """Left to the connection's own thread."""


def bound_address(listener: Listener) -> Tuple[str, int]:
    host, port = listener.socket.getsockname()[:2]
    return str(host), int(port)
