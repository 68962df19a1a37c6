"""What a proxy refuses is said in words and not repeated; this machine needs no proxy."""

from __future__ import annotations

import os
import pathlib
import socket
import subprocess
import sys
from typing import Any, Callable, Dict, Iterator, Tuple

import pytest
import requests
import urllib3

from qqchunk import TransportError, Uploader
from qqchunk.emulator import Emulator

from tests.processes import ROOT
from tests.relays import HttpProxy
from tests.support import Peer, Pki, Server, callers_sessions

MakeUploader = Callable[..., Uploader]


@pytest.fixture(scope="module")
def pki(tmp_path_factory: Any) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as opened:
        yield opened


def refused(
    session: requests.Session, proxy: str, api_url: str = "https://api.invalid", **options: Any
) -> TransportError:
    """Upload through *proxy*; give the exception."""
    session.proxies = {"http": proxy, "https": proxy}
    with Uploader(
        "1", "s", session=session, api_url=api_url, token_url=api_url + "/token",
        backoff=0.0, **options,
    ) as uploader, pytest.raises(TransportError) as caught:
        uploader.upload("c2c", "U1", b"content", file_name="a.bin")
    assert "invalid" in str(caught.value)  # the host it was for
    return caught.value


def answering(status: str) -> Callable[[Peer], None]:
    def handle(peer: Peer) -> None:
        while peer.read_head()[0]:
            peer.sock.sendall(
                f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode("latin-1"))

    return handle


@pytest.mark.parametrize("status,words,attempts", [
    ("407 Proxy Authentication Required", "the proxy wants other credentials (HTTP 407)", 1),
    ("403 Forbidden", "the proxy refused to connect to this host (HTTP 403)", 1),
    ("404 What", "the proxy refused to connect to this host (HTTP 404)", 1),
    ("503 Busy", "the proxy refused to connect to this host (HTTP 503)", 3),
    ("429 Slow", "the proxy refused to connect to this host (HTTP 429)", 3),
])
def test_refused_tunnel_is_said_in_words(
    status: str, words: str, attempts: int, session: requests.Session
) -> None:
    with Server(answering(status)) as proxy:
        error = refused(session, f"http://user:password@127.0.0.1:{proxy.port}")
        assert words in str(error)
        assert error.retryable == (attempts > 1)
        assert len(proxy.peers) == attempts
    assert "password@" not in str(error) and "user:" not in str(error)


def test_proxy_without_a_tunnel_that_wants_credentials_is_not_asked_again(
    session: requests.Session
) -> None:
    with Server(answering("407 Proxy Authentication Required")) as proxy:
        error = refused(session, proxy.url(), "http://api.invalid")
        assert "the proxy wants other credentials (HTTP 407)" in str(error)
        assert not error.retryable
        assert sum(bytes(peer.heard).count(b"POST ") for peer in proxy.peers) == 1


def test_tls_to_a_proxy_that_speaks_none_is_named(session: requests.Session) -> None:
    def handle(peer: Peer) -> None:
        peer.read()
        peer.sock.sendall(b"HTTP/1.1 400 Bad request\r\nContent-Length: 0\r\n\r\n")
        peer.read_all()

    with Server(handle) as proxy:
        error = refused(session, proxy.url("https"))
    if tuple(map(int, urllib3.__version__.split(".")[:3])) < (1, 26, 10):
        return  # it does not say that it was the proxy
    assert "the proxy itself speaks no TLS - write http://" in str(error)
    assert not error.retryable
    assert len(proxy.peers) == 1


