"""What people hang onto requests and urllib3 works with us: mocks, hooks, tracers, adapters."""

from __future__ import annotations

import copy
import hashlib
import pickle
import socket
import time
from typing import Any, Callable, Dict, Iterator, List
from unittest import mock

import pytest
import requests
import requests_mock
import responses
import urllib3
from requests.adapters import HTTPAdapter
from requests.auth import HTTPDigestAuth
from urllib3.util import connection as urllib3_connecting

from qqchunk import AuthenticationError, UploadDailyLimitExceededError, UploadError, Uploader
from qqchunk.emulator import Emulator
from qqchunk.net.auth import BearerAuth
from qqchunk.net.stopping import StopSignal

from tests.support import Peer, Server

CONTENT = bytes(range(256)) * 1000
TOKEN_URL = "https://bots.test/token"
API_URL = "https://api.test"
STORAGE_URL = "https://cos.test/part_1?q-sign=secret"
ANSWERS: Dict[str, Dict[str, Any]] = {
    TOKEN_URL: {"access_token": "T", "expires_in": "7200"},
    f"{API_URL}/v2/users/U1/upload_prepare": {
        "upload_id": "u", "block_size": str(len(CONTENT)),
        "parts": [{"index": 1, "presigned_url": STORAGE_URL, "block_size": str(len(CONTENT))}]},
    f"{API_URL}/v2/users/U1/upload_part_finish": {},
    f"{API_URL}/v2/users/U1/files": {"file_uuid": "x", "file_info": "INFO", "ttl": 100},
}
STAGES = ["token", "prepare", "put", "finish", "complete"]
MakeUploader = Callable[..., Uploader]


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as opened:
        yield opened


def upload(uploader: Uploader) -> Any:
    return uploader.upload("c2c", "U1", CONTENT, file_name="a.bin")


def upload_to_mocks(**options: Any) -> Any:
    with Uploader("1", "s", api_url=API_URL, token_url=TOKEN_URL, retries=0, **options) as uploader:
        return upload(uploader)


# -------------------------------------------------------------------------------------- mocks


@pytest.mark.parametrize("given", [False, True])
def test_requests_mock_answers_every_call(given: bool, session: requests.Session) -> None:
    options = {"session": session, "storage_session": session} if given else {}
    with requests_mock.Mocker() as mocker:
        for url, answer in ANSWERS.items():
            mocker.post(url, json=answer)
        mocker.put(STORAGE_URL, text="")
        assert upload_to_mocks(**options).file_info == "INFO"
        assert mocker.call_count == 5
        # A part that the mock did not read was read for its md5 all the same.
        finish = next(r for r in mocker.request_history if r.path.endswith("part_finish"))
        assert finish.json()["md5"] == hashlib.md5(CONTENT).hexdigest()


@responses.activate
def test_responses_answers_every_call_with_sessions_of_our_own() -> None:
    for url, answer in ANSWERS.items():
        responses.post(url, json=answer)
    seen: List[bytes] = []

    def store(request: Any) -> Any:
        seen.append(b"".join(request.body))
        return 200, {}, ""

    responses.add_callback("PUT", STORAGE_URL, store)
    assert upload_to_mocks().file_info == "INFO"
    assert len(responses.calls) == 5
    assert seen == [CONTENT]


@responses.activate
def test_body_of_a_part_that_is_over_says_why_it_cannot_be_read() -> None:
    for url, answer in ANSWERS.items():
        responses.post(url, json=answer)
    responses.put(STORAGE_URL, body="")
    upload_to_mocks()
    body: Any = responses.calls[2].request.body
    with pytest.raises(ValueError, match="only while it is being uploaded"):
        list(body)


def test_patched_session_class_is_no_matter(
    emulator: Emulator, uploader_for: MakeUploader, session: requests.Session
) -> None:
    with mock.patch("requests.Session"):
        upload(uploader_for(emulator, session=session, storage_session=session))


def test_session_that_answers_with_something_else_is_called_by_its_name(
    emulator: Emulator, uploader_for: MakeUploader
) -> None:
    with mock.patch("requests.Session") as patched:
        uploader = uploader_for(emulator, session=patched())
        with pytest.raises(TypeError, match="answered with a MagicMock"):
            upload(uploader)


# ---------------------------------------------------------------------------- hooks and tracers


