"""How fast is the server itself? A client that does nothing but send."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from statistics import median
from typing import Dict, List, Mapping
from urllib.parse import urlsplit

from .report import Gate
from .server import Server
from .truth import make_file
from .wire import Behaviour
from .workloads import md5_alone

PART, PARTS, LANES = 10 << 20, 10, 4
RATE = 40e6  # bytes per second of one connection
PLAIN, TLS, PACED = "sink, plain", "sink, TLS", "one connection at 40 MB/s"
MD5 = "md5 alone"


def run(server: Server, folder: str, rounds: int) -> Dict[str, float]:
    """Seconds for 100 MiB with no client worth the name, and for md5 over as much."""
    path = make_file(folder, PART * PARTS)
    found = {MD5: median(md5_alone(path) for _ in range(rounds))}
    for name, rate, lanes in ((PLAIN, 0.0, LANES), (TLS, 0.0, LANES), (PACED, RATE, 1)):
        server.behave(Behaviour(rate=rate))
        times = []
        for _ in range(rounds + 1):
            times.append(_send(server.storage_url(name == TLS), server.ca_file, lanes))
            server.report()
        found[name] = median(times[1:])
    return found


def _send(url: str, ca_file: str, lanes: int) -> float:
    target = urlsplit(url)
    context = ssl.create_default_context(cafile=ca_file) if target.scheme == "https" else None
    body = memoryview(bytes(PART))
    todo = list(range(1, PARTS + 1))
    sockets: List[socket.socket] = []
    for _ in range(lanes):
        sock = socket.create_connection((target.hostname or "", target.port or 0))
        if context is not None:
            sock = context.wrap_socket(sock, server_hostname=target.hostname)
        sockets.append(sock)

    def work(sock: socket.socket) -> None:
        while True:
            try:
                index = todo.pop()
            except IndexError:
                return
            head = f"PUT /probe/part_{index} HTTP/1.1\r\nContent-Length: {PART}\r\n\r\n"
            sock.sendall(head.encode())
            sock.sendall(body)
            sock.recv(65_536)

    threads = [threading.Thread(target=work, args=(sock,)) for sock in sockets]
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed = time.perf_counter() - begin
    for sock in sockets:
        sock.close()
    return elapsed


def text(found: Mapping[str, float]) -> str:
    return "\n".join(f"100 MiB, {name}: {seconds:.3f} s" for name, seconds in found.items())


def gates(found: Mapping[str, float]) -> List[Gate]:
    """The sink must be faster than the floor, and the limited link neither faster nor slower."""
    ideal = PART * PARTS / RATE
    return [
        Gate("the sink against md5 alone", found[PLAIN] / found[MD5], 0.5, " ×"),
        Gate("the sink with TLS against md5 alone", found[TLS] / found[MD5], 1, " ×"),
        Gate("error of the limited link", abs(found[PACED] - ideal) / ideal, 0.01),
    ]
