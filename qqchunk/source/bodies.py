"""Response bodies, unpacked and held to the length that they announce.

urllib3's responses, which are requests' ``response.raw`` too, and those of :mod:`http.client`,
which :mod:`urllib.request` gives. Any other stream is as long as its ``read()`` makes it.
"""

from __future__ import annotations

import gzip
import zlib
from typing import Any, Callable, Iterator, List, Optional

from ..errors import ADVICE, UploadError
from .wrappers import is_a

_PACKED_SIZE = 64 << 10  # bytes asked of the network at once; unpacked they may be 64 MiB

_STDLIB_RESPONSE = "http.client.HTTPResponse"

# What raises exceptions of its own when a stream ends early or makes no sense.
_LIBRARIES = {"urllib3", "urllib3_future", "http", "botocore", "zipfile", "tarfile", "lzma"}


def is_response(file: Any) -> bool:
    """Say whether *file* is a response of urllib3's, or one of those made like it."""
    return isinstance(getattr(file, "decode_content", None), bool) and callable(
        getattr(file, "stream", None))


def preloaded(file: Any, name: str) -> bytes:
    """Return the body that a response of urllib3's had read before it was given to anybody.

    :raises UploadError: somebody else has read it
    """
    body: bytes = file.data
    if not body:
        raise _begun_already(file, name)
    return body


def reader_of(file: Any, name: str) -> Callable[[int], Any]:
    """Return what to read *file* by: its ``read``, or one that unpacks what it gives.

    :raises UploadError: part of the response has been read already
    :raises ValueError: the response is packed in a way that nothing here unpacks
    """
    if _begun(file):
        raise _begun_already(file, name)
    codings = [coding.strip() for coding in _header(file, "Content-Encoding").lower().split(",")]
    if is_response(file):
        if not {*codings} <= {*getattr(file, "CONTENT_DECODERS", codings), "", "identity"}:
            raise _packed(name, codings)
        blocks: Iterator[bytes] = file.stream(_PACKED_SIZE, decode_content=True)
        return lambda size: next(blocks, b"")
    if codings in (["gzip"], ["x-gzip"]):
        return gzip.GzipFile(fileobj=file).read
    if not {*codings} <= {"", "identity"}:
        raise _packed(name, codings)
    read: Callable[[int], bytes] = file.read
    return read


def check_end(file: Any, name: str) -> None:
    """Make sure that a body that has been read to its end had all the bytes it announced.

    :raises UploadError: it ended early
    """
    missing = _left(file)
    if missing:
        raise _failure(file, name, f"ended {missing} bytes early", "fetch it again")


def broken_off(file: Any, name: str, error: Exception) -> Optional[UploadError]:
    """Return the error for a stream that broke off; None if *error* means something else.

    A signal handler's exception (a time limit) comes out of ``read()`` as well, and stays as it
    is.
    """
    library = type(error).__module__.split(".")[0].lstrip("_")
    if library in _LIBRARIES or isinstance(error, (EOFError, ConnectionError, zlib.error)):
        what = f"broke off ({type(error).__name__}: {error})"
        return _failure(file, name, what, "open it again, or fetch it again")
    return None


def _begun(file: Any) -> bool:
    if is_response(file):
        return bool(getattr(file, "tell", int)())
    announced = _header(file, "Content-Length")
    left = _left(file)
    return left is not None and announced.isdigit() and left < int(announced)


def _begun_already(file: Any, name: str) -> UploadError:
    return _failure(
        file, name, "has been read already, or part of it",
        "give the bytes that were read (response.content), or fetch it again")


def _left(file: Any) -> Optional[int]:
    """Return how many bytes of the announced length have not come yet, packed as they are."""
    left = None
    if is_response(file):
        left = getattr(file, "length_remaining", None)
    elif is_a(file, _STDLIB_RESPONSE):
        left = file.length
    return left if isinstance(left, int) else None


def _header(file: Any, name: str) -> str:
    if is_response(file) or is_a(file, _STDLIB_RESPONSE):
        return str(getattr(file, "headers", {}).get(name) or "")
    return ""


def _packed(name: str, codings: List[str]) -> ValueError:
    return ValueError(
        f"{name} comes packed ({', '.join(codings)}): unpack it, and give the bytes")


def _failure(file: Any, name: str, what: str, advice: str) -> UploadError:
    return UploadError(
        f"{name}, open: {type(file).__name__} {what}{ADVICE}{advice}",
        file_name=name, stage="open")
