"""Failures that are none of ours keep nothing of the caller alive; a stop reaches every worker."""

from __future__ import annotations

import gc
import io
import time
import weakref
from typing import Any, Callable, Dict, List

import pytest
import requests
from requests.adapters import HTTPAdapter

from qqchunk import AuthenticationError, TransportError, UploadError, Uploader
from qqchunk.emulator import Emulator
from qqchunk.net.stopping import Aborted
from qqchunk.source.ranges import FileSource
from qqchunk.transfer.operation import Operation

PART = 1 << 18
UploaderFor = Callable[..., Uploader]


class Content(bytearray):
    """Bytes to which there may be a weak reference."""


class Surprise(Exception):
    """Comes out of code of the caller's."""


class Grave(BaseException):
    """The same, of the kind that nobody catches."""


def surprise(*_: Any, **__: Any) -> Any:
    raise Surprise("out of the caller's code")


def nested(*_: Any, **__: Any) -> Any:
    try:
        surprise()
    except Surprise as first:
        raise Grave("after another one") from first


class Adapter(HTTPAdapter):
    send = surprise


def session_with(**changes: Any) -> requests.Session:
    session = requests.Session()
    for name, value in changes.items():
        if name == "hook":
            session.hooks["response"].append(value)
        else:
            session.mount("http://", value)
    return session


class Cache:
    get = set = delete = nested


# Options of the uploader and of the call.
WAYS: Dict[str, Callable[[], Dict[str, Any]]] = {
    "api adapter": lambda: {"session": session_with(adapter=Adapter())},
    "storage adapter": lambda: {"storage_session": session_with(adapter=Adapter())},
    "hook": lambda: {"session": session_with(hook=nested)},
    "auth": lambda: {"auth": nested, "app_id": None, "client_secret": None},
    "cache": lambda: {"cache": Cache()},
    "progress": lambda: {"progress": surprise},
    "cancelled while it is hashed": lambda: {"progress": nested},
}


@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("way", WAYS)
def test_failure_in_the_callers_code_keeps_nothing_of_him_alive(way: str, parts: int) -> None:
    def serve(emulator: Emulator) -> Any:
        content = Content(parts * PART)
        options = WAYS[way]()
        call = {"progress": options.pop("progress", None)}
        arguments = {
            "app_id": emulator.app_id, "client_secret": emulator.client_secret,
            "api_url": emulator.api_url, "token_url": emulator.token_url, **options}
        with Uploader(**arguments) as uploader:
            with pytest.raises((Surprise, Grave)):
                uploader.upload("c2c", "U", content, file_name="a.bin", **call)
        for session in (options.get("session"), options.get("storage_session")):
            if session is not None:
                session.close()
        return weakref.ref(content)

    with Emulator(block_size=PART, concurrency=2) as emulator:
        gc.disable()
        try:
            assert serve(emulator)() is None
        finally:
            gc.enable()


def test_workers_added_while_a_stop_begins_are_stopped_with_the_others() -> None:
    operation = Operation(None, None, None)
    begin = operation._workers.begin_stop
    added: List[Any] = []

    def add_and_begin() -> None:
        if not added:
            added.append(operation.add_workers(1))
        begin()

    operation._workers.begin_stop = add_and_begin  # type: ignore[method-assign]
    operation.begin_stop()
    assert added[0].stop_signal.is_set()
    with pytest.raises(Aborted):
        operation.add_workers(1)
    operation.stop()


def test_refused_secret_ends_the_hash_at_once(
    emulator: Emulator, uploader_for: UploaderFor, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open(tmp_path / "big.bin", "wb") as file:
        file.truncate(60 << 20)
    window = FileSource.window
    windows: List[int] = []

    def counted(self: FileSource, *args: Any, **options: Any) -> Any:
        windows.append(1)
        time.sleep(0.02)
        return window(self, *args, **options)

    monkeypatch.setattr(FileSource, "window", counted)
    uploader = uploader_for(emulator, client_secret="wrong")
    with pytest.raises(AuthenticationError):
        uploader.upload("c2c", "U", str(tmp_path / "big.bin"))
    assert 0 < len(windows) < 45  # of 60, in two threads


def test_token_that_cannot_be_fetched_is_told_only_after_the_cache_was_asked(
    emulator: Emulator, uploader_for: UploaderFor
) -> None:
    class Memory(Dict[str, Any]):
        def set(self, key: str, value: Any, timeout: Any) -> None:
            self[key] = value

        def delete(self, key: str) -> None:
            self.pop(key, None)

    cache = Memory()
    uploader_for(emulator, cache=cache).upload("c2c", "U", bytes(PART), file_name="a.bin")
    nobody = uploader_for(emulator, cache=cache, token_url="http://127.0.0.1:9/token", retries=0)
    assert nobody.upload("c2c", "U", bytes(PART), file_name="a.bin").reused
    with pytest.raises(TransportError) as caught:
        nobody.upload("c2c", "U", b"another one", file_name="b.bin")
    assert caught.value.stage == "token"


def test_token_whose_life_is_not_said_serves_many_calls(uploader_for: UploaderFor) -> None:
    with Emulator(token_ttl=None, block_size=PART) as emulator:
        uploader = uploader_for(emulator)
        uploader.upload("c2c", "U", bytes(3 * PART), file_name="a.bin")
        uploader.upload("c2c", "U", bytes(PART), file_name="b.bin")
        assert emulator.count("token") == 1


@pytest.mark.parametrize("stage", ["token", "prepare", "put", "finish", "complete"])
@pytest.mark.parametrize("parts", [1, 6])
def test_broken_connection_keeps_no_file_alive(
    stage: str, parts: int, uploader_for: UploaderFor
) -> None:
    with Emulator(block_size=60_000 // parts, concurrency=4) as emulator:
        emulator.fail(stage, "reset_after", times=None)
        uploader = uploader_for(emulator, retries=0)
        gc.disable()
        try:
            file = io.BytesIO(bytes(60_000))
            known = weakref.ref(file)
            with pytest.raises(UploadError) as caught:
                uploader.upload("c2c", "U1", file, file_name="a.bin")
            del caught, file
            assert known() is None
        finally:
            gc.enable()
