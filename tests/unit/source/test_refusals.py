"""What cannot be uploaded is refused in words that say what can."""

from __future__ import annotations

import array
import configparser
import contextlib
import errno
import gc
import io
import os
import pathlib
import tarfile
import tempfile
import warnings
import zipfile
from typing import Any, Callable

import pytest
from django.core.files.base import File
from werkzeug.datastructures import FileStorage

from qqchunk.source.opening import open_source
from tests.unit.source.samples import SMALL, Reader, upload


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


@pytest.mark.parametrize("kind", [io.BytesIO, Reader, pathlib.Path])
def test_class_is_refused(kind: type) -> None:
    with pytest.raises(TypeError, match=f"^cannot upload the class {kind.__name__} itself: give"):
        open_source(kind, "a.bin")


def test_coroutine_that_was_not_awaited_is_refused_in_these_words_alone() -> None:
    async def read() -> bytes:
        return SMALL

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(TypeError) as caught:
            open_source(read(), "a.bin")
        gc.collect()
    assert str(caught.value) == (
        "cannot upload coroutine, which has to be awaited first: give the bytes or the path that "
        "it gives")


def test_stream_that_can_be_awaited_as_well_is_a_stream() -> None:
    class Both(Reader):
        def __await__(self) -> Any: ...

    assert upload(Both(SMALL), "a.bin") == SMALL


class Response:
    """As httpx gives it: read() gives everything."""

    content = b"whole"

    def read(self) -> bytes:
        raise AssertionError("it was read")


class Archive:
    """As rarfile and py7zr have it."""

    def __init__(self) -> None:
        self.filename = "/srv/a.rar"

    def read(self, targets: Any) -> Any:
        raise AssertionError("it was read")

    def namelist(self) -> Any: ...


@pytest.mark.parametrize("make, words", [
    (lambda: zipfile.ZipFile(io.BytesIO(b"PK\5\6" + bytes(18))), "a member of it, .open(name), or"),
    (Archive, "a member of it, .open(name), or the path of the archive"),
    (configparser.ConfigParser, "the bytes that it gives"),
    (Response, "its .content"),
], ids=["ZipFile", "Archive", "ConfigParser", "Response"])
@pytest.mark.parametrize("file_name", [None, "a.bin"])
def test_read_that_takes_something_else_than_a_size_is_not_called(
    make: Callable[[], Any], words: str, file_name: Any
) -> None:
    file = make()
    with pytest.raises(TypeError) as caught:
        open_source(file, file_name)
    assert str(caught.value).startswith(
        f"cannot upload {type(file).__name__}, whose read() takes no number of bytes: give {words}")


def test_archive_without_read_is_told_of_its_members() -> None:
    with tarfile.open(fileobj=io.BytesIO(), mode="w") as archive:
        with pytest.raises(TypeError, match=r"; here: a member of it, \.extractfile\(name\), or"):
            open_source(archive, "a.tar")


def test_part_that_can_be_uploaded_is_found_without_running_its_code() -> None:
    class Lazy:
        @property
        def content(self) -> bytes:
            raise AssertionError("it was downloaded")

    with pytest.raises(TypeError, match=r"; here: its \.content$"):
        open_source(Lazy(), "a.bin")


@pytest.mark.parametrize("read", [
    lambda: io.BytesIO(SMALL).read,  # of C: nothing tells what it takes
    lambda: lambda *args: SMALL[len(args):0],
    lambda: lambda n=-1: b"",
    lambda: lambda size, /: b"",
])
def test_read_that_takes_a_size_is_called(read: Callable[[], Any]) -> None:
    file = Reader(b"")
    setattr(file, "read", read())
    with contextlib.suppress(ValueError):
        open_source(file, "a.bin").close()


def test_read_that_does_not_tell_what_it_takes_is_called() -> None:
    class Untold:
        __signature__ = 0  # at which inspect.signature() gives up
        data = SMALL

        def __call__(self, size: int) -> bytes:
            block, self.data = self.data[:size], self.data[size:]
            return block

    file = Reader(b"")
    setattr(file, "read", Untold())
    assert upload(file, "a.bin") == SMALL


