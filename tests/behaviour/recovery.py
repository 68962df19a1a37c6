"""What the recovery matrix is made of: a cell states what one fault does to one upload.

The emulator plays the fault on real sockets, over http and over https; :func:`play` uploads
through it and compares what happened with what the cell states.
"""

from __future__ import annotations

import contextlib
import functools
import re
import socket
import ssl
import time
import warnings
from concurrent.futures import Future, ThreadPoolExecutor, wait as wait_for_all
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import (
    Any,
    Callable,
    Dict,
    Hashable,
    Iterable,
    Iterator,
    List,
    Mapping,
    Optional,
    Tuple,
    Type,
    Union,
)
from unittest import mock
from urllib.parse import urlsplit

import pytest
import requests
from requests.adapters import HTTPAdapter

from qqchunk import Uploader, UploadError
from qqchunk.emulator import Emulator, Fault, Request
from tests.support import own_threads, uploader_for, wait_until

STAGES = ("token", "prepare", "put", "finish", "complete")
SCHEMES = ("http", "https")

BLOCK_SIZE = 65536
TWO_PARTS = 100_000  # bytes of a file that goes up in two parts
ONE_PART = 1000
BIG = 5_000_000  # bytes, one part: more than loopback's buffers hold

# Seconds. The read timeout is short where a cell waits for it, and out of the way elsewhere.
CONNECT_TIMEOUT = 0.5
READ_TIMEOUT = 0.25
BACKOFF = 0.01
RETRY_AFTER = 0.65  # what a 429 asks for
FLOOR = 0.4  # between two tries against a rate limit or a busy platform
MOST_RATE_WAIT = 1.19
RETRY_TIMEOUT = 1.0  # of the platform, for a part that is busy
RETRY_DELAY = 0.5
WORKERS = 8
SLACK = 2.0  # of a machine that has other things to do

MOMENT = datetime(2026, 1, 1, tzinfo=timezone.utc)
RETRY_AT = format_datetime(MOMENT, usegmt=True)
DAY = 86400

#: token, prepare, put (per upload id if there were several), finish, complete
Counts = Tuple[int, int, Union[int, Tuple[int, ...]], int, int]
Verdicts = Mapping[Tuple[str, str], "Future[None]"]
CLEAN: Counts = (1, 1, 2, 2, 1)


class Clock:
    """Stands for datetime: it is ``RETRY_AFTER`` seconds before ``RETRY_AT``."""

    @staticmethod
    def now(zone: timezone) -> datetime:
        return MOMENT - timedelta(seconds=RETRY_AFTER)


@dataclass(frozen=True)
class Delay:
    """Seconds between two requests, without what the requests themselves take."""

    least: float
    most: float


def backoff(*failures: int) -> Tuple[Delay, ...]:
    delays = [BACKOFF * 2 ** (n - 1) for n in failures]
    return tuple(Delay(0.8 * delay, 1.2 * delay) for delay in delays)


def wait(*seconds: float) -> Tuple[Delay, ...]:
    return tuple(Delay(delay, delay) for delay in seconds)


def after_silence(*failures: int) -> Tuple[Delay, ...]:
    # The emulator may notice a request late, while the client's clock is running already.
    return tuple(Delay(READ_TIMEOUT / 2, CONNECT_TIMEOUT + READ_TIMEOUT + d.most)
                 for d in backoff(*failures))


FRESH = (Delay(0.0, 0.0),)  # between the last PUT of one plan and the first of the next


@dataclass(frozen=True)
class Cell:
    """One upload with one fault, and all that may be seen of it.

    :ivar name: the fault, and how often it strikes
    :ivar stage: where
    :ivar faults: what the emulator plays
    :ivar counts: the requests it saw, in the order of ``STAGES``
    :ivar error: the exception that comes out; None if the upload succeeds
    :ivar facts: its attributes; those not named are None, and ``retryable`` False
    :ivar delays: between the requests of the stage that were struck, or their repeats
    :ivar refused: connections refused before any gets through; None for ever
    :ivar attempts: connections that were tried there
    :ivar spare: polls that a slow machine may leave out, their time being over
    """

    name: str
    stage: str
    faults: Tuple[Fault, ...]
    counts: Counts
    error: Optional[Type[UploadError]] = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    delays: Tuple[Delay, ...] = ()
    size: int = TWO_PARTS
    retries: int = 2
    emulator: Mapping[str, Any] = field(default_factory=dict)
    refused: Optional[int] = 0
    attempts: int = 0
    spare: int = 0

    def __str__(self) -> str:
        return f"{self.stage}-{self.name}".replace(" ", "-")

    @property
    def fault_name(self) -> str:
        """The fault alone: how often it strikes, and what the platform makes of it, left out."""
        return re.sub(r"( once| for ever|, repeatable: \w+)$", "", self.name)


