"""What is known of the platform, row by row, and the test that pins the emulator to it.

``python -m tests.emulator.fidelity`` writes the pages docs/fidelity.rst and docs/zh/fidelity.rst.
"""

from __future__ import annotations

import pathlib
import unicodedata
from typing import Dict, List, NamedTuple, Tuple

from tests.emulator import fidelity_errors, fidelity_rows
from tests.emulator.fidelity_row import CLIENTS, DOCUMENTED, GUESS, LIVE, Row

ROOT = pathlib.Path(__file__).parents[2]
ROWS: Dict[str, List[Row]] = {
    "requests": fidelity_rows.REQUESTS,
    "replies": fidelity_rows.REPLIES,
    "error-bodies": fidelity_errors.BODIES,
    "error-codes": fidelity_errors.CODES,
    "platform-limits": fidelity_rows.LIMITS,
    "as-live": fidelity_rows.AS_LIVE,
}
PAGES = {"en": "docs/fidelity.rst", "zh": "docs/zh/fidelity.rst"}


class _Words(NamedTuple):
    title: str
    opening: str
    contents: str
    sections: Dict[str, str]
    columns: Tuple[str, str, str]
    evidence: Dict[str, str]
    why: str


_WORDS = {
    "en": _Words(
        "What the emulator holds to",
        "How close the emulator comes to the platform: each thing that is known of it, how it is "
        "known, and the test\nthat holds the emulator to it.\n\n"
        "中文：`docs/zh/fidelity.rst <zh/fidelity.rst>`__ · `The emulator <testing.rst>`__\n\n"
        "Kinds of evidence: *documented* by the platform, *live* from a captured exchange or a "
        "report, seen in *other\nclients* only, or a *guess*. The tests lie in "
        "``tests/emulator``. Where no test can hold the emulator to a row, the\nrow says why. This "
        "page is made by ``python -m tests.emulator.fidelity``, and a test compares.",
        "",
        {
            "requests": "What is asked",
            "replies": "What is answered",
            "error-bodies": "How errors look",
            "error-codes": "Codes",
            "platform-limits": "Limits",
            "as-live": "As seen from other clients",
        },
        ("What is known", "How", "Test"),
        {DOCUMENTED: "documented", LIVE: "live", CLIENTS: "other clients", GUESS: "guess"},
        "none",
    ),
    "zh": _Words(
        "模拟器与真实平台有多像",
        "模拟器与平台有多接近：已知的每一点、依据是什么、由哪个测试保证。\n\n"
        "English: `docs/fidelity.rst <../fidelity.rst>`__ · `模拟器 <testing.rst>`__\n\n"
        "依据的种类：平台\\ *文档*\\ 写明；\\ *实测*\\ ，即抓到的往来或用户报告；只见于\\ *其他客户端*\\ ；\\ *推测*\\ 。测试都在 "
        "``tests/emulator``\\ 。\n没有测试能保证的，写明原因。本页由 "
        "``python -m tests.emulator.fidelity`` 生成，并有测试核对。",
        " 目录",
        {
            "requests": "请求",
            "replies": "应答",
            "error-bodies": "错误的样子",
            "error-codes": "错误码",
            "platform-limits": "限制",
            "as-live": "从其他客户端看到的",
        },
        ("已知", "依据", "测试"),
        {DOCUMENTED: "文档", LIVE: "实测", CLIENTS: "其他客户端", GUESS: "推测"},
        "无",
    ),
}


def page(language: str) -> str:
    """The page of a language, in reStructuredText."""
    words = _WORDS[language]
    lines = [*_underlined(words.title, "="), *words.opening.split("\n"), ""]
    lines += [f".. contents::{words.contents}", "   :depth: 1", "   :local:"]
    lines += ["   :backlinks: none", ""]
    for target, rows in ROWS.items():
        lines += [f".. _{target}:", "", *_underlined(words.sections[target], "-")]
        lines += [".. list-table::", "   :header-rows: 1", "   :widths: 42 14 44", ""]
        lines += _cells([[name] for name in words.columns])
        for row in rows:
            lines += _cells([
                [row.zh if language == "zh" else row.en],
                [("、" if language == "zh" else ", ").join(words.evidence[e] for e in row.evidence)],
                _tests(row, language),
            ])
        lines.append("")
    return "\n".join(lines).rstrip("\n") + "\n"


def _underlined(text: str, line: str) -> List[str]:
    width = sum(2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text)
    return [text, line * width, ""]


def _tests(row: Row, language: str) -> List[str]:
    if row.tests:
        return [f"| ``{name}``" for name in row.tests]
    reason = row.why_zh if language == "zh" else row.why
    return [f"*{_WORDS[language].why}*\\ : {reason}"]


def _cells(cells: List[List[str]]) -> List[str]:
    lines = []
    for number, cell in enumerate(cells):
        first, *rest = cell
        lines.append(f"   {'  ' if number else '* '}- {first}")
        lines += [f"       {line}" for line in rest]
    return lines


if __name__ == "__main__":
    for language, path in PAGES.items():
        (ROOT / path).write_text(page(language), encoding="utf-8")
