"""The platform without its sockets: a call comes in, a reply goes out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from .behaviour import Behaviour
from .calls import Call
from .downloads import DownloadService
from .files import FileRegistry
from .local_storage import LocalStorage, StoredPart
from .journal import Journal
from .messages import MessageService
from .rates import RateLimiter
from .replies import (
    Refused, Reply, bad_request, error_reply, json_reply, storage_error,
)
from .storage import Storage
from .tokens import TokenService, is_json
from .uploads import UploadService


class Service:
    """The bot platform and its storage."""

    def __init__(
        self, behaviour: Behaviour, journal: Journal, storage: Optional[Storage] = None
    ) -> None:
        self.behaviour = behaviour
        self._journal = journal
        self.local_storage = LocalStorage(behaviour)
        self.tokens = TokenService(behaviour)
        self.files = FileRegistry(behaviour)
        self.uploads = UploadService(behaviour, self.files, self.local_storage, storage)
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
            self._look_for_credentials(call)
            return Admission(self.local_storage.admit(call), None)
        except Refused as refusal:
            return Admission(None, self._refusal(call, refusal))

    def _look_for_credentials(self, call: Call) -> None:
        for name in ("Authorization", "Proxy-Authorization", "Cookie"):
            if name in call.headers:
                reply = storage_error(400, "InvalidArgument", f"{name} beside a signed query")
                raise Refused(reply, f"{name} header sent to storage")
        if self.tokens.leaked_in(dict(call.headers.items()), call.path):
            reply = storage_error(400, "InvalidArgument", "credentials beside a signed query")
            raise Refused(reply, "the bot's token or secret sent to storage")


@dataclass(frozen=True)
class Admission:
    """The judgement on a PUT: the place of its part, or the refusal."""

    part: Optional[StoredPart]
    refusal: Optional[Reply]
