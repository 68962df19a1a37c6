"""The caller's context: what he set with contextvars holds wherever we call code of his."""

from __future__ import annotations

import logging
import threading
from contextvars import ContextVar, copy_context
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

import flask
import pytest
import requests
from requests.adapters import HTTPAdapter

from qqchunk import Uploader
from qqchunk.emulator import Emulator

CONTENT = bytes(range(256)) * 800  # four parts, and big enough for a second thread that hashes
PART = 1 << 16
Seen = List[Tuple[str, Any]]

request_id: ContextVar[Optional[str]] = ContextVar("request_id", default=None)


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator(block_size=PART, concurrency=4) as started:
        yield started


class Recording:
    """Notes what *value* is where code of the caller's runs: in all the places there are."""

    def __init__(self, value: Callable[[], Any]) -> None:
        self.seen: Seen = []
        self._value = value
        self._kept: Dict[str, Any] = {}

    def note(self, place: str) -> None:
        self.seen.append((place, self._value()))

    def session(self, place: str) -> requests.Session:
        note = self.note

        class Adapter(HTTPAdapter):
            def send(self, *args: Any, **settings: Any) -> Any:
                note(f"{place} adapter")
                return super().send(*args, **settings)

        session = requests.Session()
        session.trust_env = False
        session.mount("http://", Adapter())
        session.hooks["response"].append(lambda *_, **__: note(f"{place} hook"))
        return session

    # A cache

    def get(self, key: str) -> Any:
        self.note("cache get")
        return self._kept.get(key)

    def set(self, key: str, value: Any, timeout: Any) -> None:
        self.note("cache set")
        self._kept[key] = value

    def delete(self, key: str) -> None:
        self.note("cache delete")
        self._kept.pop(key, None)

    # A filter of the log

    def filter(self, record: logging.LogRecord) -> bool:
        self.note("log filter")
        return True


@pytest.fixture
def recorded(emulator: Emulator) -> Iterator[Callable[[Callable[[], Any]], Seen]]:
    """Send a file through an expired cache and after faults; return what was seen, where."""
    logger = logging.getLogger("qqchunk")

    def send(value: Callable[[], Any]) -> Seen:
        recording = Recording(value)
        handler = logging.NullHandler()
        handler.handle = handler.filter  # type: ignore[method-assign, assignment]
        handler.addFilter(recording)
        level = logger.level
        logger.setLevel(logging.DEBUG)
        logger.addHandler(handler)
        try:
            with recording.session("api") as api, recording.session("storage") as storage, Uploader(
                emulator.app_id, emulator.client_secret, api_url=emulator.api_url,
                token_url=emulator.token_url, session=api, storage_session=storage, backoff=0.01,
                cache=recording,
            ) as uploader:
                uploader.upload("c2c", "U", CONTENT, file_name="a.bin")
                emulator.expire_files()
                emulator.fail("prepare", "status", status=500)
                emulator.fail("put", "status", status=500)
                uploader.send(
                    "c2c", "U", CONTENT, file_name="a.bin",
                    progress=lambda _: recording.note("progress"))
        finally:
            logger.removeHandler(handler)
            logger.setLevel(level)
        return recording.seen

    yield send


PLACES = {
    "api adapter", "api hook", "storage adapter", "cache get", "cache set",
    "cache delete", "log filter", "progress",
}


def test_context_variable_holds_wherever_code_of_the_callers_runs(recorded: Any) -> None:
    request_id.set("r1")
    seen = recorded(request_id.get)
    assert {place for place, _ in seen} == PLACES
    assert {value for _, value in seen} == {"r1"}


def test_flask_g_holds_wherever_code_of_the_callers_runs(recorded: Any) -> None:
    app = flask.Flask("bot")
    with app.app_context():
        flask.g.request_id = "r2"
        seen = recorded(lambda: flask.g.request_id)
    assert {place for place, _ in seen} == PLACES
    assert {value for _, value in seen} == {"r2"}


def test_auth_sees_the_context_of_its_own_call(emulator: Emulator) -> None:
    token = requests.post(emulator.token_url, json={
        "appId": emulator.app_id, "clientSecret": emulator.client_secret}).json()["access_token"]
    seen: List[Tuple[str, Optional[str]]] = []

    def auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
        assert request.url is not None
        seen.append((request.url.split("/users/")[1].split("/")[0], request_id.get()))
        request.headers["Authorization"] = f"QQBot {token}"
        return request

    with Uploader(auth=auth, api_url=emulator.api_url) as uploader:

        def upload(openid: str) -> None:
            request_id.set(openid)
            uploader.upload("c2c", openid, CONTENT, file_name="a.bin")

        threads = [
            threading.Thread(target=copy_context().run, args=(upload, f"U{number}"))
            for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert {openid for openid, _ in seen} == {"U0", "U1", "U2", "U3"}
    assert all(openid == value for openid, value in seen)


def test_what_is_set_on_our_threads_stays_there(emulator: Emulator) -> None:
    request_id.set("mine")

    class Careless(requests.Session):
        def send(self, *args: Any, **settings: Any) -> requests.Response:
            request_id.set("somebody else's")
            return super().send(*args, **settings)

    with Careless() as session, Uploader(
        emulator.app_id, emulator.client_secret, api_url=emulator.api_url,
        token_url=emulator.token_url, session=session,
    ) as uploader:
        uploader.upload("c2c", "U", CONTENT, file_name="a.bin")
    assert request_id.get() == "mine"
