"""The guards in conftest.py do guard."""

from __future__ import annotations

import os
import socket
from typing import List

import pytest

from tests.conftest import OutsideLoopbackError


def test_connection_to_another_machine_is_refused(outside_attempts: List[str]) -> None:
    with socket.socket() as sock:
        with pytest.raises(OutsideLoopbackError):
            sock.connect(("192.0.2.1", 80))
        with pytest.raises(OutsideLoopbackError):
            sock.connect_ex(("192.0.2.1", 80))
    assert len(outside_attempts) == 2
    del outside_attempts[:]


def test_look_up_of_a_name_is_refused(outside_attempts: List[str]) -> None:
    with pytest.raises(OutsideLoopbackError):
        socket.create_connection(("api.sgroup.qq.com", 443))
    del outside_attempts[:]


def test_reserved_name_does_not_exist() -> None:
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo("nowhere.invalid", 443)


def test_loopback_is_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(("localhost", server.getsockname()[1])).close()


def test_environment_is_clean() -> None:
    assert not [name for name in os.environ if name.upper().endswith("_PROXY")]
    assert os.environ["NETRC"] == os.devnull
