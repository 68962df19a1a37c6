"""The name a file goes by in the chat: the last component of its own, never a directory."""

from __future__ import annotations

import io
import os
import re
from typing import Any, Optional

from .wrappers import is_a, unwrap

_UNPACKING = ("gzip.GzipFile", "bz2.BZ2File", "lzma.LZMAFile")
_UNPACKED = {
    ".gz": "", ".bz2": "", ".xz": "", ".lzma": "",
    ".tgz": ".tar", ".tbz2": ".tar", ".txz": ".tar", ".svgz": ".svg",
}


def find_name(file: Any) -> Optional[str]:
    """Return the name that *file* itself goes by; None if it has none.

    Browsers and archives send paths of other systems, so both separators end a directory. A file
    that unpacks what it reads (``gzip.open``) goes by the name of what goes up: ``log.txt``, not
    ``log.txt.gz``.
    """
    if isinstance(file, (str, os.PathLike)):
        return os.path.basename(os.fsdecode(file))
    inner = unwrap(file)
    unpacking = is_a(inner.raw if type(inner) is io.BufferedReader else inner, *_UNPACKING)
    names = []
    if not is_a(file, "gzip.GzipFile"):  # which warns of its filename
        names.append(getattr(file, "filename", None))  # Flask's; their name is the form field's
    names.append(getattr(file, "name", None))  # a number if the file was opened from a descriptor
    for name in names:
        last = re.split(r"[\\/]", name)[-1] if isinstance(name, str) else ""
        if last and not re.fullmatch("<.*>", last):  # "<stdin>" says what it is, not what it holds
            return _unpacked(last) if unpacking else last
    return None


def _unpacked(name: str) -> str:
    stem, extension = os.path.splitext(name)
    return stem + _UNPACKED.get(extension.lower(), extension)
