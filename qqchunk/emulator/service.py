"""The platform without its sockets: a call comes in, a reply goes out."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from http.client import HTTPMessage
from typing import Optional
from urllib.parse import unquote

from .behaviour import Behaviour
from .digests import Bytes
from .downloads import DownloadService
from .files import FileRegistry
from .journal import Journal
from .messages import MessageService
from .plan import PlannedPart
from .rates import RateLimiter
from .replies import (
    Refused, Reply, bad_request, bad_signature, error_reply, json_reply, storage_error,
)
from .signing import Signer
from .tokens import TokenService, is_json
from .uploads import UploadService

_API = re.compile(r"/v2/(users|groups)/([^/]+)/(upload_prepare|upload_part_finish|files|messages)")
_STORAGE = re.compile(r"/robot_upload/[^/]+/(?P<upload>[^/]+)/part_(?P<part>\d+)")
_STAGES = {"upload_prepare": "prepare", "upload_part_finish": "finish", "messages": "message"}


@dataclass
class Call:
    """A request, taken apart."""

    method: str
    path: str
    headers: HTTPMessage
    stage: str = "unknown"
    scene: str = ""
    target: str = ""
    body: object = None
    part_index: Optional[int] = None
    upload_id: Optional[str] = None
    #: What is wrong with it, in words.
    note: Optional[str] = None


def read_path(method: str, path: str, headers: HTTPMessage) -> Call:
    """Tell from method and path what a request is about; ``/files`` is told by its body later."""
    call = Call(method, path, headers)
    bare = path.partition("?")[0]
    if bare.startswith("/robot_upload/"):
        call.stage = "put"
        found = _STORAGE.fullmatch(unquote(bare))
        if found and len(found["part"]) < 20:
            call.upload_id, call.part_index = found["upload"], int(found["part"])
    elif method == "POST" and bare == "/app/getAppAccessToken":
        call.stage = "token"
    elif method == "POST":
        match = _API.fullmatch(bare)
        if match:
            call.scene, call.target = match[1], unquote(match[2])
            call.stage = _STAGES.get(match[3], "complete")
    return call


def read_json(call: Call, content: bytes) -> None:
    """Parse the body of an API call, and tell complete from by-URL."""
    try:
        call.body = json.loads(content)
    except (ValueError, RecursionError):
        call.body = None
    fields = call.body if isinstance(call.body, dict) else {}
    if call.stage == "complete" and "upload_id" not in fields:
        call.stage = "url"
    if call.stage in ("finish", "complete"):
        upload_id, index = fields.get("upload_id"), fields.get("part_index")
        call.upload_id = upload_id if isinstance(upload_id, str) else None
        call.part_index = index if isinstance(index, int) else None


class Service:
    """The bot platform and its storage."""

    def __init__(self, behaviour: Behaviour, journal: Journal) -> None:
        self.behaviour = behaviour
        self._journal = journal
        self._signer = Signer()
        self.tokens = TokenService(behaviour)
        self.files = FileRegistry(behaviour)
        self.uploads = UploadService(behaviour, self.files, self._signer)
        self.messages = MessageService(behaviour, self.files)
        self._downloads = DownloadService(behaviour, self.files)
        self._rates = RateLimiter()

    def answer(self, call: Call) -> Reply:
        """Act on an API call."""
        try:
            return self._route(call)
        except Refused as refusal:
            return self._refusal(call, refusal)

    def _refusal(self, call: Call, refusal: Refused) -> Reply:
        if refusal.note:
            call.note = refusal.note
            part = "" if call.part_index is None else f" part {call.part_index}"
            self._journal.refuse(f"{call.stage}{part}: {refusal.note}")
        return refusal.reply

    def _route(self, call: Call) -> Reply:
        content_type = call.headers.get("Content-Type", "")
        if call.stage == "token":
            return self.tokens.issue(content_type, call.body)
        if call.stage == "unknown":
            reply = json_reply({"message": "接口不存在", "code": 11274}, 404, code=11274)
            raise Refused(reply, f"{call.method} {call.path} is no call of the platform's")
        self.tokens.check(call.headers.get("Authorization"))
        if self.behaviour.rate_limits and not self._rates.allows(call.stage):
            raise Refused(error_reply(22009))
        if not is_json(content_type):
            raise bad_request(f"content type {content_type!r} is not JSON")
        body = call.body
        if not isinstance(body, dict):
            raise bad_request("the body is no JSON object")
        if call.stage == "prepare":
            return self.uploads.prepare(call.scene, call.target, body)
        if call.stage == "finish":
            return self.uploads.finish(call.scene, call.target, body)
        if call.stage == "complete":
            return self.uploads.complete(call.scene, call.target, body)
        if call.stage == "url":
            return self._downloads.take(call.scene, body)
        return self.messages.send(call.scene, call.target, body)

    def admit(self, call: Call) -> "Admission":
        """Judge a request to storage by its headers alone."""
        try:
            return Admission(self._destination(call), None)
        except Refused as refusal:
            return Admission(None, self._refusal(call, refusal))

    def _destination(self, call: Call) -> PlannedPart:
        headers = call.headers
        for name in ("Authorization", "Proxy-Authorization", "Cookie"):
            if name in headers:
                reply = storage_error(400, "InvalidArgument", f"{name} beside a signed query")
                raise Refused(reply, f"{name} header sent to storage")
        if self.tokens.leaked_in(dict(headers.items()), call.path):
            reply = storage_error(400, "InvalidArgument", "credentials beside a signed query")
            raise Refused(reply, "the bot's token or secret sent to storage")
        signed = self._signer.check(call.method, call.path)
        if not signed or call.upload_id is None or call.part_index is None:
            raise Refused(bad_signature(), "the presigned URL was altered")
        part = self.uploads.destination(call.upload_id, call.part_index)
        length = headers.get("Content-Length")
        if "Transfer-Encoding" in headers or length is None:
            reply = storage_error(411, "MissingContentLength", "Content-Length is required")
            raise Refused(reply, "chunked transfer or no Content-Length")
        if length != str(part.size):
            reply = storage_error(400, "InvalidArgument", "the length is not the part's")
            raise Refused(reply, f"{length} bytes announced for a part of {part.size}")
        return part

    def store(self, call: Call, body: Bytes, md5: str) -> Reply:
        """Keep a part that was admitted and has come whole."""
        return self.uploads.store(call.upload_id or "", call.part_index or 0, body, md5)


@dataclass(frozen=True)
class Admission:
    """The judgement on a PUT: the part it is for, or the refusal."""

    part: Optional[PlannedPart]
    refusal: Optional[Reply]
