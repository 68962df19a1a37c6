"""The digests of any file, in bounded memory, beside a file that changes."""

from __future__ import annotations

import errno
import functools
import hashlib
import io
import os
import pathlib
import subprocess
import sys
import threading
from typing import Any, Callable, Dict, List, Set, Tuple

import pytest

from qqchunk.source import hashing
from qqchunk.errors import SourceChangedError
from qqchunk.source.hashing import (
    MD5_10M_SIZE,
    WINDOW_SIZE,
    FileHashes,
    hash_file,
    hash_source,
    verify_unchanged,
)
from qqchunk.source.ranges import FileSource
from qqchunk.source.opening import Source, open_source

MIB = 1 << 20
SIZE = 11 * MIB  # of most files here


def marks(size: int) -> Dict[int, bytes]:
    """Offset → byte of what is no zero in our files: each region has some."""
    offsets = (0, 3 * MIB, MD5_10M_SIZE - 1, MD5_10M_SIZE, size - 1)
    return {offset: b"abcde"[n:n + 1] for n, offset in enumerate(offsets) if 0 <= offset < size}


def make(path: pathlib.Path, size: int) -> pathlib.Path:
    """Make a file with holes, whose digests still depend on every region of it."""
    with open(path, "wb") as file:
        for offset, mark in marks(size).items():
            file.seek(offset)
            file.write(mark)
        file.truncate(size)
    return path


@functools.lru_cache(maxsize=None)
def expected(size: int) -> FileHashes:
    """What hashlib says of a file that was made with this size."""
    content = bytearray(size)
    for offset, mark in marks(size).items():
        content[offset:offset + 1] = mark
    md5, sha1 = hashlib.md5(content), hashlib.sha1(content)
    md5_10m = hashlib.md5(memoryview(content)[:10_002_432])
    return FileHashes(size, md5.hexdigest(), sha1.hexdigest(), md5_10m.hexdigest())


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    return make(tmp_path / "film.mp4", SIZE)


@pytest.fixture
def one_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashing, "_usable_cores", lambda: 1)


@pytest.fixture
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashing, "_usable_cores", lambda: 2)


