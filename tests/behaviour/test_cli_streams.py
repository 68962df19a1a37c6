"""The command line with a standard stream closed, full, or left by its reader."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
from typing import Any, Callable, Dict, Tuple

import pytest

import qqchunk
from qqchunk.emulator import Emulator

ROOT = pathlib.Path(qqchunk.__file__).parents[1]
USER = ["--user", "A" * 32]

Sh = Callable[..., Tuple[int, str, str]]


@pytest.fixture
def environment(emulator: Emulator) -> Dict[str, str]:
    names = ("app_id", "client_secret", "api_url", "token_url")
    bot = {f"QQ_BOT_{name.upper()}": str(getattr(emulator, name)) for name in names}
    # Buffered as usual: what is left in a buffer can fail at exit.
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return {**inherited, **bot, "PYTHONPATH": str(ROOT)}


@pytest.fixture
def sh(environment: Dict[str, str], tmp_path: pathlib.Path) -> Sh:
    """`sh(redirection, *arguments)` runs the command line through a shell."""
    (tmp_path / "a.bin").write_bytes(b"x" * 300_000)

    def call(redirection: str, *arguments: str, **more: str) -> Tuple[int, str, str]:
        line = f'"$0" -W error -m qqchunk "$@" {redirection}'
        done = subprocess.run(
            ["sh", "-c", line, sys.executable, *arguments], cwd=str(tmp_path), timeout=50,
            env={**environment, **more}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, universal_newlines=True, errors="replace")
        assert "Traceback" not in done.stderr
        return done.returncode, done.stdout, done.stderr

    return call


COMMANDS = {
    "upload": ["upload", "a.bin", "--json", *USER],
    "send": ["send", "a.bin", "--json", *USER],
    "hash": ["hash", "a.bin", "--json"],
}


@pytest.mark.parametrize("command, redirection", [
    ("upload", "2>/dev/full"), ("upload", "<&-"), ("send", "2>&-"), ("hash", "<&- 2>&-"),
    pytest.param("upload", "2>&-", marks=pytest.mark.matrix)])
def test_result_is_one_json_object_and_nothing_else(
    command: str, redirection: str, sh: Sh
) -> None:
    status, out, err = sh(redirection, *COMMANDS[command])
    assert status == 0
    assert isinstance(json.loads(out), dict)
    assert "qqchunk:" not in err or redirection == "<&-"


@pytest.mark.parametrize("variable", ["TQDM_DISABLE", "TQDM_MININTERVAL"])
def test_settings_of_the_bar_do_not_touch_the_result(variable: str, sh: Sh) -> None:
    status, out, err = sh("", *COMMANDS["upload"], **{variable: "x"})
    assert (status, err) == (0, "")
    json.loads(out)


@pytest.mark.parametrize("command, redirection", [
    ("upload", ">/dev/full"), ("send", ">&-"),
    pytest.param("upload", ">&-", marks=pytest.mark.matrix),
    pytest.param("send", ">/dev/full 2>/dev/full", marks=pytest.mark.matrix)])
def test_what_is_done_is_not_called_failed_if_its_result_is_lost(
    command: str, redirection: str, sh: Sh, emulator: Emulator
) -> None:
    status, out, err = sh(redirection, *COMMANDS[command], "--quiet")
    assert (status, out) == (0, "")
    assert emulator.count("complete") == 1
    if "2>" not in redirection:
        done = {"upload": "the file is uploaded", "send": "the message is sent"}[command]
        assert err.startswith(f"qqchunk: {done}")
        assert "standard output" in err


@pytest.mark.parametrize("redirection", [">&-", ">/dev/full"])
def test_command_that_only_prints_has_failed_without_its_output(redirection: str, sh: Sh) -> None:
    status, _, err = sh(redirection, *COMMANDS["hash"])
    assert status == 1
    assert err.startswith("qqchunk: standard output")
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("arguments, expected, redirection", [
    (["nonsense"], 2, "2>/dev/full"),
    (["upload", "missing.bin", *USER], 1, "2>/dev/full"),
    (["upload", "-", *USER], 2, "2>&-"),
], ids=["usage", "missing", "nameless"])
def test_status_is_right_where_nothing_can_be_said(
    arguments: Any, expected: int, redirection: str, sh: Sh
) -> None:
    assert sh(redirection, *arguments)[:2] == (expected, "")


def test_help_that_cannot_be_written_is_a_failure_in_words(sh: Sh) -> None:
    status, _, err = sh(">/dev/full", "--help")
    assert status == 1
    assert "No space left" in err


def test_standard_input_that_is_closed_is_wrong_usage(sh: Sh) -> None:
    status, out, err = sh("<&-", "upload", "-", "--name", "a.bin", *USER)
    assert (status, out) == (2, "")
    assert "standard input is closed" in err


SOCKETS = """
import os, runpy, socket, sys
connect = socket.socket.connect
def watched(sock, address):
    assert sock.fileno() > 2
    print("connected", end=" ")
    return connect(sock, address)
socket.socket.connect = watched
sys.argv[0] = "qqchunk"
runpy.run_module("qqchunk", run_name="__main__", alter_sys=True)
"""


def test_socket_does_not_take_the_number_of_a_closed_stream(
    environment: Dict[str, str]
) -> None:
    # Whoever writes to descriptor 2 by its number, faulthandler for one, would write into it.
    done = subprocess.run(
        ["sh", "-c", '"$0" "$@" <&- 2>&-', sys.executable, "-c", SOCKETS, "upload", __file__,
         *USER], env=environment, stdout=subprocess.PIPE, timeout=50)
    assert done.returncode == 0
    assert done.stdout.startswith(b"connected ")


def test_reader_that_left_ends_a_mere_print_with_1_and_without_a_word(
    environment: Dict[str, str], tmp_path: pathlib.Path
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "qqchunk", "hash", str(pathlib.Path(__file__))]
    done = subprocess.run(command, env=environment, stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


def test_upload_whose_reader_left_is_done(
    environment: Dict[str, str], emulator: Emulator
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "qqchunk", "upload", str(pathlib.Path(__file__)), *USER]
    done = subprocess.run(
        [*command, "--quiet"], env=environment, stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert done.returncode == 0
    assert b"its file_info is lost - nobody reads standard output" in done.stderr
    assert emulator.count("complete") == 1


def test_name_that_the_terminal_cannot_spell_goes_up(sh: Sh, emulator: Emulator) -> None:
    status, out, err = sh(
        "", "upload", "a.bin", "--name", "🎉.bin", *USER, PYTHONIOENCODING="gbk", PYTHONUTF8="0")
    assert status == 0
    assert emulator.stored(out.strip()).name == "🎉.bin"
    assert "?.bin" in err
