"""What an installation promises: its metadata, what importing costs, the commands of the README."""

from __future__ import annotations

import ast
import configparser
import importlib
import pathlib
import re
import subprocess
import sys
from typing import List

import pytest

import qqchunk

ROOT = pathlib.Path(__file__).parents[2]
PACKAGE = pathlib.Path(qqchunk.__file__).parent

NEWLY_LOADED = """
import sys, requests, urllib3
before = set(sys.modules)
from qqchunk import Uploader
for name in sorted(set(sys.modules) - before):
    print(name, getattr(sys.modules[name], "__file__", None) or "")
"""


@pytest.fixture(scope="module")
def config() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    assert parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


@pytest.fixture(scope="module")
def loaded_by_import() -> List[str]:
    """The lines "module file" for what `import qqchunk` loads besides requests and urllib3."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", NEWLY_LOADED],
        cwd=str(ROOT),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        universal_newlines=True,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout.splitlines()


def lines(text: str) -> List[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def test_version_can_be_read_without_importing_the_package() -> None:
    # setuptools would otherwise have to import requests before it is installed.
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    values = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__version__"
    ]
    assert values == [qqchunk.__version__]


def test_changelog_begins_with_this_version() -> None:
    text = (ROOT / "CHANGELOG.rst").read_text(encoding="utf-8")
    first = re.search(r"^(\d+\.\d+\.\d+\S*).*\n-+$", text, re.MULTILINE)
    assert first is not None and first[1] == qqchunk.__version__


def test_requests_and_urllib3_are_all_it_depends_on(config: configparser.ConfigParser) -> None:
    assert lines(config["options"]["install_requires"]) == ["requests>=2.28", "urllib3>=1.26"]


def test_license_is_an_expression_and_no_classifier(config: configparser.ConfigParser) -> None:
    metadata = config["metadata"]
    assert metadata["license_expression"] == "MIT"
    assert "license" not in metadata
    assert "License ::" not in metadata["classifiers"]


def test_setup_cfg_is_the_only_configuration() -> None:
    others = ["pyproject.toml", "tox.ini", "pytest.ini", ".flake8", ".coveragerc", "mypy.ini"]
    assert [name for name in others if (ROOT / name).exists()] == []


def test_package_is_marked_as_typed(config: configparser.ConfigParser) -> None:
    assert (PACKAGE / "py.typed").exists()
    assert "py.typed" in config["options.package_data"]["qqchunk"]


@pytest.mark.parametrize("group", ["console_scripts", "pytest11"])
def test_entry_point_leads_somewhere(config: configparser.ConfigParser, group: str) -> None:
    (line,) = lines(config["options.entry_points"][group])
    name, _, target = line.partition(" = ")
    module, _, attribute = target.partition(":")
    imported = importlib.import_module(module)
    assert name == "qqchunk"
    assert not attribute or callable(getattr(imported, attribute))


@pytest.mark.parametrize("extra", ["progress", "test", "integration", "dev", "bench"])
def test_extra_exists(config: configparser.ConfigParser, extra: str) -> None:
    assert lines(config["options.extras_require"][extra])


def test_importing_loads_no_further_distribution(loaded_by_import: List[str]) -> None:
    foreign = [line for line in loaded_by_import if not line.startswith("qqchunk")]
    assert [line for line in foreign if "site-packages" in line] == []


def test_importing_loads_nothing_that_is_not_asked_for(loaded_by_import: List[str]) -> None:
    loaded = {line.split()[0] for line in loaded_by_import}
    assert "qqchunk.uploader" in loaded
    assert not loaded & {"qqchunk.cli.main", "qqchunk.emulator.core", "argparse"}


@pytest.mark.parametrize("marker, word", [("demo-command", "demo"), ("test-command", "pytest")])
def test_readme_marks_the_command_that_ci_runs(marker: str, word: str) -> None:
    text = (ROOT / "README.rst").read_text(encoding="utf-8")
    after = text.partition(f"\n.. {marker}\n")[2]
    command = re.search(r"^ +\$ (.+)$", after, re.MULTILINE)
    assert command is not None
    assert "pip install" in command[1] and word in command[1]
