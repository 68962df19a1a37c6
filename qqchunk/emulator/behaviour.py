"""How one emulator behaves: every switch and number in one place."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Dict, Optional, Tuple, Union

DEFAULT_BLOCK_SIZE = 10_485_760  # bytes; what the live platform uses

_CHOICES: Dict[str, Tuple[object, ...]] = {
    "numbers": ("mixed", "text", "number", "float"),
    "config": ("nested", "flat", "both", "none"),
    "instant": (False, True, "complete"),
    "quota_stage": ("prepare", "complete"),
    "part_md5_checked_at": ("finish", "complete"),
}


@dataclass
class Behaviour:
    """The options of an :class:`~qqchunk.emulator.Emulator`, under the same names.

    The emulator reads them anew for each request, so a test may change one half-way:
    ``emulator.behaviour.latency = 0.1``. See ``Emulator`` for what each one means.
    """

    app_id: str
    client_secret: str
    index_base: int
    numbers: str
    config: str
    wrapped: bool
    shuffled: bool
    aliases: bool
    part_sizes: bool
    part_indexes: bool
    block_size: object
    concurrency: object
    retry_timeout: object
    retry_delay: object
    token_ttl: object
    url_ttl: float
    upload_ttl: float
    daily_quota: int
    max_file_size: int
    quota_stage: str
    file_info_ttl: object
    part_md5_checked_at: str
    finish_repeatable: bool
    complete_repeatable: bool
    instant: Union[bool, str]
    busy_finishes: int
    latency: float
    rate_limits: bool
    keep_bodies: bool
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


def as_seconds(value: object, default: float) -> float:
    """Read a lifetime however it is spelled; what is no positive number means ``default``."""
    try:
        seconds = float(value)  # type: ignore[arg-type]
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
