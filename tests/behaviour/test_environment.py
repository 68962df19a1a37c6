"""``Uploader.from_env`` against a real server."""

from __future__ import annotations

import os

import pytest

from qqchunk import Uploader
from qqchunk.emulator import Emulator


def test_uploader_from_the_environment_uploads(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("app_id", "client_secret", "api_url", "token_url"):
        monkeypatch.setitem(os.environ, f"QQ_BOT_{name.upper()}", getattr(emulator, name))

    class Mine(Uploader):
        pass

    with Mine.from_env(retries=0) as uploader:
        assert type(uploader) is Mine
        result = uploader.upload("c2c", "U", b"abc", file_name="a.bin")
    assert emulator.received(result.file_info) == b"abc"
