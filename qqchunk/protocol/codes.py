"""The platform's error codes as data: what each means and what may be done about it.

A reply carries ``code`` and ``err_code``, which may differ; either one finds its row here.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, Dict, Iterable, NamedTuple, Optional, Type

from ..errors import (
    ADVICE,
    ApiError,
    AuthenticationError,
    PartUploadError,
    ProtocolError,
    TransportError,
    UploadDailyLimitExceededError,
    UploadError,
    UploadFileTooLargeError,
)


class Again(Enum):
    """Whether, and how, the same call may be made again."""

    NEVER = "never"
    BACKOFF = "backoff"  # as often as the caller's ``retries`` says
    ONCE = "once"  # one more time, if ``retries`` allows it
    TWICE = "twice"  # at most two more times, and no more than ``retries``
    RATE = "rate"  # by the clock, after Retry-After or a back-off
    BUSY = "busy"  # by the clock, at a steady pace
    TOKEN = "token"  # once, with a new access token


class Rule(NamedTuple):
    """One row of the table.

    :ivar meaning: what the code says
    :ivar again: whether the same call may be made again
    :ivar advice: what the user can do about it
    :ivar error: the exception it becomes in the end
    """

    meaning: str
    again: Again
    advice: str
    error: Type[UploadError] = ApiError


PART_BUSY = 40093001
BACKEND_FAILED = 850012
FILE_INFO_EXPIRED = 304080
DUPLICATE_MESSAGE = 40054005
UNDER_REVIEW = (304023, 304024)

_LATER = "try again later"
_REQUEST = "check the arguments; if they are right, report it with the trace id"
_TOKEN = "check that the app id and the secret belong to this bot"
_CONSOLE = "look at the bot's permissions and state in the QQ open platform console"


def _rows() -> Iterable[tuple[tuple[int, ...], Rule]]:
    yield (PART_BUSY,), Rule(
        "the transfer channel is busy or failed",
        Again.BUSY, _LATER)
    yield (40093002,), Rule(
        "the bot's daily upload quota (about 2 GB) is used up",
        Again.NEVER, "try again tomorrow or send a smaller file", UploadDailyLimitExceededError)
    yield (BACKEND_FAILED,), Rule(
        "the platform's backend failed",
        Again.TWICE, _LATER)
    yield (850018,), Rule(
        "the group or the bot is muted",
        Again.NEVER, "ask an administrator of the group to lift the mute")
    yield (850019, 40034002), Rule(
        "the format does not fit the file type, or what arrived was empty or garbled",
        Again.NEVER,
        "images are png or jpg, videos mp4, voices silk: send anything else as FileType.FILE; "
        "if the format is right, make sure that the file is whole")
    yield (850026,), Rule(
        "the platform could not download the url",
        Again.TWICE, "make sure that the url can be fetched from the public internet")
    yield (850027,), Rule(
        "sending timed out",
        Again.BACKOFF, _LATER)
    yield (850031,), Rule(
        "the file is over the platform's size limit",
        Again.NEVER, "send a smaller file", UploadFileTooLargeError)
    yield (40034004,), Rule(
        "the media transfer failed",
        Again.TWICE, _LATER)
    yield (40093010,), Rule(
        "the url is bad",
        Again.NEVER, "give a complete http(s) url")
    yield (10000, 10998, 40011000), Rule(
        "the request is bad or too large",
        Again.NEVER, _REQUEST)
    yield (11255, 40011028), Rule(
        "no such target for this bot",
        Again.NEVER,
        "check that the openid was given to this bot and not to another, that a user's goes with "
        "\"c2c\" and a group's with \"group\", and that the user still talks to the bot")
    yield (11241, 11243, 11244, 40011027), Rule(
        "the access token is missing, wrong or expired",
        Again.TOKEN, _TOKEN, AuthenticationError)
    yield (11242, 11252, 11263, 11281), Rule(
        "the platform failed while checking the bot",
        Again.ONCE, _LATER)
    yield (11245, 11251, 11253, 11254, 11265), Rule(
        "the bot lacks the permission, or is banned",
        Again.NEVER, _CONSOLE)
    yield (100001,), Rule(
        "too many requests for a token",
        Again.RATE, _LATER, AuthenticationError)
    yield (100007, 100016, 10004, 100002), Rule(
        "the app id or the client secret is wrong",
        Again.NEVER, _TOKEN, AuthenticationError)
    yield (22009,), Rule(
        "too many requests",
        Again.RATE, _LATER)
    yield (FILE_INFO_EXPIRED,), Rule(
        "the file_info has expired or belongs to another scene or bot",
        Again.NEVER, "upload the file again for this chat type")
    yield (304082, 304083, 50055001), Rule(
        "the platform could not convert or send the media",
        Again.TWICE, _LATER)
    yield (40034005,), Rule(
        "the message replied to is too old",
        Again.NEVER, "answer sooner, or send without msg_id")
    yield (40034105, 40034100), Rule(
        "the bot may not send messages of its own accord, or has used up their number",
        Again.NEVER, "reply to a message with msg_id; " + _CONSOLE)
    yield (DUPLICATE_MESSAGE,), Rule(
        "a message with this msg_seq was sent already",
        Again.NEVER, "give each message of one reply a msg_seq of its own")


RULES: Dict[int, Rule] = {code: rule for codes, rule in _rows() for code in codes}

_TOO_LARGE = Rule(
    "the request or the file is too large for the gateway",
    Again.NEVER, "send a smaller file", UploadFileTooLargeError)
_RATE = Rule("too many requests", Again.RATE, _LATER)
_UNAUTHORIZED = Rule("the access token was refused", Again.TOKEN, _TOKEN, AuthenticationError)
_SERVER = Rule("the platform failed", Again.BACKOFF, _LATER)
_REDIRECT = Rule("the platform answered with a redirect, which is not followed",
                 Again.NEVER, "check api_url and the proxy settings")
_REFUSED = Rule("the platform refused", Again.NEVER, _REQUEST)


def find_rule(http_status: Optional[int], code: Optional[int], err_code: Optional[int]) -> Rule:
    """Return the row for a refusal: by either code, else by the HTTP status."""
    for number in (code, err_code):
        if number in RULES:
            return RULES[number]
    status = http_status or 0
    if status == 413:
        return _TOO_LARGE
    if status == 429:
        return _RATE
    if status == 401 and not code and not err_code:
        return _UNAUTHORIZED
    if status >= 500:
        return _SERVER
    if 300 <= status < 400:
        return _REDIRECT
    return _REFUSED


def again(error: UploadError) -> Again:
    """Say whether, and how, the call that ended in *error* may be made again."""
    if isinstance(error, (TransportError, ProtocolError, PartUploadError)):
        return Again.BACKOFF if error.retryable else Again.NEVER
    return find_rule(error.http_status, error.code, error.err_code).again


def is_unclear(error: UploadError) -> bool:
    """Say whether the call that ended in *error* may have been carried out all the same."""
    return again(error) is Again.BACKOFF or BACKEND_FAILED in (error.code, error.err_code)


def is_plain_refusal(error: UploadError) -> bool:
    """Say whether *error* is a 4xx about the call itself, not about the bot, a limit or a quota."""
    refused = type(error) is ApiError and 400 <= (error.http_status or 0) < 500
    return refused and again(error) is Again.NEVER


def refusal(
    *,
    stage: str,
    http_status: int,
    code: Optional[int],
    err_code: Optional[int],
    message: str,
    trace_id: Optional[str],
    retry_after: Optional[float],
    file_name: Optional[str],
    file_size: Optional[int],
) -> UploadError:
    """Make the exception for a refusal by the platform.

    Its text says at which stage, what the platform said, and what the user can do.
    """
    rule = find_rule(http_status, code, err_code)
    numbers = "/".join(str(n) for n in dict.fromkeys((code, err_code)) if n is not None)
    where = ", ".join(
        part for part in (
            f"code {numbers}" if numbers else "",
            f"HTTP {http_status}",
            f"trace {trace_id}" if trace_id else "",
        ) if part
    )
    said = f": {message}" if message else ""
    wait = f" (it asks to wait {retry_after:.0f} s)" if retry_after else ""
    subject = f"{file_name}, {stage}" if file_name else stage
    text = f"{subject}: {rule.meaning} ({where}){said}{wait}{ADVICE}{rule.advice}"
    facts: Dict[str, Any] = dict(
        stage=stage, http_status=http_status, code=code, err_code=err_code, trace_id=trace_id,
        retryable=rule.again not in (Again.NEVER, Again.TOKEN), retry_after=retry_after,
    )
    if rule.error is UploadDailyLimitExceededError:
        return UploadDailyLimitExceededError(file_name, file_size, text, **facts)
    if rule.error is UploadFileTooLargeError:
        return UploadFileTooLargeError(file_name, file_size, 0, text, **facts)
    cls = AuthenticationError if stage == "token" or rule.error is AuthenticationError else ApiError
    return cls(text, message=message, file_name=file_name, file_size=file_size, **facts)
