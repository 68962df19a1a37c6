"""The bit of HTTP/1.1 that the benchmark's server speaks, on bare sockets.

`http.server` copies each body twice and parses headers through the email package; a sink that is to
stay out of the way reads straight into one buffer instead.
"""

from __future__ import annotations

import json
import select
import socket
import ssl
import time
from dataclasses import dataclass
from typing import Dict, Mapping, Optional

HEAD_LIMIT = 65_536  # bytes of request line and headers
PLAIN_READ = 1 << 18  # bytes asked of the kernel at once
PACED_READ = 1 << 16  # the same on a limited link: small enough to keep the flow smooth
NAP = 0.001  # seconds; a link that is ahead by less does not sleep yet


@dataclass(frozen=True)
class Behaviour:
    """What the server does in one run; every process of it gets the same copy.

    `latency` is the seconds each API call takes, `put_latency` the seconds storage waits before it
    answers a PUT, `rate` the bytes per second of one storage connection (0: no limit). The first
    `busy` confirmations of each part are refused with 40093001. `keep` holds the bodies until the
    report and hashes them then, off the clock; without it they are hashed while they come in.
    `storage_url` is what part URLs begin with, if not with storage's own address.
    """

    block_size: int = 10 << 20
    concurrency: int = 4
    latency: float = 0.0
    token_latency: float = 0.0
    put_latency: float = 0.0
    rate: float = 0.0
    busy: int = 0
    retry_delay: int = 1
    keep: bool = True
    storage_url: str = ""


class Link:
    """A line of `rate` bytes per second that forgets the time in which nobody sent.

    Lateness of this process is made up for, as long as the sender had bytes waiting; lateness of
    the sender is not.
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._due = time.monotonic()

    def idle(self) -> None:
        """Says that nothing was waiting to be read just now."""
        self._due = max(self._due, time.monotonic())

    def carry(self, count: int) -> None:
        """Waits until the line could have carried `count` more bytes."""
        self._due += count / self._rate
        ahead = self._due - time.monotonic()
        if ahead > NAP:
            time.sleep(ahead)

    def drain(self) -> None:
        """Waits out what the naps so far fell short of."""
        time.sleep(max(0.0, self._due - time.monotonic()))


@dataclass(frozen=True)
class Head:
    """Request line and headers (names in lower case)."""

    method: str
    target: str
    headers: Dict[str, str]

    @property
    def length(self) -> int:
        return int(self.headers["content-length"])


class Channel:
    """One accepted connection."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sock = sock
        self._rest = b""

    def read_head(self) -> Optional[Head]:
        """The next request's head, or None once the client has hung up."""
        data = self._rest
        while b"\r\n\r\n" not in data:
            block = self._sock.recv(HEAD_LIMIT)
            if not block or len(data) > HEAD_LIMIT:
                return None
            data += block
        head, _, self._rest = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        method, target, _ = lines[0].split(" ", 2)
        pairs = (line.partition(":") for line in lines[1:])
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        return Head(method, target, headers)

    def read_some(self, into: memoryview, link: Optional[Link] = None) -> int:
        """Reads up to `len(into)` bytes of the body; raises ConnectionError at an early end."""
        if self._rest:
            count = min(len(self._rest), len(into))
            into[:count] = self._rest[:count]
            self._rest = self._rest[count:]
            return count
        if link is not None and not self._waiting():
            link.idle()
        count = self._sock.recv_into(into[: PACED_READ if link else PLAIN_READ])
        if not count:
            raise ConnectionError("the client hung up inside a body")
        if link is not None:
            link.carry(count)
        return count

    def read_body(self, length: int) -> bytes:
        body = bytearray(length)
        view = memoryview(body)
        done = 0
        while done < length:
            done += self.read_some(view[done:])
        return bytes(body)

    def reply(self, status: int, body: Optional[Mapping[str, object]] = None) -> None:
        text = b"" if body is None else json.dumps(body).encode()
        kind = b"" if body is None else b"Content-Type: application/json\r\n"
        head = b"HTTP/1.1 %d Status\r\n%sContent-Length: %d\r\n\r\n" % (status, kind, len(text))
        self._sock.sendall(head + text)

    def close(self) -> None:
        self._sock.close()

    def _waiting(self) -> bool:
        if isinstance(self._sock, ssl.SSLSocket) and self._sock.pending():
            return True
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        return bool(poll.poll(0))
