"""A file that changes under the upload is noticed; one that grew or was replaced is as it was."""

from __future__ import annotations

import contextlib
import logging
import os
import pathlib
import subprocess
import sys
import textwrap
import threading
import time
from typing import Any, Callable, Iterator

import pytest
import requests

from qqchunk import FileHashes, SourceChangedError, UploadCancelledError, Uploader, hash_file
from qqchunk.emulator import Emulator, Fault
from qqchunk.source import hashing
from qqchunk.source.ranges import Source
from tests.behaviour.recovery import SCHEMES, content_of, serving, trusted, uploading

Change = Callable[[pathlib.Path], Any]
SIZE = 300_000  # bytes: five parts
LARGE = 12_000_000  # bytes: two parts that loopback's buffers do not hold


class Meddler:
    """Acts once its moment is there: between two looks of the calling thread, if it is given as
    ``cancel``; before an answer is taken note of, if its sessions are used.
    """

    def __init__(self, moment: Callable[[], bool], act: Callable[[], Any]) -> None:
        self._moment = moment
        self._act = act
        self.acted = False

    def is_set(self) -> bool:
        if not self.acted and self._moment():
            self.acted = True
            self._act()
        return False

    def take_note(self, response: requests.Response, **settings: Any) -> None:
        self.is_set()

    @contextlib.contextmanager
    def uploading(self, emulator: Emulator) -> Iterator[Uploader]:
        with requests.Session() as session, requests.Session() as storage_session:
            for hooked in (session, storage_session):
                hooked.hooks["response"].append(self.take_note)
            with uploading(
                emulator, session=session, storage_session=storage_session,
            ) as uploader:
                yield uploader


@pytest.fixture(params=SCHEMES)
def scheme(request: pytest.FixtureRequest) -> Iterator[str]:
    with trusted():
        yield request.param


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    file = tmp_path / "a.bin"
    file.write_bytes(content_of(SIZE))
    os.utime(file, (1e9, 1e9))  # so that the clock of the file system need not tick meanwhile
    return file


def truncate(path: pathlib.Path) -> None:
    os.truncate(path, 0)


def shorten(path: pathlib.Path) -> None:
    os.truncate(path, SIZE - 1)


