"""The inbox: a web page at ``/`` that shows what arrived, and arms faults."""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import json
import pkgutil
import re
import socket
import threading
from http.server import BaseHTTPRequestHandler
from typing import Callable, Dict, Iterable, Optional
from urllib.parse import parse_qs, urlsplit

from .connections import Connection
from .faults import Fault, FaultScript
from .inbox_files import file_reply
from .inbox_state import InboxState
from .journal import Journal
from .replies import Reply
from .service import Service

_TURN = 0.1  # seconds between two looks at whether something is new
_HELD = 20.0  # seconds for which a reply is held back while nothing is
_MOST_BYTES = 64 * 1024  # of a POST's body

# What each button arms for the next upload.
_ARMS: Dict[str, Callable[[], Fault]] = {
    "slow": lambda: Fault("put", "slow", times=3, bandwidth=400_000),
    "reset": lambda: Fault("put", "reset_midway"),
    "forbidden": lambda: Fault("put", "expired_url"),
    "busy": lambda: Fault("finish", "busy", times=4),
    "quota": lambda: Fault("prepare", "quota"),
    "token": lambda: Fault("prepare", "expired_token"),
    "ip": lambda: Fault("prepare", "ip_not_whitelisted"),
}

_HEADERS = (
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
)


class Inbox:
    """Answers the page's requests, which are no calls of a bot's and in no list.

    :param service, journal, script: of the emulator that it shows; the script takes the faults
    :param host: where the emulator listens
    """

    def __init__(
        self, service: Service, journal: Journal, script: FaultScript, host: str
    ) -> None:
        self._state = InboxState(service, journal, script)
        self._script = script
        self._behaviour = service.behaviour
        self._host = host
        self._page: Optional[Reply] = None

    @staticmethod
    def concerns(method: str, path: str) -> bool:
        """Say whether a request is the page's own."""
        bare = path.partition("?")[0]
        return method in ("GET", "POST") and (
            bare in ("/", "/favicon.ico") or bare.startswith("/inbox/"))

    def serve(
        self, handler: BaseHTTPRequestHandler, connection: Connection, stopping: threading.Event
    ) -> None:
        """Answer one request."""
        split = urlsplit(handler.path)
        pieces: Iterable[bytes] = ()
        host = handler.headers.get("Host", "")
        if not self._is_own(host):
            # Else a web page whose name was made to point here could read all of it.
            reply = _text(403, f"{host!r} is no name of this emulator's: open it by its address")
        elif handler.command == "POST":
            reply = self._post(handler, split.path)
        elif split.path == "/":
            reply = self._page = self._page or _page()
        elif split.path == "/inbox/state":
            seen = parse_qs(split.query).get("seen", [""])[0]
            reply = self._news(seen, connection, stopping)
        elif split.path.startswith("/inbox/files/"):
            file = self._state.file(split.path.rpartition("/")[2])
            if file is None or file.chunks is None:
                reply = _text(404, "this file is no longer here")
            else:
                wanted = handler.headers.get("Range", "")
                reply, pieces = file_reply(file, wanted, download=split.query == "download")
        else:
            reply = Reply(204) if split.path == "/favicon.ico" else _text(404, "nothing is here")
        self._send(handler, reply, pieces)

    def _send(
        self, handler: BaseHTTPRequestHandler, reply: Reply, pieces: Iterable[bytes]
    ) -> None:
        whole = Reply(reply.status, reply.body, reply.headers + _HEADERS, sized=reply.sized)
        handler.wfile.write(whole.head(close=handler.close_connection) + reply.body)
        for piece in pieces:
            handler.wfile.write(piece)

    def _is_own(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            names = [self._host, self._behaviour.storage_host, socket.gethostname()]
            return name in ["localhost", *(own.lower() for own in names if own)]
        return True  # an address is no name that could be made to point here

    def _post(self, handler: BaseHTTPRequestHandler, path: str) -> Reply:
        length = handler.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > _MOST_BYTES:
            handler.close_connection = True
            return _text(413, "too much")
        body = handler.rfile.read(int(length))
        origin = urlsplit(handler.headers.get("Origin", ""))
        if origin.scheme not in ("http", "https") or origin.netloc != handler.headers.get("Host"):
            return _text(403, "this comes from another page")  # any page can post to loopback
        try:
            fields = json.loads(body)
        except (ValueError, RecursionError):
            fields = None
        if path == "/inbox/disarm":
            self._script.clear()
            return Reply(204)
        name = fields.get("fault") if isinstance(fields, dict) else None
        if path != "/inbox/arm" or not isinstance(name, str) or name not in _ARMS:
            return _text(404, "there is no such button")
        self._script.add(_ARMS[name]())
        return Reply(204)

    def _news(self, seen: str, connection: Connection, stopping: threading.Event) -> Reply:
        state = self._state.current()
        left = _HELD
        while state["version"] == seen and left > 0 and not stopping.wait(_TURN):
            if connection.client_gone():
                break
            left -= _TURN
            state = self._state.current()
        body = json.dumps(state, ensure_ascii=False).encode("utf-8", "replace")
        return Reply(200, body, (("Content-Type", "application/json"),))


def _text(status: int, text: str) -> Reply:
    return Reply(status, text.encode(), (("Content-Type", "text/plain; charset=utf-8"),))


def _page() -> Reply:
    """Make the page, with a policy that lets its own script and style run, and nothing else."""
    html = pkgutil.get_data(__package__ or "", "inbox.html") or b""
    own = {}
    for tag in (b"script", b"style"):
        (content,) = re.findall(rb"<%b>(.*?)</%b>" % (tag, tag), html, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
        own[tag] = f"'sha256-{digest}'"
    policy = (
        f"default-src 'none'; script-src {own[b'script']}; style-src {own[b'style']}; "
        "img-src 'self'; media-src 'self'; connect-src 'self'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    )
    headers = (("Content-Type", "text/html; charset=utf-8"), ("Content-Security-Policy", policy))
    return Reply(200, html, headers)
