"""Every way to stop an upload, in every situation that could hold it, over http and https."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, Iterable, Iterator, Optional, Tuple
from urllib.parse import urlsplit

import pytest

from qqchunk import PartUploadError, UploadCancelledError, UploadDeadlineError
from qqchunk.transfer.workers import Workers
from qqchunk.emulator import Emulator, Fault, Request
from qqchunk.transfer.operation import Operation
from qqchunk.source.ranges import FileSource
from qqchunk.net.stopping import Aborted

from tests.support import (
    Pki,
    connected_to,
    nothing_left,
    own_threads,
    uploader_for,
    wait_until,
)

MB = 1 << 20
AT_MOST = 1.0  # seconds from the stop until upload() is out
DEADLINES = (0.2, 0.4, 0.8, 1.6, 3.2)  # seconds; by the first of them most machines are held


# CPython leaves a socket to the collector that is shut between connect and handshake.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")


class Boom(Exception):
    """What the progress callback raises."""


@dataclass(frozen=True)
class Situation:
    """What holds an upload: *faults* as (stage, kind, options), and how to tell that it is there.

    :ivar moving: part 2 crawls meanwhile, so that there is progress to report
    """

    faults: Tuple[Tuple[str, str, Dict[str, Any]], ...]
    reached: Callable[[Emulator], bool]
    behaviour: Dict[str, Any] = field(default_factory=dict)
    size: int = 10 * MB  # over 4 MB a part, or the kernel's buffers hide a stall
    backoff: float = 0.1
    moving: bool = True


def seen(stage: str, times: int = 1) -> Callable[[Emulator], bool]:
    return lambda emulator: emulator.count(stage) >= times


def answered(stage: str) -> Callable[[Emulator], bool]:
    return lambda emulator: any(r.stage == stage and r.status for r in emulator.requests)


CRAWL: Dict[str, Any] = {"bandwidth": 100_000}
FIRST: Dict[str, Any] = {"part": 1}
SECOND: Tuple[str, str, Dict[str, Any]] = ("put", "slow", {"bandwidth": 1_000_000, "part": 2})

SITUATIONS = {
    "four parts crawl": Situation(
        (("put", "slow", CRAWL),), seen("put", 4),
        {"concurrency": 4, "block_size": 5 * MB}, 20 * MB),
    "a part is polled every 30 s": Situation(
        (("finish", "busy", FIRST), SECOND), answered("finish"), {"retry_delay": 30}),
    "no answer to the token": Situation(
        (("token", "silence", {}),), seen("token"), size=10, moving=False),
    "no answer to prepare": Situation(
        (("prepare", "silence", {}),), seen("prepare"), size=10, moving=False),
    "no answer to a put": Situation((("put", "silence", FIRST), SECOND), seen("put", 2)),
    "no answer to finish": Situation((("finish", "silence", FIRST), SECOND), seen("finish")),
    "no answer to complete": Situation(
        (("complete", "silence", {}),), seen("complete"), size=10, moving=False),
    "storage stops reading": Situation((("put", "stop_reading", FIRST), SECOND), seen("put", 2)),
    "a back-off of prepare": Situation(
        (("prepare", "status", {}),), answered("prepare"), size=10, backoff=30.0, moving=False),
    "a back-off of a part": Situation(
        (("put", "status", FIRST), SECOND), answered("put"), backoff=30.0),
    "the answer drips in": Situation(
        (("prepare", "drip", {"delay": 0.1}),), answered("prepare"), size=10, moving=False),
}


MOVING = [name for name, situation in SITUATIONS.items() if situation.moving]


@pytest.fixture(scope="module")
def files(tmp_path_factory: Any) -> Callable[[int], str]:
    directory = tmp_path_factory.mktemp("files")

    def of_size(size: int) -> str:
        path = directory / f"{size}.bin"
        with open(path, "wb") as file:
            file.truncate(size)
        return str(path)

    return of_size


class Stage:
    """One upload on its way into a situation, on a thread of its own."""

    def __init__(self, situation: Situation, emulator: Emulator, path: str) -> None:
        self.emulator = emulator
        self._situation = situation
        self._path = path
        self.uploader = uploader_for(emulator, backoff=situation.backoff)
        self.cancel = threading.Event()
        self.error: Optional[BaseException] = None
        self.began = self.ended = 0.0

    def upload(self, **options: Any) -> None:
        self.began = time.monotonic()
        try:
            self.uploader.upload("c2c", "U1", self._path, cancel=self.cancel, **options)
        except Exception as error:
            self.error = error
        self.ended = time.monotonic()
        self.threads = own_threads()

    def reached(self) -> bool:
        return self._situation.reached(self.emulator)

    def stop(self, way: Callable[[], None], **options: Any) -> float:
        """Stop it that *way* once it is held; give the seconds that took."""
        thread = threading.Thread(target=self.upload, kwargs=options)
        thread.start()
        wait_until(self.reached)
        time.sleep(0.02)  # the answer seen by the emulator is to be seen by the client
        assert self.error is None
        stopped = time.monotonic()
        way()
        thread.join(5)
        assert not thread.is_alive()
        return self.ended - stopped

    def close(self) -> None:
        self.uploader.close()
        assert not connected_to(urlsplit(self.emulator.api_url).port or 0)


def each(names: Iterable[str] = SITUATIONS, first: str = "http") -> Any:
    """These situations, over http and https in turn."""
    schemes = sorted(("http", "https"), key=lambda scheme: scheme != first)
    return pytest.mark.parametrize("scheme,name", [
        (schemes[position % 2], name) for position, name in enumerate(names)])


@pytest.fixture
def stage(
    scheme: str, trusted_pki: Pki, files: Callable[[int], str]
) -> Iterator[Callable[..., Stage]]:
    with nothing_left():
        opened = []

        def enter(situation: Situation, *faults: Fault, **behaviour: Any) -> Stage:
            behaviour = {
                "concurrency": 2, "block_size": min(10 * MB, situation.size // 2),
                **situation.behaviour, **behaviour}
            context = trusted_pki.context if scheme == "https" else None
            emulator = Emulator(
                ssl_context=context, keep_bodies=False, **behaviour,
                faults=[*faults, *(Fault(s, k, times=None, **o) for s, k, o in situation.faults)])
            emulator.start()
            opened.append(Stage(situation, emulator, files(situation.size)))
            return opened[-1]

        yield enter
        for entered in opened:
            entered.close()
            entered.emulator.stop()


@each(first="https")  # and close() the other way round
def test_cancel_ends_the_upload_within_a_second(stage: Any, name: str) -> None:
    held = stage(SITUATIONS[name])
    assert held.stop(held.cancel.set) < AT_MOST
    assert isinstance(held.error, UploadCancelledError)
    assert held.threads == []


@each()
def test_close_from_another_thread_ends_the_upload_within_a_second(stage: Any, name: str) -> None:
    held = stage(SITUATIONS[name])
    assert held.stop(held.uploader.close) < AT_MOST
    assert isinstance(held.error, UploadCancelledError)
    assert held.threads == []


@pytest.mark.parametrize("stage", ["token", "prepare", "put", "finish", "complete"])
def test_close_between_two_exchanges_is_no_broken_connection(stage: str) -> None:
    with Emulator() as emulator, uploader_for(emulator, retries=0) as uploader:
        emulator.watch(lambda request: uploader.close() if request.stage == stage else None)
        with pytest.raises(UploadCancelledError, match="the uploader was closed"):
            uploader.send("c2c", "U1", b"content", file_name="a.bin")
        assert emulator.requests[-1].stage == stage


@each(["four parts crawl", "a part is polled every 30 s", "no answer to prepare",
       "storage stops reading", "a back-off of prepare"])
def test_deadline_ends_the_upload_within_a_second(stage: Any, name: str) -> None:
    for deadline in DEADLINES:
        held = stage(SITUATIONS[name])
        held.upload(deadline=deadline)
        if held.reached():
            break
    assert held.reached()
    assert deadline <= held.ended - held.began < deadline + AT_MOST
    assert isinstance(held.error, UploadDeadlineError)
    assert held.threads == []


@each(MOVING)
def test_exception_in_the_callback_ends_the_upload_within_a_second(stage: Any, name: str) -> None:
    held = stage(SITUATIONS[name])
    raised = []

    def progress(_: object) -> None:
        if held.reached():
            raised.append(time.monotonic())
            raise Boom

    held.upload(progress=progress)
    assert isinstance(held.error, Boom)
    assert len(raised) == 1
    assert held.ended - raised[0] < AT_MOST
    assert held.threads == []


@each(MOVING)
def test_part_that_fails_for_good_ends_the_upload_within_a_second(stage: Any, name: str) -> None:
    situation = SITUATIONS[name]
    refused = Fault("put", "status", part=3, status=400)
    held = stage(
        situation, refused, concurrency=4, block_size=situation.size // 4)
    failed = []

    def hold(request: Request) -> None:
        if (request.stage, request.part_index, request.status) == ("put", 3, None):
            wait_until(lambda: held.reached() and held.emulator.count("put") == 4)
            failed.append(time.monotonic())

    held.emulator.watch(hold)
    held.upload()
    assert isinstance(held.error, PartUploadError)
    assert held.error.part_index == 3
    assert held.ended - failed[0] < AT_MOST
    assert held.threads == []


class When:
    """A ``cancel`` that is set once *reached* is true."""

    def __init__(self, reached: Callable[[], bool]) -> None:
        self.is_set = reached


def test_nobody_reads_the_file_any_more_when_it_is_closed(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(bytes(12 * MB))
    at_close = []
    close = FileSource.close

    def watched(source: FileSource) -> None:
        at_close.append(own_threads())
        close(source)

    monkeypatch.setattr(FileSource, "close", watched)
    with Emulator(
        block_size=6 * MB, concurrency=2, faults=[Fault("put", "slow", times=None, **CRAWL)],
    ) as emulator, uploader_for(emulator) as uploader:
        with pytest.raises(UploadCancelledError):
            uploader.upload("c2c", "U1", path, cancel=When(lambda: emulator.count("put") == 2))
    assert at_close == [[]]


@pytest.mark.parametrize("parts, most", [(1, 1), (5, 5)])
def test_threads_are_as_few_as_the_parts_and_the_concurrency_need(
    parts: int, most: int
) -> None:
    """One for the calls; beside it, for several parts, those that send and those that confirm."""
    seen_threads = []
    slow = Fault("put", "slow", times=None, bandwidth=50_000)
    with Emulator(block_size=1000, concurrency=2, faults=[slow]) as emulator:
        with uploader_for(emulator) as uploader:
            uploader.upload("c2c", "U1", b"once for the token", file_name="a.bin")
            emulator.behaviour.latency = 0.02
            emulator.watch(lambda _: seen_threads.append(len(own_threads())))
            uploader.upload("c2c", "U1", bytes(1000 * parts), file_name="a.bin")
    assert max(seen_threads) == most


def test_call_that_was_stopped_gets_no_more_threads() -> None:
    operation = Operation(None, None, None)
    operation.stop()
    with pytest.raises(Aborted):
        operation.add_workers(1)


def test_no_thread_is_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    # In CPython 3.8, Ctrl-C in a join leaves a thread that nobody can ever join again.
    def join(thread: threading.Thread, timeout: Optional[float] = None) -> None:
        raise AssertionError(f"{thread.name} was joined")

    with Emulator(block_size=100_000) as emulator, uploader_for(
        emulator
    ) as uploader, monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "join", join)
        uploader.upload("c2c", "U1", bytes(300_000), file_name="a.bin")
        assert own_threads() == []


def test_workers_that_have_stopped_need_no_garbage_collector() -> None:
    workers = Workers(1, 1)
    assert workers.submit(0, int, "7").result() == 7
    workers.stop()
    left = weakref.ref(workers)
    gc.disable()
    try:
        del workers
        assert left() is None
    finally:
        gc.enable()
