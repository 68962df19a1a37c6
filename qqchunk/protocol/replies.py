"""From (status, headers, body) to a JSON object, or to the exception it stands for. No I/O."""

from __future__ import annotations

import json
import math
import re
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any, Dict, Mapping, NoReturn, Optional, Tuple, Union

from ..errors import (
    Again,
    ApiError,
    AuthenticationError,
    PartUploadError,
    ProtocolError,
    UploadDailyLimitExceededError,
    UploadError,
    UploadFileTooLargeError,
)
from .codes import UNDER_REVIEW, Rule, find_rule, find_storage_rule
from .values import Call, Json, Reply, Secret

# Fields of replies whose text is masked, because error trackers print local variables.
_SECRETS = ("access_token", "file_info", "presigned_url", "raw_url", "url")
_MAX_DIGITS = 19  # a longer number is no size, code or time, and costs quadratic time to read
_MAX_MESSAGE = 500  # characters of a message that go into an exception
_MAX_TRACE_ID = 100  # characters; live ones have 32
_PENDING = (201, 202)  # a message accepted, under review


def read_reply(
    call: Call, status: int, headers: Mapping[str, str], body: bytes, now: datetime
) -> Reply:
    """Return the reply of a call that succeeded.

    :param headers: with case-insensitive lookup
    :param now: the aware time against which a Retry-After date is read
    :raises ProtocolError: for a 2xx that is no JSON object (it may be a broken reply)
    :raises UploadError: the typed exception for a refusal, also one sent with HTTP 200
    """
    reply = _json_object(body)
    found = reply or {}
    trace_id = _trace_id(found, headers)
    code, err_code = read_int(found.get("code")), read_int(found.get("err_code"))
    if status < 300 and _accepted(call, status, code, err_code):
        # finish: documented as "nothing"; live sends {}. A message under review is sent,
        # whatever the rest says.
        nothing = call.stage == "finish" and not body.strip()
        if reply is None and not nothing and not (call.stage == "message" and status in _PENDING):
            raise ProtocolError(
                f"{subject(call.file_name, call.stage)}: the reply (HTTP {status}, {len(body)} "
                "bytes) is not a JSON object",
                advice="try again later, and look for a proxy that answers in the platform's place",
                again=Again.BACKOFF, ambiguous=call.stage != "token", stage=call.stage,
                http_status=status, trace_id=trace_id, file_name=call.file_name,
                file_size=call.file_size)
        return Reply(found, status, trace_id)
    retry_after = read_retry_after(headers.get("Retry-After"), now)
    if retry_after is None:  # a 429 may carry it in its body
        retry_after = read_number(found.get("retry_after"))
    raise _refusal(
        call, find_rule(status, code, err_code), status, code, err_code,
        _message(call, found, body), trace_id,
        None if retry_after is None else max(0.0, retry_after))


def _accepted(call: Call, status: int, code: Optional[int], err_code: Optional[int]) -> bool:
    if call.stage == "message" and (status in _PENDING or {code, err_code} & set(UNDER_REVIEW)):
        return True
    return not code and not err_code


