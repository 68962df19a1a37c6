"""Messages: what a bot may send, and which repetition the platform recognises."""

from __future__ import annotations

import datetime
import secrets
import threading
import time
from dataclasses import dataclass
from typing import Dict, List, Optional, Set, Tuple

from .behaviour import Behaviour
from .calls import Call
from .files import FileRegistry, StoredFile
from .replies import Refused, Reply, bad_request, error_reply, json_reply

_BEIJING = datetime.timezone(datetime.timedelta(hours=8))
_Seen = Tuple[str, str, str, str, int]


@dataclass(frozen=True)
class Message:
    """A message that arrived."""

    id: str
    #: ``"users"`` or ``"groups"``, and the openid there.
    scene: str
    target: str
    #: The fields of the call, without those that were null.
    body: Dict[str, object]
    #: The file it shows; None for a text.
    file: Optional[StoredFile]
    #: ``time.time()`` at its arrival.
    at: float


class MessageService:
    """Takes messages and keeps them."""

    def __init__(self, behaviour: Behaviour, files: FileRegistry) -> None:
        #: Their bodies with ``scene`` and ``target`` added, for ``Emulator.messages``.
        self.bodies: List[Dict[str, object]] = []
        self._behaviour = behaviour
        self._files = files
        self._lock = threading.Lock()
        self._seen: Set[_Seen] = set()
        self._messages: List[Message] = []

    def send(self, call: Call) -> Reply:
        """Answer a call that posts a message."""
        file = self._check(call.scene, call.fields)
        seen = _dedup_key(call)
        with self._lock:
            if seen is not None:
                if seen in self._seen:
                    raise Refused(error_reply(40054005))
                self._seen.add(seen)
        fields: Dict[str, object] = {
            "id": self._keep(call, call.fields, file),
            "timestamp": self._timestamp(),
            "ext_info": {"ref_idx": f"REFIDX_{secrets.token_urlsafe(12)}"},
        }
        return json_reply(self._behaviour.wrap(fields))

    def post(self, call: Call, file: StoredFile) -> str:
        """Post an uploaded file by itself, as ``srv_send_msg`` asks; gives the message's id."""
        return self._keep(call, {"msg_type": 7, "media": {"file_info": file.file_info}}, file)

    def all(self) -> List[Message]:
        """Every message that arrived, in order."""
        with self._lock:
            return list(self._messages)

    def _keep(self, call: Call, body: Dict[str, object], file: Optional[StoredFile]) -> str:
        message_id = f"ROBOT1.0_{secrets.token_urlsafe(24)}"
        message = Message(message_id, call.scene, call.target, dict(body), file, time.time())
        with self._lock:
            self._messages.append(message)
            self.bodies.append(dict(body, scene=call.scene, target=call.target))
        return message_id

    def _check(self, scene: str, body: Dict[str, object]) -> Optional[StoredFile]:
        """Raise Refused for what no message may be; give the file of one with media."""
        msg_type = body.get("msg_type")
        if isinstance(msg_type, bool) or not isinstance(msg_type, int):
            raise bad_request(f"msg_type {msg_type!r} is no int")
        sequence = body.get("msg_seq", 1)
        if isinstance(sequence, bool) or not isinstance(sequence, int):
            raise bad_request(f"msg_seq {sequence!r} is no int")
        for name in ("msg_id", "event_id", "content"):
            if not isinstance(body.get(name, ""), str):
                raise bad_request(f"{name} {body[name]!r} is no text")
        if msg_type == 0 and not body.get("content"):
            raise bad_request("a text message without content")
        if msg_type != 7:
            return None
        media = body.get("media")
        file_info = media.get("file_info") if isinstance(media, dict) else None
        if not isinstance(file_info, str):
            raise bad_request("a media message without media.file_info")
        if self._behaviour.content_required and not body.get("content"):
            raise Refused(error_reply(40034006), "a media message without content")
        file = self._files.find(file_info)
        if file is None:
            raise Refused(error_reply(40034032))
        if file.scene != scene or file.expires_at <= time.monotonic():
            raise Refused(error_reply(304080))
        return file

    def _timestamp(self) -> object:
        if self._behaviour.numbers == "number":
            return int(time.time())  # as documented; the live platform sends text
        return datetime.datetime.now(_BEIJING).isoformat(timespec="seconds")


def _dedup_key(call: Call) -> Optional[_Seen]:
    for name in ("msg_id", "event_id"):
        reference = call.fields.get(name)
        if isinstance(reference, str) and reference:
            sequence = call.fields.get("msg_seq", 1)
            number = sequence if isinstance(sequence, int) else 1
            return (call.scene, call.target, name, reference, number)
    return None
