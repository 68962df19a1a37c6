"""The ``qq_emulator`` fixture, found by pytest through the package's entry point."""

from __future__ import annotations

from typing import TYPE_CHECKING, Iterator

import pytest

if TYPE_CHECKING:
    from . import Emulator


@pytest.fixture
def qq_emulator() -> Iterator[Emulator]:
    """A started :class:`~qqchunk.emulator.Emulator`, new for each test and stopped after it.

    It is strict: what is merely bad manners of a client is refused as well.
    """
    from . import Emulator

    with Emulator(strict=True) as emulator:
        yield emulator
