"""From (status, headers, body) to a JSON object, or to the exception it stands for. No I/O."""

from __future__ import annotations

import json
import math
import re
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import List, Mapping, Optional, Union

from ..errors import ADVICE, ProtocolError
from .codes import UNDER_REVIEW, refusal
from .values import Call, Json, Secret

# The texts that a reply's traceback, as error trackers print it, must not show.
_SECRETS = ("access_token", "file_info", "presigned_url", "raw_url", "url")
_MAX_DIGITS = 19  # a longer number is no size, code or time, and costs quadratic time to read
_MAX_MESSAGE = 500  # characters of a message that go into an exception
_MAX_TRACE_ID = 100  # characters; live ones have 32
_PENDING = (201, 202)  # a message accepted, under review


def read_reply(
    call: Call, status: int, headers: Mapping[str, str], body: bytes, now: datetime
) -> Json:
    """Return the JSON object of a successful reply.

    :param headers: with case-insensitive lookup
    :param now: the aware time against which a Retry-After date is read
    :raises ProtocolError: for a 2xx that is no JSON object (``retryable``: it may be a broken
        reply)
    :raises UploadError: the typed exception for a refusal, also one sent with HTTP 200
    """
    reply = _json_object(body)
    found = reply or {}
    code, err_code = read_int(found.get("code")), read_int(found.get("err_code"))
    if status < 300 and _accepted(call, status, code, err_code):
        if reply is not None:
            return reply
        if call.stage == "finish" and not body.strip():
            return {}  # documented as "nothing"; live sends {}
        if call.stage == "message" and status in _PENDING:
            return {}  # it is sent, whatever the rest says
        subject = f"{call.file_name}, {call.stage}" if call.file_name else call.stage
        raise ProtocolError(
            f"{subject}: the reply (HTTP {status}, {len(body)} bytes) is not a JSON object"
            f"{ADVICE}try again later, and look for a proxy that answers in the platform's place",
            stage=call.stage, http_status=status, trace_id=_trace_id({}, headers), retryable=True,
            file_name=call.file_name, file_size=call.file_size,
        )
    raise refusal(
        stage=call.stage,
        http_status=status,
        code=code,
        err_code=err_code,
        message=_message(found, body),
        trace_id=_trace_id(found, headers),
        retry_after=read_retry_after(headers.get("Retry-After"), now),
        file_name=call.file_name,
        file_size=call.file_size,
    )


def _accepted(call: Call, status: int, code: Optional[int], err_code: Optional[int]) -> bool:
    if call.stage == "message" and (status in _PENDING or {code, err_code} & set(UNDER_REVIEW)):
        return True
    return not code and not err_code


def hide_secrets(fields: Json) -> Json:
    """Return an equal object, whose tokens and signed URLs do not show in a ``repr``."""
    return {
        name: Secret(value) if name in _SECRETS and isinstance(value, str) else value
        for name, value in fields.items()
    }


def unwrap(reply: Json, *fields: str) -> Json:
    """Return the object under ``data`` if it, and not *reply*, holds one of *fields*."""
    data = reply.get("data")
    if isinstance(data, dict) and not any(f in reply for f in fields):
        if any(f in data for f in fields):
            return data
    return reply


def read_number(value: object) -> Optional[float]:
    """Return a finite number given as a number or as text, else None; a bool is no number."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    if isinstance(value, str) and len(value) > _MAX_DIGITS:
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def read_int(value: object) -> Optional[int]:
    """Return an int, a digit string or an integral float as an int; None for anything else."""
    if isinstance(value, str):
        digits = value.strip()
        if len(digits) <= _MAX_DIGITS and re.fullmatch(r"-?[0-9]+", digits):
            return int(digits)
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < 2.0 ** 63:
        return int(value)
    return None


def read_text(value: object) -> Optional[str]:
    """Return non-empty text, else None."""
    return value if isinstance(value, str) and value else None


def read_retry_after(value: Optional[str], now: datetime) -> Optional[float]:
    """Return the seconds that a Retry-After header asks for: it has seconds, or an HTTP date."""
    if not value:
        return None
    seconds = read_number(value)
    if seconds is None:
        try:
            moment = parsedate_to_datetime(value)
        except (TypeError, ValueError, IndexError, OverflowError):
            return None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=timezone.utc)
        seconds = (moment - now).total_seconds()
    return max(0.0, seconds)


def storage_message(body: bytes) -> str:
    """Return code and message of a storage error (XML): nothing else, the rest names the object."""
    text = body.decode("utf-8", "replace")
    found: List[str] = []
    for tag in ("Code", "Message"):
        match = re.search(f"<{tag}>([^<]*)</{tag}>", text)
        if match:
            found.append(match.group(1))
    return ": ".join(found)[:_MAX_MESSAGE]


def _json_object(body: bytes) -> Optional[Json]:
    try:
        value = json.loads(body, parse_int=_parse_int, object_hook=hide_secrets)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _parse_int(digits: str) -> Union[int, float]:
    return int(digits) if len(digits) <= _MAX_DIGITS else math.nan


def _trace_id(reply: Json, headers: Mapping[str, str]) -> Optional[str]:
    trace_id = read_text(reply.get("trace_id")) or read_text(headers.get("X-Tps-trace-ID"))
    return trace_id[:_MAX_TRACE_ID] if trace_id else None


def _message(reply: Json, body: bytes) -> str:
    for key in ("message", "msg"):
        said = read_text(reply.get(key))
        if said:
            return said[:_MAX_MESSAGE]
    title = re.search(rb"<title>([^<]*)</title>", body, re.IGNORECASE)
    return title.group(1).decode("utf-8", "replace").strip()[:_MAX_MESSAGE] if title else ""
