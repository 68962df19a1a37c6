"""One thing that is known of the platform."""

from __future__ import annotations

from typing import NamedTuple, Tuple

DOCUMENTED, LIVE, CLIENTS, GUESS = "documented", "live", "clients", "guess"


class Row(NamedTuple):
    """What is known, in both languages, how it is known, and the tests that pin it.

    Without a test, ``why`` and ``why_zh`` say why there is none.
    """

    en: str
    zh: str
    evidence: Tuple[str, ...]
    tests: Tuple[str, ...] = ()
    why: str = ""
    why_zh: str = ""


def row(en: str, zh: str, evidence: str, *tests: str, why: Tuple[str, str] = ("", "")) -> Row:
    """:param evidence: one or more of the four kinds, with spaces between."""
    return Row(en, zh, tuple(evidence.split()), tests, *why)
