"""Ctrl-C on a child process that uploads in its main thread, pressed once or twice."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, Tuple

import pytest

from qqchunk.emulator import Emulator, Fault

from tests.relays import SocksProxy
from tests.support import Pki, Server, connecting_to, full_backlog, wait_until

MB = 1 << 20
OUT_WITHIN = 1.0  # seconds from Ctrl-C until upload() is out
GONE_WITHIN = 4.0  # and until the process has exited; what hangs takes ten and more
ROOT = Path(__file__).parents[2]

Case = Tuple[str, Callable[[], Any]]  # what to upload to, and whether it hangs there


@contextlib.contextmanager
def emulating(*faults: Fault, **behaviour: Any) -> Iterator[Emulator]:
    with Emulator(
        client_secret="secret", keep_bodies=False, concurrency=4, faults=faults, **behaviour
    ) as emulator:
        yield emulator


@contextlib.contextmanager
def crawling(pki: Pki) -> Iterator[Case]:
    slow = Fault("put", "slow", times=None, bandwidth=100_000)
    with emulating(slow, ssl_context=pki.context) as emulator:
        yield emulator.api_url, lambda: emulator.count("put") == 4


@contextlib.contextmanager
def polling(pki: Pki) -> Iterator[Case]:
    busy = Fault("finish", "busy", times=None)
    with emulating(busy, ssl_context=pki.context, retry_delay=30) as emulator:
        yield emulator.api_url, lambda: any(r.code == 40093001 for r in emulator.requests)


@contextlib.contextmanager
def unanswered(pki: Pki) -> Iterator[Case]:
    with emulating(Fault("prepare", "silence", times=None)) as emulator:
        yield emulator.api_url, lambda: emulator.count("prepare")


@contextlib.contextmanager
def unread(pki: Pki) -> Iterator[Case]:
    stopped = Fault("put", "stop_reading", times=None)
    with emulating(stopped, ssl_context=pki.context) as emulator:
        yield emulator.api_url, lambda: emulator.count("put") == 4


@contextlib.contextmanager
def backing_off(pki: Pki) -> Iterator[Case]:
    with emulating(Fault("prepare", "status", times=None)) as emulator:
        yield emulator.api_url, lambda: any(r.status == 500 for r in emulator.requests)


@contextlib.contextmanager
def connecting(pki: Pki) -> Iterator[Case]:
    with full_backlog() as port:
        yield f"https://127.0.0.1:{port}", lambda: connecting_to(port)


@contextlib.contextmanager
def shaking_hands(pki: Pki) -> Iterator[Case]:
    with Server() as server:
        yield server.url("https"), lambda: server.peers and server.peers[0].heard


@contextlib.contextmanager
def behind_a_silent_proxy(pki: Pki) -> Iterator[Case]:
    with SocksProxy(silent=True) as proxy, pytest.MonkeyPatch.context() as patch:
        patch.setenv("ALL_PROXY", f"socks5h://127.0.0.1:{proxy.port}")
        yield "https://bot.invalid:1", lambda: proxy.peers and proxy.peers[0].heard


SITUATIONS = [
    crawling, polling, unanswered, connecting, behind_a_silent_proxy,
    *(pytest.param(s, marks=pytest.mark.matrix) for s in (unread, backing_off, shaking_hands)),
]


@pytest.fixture(scope="module")
def file(tmp_path_factory: Any) -> str:
    path = tmp_path_factory.mktemp("files") / "big.bin"
    with open(path, "wb") as created:
        created.truncate(40 * MB)
    return str(path)


class Child:
    """The bot, until Ctrl-C has ended it."""

    def __init__(self, url: str, file: str, pki: Pki) -> None:
        options = {"url": url, "secret": "secret", "file": file, "backoff": 30.0}
        environment = {**os.environ, "REQUESTS_CA_BUNDLE": pki.ca_file}
        self._process = subprocess.Popen(
            [sys.executable, "-X", "faulthandler", "-m", "tests.behaviour.interrupted",
             json.dumps(options)],
            env=environment,
            cwd=str(ROOT), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def interrupt(self, reached: Callable[[], Any], *again: float) -> Dict[str, Any]:
        """Press Ctrl-C once the upload hangs, and again after so many seconds; give its report."""
        process = self._process
        try:
            assert process.stdout is not None and process.stdout.readline() == "ready\n"
            wait_until(reached, 10.0)
            pressed = time.monotonic()
            process.send_signal(signal.SIGINT)
            for pause in again:
                time.sleep(pause)
                process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=GONE_WITHIN + 5.0)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGABRT)
            raise AssertionError(f"it hangs: {process.communicate()[1]}") from None
        finally:
            process.kill()
            process.communicate()
        gone = time.monotonic() - pressed
        report = json.loads(output) if output else {}
        return {"gone": gone, "errors": errors, "code": process.returncode,
                **report, "out": report.get("out", pressed) - pressed}


@pytest.mark.parametrize("situation", SITUATIONS)
def test_ctrl_c_ends_upload_and_process(situation: Any, pki: Pki, file: str) -> None:
    with situation(pki) as (url, reached):
        report = Child(url, file, pki).interrupt(reached)
    assert report["errors"] == ""
    assert report["code"] == 0
    assert report["out"] < OUT_WITHIN
    assert report["gone"] < GONE_WITHIN
    assert report["threads"] == []
    assert report["descriptors"] <= 0


@pytest.mark.parametrize("pause", [
    0.002, *(pytest.param(p, marks=pytest.mark.matrix) for p in (0.0005, 0.01))])
def test_second_ctrl_c_during_the_first_ends_the_process_too(
    pause: float, pki: Pki, file: str
) -> None:
    with crawling(pki) as (url, reached):
        report = Child(url, file, pki).interrupt(reached, pause)
    # Which of them came when is a matter of luck; but none is lost on a thread that goes on.
    assert report["gone"] < GONE_WITHIN
    assert report["errors"] == "" or "KeyboardInterrupt" in report["errors"]
