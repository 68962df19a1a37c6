"""How a source is read by position, and how a change of its file shows."""

from __future__ import annotations

import errno
import gc
import os
import pathlib
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Iterator, List

import pytest

from qqchunk.errors import SourceChangedError
from qqchunk.source.opening import open_source
from qqchunk.source.ranges import Source
from tests.unit.source.samples import LARGE, SMALL, content, upload


@pytest.fixture(params=["pread", "no pread"])
def opened(
    request: pytest.FixtureRequest, path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Source]:
    if request.param == "no pread":
        monkeypatch.delattr(os, "pread")
    with open_source(path) as source:
        yield source


def test_range_is_read(opened: Source) -> None:
    assert opened.read_at(1000, 77) == LARGE[1000:1077]


def test_range_behind_the_end_is_short(opened: Source) -> None:
    assert opened.read_at(len(LARGE) - 3, 10) == LARGE[-3:]
    assert opened.read_at(len(LARGE), 10) == b""


def test_many_threads_read_their_own_ranges(opened: Source) -> None:
    offsets = range(0, len(LARGE), 997)
    with ThreadPoolExecutor(8) as executor:
        blocks = list(executor.map(lambda offset: opened.read_at(offset, 997), offsets))
    assert b"".join(blocks) == LARGE


def test_reads_that_come_short_are_continued(
    opened: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_some = opened._read_some  # type: ignore[attr-defined]
    monkeypatch.setattr(
        opened, "_read_some", lambda offset, length: read_some(offset, min(length, 10))
    )
    assert opened.read_at(5, 77) == LARGE[5:82]


def test_users_position_stays_without_pread(
    path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "pread")
    with open(path, "rb", buffering=0) as file:
        file.seek(1000)
        assert upload(file) == LARGE
        assert file.tell() == 1000


def test_sources_of_one_open_file_do_not_disturb_each_other_without_pread(
    path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "pread")
    read = os.read

    def read_slowly(descriptor: int, length: int) -> bytes:
        time.sleep(0.0001)
        return read(descriptor, length)

    monkeypatch.setattr(os, "read", read_slowly)

    def read_all(_: int) -> bytes:
        with open_source(file) as source:
            return b"".join(source.read_at(at, 50_000) for at in range(0, source.size, 50_000))

    with open(path, "rb", buffering=0) as file:
        file.seek(1000)
        with ThreadPoolExecutor(8) as executor:
            assert list(executor.map(read_all, range(8))) == [LARGE] * 8
        assert file.tell() == 1000


def test_reading_with_pread_moves_no_position(
    path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_source(path) as source:
        monkeypatch.delattr(os, "lseek")
        assert content(source) == LARGE


def test_closed_source_cannot_be_read(opened: Source) -> None:
    opened.close()
    opened.close()
    with pytest.raises(ValueError):
        opened.read_at(0, 1)


def test_path_opens_where_the_system_knows_no_non_blocking_open(
    path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "O_NONBLOCK")
    assert upload(path) == LARGE


@pytest.mark.parametrize("preadv", [True, False])
@pytest.mark.parametrize("offset, length, got", [
    (1000, 77, 77), (len(LARGE) - 3, 10, 3), (len(LARGE), 10, 0),
])
def test_range_is_read_into_a_buffer_and_the_rest_of_that_stays(
    opened: Source, monkeypatch: pytest.MonkeyPatch, preadv: bool,
    offset: int, length: int, got: int,
) -> None:
    if not preadv:
        monkeypatch.delattr(os, "preadv", raising=False)
    buffer = bytearray(b"?" * length)
    with memoryview(buffer) as view:
        assert opened.read_into(offset, view) == got
    assert buffer == LARGE[offset:offset + got] + b"?" * (length - got)


def test_buffer_is_filled_from_bytes_too() -> None:
    buffer = bytearray(b"????")
    with open_source(SMALL, "a.bin") as source, memoryview(buffer) as view:
        assert source.read_into(7, view) == 3
    assert buffer == b"789?"


@pytest.mark.parametrize("most", [10, 77])
def test_buffer_is_filled_in_one_call_where_the_system_can_and_filled_up_where_it_did_not(
    opened: Source, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    def preadv(descriptor: int, views: List[memoryview], offset: int) -> int:
        views[0][:most] = LARGE[offset:offset + most]
        return most

    reads: List[int] = []
    read_at = opened.read_at
    monkeypatch.setattr(os, "preadv", preadv, raising=False)
    monkeypatch.setattr(opened, "read_at", lambda *span: reads.append(span[0]) or read_at(*span))
    buffer = bytearray(77)
    with memoryview(buffer) as view:
        assert opened.read_into(5, view) == 77
    assert buffer == LARGE[5:82]
    assert reads == ([] if most == 77 else [5])


# Windows

RANGES = [(0, 10), (1, 10), (4095, 2), (4096, 4096), (70_000, 500_000), (0, len(LARGE)),
          (len(LARGE) - 1, 1)]


@pytest.mark.parametrize("offset, length", RANGES)
def test_window_is_mapped_at_any_offset(opened: Source, offset: int, length: int) -> None:
    with opened.window(offset, length) as window:
        assert isinstance(window, memoryview)
        assert window == LARGE[offset:offset + length]


def test_window_of_large_pages_is_mapped_at_any_offset(
    path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qqchunk.source.ranges.mmap.ALLOCATIONGRANULARITY", 65536)  # Windows
    with open_source(path) as source, source.window(70_001, 100) as window:
        assert window == LARGE[70_001:70_101]


def test_window_of_bytes_has_no_negative_bytes() -> None:
    with open_source(LARGE, "a.bin") as source, source.window(100, 151) as window:
        assert window == LARGE[100:251]


def test_window_is_unmapped_after_use(opened: Source) -> None:
    with opened.window(0, 10) as window:
        pass
    with pytest.raises(ValueError):
        window[0]


def test_window_of_what_cannot_be_mapped_is_read(
    opened: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts = []

    def cannot_map(*args: Any, **options: Any) -> None:
        attempts.append(args)
        raise OSError(errno.ENODEV, "No such device")

    monkeypatch.setattr("qqchunk.source.ranges.mmap.mmap", cannot_map)
    for offset, length in RANGES:
        with opened.window(offset, length) as window:
            assert window == LARGE[offset:offset + length]
    assert len(attempts) == 1


def test_window_of_a_file_that_shrank_is_refused(path: pathlib.Path, opened: Source) -> None:
    os.truncate(path, 50)
    with opened.window(0, 50) as window:
        assert window == LARGE[:50]
    with pytest.raises(SourceChangedError, match=f"had {len(LARGE)} bytes and now has 50"):
        with opened.window(0, 51):
            pass
    with pytest.raises(SourceChangedError) as caught:
        with opened.window(0, 51, stage="hash"):
            pass
    assert caught.value.stage == "hash"


def test_file_cut_off_just_before_mapping_is_refused(
    path: pathlib.Path, opened: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = os.fstat(opened._file.fileno())  # type: ignore[attr-defined]
    os.truncate(path, 50)
    monkeypatch.setattr("qqchunk.source.ranges.os.fstat", lambda _: before)
    with pytest.raises(SourceChangedError, match="ends earlier") as caught:
        with opened.window(0, 51, stage="put"):
            pass
    assert caught.value.stage == "put"


# Changes


def test_file_that_was_only_read_is_untouched(opened: Source) -> None:
    content(opened)
    assert opened.untouched()


def test_bytes_are_never_touched() -> None:
    with open_source(SMALL, "a.bin") as source:
        assert source.untouched()


def test_file_that_became_shorter_is_refused(path: pathlib.Path, opened: Source) -> None:
    os.truncate(path, len(LARGE) - 1)
    with pytest.raises(SourceChangedError) as caught:
        opened.untouched(stage="put")
    error = caught.value
    assert (error.file_name, error.file_size, error.stage) == ("photo.bin", len(LARGE), "put")
    assert str(error) == (
        f"photo.bin changed while it was being uploaded: it had {len(LARGE)} bytes and now has "
        f"{len(LARGE) - 1}; upload it again once nothing writes to it")


def test_file_that_grew_was_touched(path: pathlib.Path, opened: Source) -> None:
    times = path.stat()
    os.truncate(path, len(LARGE) + 1)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert not opened.untouched()


def test_file_of_another_time_was_touched(path: pathlib.Path, opened: Source) -> None:
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))
    assert not opened.untouched()


def test_other_inode_is_noticed(opened: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    stat = list(os.fstat(opened._file.fileno()))  # type: ignore[attr-defined]
    times = {"st_mtime_ns": opened._opened.st_mtime_ns}  # type: ignore[attr-defined]
    stat[1] += 1
    other = os.stat_result(stat, times)
    monkeypatch.setattr("qqchunk.source.ranges.os.fstat", lambda _: other)
    with pytest.raises(SourceChangedError, match=r": it is another file \(its inode") as caught:
        opened.untouched(stage="put")
    assert caught.value.stage == "put"


def test_replaced_file_is_still_the_old_one(path: pathlib.Path, opened: Source) -> None:
    other = path.with_name("other")
    other.write_bytes(b"new")
    other.replace(path)
    assert content(opened) == LARGE
    assert opened.untouched()


def test_deleted_file_is_still_there(path: pathlib.Path, opened: Source) -> None:
    path.unlink()
    assert content(opened) == LARGE
    assert opened.untouched()


def test_users_open_file_that_became_shorter_is_refused(path: pathlib.Path) -> None:
    with open(path, "r+b") as file, open_source(file) as source:
        file.truncate(10)
        with pytest.raises(SourceChangedError):
            source.untouched()


def test_forgotten_source_warns_and_closes(path: pathlib.Path) -> None:
    with pytest.warns(ResourceWarning, match="unclosed file"):
        source = open_source(path)
        del source
        gc.collect()


def test_base_source_reads_nothing() -> None:
    source = Source("a.bin", 1)
    with pytest.raises(NotImplementedError):
        source.read_at(0, 1)
    with pytest.raises(NotImplementedError):
        source.window(0, 1)
