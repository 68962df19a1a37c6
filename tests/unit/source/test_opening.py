"""Paths, bytes and plain files: what is used where it is."""

from __future__ import annotations

import ctypes
import errno
import hashlib
import io
import os
import pathlib
import stat
import subprocess
import sys
import tempfile
from typing import Any, Callable, Iterator, List, Optional
from unittest import mock

import pytest
from django.core.files.base import ContentFile, File
from django.core.files.storage import FileSystemStorage
from django.core.files.uploadedfile import InMemoryUploadedFile, TemporaryUploadedFile
from django.db.models import FileField
from django.db.models.fields.files import FieldFile
from pyfakefs.fake_filesystem_unittest import Patcher
from werkzeug.datastructures import FileStorage

from qqchunk.errors import UploadFileTooLargeError
from qqchunk.source.hashing import hash_file
from qqchunk.source.opening import open_source
from tests.unit.source.samples import LARGE, SMALL, Reader, content, upload


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


def test_signature_of_a_file_from_open_is_not_looked_for(
    path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def signature(read: Any) -> None:
        raise AssertionError("this takes longer than opening the file")

    monkeypatch.setattr("inspect.signature", signature)
    with open(path, "rb") as file, open_source(file), open_source(path) as source:
        assert content(source) == LARGE


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
        monkeypatch.setattr("qqchunk.source.opening.spool", None)
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


def test_bytes_in_memory_are_read_where_they_are_by_any_number_of_threads() -> None:
    data = LARGE + b"no other object"
    file = io.BytesIO(data)
    file.seek(4)
    with open_source(file, "a.bin") as first, open_source(file, "b.bin") as second:
        assert first._view.obj is second._view.obj  # type: ignore[attr-defined]
        file.close()  # as a with block of another thread's does
        assert content(first) == content(second) == data


@pytest.mark.parametrize("wrap", [
    lambda file: FileStorage(file, filename="a.bin"),
    lambda file: InMemoryUploadedFile(file, "field", "a.bin", "image/png", 10, None),
    lambda file: File(file, "a.bin"),
])
def test_bytes_in_memory_are_found_in_the_wrappers_of_frameworks(
    wrap: Callable[[Any], Any], spools: List[Any]
) -> None:
    file = io.BytesIO(SMALL)
    file.seek(4)
    assert upload(wrap(file)) == SMALL
    assert file.tell() == 4
    assert not spools


def test_flasks_upload_in_a_file_is_read_in_place(path: pathlib.Path, spools: List[Any]) -> None:
    with open(path, "rb") as file:
        file.seek(3)
        assert upload(FileStorage(file, filename="a.bin")) == LARGE
        assert file.tell() == 3
    assert not spools


def test_wrapper_with_a_read_of_its_own_goes_up_as_that_gives_it() -> None:
    class Shouted(FileStorage):
        def read(self, size: int = -1) -> bytes:
            return self.stream.read(size).upper()

    class ShoutedFile(File):  # type: ignore[type-arg]
        def read(self, size: int = -1) -> bytes:
            return bytes(self.file.read(size)).upper()

    assert upload(Shouted(io.BytesIO(b"quiet")), "a.txt") == b"QUIET"
    assert upload(ShoutedFile(io.BytesIO(b"quiet")), "a.txt") == b"QUIET"


# Files of Django's models


@pytest.fixture
def attachment(tmp_path: pathlib.Path) -> FieldFile:
    """The file of a model's field, as a row of the database gives it: not open."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.bin").write_bytes(LARGE)
    field: Any = FileField(storage=FileSystemStorage(str(tmp_path), base_url="/"))
    field.name = "attachment"
    return FieldFile(None, field, "docs/a.bin")  # type: ignore[arg-type]


def test_field_that_nobody_opened_is_read_in_place_and_left_alone(
    attachment: FieldFile, spools: List[Any]
) -> None:
    with open_source(attachment) as source:
        assert (source.name, content(source)) == ("a.bin", LARGE)
    assert attachment.closed and vars(attachment)["_file"] is None  # opened when it is read
    assert not spools


def test_open_field_is_read_in_place_and_stays_open(
    attachment: FieldFile, spools: List[Any]
) -> None:
    with attachment.open() as file:
        file.seek(3)
        assert upload(attachment) == LARGE
        assert file.tell() == 3
    assert upload(attachment) == LARGE  # closed again
    assert not spools


def test_field_without_a_file_is_refused(attachment: FieldFile) -> None:
    attachment.name = None
    with pytest.raises(ValueError, match="^this FieldFile has no file: there is nothing to upload"):
        open_source(attachment)


def test_field_whose_file_is_gone_is_file_not_found(attachment: FieldFile) -> None:
    attachment.name = "docs/gone.bin"
    with pytest.raises(FileNotFoundError):
        open_source(attachment)


# Files whose size says nothing


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="no /proc here")
@pytest.mark.parametrize("open_it", [
    str, lambda path: open(path, "rb"), lambda path: open(path, "rb", buffering=0)])
def test_file_of_proc_goes_up_as_it_reads(open_it: Callable[[str], Any]) -> None:
    file = open_it("/proc/self/cmdline")
    with open("/proc/self/cmdline", "rb") as other:
        assert upload(file) == other.read() != b""
    if not isinstance(file, str):
        assert file.tell() == 0
        file.close()


@pytest.mark.skipif(not os.path.exists("/sys/kernel/mm"), reason="no /sys here")
def test_file_of_sys_goes_up_as_it_reads() -> None:
    path = "/sys/kernel/mm/transparent_hugepage/enabled"
    with open(path, "rb") as file:
        assert upload(path) == file.read() != b""
        assert os.stat(path).st_size > len(upload(path))


def test_file_of_its_size_that_cannot_be_mapped_is_read_in_place(
    path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, spools: List[Any]
) -> None:
    def cannot_map(*args: Any, **options: Any) -> None:
        raise OSError(errno.ENODEV, "No such device")

    monkeypatch.setattr("qqchunk.source.ranges.mmap.mmap", cannot_map)
    assert upload(path) == LARGE
    assert not spools


def test_limit_holds_for_a_file_whose_size_says_nothing() -> None:
    if os.path.exists("/proc/self/status"):
        with pytest.raises(UploadFileTooLargeError):
            open_source("/proc/self/status", max_size=10)


# Files that others hold

HOLDER = """
import fcntl, os, signal, sys, time
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGIO})  # kept until it is waited for
descriptor = os.open(sys.argv[1], os.O_RDONLY)
fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print("held", flush=True)
signal.sigtimedwait({signal.SIGIO}, 10)
time.sleep(0.15)
fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
"""


@pytest.fixture
def holder(path: pathlib.Path) -> Iterator[None]:
    """A process that has a lease on the file, as Samba has, and gives it up when it is asked to."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout
        if process.stdout.readline() != b"held\n":
            pytest.skip("no leases here")
        yield
        process.kill()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="no leases here")
