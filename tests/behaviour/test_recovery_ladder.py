"""How far recovery goes: its limits, its order, and what it does not disturb."""

from __future__ import annotations

import functools
import gc
import ssl
import threading
import weakref
from collections import Counter
from typing import Any, Iterator, List

import pytest
import requests

from qqchunk import (
    ApiError,
    PartUploadError,
    Progress,
    SourceChangedError,
    TransportError,
    UploadError,
)
from qqchunk.emulator import Emulator, Fault, Request
from qqchunk.net.stopping import StopSignal
from qqchunk.net.transport import Transport
from tests.behaviour.recovery import (
    BACKOFF,
    BIG,
    ONE_PART,
    SCHEMES,
    TWO_PARTS,
    authority,
    content_of,
    counts_of,
    hurried,
    serving,
    trusted,
    uploading,
)
from tests.support import wait_until


@pytest.fixture(params=SCHEMES)
def scheme(request: pytest.FixtureRequest) -> Iterator[str]:
    with trusted():
        yield request.param


def upload(
    emulator: Emulator, content: Any, *, retries: int = 2, backoff: float = BACKOFF, **options: Any
) -> None:
    """Upload it; when that succeeds, the emulator has it."""
    with uploading(emulator, retries=retries, backoff=backoff) as uploader:
        result = uploader.upload("group", "G1", content, file_name="a.bin", **options)
    assert emulator.received(result.file_info) == content


@pytest.fixture
def delays(monkeypatch: pytest.MonkeyPatch) -> List[float]:
    """The waits between repeats of a call, which take no time but on their own clock."""
    waited: List[float] = []
    monkeypatch.setattr(StopSignal, "wait", lambda self, delay: waited.append(delay))
    clocked = functools.partial(Transport, clock=lambda: sum(waited))
    monkeypatch.setattr("qqchunk.transfer.settings.Transport", clocked)
    return waited


# How often


@pytest.mark.parametrize("stage, counts", [
    ("token", (1, 0, 0, 0, 0)), ("prepare", (1, 1, 0, 0, 0)), ("put", (1, 2, (1, 1), 0, 0)),
    ("finish", (1, 1, 1, 1, 0)), ("complete", (1, 1, 1, 1, 1)),
])
@pytest.mark.parametrize("kind", ["status", "reset_unprocessed"])
def test_without_retries_no_call_is_repeated(stage: str, counts: Any, kind: str) -> None:
    with serving("http", faults=[Fault(stage, kind, times=None)]) as emulator:
        with pytest.raises(UploadError) as caught:
            upload(emulator, content_of(ONE_PART), retries=0)
        assert caught.value.stage == stage
        assert counts_of(emulator) == counts


@pytest.mark.parametrize("fault, calls", [
    ({"kind": "status", "status": 500}, 6), ({"kind": "html_200"}, 6), ({"kind": "close"}, 6),
    ({"kind": "code", "code": 850012}, 3), ({"kind": "code", "code": 11281}, 2),
])
@pytest.mark.parametrize("stage", ["prepare", "finish", "complete"])
def test_more_retries_do_not_change_what_a_code_allows(stage: str, fault: Any, calls: int) -> None:
    with serving("http", faults=[Fault(stage, times=None, **fault)]) as emulator:
        with uploading(emulator, retries=5, backoff=0.001) as uploader:
            with pytest.raises(UploadError):
                uploader.upload("c2c", "U1", bytes(ONE_PART), file_name="a.bin")
        assert emulator.count(stage) == calls


@pytest.mark.parametrize("stage, retries, counts", [
    ("prepare", 2, (1, 3, 0, 0, 0)), ("finish", 2, (1, 1, 1, 3, 0)),
    ("complete", 2, (1, 2, (1, 1), 2, 12)), ("complete", 0, (1, 2, (1, 1), 2, 2)),
])
def test_complete_that_times_out_is_repeated_five_times_and_then_prepared_anew(
    stage: str, retries: int, counts: Any
) -> None:
    with serving("http", faults=[Fault(stage, "code", code=850027, times=None)]) as emulator:
        with pytest.raises(ApiError) as caught:
            upload(emulator, content_of(ONE_PART), retries=retries, backoff=0.001)
        assert (caught.value.code, caught.value.retryable) == (850027, True)
        assert counts_of(emulator) == counts


