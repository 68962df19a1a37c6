"""The layers of the package: each module imports only from the ones before it."""

from __future__ import annotations

import ast
import pathlib
from typing import Dict, List, Set

import pytest

import qqchunk

PACKAGE = pathlib.Path(qqchunk.__file__).parent

# From the bottom up. A helper module stands before the first module it serves.
LAYERS = [
    "errors",
    "codes",
    "names",
    "replies",
    "results",
    "plan",
    "protocol",
    "ranges",
    "source",
    "threads",
    "hashing",
    "retry",
    "lifeline",
    "crew",
    "taps",
    "auth",
    "diagnosis",
    "lean",
    "sessions",
    "settings",
    "transport",
    "storage",
    "progress",
    "cache",
    "operation",
    "parts",
    "messages",
    "intake",
    "running",
    "uploader",
    "commands",
    "cli",
]
COMMAND_LINE = ("commands", "cli")

# What may not be imported anywhere but where it is named.
OPTIONAL = {"tqdm": {"progress"}, "pytest": {"emulator"}}


def imported_modules(path: pathlib.Path) -> Set[str]:
    """The absolute names of all that `path` imports, inside functions too."""
    parts = ["qqchunk", *path.relative_to(PACKAGE).with_suffix("").parts]
    package = parts[:-1]
    names: Set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            base += node.module.split(".") if node.module else []
            if base == ["qqchunk"]:
                names.update("qqchunk." + alias.name for alias in node.names)
            else:
                names.add(".".join(base))
    return names


def own_modules(path: pathlib.Path) -> Set[str]:
    """The modules of the package, "errors" or "emulator" say, that `path` imports."""
    return {name.split(".")[1] for name in imported_modules(path) if name.startswith("qqchunk.")}


def module_paths() -> Dict[str, List[pathlib.Path]]:
    paths: Dict[str, List[pathlib.Path]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).with_suffix("").parts[0]
        paths.setdefault(name, []).append(path)
    return paths


MODULES = module_paths()


def test_every_module_has_its_place_in_the_layers() -> None:
    assert set(MODULES) - {"__init__", "__main__", "emulator"} == set(LAYERS)


@pytest.mark.parametrize("module", [name for name in LAYERS if name not in COMMAND_LINE])
def test_module_imports_only_from_the_layers_below_it(module: str) -> None:
    (path,) = MODULES[module]
    assert own_modules(path) <= set(LAYERS[: LAYERS.index(module)])


@pytest.mark.parametrize("module", COMMAND_LINE)
def test_command_line_uses_the_public_names_and_the_emulator_only(module: str) -> None:
    public = {name for name in vars(qqchunk) if name not in MODULES}
    (path,) = MODULES[module]
    assert own_modules(path) <= public | {"emulator", *COMMAND_LINE}


def test_main_module_imports_the_command_line_only() -> None:
    (path,) = MODULES["__main__"]
    assert own_modules(path) == {"cli"}


def test_package_itself_imports_neither_command_line_nor_emulator() -> None:
    (path,) = MODULES["__init__"]
    assert own_modules(path) <= set(LAYERS) - set(COMMAND_LINE)


def test_emulator_imports_nothing_of_the_rest() -> None:
    for path in MODULES["emulator"]:
        names = imported_modules(path)
        assert "qqchunk" not in names, path
        assert not {name.split(".")[0] for name in names} & {"requests", "urllib3", "tqdm"}, path
        assert own_modules(path) <= {"emulator"}, path


@pytest.mark.parametrize("name", sorted(OPTIONAL))
def test_optional_dependency_is_imported_in_one_place_only(name: str) -> None:
    users = {
        module
        for module, paths in MODULES.items()
        for path in paths
        if any(imported.split(".")[0] == name for imported in imported_modules(path))
    }
    assert users <= OPTIONAL[name]
