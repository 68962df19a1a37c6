"""The API is connected to while the token is fetched: where nobody could see it as a call."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
import time
from typing import Any, Iterator, List

import pytest
import requests
import responses
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection

from qqchunk import Progress, TransportError, UploadCancelledError, Uploader
from qqchunk.emulator import Emulator, Request
from qqchunk.net import taps
from qqchunk.net.stopping import StopSignal
from qqchunk.net.transport import Transport
from tests.relays import HttpProxy
from tests.support import Peer, Pki, Server, connecting_to, full_backlog, nothing_left, wait_until

CONTENT = bytes(100_000)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: Any) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def far(pki: Pki, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """An emulator over TLS."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", pki.ca_file)
    with Emulator(ssl_context=pki.context) as emulator:
        yield emulator


def uploader_for(emulator: Emulator, **options: Any) -> Uploader:
    """The token comes from another host than the API."""
    token_url = emulator.token_url.replace("127.0.0.1", "localhost")
    return Uploader(
        emulator.app_id, emulator.client_secret, api_url=emulator.api_url, token_url=token_url,
        backoff=0.0, **options)


# urllib3 1.26 takes the tickets of TLS 1.3 for the end of a connection: nothing is opened ahead.
AHEAD = 1 if hasattr(HTTPConnection, "is_connected") else 0
needs_urllib3_2 = pytest.mark.skipif(not AHEAD, reason="nothing is opened ahead")


def connections_during_the_token_call(
    emulator: Emulator, uploader: Uploader, at_least: int = 1
) -> int:
    """Upload; return how many connections there were before the token was given."""
    seen = []

    def hold(request: Request) -> None:
        if request.stage == "token" and request.status is None:
            wait_until(lambda: emulator.connections >= at_least)
            time.sleep(0.07)  # for those that nobody wants
            seen.append(emulator.connections)

    emulator.watch(hold)
    with uploader:
        uploader.upload("c2c", "U1", CONTENT, file_name="a.bin")
    return seen[0]


def test_api_is_connected_to_while_the_token_is_fetched(far: Emulator) -> None:
    wanted = 1 + AHEAD
    assert connections_during_the_token_call(far, uploader_for(far), wanted) == wanted
    assert far.connections == 3  # for the token, the API and storage: none was opened in vain


def test_connection_that_waited_is_used_over_tls_1_2_too(far: Emulator, pki: Pki) -> None:
    context = pki.context_for("127.0.0.1", "localhost")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with Emulator(ssl_context=context) as emulator:
        wanted = 1 + AHEAD
        uploader = uploader_for(emulator)
        assert connections_during_the_token_call(emulator, uploader, wanted) == wanted
        assert emulator.connections == 3


class Wrapped:
    """A socket that can do as little as those of urllib3.contrib.pyopenssl."""

    def __init__(self, sock: Any) -> None:
        self.socket = sock

    def __getattr__(self, name: str) -> Any:
        if name == "gettimeout":
            raise AttributeError(name)
        return getattr(self.socket, name)


