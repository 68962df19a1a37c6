"""How fast is the server itself? A client that does nothing but send, to compare everything with."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from typing import List, Optional
from urllib.parse import urlsplit


def send_parts(url: str, ca_file: Optional[str], parts: int, size: int, lanes: int) -> float:
    """Seconds to PUT `parts` bodies of `size` zero bytes to storage over `lanes` connections."""
    target = urlsplit(url)
    context = ssl.create_default_context(cafile=ca_file) if target.scheme == "https" else None
    body = memoryview(bytes(size))
    todo = list(range(1, parts + 1))
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
            head = f"PUT /probe/part_{index} HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n"
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
