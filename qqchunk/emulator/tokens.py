"""Access tokens: who gets one, how long it lives, what a wrong one is answered."""

from __future__ import annotations

import math
import secrets
import threading
import time
from typing import Callable, Dict, Mapping, Optional, Tuple

from .behaviour import Behaviour, as_seconds
from .calls import Call
from .replies import Refused, Reply, error_reply, json_reply

OLD_TOKEN_LIFE = 60.0  # seconds a token lives on once a newer one was fetched


class TokenService:
    """Issues access tokens for the one bot there is, and recognises them."""

    def __init__(
        self, behaviour: Behaviour, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._behaviour = behaviour
        self._clock = clock
        self._lock = threading.Lock()
        self._ends: Dict[str, float] = {}  # token → second of the clock at its end

    def issue(self, call: Call) -> Reply:
        """Answer a call for a token; refusals come with HTTP 200, as on the platform."""
        content_type, body = call.headers.get("Content-Type", ""), call.body
        if not is_json(content_type):
            raise Refused(error_reply(100007), f"content type {content_type!r} is not JSON")
        if not isinstance(body, dict):
            raise Refused(error_reply(100002), "the body is no JSON object")
        for name in ("appId", "clientSecret"):
            if name not in body:
                raise Refused(error_reply(100007), f"{name} is missing")
            if not isinstance(body[name], str):
                raise Refused(error_reply(100002), f"{name} is no JSON string")
        wanted = self._behaviour
        if (body["appId"], body["clientSecret"]) != (wanted.app_id, wanted.client_secret):
            raise Refused(error_reply(100016))
        token, expires_in = self._give()
        fields: Dict[str, object] = {
            "access_token": token,
            "expires_in": wanted.spell(expires_in, live_text=True),
        }
        return json_reply(wanted.wrap(fields))

    def _give(self) -> Tuple[str, object]:
        """Give the token there is, or a new one shortly before its end, and what to say of it."""
        told = self._behaviour.token_ttl
        life = as_seconds(told, 7200.0)
        now = self._clock()
        with self._lock:
            self._ends = {old: end for old, end in self._ends.items() if end > now}
            latest = max(self._ends, key=self._ends.__getitem__, default=None)
            rest = self._ends[latest] - now if latest else 0.0
            if latest and rest > min(OLD_TOKEN_LIFE, life / 2) and self._behaviour.token_reissued:
                if isinstance(told, int) and not isinstance(told, bool):
                    return latest, min(math.floor(rest), told)
                return latest, told
            self._ends = {old: min(end, now + OLD_TOKEN_LIFE) for old, end in self._ends.items()}
            token = secrets.token_urlsafe(48)
            self._ends[token] = now + life
        return token, told

    def check(self, authorization: Optional[str]) -> None:
        """Raise Refused unless the header holds a living token."""
        if not authorization:
            raise Refused(error_reply(11241), "no Authorization header")
        scheme, _, token = authorization.partition(" ")
        if scheme != "QQBot" or not token:
            raise Refused(error_reply(11241), "the Authorization header is not 'QQBot <token>'")
        with self._lock:
            end = self._ends.get(token, 0.0)
        if end <= self._clock():
            raise Refused(error_reply(11244))

    def leaked_in(self, headers: Mapping[str, str], target: str) -> bool:
        """Say whether a token or the secret shows up in a request where it has no business."""
        with self._lock:
            known = [self._behaviour.client_secret, *self._ends]
        texts = [target, *headers.values()]
        return any(secret in text for secret in known if secret for text in texts)

    def expire(self) -> None:
        """End every token at once."""
        with self._lock:
            self._ends.clear()


def is_json(content_type: str) -> bool:
    return content_type.partition(";")[0].strip().lower() == "application/json"