def product(cells: Iterable[Cell], group: Callable[[Cell], Hashable]) -> List[Any]:
    """The parameters *cell* and *scheme* of a test: each cell over http and over https.

    The default run takes one of each group, from group to group another stage and scheme; all
    others are marked ``matrix``.
    """
    groups: Dict[Hashable, List[Tuple[Cell, str]]] = {}
    for cell in cells:
        groups.setdefault(group(cell), []).extend((cell, scheme) for scheme in SCHEMES)
    # An odd step leads through both schemes, and through the cells of a group.
    chosen = [members[5 * n % len(members)] for n, members in enumerate(groups.values())]
    return [
        pytest.param(cell, scheme, id=f"{cell}-{scheme}",
                     marks=() if (cell, scheme) in chosen else pytest.mark.matrix)
        for members in groups.values() for cell, scheme in members]


class Detour(HTTPAdapter):
    """Sends the first requests to paths that end in *ending* to a port where nobody listens."""

    def __init__(self, ending: str, times: Optional[int], port: int) -> None:
        super().__init__()
        self._ending = ending
        self._times = times
        self._port = port
        self.at: List[float] = []

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> Any:
        url = urlsplit(request.url or "")
        if url.path.endswith(self._ending):
            self.at.append(time.monotonic())
            if self._times is None or len(self.at) <= self._times:
                request.url = url._replace(netloc=f"127.0.0.1:{self._port}").geturl()
        return super().send(request, *args, **kwargs)


_ENDINGS = {
    "token": "getAppAccessToken", "prepare": "upload_prepare", "put": "part_1",
    "finish": "upload_part_finish", "complete": "files",
}


@functools.lru_cache(maxsize=None)
def authority() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its cryptography wants a newer Python
        import trustme
    return trustme.CA()


@functools.lru_cache(maxsize=None)
def server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority().issue_cert("127.0.0.1").configure_cert(context)
    return context


@contextlib.contextmanager
def trusted() -> Iterator[None]:
    """Make requests trust the certificates of https emulators."""
    with authority().cert_pem.tempfile() as bundle:
        with mock.patch.dict("os.environ", REQUESTS_CA_BUNDLE=bundle):
            yield


def serving(scheme: str, **options: Any) -> Emulator:
    """An emulator of small parts."""
    context = server_context() if scheme == "https" else None
    return Emulator(**{
        "block_size": BLOCK_SIZE, "ssl_context": context, "ordered_finishes": True, **options})


def uploading(emulator: Emulator, **options: Any) -> Uploader:
    return uploader_for(emulator, **{"backoff": BACKOFF, **options})


@contextlib.contextmanager
def hurried() -> Iterator[None]:
    """Shorten the waits that are written in minutes, and set the date."""
    with contextlib.ExitStack() as stack:
        for name, value in [
            ("net.transport.SLOW_READ_TIMEOUT", READ_TIMEOUT), ("protocol.retry.BUSY_DELAY", FLOOR),
            ("protocol.retry.MIN_RATE_DELAY", FLOOR),
            ("protocol.retry.MAX_RATE_WAIT", MOST_RATE_WAIT),
            ("net.transport.datetime", Clock), ("net.storage.datetime", Clock),
        ]:
            stack.enter_context(mock.patch(f"qqchunk.{name}", value))
        yield


