"""Streams that can only be read: copied whole, their position put back."""

from __future__ import annotations

import bz2
import errno
import gzip
import io
import itertools
import lzma
import os
import pathlib
import tarfile
import tempfile
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Iterator, List, Optional

import pytest
from django.core.files.base import File
from django.core.files.uploadedfile import InMemoryUploadedFile
from werkzeug.datastructures import FileStorage

from qqchunk.source import ranges, spooling
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


# What of it is put back, and what cannot be


def test_unpacked_pipe_goes_up_though_its_position_cannot_be_put_back() -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, position: int, whence: int = 0) -> int:
            raise io.UnsupportedOperation("seek")

    with gzip.GzipFile(fileobj=Pipe(gzip.compress(LARGE))) as file:
        assert upload(file, "a.bin") == LARGE


# One reader at a time


class Slow(io.BytesIO):
    """A subclass, so that it has to be read; and every read lets other threads run."""

    def read(self, size: Optional[int] = -1) -> bytes:
        time.sleep(0.001)
        return super().read(size)


@pytest.mark.parametrize("make", [
    lambda: Slow(LARGE),
    lambda: gzip.GzipFile(fileobj=io.BytesIO(gzip.compress(LARGE))),
    lambda: FileStorage(Slow(LARGE)),
    lambda: File(Slow(LARGE)),
])
def test_eight_threads_that_share_a_stream_get_eight_whole_files(make: Callable[[], Any]) -> None:
    file = make()
    file.seek(7)
    with ThreadPoolExecutor(8) as executor:
        files = list(executor.map(lambda i: upload(file, f"{i}.bin"), range(8)))
    assert files == [LARGE] * 8
    assert file.tell() == 7
    assert not spooling._readers


def test_wrappers_of_one_stream_are_one_stream() -> None:
    stream = Slow(LARGE)
    with ThreadPoolExecutor(8) as executor:
        files = list(executor.map(lambda i: upload(FileStorage(stream, f"{i}.bin")), range(8)))
    assert files == [LARGE] * 8


