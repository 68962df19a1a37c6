"""One uploader for many threads: its token, its connections, and what it gives back."""

from __future__ import annotations

import asyncio
import gc
import logging
import multiprocessing
import pickle
import threading
import weakref
from typing import Any, Callable, List, Optional

import pytest
import requests
from requests.adapters import HTTPAdapter

from qqchunk import ApiError, UploadDailyLimitExceededError, Uploader
from qqchunk.emulator import Emulator, Fault

from tests.support import (
    Pki,
    connected_to,
    nothing_left,
    own_threads,
    sockets,
    uploader_for,
    wait_until,
)


@pytest.fixture(params=["http", "https"])
def context(request: Any, trusted_pki: Pki) -> Any:
    return trusted_pki.context if request.param == "https" else None


def upload(uploader: Uploader, emulator: Emulator, content: bytes) -> None:
    result = uploader.upload("c2c", "U1", content, file_name="a.bin")
    assert emulator.received(result.file_info) == content


def in_threads(count: int, work: Callable[[int], None]) -> None:
    """Do *work* in so many threads that begin together; fail if one fails."""
    together = threading.Barrier(count)
    failures: List[BaseException] = []

    def run(number: int) -> None:
        try:
            together.wait(10)
            work(number)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def connections(emulator: Emulator, *stages: str) -> int:
    """How many connections the requests of these stages came on."""
    return len({r.connection for r in emulator.requests if r.stage in stages})


@pytest.mark.parametrize("threads", [16, pytest.param(64, marks=pytest.mark.matrix)])
def test_many_threads_share_one_uploader_one_token_and_few_connections(
    context: Any, threads: int
) -> None:
    with nothing_left(), Emulator(ssl_context=context, block_size=2000) as emulator:
        with uploader_for(emulator) as uploader:

            def work(number: int) -> None:
                for turn in range(2):
                    upload(uploader, emulator, bytes([number, turn]) * 1500)

            in_threads(threads, work)
        assert emulator.count("token") == 1
        assert emulator.count("complete") == 2 * threads
        assert emulator.refusals + emulator.manners == []
        # No thread has more than two calls and two parts under way.
        assert connections(emulator, "prepare", "finish", "complete") <= 2 * threads
        assert connections(emulator, "put") <= threads


def test_fifty_threads_fill_no_pool(caplog: pytest.LogCaptureFixture) -> None:
    with Emulator(
        block_size=50, concurrency=2, latency=0.02
    ) as emulator, uploader_for(emulator) as uploader:
        with caplog.at_level(logging.WARNING):
            in_threads(50, lambda number: upload(uploader, emulator, bytes([number]) * 100))
    assert caplog.records == []


@pytest.mark.parametrize("concurrency", [1, 3])
def test_uploads_in_a_row_use_the_same_connections(context: Any, concurrency: int) -> None:
    with Emulator(
        ssl_context=context, concurrency=concurrency, block_size=100 if concurrency > 1 else 1000
    ) as emulator, uploader_for(emulator) as uploader:
        for number in range(8):
            upload(uploader, emulator, bytes([number]) * 300)
        assert connections(emulator, "token", "prepare", "finish", "complete") <= 1 + concurrency
        assert connections(emulator, "put") <= concurrency


def test_uploader_that_is_only_dropped_gives_everything_back(context: Any) -> None:
    with Emulator(ssl_context=context) as emulator:
        before = sockets()
        uploader: Optional[Uploader] = uploader_for(emulator)
        upload(uploader, emulator, b"content")  # type: ignore[arg-type]
        assert not own_threads()
        gone = weakref.ref(uploader)
        uploader = None
        assert gone() is None
        port = int(emulator.api_url.rsplit(":", 1)[1])
        wait_until(lambda: not connected_to(port), 1.0)
        wait_until(lambda: sockets() <= before, 1.0)


