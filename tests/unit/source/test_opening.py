"""What becomes a source, what is refused, and how a source is read."""

from __future__ import annotations

import array
import ctypes
import errno
import gzip
import io
import os
import pathlib
import stat
import tempfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, List, Optional

import pytest
from django.conf import settings
from django.core.files.base import ContentFile, File
from django.core.files.uploadedfile import InMemoryUploadedFile, TemporaryUploadedFile
from werkzeug.datastructures import FileStorage

from qqchunk.source import ranges
from qqchunk.errors import UploadFileTooLargeError, format_size
from qqchunk.source.opening import SPOOL_BLOCK_SIZE, find_name, open_source
from tests.unit.source.samples import LARGE, SMALL, Reader, content, upload

if not settings.configured:
    settings.configure()


@pytest.fixture
def spools(monkeypatch: pytest.MonkeyPatch) -> List[Any]:
    """The spools that were made: empty as long as everything was read in place."""
    made: List[Any] = []
    real = tempfile.SpooledTemporaryFile

    class Spool(real):  # type: ignore[valid-type,misc]
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            made.append(self)

    monkeypatch.setattr("qqchunk.source.opening.tempfile.SpooledTemporaryFile", Spool)
    return made


class Endless:
    def __init__(self) -> None:
        self.given = 0

    def read(self, length: int) -> bytes:
        self.given += length
        return bytes(length)


# Paths


@pytest.mark.parametrize("make", [str, pathlib.Path, lambda p: Encoded(os.fsencode(p))])
def test_path_is_read_under_its_base_name(path: pathlib.Path, make: Callable[[Any], Any]) -> None:
    with open_source(make(path)) as source:
        assert (source.name, source.size) == ("photo.bin", len(LARGE))
        assert content(source) == LARGE


class Encoded:
    """A path whose text is bytes."""

    def __init__(self, path: bytes) -> None:
        self.path = path

    def __fspath__(self) -> bytes:
        return self.path


def test_file_name_wins_over_the_paths_own(path: pathlib.Path) -> None:
    with open_source(path, "other.png") as source:
        assert source.name == "other.png"


def test_link_goes_up_under_its_own_name(path: pathlib.Path) -> None:
    link = path.with_name("link.bin")
    link.symlink_to(path)
    with open_source(link) as source:
        assert (source.name, content(source)) == ("link.bin", LARGE)


