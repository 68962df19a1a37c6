"""What *complete* gives: the file as the platform knows it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any, Dict, NoReturn, Optional

from ..errors import ADVICE, ProtocolError
from .replies import hide_secrets, read_int, read_text, unwrap
from .values import Json, Secret


@dataclass(frozen=True)
class UploadResult:
    """A file the platform has.

    :ivar file_info: the token for a message's ``media.file_info``
    :ivar file_uuid: the platform's id of the file, None if it gave none
    :ivar ttl: for how many seconds ``file_info`` may be used; 0: for long; None: not said
    :ivar expires_at: the end of that time, aware UTC; None if *ttl* is 0 or None
    :ivar reused: True if nothing had to be sent, because the platform or a cache had the file
    :ivar raw: the platform's reply without its wrapping; from a cache, what that kept of it
    """

    file_info: str
    file_uuid: Optional[str] = None
    ttl: Optional[int] = None
    expires_at: Optional[datetime] = None
    reused: bool = False
    raw: Dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        if isinstance(self.file_info, str):  # one made by hand hides it too
            object.__setattr__(self, "file_info", Secret(self.file_info))


def read_result(
    reply: Json, now: datetime, *, stage: str = "complete", reused: bool = False
) -> UploadResult:
    """Return the result in the reply to *complete*.

    :param now: the aware time from which its lifetime counts
    :raises ProtocolError: if there is no ``file_info``: the file is then not with the platform
    """
    reply = unwrap(reply, "file_info")
    file_info = read_text(reply.get("file_info"))
    if file_info is None:
        nonsense("it has no file_info", stage)
    ttl = read_int(reply.get("ttl"))
    if ttl is not None and ttl < 0:
        ttl = None
    return UploadResult(
        file_info=file_info,
        file_uuid=read_text(reply.get("file_uuid")),
        ttl=ttl,
        expires_at=_expiry(ttl, now),
        reused=reused,
        raw=hide_secrets(reply),
    )


def nonsense(what: str, stage: str) -> NoReturn:
    """Raise the exception for a reply that makes no sense."""
    then = "nothing was sent" if stage == "prepare" else "there is no file to send"
    raise ProtocolError(
        f"{stage}: the platform's reply makes no sense: {what}; {then}{ADVICE}"
        "report it if it happens again", stage=stage)


def _expiry(ttl: Optional[int], now: datetime) -> Optional[datetime]:
    try:
        return now.astimezone(timezone.utc) + timedelta(seconds=ttl) if ttl else None
    except OverflowError:
        return None
