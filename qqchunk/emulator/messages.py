"""Messages: what a bot may send, and which repetition the platform recognises."""

from __future__ import annotations

import datetime
import secrets
import threading
import time
from typing import Dict, List, Optional, Set, Tuple

from .behaviour import Behaviour
from .files import FileRegistry
from .replies import Refused, Reply, bad_request, error_reply, json_reply

_BEIJING = datetime.timezone(datetime.timedelta(hours=8))
_Seen = Tuple[str, str, str, str, int]


class MessageService:
    """Takes messages and keeps them in ``messages``."""

    def __init__(self, behaviour: Behaviour, files: FileRegistry) -> None:
        self.messages: List[Dict[str, object]] = []
        self._behaviour = behaviour
        self._files = files
        self._lock = threading.Lock()
        self._seen: Set[_Seen] = set()

    def send(self, scene: str, target: str, body: Dict[str, object]) -> Reply:
        self._check(scene, body)
        seen = _dedup_key(scene, target, body)
        with self._lock:
            if seen is not None:
                if seen in self._seen:
                    raise Refused(error_reply(40054005))
                self._seen.add(seen)
            self.messages.append(dict(body, scene=scene, target=target))
        fields: Dict[str, object] = {
            "id": f"ROBOT1.0_{secrets.token_urlsafe(24)}",
            "timestamp": self._timestamp(),
            "ext_info": {"ref_idx": f"REFIDX_{secrets.token_urlsafe(12)}"},
        }
        return json_reply(self._behaviour.wrap(fields))

    def _check(self, scene: str, body: Dict[str, object]) -> None:
        msg_type = body.get("msg_type")
        if isinstance(msg_type, bool) or not isinstance(msg_type, int):
            raise bad_request(f"msg_type {msg_type!r} is no int")
        sequence = body.get("msg_seq", 1)
        if isinstance(sequence, bool) or not isinstance(sequence, int):
            raise bad_request(f"msg_seq {sequence!r} is no int")
        for name in ("msg_id", "event_id", "content"):
            if name in body and not isinstance(body[name], str):
                raise bad_request(f"{name} {body[name]!r} is no text")
        if msg_type == 0 and not body.get("content"):
            raise bad_request("a text message without content")
        if msg_type == 7:
            media = body.get("media")
            if not isinstance(media, dict) or not isinstance(media.get("file_info"), str):
                raise bad_request("a media message without media.file_info")
            if not self._files.usable(media["file_info"], scene):
                raise Refused(error_reply(304080))

    def _timestamp(self) -> object:
        if self._behaviour.numbers == "number":
            return int(time.time())  # as documented; the live platform sends text
        return datetime.datetime.now(_BEIJING).isoformat(timespec="seconds")


def _dedup_key(scene: str, target: str, body: Dict[str, object]) -> Optional[_Seen]:
    for name in ("msg_id", "event_id"):
        reference = body.get(name)
        if isinstance(reference, str) and reference:
            sequence = body.get("msg_seq", 1)
            return (scene, target, name, reference, sequence if isinstance(sequence, int) else 1)
    return None
