"""Child processes for the tests of web servers and task queues: started, watched, ended."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time
from typing import Any, Callable, Dict, Iterator, List, Optional, TypeVar

from qqchunk.emulator import Emulator

ROOT = pathlib.Path(__file__).parent.parent

_T = TypeVar("_T")


def bot_environment(emulator: Emulator, **more: str) -> Dict[str, str]:
    """Return an environment that points the bots of tests/integration/apps at *emulator*."""
    return dict(
        os.environ,
        PYTHONPATH=str(ROOT),
        PYTHONUNBUFFERED="1",
        QQ_BOT_APP_ID=emulator.app_id,
        QQ_BOT_CLIENT_SECRET=emulator.client_secret,
        QQ_BOT_API_URL=emulator.api_url,
        QQ_BOT_TOKEN_URL=emulator.token_url,
        **more,
    )


def pytest_command(*options: str) -> List[str]:
    """A pytest that knows this package's plugin, as an author's does, and nobody else's."""
    entries = {
        entry.name: entry.value
        for distribution in importlib.metadata.distributions()
        for entry in distribution.entry_points
        if entry.group == "pytest11"}
    others = {name for name, value in entries.items() if not value.startswith("qqchunk.")}
    command = [sys.executable, "-m", "pytest", "-W", "error", *(f"-pno:{o}" for o in others)]
    if others == set(entries):  # a tree that was never installed
        command.append("-pqqchunk.emulator.pytest_plugin")
    return [*command, *options]


def wait_until(
    what: Callable[[], _T], process: Optional[Process] = None, timeout: float = 40.0
) -> _T:
    """Return the first true result of *what*; fail if *process* ends before, or in vain.

    :param timeout: seconds
    """
    give_up = time.monotonic() + timeout
    while True:
        result = what()
        if result:
            return result
        if process is not None and process.popen.poll() is not None:
            raise AssertionError(f"it ended with {process.popen.returncode}:\n{process.output()}")
        if time.monotonic() > give_up:
            raise AssertionError("waited in vain" + (f":\n{process.output()}" if process else ""))
        time.sleep(0.02)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


class Process:
    """A program with all its children, in a process group of its own, its output in a file."""

    def __init__(self, popen: Any, log: pathlib.Path) -> None:
        self.popen = popen
        self._log = log

    def output(self) -> str:
        """Return what it has written so far."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def end(self, number: int = signal.SIGTERM) -> None:
        """Send the signal, wait for the end, and kill what is left of the group."""
        if self.popen.poll() is None:
            self.popen.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.popen.wait(10)
        self.kill()

    def kill(self) -> None:
        """Kill it and its children at once, as the out-of-memory killer would."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait()


@contextlib.contextmanager
def running(
    command: List[str], log: pathlib.Path, env: Optional[Dict[str, str]] = None
) -> Iterator[Process]:
    """Run *command* for the length of the block; ``python`` is this interpreter."""
    if command[0] == "python":
        command = [sys.executable, *command[1:]]
    with open(log, "ab") as output:
        popen = subprocess.Popen(
            command, cwd=str(log.parent), env=env, stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT, start_new_session=True)
    process = Process(popen, log)
    try:
        yield process
    finally:
        process.end()


@contextlib.contextmanager
def redis_server(directory: pathlib.Path) -> Iterator[str]:
    """Give the URL of a Redis server: QQCHUNK_REDIS_URL, else one of our own on a free port."""
    given = os.environ.get("QQCHUNK_REDIS_URL")
    if given:
        yield given
        return
    if shutil.which("redis-server") is None:
        raise AssertionError(
            "these tests need Redis: install redis-server, or set QQCHUNK_REDIS_URL")
    port = free_port()
    command = [
        "redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", "",
        "--appendonly", "no", "--dir", str(directory)]
    with running(command, directory / "redis.log") as process:
        wait_until(lambda: "Ready to accept connections" in process.output(), process)
        yield f"redis://127.0.0.1:{port}/0"