class Asynchronous:
    async def read(self, size: int = -1) -> bytes:
        return b""


class Upload(Asynchronous):
    """As Starlette's."""

    def __init__(self) -> None:
        self.file = io.BytesIO(SMALL)
        self.filename = "a.bin"


class Downloading(Asynchronous):
    """Whose content is not there before it is awaited, as httpx's."""

    content = b""


class Awaited(Asynchronous):
    """One that only its result shows to be asynchronous."""

    def read(self, size: int = -1) -> Any:
        return super().read(size)


@pytest.mark.parametrize("make, words", [
    (Asynchronous, "the bytes that awaiting it gives, or the path"),
    (Awaited, "the bytes that awaiting it gives, or the path"),
    (Upload, "its .file"),
    (Downloading, "the bytes that awaiting it gives, or the path"),
])
@pytest.mark.parametrize("file_name", ["a.bin"])
def test_asynchronous_read_is_refused_and_never_left_unawaited(
    make: Callable[[], Any], words: str, file_name: str
) -> None:
    with warnings.catch_warnings(record=True) as caught_warnings:
        warnings.simplefilter("always")
        with pytest.raises(TypeError) as caught:
            open_source(make(), file_name)
        gc.collect()
    assert caught_warnings == []
    assert str(caught.value) == (
        f"cannot upload {make.__name__}, whose read() is asynchronous: give {words}")


def test_asynchronous_read_is_refused_before_a_name_is_asked_for() -> None:
    with pytest.raises(TypeError, match="whose read[(][)] is asynchronous"):
        open_source(Asynchronous())


def test_future_that_read_gives_is_refused() -> None:
    class Future:
        def __await__(self) -> Any: ...

    class Stream:
        def read(self, size: int) -> Any:
            return Future()

    with pytest.raises(TypeError, match="whose read[(][)] is asynchronous"):
        open_source(Stream(), "a.bin")


# Text that is no path


@pytest.mark.parametrize("text, words", [
    ("http://host/a.png", "let the platform fetch it with upload_url()"),
    (" HTTPS://host/a.png", "let the platform fetch it with upload_url()"),
    (pathlib.Path("https://host/a.png"), "let the platform fetch it with upload_url()"),
    ("file:///srv/a.png", "give the path that it names"),
    ("FILE://localhost/srv/a.png", "give the path that it names"),
    (pathlib.Path("file:///srv/a.png"), "give the path that it names"),
    ("base64://c2VjcmV0", "give the content as bytes, decoded with base64.b64decode()"),
    ("data:image/png;base64,c2VjcmV0", "give the content as bytes, decoded with"),
    ("data:,secret", "give the content as bytes, decoded with base64.b64decode()"),
    ("s3://bucket/secret", "open it and give what has its read(), or its bytes"),
    ("ftp://host/secret", "open it and give what has its read(), or its bytes"),
    ("c2VjcmV0" * 1000, "text of 8000 characters is not a path: give content as bytes"),
])
def test_text_that_is_no_path_is_refused_with_what_to_give_and_not_shown(
    text: Any, words: str
) -> None:
    with pytest.raises(ValueError) as caught:
        open_source(text)
    assert words in str(caught.value)
    assert "secret" not in str(caught.value) and "c2V" not in str(caught.value)


def test_text_as_long_as_a_path_may_be_is_left_to_the_system() -> None:
    with pytest.raises(OSError):
        open_source("a" * 4096)


@pytest.mark.parametrize("name", ["data:2024.csv", "file.txt", "http", "base64", "a:b", "C:x"])
def test_path_that_looks_a_little_like_a_url_is_a_path(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    pathlib.Path(name).write_bytes(SMALL)
    with open_source(name) as source:
        assert source.size == len(SMALL)
