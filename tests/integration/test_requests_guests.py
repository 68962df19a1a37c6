"""The packages that people put around requests, as they are published."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any, Callable, Dict, Iterator

import pytest
import requests

from qqchunk import Uploader
from qqchunk.emulator import Emulator

pytestmark = pytest.mark.integration

CONTENT = bytes(range(256)) * 1000
MakeUploader = Callable[..., Uploader]


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as opened:
        yield opened


def upload(uploader: Uploader, content: bytes = CONTENT) -> Any:
    return uploader.upload("c2c", "U1", content, file_name="a.bin")


def test_httmock_answers_every_call() -> None:
    httmock = import_module("httmock")
    part = {"index": 1, "presigned_url": "https://cos.test/part", "block_size": len(CONTENT)}
    answers: Dict[str, Any] = {
        "/token": {"access_token": "T", "expires_in": "7200"},
        "/v2/users/U1/upload_prepare": {"upload_id": "u", "parts": [part]},
        "/part": {},
        "/v2/users/U1/upload_part_finish": {},
        "/v2/users/U1/files": {"file_uuid": "x", "file_info": "INFO", "ttl": 100},
    }

    @httmock.all_requests  # type: ignore[untyped-decorator, unused-ignore]
    def answer(url: Any, request: Any) -> Dict[str, Any]:
        return {"status_code": 200, "content": json.dumps(answers[url.path])}

    with httmock.HTTMock(answer), Uploader(
        "1", "s", api_url="https://api.test", token_url="https://bots.test/token", retries=0,
    ) as uploader:
        assert upload(uploader).file_info == "INFO"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # older vcrpy's
@pytest.mark.parametrize("several", [False, True], ids=["one uploader", "one each"])
def test_vcrpy_records_and_plays_two_cassettes_then_none(
    several: bool, tmp_path: Path, uploader_for: MakeUploader
) -> None:
    vcr = import_module("vcr")
    names = ["one.yaml", "two.yaml"]
    with Emulator(block_size=100_000) as emulator:
        uploader = uploader_for(emulator)
        upload(uploader)  # with connections that no cassette knows
        for name in names:
            if several:
                uploader = uploader_for(emulator)
            with vcr.use_cassette(str(tmp_path / name)):
                result = upload(uploader, CONTENT + name.encode())
            assert emulator.received(result.file_info) == CONTENT + name.encode()
        recorded = len(emulator.requests)
        for name in names:
            if several:
                uploader = uploader_for(emulator)
            with vcr.use_cassette(
                str(tmp_path / name), record_mode="none", allow_playback_repeats=True
            ):
                upload(uploader, CONTENT + name.encode())
        assert len(emulator.requests) == recorded
        assert emulator.received(upload(uploader).file_info) == CONTENT


@pytest.mark.filterwarnings("ignore:Transitional processing:DeprecationWarning")  # of idna
@pytest.mark.parametrize("methods", [("GET", "HEAD"), ("GET", "POST", "PUT")])
def test_requests_cache_is_installed_before_and_after(
    methods: Any, emulator: Emulator, uploader_for: MakeUploader, session: requests.Session
) -> None:
    requests_cache = import_module("requests_cache")
    requests_cache.install_cache(backend="memory", allowable_methods=methods)
    try:
        upload(uploader_for(emulator, session=session, storage_session=session))  # an older one
        with requests.Session() as cached:
            assert type(cached) is not type(session)
            upload(uploader_for(emulator, session=cached), CONTENT + b"2")
        upload(uploader_for(emulator), CONTENT + b"3")
    finally:
        requests_cache.uninstall_cache()
    assert emulator.refusals == []


@pytest.mark.parametrize("name", ["session", "storage_session"])
def test_futures_session_is_refused_in_words(name: str) -> None:
    futures = import_module("requests_futures.sessions")
    with futures.FuturesSession() as session:
        with pytest.raises(TypeError, match=f"{name} must be a session whose request"):
            Uploader("1", "s", **{name: session})


def test_oauth2_session_keeps_the_bots_authorization(
    emulator: Emulator, uploader_for: MakeUploader, monkeypatch: pytest.MonkeyPatch
) -> None:
    oauth = import_module("requests_oauthlib")
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    with oauth.OAuth2Session(token={"access_token": "x", "token_type": "Bearer"}) as session:
        upload(uploader_for(emulator, session=session, storage_session=session))
    sent = {r.stage: r.headers.get("Authorization", "") for r in emulator.requests}
    assert sent["prepare"].startswith("QQBot ")
    assert not sent["put"]


def test_base_url_session_reaches_our_host(
    emulator: Emulator, uploader_for: MakeUploader
) -> None:
    toolbelt = import_module("requests_toolbelt.sessions")
    with toolbelt.BaseUrlSession("http://other.invalid/") as session:
        upload(uploader_for(emulator, session=session, storage_session=session))


def test_opentelemetry_sees_each_exchange_once(
    emulator: Emulator, uploader_for: MakeUploader
) -> None:
    instrumentation = import_module("opentelemetry.instrumentation.requests")
    trace = import_module("opentelemetry.sdk.trace")
    export = import_module("opentelemetry.sdk.trace.export")
    memory = import_module("opentelemetry.sdk.trace.export.in_memory_span_exporter")
    exporter, provider = memory.InMemorySpanExporter(), trace.TracerProvider()
    provider.add_span_processor(export.SimpleSpanProcessor(exporter))
    instrumentation.RequestsInstrumentor().instrument(tracer_provider=provider)
    try:
        upload(uploader_for(emulator))
    finally:
        instrumentation.RequestsInstrumentor().uninstrument()
    methods = [span.attributes.get("http.method") or span.attributes["http.request.method"]
               for span in exporter.get_finished_spans()]
    assert sorted(methods) == ["POST"] * 4 + ["PUT"]
    assert len(emulator.requests) == 5
