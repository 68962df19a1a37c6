"""A bot author's tests with the fixture `qq_emulator`, run as the author runs them."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
from typing import Callable

import pytest

from tests.processes import ROOT, pytest_command

BOT = '''
from qqchunk import UploadDailyLimitExceededError

def answer(uploader, openid, msg_id):
    """Reply to "report"; return the words that go with the file, or those instead of it."""
    try:
        uploader.send("c2c", openid, b"day,visitors\\n", file_name="report.csv", msg_id=msg_id)
    except UploadDailyLimitExceededError:
        return "Come back tomorrow."
    return "Here it is."
'''

TEST_BOT = '''
import pytest
from bot import answer
from qqchunk import Uploader

@pytest.fixture
def uploader(qq_emulator):
    with Uploader(
        qq_emulator.app_id, qq_emulator.client_secret,
        api_url=qq_emulator.api_url, token_url=qq_emulator.token_url,
    ) as uploader:
        yield uploader

def test_report_is_a_reply(qq_emulator, uploader):
    assert answer(uploader, "OPENID", "ROBOT1.0_1") == "Here it is."
    (message,) = qq_emulator.messages
    assert (message["target"], message["msg_id"]) == ("OPENID", "ROBOT1.0_1")
    assert qq_emulator.received(message["media"]["file_info"]) == b"day,visitors\\n"

def test_used_up_quota_is_said(qq_emulator, uploader):
    qq_emulator.fail("prepare", "code", code=40093002)
    assert answer(uploader, "OPENID", "ROBOT1.0_1") == "Come back tomorrow."
    assert qq_emulator.messages == []
'''

Pytest = Callable[..., str]


@pytest.fixture
def run_pytest(tmp_path: pathlib.Path) -> Pytest:
    """`run_pytest(*options)` runs pytest on the bot's tests and gives what it prints."""
    (tmp_path / "bot.py").write_text(BOT)
    (tmp_path / "test_bot.py").write_text(TEST_BOT)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
    environment["PYTHONPATH"] = str(ROOT)

    def run(*options: str) -> str:
        done = subprocess.run(
            pytest_command(*options), cwd=str(tmp_path), env=environment, timeout=30,
            universal_newlines=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert done.returncode == 0, done.stdout
        return done.stdout

    return run


def test_bot_is_tested_against_the_emulator(run_pytest: Pytest) -> None:
    assert "2 passed" in run_pytest("-q")


def test_fixture_is_listed_with_what_it_gives(run_pytest: Pytest) -> None:
    printed = run_pytest("--fixtures", "-q")
    assert "qq_emulator" in printed
    assert "new for each test and stopped after it" in printed


def test_plugin_imports_nothing_but_pytest_until_the_fixture_is_used() -> None:
    # Else gevent would come too late to patch ssl, and coverage to see the package imported.
    code = (
        "import sys, pytest; before = set(sys.modules); import qqchunk.emulator.pytest_plugin; "
        "print(*sorted(set(sys.modules) - before))")
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=str(ROOT), env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE, check=True, text=True).stdout
    assert said.split() == ["qqchunk", "qqchunk.emulator", "qqchunk.emulator.pytest_plugin"]
