"""How one emulator behaves: every switch and number in one place."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Dict, Optional, Tuple, Union

DEFAULT_BLOCK_SIZE = 10_485_760  # bytes; what the live platform uses

_CHOICES: Dict[str, Tuple[object, ...]] = {
    "numbers": ("mixed", "text", "number", "float"),
    "error_codes": ("both", "code", "err_code"),
    "config": ("nested", "flat", "both", "none"),
    "instant": (False, True, "complete"),
    "quota_stage": ("prepare", "complete"),
    "part_md5_checked_at": ("finish", "complete"),
}


@dataclass
class Behaviour:
    """The options of an :class:`~qqchunk.emulator.Emulator`, under the same names.

    The emulator reads them anew for each request, so a test may change one half-way:
    ``emulator.behaviour.latency = 0.1``.
    """

    #: Refuse what nothing shows the platform to refuse, but no client should do: credentials and
    #: chunked transfer at storage, a wrong ``md5_10m``, a name without extension, … Otherwise it is
    #: noted in ``Emulator.manners`` and passes.
    strict: bool
    #: The one bot there is.
    app_id: str
    client_secret: str
    #: Number of the first part; the live platform counts from 1.
    index_base: int
    #: ``"mixed"`` as live (block sizes and ``expires_in`` as text, the rest numbers), or
    #: ``"text"``, ``"number"``, ``"float"`` for all of them.
    numbers: str
    #: Where ``concurrency`` and its fellows are: ``"nested"`` in ``upload_config``, ``"flat"``,
    #: ``"both"`` (worthless values at the top level) or ``"none"``.
    config: str
    #: Put the fields of every good reply under ``data``.
    wrapped: bool
    #: List the parts out of order.
    shuffled: bool
    #: ``part_list``, ``part_index`` and ``url`` instead of ``parts``, ``index``, ``presigned_url``.
    aliases: bool
    #: Whether each part names its size, and its index.
    part_sizes: bool
    part_indexes: bool
    #: What prepare answers, in bytes and seconds. Ints are spelled as ``numbers`` says, anything
    #: else is sent as it is.
    block_size: object
    concurrency: object
    retry_timeout: object
    retry_delay: object
    #: ``expires_in`` of a token, in seconds. One that is no positive number is sent all the same;
    #: the token then lives 7200 s.
    token_ttl: object
    #: Whether a call for a token gives the one there is, until shortly before its end.
    token_reissued: bool
    #: Seconds until presigned URLs expire.
    url_ttl: float
    #: Seconds after which an upload that was not completed is forgotten.
    upload_ttl: float
    #: Bytes that may be uploaded; there is no midnight here.
    daily_quota: int
    #: Bytes.
    max_file_size: int
    #: Where the quota is charged, ``"prepare"`` or ``"complete"``.
    quota_stage: str
    #: ``ttl`` of a ``file_info`` in seconds; 0 for no end, None to leave it out.
    file_info_ttl: object
    #: ``"finish"`` or ``"complete"``.
    part_md5_checked_at: str
    #: Whether complete compares what came under types 1 … 3 with what prepare was told. One client
    #: saw the platform not do so; an upload of no bytes is refused in any case.
    media_checked: bool
    #: Whether a repetition after success succeeds.
    finish_repeatable: bool
    complete_repeatable: bool
    #: Refuse a part_finish for a part above the ``concurrency`` lowest unconfirmed ones. Nobody
    #: knows how the platform takes any other order: its clients at work ask for these only.
    ordered_finishes: bool
    #: Answer prepare for content that is already here with no parts and a ``file_info``; with
    #: ``"complete"``, with no parts only: complete then gives it.
    instant: Union[bool, str]
    #: Whether a message with media needs a ``content`` that is not empty.
    content_required: bool
    #: Which number a refusal has: ``"both"``, or ``"code"`` or ``"err_code"`` alone.
    error_codes: str
    #: Each part's first so many part_finish calls are answered 40093001.
    busy_finishes: int
    #: Seconds added to each API call.
    latency: float
    #: Enforce 10 prepare, 10 finish and 50 files calls a second (22009).
    rate_limits: bool
    #: False lets the bytes go once they were checked; :meth:`Emulator.received` is then not
    #: available, :meth:`Emulator.stored` is.
    keep_bodies: bool
    #: Host name in presigned URLs, if it shall be another name of the emulator's host.
    storage_host: Optional[str]

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            if value not in choices:
                raise ValueError(f"{name} must be one of {choices}, not {value!r}")

    def spell(self, value: object, *, live_text: bool = False) -> object:
        """Give a number the way the chosen dialect writes it.

        :param value: a plain int is spelled; anything else goes out exactly as it is.
        :param live_text: True for the numbers which the live platform sends as text.
        """
        if isinstance(value, bool) or not isinstance(value, int):
            return value
        if self.numbers == "text" or (self.numbers == "mixed" and live_text):
            return str(value)
        return float(value) if self.numbers == "float" else value

    def wrap(self, fields: Dict[str, object]) -> Dict[str, object]:
        """Put a reply's fields under ``data`` if the dialect asks for it."""
        if not self.wrapped:
            return fields
        return {"code": 0, "message": "success", "data": fields}


BEHAVIOUR_NAMES = tuple(field.name for field in fields(Behaviour))


def as_seconds(value: Any, default: float) -> float:
    """Read a lifetime however it is spelled; what is no positive number means ``default``."""
    try:
        seconds = float(value)
    except (TypeError, ValueError, OverflowError):
        return default
    return seconds if 0 < seconds < float("inf") else default


def as_size(value: object) -> Optional[int]:
    """Read a byte count that came as an int or as a digit string; None if it is neither."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    return None
