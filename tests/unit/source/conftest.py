"""Fixtures for the tests of opening, reading and hashing."""

from __future__ import annotations

import pathlib

import pytest

from tests.unit.source.samples import LARGE


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "photo.bin"
    path.write_bytes(LARGE)
    return path