def _refusal(
    call: Call, rule: Rule, status: int, code: Optional[int], err_code: Optional[int],
    message: str, trace_id: Optional[str], retry_after: Optional[float],
) -> UploadError:
    """Make the exception for a refusal: at which stage, what the platform said, what helps."""
    numbers = "/".join(str(n) for n in dict.fromkeys((code, err_code)) if n is not None)
    where = [f"code {numbers}"] if numbers else []
    where += [f"HTTP {status}", *([f"trace {trace_id}"] if trace_id else [])]
    said = f": {message}" if message else ""
    wait = f" (it asks to wait {retry_after:.0f} s)" if retry_after else ""
    text = f"{subject(call.file_name, call.stage)}: {rule.meaning} ({', '.join(where)}){said}{wait}"
    facts: Dict[str, Any] = dict(
        stage=call.stage, http_status=status, code=code, err_code=err_code, trace_id=trace_id,
        retry_after=retry_after, advice=rule.advice, again=rule.again,
        # What a token call did is of no consequence.
        ambiguous=rule.ambiguous and call.stage != "token")
    if rule.error is UploadDailyLimitExceededError:
        return UploadDailyLimitExceededError(call.file_name, call.file_size, text, **facts)
    if rule.error is UploadFileTooLargeError:
        return UploadFileTooLargeError(call.file_name, call.file_size, 0, text, **facts)
    facts.update(message=message, file_name=call.file_name, file_size=call.file_size)
    # The token service's final word about a request with credentials is about these.
    credentials = call.stage == "token" and rule.again is Again.NEVER
    credentials = credentials and not 300 <= status < 400
    if rule.error is AuthenticationError or credentials:
        return AuthenticationError(text, **facts)
    return ApiError(text, **facts)


def storage_refusal(
    status: int, headers: Mapping[str, str], body: bytes, now: datetime, *, attempt: int,
    name: str, part_index: int, file_name: str, file_size: int,
) -> UploadError:
    """Make the exception for a PUT that storage refused.

    :param attempt: how often the part was sent, from 1
    :param name: what the text calls the part: ``part 2 of 7``
    """
    code, said = read_storage_error(body)
    rule = find_storage_rule(status, code)
    text = (f"{file_name}, put: {name}: {rule.meaning}: HTTP {status}"
            f"{f' ({said})' if said else ''} to attempt {attempt}")
    facts: Dict[str, Any] = dict(
        stage="put", http_status=status, advice=rule.advice, again=rule.again,
        retry_after=read_retry_after(headers.get("Retry-After"), now))
    if rule.error is UploadFileTooLargeError:
        return UploadFileTooLargeError(file_name, file_size, 0, text, **facts)
    return PartUploadError(
        text, part_index=part_index, attempts=attempt, file_name=file_name, file_size=file_size,
        **facts)


def bad_reply(reply: Reply, what: str, stage: str) -> NoReturn:
    """Raise the exception for a reply that makes no sense."""
    then = "nothing was sent" if stage == "prepare" else "there is no file to send"
    trace = f" (trace {reply.trace_id})" if reply.trace_id else ""
    raise ProtocolError(
        f"{stage}: the platform's reply makes no sense: {what}{trace}; {then}",
        advice="report it if it happens again", stage=stage, http_status=reply.http_status,
        trace_id=reply.trace_id)


def subject(file_name: Optional[str], stage: str) -> str:
    """Return what the text of an error begins with: ``a.mp4, prepare``."""
    return f"{file_name}, {stage}" if file_name else stage


def plain(value: Any) -> Any:
    """Return an equal JSON value whose texts are ``str`` and nothing else, for the user."""
    if isinstance(value, dict):
        return {plain(name): plain(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [plain(entry) for entry in value]
    return str(value) if isinstance(value, str) else value


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


def read_storage_error(body: bytes) -> Tuple[str, str]:
    """Return the code of a storage error (XML), and code and message as a text.

    Nothing else of it: the rest names the object.
    """
    text = body.decode("utf-8", "replace")
    found = {tag: re.search(f"<{tag}>([^<]*)</{tag}>", text) for tag in ("Code", "Message")}
    words = [match.group(1) for match in found.values() if match]
    code = found["Code"]
    return code.group(1).strip() if code else "", ": ".join(words)[:_MAX_MESSAGE]


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


def _message(call: Call, reply: Json, body: bytes) -> str:
    said = read_text(reply.get("message")) or read_text(reply.get("msg"))
    if said:
        return call.mask(said)[:_MAX_MESSAGE]
    title = re.search(rb"<title>([^<]*)</title>", body, re.IGNORECASE)
    return title.group(1).decode("utf-8", "replace").strip()[:_MAX_MESSAGE] if title else ""
