"""The fidelity page has a test of the emulator for each row, or says why there is none."""

from __future__ import annotations

import ast
from typing import Set

import pytest

from tests.emulator.fidelity import PAGES, ROOT, ROWS, page
from tests.emulator.fidelity_row import CLIENTS, DOCUMENTED, GUESS, LIVE, Row

EVERY_ROW = [row for rows in ROWS.values() for row in rows]
FEWEST = {"requests": 15, "replies": 12, "error-codes": 35, "platform-limits": 12, "as-live": 7}


@pytest.fixture(scope="module")
def names() -> Set[str]:
    """The names of the emulator's tests."""
    return {
        node.name
        for path in (ROOT / "tests" / "emulator").glob("test_*.py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


@pytest.mark.parametrize("row", EVERY_ROW, ids=lambda row: row.en[:40])
def test_row_is_pinned_by_tests_that_exist(row: Row, names: Set[str]) -> None:
    assert [name for name in row.tests if name not in names] == []
    assert bool(row.tests) != bool(row.why and row.why_zh), "either tests or the reason for none"
    assert len(set(row.tests)) == len(row.tests)


@pytest.mark.parametrize("row", EVERY_ROW, ids=lambda row: row.en[:40])
def test_row_says_how_it_is_known(row: Row) -> None:
    assert row.evidence and set(row.evidence) <= {DOCUMENTED, LIVE, CLIENTS, GUESS}
    assert row.en and row.zh


def test_no_row_is_there_twice_and_none_was_lost() -> None:
    assert len({row.en for row in EVERY_ROW}) == len({row.zh for row in EVERY_ROW})
    assert len({row.en for row in EVERY_ROW}) == len(EVERY_ROW)
    assert {name for name, fewest in FEWEST.items() if len(ROWS[name]) < fewest} == set()


@pytest.mark.parametrize("language", sorted(PAGES))
def test_page_is_the_one_that_the_rows_make(language: str) -> None:
    written = (ROOT / PAGES[language]).read_text(encoding="utf-8")
    assert written == page(language), "run python -m tests.emulator.fidelity"