def test_replayed_finish_refused_with_http_200_is_left_for_complete_to_judge() -> None:
    with serving("http", faults=[
        Fault("finish", "reset_after"), Fault("finish", "code", code=10000, status=200, after=1),
    ]) as emulator:
        upload(emulator, content_of(ONE_PART))
        assert counts_of(emulator) == (1, 1, 1, 2, 1)


def test_replayed_complete_refused_with_http_200_leads_to_a_fresh_prepare() -> None:
    with serving("http", faults=[
        Fault("complete", "reset_after"),
        Fault("complete", "code", code=10000, status=200, after=1),
    ]) as emulator:
        upload(emulator, content_of(ONE_PART))
        assert counts_of(emulator) == (1, 2, (1, 1), 2, 3)


@pytest.mark.parametrize("stage", ["prepare", "complete"])
def test_busy_platform_is_asked_every_second_for_two_minutes(
    stage: str, delays: List[float]
) -> None:
    with serving("http", faults=[Fault(stage, "busy", times=None)]) as emulator:
        with pytest.raises(ApiError) as caught:
            upload(emulator, content_of(ONE_PART))
        assert caught.value.code == 40093001
        assert delays == [1.0] * 120
        assert emulator.count(stage) == 121


@pytest.mark.parametrize("retries", [0, 2])
def test_rate_limit_is_waited_for_two_minutes_whatever_the_retries(
    retries: int, delays: List[float]
) -> None:
    fault = Fault("prepare", "status", status=429, retry_after=50, times=None)
    with serving("http", faults=[fault]) as emulator:
        with pytest.raises(ApiError) as caught:
            upload(emulator, content_of(ONE_PART), retries=retries)
        assert caught.value.retry_after == 50.0
        assert delays == [50.0, 50.0]


def test_retry_after_is_waited_for_up_to_a_minute(delays: List[float]) -> None:
    fault = Fault("prepare", "status", status=429, retry_after=60)
    with serving("http", faults=[fault]) as emulator:
        upload(emulator, content_of(ONE_PART))
        assert delays == [60.0]


@pytest.mark.parametrize("stage", ["prepare", "put", "finish"])
@pytest.mark.parametrize("status", [429, 503])
def test_longer_retry_after_is_the_callers(stage: str, status: int, delays: List[float]) -> None:
    fault = Fault(stage, "status", status=status, retry_after=61)
    with serving("http", faults=[fault]) as emulator:
        with pytest.raises(UploadError) as caught:
            upload(emulator, content_of(ONE_PART))
        assert (caught.value.retry_after, caught.value.retryable) == (61.0, True)
        assert (delays, emulator.count(stage), emulator.count("prepare")) == ([], 1, 1)


def test_failures_between_busy_answers_do_not_add_up() -> None:
    with serving("http", retry_delay=0.05, faults=[
        *[Fault("finish", "status", status=500, after=n) for n in (0, 2, 4)],
        *[Fault("finish", "busy", after=n) for n in (1, 3, 5)],
    ]) as emulator:
        upload(emulator, content_of(ONE_PART), retries=1)
        assert counts_of(emulator) == (1, 1, 1, 7, 1)


def test_part_is_sent_again_after_a_fresh_prepare_for_another_reason() -> None:
    with serving("http", retry_timeout=0.3, retry_delay=0.05, faults=[
        Fault("put", "expired_url"), Fault("put", "status", status=200, after=1),
    ]) as emulator:
        upload(emulator, content_of(ONE_PART))
        assert emulator.count("prepare") == 2
        assert emulator.count("put") == 3


@pytest.mark.parametrize(
    "doubtful, counts", [(True, (1, 2, (1, 1), 3, 2)), (False, (1, 1, 1, 1, 1))])
