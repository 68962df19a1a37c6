"""What every unit test gets: no socket."""

from __future__ import annotations

import socket
from typing import Any, Iterator, List

import pytest


class SocketOpenedError(AssertionError):
    """A unit test opened a socket. What needs one is tested under behaviour or emulator."""


@pytest.fixture(autouse=True)
def no_socket(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Refuse sockets, and fail a test that tried even if the code under test swallowed it."""
    tried: List[str] = []

    def refuse(self: socket.socket, *args: Any, **kwargs: Any) -> None:
        tried.append("a socket was opened by a unit test")
        raise SocketOpenedError(tried[0])

    monkeypatch.setattr(socket.socket, "__init__", refuse)
    yield
    assert tried == []
