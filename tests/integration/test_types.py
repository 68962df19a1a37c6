"""Users who check their types find all of the public API typed."""

from __future__ import annotations

import ast
import importlib.util
import pathlib
import subprocess
import sys
from typing import Set

import pytest

import qqchunk
import qqchunk.emulator

from tests.processes import ROOT

TYPED_USE = pathlib.Path(__file__).with_name("typed_use.py")


def imported_from(module: str) -> Set[str]:
    tree = ast.parse(TYPED_USE.read_text(encoding="utf-8"))
    return {
        alias.name
        for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module == module
        for alias in node.names
    }


def test_typed_use_uses_every_public_name() -> None:
    tree = ast.parse(pathlib.Path(qqchunk.__file__).read_text(encoding="utf-8"))
    exported = {
        alias.asname
        for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names if alias.asname
    }
    assert exported | {"__version__"} == set(qqchunk.__all__)
    assert imported_from("qqchunk") == set(qqchunk.__all__)
    assert imported_from("qqchunk.emulator") == set(qqchunk.emulator.__all__)


def test_package_says_that_it_is_typed() -> None:
    assert pathlib.Path(qqchunk.__file__).with_name("py.typed").exists()


def mypy(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run mypy as a user's project would: strict, and not with this project's settings."""
    assert importlib.util.find_spec("mypy"), "this test needs mypy: pip install 'qqchunk[dev]'"
    return subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--cache-dir",
         str(arguments[0]), *map(str, arguments[1:])],
        cwd=str(ROOT), universal_newlines=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


@pytest.fixture(scope="module")
def mypy_cache(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return tmp_path_factory.mktemp("mypy")


@pytest.mark.integration
@pytest.mark.timeout(120)  # seconds; without a cache mypy reads half of the standard library
def test_every_use_passes_the_strict_type_checker(mypy_cache: pathlib.Path) -> None:
    done = mypy(mypy_cache, "--follow-imports=silent", TYPED_USE)
    assert done.returncode == 0, done.stdout


@pytest.mark.integration
@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("code", "complaint"),
    [
        ("Uploader('id', 'secret', retry=1)", "call-arg"),
        ("Uploader('id', 'secret').upload('c2c', 1, b'x')", "arg-type"),
        ("Uploader('id', 'secret').upload('c2c', 'A', b'x', progress=7)", "arg-type"),
        ("Uploader('id', 'secret').upload('c2c', 'A', b'x').file_inf", "attr-defined"),
        ("Uploader('id', 'secret', cache={})", "arg-type"),
    ],
)
def test_wrong_use_is_found_by_the_type_checker(
    mypy_cache: pathlib.Path, tmp_path: pathlib.Path, code: str, complaint: str
) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text(f"from qqchunk import Uploader\n{code}\n")
    done = mypy(mypy_cache, "--follow-imports=silent", wrong)
    assert done.returncode == 1
    assert f"[{complaint}]" in done.stdout
