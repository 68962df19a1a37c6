"""The emulator where no more threads can be started."""

from __future__ import annotations

import socket
import threading
from typing import Any, Callable, Iterator, List

import pytest
import requests

from qqchunk.emulator import Emulator

from tests.support import wait_until

NO_THREAD = "can't start new thread"


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], List[str]]]:
    """`short(prefix)` lets no thread of that name start; gives the names of those refused."""
    refused: List[str] = []
    start = threading.Thread.start

    def refuse(prefix: str) -> List[str]:
        def start_or_not(thread: threading.Thread) -> None:
            if thread.name.startswith(prefix):
                refused.append(thread.name)
                raise RuntimeError(NO_THREAD)
            start(thread)

        monkeypatch.setattr(threading.Thread, "start", start_or_not)
        return refused

    yield refuse


def names() -> List[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("emulator-")]


def test_client_for_whom_there_is_no_thread_is_reset_and_the_next_one_served(
    short: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Emulator() as emulator:
        refused = short("emulator-")
        with pytest.raises(requests.ConnectionError):
            requests.post(emulator.token_url, json={}, timeout=5)
        monkeypatch.undo()
        assert refused == ["emulator-1"]
        wait_until(lambda: emulator.open_connections == 0)  # the client hears of it before
        assert requests.post(emulator.token_url, json={}, timeout=5).ok
    assert names() == []


def test_stop_where_no_thread_could_be_started(short: Any) -> None:
    emulator = Emulator().start()
    refused = short("emulator-")
    port = int(emulator.api_url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)):
        wait_until(lambda: refused)
        emulator.stop()
    assert names() == []


def test_start_without_a_thread_says_so_and_takes_no_port(short: Any) -> None:
    with Emulator() as first:
        port = int(first.api_url.rpartition(":")[2])
    short("emulator-")
    emulator = Emulator(port=port)
    with pytest.raises(RuntimeError, match=NO_THREAD):
        emulator.start()
    with socket.create_server(("127.0.0.1", port)):
        pass
    emulator.stop()