def test_connection_that_waited_is_used_with_another_tls_too(
    far: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = HTTPSConnection.connect

    def connect_and_wrap(self: Any) -> None:
        connect(self)
        self.sock = Wrapped(self.sock)

    monkeypatch.setattr(HTTPSConnection, "connect", connect_and_wrap)
    assert connections_during_the_token_call(far, uploader_for(far)) == 1 + AHEAD
    assert far.connections == 3


def test_second_upload_connects_to_nothing(far: Emulator) -> None:
    with uploader_for(far) as uploader:
        uploader.upload("c2c", "U1", CONTENT, file_name="a.bin")
        connections = far.connections
        uploader.upload("c2c", "U1", CONTENT, file_name="a.bin")
    assert far.connections == connections


@pytest.mark.parametrize("spelling", ["127.0.0.1", "LOCALHOST"])
def test_nothing_is_opened_ahead_of_a_token_from_the_same_host(
    far: Emulator, spelling: str
) -> None:
    uploader = Uploader(
        far.app_id, far.client_secret, api_url=far.api_url.replace("127.0.0.1", spelling.lower()),
        token_url=far.token_url.replace("127.0.0.1", spelling))
    assert connections_during_the_token_call(far, uploader) == 1
    assert far.connections == 2  # that one serves the API too


def test_nothing_is_opened_ahead_where_a_connection_to_the_token_service_idles(
    far: Emulator
) -> None:
    uploader = uploader_for(far)
    keeper, stop = uploader._transport._keeper, StopSignal()
    keeper.drop(uploader._transport.token(stop))
    assert connections_during_the_token_call(far, uploader) == 1
    assert far.count("token") == 2
    assert far.connections == 3  # nor later on


def test_api_is_connected_to_once_however_often_the_token_is_asked_for(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator.fail("token", "reset", times=2)
    begun: List[StopSignal] = []
    monkeypatch.setattr(Transport, "connect_ahead", lambda transport, stop: begun.append(stop))
    with uploader_for(emulator) as uploader:
        uploader.upload("c2c", "U1", CONTENT, file_name="a.bin")
    assert emulator.count("token") == 3
    assert len(begun) == 1


class Rerouting(HTTPAdapter):
    """Knows by itself where requests go."""


def test_nothing_is_opened_ahead_through_an_adapter_of_somebody_elses(
    far: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("requests.sessions.HTTPAdapter", Rerouting)
    assert connections_during_the_token_call(far, uploader_for(far)) == 1


def test_nothing_is_opened_ahead_on_a_session_of_the_callers(far: Emulator) -> None:
    with requests.Session() as session:
        uploader = uploader_for(far, session=session)
        assert connections_during_the_token_call(far, uploader) == 1


def test_nothing_is_opened_ahead_through_a_proxy(
    far: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    monkeypatch.setattr(
        "qqchunk.net.sessions.tap", lambda session: opened.append(session) or taps.tap(session))
    with HttpProxy() as proxy, uploader_for(far) as uploader:
        for session in (uploader._transport._sessions.api, uploader._transport._sessions.storage):
            session.proxies = {"https": proxy.url()}
        uploader.upload("c2c", "U1", CONTENT, file_name="a.bin")
        # Three of the API and the token's, each through a tunnel that a call of its own wanted.
        assert len(opened) == len(far.requests)
        assert len(proxy.heads) == 3


@responses.activate
def test_nothing_is_opened_ahead_where_a_mock_answers() -> None:
    responses.post("https://bots.invalid/app/getAppAccessToken", json={
        "access_token": "t", "expires_in": 7200})
    responses.post("https://api.invalid/v2/users/U1/upload_prepare", json={"file_info": "f"})
    with Uploader("1", "s", api_url="https://api.invalid",
                  token_url="https://bots.invalid/app/getAppAccessToken") as uploader:
        assert uploader.upload("c2c", "U1", CONTENT, file_name="a.bin").file_info == "f"
    assert len(responses.calls) == 2


def test_failure_to_connect_ahead_is_left_for_the_call(far: Emulator) -> None:
    far.behaviour.latency = 0.05
    with Emulator() as gone:
        url = gone.api_url
    uploader = Uploader(
        far.app_id, far.client_secret, api_url=url, token_url=far.token_url, retries=0)
    with uploader, pytest.raises(TransportError) as caught:
        uploader.upload("c2c", "U1", CONTENT, file_name="a.bin")
    assert caught.value.stage == "prepare"


def test_connecting_ahead_ends_with_the_upload(far: Emulator) -> None:
    far.fail("token", "silence", times=None)
    cancel = threading.Event()
    with nothing_left(), full_backlog() as port:
        uploader = Uploader(
            far.app_id, far.client_secret, api_url=f"https://127.0.0.1:{port}",
            token_url=far.token_url)

        def stop() -> None:
            wait_until(lambda: connecting_to(port) or not AHEAD and far.count("token"))
            cancel.set()

        stopping = threading.Thread(target=stop)
        stopping.start()
        with uploader, pytest.raises(UploadCancelledError):
            uploader.upload("c2c", "U1", CONTENT, file_name="a.bin", cancel=cancel)
        ended = time.monotonic()
        stopping.join()
        assert time.monotonic() - ended < 1.0
        assert not connecting_to(port)


@needs_urllib3_2
def test_handshake_that_gets_no_answer_is_no_connection(far: Emulator) -> None:
    far.behaviour.latency = 0.15
    with Server() as api:
        uploader = Uploader(
            far.app_id, far.client_secret, api_url=api.url("https"), token_url=far.token_url,
            retries=0, timeout=(0.1, 5.0))
        with uploader, pytest.raises(TransportError) as caught:
            uploader.upload("c2c", "U1", CONTENT, file_name="a.bin")
    assert caught.value.stage == "prepare"
    assert [peer.heard[:1] for peer in api.peers] == [b"\x16"] * 2  # of TLS; nothing in clear


@needs_urllib3_2
@pytest.mark.parametrize("close", [False, True])
def test_connection_on_which_the_server_spoke_first_is_not_used(
    trusted_pki: Pki, close: bool
) -> None:
    peers = []
    spoke = threading.Event()

    def answer_token(peer: Peer) -> None:
        peer.read_head()
        assert spoke.wait(5.0)
        peer.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 38\r\n\r\n"
                          b'{"access_token":"t","expires_in":7200}')

    def answer(peer: Peer) -> None:
        peers.append(peer)
        peer.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # it is said at once
        with trusted_pki.context.wrap_socket(peer.sock, server_side=True) as sock:
            if len(peers) > 1:
                while b"md5_10m" not in sock.recv(65536):
                    pass
                sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n" b'{"file_info":"f"}')
            elif close:
                sock.settimeout(0.0)
                with contextlib.suppress(ssl.SSLWantReadError):
                    sock.unwrap()  # and TCP stays open
                sock.settimeout(None)
            else:
                sock.sendall(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
            spoke.set()
            sock.recv(1)

    with Server(answer_token) as tokens, Server(answer) as api, Uploader(
        "1", "s", api_url=api.url("https"), token_url=tokens.url(), retries=0
    ) as uploader:
        assert uploader.upload("c2c", "U1", CONTENT, file_name="a.bin").file_info == "f"
    assert len(peers) == 2


@needs_urllib3_2
def test_connection_idles_from_its_last_use_on(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(taps, "monotonic", lambda: now)
    with Uploader(emulator.app_id, emulator.client_secret, api_url=emulator.api_url,
                  token_url=emulator.token_url) as uploader:
        for now in (0.0, 40.0, 60.0, 90.0):
            if now in (0.0, 90.0):
                uploader.upload("c2c", "U1", CONTENT, file_name="a.bin")
            else:
                uploader._transport.connect_ahead(StopSignal())
    # To the API at 0 s and, since to be found ahead is no use, at 60 s; that one has idled for
    # 30 s when the second upload uses it. To storage for each upload.
    assert emulator.connections == 4


class Slow(requests.Session):
    """A session that thinks before it sends."""

    def request(self, *args: Any, **kwargs: Any) -> Any:
        time.sleep(0.15)
        return super().request(*args, **kwargs)


class Full:
    """A cache that has every file."""

    def get(self, key: str) -> str:
        return json.dumps({"file_info": "f", "file_uuid": None, "expires_at": time.time() + 9999})

    def set(self, key: str, value: str, timeout: int) -> None:
        raise AssertionError("there is nothing to keep")

    delete = get


def test_upload_that_has_ended_meanwhile_reports_no_more_progress() -> None:
    seen = []

    def note(progress: Progress) -> None:
        seen.append((threading.current_thread(), progress.stage))

    with Emulator() as emulator, Slow() as session, uploader_for(
        emulator, session=session, cache=Full()
    ) as uploader:
        uploader.upload("c2c", "U1", CONTENT, file_name="a.bin", progress=note)
    assert {thread for thread, _ in seen} == {threading.current_thread()}
    assert seen[-1][1] == "done"
