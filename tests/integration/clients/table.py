"""The table of docs/clients.rst: what was observed, in words that both languages share."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import List, Mapping

from .environments import CLIENTS, ROOT
from .situations import SITUATIONS, Outcome, Situation

#: The calls that a client may repeat, in the order in which they are told.
STAGES = ("token", "prepare", "put", "finish", "complete", "url", "message")
PAGES = ("docs/clients.rst", "docs/zh/clients.rst")
BEGIN = ".. The table below is written by the tests: python -m pytest -m clients --write-tables"
END = ".. The table above is written by the tests."

Observations = Mapping[str, Mapping[str, Outcome]]


def cell(observed: Mapping[str, Outcome], situation: Situation) -> str:
    """Tell one outcome: whether the file came, how, and which calls were made again."""
    outcome = observed[situation.name]
    if outcome.struck is False:
        return "—"
    told = ["✓" if outcome.arrived else "✗"]
    if outcome.error:
        told.append(f"``{outcome.error}``")
    if not situation.troubled:
        return " ".join([*told, _way(outcome)])
    more = Counter(outcome.calls) - Counter(observed["12 MB, c2c"].calls)
    for stage in STAGES:
        times = sum(count for (called, _), count in more.items() if called == stage)
        if times:
            told.append(f"+{times} {stage}")
    return " ".join(told)


def _way(outcome: Outcome) -> str:
    parts = sum(stage == "put" for stage, _ in outcome.calls)
    if parts:
        return f"{parts} PUT"
    return "file_data" if outcome.inline else "url"


def render(observations: Observations) -> List[str]:
    """The lines of the table."""
    lines = ["", ".. list-table::", "   :header-rows: 1", "   :stub-columns: 1", ""]
    names = [f"{client.name} {client.version}".strip() for client in CLIENTS]
    lines += _row(["", *names])
    for situation in SITUATIONS:
        cells = [cell(observations[client.name], situation) for client in CLIENTS]
        lines += _row([f"``{situation.name}``", *cells])
    lines += _row(["``manners``", *(_manners(observations[client.name]) for client in CLIENTS)])
    return [*lines, ""]


def _row(cells: List[str]) -> List[str]:
    bullets = ["   * - ", *["     - "] * (len(cells) - 1)]
    return [(bullet + text).rstrip() for bullet, text in zip(bullets, cells)]


def _manners(observed: Mapping[str, Outcome]) -> str:
    noted = [note for outcome in observed.values() for note in outcome.manners]
    kinds = {re.sub("[0-9a-f]{32}", "…", re.sub(r" part \d+", "", note)) for note in noted}
    return "; ".join(f"``{kind}``" for kind in sorted(kinds)) or "—"


def read(page: str) -> List[str]:
    """The lines of the table in a page."""
    lines = (ROOT / page).read_text(encoding="utf-8").splitlines()
    return lines[lines.index(BEGIN) + 1:lines.index(END)]


def write(page: str, table: List[str]) -> None:
    path: Path = ROOT / page
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[lines.index(BEGIN) + 1:lines.index(END)] = table
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