@pytest.mark.parametrize("answer,words,attempts", [
    (b"\x05\x02 \x01\x01", "the proxy wants other credentials", 1),  # asked for, and refused
    (b"\x05\xff", "the proxy wants other credentials", 1),  # none of those offered
    (b"\x05\x00 \x05\x02\x00\x01\x7f\x00\x00\x01\x00\x00",
     "the proxy said: 0x02: Connection not allowed by ruleset", 1),
    (b"\x05\x00 \x05\x04\x00\x01\x7f\x00\x00\x01\x00\x00",
     "the proxy said: 0x04: Host unreachable", 3),
], ids=["wrong password", "no method", "not allowed", "unreachable"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_socks_proxy_that_refuses_is_said_in_words(
    scheme: str, answer: bytes, words: str, attempts: int, session: requests.Session
) -> None:
    def handle(peer: Peer) -> None:
        for message in answer.split(b" "):
            peer.read()
            peer.sock.sendall(message)
        peer.read_all()

    with Server(handle) as proxy:
        error = refused(
            session, f"socks5h://user:wrong@127.0.0.1:{proxy.port}", f"{scheme}://api.invalid")
        assert words in str(error)
        assert error.retryable == (attempts > 1)
        assert len(proxy.peers) == attempts
    assert "wrong" not in str(error)


def test_body_of_a_call_through_a_proxy_does_not_wait_for_an_acknowledgement(
    emulator: Emulator, uploader_for: MakeUploader, session: requests.Session
) -> None:
    with HttpProxy() as proxy:
        session.proxies = {"http": proxy.url()}
        uploader = uploader_for(emulator, session=session)
        uploader.upload("c2c", "U1", b"content", file_name="a.bin")
        adapter: Any = session.get_adapter("http://")
        (manager,) = adapter.proxy_manager.values()
        (pool,) = map(manager.pools.get, manager.pools.keys())
        sockets = [connection.sock for connection in pool.pool.queue if connection]
        assert sockets
        assert all(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for sock in sockets)


# ------------------------------------------------------------------------------- this machine


NOWHERE: Dict[str, str] = {
    "HTTP_PROXY": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9",
    "ALL_PROXY": "socks5://127.0.0.1:9",
}


@pytest.mark.parametrize("name", NOWHERE)
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_sessions_of_our_own_reach_this_machine_past_the_environments_proxy(
    host: str, name: str, emulator: Emulator, uploader_for: MakeUploader,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(name, NOWHERE[name])
    url = emulator.api_url.replace("127.0.0.1", host)
    uploader = uploader_for(emulator, api_url=url, token_url=url + "/app/getAppAccessToken")
    assert uploader.upload("c2c", "U1", b"content", file_name="a.bin")


def test_sessions_of_our_own_reach_others_through_the_environments_proxy(
    emulator: Emulator, uploader_for: MakeUploader, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Server(answering("407 No")) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url())
        uploader = uploader_for(emulator, token_url="http://bots.invalid/token")
        with pytest.raises(TransportError, match="407"):
            uploader.upload("c2c", "U1", b"content", file_name="a.bin")
        assert proxy.peers


def test_sessions_of_the_callers_go_by_their_environment_alone(
    emulator: Emulator, uploader_for: MakeUploader, monkeypatch: pytest.MonkeyPatch
) -> None:
    with HttpProxy() as proxy, callers_sessions() as sessions:
        monkeypatch.setenv("HTTP_PROXY", proxy.url())
        uploader_for(emulator, **sessions).upload("c2c", "U1", b"content", file_name="a.bin")
        assert len(proxy.heads) == 2


def test_demo_needs_no_proxy(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "small.bin"  # the file that the demo makes up takes it two seconds
    file.write_bytes(b"content")
    done = subprocess.run(
        [sys.executable, "-m", "qqchunk", "demo", str(file)],
        env={**os.environ, "PYTHONPATH": str(ROOT), **NOWHERE}, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, timeout=50)
    assert done.returncode == 0, done.stderr


# ----------------------------------------------------------------------------------- authorities


def tls(pki: Pki, verify: Any) -> Tuple[bool, str]:
    """Say whether an upload with this session.verify succeeds, and what it says otherwise."""
    with Emulator(ssl_context=pki.context) as emulator, requests.Session() as session:
        session.verify = verify
        with Uploader(
            emulator.app_id, emulator.client_secret, api_url=emulator.api_url,
            token_url=emulator.token_url, session=session, retries=0,
        ) as uploader:
            try:
                uploader.upload("c2c", "U1", b"content", file_name="a.bin")
            except TransportError as error:
                return False, str(error)
    return True, ""


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_authority_of_the_session_wins_over_the_environments(
    name: str, pki: Pki, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, Pki(tmp_path).ca_file)  # another one
    assert tls(pki, pki.ca_file) == (True, "")
    assert "not trusted" in tls(pki, True)[1]
    monkeypatch.setenv(name, pki.ca_file)
    assert tls(pki, True) == (True, "")