def test_refused_complete_after_a_doubtful_finish_leads_to_one_fresh_prepare(
    doubtful: bool, counts: Any
) -> None:
    faults = [Fault("complete", "code", code=850019)]
    if doubtful:
        faults.append(Fault("finish", "reset_after"))
    with serving("http", finish_repeatable=False, faults=faults) as emulator:
        if doubtful:
            upload(emulator, content_of(ONE_PART))
        else:
            with pytest.raises(ApiError) as caught:
                upload(emulator, content_of(ONE_PART))
            assert caught.value.code == 850019
        assert counts_of(emulator) == counts


def test_one_file_gets_one_fresh_prepare_whatever_the_reasons() -> None:
    with serving("http", faults=[
        Fault("put", "expired_url", part=1), Fault("complete", "reset_after"),
    ]) as emulator:
        with pytest.raises(ApiError):
            upload(emulator, content_of(TWO_PARTS))
        assert counts_of(emulator) == (1, 2, (1, 2), 2, 2)


def test_part_is_not_sent_again_because_another_one_fails() -> None:
    with serving("http", faults=[Fault("put", "status", part=2, times=None)]) as emulator:
        with pytest.raises(PartUploadError):
            upload(emulator, content_of(TWO_PARTS))
        sent = Counter((r.upload_id, r.part_index) for r in emulator.requests if r.stage == "put")
        assert sorted(sent.values()) == [1, 1, 3, 3]


def test_parts_of_an_earlier_plan_end_before_the_fresh_prepare() -> None:
    looked = []

    def puts() -> List[Request]:
        return [r for r in emulator.requests if r.stage == "put"]

    def look(request: Request) -> None:
        if request.stage == "put" and request.part_index == 2:
            wait_until(lambda: any(r.part_index == 1 for r in puts()))
        elif request.stage == "prepare" and request.seconds is None and puts():
            wait_until(lambda: all(r.seconds is not None for r in puts()), 2.0)
            looked.append(request)

    with serving("http", concurrency=2, faults=[
        Fault("put", "silence", part=1), Fault("put", "expired_url", part=2),
    ]) as emulator:
        emulator.watch(look)
        upload(emulator, content_of(TWO_PARTS), deadline=5.0)
        assert len(looked) == 1


# Certificates and answers that come too early


@pytest.mark.parametrize("status, advice, retryable", [
    (503, "try again later", True),
    (403, "upload the file again", True),
    (404, "the same again would be refused again", False),
])
def test_refusal_by_storage_says_what_helps(status: int, advice: str, retryable: bool) -> None:
    fault = Fault("put", "status", status=status, times=None)
    with serving("http", faults=[fault]) as emulator, pytest.raises(PartUploadError) as caught:
        upload(emulator, content_of(ONE_PART), retries=0)
    assert str(caught.value).endswith(f" - {advice}")
    assert caught.value.retryable is retryable


class Content(bytearray):
    """Bytes to which there may be a weak reference."""


@pytest.mark.parametrize("size", [ONE_PART, TWO_PARTS])
@pytest.mark.parametrize("stage", ["token", "prepare", "put", "finish", "complete"])
def test_failure_keeps_nothing_of_its_caller_alive(stage: str, size: int) -> None:
    def serve() -> Any:
        content = Content(content_of(size))
        with serving("http", faults=[Fault(stage, "status", status=400, times=None)]) as emulator:
            with pytest.raises(UploadError):
                upload(emulator, content)
        return weakref.ref(content)

    gc.disable()
    try:
        assert serve()() is None
    finally:
        gc.enable()


def test_certificate_of_an_unknown_authority_is_final() -> None:
    with serving("https") as emulator:
        with pytest.raises(TransportError) as caught:
            upload(emulator, bytes(ONE_PART))
        assert (caught.value.retryable, caught.value.stage) == (False, "token")
        assert (emulator.connections, emulator.requests) == (1, [])


def test_certificate_for_another_host_is_final() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority().issue_cert("another.invalid").configure_cert(context)
    with trusted(), serving("https", ssl_context=context) as emulator:
        with pytest.raises(TransportError) as caught:
            upload(emulator, bytes(ONE_PART))
        assert caught.value.retryable is False
        assert (emulator.connections, emulator.requests) == (1, [])