def test_missing_path_is_file_not_found(tmp_path: pathlib.Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        open_source(tmp_path / "nowhere")


def test_directory_is_refused_as_such(tmp_path: pathlib.Path) -> None:
    with pytest.raises(IsADirectoryError) as caught:
        open_source(tmp_path)
    error = caught.value
    assert (error.errno, error.strerror, error.filename) == (
        errno.EISDIR, os.strerror(errno.EISDIR), str(tmp_path))


def test_fifo_is_refused_at_once(tmp_path: pathlib.Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with pytest.raises(ValueError, match="fifo is a pipe, a device or a socket"):
        open_source(fifo)


def test_fifo_that_takes_a_files_place_is_refused_at_once(
    tmp_path: pathlib.Path, path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    of_the_file = os.stat(path)
    monkeypatch.setattr("qqchunk.source.opening.os.stat", lambda _: of_the_file)
    with pytest.raises(ValueError, match="not a file"):
        open_source(fifo)


def test_device_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="not a file"):
        open_source("/dev/zero")


def test_socket_is_refused(tmp_path: pathlib.Path) -> None:
    os.mknod(tmp_path / "socket", stat.S_IFSOCK | 0o600)
    with pytest.raises(ValueError, match="not a file"):
        open_source(tmp_path / "socket")


def test_empty_file_is_refused(tmp_path: pathlib.Path) -> None:
    (tmp_path / "void.png").touch()
    with pytest.raises(ValueError, match="void.png is empty"):
        open_source(tmp_path / "void.png")


@pytest.mark.parametrize("url", ["http://host/a.png", "https://host/a.png", " HTTPS://host"])
def test_url_is_refused_with_the_method_for_it(url: str) -> None:
    with pytest.raises(ValueError) as caught:
        open_source(url)
    assert str(caught.value) == (
        "a URL is not a local file: let the platform fetch it with upload_url()")


def test_path_over_the_limit_is_refused(path: pathlib.Path) -> None:
    with pytest.raises(UploadFileTooLargeError) as caught:
        open_source(path, max_size=len(LARGE) - 1)
    error = caught.value
    assert (error.file_name, error.file_size) == ("photo.bin", len(LARGE))
    assert error.limit_bytes == len(LARGE) - 1


def test_path_of_exactly_the_limit_is_taken(path: pathlib.Path) -> None:
    assert upload(path, max_size=len(LARGE)) == LARGE


def test_descriptors_are_closed_after_a_refusal(path: pathlib.Path) -> None:
    before = len(os.listdir("/dev/fd"))
    with pytest.raises(UploadFileTooLargeError):
        open_source(path, max_size=1)
    assert len(os.listdir("/dev/fd")) == before


# Bytes in memory


@pytest.mark.parametrize("data", [
    SMALL,
    bytearray(SMALL),
    memoryview(SMALL),
    memoryview(b"0_1_2_3_4_5_6_7_8_9_")[::2],
    memoryview(SMALL).cast("H"),
    memoryview(SMALL).cast("B", shape=[2, 5]),
    memoryview((ctypes.c_char * 10).from_buffer_copy(SMALL)),
    memoryview((ctypes.c_uint16.__ctype_le__ * 5).from_buffer_copy(SMALL)),
])
def test_bytes_like_is_taken_as_its_bytes(data: Any) -> None:
    with open_source(data, "a.bin") as source:
        assert (source.name, source.size) == ("a.bin", 10)
        assert content(source) == SMALL
        with source.window(2, 3) as window:
            assert bytes(window) == b"234"


def test_bytes_are_used_in_place() -> None:
    data = bytearray(SMALL)
    with open_source(data, "a.bin") as source:
        data[0:1] = b"X"
        assert content(source) == b"X123456789"


def test_bytearray_can_be_resized_again_after_close() -> None:
    data = bytearray(SMALL)
    source = open_source(data, "a.bin")
    with pytest.raises(BufferError):
        data.append(1)
    source.close()
    data.append(1)


def test_source_of_bytes_cannot_be_read_after_close() -> None:
    source = open_source(SMALL, "a.bin")
    source.close()
    source.close()
    with pytest.raises(ValueError):
        source.read_at(0, 1)


@pytest.mark.parametrize("data", [b"", bytearray(), memoryview(b""), memoryview(b"")[::2]])
def test_no_bytes_are_refused(data: Any) -> None:
    with pytest.raises(ValueError, match="a.bin is empty"):
        open_source(data, "a.bin")


def test_bytes_over_the_limit_are_refused() -> None:
    with pytest.raises(UploadFileTooLargeError) as caught:
        open_source(SMALL, "a.bin", max_size=9)
    assert (caught.value.file_size, caught.value.limit_bytes) == (10, 9)


# Names


@pytest.mark.parametrize("file_name", [None, ""])
@pytest.mark.parametrize("file", [
    SMALL,
    io.BytesIO(SMALL),
    ContentFile(SMALL),
    FileStorage(io.BytesIO(SMALL)),
    FileStorage(io.BytesIO(SMALL), filename=""),
], ids=lambda file: type(file).__name__)
def test_nameless_input_asks_for_a_file_name(file: Any, file_name: Optional[str]) -> None:
    kind = type(file).__name__
    with pytest.raises(ValueError, match=f"^{kind} has no name of its own: give a file_name$"):
        open_source(file, file_name)


def test_nameless_pipe_is_not_read_before_its_name_is_asked_for() -> None:
    file = Reader(SMALL)
    with pytest.raises(ValueError, match="give a file_name"):
        open_source(file)
    assert file.data == SMALL


def test_file_opened_from_a_descriptor_has_no_name(path: pathlib.Path) -> None:
    with open(os.open(path, os.O_RDONLY), "rb") as file:
        with pytest.raises(ValueError, match="give a file_name"):
            open_source(file)


def test_name_that_is_bytes_does_not_count(path: pathlib.Path) -> None:
    with open(os.fsencode(path), "rb") as file:
        assert find_name(file) is None


def test_open_files_name_loses_its_directories(path: pathlib.Path) -> None:
    with open(path, "rb") as file:
        assert find_name(file) == "photo.bin"


def test_flasks_filename_wins_over_the_form_fields_name() -> None:
    file = FileStorage(io.BytesIO(SMALL), filename="cat.png", name="avatar")
    assert find_name(file) == "cat.png"


@pytest.mark.parametrize("filename", [None, "", 5])
def test_filename_that_is_no_name_does_not_count(filename: Any) -> None:
    file = Reader(SMALL)
    vars(file).update(filename=filename, name="pictures/cat.png")
    assert find_name(file) == "cat.png"


# File objects that are read in place


def test_open_file_at_any_position_goes_up_whole_and_stays_there(
    path: pathlib.Path, spools: List[Any]
) -> None:
    with open(path, "rb") as file:
        file.read(1000)
        assert upload(file) == LARGE
        assert file.tell() == 1000
        assert file.read(5) == LARGE[1000:1005]
    assert not spools


@pytest.mark.parametrize("options", [
    {"mode": "rb"}, {"mode": "r+b"}, {"mode": "rb", "buffering": 0}, {"mode": "r+b", "buffering": 0}
], ids=str)
def test_plain_file_is_read_in_place(
    path: pathlib.Path, spools: List[Any], options: Any
) -> None:
    with open(path, **options) as file:
        assert upload(file) == LARGE
    assert not spools


def test_user_may_close_the_file_meanwhile(path: pathlib.Path) -> None:
    file = open(path, "rb")
    with open_source(file) as source:
        file.close()
        assert content(source) == LARGE


def test_what_is_still_in_the_writers_buffer_goes_up(spools: List[Any]) -> None:
    with tempfile.NamedTemporaryFile(suffix=".png") as file:
        file.write(SMALL)
        with open_source(file) as source:
            assert source.name == os.path.basename(file.name)
            assert content(source) == SMALL
        assert file.tell() == len(SMALL)
    assert not spools


def test_temporary_file_is_read_in_place(spools: List[Any]) -> None:
    with tempfile.TemporaryFile() as file:
        file.write(SMALL)
        assert upload(file, "a.bin") == SMALL
    assert not spools


def test_rolled_spooled_file_is_read_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.SpooledTemporaryFile(max_size=10) as file:
        file.write(LARGE)
        file.seek(3)
        monkeypatch.setattr("qqchunk.source.opening._spool", None)
        assert upload(file, "a.bin") == LARGE
        assert file.tell() == 3


def test_unrolled_spooled_file_is_copied_and_stays_unrolled() -> None:
    with tempfile.SpooledTemporaryFile(max_size=1000) as file:
        file.write(SMALL)
        file.seek(3)
        assert upload(file, "a.bin") == SMALL
        assert file.tell() == 3
        assert isinstance(file._file, io.BytesIO)


def test_djangos_temporary_upload_is_read_in_place(spools: List[Any]) -> None:
    with TemporaryUploadedFile("cat.png", "image/png", len(LARGE), None) as file:
        file.write(LARGE)
        with open_source(file) as source:
            assert (source.name, content(source)) == ("cat.png", LARGE)
    assert not spools


def test_djangos_file_around_an_open_file_is_read_in_place(
    path: pathlib.Path, spools: List[Any]
) -> None:
    with open(path, "rb") as inner:
        with open_source(File(inner)) as source:
            assert (source.name, content(source)) == ("photo.bin", LARGE)
    assert not spools


# File objects that are read through read()


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
    SPOOL_BLOCK_SIZE, SPOOL_BLOCK_SIZE + 1, 3 * SPOOL_BLOCK_SIZE + 10
])
def test_only_what_is_over_one_block_takes_a_file(size: int) -> None:
    with open_source(Reader(LARGE[:size]), "a.bin") as source:
        assert isinstance(source, ranges.FileSource) == (size > SPOOL_BLOCK_SIZE)
        assert content(source) == LARGE[:size]


