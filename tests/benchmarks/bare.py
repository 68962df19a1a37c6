"""Bare sockets: what the server and the loopback cost a client that does nothing of its own."""

from __future__ import annotations

import hashlib
import socket
import ssl
import threading
import time
from statistics import median
from typing import List
from urllib.parse import urlsplit

TRIES = 5
READ_SIZE, SEND_SIZE = 256 << 10, 64 << 10  # bytes


def round_trip(api_url: str, ca_file: str) -> float:
    """Seconds from a small request to the end of its answer, on a warm connection.

    That is the latency the server was asked for, and what its sleep and the system's wake-ups add,
    with https TLS on both sides as well.
    """
    sock = _connect(api_url, ca_file)
    head = "POST /app/getAppAccessToken HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}"
    times = []
    for _ in range(TRIES + 1):
        begin = time.perf_counter()
        sock.sendall(head.encode())
        sock.recv(65_536)
        times.append(time.perf_counter() - begin)
    sock.close()
    return median(times[1:])


def send_parts(
    storage_url: str, ca_file: str, *, parts: int, size: int, lanes: int, path: str = ""
) -> float:
    """Seconds to PUT `parts` bodies of `size` bytes over `lanes` connections.

    The bodies are zeros, or with `path` those of a file, read and hashed on the way in blocks of
    256 KiB and sent in such of 64 KiB.
    """
    body = memoryview(bytes(size))
    todo = list(range(1, parts + 1))
    sockets = [_connect(storage_url, ca_file) for _ in range(lanes)]

    def work(sock: socket.socket) -> None:
        while True:
            try:
                index = todo.pop()
            except IndexError:
                return
            head = f"PUT /bare/part_{index} HTTP/1.1\r\nContent-Length: {size}\r\n\r\n"
            sock.sendall(head.encode())
            if path:
                _send_hashed(sock, path, (index - 1) * size, size)
            else:
                sock.sendall(body)
            sock.recv(65_536)

    threads: List[threading.Thread] = [
        threading.Thread(target=work, args=(sock,)) for sock in sockets
    ]
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed = time.perf_counter() - begin
    for sock in sockets:
        sock.close()
    return elapsed


def _send_hashed(sock: socket.socket, path: str, offset: int, size: int) -> None:
    digest = hashlib.md5()
    block = memoryview(bytearray(READ_SIZE))
    with open(path, "rb", buffering=0) as file:
        file.seek(offset)
        while size:
            count = file.readinto(block[:size])
            for start in range(0, count, SEND_SIZE):
                sock.sendall(block[start:min(start + SEND_SIZE, count)])
            digest.update(block[:count])
            size -= count
    digest.hexdigest()


def _connect(url: str, ca_file: str) -> socket.socket:
    target = urlsplit(url)
    sock = socket.create_connection((target.hostname or "", target.port or 0))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if target.scheme == "https":
        context = ssl.create_default_context(cafile=ca_file)
        return context.wrap_socket(sock, server_hostname=target.hostname)
    return sock
