"""What the log says at each level, and one line for each file."""

from __future__ import annotations

import logging
import pathlib
import re
from typing import Callable, Iterator, List

import pytest

from qqchunk import Uploader, UploadError
from qqchunk.emulator import Emulator

from tests.integration.apps.log_lines import send_file, set_up_logging

OPENID = "A" * 32

MakeUploader = Callable[..., Uploader]
Lines = Callable[[], List[str]]


@pytest.fixture
def film(tmp_path: pathlib.Path) -> str:
    path = tmp_path / "holiday.mp4"
    path.write_bytes(bytes(300_000))
    return str(path)


@pytest.fixture
def lines_at(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[int], Lines]]:
    """`lines_at(level)` sets qqchunk's level; what it gives returns "LEVEL message" lines."""

    def set_level(level: int) -> Lines:
        caplog.set_level(level, "qqchunk")
        return lambda: [
            f"{r.levelname} {re.sub(r'[0-9.]+ s$', 'T s', r.getMessage())}"
            for r in caplog.records if r.name.startswith("qqchunk")]

    yield set_level


@pytest.fixture
def uploader(emulator: Emulator, uploader_for: MakeUploader) -> Uploader:
    emulator.behaviour.block_size = 200_000
    emulator.behaviour.retry_delay = 0.01
    return uploader_for(emulator, backoff=0.01)


def test_info_shows_start_plan_and_end(
    uploader: Uploader, film: str, lines_at: Callable[[int], Lines]
) -> None:
    lines = lines_at(logging.INFO)
    uploader.upload("c2c", OPENID, film)
    assert lines() == [
        "INFO holiday.mp4: uploading 293.0 KB for a c2c chat",
        "INFO holiday.mp4: 2 part(s), 1 at a time",
        "INFO holiday.mp4: uploaded 293.0 KB in T s",
    ]


def test_warning_shows_each_retry_with_its_reason_and_delay(
    emulator: Emulator, uploader: Uploader, film: str, lines_at: Callable[[int], Lines]
) -> None:
    lines = lines_at(logging.WARNING)
    emulator.fail("prepare", "code", code=850012)
    emulator.fail("put", "status", status=503, part=2)
    uploader.upload("c2c", OPENID, film)
    prepare, put = lines()
    assert re.match(
        r"WARNING holiday.mp4, prepare: the platform's backend failed \(code 850012, .*"
        r"again in T s$", prepare)
    assert re.match(r"WARNING holiday.mp4.* part 2.* 503.*again in T s$", put)


def test_debug_shows_each_part_at_storage_and_confirmed(
    uploader: Uploader, film: str, lines_at: Callable[[int], Lines]
) -> None:
    lines = lines_at(logging.DEBUG)
    uploader.upload("c2c", OPENID, film)
    parts = [line for line in lines() if line.startswith("DEBUG")]
    assert sorted(parts) == [
        f"DEBUG holiday.mp4: part {i} of 2 {what}"
        for i in (1, 2) for what in ("is at storage", "is confirmed")]


def test_unruffled_upload_says_nothing_at_warning(
    uploader: Uploader, film: str, lines_at: Callable[[int], Lines]
) -> None:
    lines = lines_at(logging.WARNING)
    uploader.upload("c2c", OPENID, film)
    assert lines() == []


# -------------------------------------------------------------------- one line for each file


@pytest.fixture
def bot_lines(caplog: pytest.LogCaptureFixture) -> Iterator[Lines]:
    """The lines of a log that is set up as the recipe does."""
    names = ("qqchunk", "urllib3")
    levels = [logging.getLogger(name).level for name in names]
    root_level = logging.getLogger().level
    set_up_logging()
    caplog.set_level(logging.INFO)
    yield lambda: [record.getMessage() for record in caplog.records]
    logging.getLogger().setLevel(root_level)
    for name, level in zip(names, levels):
        logging.getLogger(name).setLevel(level)


def test_file_that_was_sent_has_one_line(
    uploader: Uploader, film: str, bot_lines: Lines
) -> None:
    send_file(uploader, "c2c", OPENID, film)
    (line,) = bot_lines()
    assert re.match(rf"holiday.mp4 \(293.0 KB\) sent to c2c {OPENID} in \d\.\d s$", line)


def test_file_that_was_not_sent_has_one_line_that_says_why(
    emulator: Emulator, uploader: Uploader, film: str, bot_lines: Lines
) -> None:
    emulator.fail("prepare", "code", code=40093002)
    with pytest.raises(UploadError):
        send_file(uploader, "group", OPENID, film)
    (line,) = bot_lines()
    assert line.startswith(f"not sent to group {OPENID}: holiday.mp4, prepare: the bot's daily")
