"""One readable source out of a path, bytes, or anything with ``read()``.

:func:`open_source` decides where the bytes come from, and refuses what cannot be uploaded before
anything is sent::

    bytes, bytearray, memoryview, BytesIO   used where they are
    path                                    opened, and then as any file object
    plain file object on a regular file     a duplicate of its descriptor
    anything else with read()               copied: into memory if small, else a temporary file
"""

from __future__ import annotations

import errno
import io
import os
import stat
import time
from contextlib import contextmanager, suppress
from typing import Any, Iterator, Optional, Union

from ..errors import UploadFileTooLargeError
from .bodies import is_response, preloaded
from .naming import find_name
from .ranges import FileSource, MemorySource, Source
from .refusals import check_path, check_stream
from .spooling import Check, spool
from .wrappers import is_closed_field, regular_file, unwrap

_BYTES_TYPES = (bytes, bytearray, memoryview)
_LEASE_TURN = 0.02  # seconds between two tries to open a file that is under a lease


def open_source(
    file: Any,
    file_name: Optional[str] = None,
    *,
    max_size: Optional[int] = None,
    check: Check = None,
) -> Source:
    """Open whatever a user may want to upload, whole, wherever a file object stands.

    A file object stays open and keeps its position; only one that cannot seek is read from where
    it is.

    :param file: a path, a bytes-like object, or anything with a ``read()`` that gives bytes
    :param file_name: the name to upload it under; None takes it from *file*
    :param max_size: the most bytes to take; None for no limit
    :param check: called before each read of what has to be copied, and while something has to be
        waited for; whatever it raises ends it
    :raises UploadFileTooLargeError: over *max_size*; nothing beyond one byte more was read
    :raises UploadError: a response's body broke off, or was read before
    :raises ValueError: empty, closed, not readable, nameless, a URL, or neither file nor stream
    :raises TypeError: not a thing to upload, or a text-mode file
    :raises OSError: what the system says of a path that is missing, a directory or unreadable
    """
    if isinstance(file, _BYTES_TYPES):
        source: Source = MemorySource(_required_name(file, file_name), file)
    else:
        with _opened(file, check) as stream:
            check_stream(stream)
            source = _read(stream, _required_name(file, file_name), max_size, check)
    try:
        if not source.size:
            raise ValueError(f"{source.name} is empty: there is nothing to upload")
        if max_size is not None and source.size > max_size:
            raise UploadFileTooLargeError(source.name, source.size, max_size)
    except BaseException:
        source.close()
        raise
    return source


def _required_name(file: Any, file_name: Optional[str]) -> str:
    name = file_name or find_name(file)
    if not name:
        raise ValueError(f"{type(file).__name__} has no name of its own: give a file_name")
    return name


@contextmanager
def _opened(file: Any, check: Check) -> Iterator[Any]:
    """Give the file object to read: the user's own, or the one behind a path, then closed."""
    if isinstance(file, (str, os.PathLike)):
        with _open_path(os.fspath(file), check) as opened:
            yield opened
    elif is_closed_field(file):
        if not file.name:
            raise ValueError(f"this {type(file).__name__} has no file: there is nothing to upload")
        with file.storage.open(file.name, "rb") as opened:
            yield opened
    else:
        yield file


def _open_path(path: Union[str, bytes], check: Check) -> Any:
    check_path(path)
    mode = stat.S_IFREG
    with suppress(OSError):  # open() has the last word, and may be somebody else's
        mode = os.stat(path).st_mode
    _check_regular(mode, path)

    # Should a FIFO have taken the path's place meanwhile, a blocking open would wait for a writer.
    def open_at_once(path: str, flags: int) -> int:
        while True:
            try:
                return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
            # Under a lease, as file servers take them for their clients: the system has told the
            # holder, who has to give it up.
            except BlockingIOError:
                if check is not None:
                    check()
                time.sleep(_LEASE_TURN)

    file = open(path, "rb", buffering=0, opener=open_at_once)
    try:
        if type(file) is io.FileIO:
            _check_regular(os.fstat(file.fileno()).st_mode, path)
        return file
    except BaseException:
        file.close()
        raise


def _check_regular(mode: int, path: Union[str, bytes]) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if not stat.S_ISREG(mode):
        raise ValueError(f"{os.fsdecode(path)} is a pipe, a device or a socket, not a file")


def _read(file: Any, name: str, max_size: Optional[int], check: Check) -> Source:
    inner = unwrap(file)
    if type(inner) is io.BytesIO:
        return MemorySource(name, inner.getvalue())  # copies nothing, and lets it be closed
    if is_response(inner) and inner.closed:
        return MemorySource(name, preloaded(inner, name))
    return _open_in_place(inner, name) or spool(inner, name, max_size, check)


def _open_in_place(file: Any, name: str) -> Optional[Source]:
    """Open the regular file behind a file object; None where read() is the only way."""
    regular = regular_file(file)
    if regular is None:
        return None
    if file.writable():
        file.flush()
    source = FileSource(name, io.FileIO(os.dup(regular.fileno())))
    if source.is_whole():
        return source
    source.close()
    return None