def test_spool_is_closed_with_the_source(spools: List[Any]) -> None:
    with open_source(Reader(LARGE), "a.bin"):
        assert not spools[0].closed
    assert spools[0].closed


@pytest.mark.parametrize("limit", [9, 3 * SPOOL_BLOCK_SIZE])
def test_spooling_stops_one_byte_over_the_limit(limit: int, spools: List[Any]) -> None:
    file = Endless()
    with pytest.raises(UploadFileTooLargeError) as caught:
        open_source(file, "a.bin", max_size=limit)
    assert file.given == limit + 1
    error = caught.value
    assert (error.file_name, error.file_size, error.limit_bytes) == ("a.bin", None, limit)
    assert str(error).startswith(f"a.bin is over the size limit ({format_size(limit)}) - ")
    assert spools[0].closed


@pytest.mark.parametrize("size", [10, SPOOL_BLOCK_SIZE, 3 * SPOOL_BLOCK_SIZE])
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
    stream = io.BytesIO(LARGE)
    stream.seek(3)
    positions: List[int] = []

    def check() -> None:
        positions.append(stream.tell())
        if len(positions) == 2:
            raise TimeoutError("stop here")

    with pytest.raises(TimeoutError, match="stop here"):
        open_source(stream, "x.bin", check=check)
    assert positions == [0, SPOOL_BLOCK_SIZE]
    assert stream.tell() == 3


