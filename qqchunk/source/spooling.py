"""Streams that can only be read: copied whole, into memory if small, else a temporary file."""

from __future__ import annotations

import errno
import inspect
import os
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from typing import IO, Any, Callable, Dict, Iterator, Optional, Tuple

from ..errors import ADVICE, UploadFileTooLargeError, format_size
from .bodies import broken_off, check_end, reader_of
from .ranges import FileSource, MemorySource, Source
from .refusals import asynchronous, text_mode
from .wrappers import bottom, regular_file

BLOCK_SIZE = 256 << 10  # bytes asked of read() at once; content up to this stays in memory
_TURN = 0.01  # seconds between two looks whether another thread has read a stream

Check = Optional[Callable[[], None]]

# Who reads a stream just now. A dict's setdefault is one step, so this takes no lock that a signal
# handler could wait for in vain; the process's number, because after a fork nobody reads on.
_readers: Dict[Tuple[int, int], _Reading] = {}


class _Reading:
    """One thread's reading of a stream."""

    def __init__(self) -> None:
        self.thread = threading.get_ident()


def spool(file: Any, name: str, max_size: Optional[int], check: Check) -> Source:
    """Copy a stream from its start, and put its position back.

    Only what cannot seek is read from where it is. Of several threads one reads at a time, also
    where each has a stream of its own that reads from the same one.

    :param max_size: the most bytes to take, no more than one over it is read; None for no limit
    :param check: called before each read, and while another thread reads
    :raises UploadFileTooLargeError: over *max_size*
    :raises UploadError: the stream broke off, or ended before its announced end
    :raises TypeError: ``read()`` gives no bytes
    :raises OSError: it cannot be read, or there is no room for the copy
    """
    with _reserved(file, check), _rewound(file):
        return _copy(file, name, max_size, check)


@contextmanager
def _reserved(file: Any, check: Check) -> Iterator[None]:
    shared = bottom(file)  # kept, so that nothing else gets its id meanwhile
    key = (os.getpid(), id(shared))
    mine = _Reading()
    try:
        while True:
            reading = _readers.setdefault(key, mine)
            if reading is mine:
                break
            if reading.thread == mine.thread:  # a signal handler's upload, or one in read()
                raise RuntimeError(
                    f"this {type(file).__name__} is being read for another upload of this thread")
            if check is not None:
                check()
            time.sleep(_TURN)
        yield
    finally:
        if _readers.get(key) is mine:
            del _readers[key]


@contextmanager
def _rewound(file: Any) -> Iterator[None]:
    """Go to byte 0 if that is possible, and back in the end."""
    position = _rewind(file)
    try:
        yield
    finally:
        if position is not None:
            # What unpacks a pipe says that it can seek, and can only to where it is.
            with suppress(OSError, ValueError):
                file.seek(position)


def _rewind(file: Any) -> Optional[int]:
    """Go to byte 0; return the position to go back to, None for what cannot seek."""
    seekable = getattr(file, "seekable", None)
    if seekable is not None and not seekable():
        return None
    try:
        position: int = file.tell()
        file.seek(0)
    except (AttributeError, OSError):
        if seekable is not None:  # it said that it can: half a file must not pass for the whole
            raise
        return None
    return position


def _copy(file: Any, name: str, max_size: Optional[int], check: Check) -> Source:
    """Copy what read() gives, but no more than it takes to be over the limit."""
    read = reader_of(file, name)
    size = 0
    copy: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=BLOCK_SIZE)
    try:
        while max_size is None or size <= max_size:
            if check is not None:
                check()
            left = BLOCK_SIZE if max_size is None else max_size + 1 - size
            block = _read_block(file, name, read, min(left, BLOCK_SIZE))
            if not block:
                check_end(file, name)
                break
            size += len(block)
            with _room_for(name):
                copy.write(block)
        if max_size is not None and size > max_size:  # by how much, nobody knows
            raise UploadFileTooLargeError(name, None, max_size, (
                f"{name} is over the size limit ({format_size(max_size)})"
                f"{ADVICE}send a smaller file"))
        with _room_for(name):
            copy.flush()
        if regular_file(copy):
            return FileSource(name, copy)
        copy.seek(0)
        data = copy.read()
    except BaseException:
        copy.close()
        raise
    copy.close()
    return MemorySource(name, data)


def _read_block(file: Any, name: str, read: Callable[[int], Any], size: int) -> bytes:
    failure = None
    try:
        block = read(size)
    except Exception as error:
        failure = broken_off(file, name, error)
        if failure is None:
            raise
    if failure is not None:
        raise failure  # only now: the other one may know the URL that was downloaded
    if isinstance(block, str):
        raise text_mode(file)
    if block is None:
        raise BlockingIOError(
            errno.EAGAIN,
            f"{type(file).__name__}.read() gave None: a stream must be blocking to be uploaded",
        )
    if inspect.isawaitable(block):
        if inspect.iscoroutine(block):
            block.close()  # else Python warns that nobody awaited it
        raise asynchronous(file)
    if not isinstance(block, (bytes, bytearray, memoryview)):
        raise TypeError(
            f"{type(file).__name__}.read() gave {type(block).__name__} instead of bytes"
        )
    return bytes(block)


@contextmanager
def _room_for(name: str) -> Iterator[None]:
    """Say of a failure which directory lacks room."""
    try:
        yield
        return
    except OSError as error:
        failure = error
    raise OSError(
        failure.errno,
        f"{failure.strerror}: {name} has to be copied to the temporary directory before it goes "
        "up; make room there, or name another one in TMPDIR", tempfile.tempdir)
