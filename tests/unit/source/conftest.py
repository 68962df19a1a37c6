"""Fixtures for the tests of opening, reading and hashing."""

from __future__ import annotations

import pathlib
import tempfile
from typing import Any, List

import pytest
from django.conf import settings

from tests.unit.source.samples import LARGE

if not settings.configured:
    settings.configure()


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "photo.bin"
    path.write_bytes(LARGE)
    return path


@pytest.fixture
def spools(monkeypatch: pytest.MonkeyPatch) -> List[Any]:
    """The spools that were made: empty as long as everything was read in place."""
    made: List[Any] = []
    real = tempfile.SpooledTemporaryFile

    class Spool(real):  # type: ignore[valid-type,misc]
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            made.append(self)

    monkeypatch.setattr("qqchunk.source.spooling.tempfile.SpooledTemporaryFile", Spool)
    return made
