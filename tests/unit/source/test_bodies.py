"""Response bodies go up unpacked and whole, or not at all."""

from __future__ import annotations

import bz2
import gzip
import http.client
import io
import lzma
import tarfile
import zipfile
import zlib
from typing import Any, Callable, Dict, Type

import pytest
from urllib3 import HTTPResponse
from werkzeug.datastructures import FileStorage

from qqchunk import UploadError
from qqchunk.source.opening import open_source
from tests.unit.source.samples import LARGE, SMALL, upload

PACKED = gzip.compress(LARGE)


def urllib3_response(
    body: bytes, headers: Dict[str, str] = {}, **options: Any
) -> HTTPResponse:
    """Return a response as requests' ``response.raw`` is: unread, and left packed."""
    options = {"preload_content": False, "decode_content": False, **options}
    return HTTPResponse(body=io.BytesIO(body), headers=headers, **options)


def stdlib_response(body: bytes, headers: Dict[str, str] = {}) -> http.client.HTTPResponse:
    """Return a response as urllib.request gives it."""

    class Socket:
        def makefile(self, mode: str) -> io.BufferedReader:
            lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            raw: Any = io.BytesIO(f"HTTP/1.1 200 OK\r\n{lines}\r\n".encode() + body)
            return io.BufferedReader(raw)

    sock: Any = Socket()
    response = http.client.HTTPResponse(sock)
    response.begin()
    return response


KINDS = pytest.mark.parametrize("make", [urllib3_response, stdlib_response])


def length_of(body: bytes) -> Dict[str, str]:
    return {"Content-Length": str(len(body))}


@KINDS
@pytest.mark.parametrize("headers", [length_of(LARGE), {}])
def test_plain_body_goes_up_as_it_is(make: Any, headers: Dict[str, str]) -> None:
    assert upload(make(LARGE, headers), "a.bin") == LARGE


@KINDS
@pytest.mark.parametrize("coding", ["gzip", "GZIP"])
@pytest.mark.parametrize("headers", [length_of(PACKED), {}])
def test_packed_body_goes_up_unpacked(make: Any, coding: str, headers: Dict[str, str]) -> None:
    response = make(PACKED, {"Content-Encoding": coding, **headers})
    assert upload(response, "a.bin") == LARGE


def test_body_packed_otherwise_goes_up_as_urllib3_unpacks_it() -> None:
    packed = zlib.compress(LARGE)
    response = urllib3_response(packed, {"Content-Encoding": "deflate", **length_of(packed)})
    assert upload(response, "a.bin") == LARGE


@KINDS
@pytest.mark.parametrize("coding", ["pack200-gzip", "gzip, pack200-gzip"])
def test_body_packed_in_a_way_that_nothing_unpacks_is_refused(make: Any, coding: str) -> None:
    response = make(b"packed", {"Content-Encoding": coding})
    with pytest.raises(ValueError) as caught:
        open_source(response, "a.bin")
    assert str(caught.value) == f"a.bin comes packed ({coding}): unpack it, and give the bytes"


@KINDS
def test_identity_is_no_packing(make: Any) -> None:
    assert upload(make(SMALL, {"Content-Encoding": "identity"}), "a.bin") == SMALL


@KINDS
@pytest.mark.parametrize("body, headers", [
    (LARGE[:-1], length_of(LARGE)),
    (LARGE[:300_000], length_of(LARGE)),
    (PACKED[:-1], {"Content-Encoding": "gzip", **length_of(PACKED)}),
    (b"", length_of(LARGE)),
])
def test_body_that_ends_before_its_announced_end_is_an_error(
    make: Any, body: bytes, headers: Dict[str, str]
) -> None:
    with pytest.raises(UploadError) as caught:
        open_source(make(body, headers), "a.bin")
    error = caught.value
    assert (error.file_name, error.stage, error.retryable) == ("a.bin", "open", False)
    assert str(error).startswith("a.bin, open: HTTPResponse ")
    assert str(error).endswith("fetch it again")
    assert error.__context__ is None  # it may know the URL that was downloaded


@pytest.mark.parametrize("enforced", [True, False])
def test_body_that_ends_early_is_an_error_whether_urllib3_looks_or_not(enforced: bool) -> None:
    response = urllib3_response(SMALL, {"Content-Length": "11"}, enforce_content_length=enforced)
    with pytest.raises(UploadError, match="ended 1 bytes early" if not enforced else "broke off"):
        open_source(response, "a.bin")


