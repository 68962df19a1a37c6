"""Downloads, shared streams and other people's files, uploaded through real sockets."""

from __future__ import annotations

import contextlib
import gzip
import http.server
import io
import pathlib
import socket
import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Dict, Iterator, Tuple

import pytest
import requests
import urllib3

from qqchunk import UploadError, Uploader
from qqchunk.emulator import Emulator
from tests.behaviour.recovery import content_of

CONTENT = content_of(700_000)
PACKED = gzip.compress(CONTENT, 1)


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves one content: plain, packed, cut off, and cut off while it is chunked."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body: bytes
        headers: Dict[str, str]
        body, headers = {
            "/plain": (CONTENT, {"Content-Length": str(len(CONTENT))}),
            "/packed": (PACKED, {"Content-Length": str(len(PACKED)), "Content-Encoding": "gzip"}),
            "/cut": (CONTENT[:-1], {"Content-Length": str(len(CONTENT))}),
            "/packed-cut": (
                PACKED[:-1], {"Content-Length": str(len(PACKED)), "Content-Encoding": "gzip"}),
            "/chunked-cut": (b"5\r\nhello\r\n", {"Transfer-Encoding": "chunked"}),
        }[self.path]
        self.send_response(200)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(body)
        self.close_connection = True

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def uploader(
    emulator: Emulator, uploader_for: Callable[..., Uploader]
) -> Uploader:
    return uploader_for(emulator)


@contextlib.contextmanager
def by_requests(url: str) -> Iterator[Any]:
    with requests.get(url, stream=True) as response:
        yield response.raw


@contextlib.contextmanager
def by_urllib3(url: str) -> Iterator[Any]:
    with urllib3.PoolManager() as pool:
        response = pool.request("GET", url, preload_content=False)
        yield response
        response.close()


def by_urllib(url: str) -> Any:
    return urllib.request.urlopen(url)


DOWNLOADS = pytest.mark.parametrize("download", [by_requests, by_urllib3, by_urllib])


@DOWNLOADS
@pytest.mark.parametrize("path", ["/plain", "/packed"])
def test_download_goes_up_as_it_streams_in_and_unpacked(
    site: str, emulator: Emulator, uploader: Uploader, download: Any, path: str
) -> None:
    with download(site + path) as file:
        result = uploader.upload("c2c", "U1", file, file_name="a.bin")
    assert emulator.received(result.file_info) == CONTENT


@DOWNLOADS
@pytest.mark.parametrize("path", ["/cut", "/packed-cut", "/chunked-cut"])
def test_download_that_was_cut_off_is_an_error_before_anything_is_sent(
    site: str, emulator: Emulator, uploader: Uploader, download: Any, path: str
) -> None:
    with download(site + path) as file:
        with pytest.raises(UploadError, match="^a.bin, open: HTTPResponse ") as caught:
            uploader.upload("c2c", "U1", file, file_name="a.bin")
    assert (caught.value.stage, caught.value.file_name) == ("open", "a.bin")
    assert emulator.count("prepare") == 0


@DOWNLOADS
@pytest.mark.parametrize("path", ["/plain", "/packed"])
def test_download_that_somebody_began_to_read_is_an_error(
    site: str, uploader: Uploader, download: Any, path: str
) -> None:
    with download(site + path) as file:
        file.read(10)
        with pytest.raises(UploadError, match="has been read already, or part of it"):
            uploader.upload("c2c", "U1", file, file_name="a.bin")


def test_download_that_urllib3_read_in_advance_goes_up(
    site: str, emulator: Emulator, uploader: Uploader
) -> None:
    with urllib3.PoolManager() as pool:
        response = pool.request("GET", site + "/packed")
        result = uploader.upload("c2c", "U1", response, file_name="a.bin")
    assert emulator.received(result.file_info) == CONTENT


def test_file_of_a_socket_goes_up_to_its_end(emulator: Emulator, uploader: Uploader) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, ours.makefile("rb") as file:
        theirs.sendall(b"0123456789")
        theirs.shutdown(socket.SHUT_WR)
        result = uploader.upload("c2c", "U1", file, file_name="a.bin")
    assert emulator.received(result.file_info) == b"0123456789"


@pytest.mark.parametrize("make", [
    lambda path: io.BytesIO(CONTENT),
    lambda path: gzip.GzipFile(fileobj=io.BytesIO(PACKED)),
    lambda path: open(path, "rb"),
], ids=["BytesIO", "GzipFile", "open"])
def test_stream_that_eight_threads_share_arrives_whole_eight_times(
    emulator: Emulator, uploader: Uploader, tmp_path: pathlib.Path, make: Callable[..., Any]
) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(CONTENT)

    def upload(number: int) -> Tuple[str, bytes]:
        result = uploader.upload("group", f"G{number}", file, file_name=f"{number}.bin")
        stored = emulator.stored(result.file_info)
        return stored.name, emulator.received(result.file_info)

    with make(path) as file, ThreadPoolExecutor(8) as executor:
        arrived = list(executor.map(upload, range(8)))
    assert arrived == [(f"{number}.bin", CONTENT) for number in range(8)]


def test_unpacked_file_arrives_under_its_plain_name_without_a_path(
    emulator: Emulator, uploader: Uploader, tmp_path: pathlib.Path
) -> None:
    path = tmp_path / "visits.csv.gz"
    path.write_bytes(PACKED)
    with gzip.open(path) as file:
        result = uploader.upload("c2c", "U1", file)
    assert emulator.stored(result.file_info).name == "visits.csv"
    assert emulator.received(result.file_info) == CONTENT
