"""A long line between client and server: a relay that passes every byte on half a round trip later.

One process, a listening port for each host that a client connects to. What a connection costs
outside it costs here: nothing of a new one comes through before a round trip has passed, which is
the handshake of TCP; that of TLS is passed on like all else. With a rate, the bytes towards the
server leave one after the other, whatever connection they are on, and the relay reads no further
ahead than a kernel's buffers would.
"""

from __future__ import annotations

import queue
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Dict, Optional, Tuple

READ_SIZE = 1 << 16  # bytes
BUFFER = 1 << 18  # bytes in the kernel's buffers on a line with a rate
AHEAD = 0.03  # seconds that the relay reads ahead of a line with a rate

Address = Tuple[str, int]


@dataclass(frozen=True)
class Line:
    """`round_trip` in seconds; `rate` in bytes per second towards the server (0: no limit)."""

    round_trip: float
    rate: float = 0.0


class _Pace:
    """When bytes that are ready at some moment have all left, on a line that others use too."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._free = 0.0
        self._lock = threading.Lock()

    def leave(self, count: int, ready: float) -> float:
        if not self._rate:
            return ready
        with self._lock:
            self._free = max(self._free, ready) + count / self._rate
            return self._free


def _pass_on(
    source: socket.socket, sink: socket.socket, line: Line, pace: Optional[_Pace], opened: float
) -> None:
    """Pass on what comes, to its end; nothing leaves before *opened*."""
    waiting: queue.SimpleQueue[Tuple[float, bytes]] = queue.SimpleQueue()

    def deliver() -> None:
        with suppress(OSError):
            while True:
                due, data = waiting.get()
                time.sleep(max(0.0, due - time.monotonic()))
                if not data:
                    break
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    delivering = threading.Thread(target=deliver, daemon=True)
    delivering.start()
    data = b"-"
    while data:
        try:
            data = source.recv(READ_SIZE)
        except OSError:
            data = b""
        left = max(opened, time.monotonic())
        if pace is not None:
            left = pace.leave(len(data), left)
        waiting.put((left + line.round_trip / 2, data))
        if pace is not None:
            time.sleep(max(0.0, left - time.monotonic() - AHEAD))
    delivering.join()


def _relay(client: socket.socket, target: Address, line: Line, pace: _Pace) -> None:
    opened = time.monotonic() + line.round_trip  # when a client outside would be connected
    with client, socket.create_connection(target) as server:
        for sock in (client, server):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if line.rate:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        back = threading.Thread(
            target=_pass_on, args=(server, client, line, None, opened), daemon=True)
        back.start()
        _pass_on(client, server, line, pace, opened)
        back.join()


def serve_line(routes: Dict[str, Tuple[socket.socket, Address]], control: Connection) -> None:
    """The body of the relay's process: obeys `Line`s from the pipe, ends with it."""
    state = {"line": Line(0.0), "pace": _Pace(0.0)}

    def accept(listener: socket.socket, target: Address) -> None:
        while True:
            client, _ = listener.accept()
            threading.Thread(
                target=_relay, args=(client, target, state["line"], state["pace"]), daemon=True
            ).start()

    for listener, target in routes.values():
        threading.Thread(target=accept, args=(listener, target), daemon=True).start()
    with suppress(EOFError):
        while True:
            line = control.recv()
            state["line"], state["pace"] = line, _Pace(line.rate)
            control.send(None)
