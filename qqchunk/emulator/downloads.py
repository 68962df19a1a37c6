"""Files that come whole in one call: by URL, which the platform downloads, or inline."""

from __future__ import annotations

import base64
import binascii
import urllib.request
from http.client import HTTPException
from typing import Dict, Optional
from urllib.parse import urlsplit

from .behaviour import Behaviour
from .calls import Call
from .digests import digest
from .fields import file_type_of, srv_send_msg, text
from .files import FileRegistry
from .manners import Manners
from .messages import MessageService
from .replies import Refused, Reply, bad_request, error_reply, json_reply

DOWNLOAD_TIMEOUT = 2.0  # seconds without progress; stopping the emulator may wait that long


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: object, **kwargs: object) -> None:
        """Follow nothing: a redirect could lead off this machine."""


_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirects)


class DownloadService:
    """Answers ``/files`` with a ``url`` or with ``file_data``."""

    def __init__(
        self, behaviour: Behaviour, manners: Manners, files: FileRegistry, messages: MessageService
    ) -> None:
        self._behaviour = behaviour
        self._manners = manners
        self._messages = messages
        self._files = files

    def take(self, call: Call) -> Reply:
        body = call.fields
        file_type = file_type_of(body)
        posts = srv_send_msg(body)
        name = self._name(call, file_type)
        content = self._inline(body) if "file_data" in body else self._download(body)
        self._files.check(file_type, None, len(content))
        self._files.charge(len(content), self._behaviour.quota_stage)
        stored = self._files.add(
            call.scene, file_type, name or "file", digest([content]), [content])
        fields = self._files.reply_fields(stored)
        fields.update(raw_url="", id=self._messages.post(call, stored) if posts else "")
        return json_reply(self._behaviour.wrap(fields))

    def _name(self, call: Call, file_type: int) -> Optional[str]:
        if "file_name" not in call.fields:
            return None
        if file_type != 4 and "url" in call.fields:
            refusal = bad_request("file_name goes with file_type 4 only when a url is given")
            self._manners.breach(call, str(refusal.note), refusal.reply)
        return text(call.fields, "file_name")

    def _inline(self, body: Dict[str, object]) -> bytes:
        try:
            content = base64.b64decode(text(body, "file_data"), validate=True)
        except (binascii.Error, ValueError):
            raise bad_request("file_data is no base64") from None
        if not content:
            raise Refused(error_reply(850019), "file_data is empty")
        return content

    def _download(self, body: Dict[str, object]) -> bytes:
        url = body.get("url")
        try:
            parts = urlsplit(url if isinstance(url, str) else "")
            host = parts.hostname
        except ValueError:
            host = None
        if not host or parts.scheme not in ("http", "https"):
            raise Refused(error_reply(40093010))
        if host not in ("127.0.0.1", "localhost"):
            raise Refused(error_reply(850026))
        limit = self._behaviour.max_file_size
        try:
            with _opener.open(parts.geturl(), timeout=DOWNLOAD_TIMEOUT) as response:
                content: bytes = response.read(limit + 1)
        except (OSError, ValueError, HTTPException):
            raise Refused(error_reply(850026)) from None
        if not content:
            raise Refused(error_reply(850019))
        return content
