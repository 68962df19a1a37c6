"""What the pages print can be run: every Python block, and every command of the package."""

from __future__ import annotations

import ast
import contextlib
import logging
import os
import pathlib
import re
import shlex
import signal
import subprocess
import sys
from typing import Any, Dict, Iterator, Tuple

import pytest

from qqchunk import Uploader
from qqchunk.cli import main as cli
from qqchunk.cli.shells import SHELLS
from qqchunk.emulator import Emulator

from tests.docs.pages import COMMANDS, EXAMPLES, LANGUAGES, ROOT, Example, code_of, paths
from tests.docs.surroundings import GROUP_OPENID, OPENID, SURROUNDINGS, Seen, nothing
from tests.processes import pytest_command


@pytest.fixture(autouse=True)
def same_logging() -> Iterator[None]:
    """Undo what the logging examples set up."""
    loggers = [logging.getLogger(name) for name in (None, "qqchunk", "bot.files", "urllib3")]
    before = [(logger.level, logger.handlers[:]) for logger in loggers]
    yield
    for logger, (level, handlers) in zip(loggers, before):
        logger.setLevel(level)
        logger.handlers[:] = handlers


# ------------------------------------------------------------------------------- the examples


def meaning(example: Example) -> Tuple[str, ...]:
    """What there is to run: the same in both languages, which differ in comments."""
    return (example.name, *example.options, ast.dump(ast.parse(example.code)))


DISTINCT = {meaning(example): example for example in reversed(EXAMPLES)}

CASES = [
    pytest.param(
        example,
        id=str(example),
        marks=[pytest.mark.integration] if "integration" in example.options else [],
    )
    for example in reversed(list(DISTINCT.values()))
    if not example.is_test
]


def execute(example: Example, names: Dict[str, Any]) -> None:
    names["__name__"] = "example"
    with contextlib.ExitStack() as stack:
        if "with uploader" in example.options:
            uploader = stack.enter_context(Uploader("app id", "client secret"))
            names.update(uploader=uploader, openid=OPENID, group_openid=GROUP_OPENID)
        exec(compile(example.code, str(example), "exec"), names)


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


@pytest.mark.parametrize("path", sorted({e.path for e in DISTINCT.values() if e.file_name}))
def test_examples_of_tests_pass(path: str, platform: Emulator) -> None:
    files = [example for example in EXAMPLES if example.path == path and example.file_name]
    assert len({example.file_name for example in files}) == len(files)
    for example in files:
        pathlib.Path(example.file_name or "").write_text(example.code, encoding="utf-8")
    wanted = sum(len(re.findall(r"^def test_", e.code, re.MULTILINE)) for e in files if e.is_test)
    done = subprocess.run(
        pytest_command("-q"), env=dict(os.environ, PYTHONPATH=str(ROOT)), stdout=subprocess.PIPE,
        timeout=50)
    assert re.search(rf"^{wanted} passed", done.stdout.decode(), re.MULTILINE), done.stdout.decode()


def test_every_surrounding_belongs_to_an_example() -> None:
    assert set(SURROUNDINGS) <= {example.name for example in EXAMPLES}


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_example_has_a_name_and_is_python_3_8(example: Example) -> None:
    assert not example.name.startswith("(")
    ast.parse(example.code, feature_version=(3, 8))


# ------------------------------------------------------------------------------- the commands


@pytest.fixture
def shell(platform: Emulator, tmp_path: pathlib.Path) -> Dict[str, str]:
    """The environment of a reader's shell, whose qqchunk talks to the emulator."""
    programs = tmp_path / "programs"
    programs.mkdir()
    python = shlex.quote(sys.executable)
    programs_and_lines = {
        "python": f'exec {python} "$@"',
        "qqchunk": f'exec {python} -m qqchunk "$@"',
        # Only as much of jq as the pages need: not everybody has it.
        "jq": f'{python} -c "import json, sys; print(json.load(sys.stdin)[sys.argv[2][1:]])" "$@"',
    }
    for name, line in programs_and_lines.items():
        (programs / name).write_text(f"#!/bin/sh\n{line}\n")
        (programs / name).chmod(0o755)
    return dict(
        os.environ,
        PATH=os.pathsep.join([str(programs), os.environ["PATH"]]),
        PYTHONPATH=str(ROOT),
        PYTHONIOENCODING="utf-8",
        OPENID=OPENID,
        GROUP=GROUP_OPENID,
    )


EXPORTS = [command for command in COMMANDS if command.startswith("export QQ_BOT_")]
SERVERS = [command for command in COMMANDS if command.startswith("qqchunk emulator")]


@pytest.mark.parametrize("shell_name, block_language", [
    ("powershell", "powershell"), ("cmd", "bat"), ("fish", "fish")])
@pytest.mark.parametrize("language", LANGUAGES)
def test_other_shells_are_told_the_same(
    language: str, shell_name: str, block_language: str
) -> None:
    exported = dict(assignment.split("=", 1) for _, assignment in map(shlex.split, EXPORTS))
    (code,) = code_of(paths(language)["guide"], block_language)
    spelled = [SHELLS[shell_name](name, value) for name, value in exported.items()]
    assert code.splitlines() == spelled


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