@pytest.fixture(params=[1, 2])
def cores(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(hashing, "_usable_cores", lambda: request.param)
    return int(request.param)


@pytest.fixture
def helpers(monkeypatch: pytest.MonkeyPatch) -> List[threading.Thread]:
    """The threads that were made to help."""
    made: List[threading.Thread] = []

    class Watched(threading.Thread):
        def start(self) -> None:
            made.append(self)
            super().start()

    monkeypatch.setattr("qqchunk.source.hashing.threading.Thread", Watched)
    return made


@pytest.mark.parametrize("size", [
    1, 256 * 1024 - 1, 256 * 1024, WINDOW_SIZE, WINDOW_SIZE + 1,
    10_002_431, 10_002_432, 10_002_433, 10_002_432 + WINDOW_SIZE + 1,
])
def test_digests_are_those_of_hashlib(tmp_path: pathlib.Path, cores: int, size: int) -> None:
    path = make(tmp_path / "film.mp4", size)
    assert hash_file(path) == expected(size)


@pytest.mark.matrix
def test_digests_of_200_mb_are_those_of_hashlib(tmp_path: pathlib.Path) -> None:
    path = make(tmp_path / "film.mp4", 200 * MIB)
    assert hash_file(path) == expected(200 * MIB)


def test_known_digests() -> None:
    assert hash_file(b"abc") == FileHashes(
        3,
        "900150983cd24fb0d6963f7d28e17f72",
        "a9993e364706816aba3e25717850c26c9cd0d89d",
        "900150983cd24fb0d6963f7d28e17f72",
    )


@pytest.mark.parametrize("open_it", [
    str,
    lambda path: path.read_bytes(),
    lambda path: io.BytesIO(path.read_bytes()),
    lambda path: memoryview(path.read_bytes()),
])
def test_any_input_is_hashed_and_needs_no_name(
    path: pathlib.Path, open_it: Callable[[pathlib.Path], Any]
) -> None:
    assert hash_file(open_it(path)) == expected(SIZE)


def test_refusal_names_the_file_and_calls_what_has_no_name_content(tmp_path: pathlib.Path) -> None:
    (tmp_path / "void.png").touch()
    with pytest.raises(ValueError, match="^void.png is empty: there is nothing to upload$"):
        hash_file(tmp_path / "void.png")
    with pytest.raises(ValueError, match="^content is empty: there is nothing to upload$"):
        hash_file(b"")


def test_open_file_is_hashed_whole_and_keeps_its_position(path: pathlib.Path) -> None:
    with open(path, "rb") as file:
        file.seek(5)
        assert hash_file(file) == expected(SIZE)
        assert file.tell() == 5


def test_md5_10m_of_a_short_file_is_its_md5() -> None:
    hashes = hash_file(b"x" * 1000)
    assert hashes.md5_10m == hashes.md5


def test_what_cannot_be_mapped_is_read(
    path: pathlib.Path, cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cannot_map(*args: Any, **options: Any) -> None:
        raise OSError(errno.ENODEV, "No such device")

    monkeypatch.setattr("qqchunk.source.ranges.mmap.mmap", cannot_map)
    assert hash_file(path) == expected(SIZE)


def test_small_file_starts_no_thread(two_cores: None, helpers: List[threading.Thread]) -> None:
    hash_file(b"x" * (256 * 1024 - 1))
    assert not helpers


def test_one_core_starts_no_thread(
    path: pathlib.Path, one_core: None, helpers: List[threading.Thread]
) -> None:
    hash_file(path)
    assert not helpers


def test_larger_file_is_walked_by_two_threads_at_once(
    two_cores: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    meeting = threading.Barrier(2, timeout=10)
    seen: Set[Tuple[str, int]] = set()

    class Watched(Source):
        def window(self, offset: int, length: int, **options: Any) -> Any:
            meeting.wait()
            seen.add((threading.current_thread().name.split("_")[0], offset))
            return memoryview(bytes(length))

    hash_source(Watched("a.bin", 256 * 1024))
    assert seen == {("MainThread", 0), ("qqchunk-sha1", 0)}


def test_helper_does_not_hold_up_the_end_of_the_program(
    path: pathlib.Path, two_cores: None, helpers: List[threading.Thread]
) -> None:
    hash_file(path)
    assert [helper.daemon for helper in helpers] == [True]


def test_one_thread_walks_for_both_where_no_other_can_be_started(
    path: pathlib.Path, two_cores: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    checks: List[int] = []
    monkeypatch.setattr(threading.Thread, "start", start)
    with open_source(path) as source:
        assert hash_source(source, lambda: checks.append(1)) == expected(SIZE)
    assert len(checks) >= 6


@pytest.mark.parametrize("affinity", [{0}, {0, 1}, {3, 5, 7}])
def test_cores_are_those_the_process_may_use(
    affinity: Set[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: affinity, raising=False)
    assert hashing._usable_cores() == len(affinity)


@pytest.mark.parametrize("count, cores", [(4, 4), (None, 1)])
def test_cores_without_affinity_are_those_of_the_machine(
    count: Any, cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: count)
    assert hashing._usable_cores() == cores


# check()


def test_check_is_called_before_each_window_on_the_calling_thread(
    path: pathlib.Path, cores: int
) -> None:
    threads = []
    with open_source(path) as source:
        hash_source(source, lambda: threads.append(threading.current_thread()))
    assert len(threads) >= 6  # 5 windows up to byte 10 002 432, and one behind it
    assert set(threads) == {threading.current_thread()}


@pytest.mark.parametrize("exception", [RuntimeError, KeyboardInterrupt])
def test_what_check_raises_ends_both_walkers(
    path: pathlib.Path, cores: int, exception: Any
) -> None:
    calls = []

    def check() -> None:
        calls.append(1)
        if len(calls) == 2:
            raise exception("enough")

    before = threading.active_count()
    with open_source(path) as source:
        with pytest.raises(exception, match="enough"):
            hash_source(source, check)
    assert len(calls) == 2
    assert threading.active_count() == before


class Pacing(Source):
    """A source of which either walker can be held up or made to fail."""

    def __init__(self, size: int) -> None:
        super().__init__("a.bin", size)
        self.offsets: List[int] = []
        self.in_helper: Callable[[int], None] = self.offsets.append

    def window(self, offset: int, length: int, **options: Any) -> Any:
        if threading.current_thread().name.startswith("qqchunk-sha1"):
            self.in_helper(offset)
        return memoryview(bytes(length))


def test_helper_stops_at_its_next_window(two_cores: None) -> None:
    source = Pacing(20 * WINDOW_SIZE)
    held, go_on = threading.Event(), threading.Event()

    def hold(offset: int) -> None:
        source.offsets.append(offset)
        held.set()
        go_on.wait(10)

    def check() -> None:
        held.wait(10)
        threading.Timer(0.1, go_on.set).start()  # after stop was asked for
        raise RuntimeError("enough")

    source.in_helper = hold
    with pytest.raises(RuntimeError, match="enough"):
        hash_source(source, check)
    assert source.offsets == [0]


def test_error_in_the_helper_reaches_the_caller_at_the_next_window(
    two_cores: None, helpers: List[threading.Thread]
) -> None:
    source = Pacing(20 * WINDOW_SIZE)
    begun = threading.Event()
    calls = []

    def fail(offset: int) -> None:
        begun.wait(10)
        raise OSError("disk on fire")

    def check() -> None:
        calls.append(1)
        begun.set()
        helpers[0].join(10)

    source.in_helper = fail
    with pytest.raises(OSError, match="disk on fire"):
        hash_source(source, check)
    assert len(calls) == 1


def test_error_at_the_helpers_end_reaches_the_caller(two_cores: None) -> None:
    source = Pacing(256 * 1024)
    last = threading.Event()

    def fail(offset: int) -> None:
        last.wait(10)
        raise OSError("disk on fire")

    calls = []

    def check() -> None:
        calls.append(1)
        if len(calls) == 2:  # md5 is through
            last.set()

    source.in_helper = fail
    with pytest.raises(OSError, match="disk on fire"):
        hash_source(source, check)


def test_check_goes_on_while_sha1_is_waited_for(two_cores: None) -> None:
    source = Pacing(256 * 1024)
    go_on = threading.Event()
    calls = []

    def hold(offset: int) -> None:
        assert go_on.wait(10)

    def check() -> None:
        calls.append(1)
        if len(calls) == 4:
            go_on.set()

    source.in_helper = hold
    assert hash_source(source, check) == hash_file(bytes(256 * 1024))
    assert len(calls) >= 4


# A file that changes


def change_at(calls: int, change: Callable[[], Any]) -> Callable[[], None]:
    count = iter(range(1, 1000))

    def check() -> None:
        if next(count) == calls:
            change()

    return check


@pytest.mark.parametrize("mappable", [True, False])
def test_truncation_between_windows_is_noticed(
    path: pathlib.Path, one_core: None, mappable: bool
) -> None:
    with open_source(path) as source:
        source._mappable = mappable  # type: ignore[attr-defined]
        with pytest.raises(SourceChangedError, match="now has 10") as caught:
            hash_source(source, change_at(2, lambda: os.truncate(path, 10)))
    assert caught.value.stage == "hash"


def test_truncation_beside_two_walkers_is_noticed(
    path: pathlib.Path, two_cores: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = threading.Event()
    window = FileSource.window

    def wait_for_the_cut(self: FileSource, *args: Any, **options: Any) -> Any:
        assert cut.wait(10)  # a page that is mapped must not lose its file
        return window(self, *args, **options)

    def truncate() -> None:
        os.truncate(path, 10 * MIB)
        cut.set()

    monkeypatch.setattr(FileSource, "window", wait_for_the_cut)
    with open_source(path) as source:
        with pytest.raises(SourceChangedError, match=f"now has {10 * MIB}"):
            hash_source(source, change_at(1, truncate))


def grow(path: pathlib.Path) -> None:
    with open(path, "ab") as file:
        file.write(b"more")


def touch(path: pathlib.Path) -> None:
    os.utime(path, ns=(0, 0))


def rewrite(path: pathlib.Path) -> None:
    with open(path, "r+b") as file:
        file.write(b"other")
    os.utime(path, ns=(0, 0))  # so that the clock of the file system need not tick meanwhile


@pytest.mark.parametrize("change", [grow, touch])
def test_file_that_only_grew_or_was_touched_has_the_digests_of_its_first_bytes(
    path: pathlib.Path, cores: int, change: Callable[[pathlib.Path], None]
) -> None:
    before = expected(SIZE)
    with open_source(path) as source:
        hashes = hash_source(source, change_at(2, lambda: change(path)))
        assert hashes == before
        verify_unchanged(source, hashes)


def test_rewritten_file_is_noticed_before_complete(path: pathlib.Path, cores: int) -> None:
    with open_source(path) as source:
        hashes = hash_source(source, change_at(2, lambda: rewrite(path)))
        with pytest.raises(SourceChangedError) as caught:
            verify_unchanged(source, hashes)
    error = caught.value
    assert (error.file_name, error.file_size, error.stage) == ("film.mp4", SIZE, "put")
    assert str(error) == (
        "film.mp4 changed while it was being uploaded: its content is another one; "
        "upload it again once nothing writes to it")


def test_untouched_file_is_not_hashed_again(path: pathlib.Path) -> None:
    def check() -> None:
        raise AssertionError("it was hashed")

    with open_source(path) as source:
        verify_unchanged(source, hash_source(source), check)


def test_growing_file_is_hashed_again_once_and_abortably(path: pathlib.Path, cores: int) -> None:
    rounds: List[int] = []

    def check() -> None:
        rounds.append(1)
        grow(path)

    with open_source(path) as source:
        hashes = hash_source(source)
        grow(path)
        verify_unchanged(source, hashes, check)
        with pytest.raises(TimeoutError, match="stop"):
            verify_unchanged(source, hashes, change_at(2, stop))
    assert len(rounds) < 20  # of 6 windows, and looks while sha1 is waited for


def stop() -> None:
    raise TimeoutError("stop")


@pytest.mark.parametrize("mappable", [True, False])
def test_file_cut_off_while_it_is_hashed_again_is_noticed(
    path: pathlib.Path, one_core: None, mappable: bool
) -> None:
    with open_source(path) as source:
        hashes = hash_source(source)
        source._mappable = mappable  # type: ignore[attr-defined]
        touch(path)
        with pytest.raises(SourceChangedError, match="now has 10") as caught:
            verify_unchanged(source, hashes, change_at(2, lambda: os.truncate(path, 10)))
    assert caught.value.stage == "put"


@pytest.mark.parametrize("stage", ["hash", "put"])
def test_file_is_looked_at_in_the_name_of_the_stage(stage: str) -> None:
    stages: List[Any] = []

    class Watched(Source):
        def window(self, offset: int, length: int, **options: Any) -> Any:
            return memoryview(bytes(length))

        def untouched(self, *, stage: Any = None) -> bool:
            stages.append(stage)
            return True

    source = Watched("a.bin", 10)
    verify_unchanged(source, hash_source(source, stage=stage), stage=stage)
    assert stages == [stage, stage]


@pytest.mark.parametrize("change", [grow, touch])
def test_hash_file_takes_what_only_grows_or_is_touched_meanwhile(
    path: pathlib.Path, one_core: None, monkeypatch: pytest.MonkeyPatch,
    change: Callable[[pathlib.Path], None],
) -> None:
    monkeypatch.setattr(hashing, "_go_on", change_at(3, lambda: change(path)))
    assert hash_file(path) == expected(SIZE)


def test_hash_file_refuses_what_is_rewritten_meanwhile(
    path: pathlib.Path, one_core: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashing, "_go_on", change_at(3, lambda: rewrite(path)))
    with pytest.raises(SourceChangedError, match="its content is another one") as caught:
        hash_file(path)
    assert caught.value.stage == "hash"


def test_deleted_file_is_hashed_to_its_end(path: pathlib.Path, cores: int) -> None:
    before = expected(SIZE)
    with open_source(path) as source:
        assert hash_source(source, change_at(2, path.unlink)) == before


# Cost


def test_memory_stays_small(tmp_path: pathlib.Path) -> None:
    """A fresh process hashes 50 MiB and its peak grows by no more than 12 MiB."""
    path = make(tmp_path / "film.mp4", 50 * MIB)
    script = (
        "import resource, sys\n"
        "from qqchunk.source.hashing import hash_file\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "hash_file(bytes(1 << 20))\n"
        "before = peak()\n"
        "hash_file(sys.argv[1])\n"
        "print(peak() - before)\n"
    )
    root = str(pathlib.Path(hashing.__file__).parents[2])
    grown = subprocess.run(
        [sys.executable, "-c", script, str(path)], check=True, stdout=subprocess.PIPE, timeout=60,
        env={**os.environ, "PYTHONPATH": root},
    ).stdout
    kib = 1 if sys.platform != "darwin" else 1024
    assert int(grown) / kib <= 12 * 1024


def test_md5_is_had_in_fips_mode_too() -> None:
    flags = {"usedforsecurity": False} if sys.version_info >= (3, 9) else {}
    assert hashing.new_md5.keywords == hashing.new_sha1.keywords == flags


def test_hashes_cannot_be_altered() -> None:
    hashes = hash_file(b"abc")
    with pytest.raises(AttributeError):
        hashes.size = 4  # type: ignore[misc]