def test_empty_stream_is_refused() -> None:
    with pytest.raises(ValueError, match="a.bin is empty"):
        open_source(io.BytesIO(), "a.bin")


def test_text_file_is_refused(path: pathlib.Path) -> None:
    with open(path, encoding="latin-1") as file:
        with pytest.raises(TypeError, match="^TextIOWrapper gives text: open .* in binary mode"):
            open_source(file)


def test_text_in_memory_is_refused() -> None:
    with pytest.raises(TypeError, match="binary mode"):
        open_source(io.StringIO("text"))


def test_temporary_text_file_is_refused() -> None:
    with tempfile.NamedTemporaryFile("w+") as file:
        with pytest.raises(TypeError, match="^_TemporaryFileWrapper gives text: open .* binary"):
            open_source(file)


@pytest.mark.parametrize("text", ["text", ""])
def test_read_that_gives_text_is_refused(text: str) -> None:
    with pytest.raises(TypeError, match="^Reader gives text: open the file in binary mode"):
        open_source(Reader(text), "a.txt")


def test_stream_without_data_yet_is_refused() -> None:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    with open(reading, "rb", buffering=0) as file, open(writing, "wb"):
        with pytest.raises(BlockingIOError, match=r"FileIO\.read\(\) gave None") as caught:
            open_source(file, "a.bin")
    assert caught.value.errno == errno.EAGAIN


def test_read_that_gives_something_else_is_refused() -> None:
    with pytest.raises(TypeError, match=r"^Reader\.read\(\) gave list instead of bytes$"):
        open_source(Reader([1, 2]), "a.bin")


@pytest.mark.parametrize("make", [
    lambda path: open(path, "rb"),
    lambda path: io.BytesIO(SMALL),
    lambda path: File(open(path, "rb")),
    lambda path: FileStorage(io.BytesIO(SMALL)),
    lambda path: tempfile.SpooledTemporaryFile(),
    lambda path: tempfile.NamedTemporaryFile(),
])
def test_closed_file_is_refused(path: pathlib.Path, make: Callable[[Any], Any]) -> None:
    file = make(path)
    file.close()
    with pytest.raises(ValueError, match=f"^{type(file).__name__} is closed: open it again$"):
        open_source(file, "a.bin")


@pytest.mark.parametrize("buffering", [-1, 0])
def test_file_that_is_only_written_is_refused(path: pathlib.Path, buffering: int) -> None:
    with open(path, "ab", buffering=buffering) as file:
        kind = type(file).__name__
        with pytest.raises(ValueError, match=f"^{kind} is not open for reading$"):
            open_source(file)


@pytest.mark.parametrize("file", [None, 3, Ellipsis, ["a.bin"], array.array("B", SMALL)])
def test_what_cannot_be_read_is_told_what_can(file: Any) -> None:
    with pytest.raises(TypeError) as caught:
        open_source(file, "a.bin")
    assert str(caught.value) == (
        f"cannot upload {type(file).__name__}: give a path (str or os.PathLike), bytes, "
        "bytearray, memoryview, or an object whose read() gives bytes")