@pytest.mark.parametrize("ending", [b"0\r\n\r\n", b"", b"5\r\nhel", b"x\r\n"])
def test_chunked_body_goes_up_if_it_has_its_end(ending: bytes) -> None:
    response = stdlib_response(b"5\r\nhello\r\n" + ending, {"Transfer-Encoding": "chunked"})
    if ending.startswith(b"0"):
        assert upload(response, "a.bin") == b"hello"
    else:
        with pytest.raises(UploadError, match="broke off [(]IncompleteRead"):
            open_source(response, "a.bin")


@KINDS
@pytest.mark.parametrize("body, headers", [
    (LARGE, length_of(LARGE)), (PACKED, {"Content-Encoding": "gzip", **length_of(PACKED)})])
@pytest.mark.parametrize("size", [1, None])
def test_body_of_which_somebody_read_a_part_is_refused(
    make: Any, body: bytes, headers: Dict[str, str], size: Any
) -> None:
    response = make(body, headers)
    response.read(size)
    with pytest.raises(UploadError, match="has been read already, or part of it - give the bytes"):
        open_source(response, "a.bin")


def test_body_that_was_read_in_advance_goes_up() -> None:
    made: Any = HTTPResponse
    headers = {"Content-Encoding": "gzip", **length_of(PACKED)}
    assert upload(made(stdlib_response(PACKED, headers), headers), "a.bin") == LARGE
    assert upload(made(SMALL), "a.bin") == SMALL


def test_body_that_was_read_to_its_end_is_refused() -> None:
    made: Any = HTTPResponse
    response = made(stdlib_response(LARGE, length_of(LARGE)), preload_content=False)
    assert response.read() == LARGE
    assert response.closed
    with pytest.raises(UploadError, match="has been read already, or part of it - give the bytes"):
        open_source(response, "a.bin")


@KINDS
def test_limit_holds_for_what_comes_out_of_a_packed_body(make: Any) -> None:
    response = make(PACKED, {"Content-Encoding": "gzip", **length_of(PACKED)})
    with pytest.raises(UploadError, match="over the size limit"):
        open_source(response, "a.bin", max_size=300_000)


def test_flasks_wrapper_around_a_packed_body_goes_up_unpacked() -> None:
    response: Any = urllib3_response(PACKED, {"Content-Encoding": "gzip"})
    assert upload(FileStorage(response, filename="a.bin")) == LARGE


# Any stream that breaks off


def zip_member(damage: int) -> Any:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.bin", LARGE)
    data = bytearray(file.getvalue())
    data[damage] ^= 0xff
    return zipfile.ZipFile(io.BytesIO(data)).open("a.bin")


def tar_member() -> Any:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        info = tarfile.TarInfo("a.bin")
        info.size = len(LARGE)
        archive.addfile(info, io.BytesIO(LARGE))
    cut = io.BytesIO(file.getvalue()[:300_000])
    with tarfile.open(fileobj=cut) as archive:
        first: Any = archive.next()
        return archive.extractfile(first)


@pytest.mark.parametrize("make, what", [
    (lambda: gzip.GzipFile(fileobj=io.BytesIO(PACKED[:-9])), "EOFError"),
    (lambda: bz2.BZ2File(io.BytesIO(bz2.compress(LARGE)[:-9])), "EOFError"),
    (lambda: lzma.LZMAFile(io.BytesIO(lzma.compress(LARGE)[:-9])), "EOFError"),
    (lambda: lzma.LZMAFile(io.BytesIO(b"no such thing")), "LZMAError"),
    (lambda: gzip.GzipFile(fileobj=io.BytesIO(PACKED[:20] + b"\xff" + PACKED[21:])), "error"),
    (lambda: zip_member(60), ""),
    (tar_member, "ReadError"),
])
def test_stream_that_makes_no_sense_is_an_error_of_ours(
    make: Callable[[], Any], what: str
) -> None:
    with pytest.raises(UploadError, match=f"broke off .{what}") as caught:
        with make() as file:
            open_source(file, "a.bin")
    assert (caught.value.file_name, caught.value.stage) == ("a.bin", "open")


class Raising:
    def __init__(self, error: BaseException) -> None:
        self.error = error

    def read(self, size: int) -> bytes:
        raise self.error


class TimeLimit(Exception):
    """As Celery's, raised by a signal handler in the middle of anything."""


@pytest.mark.parametrize("kind", [TimeLimit, TimeoutError, OSError, ValueError, KeyboardInterrupt])
def test_any_other_exception_stays_as_it_is(kind: Type[BaseException]) -> None:
    error = kind("stop")
    with pytest.raises(kind) as caught:
        open_source(Raising(error), "a.bin")
    assert caught.value is error


def test_lost_connection_is_an_error_of_ours() -> None:
    with pytest.raises(UploadError, match=r"Raising broke off \(ConnectionResetError: gone\) - "):
        open_source(Raising(ConnectionResetError("gone")), "a.bin")
