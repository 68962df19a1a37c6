"""Streams that can only be read: copied whole, their position put back."""

from __future__ import annotations

import gzip
import io
import os
import pathlib
import tempfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, List, Optional

import pytest
from django.core.files.base import File
from django.core.files.uploadedfile import InMemoryUploadedFile
from werkzeug.datastructures import FileStorage

from qqchunk.source import ranges
from qqchunk.errors import UploadFileTooLargeError, format_size
from qqchunk.source.opening import open_source
from qqchunk.source.spooling import BLOCK_SIZE
from tests.unit.source.samples import LARGE, SMALL, Reader, content, upload


class Endless:
    def __init__(self) -> None:
        self.given = 0

    def read(self, length: int) -> bytes:
        self.given += length
        return bytes(length)


def test_bytes_io_at_a_position_goes_up_whole_and_stays_there() -> None:
    file = io.BytesIO(SMALL)
    file.seek(4)
    assert upload(file, "a.bin") == SMALL
    assert (file.tell(), file.closed) == (4, False)


def test_gzip_file_goes_up_decompressed(tmp_path: pathlib.Path) -> None:
    with gzip.open(tmp_path / "a.gz", "wb") as writer:
        writer.write(LARGE)
    with gzip.open(tmp_path / "a.gz") as file:
        file.read(10)
        assert upload(file, "a.bin") == LARGE
        assert file.tell() == 10


def test_buffered_reader_over_a_gzip_file_goes_up_decompressed(tmp_path: pathlib.Path) -> None:
    with gzip.open(tmp_path / "a.gz", "wb") as writer:
        writer.write(LARGE)
    packed: Any = gzip.open(tmp_path / "a.gz")
    with io.BufferedReader(packed) as file:
        assert upload(file, "a.bin") == LARGE


def test_djangos_file_around_a_gzip_file_goes_up_decompressed(tmp_path: pathlib.Path) -> None:
    with gzip.open(tmp_path / "a.gz", "wb") as writer:
        writer.write(LARGE)
    with gzip.open(tmp_path / "a.gz") as file:
        assert upload(File(file, "a.bin")) == LARGE


class Shouting(io.BufferedReader):
    def read(self, length: Optional[int] = -1) -> bytes:
        return super().read(length).upper()


class ShoutingRaw(io.FileIO):
    def read(self, length: Optional[int] = -1) -> bytes:
        return super().read(-1 if length is None else length).upper()

    def readinto(self, buffer: Any) -> int:
        block = self.read(len(buffer))
        buffer[:len(block)] = block
        return len(block)


@pytest.mark.parametrize("make", [
    lambda path: Shouting(io.FileIO(path)),
    ShoutingRaw,
    lambda path: io.BufferedReader(ShoutingRaw(path)),
])
def test_subclass_goes_up_as_its_own_read_gives_it(
    tmp_path: pathlib.Path, make: Callable[[str], Any]
) -> None:
    (tmp_path / "a.txt").write_bytes(b"quiet")
    with make(str(tmp_path / "a.txt")) as file:
        assert upload(file, "a.txt") == b"QUIET"


