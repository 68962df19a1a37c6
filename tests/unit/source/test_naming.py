"""The name a file goes by: the last component of its own, never a directory."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import pathlib
import sys
from typing import Any

import pytest
from django.core.files.base import File
from werkzeug.datastructures import FileStorage

from qqchunk.source.naming import find_name
from tests.unit.source.samples import SMALL, Reader


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


@pytest.mark.parametrize("sent, name", [
    (r"C:\Users\me\cat.png", "cat.png"),
    (r"C:\fakepath\cat.png", "cat.png"),
    ("/home/me/cat.png", "cat.png"),
    ("a/b\\c.png", "c.png"),
    ("cat.png", "cat.png"),
])
def test_what_a_browser_sent_loses_its_directories(sent: str, name: str) -> None:
    assert find_name(FileStorage(io.BytesIO(SMALL), filename=sent)) == name
    file = io.BytesIO(SMALL)
    file.name = sent  # type: ignore[attr-defined]
    assert find_name(file) == name


def test_directory_without_a_file_is_no_name() -> None:
    file = FileStorage(io.BytesIO(SMALL), filename="/srv/uploads/", name="cat.png")
    assert find_name(file) == "cat.png"


def test_backslash_in_a_path_of_this_system_is_part_of_the_name(tmp_path: pathlib.Path) -> None:
    assert find_name(tmp_path / "a\\b.txt") == ("a\\b.txt" if os.sep == "/" else "b.txt")


@pytest.mark.parametrize("name", ["<stdin>", "<urllib response>", "<fdopen>"])
def test_description_in_place_of_a_name_does_not_count(name: str) -> None:
    file = Reader(SMALL)
    vars(file).update(name=name)
    assert find_name(file) is None


@pytest.mark.parametrize("packed, plain", [
    ("visits.csv.gz", "visits.csv"), ("VISITS.CSV.GZ", "VISITS.CSV"), ("all.tgz", "all.tar"),
    ("map.svgz", "map.svg"), ("visits.csv", "visits.csv"), (".gz", ".gz"),
])
def test_gzip_file_goes_by_the_name_of_what_goes_up(
    tmp_path: pathlib.Path, packed: str, plain: str
) -> None:
    path = tmp_path / packed
    with gzip.open(path, "wb") as file:
        file.write(SMALL)
    with gzip.open(path) as file:
        assert find_name(file) == plain
        assert find_name(File(file)) == plain
        packed_file: Any = file
        assert find_name(io.BufferedReader(packed_file)) == plain
    assert find_name(path) == packed
    with open(path, "rb") as raw:
        assert find_name(raw) == packed
        with gzip.GzipFile(fileobj=raw) as file:
            assert find_name(file) == plain


@pytest.mark.parametrize("module, packed", [(bz2, "a.txt.bz2"), (lzma, "a.txt.xz")])
def test_other_packed_files_go_by_the_name_of_what_goes_up(
    tmp_path: pathlib.Path, module: Any, packed: str
) -> None:
    module.open(tmp_path / packed, "wb").close()
    with module.open(tmp_path / packed) as file:
        has_name = sys.version_info >= (3, 13)
        assert find_name(file) == ("a.txt" if has_name else None)


def test_name_that_the_browser_sent_keeps_its_ending_whatever_reads_it() -> None:
    packed = io.BytesIO(gzip.compress(SMALL))
    assert find_name(FileStorage(packed, filename="a.csv.gz")) == "a.csv.gz"