class Raw(io.RawIOBase):
    """A file of somebody's own, and every read lets other threads run."""

    def __init__(self) -> None:
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, position: int, whence: int = 0) -> int:
        self._at = position + (0, self._at, len(LARGE))[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        time.sleep(0.0005)
        block = LARGE[self._at:self._at + min(len(buffer), 50_000)]
        buffer[:len(block)] = block
        self._at += len(block)
        return len(block)


def members_of_an_archive() -> Iterator[Any]:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        member = tarfile.TarInfo("a.bin")
        member.size = len(LARGE)
        archive.addfile(member, io.BytesIO(LARGE))
    packed.seek(0)
    opened = tarfile.open(fileobj=packed)
    while True:
        yield opened.extractfile("a.bin")


def buffers_and_the_file_itself() -> Iterator[Any]:
    file = Raw()
    while True:
        yield io.BufferedReader(file)
        yield file


def unpackers(module: Any, kind: Any) -> Callable[[], Iterator[Any]]:
    def make() -> Iterator[Any]:
        packed = Slow(module.compress(LARGE))
        while True:
            yield kind(packed)
    return make


@pytest.mark.parametrize("make", [
    members_of_an_archive,
    buffers_and_the_file_itself,
    unpackers(gzip, lambda packed: gzip.GzipFile(fileobj=packed)),
    unpackers(bz2, bz2.BZ2File),
    unpackers(lzma, lzma.LZMAFile),
])
def test_streams_of_their_own_that_read_from_the_same_one_are_read_one_after_the_other(
    make: Callable[[], Iterator[Any]]
) -> None:
    streams = list(itertools.islice(make(), 8))
    with ThreadPoolExecutor(8) as executor:
        files = list(executor.map(lambda stream: upload(stream, "a.bin") == LARGE, streams))
    assert files == [True] * 8
    assert not spooling._readers


def test_streams_that_share_nothing_are_read_side_by_side() -> None:
    held = Held(SMALL)
    with ThreadPoolExecutor(1) as executor:
        other = executor.submit(upload, held, "a.bin")
        assert held.begun.wait(10)
        assert upload(io.BufferedReader(Raw()), "b.bin") == LARGE
        held.go_on.set()
        assert other.result() == SMALL


class Held(io.BytesIO):
    """Its read() waits until it is let go."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.begun, self.go_on = threading.Event(), threading.Event()

    def read(self, size: Optional[int] = -1) -> bytes:
        self.begun.set()
        assert self.go_on.wait(10)
        return super().read(size)


def test_waiting_for_another_reader_can_be_stopped() -> None:
    file = Held(SMALL)

    def check() -> None:
        raise TimeoutError("stop here")

    with ThreadPoolExecutor(1) as executor:
        other = executor.submit(upload, file, "a.bin")
        assert file.begun.wait(10)
        with pytest.raises(TimeoutError, match="stop here"):
            open_source(file, "b.bin", check=check)
        file.go_on.set()
        assert other.result() == SMALL


def test_stream_that_its_own_thread_is_reading_is_refused() -> None:
    class Reentrant(Reader):
        def read(self, length: int) -> Any:
            open_source(self, "b.bin")

    with pytest.raises(RuntimeError, match="^this Reentrant is being read for another upload of"):
        open_source(Reentrant(SMALL), "a.bin")
    assert not spooling._readers


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_child_of_a_fork_does_not_wait_for_a_reader_of_its_parent() -> None:
    file = Held(SMALL)
    with ThreadPoolExecutor(1) as executor:
        other = executor.submit(upload, file, "a.bin")
        assert file.begun.wait(10)
        child = os.fork()
        if not child:
            file.go_on.set()
            os._exit(0 if upload(file, "b.bin") == SMALL else 1)
        give_up = time.monotonic() + 10
        done = (0, 0)
        while done[0] == 0 and time.monotonic() < give_up:
            done = os.waitpid(child, os.WNOHANG)
            time.sleep(0.01)
        if done[0] == 0:
            os.kill(child, 9)
            os.waitpid(child, 0)
        file.go_on.set()
        assert other.result() == SMALL
    assert done == (child, 0)


# Room


@pytest.fixture
def no_room(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> pathlib.Path:
    """A temporary directory that is not there."""
    gone = tmp_path / "gone"
    monkeypatch.setattr(tempfile, "tempdir", str(gone))
    return gone


def test_what_is_in_memory_needs_no_temporary_directory(no_room: pathlib.Path) -> None:
    assert upload(io.BytesIO(LARGE), "a.bin") == LARGE
    assert upload(File(io.BytesIO(LARGE)), "a.bin") == LARGE
    assert upload(Reader(LARGE[:BLOCK_SIZE]), "a.bin") == LARGE[:BLOCK_SIZE]


def test_missing_temporary_directory_is_named(no_room: pathlib.Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        open_source(Reader(LARGE), "a.bin")
    assert caught.value.filename == str(no_room)
    assert str(caught.value) == (
        "[Errno 2] No such file or directory: a.bin has to be copied to the temporary directory "
        f"before it goes up; make room there, or name another one in TMPDIR: '{no_room}'")


def test_no_usable_temporary_directory_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/nowhere"])
    with pytest.raises(FileNotFoundError, match="/nowhere.*: a.bin has to be copied to the temp"):
        open_source(Reader(LARGE), "a.bin")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_full_temporary_directory_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: open("/dev/full", "w+b", 0))
    with pytest.raises(OSError) as caught:
        open_source(Reader(LARGE), "a.bin")
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(tmp_path))
    assert "make room there" in str(caught.value)


def test_failure_of_the_stream_is_not_blamed_on_the_directory() -> None:
    class Failing:
        def read(self, size: int) -> bytes:
            raise OSError(errno.EIO, "disk on fire")

    with pytest.raises(OSError) as caught:
        open_source(Failing(), "a.bin")
    assert str(caught.value) == f"[Errno {errno.EIO}] disk on fire"