@pytest.mark.parametrize("read", [
    lambda response, **_: response.text and None,
    lambda response, **_: response.content and None,
    lambda response, **_: (response.json(), None)[1],
], ids=["text", "content", "json"])
def test_hook_may_read_the_reply(
    read: Any, emulator: Emulator, uploader_for: MakeUploader, session: requests.Session
) -> None:
    seen: List[int] = []
    session.hooks = {"response": [read, lambda response, **_: seen.append(response.status_code)]}
    result = upload(uploader_for(emulator, session=session))
    assert emulator.received(result.file_info) == CONTENT
    assert seen == [200] * 4
    emulator.fail("prepare", "code", code=40093002)
    with pytest.raises(UploadDailyLimitExceededError):
        upload(uploader_for(emulator, session=session))


def test_hook_that_reads_the_reply_and_keeps_nothing_hears_of_it(
    emulator: Emulator, uploader_for: MakeUploader, session: requests.Session
) -> None:
    session.hooks["response"].append(lambda response, **_: list(response.iter_content(9)) and None)
    with pytest.raises(RuntimeError, match="already consumed"):
        upload(uploader_for(emulator, session=session))
    assert emulator.count("token") == 1


def test_hook_that_is_no_list_is_called_too(
    emulator: Emulator, uploader_for: MakeUploader, session: requests.Session
) -> None:
    seen: List[str] = []
    session.hooks = {"response": lambda response, **_: seen.append(response.url)}
    upload(uploader_for(emulator, session=session))
    assert len(seen) == 4


def test_wrappers_of_requests_see_each_exchange_once(
    emulator: Emulator, uploader_for: MakeUploader
) -> None:
    seen: List[str] = []

    def seeing(cls: Any, name: str) -> Any:
        wrapped = getattr(cls, name)

        def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
            seen.append(f"{cls.__name__}.{name}")
            return wrapped(self, *args, **kwargs)

        return mock.patch.object(cls, name, wrapper)

    with seeing(requests.Session, "request"), seeing(requests.Session, "send"), \
            seeing(HTTPAdapter, "send"), seeing(urllib3.HTTPConnectionPool, "urlopen"):
        upload(uploader_for(emulator))
    assert seen.count("Session.request") == 4  # a PUT is prepared apart from the session
    for name in ("Session.send", "HTTPAdapter.send", "HTTPConnectionPool.urlopen"):
        assert seen.count(name) == len(emulator.requests) == 5


def test_session_that_overrides_request_is_asked(
    emulator: Emulator, uploader_for: MakeUploader
) -> None:
    class Gateway(requests.Session):
        """Knows its host, and tells the gateway who calls."""

        def request(self, method: Any, url: Any, **kwargs: Any) -> Any:  # type: ignore[override]
            headers = {**(kwargs.pop("headers", None) or {}), "X-Gateway": "key"}
            url = url.replace("http://gateway.invalid", emulator.api_url)
            return super().request(method, url, headers=headers, **kwargs)

    with Gateway() as session:
        upload(uploader_for(
            emulator, session=session, api_url="http://gateway.invalid",
            token_url="http://gateway.invalid/app/getAppAccessToken"))
    keys = {r.stage: r.headers.get("X-Gateway") for r in emulator.requests}
    assert keys == {"token": "key", "prepare": "key", "put": None, "finish": "key",
                    "complete": "key"}


def test_what_a_session_adds_to_a_call_stays_with_that_call(
    emulator: Emulator, uploader_for: MakeUploader
) -> None:
    class Signing(requests.Session):
        def request(self, method: Any, url: Any, **kwargs: Any) -> Any:  # type: ignore[override]
            for given in (kwargs["headers"], kwargs["json"]):
                assert "X-Signature" not in given
                given["X-Signature"] = "secret"
            return super().request(method, url, **kwargs)

    emulator.fail("prepare", "status")
    with Signing() as session:
        upload(uploader_for(emulator, session=session, backoff=0.0))
    assert emulator.requests[0].headers["X-Signature"] == "secret"
    emulator.requests.clear()
    upload(uploader_for(emulator))
    assert not any("X-Signature" in r.headers for r in emulator.requests)


