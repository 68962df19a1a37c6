"""Scripted faults: what goes wrong, where, and how often."""

from __future__ import annotations

import random
import threading
from typing import Dict, FrozenSet, Iterable, List, Mapping, Optional, Tuple

from .journal import STAGES

#: Refusals by name: the platform's code.
CODES = {
    "ip_not_whitelisted": 11298,
    "no_such_target": 11255,
    "quota": 40093002,
    "too_large": 850031,
    "wrong_format": 850019,
    "timed_out": 850027,
    "backend_error": 850012,
    "rate_limited": 22009,
    "download_failed": 850026,
    "muted": 850018,
    "file_info_expired": 304080,
    "file_info_invalid": 40034032,
    "anchor_expired": 40034005,
    "anchor_used_up": 40034128,
    "no_proactive": 40034105,
    "duplicate": 40054005,
}
#: Storage's refusals by name: HTTP status and the code in the XML.
STORAGE_ERRORS = {
    "slow_down": (503, "SlowDown"),
    "request_timeout": (400, "RequestTimeout"),
    "incomplete_body": (400, "IncompleteBody"),
    "bad_digest": (400, "BadDigest"),
}
_KINDS: Dict[str, str] = {
    # Answers instead of the real one.
    "status": "status body headers retry_after location",
    "code": "code err_code status message trace retry_after body_retry_after",
    **{name: "status message retry_after body_retry_after" for name in CODES},
    **{name: "retry_after" for name in STORAGE_ERRORS},
    "expired_token": "",
    "busy": "status",
    "audit": "status code",
    "expired_url": "",
    "bad_signature": "",
    "html_200": "processed",
    "empty_body": "status processed",
    "wrong_shape": "body status processed",
    # Broken connections.
    "reset": "at_bytes",
    "reset_before": "",
    "reset_midway": "at_bytes",
    "reset_unprocessed": "",
    "reset_after": "",
    "close": "processed",
    "close_after": "",
    "cut_reply": "where processed",
    # Silence and slowness.
    "silence": "processed",
    "stop_reading": "at_bytes",
    "slow": "bandwidth",
    "drip": "delay",
    # Replies that come too early or never end.
    "early_status": "status body headers at_bytes linger",
    "early_200": "at_bytes linger",
    "huge_body": "status size",
    "header_flood": "size",
    "endless_continue": "delay",
}
_OPTIONS: Dict[str, FrozenSet[str]] = {k: frozenset(v.split()) for k, v in _KINDS.items()}

_NUMBERS = {"at_bytes", "bandwidth", "delay", "linger", "size", "status"}

KINDS = tuple(_KINDS)


