"""What stands behind a file object: wrappers taken off, and the system's own file if any."""

from __future__ import annotations

import gzip
import io
import os
import pathlib
import tempfile
from typing import Any, Iterator

import pytest
from werkzeug.datastructures import FileStorage

from qqchunk.source.wrappers import is_a, regular_file, unwrap


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "a.bin"
    path.write_bytes(b"content")
    return path


@pytest.fixture(params=["raw", "buffered", "random", "tempfile", "rolled spool", "flask"])
def plain(request: pytest.FixtureRequest, path: pathlib.Path) -> Iterator[Any]:
    """File objects whose descriptor has what their read() gives."""
    makers = {
        "raw": lambda: open(path, "rb", buffering=0),
        "buffered": lambda: open(path, "rb"),
        "random": lambda: open(path, "r+b"),
        "tempfile": tempfile.NamedTemporaryFile,
        "rolled spool": rolled,
        "flask": lambda: FileStorage(open(path, "rb")),
    }
    file: Any = makers[request.param]()
    yield file
    file.close()


def rolled() -> Any:
    file = tempfile.SpooledTemporaryFile(max_size=1)
    file.write(b"content")
    return file


def test_file_of_the_system_is_found_behind_plain_objects(plain: Any) -> None:
    raw = regular_file(plain)
    assert type(raw) is io.FileIO
    assert os.path.sameopenfile(raw.fileno(), plain.fileno())


def test_reader_that_gives_other_bytes_has_none(path: pathlib.Path) -> None:
    class Shouting(io.FileIO):
        def read(self, size: int = -1) -> bytes:
            return super().read(size).upper()

    packed = path.with_suffix(".gz")
    packed.write_bytes(gzip.compress(b"content"))
    with gzip.open(packed) as unpacked, Shouting(str(path)) as shouting:
        assert [regular_file(file) for file in (unpacked, shouting)] == [None, None]


def test_what_is_no_regular_file_has_none() -> None:
    reading, writing = os.pipe()
    os.close(writing)
    with open(reading, "rb") as pipe:
        assert regular_file(pipe) is None
    assert regular_file(io.BytesIO(b"content")) is None


def test_fake_file_system_is_not_asked_about_real_descriptors(
    path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open(path, "rb") as file:
        assert regular_file(file) is not None
        real = os.fstat
        monkeypatch.setattr(os, "fstat", lambda descriptor: real(descriptor))
        assert regular_file(file) is None


def test_wrappers_are_taken_off_down_to_the_file(path: pathlib.Path) -> None:
    with open(path, "rb") as file:
        assert unwrap(FileStorage(FileStorage(file))) is file
        assert unwrap(file) is file


def test_wrapper_whose_read_somebody_has_altered_stays_on(path: pathlib.Path) -> None:
    class Checked(FileStorage):
        def read(self, *args: Any) -> bytes:
            return b"checked"

    with open(path, "rb") as file:
        checked = Checked(file)
        assert unwrap(checked) is checked


def test_kind_is_told_by_the_names_of_its_classes() -> None:
    class Mine(io.BytesIO):
        pass

    assert is_a(Mine(), "_io.BytesIO", "gzip.GzipFile")
    assert not is_a(Mine(), "gzip.GzipFile")
