"""What a file object really is: told by the names of its classes, so that nothing is imported."""

from __future__ import annotations

import io
import os
import stat
import tempfile
from types import BuiltinFunctionType
from typing import Any, List, Optional

# A subclass may give other bytes through read() than its descriptor holds, as gzip's files do.
_BUFFERED_TYPES = (io.BufferedReader, io.BufferedRandom)
_FLASK_FILES = (
    "werkzeug.datastructures.file_storage.FileStorage", "werkzeug.datastructures.FileStorage")
_DJANGO_FILE = "django.core.files.utils.FileProxyMixin"
_DJANGO_FIELD = "django.db.models.fields.files.FieldFile"

# Where what unpacks or watches a stream keeps it: gzip and tarfile; bz2 and lzma; zipfile and what
# it hands out; tqdm; rich.
_HELD_AS = ("fileobj", "_fp", "_fileobj", "_file", "_wrapped", "handle")
_DEEPEST = 20


def is_a(file: Any, *names: str) -> bool:
    """Say whether *file* is of a class of these names (``"gzip.GzipFile"``), or of one made of it.
    """
    return any(f"{kind.__module__}.{kind.__qualname__}" in names for kind in type(file).__mro__)


def unwrap(file: Any) -> Any:
    """Return the file that a wrapper of tempfile, Flask or Django holds, or *file* itself."""
    kind = type(file)
    inner = None
    if kind is tempfile._TemporaryFileWrapper:
        inner = file.file
    elif kind is tempfile.SpooledTemporaryFile:
        inner = file._file
    elif is_a(file, *_FLASK_FILES) and not _owners_of_read(kind):
        inner = file.stream
    elif _owners_of_read(kind)[:1] == [_DJANGO_FILE] and not file.closed:
        inner = file.file
    return file if inner is None else unwrap(inner)


def bottom(file: Any) -> Any:
    """Return the stream whose position *file* moves when it is read: often its own.

    Several buffers, archive members or unpackers may share one.
    """
    for _ in range(_DEEPEST):
        inner = _held(file)
        if inner is None:
            break
        file = inner
    return file


def _held(file: Any) -> Any:
    if isinstance(file, _BUFFERED_TYPES):
        return file.raw
    variables = getattr(file, "__dict__", {})
    held = (variables.get(name) for name in _HELD_AS)
    return next((inner for inner in held if callable(getattr(inner, "read", None))), None)


def is_closed_field(file: Any) -> bool:
    """Say whether *file* is the file of a Django model's field and nobody has it open."""
    return is_a(file, _DJANGO_FIELD) and bool(file.closed)


def regular_file(file: Any) -> Optional[io.FileIO]:
    """Return the system's own file behind a file object if its descriptor gives what read() does.

    None for what is no regular file, and for all that gives other bytes than the file has.
    """
    file = unwrap(file)
    raw = file.raw if type(file) in _BUFFERED_TYPES else file
    if type(raw) is not io.FileIO:
        return None
    # A fake file system (pyfakefs) puts its own functions in the place of the system's, and they
    # take the number of a real descriptor for that of a fake file.
    if not isinstance(os.fstat, BuiltinFunctionType):
        return None
    return raw if stat.S_ISREG(os.fstat(raw.fileno()).st_mode) else None


def _owners_of_read(kind: type) -> List[str]:
    """Return the classes that define read(), the one whose counts first: a subclass may alter it.
    """
    return [f"{owner.__module__}.{owner.__qualname__}"
            for owner in kind.__mro__ if "read" in vars(owner)]
