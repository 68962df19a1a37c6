"""Stopping while connecting: unanswered connects, silent handshakes, proxies."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import Any, Callable, Dict, Iterator, List

import pytest

from qqchunk import Uploader, UploadCancelledError, UploadDeadlineError
from qqchunk.emulator import Emulator, Fault
from qqchunk.transfer.workers import JOIN_TIMEOUT

from tests.relays import HttpProxy, SocksProxy
from tests.support import (
    Pki, Server, callers_sessions, connected_to, connecting_to, full_backlog,
    own_threads, uploader_for, wait_until,
)

AT_MOST = 1.0  # seconds from the stop until upload() is out
BOTH = ("http", "https")
WAYS = ("cancel", "close", "deadline", "callback")
DEADLINE = 0.15  # seconds; it hangs at once

pytestmark = pytest.mark.usefixtures("trusted_pki", "nothing_stays")


class Boom(Exception):
    """What the progress callback raises."""


def stop(
    way: str, url: str, reached: Callable[[], Any], secret: str = "secret", size: int = 100,
    **options: Any,
) -> None:
    """Upload to *url*, stop that *way* once it hangs, and check that it is out in time."""
    uploader = Uploader(
        "102000001", secret, api_url=url, token_url=url + "/app/getAppAccessToken", **options)
    cancel = threading.Event()
    ended: Dict[str, Any] = {}

    def progress(_: object) -> None:
        wait_until(reached)  # the callback has this thread: it may take as long as it likes
        ended["stopped"] = time.monotonic()
        raise Boom

    def upload() -> None:
        try:
            uploader.upload(
                "c2c", "U1", b"x" * size, file_name="a.bin", cancel=cancel,
                deadline=DEADLINE if way == "deadline" else None,
                progress=progress if way == "callback" else None)
        except Exception as error:
            ended.update(at=time.monotonic(), error=error, threads=own_threads())

    began = time.monotonic()
    thread = threading.Thread(target=upload)
    thread.start()
    if way in ("cancel", "close"):
        wait_until(reached)
    stopped = began + DEADLINE if way == "deadline" else time.monotonic()
    if way == "cancel":
        cancel.set()
    elif way == "close":
        uploader.close()
    thread.join(5)
    uploader.close()
    assert ended["at"] - ended.get("stopped", stopped) < AT_MOST
    assert ended["threads"] == []
    kinds = {"deadline": UploadDeadlineError, "callback": Boom}
    assert isinstance(ended["error"], kinds.get(way, UploadCancelledError))


@pytest.fixture(scope="module")
def silent_port() -> Iterator[int]:
    """A port where connecting gets no answer."""
    with full_backlog() as port:
        yield port


@pytest.mark.parametrize("scheme, way", [
    ("http", "cancel"), ("https", "close"), ("http", "deadline"), ("https", "callback")])
def test_unanswered_connect_is_given_up_at_once(silent_port: int, scheme: str, way: str) -> None:
    stop(way, f"{scheme}://127.0.0.1:{silent_port}", lambda: connecting_to(silent_port))
    assert not connecting_to(silent_port)


@pytest.mark.parametrize("way", WAYS)
def test_silent_handshake_is_given_up_at_once(way: str) -> None:
    with Server() as server:
        stop(way, server.url("https"), lambda: server.peers and server.peers[0].heard)
        assert not connected_to(server.port)
        assert server.peers[0].heard[0] == 22  # a handshake record, and nothing after it
        wait_until(lambda: server.peers[0].end)


@pytest.mark.parametrize("scheme, way", [("http", "callback"), ("https", "cancel")])
@pytest.mark.parametrize("proxy", ["http", "socks5", "socks5h"])
def test_silent_proxy_is_given_up_at_once(
    proxy: str, scheme: str, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Server() as server:
        monkeypatch.setenv("ALL_PROXY", f"{proxy}://127.0.0.1:{server.port}")
        stop(way, f"{scheme}://bot.invalid:1", lambda: server.peers and server.peers[0].heard)
        assert not connected_to(server.port)


@pytest.mark.parametrize("proxy", ["http", "socks5"])
def test_unanswered_connect_to_a_proxy_is_given_up_at_once(
    proxy: str, silent_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", f"{proxy}://127.0.0.1:{silent_port}")
    stop("cancel", "https://bot.invalid:1", lambda: connecting_to(silent_port))
    assert not connecting_to(silent_port)


@contextlib.contextmanager
def emulating(scheme: str, pki: Pki, *faults: Fault) -> Iterator[Emulator]:
    context = pki.context if scheme == "https" else None
    with Emulator(ssl_context=context, faults=faults) as emulator:
        yield emulator


HELD = {
    "no answer to prepare": (Fault("prepare", "silence", times=None), "prepare"),
    "storage stops reading": (Fault("put", "stop_reading", times=None), "put"),
}


@pytest.fixture(params=["http", "socks5", "socks5h"])
def proxy(request: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    server = HttpProxy() if request.param == "http" else SocksProxy()
    with server:
        monkeypatch.setenv("ALL_PROXY", f"{request.param}://127.0.0.1:{server.port}")
        yield server


@pytest.mark.parametrize("scheme, held", [
    ("https", "no answer to prepare"), ("http", "storage stops reading"),
    ("https", "storage stops reading"),
])
def test_upload_through_a_working_proxy_stops_at_once(
    proxy: Server, scheme: str, held: str, pki: Pki
) -> None:
    fault, stage = HELD[held]
    with emulating(scheme, pki, fault) as emulator, callers_sessions() as sessions:
        stop(
            "cancel", emulator.api_url, lambda: emulator.count(stage),
            secret=emulator.client_secret, size=5 << 20, **sessions)
        for session in sessions.values():
            session.close()  # its idle connections are the caller's
        wait_until(lambda: not connected_to(proxy.port), 1.0)


@pytest.mark.parametrize("scheme", BOTH)
def test_upload_through_a_working_proxy_arrives(proxy: Server, scheme: str, pki: Pki) -> None:
    with emulating(scheme, pki) as emulator, callers_sessions() as sessions, uploader_for(
        emulator, **sessions,
    ) as uploader:
        result = uploader.upload("c2c", "U1", b"content", file_name="a.bin")
        assert emulator.received(result.file_info) == b"content"
        assert emulator.connections == len(proxy.peers) > 0


@pytest.mark.parametrize("hanging, patience", [("api.test", 0.2), ("storage.test", JOIN_TIMEOUT)])
def test_name_that_is_not_resolved_costs_a_second(
    hanging: str, patience: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve, asked, found = socket.getaddrinfo, threading.Event(), threading.Event()
    began: List[float] = []

    def look_up(host: str, *args: Any, **kwargs: Any) -> Any:
        if host == hanging:
            began.append(time.monotonic())
            asked.set()
            found.wait(10)
        return resolve("127.0.0.1", *args, **kwargs)

    monkeypatch.setattr("qqchunk.transfer.operation.JOIN_TIMEOUT", patience)
    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with Emulator() as emulator:
        if hanging == "storage.test":
            host = emulator.api_url.replace("127.0.0.1", hanging)
            emulator.fail("prepare", "wrong_shape", body={
                "upload_id": "u", "block_size": 50,
                "parts": [{"index": n, "presigned_url": f"{host}/p{n}"} for n in range(2)]})
        url = emulator.api_url.replace("127.0.0.1", "api.test")
        with Uploader(emulator.app_id, emulator.client_secret, api_url=url,
                      token_url=url + "/app/getAppAccessToken") as uploader:
            with pytest.raises(UploadCancelledError):
                uploader.upload("c2c", "U1", b"x" * 100, file_name="a.bin", cancel=asked)
            assert patience <= time.monotonic() - began[0] < AT_MOST
            found.set()