def test_close_returns_descriptors_even_after_a_failure(context: Any) -> None:
    fault = Fault("put", "reset_midway")
    with Emulator(ssl_context=context, concurrency=3, block_size=100, faults=[fault]) as emulator:
        port = int(emulator.api_url.rsplit(":", 1)[1])
        gc.disable()  # what only the collector would close does not count
        try:
            with uploader_for(emulator, backoff=0.01) as uploader:
                upload(uploader, emulator, bytes(300))
            assert not connected_to(port)
        finally:
            gc.enable()


def test_two_uploaders_share_one_session(context: Any) -> None:
    with Emulator(ssl_context=context) as emulator, requests.Session() as session:
        with uploader_for(emulator, session=session) as first:
            with uploader_for(emulator, session=session, storage_session=session) as second:
                both = (first, second)
                in_threads(8, lambda n: upload(both[n % 2], emulator, bytes([n]) * 100))
            upload(first, emulator, b"the session stays open for the other one")
        assert session.get(f"{emulator.api_url}/").status_code == 200  # and for its owner


class CountingAdapter(HTTPAdapter):
    """Somebody's own adapter."""

    def __init__(self, **options: Any) -> None:
        self.sent: List[str] = []
        super().__init__(**options)

    def send(self, request: Any, *args: Any, **options: Any) -> Any:
        self.sent.append(request.method)
        return super().send(request, *args, **options)


def test_session_keeps_its_own_adapters(context: Any) -> None:
    adapter = CountingAdapter(pool_maxsize=2)
    with Emulator(ssl_context=context) as emulator, requests.Session() as session:
        session.mount(emulator.api_url, adapter)
        with uploader_for(emulator, session=session, storage_session=session) as uploader:
            upload(uploader, emulator, b"content")
        assert adapter.sent == ["POST", "POST", "PUT", "POST", "POST"]


def test_blocking_pool_of_one_connection_is_enough(context: Any) -> None:
    adapter = HTTPAdapter(pool_maxsize=1, pool_block=True)
    with Emulator(ssl_context=context, block_size=50, concurrency=2) as emulator:
        with requests.Session() as session:
            session.mount(emulator.api_url, adapter)
            with uploader_for(emulator, session=session, storage_session=session) as uploader:
                upload(uploader, emulator, bytes(200))
        assert emulator.connections == 1


def test_upload_works_beside_an_event_loop(context: Any) -> None:
    async def bot(uploader: Uploader, emulator: Emulator) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.gather(*(
            loop.run_in_executor(None, upload, uploader, emulator, bytes([n]) * 100)
            for n in range(5)))

    with Emulator(ssl_context=context) as emulator, uploader_for(emulator) as uploader:
        asyncio.run(bot(uploader, emulator))
        assert emulator.count("token") == 1


def fail_in_a_spawned_process(api_url: str, secret: str) -> None:
    with Uploader(
        "102000001", secret, api_url=api_url, token_url=api_url + "/app/getAppAccessToken"
    ) as uploader:
        uploader.upload("group", "G1", b"content", file_name="a.txt")


def test_exception_comes_back_from_a_spawned_process() -> None:
    with Emulator(faults=[Fault("prepare", "code", code=40093002)]) as emulator:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            with pytest.raises(UploadDailyLimitExceededError) as caught:
                pool.apply(fail_in_a_spawned_process, (emulator.api_url, emulator.client_secret))
            pool.close()
            pool.join()
    assert caught.value.file_name == "a.txt"
    assert caught.value.file_size == 7
    assert caught.value.stage == "prepare"
    assert caught.value.code == 40093002
    assert emulator.client_secret.encode() not in pickle.dumps(caught.value)


def test_refused_token_fails_all_that_waited_for_it() -> None:
    with Emulator(faults=[Fault("token", "code", code=100016, times=None)]) as emulator:
        errors: List[ApiError] = []

        def work(_: int) -> None:
            with pytest.raises(ApiError) as caught:
                uploader.upload("c2c", "U1", b"content", file_name="a.bin")
            errors.append(caught.value)

        with uploader_for(emulator) as uploader:
            in_threads(8, work)
        assert len(errors) == len(set(map(id, errors))) == 8
