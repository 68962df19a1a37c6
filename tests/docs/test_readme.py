"""The READMEs: what they print runs, what they list is all there is, and both say the same."""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import gzip
import importlib.metadata
import inspect
import logging
import os
import pathlib
import re
import shlex
import signal
import subprocess
import sys
from typing import Any, Dict, Iterator, List

import pytest
from docutils import nodes

import qqchunk
from qqchunk import Uploader
from qqchunk.cli import main as cli
from qqchunk.protocol.codes import RULES
from qqchunk.emulator import Emulator
from qqchunk.emulator.faults import KINDS
from qqchunk.emulator.journal import STAGES

from tests.docs.readme import (
    COMMANDS,
    DOCUMENTS,
    EXAMPLES,
    PACKAGE,
    PARSED,
    READMES,
    ROOT,
    Example,
    first_column,
    read_commands,
    section,
)
from tests.docs.surroundings import GROUP_OPENID, HOLIDAY, OPENID, SURROUNDINGS, Seen, nothing


@pytest.fixture(params=READMES)
def document(request: pytest.FixtureRequest) -> nodes.document:
    return DOCUMENTS[request.param]


# ---------------------------------------------------------------------- where the examples run


@pytest.fixture
def platform(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """An emulator in the place of the platform, and the reader's files in the directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "holiday.mp4").write_bytes(HOLIDAY)
    (tmp_path / "report.pdf").write_bytes(b"%PDF" + os.urandom(5000))
    (tmp_path / "photo.jpg").write_bytes(os.urandom(5000))
    (tmp_path / "photos").mkdir()
    with gzip.open(tmp_path / "log.txt.gz", "wb") as file:
        file.write(b"all is well\n" * 100)
    with Emulator(app_id="app id", client_secret="client secret") as emulator:
        defaults = Uploader.__init__.__kwdefaults__
        monkeypatch.setitem(defaults, "api_url", emulator.api_url)
        monkeypatch.setitem(defaults, "token_url", emulator.token_url)
        for name in ("app_id", "client_secret", "api_url", "token_url"):
            monkeypatch.setenv("QQ_BOT_" + name.upper(), getattr(emulator, name))
        yield emulator


@pytest.fixture(autouse=True)
def same_logging() -> Iterator[None]:
    """Undo what the logging examples set up."""
    loggers = [logging.getLogger(name) for name in (None, "qqchunk", "bot.files")]
    before = [(logger.level, logger.handlers[:]) for logger in loggers]
    yield
    for logger, (level, handlers) in zip(loggers, before):
        logger.setLevel(level)
        logger.handlers[:] = handlers


# ------------------------------------------------------------------------------- the examples


def is_test_file(example: Example) -> bool:
    return example.code.startswith("# test_")


CASES = [
    pytest.param(
        example,
        id=f"{example.readme}-{example.name}",
        marks=[pytest.mark.integration] if "integration" in example.options else [],
    )
    for example in EXAMPLES
    if not is_test_file(example)
]


def execute(example: Example, names: Dict[str, Any]) -> None:
    names["__name__"] = "example"
    with contextlib.ExitStack() as stack:
        if "with uploader" in example.options:
            uploader = stack.enter_context(Uploader("app id", "client secret"))
            names.update(uploader=uploader, openid=OPENID, group_openid=GROUP_OPENID)
        exec(compile(example.code, f"{example.readme}, {example.name}", "exec"), names)


@pytest.mark.parametrize("example", CASES)
def test_example_runs(
    example: Example,
    platform: Emulator,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    seen = Seen()
    surroundings = SURROUNDINGS.get(example.name, nothing)
    with contextlib.ExitStack() as stack:
        stack.callback(close_uploaders, seen.names)
        stack.enter_context(contextlib.contextmanager(surroundings)(platform, monkeypatch, seen))
        execute(example, seen.names)
        seen.output = capsys.readouterr().out
    assert platform.refusals == []


def close_uploaders(names: Dict[str, Any]) -> None:
    for value in names.values():
        if isinstance(value, Uploader):
            value.close()


def test_examples_of_tests_pass(platform: Emulator) -> None:
    codes = {example.code for example in EXAMPLES if is_test_file(example)}
    for number, code in enumerate(codes):
        pathlib.Path(f"test_{number}.py").write_text(code, encoding="utf-8")
    # Where the package is only on the path, pytest cannot find the fixture by itself.
    installed = any(entry.value.startswith("qqchunk.") for entry in pytest_entry_points())
    plugin = [] if installed else ["-p", "qqchunk.emulator.pytest_plugin"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *plugin],
        env=dict(os.environ, PYTHONPATH=str(ROOT)), stdout=subprocess.PIPE, timeout=50)
    assert f"{2 * len(codes)} passed" in done.stdout.decode(), done.stdout.decode()


def pytest_entry_points() -> List[importlib.metadata.EntryPoint]:
    return [
        entry
        for distribution in importlib.metadata.distributions()
        for entry in distribution.entry_points
        if entry.group == "pytest11"
    ]


def test_every_surrounding_belongs_to_an_example() -> None:
    assert set(SURROUNDINGS) <= {example.name for example in EXAMPLES}


# ------------------------------------------------------------------------------- the commands


@pytest.fixture
def shell(platform: Emulator, tmp_path: pathlib.Path) -> Dict[str, str]:
    """The environment of a reader's shell, whose qqchunk talks to the emulator."""
    site, programs = tmp_path / "site", tmp_path / "programs"
    site.mkdir()
    programs.mkdir()
    (site / "sitecustomize.py").write_text(
        "import os\n"
        "from qqchunk import Uploader\n"
        "Uploader.__init__.__kwdefaults__.update(\n"
        "    api_url=os.environ['QQ_BOT_API_URL'], token_url=os.environ['QQ_BOT_TOKEN_URL'])\n")
    python = shlex.quote(sys.executable)
    programs_and_lines = {
        "python": f'exec {python} "$@"',
        "qqchunk": f'exec {python} -m qqchunk "$@"',
        # Only as much of jq as the README needs: not everybody has it.
        "jq": f'{python} -c "import json, sys; print(json.load(sys.stdin)[sys.argv[2][1:]])" "$@"',
    }
    for name, line in programs_and_lines.items():
        (programs / name).write_text(f"#!/bin/sh\n{line}\n")
        (programs / name).chmod(0o755)
    return dict(
        os.environ,
        PATH=os.pathsep.join([str(programs), os.environ["PATH"]]),
        PYTHONPATH=os.pathsep.join([str(site), str(ROOT)]),
        PYTHONIOENCODING="utf-8",
        OPENID=OPENID,
        GROUP=GROUP_OPENID,
    )


EXPORTS = [command for command in COMMANDS if command.startswith("export ")]
SERVERS = ["qqchunk emulator"]


@pytest.mark.parametrize("command", [
    command for command in COMMANDS
    # The programs of others are run elsewhere, in the tests of their recipes.
    if "qqchunk " in command and command not in SERVERS and "pip install" not in command
])
def test_command_succeeds(command: str, platform: Emulator, shell: Dict[str, str]) -> None:
    done = subprocess.run(
        "\n".join(EXPORTS + [command]), shell=True, env=shell, timeout=50,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.strip() and b"not sent" not in done.stdout
    assert platform.refusals == []


@pytest.mark.parametrize("command", SERVERS)
def test_emulator_serves_until_it_is_interrupted(command: str, shell: Dict[str, str]) -> None:
    assert command in COMMANDS
    with subprocess.Popen(["sh", "-c", f"exec {command}"], env=shell, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL) as server:
        try:
            assert server.stdout is not None
            lines = [server.stdout.readline() for _ in range(3)]
            server.send_signal(signal.SIGINT)
            assert server.wait(10) == cli.EXIT_INTERRUPTED
        finally:
            server.kill()
    assert lines[0].startswith(b"export QQ_BOT_APP_ID=")


# ----------------------------------------------------------------- the pages, and what they list


@pytest.mark.parametrize("readme", READMES)
def test_page_renders_without_a_warning(readme: str) -> None:
    assert PARSED[readme][1] == ""


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: f"{e.readme}-{e.name}")
def test_example_is_python_3_8(example: Example) -> None:
    assert not example.name.startswith("(")
    ast.parse(example.code, feature_version=(3, 8))


def test_both_pages_have_the_same_examples() -> None:
    english, chinese = (
        [(e.name, e.options, ast.dump(ast.parse(e.code))) for e in EXAMPLES if e.readme == readme]
        for readme in READMES
    )
    assert english == chinese


def test_both_pages_have_the_same_commands() -> None:
    assert COMMANDS == read_commands("README.zh.rst")


def test_both_pages_have_the_same_sections_and_rows() -> None:
    english, chinese = (
        [(target, sorted(first_column(DOCUMENTS[readme], target))) for target in targets(readme)]
        for readme in READMES
    )
    assert len(english) > 15
    assert english == chinese


def targets(readme: str) -> List[str]:
    """The names of the sections that have one in both languages, in order."""
    document = DOCUMENTS[readme]
    return [
        name
        for section in document.findall(nodes.section)
        for name in section["names"]
        if document.nametypes[name]
    ]


def test_module_map_names_every_module(document: nodes.document) -> None:
    rooms = [path.stem for path in PACKAGE.iterdir() if path.suffix in ("", ".py")]
    parts = [path.stem for path in PACKAGE.glob("emulator/*.py") if path.stem != "__init__"]
    library, emulator = (
        [
            literal.astext()
            for row in table.findall(nodes.row)
            for literal in row.children[0].findall(nodes.literal)
        ]
        for table in section(document, "modules").findall(nodes.table)
    )
    assert sorted(library) == sorted(room for room in rooms if not room.startswith("__"))
    assert sorted(emulator) == sorted(parts)


def test_error_table_names_every_exception(document: nodes.document) -> None:
    errors = {
        name for name in qqchunk.__all__
        if isinstance(getattr(qqchunk, name), type)
        and issubclass(getattr(qqchunk, name), Exception)
    }
    assert len(errors) == 12
    assert errors <= set(first_column(document, "errors"))


def test_every_public_name_is_mentioned(document: nodes.document) -> None:
    text = document.astext()
    names = {name for name in qqchunk.__all__ if name[0] != "_"}
    assert len(names) > 15
    assert [name for name in sorted(names) if name not in text] == []


def test_error_section_names_every_attribute(document: nodes.document) -> None:
    assert set(vars(qqchunk.UploadError())) <= set(first_column(document, "errors"))


def test_option_table_has_every_option_and_its_default(document: nodes.document) -> None:
    (table,) = [
        table for table in section(document, "timeouts").findall(nodes.table)
        if "Uploader(" in table.astext()
    ]
    cells = [[cell.astext() for cell in row.children[:2]] for row in table.findall(nodes.row)][1:]
    listed = {name: ast.literal_eval(default) for name, default in cells}
    options = inspect.signature(Uploader).parameters.values()
    # The credentials are in the first example; the platform has its place in every other test.
    assert listed == {o.name: o.default for o in options if o.kind is o.KEYWORD_ONLY}


def test_result_table_names_every_attribute(document: nodes.document) -> None:
    fields = [field.name for field in dataclasses.fields(qqchunk.UploadResult)]
    assert sorted(first_column(document, "example")) == sorted(fields)


def test_progress_table_names_every_attribute(document: nodes.document) -> None:
    fields = {field.name for field in dataclasses.fields(qqchunk.Progress)}
    assert fields <= set(first_column(document, "progress"))


def test_exit_codes_are_those_of_the_command_line(document: nodes.document) -> None:
    (table,) = section(document, "command-line").findall(nodes.table)
    listed = [int(row.children[0].astext()) for row in list(table.findall(nodes.row))[1:]]
    codes = [value for name, value in vars(cli).items() if name.startswith("EXIT_")]
    assert sorted(listed) == sorted([0, *codes])


def test_emulator_tables_have_every_option_and_no_other_name(document: nodes.document) -> None:
    listed = {re.sub(r"\(.*", "", name) for name in first_column(document, "emulator")}
    options = set(inspect.signature(Emulator).parameters)
    assert options <= listed
    assert [name for name in listed - options if not hasattr(Emulator(), name)] == []


def test_fault_kinds_exist(document: nodes.document) -> None:
    (paragraph,) = [
        p for p in section(document, "emulator").findall(nodes.paragraph)
        if "reset_midway" in p.astext()
    ]
    named = [literal.astext() for literal in paragraph.findall(nodes.literal)]
    known = {*KINDS, *STAGES, "any", "part", "times", "after", "chance"}
    assert [name for name in named if name not in known and "(" not in name] == []
    assert set(STAGES) <= set(named)


def test_platform_codes_are_in_the_table_of_codes(document: nodes.document) -> None:
    numbers = set()
    for target in ("symptoms", "errors", "timeouts", "troubleshooting"):
        text = section(document, target).astext()
        numbers |= {int(n) for n in re.findall(r"\b\d{5,8}\b", text)}
    assert numbers
    assert numbers <= set(RULES)
