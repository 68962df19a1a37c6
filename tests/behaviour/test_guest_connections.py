"""Connections that idled, those of the caller's own requests, and descriptors that run out."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from typing import Any, Callable, Dict, Iterator, List

import pytest
import requests

from qqchunk import UploadCancelledError, Uploader
from qqchunk.emulator import Emulator, Fault
from qqchunk.net import taps

from tests.processes import ROOT
from tests.relays import Relay
from tests.remote_emulator import Host, RemoteEmulator
from tests.support import Pki, wait_until

MakeUploader = Callable[..., Uploader]


@pytest.fixture(scope="module")
def pki(tmp_path_factory: Any) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as opened:
        yield opened


def upload(uploader: Uploader, content: bytes = b"content") -> Any:
    return uploader.upload("c2c", "U1", content, file_name="a.bin")


# ------------------------------------------------------------------------------------ idle ones


class Forgetful(Relay):
    """A NAT: `forget()` makes it drop, without a word, all that goes over older connections."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._forgotten = 0

    def forget(self) -> None:
        self._forgotten = len(self.peers)

    def _relay(self, peer: Any) -> None:
        read, number = peer.read, len(self.peers)

        def reading(size: int = 65536) -> bytes:
            data: bytes = read(size)
            while data and number <= self._forgotten:
                data = read(size)
            return data

        peer.read = reading
        super()._relay(peer)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_message_after_a_quiet_hour_arrives_once_and_at_once(
    scheme: str, pki: Pki, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", pki.ca_file)
    context = pki.context if scheme == "https" else None
    with Emulator(ssl_context=context) as emulator, Forgetful(emulator.api_url) as nat, Uploader(
        emulator.app_id, emulator.client_secret, api_url=nat.url(scheme),
        token_url=nat.url(scheme) + "/app/getAppAccessToken", timeout=(2.0, 4.0),
    ) as uploader:
        result = upload(uploader)
        nat.forget()
        monkeypatch.setattr(taps, "MAX_IDLE", 0.0)  # the hour
        began = time.monotonic()
        uploader.send("c2c", "U1", result)
        assert time.monotonic() - began < 1.0
        assert emulator.count("message") == 1


def test_connection_that_idled_for_a_moment_is_used_again(
    emulator: Emulator, uploader_for: MakeUploader
) -> None:
    uploader = uploader_for(emulator)
    for _ in range(3):
        upload(uploader)
    assert emulator.connections == 2  # one to the API, one to storage


# -------------------------------------------------------------------- the caller's own requests


def test_own_requests_of_the_caller_stay_on_their_connection(
    emulator: Emulator, uploader_for: MakeUploader, session: requests.Session
) -> None:
    uploader = uploader_for(emulator, session=session, storage_session=session)
    upload(uploader)
    opened = emulator.connections
    for _ in range(3):
        session.get(emulator.api_url)
    assert emulator.connections == opened


def test_own_request_of_the_caller_outlives_a_cancelled_upload(
    emulator: Emulator, uploader_for: MakeUploader, session: requests.Session
) -> None:
    uploader = uploader_for(emulator, session=session)
    upload(uploader)
    emulator.fail("prepare", "silence")
    cancel, ended = threading.Event(), []

    def uploading() -> None:
        with pytest.raises(UploadCancelledError):
            uploader.upload("c2c", "U1", b"x", file_name="a.bin", cancel=cancel)
        ended.append(True)

    thread = threading.Thread(target=uploading)
    thread.start()
    wait_until(lambda: emulator.count("prepare") == 2)
    with session.get(emulator.api_url, stream=True) as reply:
        cancel.set()
        thread.join(5)
        assert ended
        assert reply.content  # read after the upload's sockets were shut


def test_hook_may_make_requests_of_its_own_on_the_session(
    emulator: Emulator, uploader_for: MakeUploader, session: requests.Session
) -> None:
    seen: List[int] = []

    def hook(response: requests.Response, **_: Any) -> None:
        if "/v2/" in response.url:
            seen.append(session.get(emulator.api_url).status_code)

    session.hooks["response"].append(hook)
    upload(uploader_for(emulator, session=session))
    assert len(seen) == 3  # prepare, finish, complete


# ----------------------------------------------------------------------------------- descriptors

STARVING = """
import json, os, resource, sys, threading
from qqchunk import Uploader

limit, uploads, then, options = json.loads(sys.argv[1])
resource.setrlimit(resource.RLIMIT_NOFILE, (limit, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
ended = []

def upload(size):
    try:
        uploader.upload("c2c", "U1", bytes(size), file_name="a.bin")
        ended.append([None, None, None])
    except Exception as error:
        ended.append([type(error).__name__, str(error), getattr(error, "retryable", None)])

with Uploader(**options) as uploader:
    threads = [threading.Thread(target=upload, args=(1 << 20,)) for _ in range(uploads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    try:
        while then:
            os.dup(0)
    except OSError:  # now only the idle connections can be done without
        upload(1000)
print(json.dumps(ended))
"""


def starving(
    emulator: RemoteEmulator, limit: int, uploads: int, *, then: bool = False, **options: Any
) -> List[Any]:
    """Upload in a process that may have that many descriptors; give how each upload ended.

    :param then: upload once more, when nothing but the uploader has a descriptor to spare
    """
    options.update(
        app_id=emulator.app_id, client_secret=emulator.client_secret, api_url=emulator.api_url,
        token_url=emulator.token_url, backoff=0.05)
    environment: Dict[str, str] = {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", STARVING, json.dumps([limit, uploads, then, options])],
        env=environment, stdout=subprocess.PIPE, timeout=50)
    ended: List[Any] = json.loads(done.stdout)
    return ended


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    with Host() as started:
        yield started


def test_idle_connections_are_given_back_before_an_upload_fails(host: Host) -> None:
    with host.emulator(block_size=1 << 16, concurrency=10) as remote:
        assert starving(remote, 64, 8, then=True) == [[None, None, None]] * 9


def test_failure_for_want_of_descriptors_says_what_is_short(host: Host) -> None:
    # Unanswered, the parts keep a connection each.
    silence = [Fault("put", "silence", times=None)]
    with host.emulator(block_size=1 << 16, concurrency=16, faults=silence) as remote:
        (kind, text, retryable), = starving(remote, 16, 1, max_concurrency=16, retries=0)
    assert kind == "TransportError"
    assert "this process has too many open files (it may have 16) - upload fewer files" in text
    assert retryable