def test_zip_member_goes_up_unpacked(tmp_path: pathlib.Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inside/b.bin", LARGE)
    with zipfile.ZipFile(tmp_path / "a.zip") as archive, archive.open("inside/b.bin") as file:
        with open_source(file) as source:
            assert (source.name, content(source)) == ("b.bin", LARGE)


@pytest.mark.parametrize("buffering", [-1, 0])
def test_pipe_is_read_to_its_end(buffering: int) -> None:
    reading, writing = os.pipe()

    def write() -> None:
        with open(writing, "wb") as writer:
            writer.write(LARGE)

    with ThreadPoolExecutor(1) as executor:
        writer = executor.submit(write)
        with open(reading, "rb", buffering=buffering) as file:
            assert upload(file, "a.bin") == LARGE
        writer.result()


def test_what_cannot_seek_is_read_from_where_it_is() -> None:
    file = Reader(SMALL)
    file.read(4)
    assert upload(file, "a.bin") == SMALL[4:]


def test_what_says_it_cannot_seek_is_not_asked_to() -> None:
    class Stream(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, position: int, whence: int = 0) -> int:
            raise AssertionError("it was asked to")

    file = Stream(SMALL)
    file.read(4)
    assert upload(file, "a.bin") == SMALL[4:]


def test_what_fails_to_seek_but_says_it_can_is_not_uploaded_in_part() -> None:
    class Broken(io.BytesIO):
        def seek(self, position: int, whence: int = 0) -> int:
            raise OSError("broken")

    with pytest.raises(OSError, match="broken"):
        open_source(Broken(SMALL), "a.bin")


@pytest.mark.parametrize("data", [SMALL, LARGE])
def test_flasks_upload_goes_up_whole(data: bytes) -> None:
    file = FileStorage(io.BytesIO(data), filename="cat.png")
    file.read(5)
    with open_source(file) as source:
        assert (source.name, content(source)) == ("cat.png", data)
    assert file.tell() == 5


def test_flasks_upload_in_a_spooled_file_goes_up_whole() -> None:
    with tempfile.SpooledTemporaryFile(max_size=10) as stream:
        stream.write(LARGE)
        assert upload(FileStorage(stream, filename="cat.png")) == LARGE
        assert stream.tell() == len(LARGE)


def test_djangos_upload_in_memory_goes_up_whole() -> None:
    file = InMemoryUploadedFile(io.BytesIO(SMALL), "field", "cat.png", "image/png", 10, None)
    file.read(5)
    with open_source(file) as source:
        assert (source.name, content(source)) == ("cat.png", SMALL)
    assert file.tell() == 5


@pytest.mark.parametrize("make", [bytes, bytearray, memoryview])
def test_read_may_give_any_bytes_like(make: Callable[[bytes], Any]) -> None:
    assert upload(Reader(make(LARGE)), "a.bin") == LARGE


@pytest.mark.parametrize("size", [
    BLOCK_SIZE, BLOCK_SIZE + 1, 3 * BLOCK_SIZE + 10
])
def test_only_what_is_over_one_block_takes_a_file(size: int) -> None:
    with open_source(Reader(LARGE[:size]), "a.bin") as source:
        assert isinstance(source, ranges.FileSource) == (size > BLOCK_SIZE)
        assert content(source) == LARGE[:size]


def test_spool_is_closed_with_the_source(spools: List[Any]) -> None:
    with open_source(Reader(LARGE), "a.bin"):
        assert not spools[0].closed
    assert spools[0].closed


@pytest.mark.parametrize("limit", [9, 3 * BLOCK_SIZE])
def test_spooling_stops_one_byte_over_the_limit(limit: int, spools: List[Any]) -> None:
    file = Endless()
    with pytest.raises(UploadFileTooLargeError) as caught:
        open_source(file, "a.bin", max_size=limit)
    assert file.given == limit + 1
    error = caught.value
    assert (error.file_name, error.file_size, error.limit_bytes) == ("a.bin", None, limit)
    assert str(error).startswith(f"a.bin is over the size limit ({format_size(limit)}) - ")
    assert spools[0].closed


@pytest.mark.parametrize("size", [10, BLOCK_SIZE, 3 * BLOCK_SIZE])
def test_stream_of_exactly_the_limit_is_taken(size: int) -> None:
    assert upload(Reader(LARGE[:size]), "a.bin", max_size=size) == LARGE[:size]


def test_read_that_gives_more_than_asked_cannot_pass_the_limit() -> None:
    class Generous(Reader):
        def read(self, length: int) -> bytes:
            return bytes(super().read(length + 5))

    with pytest.raises(UploadFileTooLargeError):
        open_source(Generous(SMALL), "a.bin", max_size=9)


def test_copy_over_one_block_leaves_memory_before_more_is_read(spools: List[Any]) -> None:
    on_disk: List[bool] = []
    open_source(Reader(LARGE), "a.bin", check=lambda: on_disk.append(spools[0]._rolled)).close()
    assert on_disk == [False, False, True, True, True]


def test_position_is_put_back_after_a_failure() -> None:
    class Failing(io.BytesIO):
        def read(self, length: Optional[int] = -1) -> bytes:
            super().read(length)
            raise OSError("disk on fire")

    file = Failing(SMALL)
    file.seek(4)
    with pytest.raises(OSError, match="disk on fire"):
        open_source(file, "a.bin")
    assert file.tell() == 4


def test_copying_can_be_stopped_between_two_reads() -> None:
    class Stream(io.BytesIO):
        pass

    stream = Stream(LARGE)
    stream.seek(3)
    positions: List[int] = []

    def check() -> None:
        positions.append(stream.tell())
        if len(positions) == 2:
            raise TimeoutError("stop here")

    with pytest.raises(TimeoutError, match="stop here"):
        open_source(stream, "x.bin", check=check)
    assert positions == [0, BLOCK_SIZE]
    assert stream.tell() == 3


def test_empty_stream_is_refused() -> None:
    with pytest.raises(ValueError, match="a.bin is empty"):
        open_source(io.BytesIO(), "a.bin")
