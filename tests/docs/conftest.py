"""A platform for the pages' examples: an emulator, and the reader's files in the directory."""

from __future__ import annotations

import gzip
import os
import pathlib
from typing import Iterator

import pytest

from qqchunk import Uploader
from qqchunk.emulator import Emulator

from tests.docs.surroundings import HOLIDAY


@pytest.fixture
def platform(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """An emulator in the place of the platform, and the reader's files in the directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "holiday.mp4").write_bytes(HOLIDAY)
    (tmp_path / "report.pdf").write_bytes(b"%PDF" + os.urandom(5000))
    (tmp_path / "photo.jpg").write_bytes(os.urandom(5000))
    (tmp_path / "photos").mkdir()
    with gzip.open(tmp_path / "log.txt.gz", "wb") as file:
        file.write(b"all is well\n" * 100)
    with Emulator(app_id="app id", client_secret="client secret") as emulator:
        defaults = Uploader.__init__.__kwdefaults__
        monkeypatch.setitem(defaults, "api_url", emulator.api_url)
        monkeypatch.setitem(defaults, "token_url", emulator.token_url)
        for name in ("app_id", "client_secret", "api_url", "token_url"):
            monkeypatch.setenv("QQ_BOT_" + name.upper(), getattr(emulator, name))
        yield emulator
