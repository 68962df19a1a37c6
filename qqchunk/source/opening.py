"""One readable source out of a path, bytes, or anything with ``read()``.

:func:`open_source` decides where the bytes come from, and refuses what cannot be uploaded before
anything is sent::

    path                                  its own descriptor
    bytes, bytearray, memoryview          used where they are
    plain file object on a regular file   a duplicate of its descriptor
    anything else with read()             copied: into memory if small, else a temporary file
"""

from __future__ import annotations

import errno
import io
import os
import re
import stat
import tempfile
from typing import IO, Any, Callable, Optional, Union

from ..errors import ADVICE, UploadFileTooLargeError, format_size
from .ranges import FileSource, MemorySource
from .ranges import Source as Source

SPOOL_BLOCK_SIZE = 256 << 10  # bytes asked of read() at once; content up to this stays in memory

_BYTES_TYPES = (bytes, bytearray, memoryview)
# A subclass may give other bytes through read() than its descriptor holds, as gzip's files do.
_BUFFERED_TYPES = (io.BufferedReader, io.BufferedRandom)


def open_source(
    file: Any,
    file_name: Optional[str] = None,
    *,
    max_size: Optional[int] = None,
    check: Optional[Callable[[], None]] = None,
) -> Source:
    """Open whatever a user may want to upload, whole, wherever a file object stands.

    A file object stays open and keeps its position; only one that cannot seek is read from where
    it is.

    :param file: a path, a bytes-like object, or anything with a ``read()`` that gives bytes
    :param file_name: the name to upload it under; None takes it from *file*
    :param max_size: the most bytes to take; None for no limit
    :param check: called before each read of what has to be copied; whatever it raises ends it
    :raises UploadFileTooLargeError: over *max_size*; nothing beyond one byte more was read
    :raises ValueError: empty, closed, not readable, nameless, a URL, or neither file nor stream
    :raises TypeError: not a thing to upload, or a text-mode file
    :raises OSError: what the system says of a path that is missing, a directory or unreadable
    """
    is_path = isinstance(file, (str, os.PathLike))
    if not is_path and not isinstance(file, _BYTES_TYPES):
        _check_stream(file)
    name = file_name or find_name(file) or ""
    if is_path:
        source: Source = _open_path(os.fspath(file), name)
    elif not name:
        raise ValueError(f"{type(file).__name__} has no name of its own: give a file_name")
    elif isinstance(file, _BYTES_TYPES):
        source = MemorySource(name, file)
    else:
        source = _open_in_place(file, name) or _spool(file, name, max_size, check)
    try:
        if not source.size:
            raise ValueError(f"{source.name} is empty: there is nothing to upload")
        if max_size is not None and source.size > max_size:
            raise UploadFileTooLargeError(source.name, source.size, max_size)
    except BaseException:
        source.close()
        raise
    return source


def find_name(file: Any) -> Optional[str]:
    """Return the name that *file* itself goes by; None if it has none."""
    if isinstance(file, (str, os.PathLike)):
        return os.path.basename(os.fsdecode(file))
    filename = getattr(file, "filename", None)  # Flask's uploads; their .name is the form field's
    if isinstance(filename, str) and filename:
        return filename
    name = getattr(file, "name", None)  # a number if the file was opened from a descriptor
    return os.path.basename(name) if isinstance(name, str) else None


def _open_path(path: Union[str, bytes], name: str) -> Source:
    if isinstance(path, str) and re.match(r"\s*https?://", path, re.IGNORECASE):
        raise ValueError("a URL is not a local file: let the platform fetch it with upload_url()")
    _check_regular(os.stat(path).st_mode, path)
    # Should a FIFO have taken the path's place meanwhile, a blocking open would wait for a writer.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    file = open(os.open(path, flags), "rb", buffering=0)
    try:
        _check_regular(os.fstat(file.fileno()).st_mode, path)
        return FileSource(name, file)
    except BaseException:
        file.close()
        raise


def _check_regular(mode: int, path: Union[str, bytes]) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if not stat.S_ISREG(mode):
        raise ValueError(f"{os.fsdecode(path)} is a pipe, a device or a socket, not a file")


def _check_stream(file: Any) -> None:
    if not callable(getattr(file, "read", None)):
        raise TypeError(
            f"cannot upload {type(file).__name__}: give a path (str or os.PathLike), bytes, "
            "bytearray, memoryview, or an object whose read() gives bytes"
        )
    if isinstance(_unwrap(file), io.TextIOBase):
        raise _text_mode(file)
    if getattr(file, "closed", False):
        raise ValueError(f"{type(file).__name__} is closed: open it again")
    readable = getattr(file, "readable", None)
    if readable is not None and not readable():
        raise ValueError(f"{type(file).__name__} is not open for reading")


def _text_mode(file: Any) -> TypeError:
    return TypeError(f"{type(file).__name__} gives text: open the file in binary mode ('rb')")


def _unwrap(file: Any) -> Any:
    """Return the file that a tempfile or Django wrapper holds, or *file* itself."""
    kind = type(file)
    if kind is tempfile._TemporaryFileWrapper or kind.__module__.startswith("django.core.files"):
        inner = getattr(file, "file", None)
    elif kind is tempfile.SpooledTemporaryFile and file._rolled:
        inner = file._file
    else:
        inner = None
    return file if inner is None else _unwrap(inner)


def _open_in_place(file: Any, name: str) -> Optional[Source]:
    """Open the regular file behind a file object; None where read() is the only way."""
    file = _unwrap(file)
    raw = file.raw if type(file) in _BUFFERED_TYPES else file
    if type(raw) is not io.FileIO or not stat.S_ISREG(os.fstat(raw.fileno()).st_mode):
        return None
    if file.writable():
        file.flush()
    return FileSource(name, open(os.dup(raw.fileno()), "rb", buffering=0))


def _spool(
    file: Any, name: str, max_size: Optional[int], check: Optional[Callable[[], None]]
) -> Source:
    position = _rewind(file)
    try:
        return _copy(file, name, max_size, check)
    finally:
        if position is not None:
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


def _copy(
    file: Any, name: str, max_size: Optional[int], check: Optional[Callable[[], None]]
) -> Source:
    """Copy what read() gives, but no more than it takes to be over the limit."""
    size = 0
    spool: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=SPOOL_BLOCK_SIZE)
    try:
        while max_size is None or size <= max_size:
            if check is not None:
                check()
            left = SPOOL_BLOCK_SIZE if max_size is None else max_size + 1 - size
            block = _read_block(file, min(left, SPOOL_BLOCK_SIZE))
            if not block:
                break
            size += len(block)
            spool.write(block)
        if max_size is not None and size > max_size:  # by how much, nobody knows
            raise UploadFileTooLargeError(name, None, max_size, (
                f"{name} is over the size limit ({format_size(max_size)})"
                f"{ADVICE}send a smaller file"))
        if size > SPOOL_BLOCK_SIZE:
            spool.flush()
            return FileSource(name, spool)
        spool.seek(0)
        data = spool.read()
    except BaseException:
        spool.close()
        raise
    spool.close()
    return MemorySource(name, data)


def _read_block(file: Any, length: int) -> bytes:
    block = file.read(length)
    if isinstance(block, str):
        raise _text_mode(file)
    if block is None:
        raise BlockingIOError(
            errno.EAGAIN,
            f"{type(file).__name__}.read() gave None: a stream must be blocking to be uploaded",
        )
    if not isinstance(block, _BYTES_TYPES):
        raise TypeError(
            f"{type(file).__name__}.read() gave {type(block).__name__} instead of bytes"
        )
    return bytes(block)
