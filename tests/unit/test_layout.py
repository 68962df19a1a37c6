"""The rooms of the package: each imports only from those below it, and none has a circle inside."""

from __future__ import annotations

import ast
import pathlib
import sys
from typing import Dict, Iterator, List, Set

import pytest

import qqchunk

PACKAGE = pathlib.Path(qqchunk.__file__).parent

# What each room may import of the package, beside its own files.
MAY_IMPORT: Dict[str, Set[str]] = {
    "errors": set(),
    "protocol": {"errors"},
    "source": {"errors"},
    "net": {"errors", "protocol", "source"},
    "transfer": {"errors", "protocol", "source", "net"},
    "uploader": {"errors", "protocol", "source", "net", "transfer"},
    "emulator": set(),
}
FACES = {"__init__", "__main__"}
MOST_LINES = 250

# What may not be imported anywhere but where it is named.
OPTIONAL = {"tqdm": {"transfer.progress"}, "pytest": {"emulator.pytest_plugin"}}


def modules() -> Dict[str, pathlib.Path]:
    """Every module by its dotted name below the package; a room's own name is its __init__."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" and parts[1:] else parts)] = path
    return found


MODULES = modules()
ROOMS = sorted({name.split(".")[0] for name in MODULES} - FACES)


def imports(module: str) -> Iterator[str]:
    """The absolute names of all that a module imports, inside functions too."""
    path = MODULES[module]
    package = ["qqchunk", *path.relative_to(PACKAGE).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            base = base + (node.module.split(".") if node.module else [])
            for alias in node.names:
                full = ".".join([*base, alias.name])
                yield full if full.partition(".")[2] in MODULES else ".".join(base)


def own(module: str) -> Set[str]:
    """The modules of the package that a module imports, by their dotted names below it."""
    return {n.partition(".")[2] for n in imports(module) if n.split(".")[0] == "qqchunk"}


def inside(room: str) -> List[str]:
    return [name for name in MODULES if name.split(".")[0] == room]


def test_every_room_has_its_place_in_the_table() -> None:
    assert set(ROOMS) == {*MAY_IMPORT, "cli"}


@pytest.mark.parametrize("room", sorted(MAY_IMPORT))
def test_room_imports_only_from_the_rooms_below_it(room: str) -> None:
    for module in inside(room):
        reached = {name.split(".")[0] for name in own(module)} - {room}
        assert reached <= MAY_IMPORT[room], module


def test_command_line_uses_the_public_names_and_the_emulator_only() -> None:
    for module in inside("cli"):
        assert {name.split(".")[0] for name in own(module)} <= {"", "cli", "emulator"}, module


def test_main_module_imports_the_command_line_only() -> None:
    assert own("__main__") == {"cli.main"}


@pytest.mark.parametrize("room", ROOMS)
def test_room_has_no_circle_inside(room: str) -> None:
    left = {name: own(name) & set(inside(room)) - {name} for name in inside(room)}
    while left:
        free = [name for name, needed in left.items() if not needed & set(left)]
        assert free, f"these import each other: {sorted(left)}"
        for name in free:
            del left[name]


@pytest.mark.parametrize("room", sorted({"protocol", "source", "net", "transfer", "cli"}))
def test_room_says_what_it_is_and_nothing_else(room: str) -> None:
    (docstring,) = ast.parse(MODULES[room].read_text(encoding="utf-8")).body
    assert isinstance(docstring, ast.Expr)


@pytest.mark.parametrize("module", sorted(
    {name for name in MODULES if name.startswith("protocol.")}))
def test_protocol_has_neither_clock_nor_system(module: str) -> None:
    forbidden = {"time", "os", "socket", "ssl", "threading", "queue", "concurrent", "requests"}
    assert {name.split(".")[0] for name in imports(module)} & forbidden == set()


def test_emulator_uses_the_standard_library_only() -> None:
    known = getattr(sys, "stdlib_module_names", None)
    for module in inside("emulator"):
        foreign = {n.split(".")[0] for n in imports(module)} - {"qqchunk", "pytest"}
        assert not foreign & {"requests", "urllib3", "tqdm"}, module
        assert known is None or foreign <= known, module


@pytest.mark.parametrize("module", sorted(MODULES))
def test_module_can_be_read_at_one_sitting(module: str) -> None:
    lines = len(MODULES[module].read_text(encoding="utf-8").splitlines())
    assert lines <= MOST_LINES, lines


@pytest.mark.parametrize("name", sorted(OPTIONAL))
def test_optional_dependency_is_imported_in_one_place_only(name: str) -> None:
    users = {
        module for module in MODULES
        if any(imported.split(".")[0] == name for imported in imports(module))}
    assert users <= OPTIONAL[name]
