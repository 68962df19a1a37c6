"""Progress of a real upload."""

from __future__ import annotations

import re
from typing import Callable

import pytest

from qqchunk import Uploader
from qqchunk.emulator import Emulator


def test_bar_of_an_upload_ends_at_the_whole_file(
    emulator: Emulator, uploader_for: Callable[..., Uploader], capsys: pytest.CaptureFixture[str]
) -> None:
    emulator.behaviour.block_size = 100_000
    uploader_for(emulator).upload("c2c", "U1", bytes(250_000), file_name="a.bin", progress=True)
    last = re.split(r"[\r\n]+", capsys.readouterr().err.strip())[-1]
    assert last.startswith("a.bin: 100%")
    assert "244k/244k" in last
