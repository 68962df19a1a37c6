"""One token for many threads: how long it is kept, who fetches it, what becomes of a failure."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from contextlib import contextmanager
from typing import Any, Callable, Iterator, List, Optional, Tuple

import pytest
import requests

from qqchunk.net.auth import BearerAuth, NoAuth, TokenKeeper
from qqchunk.errors import AuthenticationError, UploadError
from qqchunk.protocol.values import Secret
from qqchunk.net.stopping import Aborted, StopSignal

PATIENCE = 5.0  # seconds a test waits for another thread before it fails


class Clock:
    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Office:
    """Gives out t1, t2, …"""

    def __init__(self, life: float = 7200.0) -> None:
        self.life = life
        self.given = 0

    def __call__(self) -> Tuple[Secret, float]:
        self.given += 1
        return Secret(f"t{self.given}"), self.life


class Gate:
    """A fetch that does not end before it is told how: with a token, or by raising something."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.open = threading.Event()
        self.failure: Optional[BaseException] = None

    def __call__(self) -> Tuple[Secret, float]:
        self.entered.set()
        assert self.open.wait(PATIENCE)
        if self.failure is not None:
            raise self.failure
        return Secret("gate"), 7200.0

    def fail(self, failure: BaseException) -> None:
        self.failure = failure
        self.open.set()