def test_file_under_a_lease_is_waited_for(path: pathlib.Path, holder: None) -> None:
    checks: List[int] = []
    assert upload(path, check=lambda: checks.append(1)) == LARGE
    assert checks  # so a deadline ends it


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="no leases here")
def test_waiting_for_a_lease_can_be_stopped(path: pathlib.Path, holder: None) -> None:
    def check() -> None:
        raise TimeoutError("stop here")

    with pytest.raises(TimeoutError, match="stop here"):
        open_source(path, check=check)


# Files that are none of the system's


def test_path_that_a_test_mocks_is_read_through_open() -> None:
    for data in (SMALL, LARGE):
        with mock.patch("builtins.open", mock.mock_open(read_data=data)) as opened:
            assert upload("/nowhere/a.bin") == data
        assert opened.call_args[0][0] == "/nowhere/a.bin"


@pytest.mark.parametrize("data", [SMALL, LARGE, LARGE * 5])
@pytest.mark.parametrize("open_it", [str, lambda path: open(path, "rb")])
def test_fake_file_goes_up_as_the_fake_system_has_it(
    data: bytes, open_it: Callable[[str], Any]
) -> None:
    with Patcher() as patcher:
        patcher.fs.create_file("/data/a.bin", contents=data)
        file = open_it("/data/a.bin")
        with open_source(file) as source:
            assert (source.name, content(source)) == ("a.bin", data)
            assert hash_file(file).md5 == hashlib.md5(data).hexdigest()
        if not isinstance(file, str):
            assert file.tell() == 0
            file.close()
        assert upload(Reader(data), "b.bin") == data
        with pytest.raises(FileNotFoundError):
            open_source("/data/nowhere")
        with pytest.raises(IsADirectoryError):
            open_source("/data")


def test_real_file_goes_up_beside_a_fake_system(path: pathlib.Path) -> None:
    with open(path, "rb") as file, Patcher() as patcher:
        for number in range(20):  # whose descriptors have the numbers of the real ones
            patcher.fs.create_file(f"/data/{number}", contents=b"fake" * 1000)
            patcher.fs.get_object(f"/data/{number}")
        fakes = [open(f"/data/{number}", "rb") for number in range(20)]
        assert upload(file) == LARGE
        for fake in fakes:
            fake.close()