def test_storage_whose_certificate_is_refused_gets_no_fresh_prepare() -> None:
    with trusted(), serving("https") as emulator, requests.Session() as storage_session:
        storage_session.trust_env = False
        with uploading(emulator, storage_session=storage_session) as uploader:
            with pytest.raises(TransportError) as caught:
                uploader.upload("c2c", "U1", bytes(ONE_PART), file_name="a.bin")
        assert (caught.value.retryable, caught.value.stage) == (False, "put")
        assert counts_of(emulator) == (1, 1, 0, 0, 0)
        assert emulator.connections == 2


@pytest.mark.parametrize("times", [1, None])
def test_early_403_on_a_broken_connection_ends_on_other_urls(scheme: str, times: Any) -> None:
    fault = Fault("put", "early_status", at_bytes=65536, times=times)
    with serving(scheme, block_size=2 * BIG, faults=[fault]) as emulator:
        if times:
            upload(emulator, content_of(BIG))
            assert emulator.count("put") == 2
            assert emulator.count("complete") == 1
            return
        with pytest.raises((PartUploadError, TransportError)) as caught:
            upload(emulator, content_of(BIG))
        assert (caught.value.retryable, caught.value.stage) == (True, "put")
        assert emulator.count("prepare") == 2
        assert 2 <= emulator.count("put") <= 6


# Many parts


def test_content_that_is_not_what_was_hashed_is_noticed(scheme: str) -> None:
    content, changed = bytearray(content_of(ONE_PART)), threading.Event()

    def change(progress: Progress) -> None:
        if progress.stage == "preparing" and not changed.is_set():
            content[0] ^= 1
            changed.set()

    with serving(scheme) as emulator:
        emulator.watch(lambda request: request.stage == "prepare" and changed.wait(5))
        with pytest.raises(SourceChangedError) as caught:
            upload(emulator, content, progress=change)
        assert caught.value.stage == "put"
        assert counts_of(emulator) == (1, 1, 1, 0, 0)


def confirmed(requests_seen: List[Request]) -> List[Any]:
    return [r.part_index for r in requests_seen if r.stage == "finish" and r.status == 200]


def test_parts_are_confirmed_as_they_come(scheme: str) -> None:
    with serving(scheme, block_size=1000, concurrency=4, retry_delay=0.05, faults=[
        Fault("finish", "busy", part=1, times=2), Fault("put", "status", part=2),
    ]) as emulator:
        upload(emulator, content_of(12_000))
        order = confirmed(emulator.requests)
        assert sorted(order) == list(range(1, 13))
        assert order != sorted(order)
        assert max(emulator.peak("put"), emulator.peak("finish")) <= 4


def busy_until_sent(emulator: Emulator, parts: int) -> None:
    """Let the emulator confirm nothing before so many parts were sent."""
    emulator.fail("finish", "busy", times=None)
    emulator.watch(
        lambda request: emulator.clear_faults() if emulator.count("put") >= parts else None)


def test_parts_sent_but_not_confirmed_are_bounded() -> None:
    with serving("http", block_size=1000, concurrency=2, retry_delay=0.05, retry_timeout=5.0,
                 busy_finishes=1) as emulator:
        busy_until_sent(emulator, 2 * 2 + 8)
        upload(emulator, content_of(18_000))
        waiting = most = 0
        for request in emulator.requests:
            waiting += request.stage == "put"
            waiting -= request.stage == "finish" and request.status == 200
            most = max(most, waiting)
        assert most == 2 * 2 + 8


@pytest.mark.parametrize("concurrency, parts", [(1, 4), (3, 9)])
def test_only_the_lowest_unconfirmed_parts_are_being_confirmed(
    concurrency: int, parts: int
) -> None:
    with serving("http", block_size=1000, retry_delay=0.05, busy_finishes=2,
                 concurrency=concurrency) as emulator:
        upload(emulator, content_of(1000 * parts))
        unconfirmed = list(range(1, parts + 1))
        for request in emulator.requests:
            if request.stage == "finish":
                assert request.part_index in unconfirmed[:concurrency]
                if request.status == 200:
                    unconfirmed.remove(request.part_index)
        assert unconfirmed == []


