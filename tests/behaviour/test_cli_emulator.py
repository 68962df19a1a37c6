"""``qqchunk emulator``: what it prints for a bot, and what it says of each call."""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
from typing import Any, Dict, Iterator, List, Tuple

import pytest
import requests

import qqchunk
from qqchunk import Uploader

ROOT = pathlib.Path(qqchunk.__file__).parents[1]
NAMES = ["QQ_BOT_APP_ID", "QQ_BOT_CLIENT_SECRET", "QQ_BOT_API_URL", "QQ_BOT_TOKEN_URL"]


class Served:
    """A running `qqchunk emulator` and the bot's environment as its exports say."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        assert process.stdout is not None
        self.lines = [process.stdout.readline().rstrip("\n") for _ in range(5)]
        pairs = [line.replace("export ", "", 1).split("=", 1) for line in self.lines[:4]]
        self.bot: Dict[str, str] = {pair[0]: pair[-1] for pair in pairs}

    def use(self, monkeypatch: pytest.MonkeyPatch) -> Uploader:
        for name, value in self.bot.items():
            monkeypatch.setenv(name, value)
        return Uploader.from_env(backoff=0)

    def end(self) -> List[str]:
        """The lines it has said, after Ctrl-C."""
        self.process.send_signal(signal.SIGINT)
        _, err = self.process.communicate(timeout=10)
        assert self.process.returncode == 130
        assert "Traceback" not in err
        return err.splitlines()


@contextlib.contextmanager
def serving(*arguments: str) -> Iterator[Served]:
    command = [sys.executable, "-W", "error", "-m", "qqchunk", "emulator", *arguments]
    with subprocess.Popen(
        command, cwd=str(ROOT), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        universal_newlines=True, env={**os.environ, "SHELL": "/bin/sh"},
    ) as running:
        try:
            yield Served(running)
        finally:
            running.kill()


@pytest.fixture(scope="module")
def used() -> Tuple[Served, List[str]]:
    """An emulator that was used in several ways and has ended, and what it said of that."""
    with serving() as served, pytest.MonkeyPatch.context() as patch:
        with served.use(patch) as uploader:
            uploader.send("c2c", "U\x1b[31m", b"abc", file_name="a.bin", content="look\nhere",
                          msg_id="M1")
        token_url = served.bot["QQ_BOT_TOKEN_URL"]
        requests.post(token_url, data="x", headers={"Content-Type": "text/plain"})
        return served, served.end()


def test_exports_are_what_a_bot_needs(used: Tuple[Served, List[str]]) -> None:
    served, _ = used  # with them, the bot has sent something
    assert list(served.bot) == NAMES
    assert served.lines[4].startswith("# qqchunk upload FILE --user ")


def test_each_call_and_each_message_is_a_line(used: Tuple[Served, List[str]]) -> None:
    said = [re.sub(r"^\d\d:\d\d:\d\d  |, \d+ ms$", "", line) for line in used[1]]
    assert "prepare   a.bin, 3.0 B  200" in said
    assert "put       part 1, 3.0 B  200" in said
    assert [line for line in said if line.startswith("message for ")] == [
        "message for users/U%1B%5B31m: 'look\N{REPLACEMENT CHARACTER}here', a file, answers M1"]
    assert not any("\x1b" in line for line in said)


def test_refused_call_says_why(used: Tuple[Served, List[str]]) -> None:
    assert any("token" in line and "'text/plain' is not JSON" in line for line in used[1])


def test_fault_of_the_command_line_strikes(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving("--fail", "prepare=status,2,status=503") as served:
        with served.use(monkeypatch) as uploader:
            uploader.upload("c2c", "U", b"abc", file_name="a.bin")
        said = served.end()
    assert sum("503 (fault: status)" in line for line in said) == 2


def test_quiet_emulator_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving("--quiet") as served:
        with served.use(monkeypatch) as uploader:
            uploader.upload("c2c", "U", b"abc", file_name="a.bin")
        assert [line for line in served.end() if "interrupted" not in line] == []


@pytest.mark.parametrize("shell, first", [
    ("fish", "set -gx QQ_BOT_APP_ID "),
    pytest.param("powershell", "$env:QQ_BOT_APP_ID = ", marks=pytest.mark.matrix),
    pytest.param("cmd", 'set "QQ_BOT_APP_ID=', marks=pytest.mark.matrix)])
def test_exports_are_for_the_shell_asked_for(shell: str, first: str) -> None:
    with serving("--shell", shell) as served:
        assert served.lines[0].startswith(first)
        served.end()


def test_host_of_all_addresses_is_warned_of_and_called_by_its_name() -> None:
    with serving("--host", "0.0.0.0") as served:
        url = served.bot["QQ_BOT_API_URL"]
        assert url.startswith(f"http://{socket.gethostname()}:")
        said = served.end()
    assert said[0].startswith("qqchunk: anyone who reaches 0.0.0.0 may use this emulator")


def run(*arguments: Any) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "qqchunk", "emulator", *map(str, arguments)], cwd=str(ROOT),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True, timeout=50)


def test_port_that_is_taken_is_said_with_what_to_do() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        done = run("--port", taken.getsockname()[1])
    assert done.returncode == 1
    assert "give another --host or --port" in done.stderr and "Traceback" not in done.stderr


def test_fault_that_does_not_exist_is_wrong_usage() -> None:
    done = run("--fail", "put=nothing")
    assert done.returncode == 2
    assert "no fault 'nothing'" in done.stderr
