"""Uploads while a test has frozen the clock: waits are real ones, and end."""

from __future__ import annotations

import functools
import time
from typing import Any, Callable, Dict, List, Tuple

import pytest
from freezegun import freeze_time

from qqchunk import UploadDeadlineError, Uploader
from qqchunk.emulator import Emulator

CONTENT = bytes(range(256)) * 2000
UploaderFor = Callable[..., Uploader]
Fault = Tuple[str, str, Dict[str, Any]]


@pytest.mark.skipif(not hasattr(time, "clock_gettime"), reason="there is no clock that goes on")
@pytest.mark.parametrize("faults", [
    [], [("put", "status", {"status": 503})], [("finish", "busy", {"part": 2})],
    [("prepare", "status", {"status": 500})], [("token", "status", {"status": 500})],
    [("complete", "code", {"code": 850027})], [("prepare", "code", {"code": 22009})],
])
def test_upload_under_a_frozen_clock_arrives(
    uploader_for: UploaderFor, faults: List[Fault]
) -> None:
    with Emulator(block_size=1 << 16, retry_delay=0.05, concurrency=2) as emulator:
        for stage, kind, options in faults:
            emulator.fail(stage, kind, **options)
        with freeze_time("2026-01-01"):
            result = uploader_for(emulator, backoff=0.05).upload(
                "c2c", "U", CONTENT, file_name="a.bin", deadline=20)
        assert emulator.received(result.file_info) == CONTENT


class MemoryCache(Dict[str, Any]):
    def set(self, key: str, value: Any, timeout: Any) -> None:
        self[key] = value

    def delete(self, key: str) -> None:
        self.pop(key, None)


def test_kept_result_ends_by_the_clock_that_a_test_moves(
    emulator: Emulator, uploader_for: UploaderFor
) -> None:
    uploader = uploader_for(emulator, cache=MemoryCache())
    with freeze_time("2026-01-01") as clock:
        upload = functools.partial(uploader.upload, "c2c", "U", CONTENT, file_name="a.bin")
        life = upload().ttl
        clock.tick(life - 61)
        assert upload().reused
        clock.tick(2)
        assert not upload().reused


@pytest.mark.skipif(not hasattr(time, "clock_gettime"), reason="there is no clock that goes on")
@pytest.mark.parametrize("fault", [
    ("put", "silence", {}), ("finish", "busy", {}), ("prepare", "silence", {}),
    ("prepare", "status", {"status": 500}),
])
def test_deadline_fires_under_a_frozen_clock(uploader_for: UploaderFor, fault: Fault) -> None:
    stage, kind, options = fault
    with Emulator(retry_timeout=100, retry_delay=30) as emulator:
        emulator.fail(stage, kind, times=None, **options)
        uploader = uploader_for(emulator, backoff=30)
        began = time.clock_gettime(time.CLOCK_MONOTONIC)
        with freeze_time("2026-01-01"), pytest.raises(UploadDeadlineError):
            uploader.upload("c2c", "U", CONTENT, file_name="a.bin", deadline=0.2)
        assert 0.2 <= time.clock_gettime(time.CLOCK_MONOTONIC) - began < 2.5
