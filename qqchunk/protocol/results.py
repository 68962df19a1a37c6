"""What *complete* gives: the file as the platform knows it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any, Dict, Optional

from .replies import bad_reply, plain, read_int, read_text, unwrap
from .values import Reply


@dataclass(frozen=True)
class UploadResult:
    """A file the platform has. Its ``repr`` shows neither *file_info* nor *raw*.

    :ivar file_info: the token for a message's ``media.file_info``
    :ivar file_uuid: the platform's id of the file, None if it gave none
    :ivar ttl: for how many seconds ``file_info`` may be used; 0: for a long time; None: not said
    :ivar expires_at: the end of that time, aware UTC; None if *ttl* is 0 or None
    :ivar reused: True if nothing had to be sent, because the platform or a cache had the file
    :ivar raw: the platform's reply without its wrapping; from a cache, what that kept of it
    """

    file_info: str = field(repr=False)
    file_uuid: Optional[str] = None
    ttl: Optional[int] = None
    expires_at: Optional[datetime] = None
    reused: bool = False
    raw: Dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Serialisers and database drivers look at the exact type.
        for name in ("file_info", "file_uuid", "raw"):
            object.__setattr__(self, name, plain(getattr(self, name)))


def read_result(
    reply: Reply, now: datetime, *, stage: str = "complete", reused: bool = False
) -> UploadResult:
    """Return the result in the reply to *complete*.

    :param now: the aware time from which its lifetime counts
    :raises ProtocolError: if there is no ``file_info``: the file is then not with the platform
    """
    fields = unwrap(reply.fields, "file_info")
    file_info = read_text(fields.get("file_info"))
    if file_info is None:
        bad_reply(reply, "it has no file_info", stage)
    ttl = read_int(fields.get("ttl"))
    if ttl is not None and ttl < 0:
        ttl = None
    return UploadResult(
        file_info=file_info,
        file_uuid=read_text(fields.get("file_uuid")),
        ttl=ttl,
        expires_at=_expiry(ttl, now),
        reused=reused,
        raw=fields,
    )


def _expiry(ttl: Optional[int], now: datetime) -> Optional[datetime]:
    try:
        return now.astimezone(timezone.utc) + timedelta(seconds=ttl) if ttl else None
    except OverflowError:
        return None