def grow(path: pathlib.Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def rewrite(path: pathlib.Path) -> None:
    with path.open("r+b") as file:
        file.write(b"other")


def replace(path: pathlib.Path) -> None:
    other = path.with_name("other")
    other.write_bytes(b"another file")
    os.replace(other, path)


def touch(path: pathlib.Path) -> None:
    os.utime(path, (2e9, 2e9))


CHANGES = [truncate, shorten, rewrite]
ADDITIONS = [grow, touch]
REMOVALS = [replace, os.unlink]


def moments(emulator: Emulator) -> Any:
    return {
        "after hashing": lambda: emulator.count("prepare") > 0,
        "while parts go": lambda: emulator.count("put") > 0,
        "after the last part": lambda: emulator.count("put") == 5,
    }


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("moment", ["after hashing", "while parts go", "after the last part"])
def test_change_is_noticed_and_complete_not_called(
    scheme: str, path: pathlib.Path, change: Change, moment: str
) -> None:
    with serving(scheme) as emulator:
        meddler = Meddler(moments(emulator)[moment], lambda: change(path))
        with meddler.uploading(emulator) as uploader:
            with pytest.raises(SourceChangedError) as caught:
                uploader.upload("c2c", "U1", path)
        assert meddler.acted
        assert caught.value.stage == "put"
        assert caught.value.file_name == "a.bin"
        assert isinstance(caught.value, OSError)
        assert emulator.count("complete") == 0
        assert emulator.count("prepare") == 1


@pytest.mark.parametrize("addition", ADDITIONS)
@pytest.mark.parametrize("moment", ["after hashing", "while parts go", "after the last part"])
def test_file_that_grew_or_was_touched_goes_up_as_it_was(
    scheme: str, path: pathlib.Path, addition: Change, moment: str
) -> None:
    with serving(scheme) as emulator:
        meddler = Meddler(moments(emulator)[moment], lambda: addition(path))
        with meddler.uploading(emulator) as uploader:
            result = uploader.upload("c2c", "U1", path)
        assert meddler.acted
        assert emulator.received(result.file_info) == content_of(SIZE)
        assert emulator.count("prepare") == 1


def test_log_that_is_written_to_all_the_time_goes_up_as_it_was_when_it_was_opened(
    path: pathlib.Path
) -> None:
    class Logging:
        def is_set(self) -> bool:
            grow(path)
            return False

    with serving("http") as emulator, uploading(emulator) as uploader:
        result = uploader.upload("c2c", "U1", path, cancel=Logging())
        assert emulator.received(result.file_info) == content_of(SIZE)
    assert path.stat().st_size > SIZE


def test_log_of_the_upload_itself_goes_up_as_it_was_when_it_was_opened(
    tmp_path: pathlib.Path
) -> None:
    log = tmp_path / "bot.log"
    handler = logging.FileHandler(log)
    logger = logging.getLogger("qqchunk")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        logger.info("hello")
        with serving("http") as emulator, uploading(emulator) as uploader:
            result = uploader.upload("c2c", "U1", log)
            assert emulator.received(result.file_info) == b"hello\n"
    finally:
        logger.setLevel(logging.NOTSET)
        logger.removeHandler(handler)
        handler.close()
    assert log.stat().st_size > 100


def test_touched_file_is_let_go_within_a_second_of_a_cancel(
    path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cancel = threading.Event()
    hash_again = hashing.hash_source

    def hash_slowly(source: Source, check: Any = None, *, stage: str = "hash") -> FileHashes:
        if stage == "put":
            cancel.set()
            while True:
                check()
                time.sleep(0.01)
        return hash_again(source, check, stage=stage)

    monkeypatch.setattr(hashing, "hash_source", hash_slowly)
    with serving("http") as emulator:
        meddler = Meddler(lambda: emulator.count("put") > 0, lambda: touch(path))
        with meddler.uploading(emulator) as uploader:
            with pytest.raises(UploadCancelledError):
                uploader.upload("c2c", "U1", path, cancel=cancel)
        assert emulator.count("complete") == 0


@pytest.mark.parametrize("change", CHANGES)
def test_change_before_a_fresh_prepare_is_noticed(path: pathlib.Path, change: Change) -> None:
    fault = Fault("put", "expired_url", part=3)
    with serving("http", faults=[fault]) as emulator:
        meddler = Meddler(lambda: emulator.count("prepare") == 2, lambda: change(path))
        with meddler.uploading(emulator) as uploader:
            with pytest.raises(SourceChangedError):
                uploader.upload("c2c", "U1", path)
        assert emulator.count("complete") == 0


@pytest.mark.parametrize("removal", REMOVALS)
@pytest.mark.parametrize("moment", ["after hashing", "while parts go"])
def test_file_that_was_removed_goes_up_as_it_was(
    scheme: str, path: pathlib.Path, removal: Change, moment: str
) -> None:
    with serving(scheme) as emulator:
        meddler = Meddler(moments(emulator)[moment], lambda: removal(path))
        with meddler.uploading(emulator) as uploader:
            result = uploader.upload("c2c", "U1", path)
        assert meddler.acted
        assert emulator.received(result.file_info) == content_of(SIZE)


@pytest.mark.parametrize("removal", REMOVALS)
def test_file_that_was_removed_before_it_was_hashed_goes_up_as_it_was(
    path: pathlib.Path, removal: Change
) -> None:
    with serving("http") as emulator, uploading(emulator) as uploader:
        meddler = Meddler(lambda: True, lambda: removal(path))
        result = uploader.upload("c2c", "U1", path, cancel=meddler)
        assert meddler.acted
        assert emulator.received(result.file_info) == content_of(SIZE)


@pytest.mark.parametrize("removal", REMOVALS)
def test_open_file_that_was_removed_goes_up_as_it_was(
    path: pathlib.Path, removal: Change
) -> None:
    with path.open("rb") as file:
        removal(path)
        with serving("http") as emulator, uploading(emulator) as uploader:
            result = uploader.upload("c2c", "U1", file)
            assert emulator.received(result.file_info) == content_of(SIZE)


@pytest.mark.parametrize("change, stage", [
    (truncate, "hash"), (shorten, "hash"), (rewrite, "put")])
def test_change_between_two_windows_of_hashing_is_noticed(
    path: pathlib.Path, change: Change, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # With one walker nobody is inside a window while the file is cut.
    monkeypatch.setattr("qqchunk.source.hashing._usable_cores", lambda: 1)
    monkeypatch.setattr("qqchunk.source.hashing.WINDOW_SIZE", 65536)
    looks = iter(range(100))
    with serving("http") as emulator, uploading(emulator) as uploader:
        meddler = Meddler(lambda: next(looks) == 2, lambda: change(path))
        with pytest.raises(SourceChangedError) as caught:
            uploader.upload("c2c", "U1", path, cancel=meddler)
        assert caught.value.stage == stage
        assert emulator.count("complete") == 0


def test_unchanged_file_with_another_access_time_goes_up(path: pathlib.Path) -> None:
    with serving("http") as emulator:
        meddler = Meddler(lambda: emulator.count("prepare") > 0, path.read_bytes)
        with meddler.uploading(emulator) as uploader:
            result = uploader.upload("c2c", "U1", path)
        assert meddler.acted
        assert emulator.stored(result.file_info).digests.md5 == hash_file(path).md5


CHILD = """
    import os, sys
    from qqchunk import SourceChangedError, Uploader
    from qqchunk.emulator import Emulator

    path, faults = sys.argv[1], []
    def truncate(progress):
        if 0 < progress.uploaded_bytes < progress.total_bytes:
            os.truncate(path, 0)

    with Emulator(block_size=6_000_000, concurrency=2) as emulator:
        emulator.fail("put", "slow", times=None, bandwidth=2_000_000)
        with Uploader(emulator.app_id, emulator.client_secret, api_url=emulator.api_url,
                      token_url=emulator.token_url) as uploader:
            try:
                uploader.upload("c2c", "U1", path, progress=truncate)
            except SourceChangedError as error:
                print(error.stage, [emulator.count(s) for s in ("put", "finish", "complete")])
"""


def test_file_truncated_while_parts_crawl_does_not_kill_the_process(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(bytes(LARGE))
    child = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(CHILD), str(path)], timeout=30,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True,
        cwd=str(pathlib.Path(__file__).parents[2]))
    assert (child.returncode, child.stderr) == (0, "")
    assert child.stdout == "put [2, 0, 0]\n"
