"""The unit tests are found where the package says: a file for each module of the pure rooms."""

from __future__ import annotations

import pathlib

import pytest

import qqchunk

PACKAGE = pathlib.Path(qqchunk.__file__).parent
UNIT = pathlib.Path(__file__).parent


@pytest.mark.parametrize("room", ["protocol", "source"])
def test_every_module_of_a_pure_room_has_its_tests(room: str) -> None:
    modules = {path.stem for path in (PACKAGE / room).glob("[!_]*.py")}
    tested = {path.stem for path in (UNIT / room).glob("test_*.py")}
    assert modules
    assert {f"test_{module}" for module in modules} <= tested


def test_every_room_of_unit_tests_is_one_of_the_package() -> None:
    rooms = {path.parent.name for path in UNIT.glob("*/test_*.py")}
    assert rooms <= {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