def test_sending_runs_ahead_of_a_part_that_is_busy() -> None:
    with serving("http", block_size=1000, retry_delay=0.05, retry_timeout=5.0) as emulator:
        busy_until_sent(emulator, 8)
        upload(emulator, content_of(8_000))
        stages = [r.stage for r in emulator.requests if r.stage in ("put", "finish")]
        assert stages[-8:] == ["finish"] * 8  # all was sent by then


def test_part_of_the_window_is_sent_again_however_many_were_sent_meanwhile() -> None:
    with serving("http", block_size=1000, faults=[Fault("put", "status", part=1)]) as emulator:
        upload(emulator, content_of(30_000), backoff=0.4)
        puts = [r.part_index for r in emulator.requests if r.stage == "put"]
        assert puts.index(1, 1) == 2 * 1 + 8  # as many were under way, and then part 1 came
        assert sorted(puts) == [1, *range(1, 31)]


def test_part_is_sent_again_before_those_that_were_not_sent_yet() -> None:
    with serving("http", block_size=1000, faults=[Fault("put", "status", part=1)]) as emulator:
        upload(emulator, content_of(5_000), backoff=0.0)
        puts = [r.part_index for r in emulator.requests if r.stage == "put"]
        assert puts == [1, 1, 2, 3, 4, 5]


def test_part_that_is_busy_keeps_one_place_and_no_more() -> None:
    with serving("http", block_size=1000, concurrency=2, retry_delay=0.02,
                 faults=[Fault("finish", "busy", part=1, times=None)]) as emulator:
        emulator.watch(lambda request: emulator.clear_faults() if (
            request.stage, request.part_index) == ("finish", 5) else None)
        upload(emulator, content_of(5_000), deadline=5.0)
        assert confirmed(emulator.requests) == [2, 3, 4, 5, 1]


# CPython leaves a socket to the collector that is reset between connect and handshake.
@pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")
def test_progress_never_goes_back_and_ends_at_the_total(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qqchunk.transfer.progress.INTERVAL", 0.0)
    seen: List[Progress] = []
    with serving(scheme, block_size=10_000, concurrency=2, retry_delay=0.05, faults=[
        Fault("put", "status", part=2), Fault("finish", "busy", part=1),
        Fault("finish", "reset_after", part=3), Fault("put", "expired_url", part=5),
        Fault("put", "reset_midway", part=6, after=1), Fault("complete", "status"),
        Fault("put", "drip", part=3, delay=0.001), Fault("put", "drip", part=4, delay=0.001),
    ]) as emulator:
        upload(emulator, content_of(60_000), progress=seen.append)
        assert emulator.count("prepare") == 2
    uploaded = [p.uploaded_bytes for p in seen]
    completed = [p.completed_parts for p in seen]
    assert (uploaded, completed) == (sorted(uploaded), sorted(completed))
    assert seen[-1] == Progress("done", 60_000, 60_000, 6, 6)
    assert len(set(uploaded)) > 2


# CPython leaves a socket to the collector that is reset between connect and handshake.
@pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")
def test_uploads_side_by_side_recover_each_for_itself(scheme: str) -> None:
    failures: List[BaseException] = []

    def one(content: bytes) -> None:
        try:
            result = uploader.upload("c2c", "U1", content, file_name="a.bin")
            assert emulator.received(result.file_info) == content
        except BaseException as error:
            failures.append(error)

    with hurried(), serving(scheme, block_size=1000, concurrency=2, retry_delay=0.05, faults=[
        Fault("any", "reset_unprocessed", times=4, after=7), Fault("put", "expired_url", times=2),
        Fault("finish", "busy", times=5), Fault("prepare", "code", code=11244),
    ]) as emulator, uploading(emulator, retries=5) as uploader:
        threads = [
            threading.Thread(target=one, args=(bytes([n]) * 5000,)) for n in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert emulator.refusals + emulator.manners == []
