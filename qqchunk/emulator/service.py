"""The platform without its sockets: a call comes in, a reply goes out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Dict, Optional

from .behaviour import Behaviour
from .calls import Call
from .downloads import DownloadService
from .files import FileRegistry
from .journal import Journal
from .local_storage import LocalStorage, StoredPart
from .manners import Manners
from .messages import MessageService
from .rates import RateLimiter
from .replies import (
    Refused, Reply, bad_request, error_reply, gateway_page, json_reply, missing_object,
    storage_error, with_codes,
)
from .storage import Storage
from .tokens import TokenService, is_json
from .upload_calls import UploadService


class Service:
    """The bot platform and its storage."""

    def __init__(
        self, behaviour: Behaviour, journal: Journal, storage: Optional[Storage] = None
    ) -> None:
        self.behaviour = behaviour
        self._journal = journal
        self._manners = Manners(behaviour, journal)
        self.local_storage = LocalStorage(behaviour, self._manners)
        self.tokens = TokenService(behaviour)
        self.files = FileRegistry(behaviour)
        self.messages = MessageService(behaviour, self.files)
        self._upload_calls = UploadService(
            behaviour, self._manners, self.files, self.messages, self.local_storage, storage)
        self.uploads = self._upload_calls.registry
        downloads = DownloadService(behaviour, self._manners, self.files, self.messages)
        self._rates = RateLimiter()
        self._answers: Dict[str, Callable[[Call], Reply]] = {
            "token": self.tokens.issue,
            "prepare": self._upload_calls.prepare,
            "finish": self._upload_calls.finish,
            "complete": self._upload_calls.complete,
            "url": downloads.take,
            "message": self.messages.send,
            "raw_url": self._give_file,
            "other": self._not_emulated,
            "unknown": self._unknown,
        }

    def answer(self, call: Call) -> Reply:
        """Act on an API call."""
        try:
            if call.chunked:
                self._manners.breach(call, "chunked transfer", gateway_page(411))
            if call.scene:
                self._check(call)
            return self._answers[call.stage](call)
        except Refused as refusal:
            return with_codes(self._refusal(call, refusal), self.behaviour.error_codes)

    def _refusal(self, call: Call, refusal: Refused) -> Reply:
        if refusal.note:
            call.note = refusal.note
            self._journal.refuse(call.named(refusal.note))
        return refusal.reply

    def _check(self, call: Call) -> None:
        """Raise Refused for what no call about a chat may lack."""
        self.tokens.check(call.headers.get("Authorization"))
        if self.behaviour.rate_limits and not self._rates.allows(call.stage):
            raise Refused(error_reply(22009))
        content_type = call.headers.get("Content-Type", "")
        if not is_json(content_type):
            raise bad_request(f"content type {content_type!r} is not JSON")
        if not isinstance(call.body, dict):
            raise bad_request("the body is no JSON object")

    def _give_file(self, call: Call) -> Reply:
        self.local_storage.check_signature(call)
        upload = self.uploads.get(call.upload_id)
        file = self.files.find(upload.stored.file_info) if upload and upload.stored else None
        if file is None or file.chunks is None:
            raise Refused(missing_object())
        headers = (("Content-Type", "application/octet-stream"), ("ETag", f'"{file.digests.md5}"'))
        return Reply(200, b"".join(file.chunks), headers)

    def _not_emulated(self, call: Call) -> Reply:
        bare = call.path.partition("?")[0]
        return json_reply({"message": f"not emulated: {call.method} {bare}"}, 501)

    def _unknown(self, call: Call) -> Reply:
        reply = json_reply({"message": "接口不存在", "code": 11274}, 404, code=11274)
        raise Refused(reply, f"{call.method} {call.path} is no call of the platform's")

    def admit(self, call: Call) -> "Admission":
        """Judge a request to storage by its headers alone."""
        try:
            self._look_for_credentials(call)
            return Admission(self.local_storage.admit(call), None)
        except Refused as refusal:
            return Admission(None, self._refusal(call, refusal))

    def _look_for_credentials(self, call: Call) -> None:
        reply = storage_error(400, "InvalidArgument", "credentials beside a signed query")
        named = [n for n in ("Authorization", "Proxy-Authorization", "Cookie") if n in call.headers]
        for name in named:
            self._manners.breach(call, f"{name} header sent to storage", reply)
        if not named and self.tokens.leaked_in(dict(call.headers.items()), call.path):
            self._manners.breach(call, "the bot's token or secret sent to storage", reply)


@dataclass(frozen=True)
class Admission:
    """The judgement on a PUT: the place of its part, or the refusal."""

    part: Optional[StoredPart]
    refusal: Optional[Reply]