def content_of(size: int) -> bytes:
    return bytes(range(251)) * (size // 251) + bytes(size % 251)


def play_all(cells: List[Cell], request: pytest.FixtureRequest) -> Verdicts:
    """Play those of the cells that are to be tested, a few side by side: most of them wait.

    :returns: a future for each (cell, scheme), whose result() raises what was not as stated
    """
    chosen = {
        (str(item.callspec.params["cell"]), item.callspec.params["scheme"])
        for item in request.session.items
        if isinstance(item, pytest.Function) and "cell" in item.fixturenames
    }
    with hurried(), trusted(), ThreadPoolExecutor(WORKERS) as pool:
        verdicts = {
            (str(cell), scheme): pool.submit(play, cell, scheme)
            for cell in cells for scheme in SCHEMES if (str(cell), scheme) in chosen}
        wait_for_all(verdicts.values())
    wait_until(lambda: not own_threads())
    return verdicts


def play(cell: Cell, scheme: str) -> None:
    """Upload with the cell's fault and check everything that the cell states."""
    content = content_of(cell.size)
    options: Dict[str, Any] = {
        "retry_timeout": RETRY_TIMEOUT, "retry_delay": RETRY_DELAY, **cell.emulator}
    if cell.size == BIG:
        options["block_size"] = 2 * BIG
    silent = any(fault.kind in ("silence", "stop_reading") for fault in cell.faults)
    timeout = (CONNECT_TIMEOUT, READ_TIMEOUT if silent else 5.0)
    with contextlib.ExitStack() as stack:
        closed = stack.enter_context(socket.socket())
        closed.bind(("127.0.0.1", 0))
        emulator = stack.enter_context(serving(scheme, faults=cell.faults, **options))
        detour = Detour(_ENDINGS[cell.stage], cell.refused, closed.getsockname()[1])
        session = stack.enter_context(requests.Session())
        session.mount(f"{scheme}://", detour)
        uploader = stack.enter_context(uploading(
            emulator, timeout=timeout, retries=cell.retries, session=session,
            storage_session=session))
        began = time.monotonic()
        error, file_info = outcome(
            lambda: uploader.upload("c2c", "U1", content, file_name="a.bin").file_info)
        took = time.monotonic() - began
        check_error(cell, error)
        if error is None:
            assert emulator.received(file_info) == content
        assert emulator.refusals + emulator.manners == []
        *counts, finish, complete = counts_of(emulator)
        left_out = cell.counts[3] - finish
        assert left_out in range(cell.spare + 1), (finish, cell.counts)
        assert (*counts, finish + left_out, complete) == cell.counts
        if cell.refused != 0:
            assert len(detour.at) == cell.attempts
        seen = detour.at if cell.refused != 0 else struck(emulator.requests, cell.stage)
        lost = left_out if cell.stage == "finish" else 0
        check_delays(seen, cell.delays[:len(cell.delays) - lost])
        assert took <= sum(delay.most for delay in cell.delays) + 2 * SLACK


def outcome(upload: Callable[[], str]) -> Tuple[Optional[UploadError], str]:
    try:
        return None, upload()
    except UploadError as error:
        return error, ""


def check_error(cell: Cell, error: Optional[UploadError]) -> None:
    """Compare type and attributes; what the cell does not name must not be there."""
    assert type(error) is (cell.error or type(None)), error
    if error is None:
        return
    expected: Dict[str, Any] = dict.fromkeys(
        ("http_status", "code", "err_code", "retry_after"))
    expected.update(
        stage=cell.stage, retryable=False, file_name="a.bin", file_size=cell.size)
    expected.update(cell.facts)
    for name, slack in (("retry_after", 0.001), ("waited", SLACK)):
        if expected.get(name) is not None:
            expected[name] = pytest.approx(expected[name], abs=slack)
    assert {name: getattr(error, name) for name in expected} == expected


def counts_of(emulator: Emulator) -> Counts:
    """Count the requests of each stage; PUTs apart for each upload id if there are several."""
    by_upload: Dict[Optional[str], int] = {}
    for request in emulator.requests:
        if request.stage == "put":
            by_upload[request.upload_id] = by_upload.get(request.upload_id, 0) + 1
    puts = tuple(by_upload.values())
    token, prepare, _, finish, complete = (emulator.count(stage) for stage in STAGES)
    return token, prepare, puts if len(puts) > 1 else sum(puts), finish, complete


def struck(seen: List[Request], stage: str) -> List[float]:
    """When the requests came that the cell is about: those of the first part, or of the stage."""
    return [r.at for r in seen if r.stage == stage and r.part_index in (None, 1)]


def check_delays(at: List[float], delays: Tuple[Delay, ...]) -> None:
    gaps = [later - earlier for earlier, later in zip(at, at[1:])]
    assert len(gaps) >= len(delays)
    for gap, delay in zip(gaps, delays):
        assert delay.least - 0.001 <= gap <= delay.most + SLACK, (gaps, delays)
