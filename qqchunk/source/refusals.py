"""What cannot be uploaded, refused in words that say what can."""

from __future__ import annotations

import inspect
import io
import re
from typing import Any, Callable, Mapping

from .bodies import is_response
from .wrappers import unwrap

_LONGEST_PATH = 4096  # characters; no system opens a longer one

_NOT_A_PATH = (
    (r"https?:/", "a URL is not a local file: let the platform fetch it with upload_url()"),
    (r"file:/", "a file:// URL is not a path: give the path that it names"),
    (r"base64:/|data:[^,]{0,255},", "text with content in it is not a path: give the content as "
     "bytes, decoded with base64.b64decode()"),
    (r"[a-z][a-z0-9+.-]+://", "a URL is not a local file: open it and give what has its read(), "
     "or its bytes"),
)

# An object with the attribute on the left is no stream; what is on the right can be uploaded.
_ASYNC_PARTS = {"file": "its .file", "wrapped": "its .wrapped"}
_PARTS = {
    "namelist": "a member of it, .open(name), or the path of the archive",
    "extractfile": "a member of it, .extractfile(name), or the path of the archive",
    **_ASYNC_PARTS,
    "read_bytes": "its .read_bytes()",
    "content": "its .content",
    "body": "its .body",
}

# Names of the first argument of a read() that is no stream's: ConfigParser's, ZipFile's.
_NAMES = re.compile("(file|path)?names?|fname|files?|paths?|targets?|members?|url|source|key")


def check_path(path: Any) -> None:
    """Refuse text that is something else than a path, and does not belong into an error either.

    :raises ValueError: it is a URL, holds content, or is longer than any path
    """
    if not isinstance(path, str):
        return
    for pattern, words in _NOT_A_PATH:
        if re.match(r"\s*" + pattern, path, re.IGNORECASE):
            raise ValueError(words)
    if len(path) > _LONGEST_PATH:
        raise ValueError(
            f"text of {len(path)} characters is not a path: give content as bytes (.encode())")


def check_stream(file: Any) -> None:
    """Refuse what is not an open stream of bytes, before anything is read from it.

    :raises TypeError: it has no ``read(size)`` that gives bytes
    :raises ValueError: it is closed, or not open for reading
    """
    kind = type(file).__name__
    if isinstance(file, type):
        raise TypeError(f"cannot upload the class {file.__name__} itself: give an object of it")
    if inspect.isawaitable(file) and not hasattr(file, "read"):
        if inspect.iscoroutine(file):
            file.close()  # else Python warns that nobody awaited it
        raise TypeError(f"cannot upload {kind}, which has to be awaited first: give the bytes or "
                        "the path that it gives")
    read = getattr(file, "read", None)
    if not callable(read):
        part = _part_of(file)
        raise TypeError(
            f"cannot upload {kind}: give a path (str or os.PathLike), bytes, bytearray, "
            f"memoryview, or an object whose read() gives bytes{part and f'; here: {part}'}")
    if inspect.iscoroutinefunction(read):
        raise asynchronous(file)
    if not _takes_size(read):
        raise TypeError(
            f"cannot upload {kind}, whose read() takes no number of bytes: "
            f"give {_part_of(file) or 'the bytes that it gives'}")
    if isinstance(unwrap(file), io.TextIOBase):
        raise text_mode(file)
    if getattr(file, "closed", False) is True and not is_response(file):
        raise ValueError(f"{kind} is closed: open it again")
    readable = getattr(file, "readable", None)
    if readable is not None and not readable():
        raise ValueError(f"{kind} is not open for reading")


def text_mode(file: Any) -> TypeError:
    """Return the error for a stream of text."""
    return TypeError(f"{type(file).__name__} gives text: open the file in binary mode ('rb')")


def asynchronous(file: Any) -> TypeError:
    """Return the error for a stream that has to be awaited."""
    part = _part_of(file, _ASYNC_PARTS) or "the bytes that awaiting it gives, or the path"
    return TypeError(
        f"cannot upload {type(file).__name__}, whose read() is asynchronous: give {part}")


def _part_of(file: Any, parts: Mapping[str, str] = _PARTS) -> str:
    """Say what of *file* can be uploaded, found without running any code of its own."""
    missing = object()
    for attribute, words in parts.items():
        if inspect.getattr_static(file, attribute, missing) is not missing:
            return words
    return ""


def _takes_size(read: Callable[..., Any]) -> bool:
    """Say whether a ``read()`` can be asked for a number of bytes; most of C do not tell."""
    if inspect.isbuiltin(read) and isinstance(read.__self__, io.IOBase):
        return True  # of Python's own files, whose signature takes milliseconds to find
    try:
        signature = inspect.signature(read)
    except (TypeError, ValueError):
        return True
    try:
        arguments = signature.bind(1).arguments
    except TypeError:
        return False
    return not _NAMES.fullmatch(next(iter(arguments)))