class Asking(threading.Thread):
    """A thread that asks for a token."""

    def __init__(self, keeper: TokenKeeper, fetch: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self.stop = StopSignal()
        self.token: Optional[Secret] = None
        self.error: Optional[BaseException] = None
        self._keeper = keeper
        self._fetch = fetch
        self.start()

    def run(self) -> None:
        try:
            self.token = self._keeper.get(self._fetch, self.stop)
        except BaseException as error:
            self.error = error

    def result(self) -> Optional[Secret]:
        self.join(PATIENCE)
        assert not self.is_alive()
        return self.token


def never() -> Tuple[Secret, float]:
    raise AssertionError("nobody had to fetch a token")


@contextmanager
def one_fetching(keeper: TokenKeeper) -> Iterator[Tuple[Gate, Asking]]:
    """A thread of its own is in the middle of fetching a token."""
    gate = Gate()
    leader = Asking(keeper, gate)
    try:
        assert gate.entered.wait(PATIENCE)
        yield gate, leader
    finally:
        gate.open.set()
        leader.join(PATIENCE)


def waiting(keeper: TokenKeeper, fetch: Callable[[], Any], count: int = 1) -> List[Asking]:
    """Threads that wait for the one that is fetching."""
    threads = [Asking(keeper, fetch) for _ in range(count)]
    time.sleep(0.05)
    assert all(thread.is_alive() for thread in threads)
    return threads


def get(keeper: TokenKeeper, fetch: Callable[[], Any]) -> Secret:
    return keeper.get(fetch, StopSignal())


# How long it is kept


@pytest.mark.parametrize("life, kept", [
    (7200.0, 7140.0), (300.0, 240.0), (121.0, 61.0), (120.0, 60.0), (119.0, 59.5), (100.0, 50.0),
    (2.0, 1.0),
])
def test_token_is_kept_until_a_minute_before_its_end_or_half_a_short_life(
    life: float, kept: float
) -> None:
    clock, office = Clock(), Office(life)
    keeper = TokenKeeper(clock)
    assert get(keeper, office) == "t1"
    clock.now += kept - 0.01
    assert get(keeper, never) == "t1"
    clock.now += 0.01
    assert get(keeper, office) == "t2"


def test_token_without_a_life_is_used_once() -> None:
    office = Office(0.0)
    keeper = TokenKeeper(Clock())
    assert [get(keeper, office), get(keeper, office)] == ["t1", "t2"]


def test_life_counts_from_before_the_fetch() -> None:
    clock = Clock()
    keeper = TokenKeeper(clock)

    def slow() -> Tuple[Secret, float]:
        clock.now += 30.0
        return Secret("slow"), 100.0

    assert get(keeper, slow) == "slow"
    clock.now += 19.9
    assert get(keeper, never) == "slow"
    clock.now += 0.1
    assert get(keeper, Office()) == "t1"


def test_token_is_a_secret() -> None:
    keeper = TokenKeeper()
    assert repr(get(keeper, Office())) == "<secret>"
    assert repr(get(keeper, never)) == "<secret>"


# Dropping


def test_dropped_token_is_fetched_anew() -> None:
    office = Office()
    keeper = TokenKeeper()
    keeper.drop(get(keeper, office))
    assert get(keeper, office) == "t2"


def test_late_refusal_of_an_older_token_leaves_the_newer_one() -> None:
    office = Office()
    keeper = TokenKeeper()
    old = get(keeper, office)
    keeper.drop(old)
    assert get(keeper, office) == "t2"
    keeper.drop(old)
    assert get(keeper, never) == "t2"


def test_drop_before_there_is_a_token_does_no_harm() -> None:
    keeper = TokenKeeper()
    keeper.drop(Secret("t0"))
    assert get(keeper, Office()) == "t1"


# Many threads


def test_one_thread_fetches_for_all() -> None:
    keeper = TokenKeeper()
    with one_fetching(keeper) as (gate, leader):
        threads = waiting(keeper, never, 8)
        gate.open.set()
        assert [thread.result() for thread in threads] == ["gate"] * 8
        assert leader.result() == "gate"


def test_failure_reaches_all_that_waited_and_each_gets_its_own() -> None:
    keeper = TokenKeeper()
    failure = AuthenticationError("no token", code=100016, stage="token")
    with one_fetching(keeper) as (gate, leader):
        threads = waiting(keeper, never, 3)
        gate.fail(failure)
        for thread in threads:
            thread.result()
        leader.result()
    errors = [thread.error for thread in threads]
    for error in errors:
        assert isinstance(error, AuthenticationError)
        assert (str(error), error.code, error.stage) == ("no token", 100016, "token")
    assert leader.error is failure
    assert len({id(error) for error in [*errors, failure]}) == 4


def test_failure_is_not_kept_for_those_who_come_later() -> None:
    keeper = TokenKeeper()
    with one_fetching(keeper) as (gate, leader):
        gate.fail(UploadError("no token"))
        leader.result()
    assert get(keeper, Office()) == "t1"


def test_failure_keeps_nothing_of_its_caller_alive() -> None:
    keeper = TokenKeeper()

    class Request:
        pass

    def serve() -> Any:
        request = Request()
        with pytest.raises(UploadError):
            get(keeper, failed(UploadError("no token")))
        return weakref.ref(request)

    request = serve()
    gc.collect()
    assert request() is None


def test_old_failure_does_not_reach_those_who_wait_for_a_later_fetch() -> None:
    keeper = TokenKeeper()
    with pytest.raises(UploadError):
        get(keeper, failed(UploadError("old")))
    office = Office()
    with one_fetching(keeper) as (gate, leader):
        (waiter,) = waiting(keeper, office)
        gate.fail(Aborted())
        assert waiter.result() == "t1"
    assert waiter.error is None


def failed(failure: BaseException) -> Gate:
    gate = Gate()
    gate.fail(failure)
    return gate


@pytest.mark.parametrize("end", [Aborted(), KeyboardInterrupt(), MemoryError()])
def test_waiter_takes_over_when_the_one_that_fetches_is_stopped(end: BaseException) -> None:
    keeper = TokenKeeper()
    office = Office()
    with one_fetching(keeper) as (gate, leader):
        threads = waiting(keeper, office, 4)
        gate.fail(end)
        assert [thread.result() for thread in threads] == ["t1"] * 4
        leader.result()
    assert leader.error is end
    assert office.given == 1


def test_waiter_takes_over_when_the_token_had_no_life() -> None:
    keeper = TokenKeeper(Clock())
    first, second = threading.Event(), threading.Event()

    def lifeless() -> Tuple[Secret, float]:
        first.set()
        assert second.wait(PATIENCE)
        return Secret("lifeless"), 0.0

    leader = Asking(keeper, lifeless)
    assert first.wait(PATIENCE)
    (waiter,) = waiting(keeper, Office())
    second.set()
    assert (leader.result(), waiter.result()) == ("lifeless", "t1")


def test_failure_of_the_one_that_took_over_reaches_the_rest() -> None:
    keeper = TokenKeeper()
    fetches: List[int] = []

    def failing() -> Tuple[Secret, float]:
        fetches.append(1)
        time.sleep(0.1)
        raise UploadError("second")

    with one_fetching(keeper) as (gate, leader):
        threads = waiting(keeper, failing, 3)
        gate.fail(Aborted())
        for thread in threads:
            thread.result()
            assert isinstance(thread.error, UploadError)
    assert fetches == [1]


def test_waiter_that_is_aborted_leaves_while_the_fetch_goes_on() -> None:
    keeper = TokenKeeper()
    with one_fetching(keeper) as (gate, leader):
        aborted, patient = waiting(keeper, never, 2)
        began = time.monotonic()
        aborted.stop.set()
        aborted.result()
        assert time.monotonic() - began < 1.0
        assert isinstance(aborted.error, Aborted)
        assert leader.is_alive() and patient.is_alive()
        gate.open.set()
        assert (leader.result(), patient.result()) == ("gate", "gate")


def test_aborted_thread_gets_no_token_even_if_there_is_one() -> None:
    keeper = TokenKeeper()
    get(keeper, Office())
    stop = StopSignal()
    stop.set()
    with pytest.raises(Aborted):
        keeper.get(never, stop)


def test_thread_that_was_stopped_before_it_fetched_holds_up_nobody() -> None:
    keeper = TokenKeeper()
    stop = StopSignal()
    stop.set()
    with pytest.raises(Aborted):
        keeper.get(never, stop)
    assert get(keeper, Office()) == "t1"


# Forks


def test_after_a_fork_nobody_is_waited_for_and_the_token_stays() -> None:
    keeper = TokenKeeper()
    assert get(keeper, Office()) == "t1"
    keeper.drop(Secret("t1"))
    with one_fetching(keeper):
        keeper.after_fork()
        assert get(keeper, Office()) == "t1"
    keeper.after_fork()
    assert get(keeper, never) in ("t1", "gate")


# What goes on a request


def prepared(auth: Any) -> requests.PreparedRequest:
    return requests.Request("POST", "https://h.invalid/", auth=auth).prepare()


def test_bearer_puts_the_token_on_the_request() -> None:
    request = prepared(BearerAuth(Secret("t1")))
    assert request.headers["Authorization"] == "QQBot t1"


def test_no_auth_puts_nothing_on_the_request() -> None:
    assert "Authorization" not in prepared(NoAuth()).headers


def test_credentials_do_not_show_in_a_repr() -> None:
    auth = BearerAuth(Secret("5ecret"))
    assert "5ecret" not in repr(auth) + repr(vars(auth))
