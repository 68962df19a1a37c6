"""Our own sessions send what requests' would: held against it setting by setting."""

from __future__ import annotations

import itertools
from typing import Any, Dict, Iterator, List

import pytest
import requests
import responses
from requests.auth import HTTPBasicAuth, HTTPDigestAuth

from qqchunk import Uploader
from qqchunk.net.auth import BearerAuth
from qqchunk.net.lean import LeanSession, lean_request
from qqchunk.protocol.values import Secret
from tests.support import Peer, Server

URL = "https://api.example/v2/users/A%20B/files"
HEADERS = {"Accept-Encoding": "identity", "Content-Type": "application/json"}
ENVIRONMENTS: Dict[str, Dict[str, str]] = {
    "nothing": {},
    "https_proxy": {"https_proxy": "http://proxy:3128"},
    "HTTPS_PROXY": {"HTTPS_PROXY": "http://proxy:3128"},
    "all_proxy": {"all_proxy": "socks5://proxy:1080"},
    "no_proxy": {"https_proxy": "http://proxy:3128", "no_proxy": "api.example"},
    "requests' bundle": {"REQUESTS_CA_BUNDLE": "/ca/requests.pem"},
    "curl's bundle": {"CURL_CA_BUNDLE": "/ca/curl.pem"},
    "both": {"https_proxy": "http://proxy:3128", "REQUESTS_CA_BUNDLE": "/ca/requests.pem"},
}
SETTINGS: List[Dict[str, Any]] = [
    {"trust_env": trust_env, "verify": verify, "cert": cert, "proxies": proxies}
    for trust_env, verify, cert, proxies in itertools.product(
        [True, False], [True, False, "/ca/own.pem"], [None, "/own.pem"],
        [{}, None, {"https": "http://other:8080"}, {"https": None, "all": "http://other:8080"}])
]


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    yield monkeypatch


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_settings_are_those_of_requests(environment: str, clean: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENTS[environment].items():
        clean.setenv(name, value)
    for settings in SETTINGS:
        found = []
        for session in (LeanSession(), requests.Session()):
            for name, value in settings.items():
                setattr(session, name, value)
            found.append(session.merge_environment_settings(URL, {}, True, None, None))
        assert found[0] == found[1], settings


def test_settings_follow_the_environment_from_call_to_call(clean: pytest.MonkeyPatch) -> None:
    session = LeanSession()
    for proxy in ("http://one:1", "http://two:2"):
        clean.setenv("https_proxy", proxy)
        assert session.merge_environment_settings(URL, {}, True, None, None)["proxies"] == {
            "https": proxy}
    clean.delenv("https_proxy")
    assert not session.merge_environment_settings(URL, {}, True, None, None)["proxies"]


def test_systems_with_proxies_elsewhere_are_asked_for_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("qqchunk.net.lean.getproxies", lambda: {})
    monkeypatch.setattr("requests.utils.getproxies", lambda: {"https": "http://system:1"})
    found = LeanSession().merge_environment_settings(URL, {}, True, None, None)
    assert found["proxies"] == {"https": "http://system:1"}


@pytest.mark.parametrize("auth", [
    BearerAuth(Secret("token")), HTTPBasicAuth("user", "password"), HTTPDigestAuth("u", "p"),
])
@pytest.mark.parametrize("url", [URL, "https://bücher.example/v2/files", "http://[::1]:8080"])
@pytest.mark.parametrize("cookie", [False, True])
def test_request_is_that_of_requests(auth: Any, url: str, cookie: bool) -> None:
    found = []
    for session in (LeanSession(), requests.Session()):
        if cookie:
            session.cookies.set("lb", "7")
        request = requests.Request(
            "POST", url, json={"file_name": "图.png", "file_type": 4}, auth=auth, headers=HEADERS)
        prepared = session.prepare_request(request)
        found.append((
            prepared.method, (prepared.url or "").rstrip("/"), dict(prepared.headers),
            prepared.body, len(prepared.hooks["response"])))
    assert found[0] == found[1]


def test_part_goes_to_the_url_as_given_with_nothing_but_its_length() -> None:
    url = Secret("https://cos.example/part_1?q-sign=a%2Fb~c&x=%7e")
    request = lean_request("PUT", url, b"12345", {})
    assert (request.method, request.url, request.body) == ("PUT", url, b"12345")
    assert request.headers == {"Content-Length": "5"}
    assert "q-sign" not in repr(vars(request))


@responses.activate
def test_cookies_of_the_api_go_back_to_it_as_in_any_session() -> None:
    responses.post(URL, json={}, headers={"Set-Cookie": "lb=7; Path=/"})
    session = LeanSession()
    for _ in range(2):
        request = requests.Request("POST", URL, json={}, auth=BearerAuth(Secret("token")))
        session.send(session.prepare_request(request), allow_redirects=False)
    assert [call.request.headers.get("Cookie") for call in responses.calls] == [None, "lb=7"]


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
