"""The platform's error codes as data: what each means and what may be done about it.

A reply carries ``err_code`` and ``code``, which may differ; either one finds its row here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Iterable, Optional, Tuple, Type

from ..errors import (
    Again,
    ApiError,
    AuthenticationError,
    UploadDailyLimitExceededError,
    UploadError,
    UploadFileTooLargeError,
)


@dataclass(frozen=True)
class Rule:
    """One row of the table.

    :ivar meaning: what the code says
    :ivar again: whether the same exchange may be made again
    :ivar advice: what the user can do about it
    :ivar error: the exception it becomes in the end
    :ivar ambiguous: True if the call may have been carried out all the same
    """

    meaning: str
    again: Again
    advice: str
    error: Type[UploadError] = ApiError
    ambiguous: bool = False


PART_BUSY = 40093001
TIMED_OUT = 850027
FILE_INFO_EXPIRED = 304080
FILE_INFO_INVALID = 40034032
DUPLICATE_MESSAGE = 40054005
UNDER_REVIEW = (304023, 304024)

_LATER = "try again later"
_REQUEST = "check the arguments; if they are right, report it with the trace id"
_TOKEN = "check that the app id and the secret belong to this bot"
_CONSOLE = "look at the bot's permissions and state in the QQ open platform console"


def _rows() -> Iterable[Tuple[Tuple[int, ...], Rule]]:
    yield (PART_BUSY,), Rule(
        "the transfer channel is busy or failed",
        Again.BUSY, _LATER)
    yield (40093002,), Rule(
        "the bot's daily upload quota (about 2 GB) is used up",
        Again.NEVER, "try again tomorrow or send a smaller file", UploadDailyLimitExceededError)
    yield (850012,), Rule(
        "the platform's backend failed",
        Again.TWICE, _LATER, ambiguous=True)
    yield (850018,), Rule(
        "the group or the bot is muted",
        Again.NEVER, "ask an administrator of the group to lift the mute")
    yield (850019, 40034002), Rule(
        "the format does not fit the file type, or what arrived was empty or garbled",
        Again.NEVER,
        "images are png or jpg, videos mp4, voices silk: send anything else as FileType.FILE; "
        "if the format is right, make sure that the file is whole")
    yield (850026, 40034001), Rule(
        "the platform could not download the url",
        Again.TWICE, "make sure that the url can be fetched from the public internet")
    yield (TIMED_OUT,), Rule(
        "sending timed out",
        Again.BACKOFF, _LATER, ambiguous=True)
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
    yield (11298, 40023002), Rule(
        "this machine's public IP address is not in the bot's whitelist",
        Again.NEVER,
        "add the address from which this machine reaches the internet to the IP whitelist in the "
        "bot's settings in the QQ open platform console; neither the token nor the code is wrong")
    yield (11241, 11243, 11244, 40011027), Rule(
        "the access token is missing, wrong or expired",
        Again.TOKEN, _TOKEN, AuthenticationError)
    yield (11242, 11252, 11263, 11281), Rule(
        "the platform failed while checking the bot",
        Again.ONCE, _LATER)
    yield (
        11245, 11251, 11253, 11254, 11261, 11262, 11264, 11265, 11273, 11274, 11275, 11282,
    ), Rule(
        "the bot lacks the permission, or is banned",
        Again.NEVER, _CONSOLE)
    yield (12001, 12002, 12003, 50006, 1100100, 1100101, 1100102, 1100103, 1100104), Rule(
        "the platform's security or risk control refused",
        Again.NEVER, "look at the content and at the bot's state in the QQ open platform console")
    yield (100001,), Rule(
        "too many requests for a token",
        Again.RATE, _LATER)
    yield (100007, 100016, 10004, 100002), Rule(
        "the app id or the client secret is wrong",
        Again.NEVER, _TOKEN, AuthenticationError)
    yield (22009,), Rule(
        "too many requests",
        Again.RATE, _LATER)
    yield (FILE_INFO_EXPIRED,), Rule(
        "the file_info has expired or belongs to another scene or bot",
        Again.NEVER, "upload the file again for this chat type")
    yield (FILE_INFO_INVALID,), Rule(
        "the file_info is not one of the platform's",
        Again.NEVER, "pass the UploadResult, or file_info exactly as it came, and in its scene")
    yield (304082, 304083, 50055001), Rule(
        "the platform could not convert or send the media",
        Again.TWICE, _LATER)
    yield (50055002, 40054006), Rule(
        "the platform could not check or send the message",
        Again.TWICE, _LATER, ambiguous=True)
    yield (
        40034005, 40034128, 304103, 40034024, 40034025, 40034026, 40034027, 304026, 304027,
    ), Rule(
        "the message or event replied to is too old, used up or not this chat's",
        Again.NEVER,
        "the file is uploaded: send error.result without msg_id and event_id, which counts as a "
        "message of the bot's own accord, or with a newer msg_id")
    yield (
        40034006, 40034101, 40054003, 40054002, 40054004, 40054007, 40054010, 40054013, 40054016,
        40054018, 22006, 304010, 304017, 304020, 304021,
    ), Rule(
        "the chat or the platform does not take this message",
        Again.NEVER, "see what the platform says; the file is uploaded and error.result is good")
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
_SERVER = Rule("the platform failed", Again.BACKOFF, _LATER, ambiguous=True)
_REDIRECT = Rule("the platform answered with a redirect, which is not followed",
                 Again.NEVER, "check api_url and the proxy settings")
_REFUSED = Rule("the platform refused", Again.NEVER, _REQUEST)


def find_rule(http_status: Optional[int], code: Optional[int], err_code: Optional[int]) -> Rule:
    """Return the row for a refusal: by either code, else by the HTTP status."""
    for number in (err_code, code):  # the document says to judge by err_code
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


# COS and S3 say with HTTP 400 that a body stalled or arrived damaged.
_DAMAGED_BODY = ("RequestTimeout", "IncompleteBody", "BadDigest")

# Also MinIO's SlowDownWrite and AWS's ThrottlingException.
_TOO_OFTEN = ("SlowDown", "Throttling", "TooManyRequests", "RequestLimitExceeded")


def find_storage_rule(http_status: int, code: str) -> Rule:
    """Return what storage's refusal of a PUT means, by status and the code in its XML together."""
    if http_status == 429 or code.startswith(_TOO_OFTEN):
        return Rule("storage is asked too often", Again.RATE, _LATER)
    # The URL is dead; another prepare gives others. S3 says ExpiredToken with 400.
    if http_status == 403 or code == "ExpiredToken":
        return Rule("the URL has expired or its signature is wrong", Again.FRESH,
                    "upload the file again")
    if http_status == 413:
        return Rule(
            "a part of this size was refused", Again.NEVER,
            "parts are no larger than storage takes: something between here and storage, a proxy "
            "for example, limits request bodies; let it through, or give a storage_session "
            "without that proxy", UploadFileTooLargeError)
    if http_status in (408, *range(500, 600)) or code in _DAMAGED_BODY:
        return Rule("storage failed", Again.BACKOFF, _LATER)
    return Rule("storage refused", Again.NEVER, "the same again would be refused again")