def test_auth_that_answers_a_challenge_does_so_without_a_session_of_the_users() -> None:
    def challenge(peer: Peer) -> None:
        while True:
            first, headers = peer.read_head()
            if not first:
                return
            peer.read(int(headers["content-length"]))
            if "authorization" in headers:
                assert headers["authorization"].startswith('Digest username="user"')
                body = b'{"file_uuid": "U", "file_info": "I", "ttl": 60}'
                peer.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (
                    len(body), body))
            else:
                peer.sock.sendall(
                    b'HTTP/1.1 401 No\r\nWWW-Authenticate: Digest realm="r", nonce="n", qop="auth"'
                    b"\r\nContent-Length: 0\r\n\r\n")

    with Server(challenge) as server:
        with Uploader(auth=HTTPDigestAuth("user", "password"), api_url=server.url()) as uploader:
            result = uploader.upload_url("c2c", "U1", "https://files.example/a.bin")
    assert result.file_info == "I"


@pytest.mark.parametrize("stage", ["prepare", "finish", "complete"])
def test_refusal_of_the_callers_auth_is_raised_at_once(
    emulator: Emulator, uploader_for: MakeUploader, stage: str
) -> None:
    auth = BearerAuth(uploader_for(emulator)._transport.token(StopSignal()))
    emulator.fail(stage, "code", code=11244)
    with pytest.raises(AuthenticationError) as caught:
        upload(uploader_for(emulator, client_secret=None, auth=auth))
    assert (caught.value.stage, caught.value.retryable) == (stage, False)
    assert (emulator.count(stage), emulator.count("token")) == (1, 1)


def test_cookies_of_the_api_go_back_to_it_as_in_any_session(
    emulator: Emulator, uploader_for: MakeUploader
) -> None:
    emulator.fail("prepare", "status", status=429, retry_after=0,
                  headers={"Set-Cookie": "lb=7; Path=/"})
    upload(uploader_for(emulator))
    cookies = [r.headers.get("Cookie") for r in emulator.requests if r.stage in STAGES]
    assert cookies == [None, None, "lb=7", None, "lb=7", "lb=7"]


# ------------------------------------------------------------------------------------- adapters


