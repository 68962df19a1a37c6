"""Storage gets no credentials, whatever the session has; proxies and TLS settings hold for both."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, Dict, Iterator

import pytest
import requests

from qqchunk import PartUploadError, TransportError, UploadError
from qqchunk.emulator import Emulator, Fault
from qqchunk.net.sessions import Sessions

from tests import support
from tests.relays import HttpProxy
from tests.support import Pki, callers_sessions


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as opened:
        yield opened


uploader_for = functools.partial(support.uploader_for, retries=0)


def upload(emulator: Emulator, **options: Any) -> None:
    with uploader_for(emulator, **options) as uploader:
        result = uploader.upload("c2c", "U1", b"content", file_name="a.bin")
    assert emulator.received(result.file_info) == b"content"
    assert emulator.refusals + emulator.manners == []


def headers_of(emulator: Emulator, stage: str) -> Any:
    return next(r.headers for r in emulator.requests if r.stage == stage)


@pytest.mark.parametrize("both", [False, True])
def test_storage_gets_nothing_of_the_sessions_credentials(
    session: requests.Session, both: bool
) -> None:
    session.auth = ("user", "password")
    session.headers["X-Key"] = "key"
    session.params = {"tenant": "secret"}  # type: ignore[assignment]
    session.cookies.set("sid", "cookie")
    with Emulator() as emulator:
        upload(emulator, session=session, storage_session=session if both else None)
        put = next(r for r in emulator.requests if r.stage == "put")
        names = {name.lower() for name in put.headers.keys()}
        assert names <= {"host", "content-length", "accept-encoding", "user-agent"}
        assert "tenant" not in put.path
        prepare = next(r for r in emulator.requests if r.stage == "prepare")
        assert prepare.headers["X-Key"] == "key"
        assert prepare.headers["Authorization"].startswith("QQBot ")


def test_storage_has_the_way_to_the_network_of_the_session(session: requests.Session) -> None:
    ways: Dict[str, Any] = {
        "proxies": {"https": "http://proxy.invalid"}, "verify": "ca.pem", "cert": "client.pem",
        "trust_env": False}
    vars(session).update(ways)
    storage = Sessions(session, None).storage
    assert {name: getattr(storage, name) for name in ways} == ways


def test_netrc_is_used_for_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login user password from-netrc\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with Emulator() as emulator:
        assert requests.get(emulator.api_url).request.headers["Authorization"]  # it would be
        emulator.refusals.clear()
        upload(emulator)
        assert "Authorization" not in headers_of(emulator, "put")
        assert "Authorization" not in headers_of(emulator, "token")
        assert headers_of(emulator, "prepare")["Authorization"].startswith("QQBot ")


def test_cookies_of_the_api_stay_with_the_api() -> None:
    cookie = {"Set-Cookie": "sid=secret; Path=/"}
    fault = Fault("prepare", "status", status=500, headers=cookie)
    with Emulator(faults=[fault]) as emulator:
        upload(emulator, retries=1, backoff=0.0)
        assert headers_of(emulator, "finish")["Cookie"] == "sid=secret"
        assert "Cookie" not in headers_of(emulator, "put")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirected_put_is_not_followed(status: int) -> None:
    with Emulator() as other, Emulator() as emulator:
        emulator.fail("put", "status", status=status, location=f"{other.api_url}/elsewhere")
        with uploader_for(emulator) as uploader, pytest.raises(PartUploadError) as caught:
            uploader.upload("c2c", "U1", b"content", file_name="a.bin")
        assert caught.value.http_status == status
        assert other.connections == 0


@pytest.mark.parametrize("stage", ["token", "prepare", "complete"])
def test_redirected_call_is_not_followed(stage: str) -> None:
    with Emulator() as other, Emulator() as emulator:
        emulator.fail(stage, "status", status=307, location=f"{other.api_url}/elsewhere")
        with uploader_for(emulator) as uploader, pytest.raises(UploadError):
            uploader.upload("c2c", "U1", b"content", file_name="a.bin")
        assert other.connections == 0


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_proxy_of_the_environment_serves_both_hosts(
    scheme: str, pki: Pki, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = pki.context if scheme == "https" else None
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", pki.ca_file)
    with Emulator(ssl_context=context) as emulator, HttpProxy() as proxy:
        monkeypatch.setenv(f"{scheme.upper()}_PROXY", proxy.url())
        with callers_sessions() as sessions:
            upload(emulator, **sessions)
        assert len(proxy.heads) == emulator.connections == 2  # one to the API, one to storage


def test_credentials_of_the_proxy_go_to_the_proxy_only(
    pki: Pki, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", pki.ca_file)
    with Emulator(ssl_context=pki.context) as emulator, HttpProxy() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:word@127.0.0.1:{proxy.port}")
        with callers_sessions() as sessions:
            upload(emulator, **sessions)
        assert len(proxy.heads) == 2
        assert all("Proxy-Authorization: Basic" in head for head in proxy.heads)
        assert not any("Proxy-Authorization" in r.headers for r in emulator.requests)


def test_proxies_of_the_two_sessions_may_differ(pki: Pki, session: requests.Session) -> None:
    with Emulator(ssl_context=pki.context) as emulator, requests.Session() as storage:
        session.verify = storage.verify = pki.ca_file
        with HttpProxy() as first, HttpProxy() as second:
            session.proxies["https"] = first.url()
            storage.proxies["https"] = second.url()
            upload(emulator, session=session)
            assert (len(first.heads), len(second.heads)) == (2, 0)  # own storage session: as API's
            upload(emulator, session=session, storage_session=storage)
            assert len(second.heads) == 1


def test_own_authority_is_accepted_from_the_session(pki: Pki, session: requests.Session) -> None:
    session.verify = pki.ca_file
    with Emulator(ssl_context=pki.context) as emulator:
        upload(emulator, session=session)


def test_own_authority_is_accepted_from_the_environment(
    pki: Pki, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", pki.ca_file)
    with Emulator(ssl_context=pki.context) as emulator:
        upload(emulator)


def refused(emulator: Emulator, **options: Any) -> TransportError:
    with uploader_for(emulator, retries=3, **options) as uploader:
        with pytest.raises(TransportError) as caught:
            uploader.upload("c2c", "U1", b"content", file_name="a.bin")
    assert not caught.value.retryable
    return caught.value


def test_unknown_authority_is_refused_at_once(pki: Pki) -> None:
    with Emulator(ssl_context=pki.context) as emulator:
        assert "certificate" in str(refused(emulator))
        assert emulator.connections == 1
        assert emulator.requests == []


def test_unknown_authority_of_storage_is_refused_at_once(
    pki: Pki, session: requests.Session
) -> None:
    session.verify = pki.ca_file
    with Emulator(ssl_context=pki.context) as emulator, requests.Session() as storage:
        error = refused(emulator, session=session, storage_session=storage)
        assert error.stage == "put"
        assert emulator.count("put") == 0
        assert emulator.count("prepare") == 1
        assert emulator.connections == 2


def test_certificate_for_another_host_is_refused_at_once(
    pki: Pki, session: requests.Session
) -> None:
    session.verify = pki.ca_file
    with Emulator(ssl_context=pki.context_for("other.example")) as emulator:
        assert "certificate" in str(refused(emulator, session=session))
        assert emulator.connections == 1
        assert emulator.requests == []
