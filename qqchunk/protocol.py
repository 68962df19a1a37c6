"""The platform's messages: bodies out, replies in. Pure: no socket, file, clock or thread.

An upload is four kinds of call: *prepare* gives an upload id and a URL per part, each part is
*put* to storage and *finished* with the API, *complete* turns them into a ``file_info``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any, Dict, List, Mapping, NoReturn, Optional, Tuple
from urllib.parse import urlsplit

from .errors import ProtocolError
from .names import ChatType, FileType, Secret, chat_path
from .replies import Call, Json, read_int, read_number, read_text, unwrap

MAX_RETRY_TIMEOUT = 600.0  # seconds; more would hold a caller longer than upload URLs live
DEFAULT_RETRY_TIMEOUT = 120.0
DEFAULT_RETRY_DELAY = 1.0
MIN_RETRY_DELAY = 0.05  # seconds; less would flood the platform

_SECRET_FIELDS = ("file_info", "raw_url")


@dataclass(frozen=True)
class Part:
    """One block of the file.

    :ivar index: the server's own number, sent back as it came
    :ivar offset: where it starts in the file, bytes
    :ivar size: its length, bytes, at least 1
    :ivar url: the presigned URL it is PUT to
    """

    index: int
    offset: int
    size: int
    url: Secret


@dataclass(frozen=True)
class UploadResult:
    """A file the platform has.

    :ivar file_info: the token for a message's ``media.file_info``
    :ivar file_uuid: the platform's id of the file, None if it gave none
    :ivar ttl: for how many seconds ``file_info`` may be used; 0: for long; None: not said
    :ivar expires_at: the end of that time, aware UTC; None if *ttl* is 0 or None
    :ivar reused: True if nothing had to be sent, because the platform or a cache had the file
    :ivar raw: the platform's reply
    """

    file_info: str
    file_uuid: Optional[str] = None
    ttl: Optional[int] = None
    expires_at: Optional[datetime] = None
    reused: bool = False
    raw: Dict[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True)
class UploadPlan:
    """What *prepare* asks for: parts that cover the file exactly once, in order.

    :ivar upload_id: names this upload in the calls that follow
    :ivar parts: empty if the platform has the file already
    :ivar concurrency: parts at a time, 1 to the local cap
    :ivar retry_timeout: seconds to poll for one part
    :ivar retry_delay: seconds between two polls
    :ivar result: the result, if the platform gave it at once
    """

    upload_id: str
    parts: Tuple[Part, ...]
    concurrency: int = 1
    retry_timeout: float = DEFAULT_RETRY_TIMEOUT
    retry_delay: float = DEFAULT_RETRY_DELAY
    result: Optional[UploadResult] = None


@dataclass(frozen=True)
class Upload:
    """One file on its way to one chat: the bodies of its calls."""

    chat_type: ChatType
    target_id: str
    file_type: FileType
    file_name: str
    file_size: int

    def prepare(self, md5: str, sha1: str, md5_10m: str) -> Call:
        """Ask for an upload id and part URLs; the digests in lower-case hex."""
        return self._call("prepare", "upload_prepare", {
            "file_type": int(self.file_type),
            "file_size": str(self.file_size),  # documented as text
            "file_name": self.file_name,
            "md5": md5,
            "sha1": sha1,
            "md5_10m": md5_10m,
        })

    def finish(self, plan: UploadPlan, part: Part, md5: str) -> Call:
        """Say that *part* is at storage; *md5* of the bytes that were sent."""
        return self._call("finish", "upload_part_finish", {
            "upload_id": plan.upload_id,
            "part_index": part.index,
            "block_size": str(part.size),
            "md5": md5,
        })

    def complete(self, plan: UploadPlan) -> Call:
        """Ask for the ``file_info`` of the whole."""
        return self._call("complete", "files", {
            "file_type": int(self.file_type),
            "srv_send_msg": False,  # true would post a message with every repeat
            "file_name": self.file_name,
            "upload_id": plan.upload_id,
        }, slow=True)

    def _call(self, stage: str, name: str, body: Json, slow: bool = False) -> Call:
        path = f"{chat_path(self.chat_type, self.target_id)}/{name}"
        return Call(stage, path, body, self.file_name, self.file_size, slow=slow)


def read_plan(
    reply: Json, file_size: int, *, max_concurrency: int, https_only: bool, now: datetime
) -> UploadPlan:
    """Return the plan in the reply to *prepare*, whatever its dialect.

    :param file_size: bytes the parts must add up to
    :param max_concurrency: the local cap on the server's concurrency
    :param https_only: refuse plain http for part URLs
    :param now: the aware time from which a result's lifetime counts
    :raises ProtocolError: if the parts do not cover the file exactly once
    """
    reply = unwrap(reply, "parts", "part_list", "upload_id", "file_info")
    entries = _pick(reply, "parts", "part_list")
    if not entries and read_text(reply.get("file_info")):
        return UploadPlan("", (), result=read_result(reply, now, stage="prepare", reused=True))
    upload_id = read_text(reply.get("upload_id"))
    if upload_id is None:
        _nonsense("it has no upload_id")
    if not isinstance(entries, list):
        _nonsense("it has no list of parts")
    config = reply.get("upload_config")
    nested: Json = config if isinstance(config, dict) else {}

    def setting(name: str) -> Optional[float]:
        number: Optional[float] = read_number(nested[name] if name in nested else reply.get(name))
        return number

    timeout = _positive(setting("retry_timeout"), DEFAULT_RETRY_TIMEOUT)
    timeout = min(timeout, MAX_RETRY_TIMEOUT)
    delay = _positive(setting("retry_delay"), DEFAULT_RETRY_DELAY)
    return UploadPlan(
        upload_id,
        _read_parts(entries, reply.get("block_size"), file_size, https_only) if entries else (),
        concurrency=int(max(1, min(setting("concurrency") or 1, max_concurrency))),
        retry_timeout=timeout,
        retry_delay=min(max(delay, MIN_RETRY_DELAY), timeout),
    )


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
        _nonsense("it has no file_info", stage)
    ttl = read_int(reply.get("ttl"))
    if ttl is not None and ttl < 0:
        ttl = None
    return UploadResult(
        file_info=Secret(file_info),
        file_uuid=read_text(reply.get("file_uuid")),
        ttl=ttl,
        expires_at=_expiry(ttl, now),
        reused=reused,
        raw={k: Secret(v) if k in _SECRET_FIELDS and isinstance(v, str) else v
             for k, v in reply.items()},
    )


def token_call(path: str, app_id: str, client_secret: Secret) -> Call:
    """Ask for an access token; both values go as text, the platform refuses numbers."""
    return Call("token", path, {"appId": app_id, "clientSecret": client_secret})


def read_token(reply: Json) -> Tuple[Secret, float]:
    """Return the access token and its life in seconds.

    :raises ProtocolError: if there is no token
    """
    reply = unwrap(reply, "access_token")
    token = read_text(reply.get("access_token"))
    if token is None or not token.isprintable() or not token.isascii():
        _nonsense("it has no access_token", "token")
    return Secret(token), max(0.0, read_number(reply.get("expires_in")) or 0.0)


def _read_parts(
    entries: List[Any], block_size: object, file_size: int, https_only: bool
) -> Tuple[Part, ...]:
    numbered: List[Tuple[int, Json]] = []
    for position, entry in enumerate(entries):
        if not isinstance(entry, dict):
            _nonsense(f"its part at position {position} is not an object")
        index = _pick(entry, "index", "part_index")
        # The document counts from 0 and the live server from 1: a list without numbers follows
        # the live one.
        number = position + 1 if index is None else read_int(index)
        if number is None:
            _nonsense(f"its part at position {position} has no usable index")
        numbered.append((number, entry))
    without = sum(1 for _, entry in numbered if _pick(entry, "index", "part_index") is None)
    if without not in (0, len(numbered)):
        _nonsense(f"{without} of its {len(numbered)} parts have no index")
    numbered.sort(key=lambda pair: pair[0])
    base = numbered[0][0]
    if base not in (0, 1) or any(n != base + i for i, (n, _) in enumerate(numbered)):
        _nonsense("its part indexes are not each number from 0 or 1 on, once")
    parts: List[Part] = []
    offset = 0
    common = read_int(block_size)
    for number, entry in numbered:
        own = entry.get("block_size")
        size = min(common or 0, file_size - offset) if own is None else read_int(own)
        if size is None or size < 1:
            _nonsense(f"its part {number} would be empty")
        parts.append(Part(number, offset, size, _read_url(entry, number, https_only)))
        offset += size
    if offset != file_size:
        _nonsense(f"its parts add up to {offset} bytes and the file has {file_size}")
    return tuple(parts)


def _read_url(entry: Json, number: int, https_only: bool) -> Secret:
    url = read_text(_pick(entry, "presigned_url", "url")) or ""
    wanted = ("https",) if https_only else ("http", "https")
    try:
        split = urlsplit(url)
        # Credentials in a URL would become an Authorization header.
        good = (split.scheme in wanted and split.hostname and split.port != 0
                and "@" not in split.netloc and url.isascii() and url.isprintable()
                and " " not in url)
    except ValueError:
        good = False
    if not good:
        _nonsense(f"its part {number} has no {' or '.join(wanted)} URL")
    return Secret(url)


def _pick(entry: Mapping[str, Any], *names: str) -> object:
    """Return the first of *names* that is there: by presence, since 0 is a real index."""
    for name in names:
        if entry.get(name) is not None:
            value: object = entry[name]
            return value
    return None


def _positive(value: Optional[float], default: float) -> float:
    return value if value is not None and value > 0 else default


def _expiry(ttl: Optional[int], now: datetime) -> Optional[datetime]:
    try:
        return now.astimezone(timezone.utc) + timedelta(seconds=ttl) if ttl else None
    except OverflowError:
        return None


def _nonsense(what: str, stage: str = "prepare") -> NoReturn:
    raise ProtocolError(
        f"{stage}: the platform's reply makes no sense: {what}; nothing was sent on the strength "
        "of it, report it if it happens again", stage=stage)
