"""What *prepare* asks for: the parts, their URLs and the pace. Liberal in what it accepts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Callable, List, Mapping, NoReturn, Optional, Tuple
from urllib.parse import urlsplit

from .replies import bad_reply, read_int, read_number, read_text, unwrap
from .results import UploadResult, read_result
from .values import Json, Reply, Secret

_Refuse = Callable[[str], NoReturn]  # raises the exception for the whole reply

MAX_RETRY_TIMEOUT = 600.0  # seconds; more would hold a caller longer than upload URLs live
DEFAULT_RETRY_TIMEOUT = 120.0
DEFAULT_RETRY_DELAY = 1.0
MIN_RETRY_DELAY = 0.05  # seconds; less would flood the platform


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


def read_plan(
    reply: Reply, file_size: int, *, max_concurrency: int, https_only: bool, now: datetime
) -> UploadPlan:
    """Return the plan in the reply to *prepare*, whatever its dialect.

    :param file_size: bytes the parts must add up to
    :param max_concurrency: the local cap on the server's concurrency
    :param https_only: refuse plain http for part URLs
    :param now: the aware time from which a result's lifetime counts
    :raises ProtocolError: if the parts do not cover the file exactly once
    """
    def refuse(what: str) -> NoReturn:
        bad_reply(reply, what, "prepare")

    fields = unwrap(reply.fields, "upload_id", "file_info")
    entries = _pick(fields, "parts", "part_list")
    if not entries and read_text(fields.get("file_info")):
        return UploadPlan("", (), result=read_result(reply, now, reused=True))
    upload_id = read_text(fields.get("upload_id"))
    if upload_id is None:
        refuse("it has no upload_id")
    if not isinstance(entries, list):
        refuse("it has no list of parts")
    config = fields.get("upload_config")
    nested: Json = config if isinstance(config, dict) else {}

    def setting(name: str) -> Optional[float]:
        number: Optional[float] = read_number(nested[name] if name in nested else fields.get(name))
        return number

    timeout = _positive(setting("retry_timeout"), DEFAULT_RETRY_TIMEOUT)
    timeout = min(timeout, MAX_RETRY_TIMEOUT)
    delay = _positive(setting("retry_delay"), DEFAULT_RETRY_DELAY)
    return UploadPlan(
        upload_id,
        _read_parts(
            entries, fields.get("block_size"), file_size, https_only, refuse) if entries else (),
        concurrency=int(max(1, min(setting("concurrency") or 1, max_concurrency))),
        retry_timeout=timeout,
        retry_delay=min(max(delay, MIN_RETRY_DELAY), timeout),
    )


def _read_parts(
    entries: List[Any], block_size: object, file_size: int, https_only: bool, refuse: _Refuse
) -> Tuple[Part, ...]:
    numbered: List[Tuple[int, Json]] = []
    for position, entry in enumerate(entries):
        if not isinstance(entry, dict):
            refuse(f"its part at position {position} is not an object")
        index = _pick(entry, "index", "part_index")
        # The document counts from 0 and the live server from 1: a list without numbers follows
        # the live one.
        number = position + 1 if index is None else read_int(index)
        if number is None:
            refuse(f"its part at position {position} has no usable index")
        numbered.append((number, entry))
    without = sum(1 for _, entry in numbered if _pick(entry, "index", "part_index") is None)
    if without not in (0, len(numbered)):
        refuse(f"{without} of its {len(numbered)} parts have no index")
    numbered.sort(key=lambda pair: pair[0])
    base = numbered[0][0]
    if base not in (0, 1) or any(n != base + i for i, (n, _) in enumerate(numbered)):
        refuse("its part indexes are not each number from 0 or 1 on, once")
    parts: List[Part] = []
    offset = 0
    common = read_int(block_size)
    for number, entry in numbered:
        own = entry.get("block_size")
        size = min(common or 0, file_size - offset) if own is None else read_int(own)
        if size is None or size < 1:
            refuse(f"its part {number} would be empty")
        parts.append(Part(number, offset, size, _read_url(entry, number, https_only, refuse)))
        offset += size
    if offset != file_size:
        refuse(f"its parts add up to {offset} bytes and the file has {file_size}")
    return tuple(parts)


def _read_url(entry: Json, number: int, https_only: bool, refuse: _Refuse) -> Secret:
    url = Secret(read_text(_pick(entry, "presigned_url", "url")) or "")
    wanted = ("https",) if https_only else ("http", "https")
    if not _is_usable(url, wanted):
        refuse(f"its part {number} has no {' or '.join(wanted)} URL")
    return url


def _is_usable(url: str, schemes: Tuple[str, ...]) -> bool:
    if not url.isascii() or not url.isprintable() or " " in url:
        return False
    try:
        split = urlsplit(url)
        # Credentials in a URL would become an Authorization header.
        return (split.scheme in schemes and bool(split.hostname) and split.port != 0
                and "@" not in split.netloc)
    except ValueError:
        return False


def _pick(entry: Mapping[str, Any], *names: str) -> object:
    """Return the first of *names* that is there: by presence, since 0 is a real index."""
    for name in names:
        if entry.get(name) is not None:
            value: object = entry[name]
            return value
    return None


def _positive(value: Optional[float], default: float) -> float:
    return value if value is not None and value > 0 else default