class Fault:
    """One thing that goes wrong.

    :param stage: ``token``, ``prepare``, ``put``, ``finish``, ``complete``, ``url``, ``message``
        or ``any``.
    :param kind: see below.
    :param part: only this part, by the server's own index (``put`` and ``finish``).
    :param times: how often it strikes; None for ever.
    :param after: this many matching requests pass unharmed first.
    :param chance: probability to strike, 0 … 1, drawn for each matching request.

    Kinds that answer in place of the platform, the request not being acted on:

    * ``status``: ``status=500``, ``body=`` (text or bytes; by default what gateway or storage
      would send), ``headers={}``, ``retry_after=`` (seconds or an HTTP date), ``location=``
    * ``code``: ``code=850012``, ``err_code=``, ``status=``, ``message=``, ``trace=`` (by default
      what the platform sends with that code; None leaves a field out), ``retry_after=`` (as a
      header), ``body_retry_after=`` (in the body)
    * a code by its name, with ``status=``, ``message=`` and both of these: ``ip_not_whitelisted``,
      ``no_such_target``, ``quota``, ``too_large``, ``wrong_format``, ``timed_out``,
      ``backend_error``, ``rate_limited``, ``download_failed``, ``muted``, ``file_info_expired``,
      ``file_info_invalid``, ``anchor_expired``, ``anchor_used_up``, ``no_proactive``,
      ``duplicate``; at storage ``slow_down``, ``request_timeout``, ``incomplete_body``,
      ``bad_digest``, with ``retry_after=``
    * ``expired_token``: every token ends, so that the request is refused for its own
    * ``busy``: code 40093001 · ``expired_url``: the storage's XML with 403, for that URL from now
      on · ``bad_signature``: likewise, once
    * ``html_200`` · ``empty_body`` (acted on, unless ``processed=False``) · ``wrong_shape``:
      ``body=[]`` is any JSON value, ``status=200``
    * ``audit``: the message is taken, but answered ``status=202`` with ``code=304023``

    Kinds that break the connection:

    * ``reset_before`` (nothing read) · ``reset_midway`` or ``reset`` (at half of the body or
      ``at_bytes=``) ·
      ``reset_unprocessed`` (all read, not acted on) · ``reset_after`` (acted on: a lost reply)
    * ``close``: all read, then an orderly close without a reply · ``close_after``: a good reply,
      then the kept-alive connection is closed without notice
    * ``cut_reply``: acted on, then half of the reply: ``where="body"``, ``"headers"`` (also where
      there is no body; http.client takes such a reply for whole) or ``"status"``, in its first line

    Kinds that stall until the client goes or the emulator stops:

    * ``silence``: all read, never answered · ``stop_reading``: reads ``at_bytes=65536``, no more
    * ``endless_continue``: ``100 Continue`` for ever, one each ``delay=0.0`` seconds
    * ``header_flood``: headers for ever, or ``size=`` bytes of them
    * ``huge_body``: ``status=400``, ``size=104857600`` bytes; ``size=None`` for ever

    Kinds that only take long: ``slow`` (reads ``bandwidth=100000`` bytes a second), ``drip`` (the
    reply byte by byte, each after ``delay=0.01`` seconds).

    Kinds that answer too early: ``early_status`` (``status=403``, with ``body=`` and ``headers=``
    as in ``status``) and ``early_200``, once ``at_bytes=`` (0) of the body were read; the
    connection is then closed, after the rest was read and dropped for up to ``linger=0.0`` seconds.

    Where it fits, ``processed=True`` or ``False`` says whether the request is acted on.

    :raises ValueError: for an unknown stage, kind, option, or a number that makes no sense.
    """

    def __init__(
        self,
        stage: str,
        kind: str,
        *,
        part: Optional[int] = None,
        times: Optional[int] = 1,
        after: int = 0,
        chance: float = 1.0,
        **options: object,
    ) -> None:
        if stage not in STAGES and stage != "any":
            raise ValueError(f"no stage {stage!r}: one of {', '.join(STAGES)}, any")
        if kind not in _OPTIONS:
            raise ValueError(f"no fault {kind!r}: one of {', '.join(_OPTIONS)}")
        unknown = sorted(set(options) - _OPTIONS[kind])
        if unknown:
            raise ValueError(f"fault {kind!r} has no option {', '.join(unknown)}")
        if (times is not None and times < 0) or after < 0 or not 0 <= chance <= 1:
            raise ValueError("times and after must not be negative, chance must be 0 … 1")
        for name in _NUMBERS & set(options):
            value = options[name]
            if value is None and name == "size":
                continue
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 0:
                raise ValueError(f"{name} must be a number from 0 on, not {value!r}")
        if not isinstance(options.get("headers", {}), Mapping):
            raise ValueError(f"headers must be a mapping, not {options['headers']!r}")
        if options.get("where", "body") not in ("body", "headers", "status"):
            raise ValueError(f"where must be body, headers or status, not {options['where']!r}")
        if options.get("bandwidth") == 0:
            raise ValueError("a bandwidth of 0 is stop_reading")
        self.stage = stage
        self.kind = kind
        self.part = part
        self.times = times
        self.after = after
        self.chance = chance
        self.options = dict(options)

    def __repr__(self) -> str:
        return f"Fault({self.stage!r}, {self.kind!r}, part={self.part}, times={self.times})"

    def concerns(self, stage: str, part: Optional[int]) -> bool:
        """Say whether a request is of the kind this fault waits for."""
        return self.stage in (stage, "any") and self.part in (None, part)


class _Entry:
    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.seen = 0
        self.struck = 0


class FaultScript:
    """The faults in the order they were added; the first that is due strikes."""

    def __init__(self, faults: Iterable[Fault], seed: int) -> None:
        self._lock = threading.Lock()
        self._random = random.Random(seed)
        self._entries: List[_Entry] = [_Entry(fault) for fault in faults]

    def add(self, fault: Fault) -> None:
        with self._lock:
            self._entries.append(_Entry(fault))

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()

    def waiting(self) -> List[Tuple[int, Fault, Optional[int]]]:
        """Give the faults that may still strike: a number, the fault, how often; None for ever."""
        with self._lock:
            return [
                (number, entry.fault, None if times is None else times - entry.struck)
                for number, entry in enumerate(self._entries)
                for times in (entry.fault.times,)
                if times is None or entry.struck < times
            ]

    def strike(self, stage: str, part: Optional[int]) -> Optional[Fault]:
        """Choose the fault for a request that has just come."""
        chosen: Optional[_Entry] = None
        with self._lock:
            for entry in self._entries:
                fault = entry.fault
                if not fault.concerns(stage, part):
                    continue
                entry.seen += 1  # counted also when an earlier entry strikes
                if chosen is not None or entry.seen <= fault.after:
                    continue
                if fault.times is not None and entry.struck >= fault.times:
                    continue
                if fault.chance < 1.0 and self._random.random() >= fault.chance:
                    continue
                entry.struck += 1
                chosen = entry
        return chosen.fault if chosen else None
