"""The small values that every call is made of: chats, file types, file names, secrets."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from posixpath import splitext
from typing import Any, Dict, Mapping, Optional
from urllib.parse import quote

Json = Dict[str, Any]

MAX_NAME_LENGTH = 180  # characters; the platform documents no limit
_SHORTEST_SECRET = 8  # characters; a shorter one cannot be told from words
_MAX_EXTENSION_LENGTH = 20  # longer than any real one: "a.very long sentence" has none

_FORBIDDEN = re.compile(
    r'[\\/:*?"<>|\x00-\x1f\x7f-\x9f\ud800-\udfff'
    # Bidi_Control, which lets "gpj.exe" be shown as "exe.jpg", and Unicode's line separators
    r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029]")


class ChatType(str, Enum):
    """The two kinds of chat a bot sends files to; the platform calls them scenes."""

    C2C = "c2c"  #: one user
    GROUP = "group"  #: a group


class FileType(IntEnum):
    """The platform's ``file_type``."""

    IMAGE = 1  #: png, jpg
    VIDEO = 2  #: mp4
    VOICE = 3  #: silk
    FILE = 4  #: anything


_TYPE_BY_EXTENSION = {
    ".png": FileType.IMAGE,
    ".jpg": FileType.IMAGE,
    ".jpeg": FileType.IMAGE,
    ".mp4": FileType.VIDEO,
    ".silk": FileType.VOICE,
}

_SCENES = {ChatType.C2C: "users", ChatType.GROUP: "groups"}


class Secret(str):
    """Text whose ``repr`` is masked; in all else it is the ``str`` that it holds.

    Tokens, presigned URLs and ``file_info`` travel in this type, because error trackers print the
    ``repr`` of every local variable of a traceback.
    """

    def __repr__(self) -> str:
        return "<secret>"


def clean_file_name(name: str) -> str:
    r"""Return *name* as the platform takes it.

    Separators, ``: * ? " < > |``, control characters (those of the writing direction too) and lone
    surrogates become ``_``, runs of spaces one space, an empty name ``file``; at most 180
    characters, the extension kept.
    """
    name = re.sub(" +", " ", _FORBIDDEN.sub("_", name)).strip(" ")
    if not name.strip("."):
        return "file"
    stem, extension = splitext(name)
    if len(extension) > _MAX_EXTENSION_LENGTH:
        stem, extension = name, ""
    return stem[: MAX_NAME_LENGTH - len(extension)] + extension


def guess_file_type(name: str) -> FileType:
    """Return the file type that fits the extension of *name*; ``FILE`` for all it does not know."""
    return _TYPE_BY_EXTENSION.get(splitext(name)[1].lower(), FileType.FILE)


def chat_path(chat_type: ChatType, target_id: str) -> str:
    """Return the API path of a chat, ``/v2/users/{id}`` or ``/v2/groups/{id}``.

    :raises TypeError: if *target_id* is not text
    :raises ValueError: if it is empty, or could reach another path
    """
    if not isinstance(target_id, str):
        raise TypeError(f"target_id must be the openid as text, not {type(target_id).__name__}")
    try:
        quoted = quote(target_id, safe="")
    except UnicodeEncodeError:
        quoted = ""
    # Dots are never escaped, and HTTP libraries resolve "." and ".." as path segments.
    if not quoted.strip(".") or not target_id.strip():
        raise ValueError(f"target_id must be the openid of a user or group, not {target_id!r}")
    return f"/v2/{_SCENES[chat_type]}/{quoted}"


@dataclass(frozen=True)
class Call:
    """One call to the API, ready to be sent.

    :ivar stage: the step it belongs to, as in ``UploadError.stage``
    :ivar path: below ``api_url``, percent-encoded
    :ivar body: the JSON object to send
    :ivar file_name: the file it is about, for messages
    :ivar file_size: its size in bytes
    :ivar repeatable: False if a call without an answer must not be made again
    :ivar slow: the platform works before it answers, so the read timeout is 120 s at least
    """

    stage: str
    path: str
    body: Mapping[str, Any]
    file_name: Optional[str] = None
    file_size: Optional[int] = None
    repeatable: bool = True
    slow: bool = False

    def mask(self, text: str) -> str:
        """Return the platform's *text* without the secrets that this call told it."""
        values = [*self.body.values(), *self.body.get("media", {}).values()]
        for secret in (value for value in values if isinstance(value, Secret)):
            for part in (secret, secret.partition("?")[2]):
                if len(part) >= _SHORTEST_SECRET:
                    text = text.replace(part, repr(secret))
        return text


@dataclass(frozen=True)
class Reply:
    """What the platform answered to a call that succeeded.

    :ivar fields: the JSON object
    :ivar trace_id: the platform's trace id, for its support
    """

    fields: Json = field(default_factory=dict)
    http_status: int = 200
    trace_id: Optional[str] = None
