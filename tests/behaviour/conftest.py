"""Fixtures for the tests of the library over real sockets."""

from __future__ import annotations

from typing import Iterator

import pytest

from tests.support import nothing_left


@pytest.fixture
def nothing_stays() -> Iterator[None]:
    """Fail a test that leaves a socket or a thread of the library behind."""
    with nothing_left():
        yield
