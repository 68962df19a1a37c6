"""The digests that prepare asks for, in the time that md5 alone takes.

md5 is the slower of the two, so sha1 walks the file beside it in a thread of its own: hashlib
lets go of the interpreter while it works, and each walker maps its own windows, so that neither
waits for the other.
"""

from __future__ import annotations

import hashlib
import os
import queue
import sys
import threading
import time
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional

from .naming import find_name
from .opening import open_source
from .ranges import Source

if TYPE_CHECKING:
    from hashlib import _Hash

MD5_10M_SIZE = 10_002_432  # bytes; the platform's figure, not 10 MiB
WINDOW_SIZE = 2 << 20  # bytes mapped at once; measured: 1 MiB is slower, 4 MiB hardly faster
THREAD_FROM_SIZE = 256 << 10  # bytes; below this a thread costs more than it saves
_NAP = 0.0002  # seconds between two looks whether a thread that has nothing left to do is gone
CHECK_INTERVAL = 0.05  # seconds between checks while sha1 is waited for

# OpenSSL in FIPS mode gives md5 only to those who say so.
_NOT_FOR_SECURITY: Dict[str, Any] = {"usedforsecurity": False} if sys.version_info >= (3, 9) else {}
new_md5 = partial(hashlib.md5, **_NOT_FOR_SECURITY)
new_sha1 = partial(hashlib.sha1, **_NOT_FOR_SECURITY)


_Walk = Callable[..., None]  # (start, end, check, *digests): feeds a range to the digests


@dataclass(frozen=True)
class FileHashes:
    """What the platform asks about a file; digests in lower-case hex.

    :ivar size: bytes
    :ivar md5: of the whole file
    :ivar sha1: of the whole file
    :ivar md5_10m: md5 of the first 10 002 432 bytes, of the whole file if it has no more
    """

    size: int
    md5: str
    sha1: str
    md5_10m: str


def hash_file(file: Any) -> FileHashes:
    """Return size, md5, sha1 and md5_10m of a file, whole, wherever a file object stands.

    :param file: whatever ``Uploader.upload`` takes, of any size, and without a name as well
    :raises SourceChangedError: the file was rewritten or cut off meanwhile
    :raises ValueError: empty, closed, not readable, a URL, or neither file nor stream
    :raises TypeError: nothing to read bytes from
    :raises OSError: the file is missing, a directory, or cannot be read
    """
    with open_source(file, find_name(file) or "content") as source:
        hashes = hash_source(source)
        verify_unchanged(source, hashes, stage="hash")
        return hashes


def hash_source(
    source: Source, check: Optional[Callable[[], None]] = None, *, stage: str = "hash"
) -> FileHashes:
    """Return the digests of a source.

    :param check: called on the calling thread before each window of 2 MiB, and while sha1 is
        waited for; whatever it raises ends the hashing
    :param stage: what the upload is doing, for the exception
    :raises SourceChangedError: the file was cut off meanwhile
    """
    check = check or _go_on
    walk = partial(_walk, source, stage)
    md5, sha1 = new_md5(), new_sha1()
    if source.size < THREAD_FROM_SIZE or _usable_cores() == 1:
        md5_10m = _walk_whole(walk, source.size, check, md5, sha1)
    else:
        md5_10m = _walk_side_by_side(walk, source.size, check, md5, sha1)
    source.untouched(stage=stage)
    return FileHashes(source.size, md5.hexdigest(), sha1.hexdigest(), md5_10m)


def verify_unchanged(
    source: Source,
    hashes: FileHashes,
    check: Optional[Callable[[], None]] = None,
    *,
    stage: str = "put",
) -> None:
    """Make sure that a source still holds the bytes of *hashes*: after the last part is sent.

    A file that grew, or whose modification time moved, is hashed once more: a log may be added
    to and a file touched, as long as the bytes that were sent stay what they were.

    :param check: as :func:`hash_source` takes it
    :param stage: what the upload is doing, for the exception
    :raises SourceChangedError: the file became shorter, was rewritten, or is another file
    """
    if not source.untouched(stage=stage) and hash_source(source, check, stage=stage) != hashes:
        raise source.changed("its content is another one", stage)


def _walk_side_by_side(
    walk: _Walk, size: int, check: Callable[[], None], md5: _Hash, sha1: _Hash
) -> str:
    """Walk for md5 in this thread and for sha1 in another; return md5_10m."""
    stop = threading.Event()
    ended: queue.SimpleQueue[None] = queue.SimpleQueue()
    failures: List[BaseException] = []

    def stop_if_asked() -> None:
        if stop.is_set():
            raise CancelledError

    def walk_for_sha1() -> None:
        try:
            walk(0, size, stop_if_asked, sha1)
        except BaseException as error:
            failures.append(error.with_traceback(None))  # whose frames refer to this list
        finally:
            ended.put(None)

    def check_both() -> None:
        if failures:
            raise failures.pop()
        check()

    # A daemon, so that the end of the program need not wait for it. This function does, because
    # its caller may close the source next.
    other = threading.Thread(target=walk_for_sha1, name="qqchunk-sha1", daemon=True)
    try:
        try:
            other.start()
        except RuntimeError:  # no more threads are to be had
            return _walk_whole(walk, size, check, md5, sha1)
        md5_10m = _walk_whole(walk, size, check_both, md5)
        while not _ended_within(ended, CHECK_INTERVAL):
            check_both()
        check_both()
    except BaseException:
        stop.set()
        raise
    finally:
        while other.is_alive():  # see Workers.stop() for why it is not joined
            time.sleep(_NAP)
    return md5_10m


def _walk_whole(
    walk: _Walk, size: int, check: Callable[[], None], md5: _Hash, *others: _Hash
) -> str:
    """Feed the whole source to the digests; return md5_10m, which costs nothing on the way."""
    head = min(size, MD5_10M_SIZE)
    walk(0, head, check, md5, *others)
    md5_10m = md5.hexdigest()
    walk(head, size, check, md5, *others)
    return md5_10m


def _walk(
    source: Source, stage: str, start: int, end: int, check: Callable[[], None], *digests: _Hash
) -> None:
    for offset in range(start, end, WINDOW_SIZE):
        check()
        with source.window(offset, min(WINDOW_SIZE, end - offset), stage=stage) as window:
            for digest in digests:
                digest.update(window)


def _ended_within(ended: queue.SimpleQueue[None], timeout: float) -> bool:
    with suppress(queue.Empty):
        ended.get(timeout=timeout)
        return True
    return False


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _go_on() -> None:
    """Check nothing."""