class Looking(HTTPAdapter):
    """Does with a part's body what recorders do before they send it."""

    def send(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        if request.method == "PUT":
            body = request.body
            blocks = list(body)
            assert b"".join(blocks) == CONTENT
            assert len({id(block) for block in blocks}) == len(blocks) > 1
            assert len(body) == len(CONTENT) and body and repr(body)
            assert pickle.loads(pickle.dumps(request)).body == CONTENT
            assert copy.deepcopy(request).body == CONTENT
        return super().send(request, *args, **kwargs)


class Joining(HTTPAdapter):
    """Sends a part as bytes."""

    def send(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        if request.method == "PUT":
            request.body = b"".join(request.body)
        return super().send(request, *args, **kwargs)


@pytest.mark.parametrize("adapter", [Looking, Joining])
def test_adapter_may_collect_a_part(
    adapter: Any, emulator: Emulator, uploader_for: MakeUploader, session: requests.Session
) -> None:
    session.mount("http://", adapter())
    result = upload(uploader_for(emulator, storage_session=session))
    assert emulator.received(result.file_info) == CONTENT
    assert emulator.refusals == []


class Hasty(HTTPAdapter):
    """Is content with the first part's first block."""

    def __init__(self) -> None:
        super().__init__()
        self.puts = 0

    def send(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        self.puts += 1
        if self.puts > 1:
            return super().send(request, *args, **kwargs)
        next(iter(request.body))
        response = requests.Response()
        response.status_code, response._content = 200, b""
        return response


def test_answer_to_half_a_part_is_no_success(
    emulator: Emulator, uploader_for: MakeUploader, session: requests.Session
) -> None:
    adapter = Hasty()
    session.mount("http://", adapter)
    result = upload(uploader_for(emulator, storage_session=session, backoff=0.0))
    assert emulator.received(result.file_info) == CONTENT
    assert (adapter.puts, emulator.count("finish")) == (2, 1)


@pytest.fixture
def retrying(session: requests.Session) -> requests.Session:
    """A session whose adapter would try for minutes."""
    retries = urllib3.Retry(
        5, backoff_factor=30, status_forcelist=[500, 502], allowed_methods=None)
    session.mount("http://", HTTPAdapter(max_retries=retries))
    return session


def test_retries_of_an_adapter_post_no_message_twice(
    emulator: Emulator, uploader_for: MakeUploader, retrying: requests.Session
) -> None:
    uploader = uploader_for(emulator, session=retrying, retries=0)
    result = upload(uploader)
    emulator.fail("message", "code", code=850012, status=500, times=None)
    began = time.monotonic()
    with pytest.raises(UploadError) as caught:
        uploader.send("c2c", "U1", result)
    assert time.monotonic() - began < 1.0
    assert emulator.count("message") == 1
    assert (caught.value.http_status, caught.value.code) == (500, 850012)
    assert caught.value.trace_id


def test_retries_of_an_adapter_hold_for_the_callers_own_requests(
    emulator: Emulator, uploader_for: MakeUploader, session: requests.Session
) -> None:
    asked: List[str] = []

    def answer(peer: Peer) -> None:
        while True:
            first, _ = peer.read_head()
            if not first:
                return
            asked.append(first)
            status = b"502 No" if len(asked) < 3 else b"200 OK"
            peer.sock.sendall(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")

    session.mount("http://", HTTPAdapter(max_retries=urllib3.Retry(5, status_forcelist=[502])))
    upload(uploader_for(emulator, session=session))
    with Server(answer) as server:
        assert session.get(server.url()).status_code == 200
    assert len(asked) == 3


# ------------------------------------------------------------------------------------ connecting


def test_patched_create_connection_connects(
    emulator: Emulator, uploader_for: MakeUploader
) -> None:
    connect, seen = urllib3_connecting.create_connection, []

    def elsewhere(address: Any, *args: Any, **kwargs: Any) -> Any:
        seen.append(address[0])
        return connect(("127.0.0.1", address[1]), *args, **kwargs)

    url = emulator.api_url.replace("127.0.0.1", "bot.invalid")
    uploader = uploader_for(emulator, api_url=url, token_url=url + "/app/getAppAccessToken")
    with mock.patch.object(urllib3_connecting, "create_connection", elsewhere):
        upload(uploader)
    assert set(seen) == {"bot.invalid", "127.0.0.1"}  # the API and storage


class Scripted:
    """A mock's socket, httpretty's for example: it refuses to be asked for what it has not."""

    def __init__(self, sock: socket.socket) -> None:
        for name in ("sendall", "makefile", "settimeout", "setsockopt", "shutdown", "close",
                     "fileno"):
            setattr(self, name, getattr(sock, name))

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"there is no real socket that has {name}")


def test_socket_that_is_none_carries_an_upload(
    emulator: Emulator, uploader_for: MakeUploader, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = urllib3_connecting.create_connection
    monkeypatch.setattr(
        urllib3_connecting, "create_connection",
        lambda *args, **kwargs: Scripted(connect(*args, **kwargs)))
    result = upload(uploader_for(emulator))
    assert emulator.received(result.file_info) == CONTENT


@pytest.mark.parametrize("name,value", [
    ("allowed_gai_family", lambda: socket.AF_INET), ("HAS_IPV6", False)])
def test_patched_address_family_holds(
    name: str, value: Any, emulator: Emulator, uploader_for: MakeUploader,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    look_up, families = socket.getaddrinfo, []

    def looking_up(host: Any, port: Any, family: int = 0, *args: Any, **kwargs: Any) -> Any:
        families.append(family)
        return look_up(host, port, family, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", looking_up)
    monkeypatch.setattr(urllib3_connecting, name, value)
    upload(uploader_for(emulator))
    assert set(families) == {socket.AF_INET}


def test_connection_class_that_connects_itself_is_left_to_it(
    emulator: Emulator, uploader_for: MakeUploader, session: requests.Session
) -> None:
    connected: List[str] = []

    class Own(urllib3.connection.HTTPConnection):
        def _new_conn(self) -> socket.socket:
            connected.append(self.host)
            return super()._new_conn()  # type: ignore[misc, no-any-return]

    class Pool(urllib3.HTTPConnectionPool):
        ConnectionCls = Own  # type: ignore[assignment]

    adapter = HTTPAdapter()
    adapter.poolmanager.pool_classes_by_scheme = {"http": Pool}  # type: ignore[attr-defined]
    session.mount("http://", adapter)
    result = upload(uploader_for(emulator, session=session, storage_session=session))
    assert emulator.received(result.file_info) == CONTENT
    assert connected
