"""How often, how fast, and until when a call is repeated; and waiting that ends at once."""

from __future__ import annotations

import threading
import time
from typing import Any, List, Optional

import pytest

from qqchunk.errors import (
    ApiError,
    PartUploadError,
    ProtocolError,
    SourceChangedError,
    TransportError,
    UploadError,
)
from qqchunk.net.stopping import Aborted, StopSignal
from qqchunk.protocol.retry import Attempts, Policy


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def policy(retries: int = 2, backoff: float = 1.0, factor: float = 1.0) -> Policy:
    return Policy(retries, backoff, lambda: factor, Clock())


def refused(code: Optional[int] = None, status: int = 400, **facts: Any) -> ApiError:
    return ApiError("words", http_status=status, code=code, **facts)


def delays(attempts: Attempts, error: UploadError, repeatable: bool = True) -> List[float]:
    """Every wait until the attempts are used up by the same error, on a clock that waits too."""
    found: List[float] = []
    clock: Any = attempts.policy.clock
    while len(found) < 2000:
        delay, attempts = attempts.after(error, repeatable)
        if delay is None:
            break
        found.append(delay)
        clock.now += delay
    return found


BROKEN = TransportError("words", retryable=True)
FINAL = TransportError("words")


# Back-off


@pytest.mark.parametrize("failures, delay", [(1, 1.0), (2, 2.0), (3, 4.0), (6, 32.0)])
def test_delay_doubles_from_failure_to_failure(failures: int, delay: float) -> None:
    assert policy().delay(failures) == delay


@pytest.mark.parametrize("backoff, factor, delay", [
    (1.0, 0.8, 1.6), (1.0, 1.2, 2.4), (0.25, 1.0, 0.5), (0, 1.2, 0.0), (3, 1.0, 6.0),
])
def test_delay_is_backoff_times_the_drawn_factor(
    backoff: float, factor: float, delay: float
) -> None:
    assert policy(backoff=backoff, factor=factor).delay(2) == delay


def test_delay_is_a_float_of_any_number_of_failures() -> None:
    assert type(policy(backoff=1, factor=1).delay(1)) is float
    assert policy(backoff=0.0).delay(5000) == 0.0
    assert policy().delay(21) == policy().delay(22) == policy().delay(5000) == 2.0 ** 20
    assert policy().delay(20) == 2.0 ** 19


def test_drawn_factor_is_between_four_and_six_fifths() -> None:
    drawn = [Policy().draw() for _ in range(2000)]
    assert 0.8 <= min(drawn) < 0.85
    assert 1.15 < max(drawn) <= 1.2


def test_two_retries_after_a_second_are_usual() -> None:
    assert (Policy().retries, Policy().backoff) == (2, 1.0)


# Transient failures


@pytest.mark.parametrize("error", [
    BROKEN,
    ProtocolError("words", http_status=200, retryable=True),
    PartUploadError("words", http_status=503, retryable=True),
    refused(status=500), refused(status=502), refused(status=503), refused(status=504),
    refused(850027), refused(999, status=500),
])
@pytest.mark.parametrize("retries, expected", [
    (0, []), (1, [1.0]), (2, [1.0, 2.0]), (5, [1.0, 2.0, 4.0, 8.0, 16.0]),
])
def test_transient_failure_is_repeated_as_often_as_retries_says(
    error: UploadError, retries: int, expected: List[float]
) -> None:
    assert delays(Attempts(policy(retries)), error) == expected


@pytest.mark.parametrize("error", [
    FINAL, ProtocolError("words"), PartUploadError("words"), SourceChangedError("words"),
    refused(), refused(status=404), refused(999), refused(850019), refused(40093002),
    refused(850031, status=500), refused(304080), refused(40054005), refused(status=302),
    refused(status=413), refused(100016, status=200),
])
def test_permanent_failure_is_not_repeated(error: UploadError) -> None:
    assert delays(Attempts(policy(9)), error) == []


@pytest.mark.parametrize("error", [refused(11244, status=401), refused(status=401)])
def test_refused_token_is_not_repeated_by_the_count(error: UploadError) -> None:
    assert delays(Attempts(policy(9)), error) == []


@pytest.mark.parametrize("code", [850012, 850026, 40034004, 304082, 304083, 50055001])
@pytest.mark.parametrize("retries, count", [(0, 0), (1, 1), (2, 2), (3, 2), (9, 2)])
def test_some_codes_are_repeated_twice_at_most(code: int, retries: int, count: int) -> None:
    assert delays(Attempts(policy(retries)), refused(code)) == [1.0, 2.0][:count]


@pytest.mark.parametrize("code", [11242, 11252, 11263, 11281])
@pytest.mark.parametrize("retries, count", [(0, 0), (1, 1), (2, 1), (9, 1)])
def test_some_codes_are_repeated_once_at_most(code: int, retries: int, count: int) -> None:
    assert delays(Attempts(policy(retries)), refused(code)) == [1.0][:count]


def test_failures_of_several_kinds_count_together() -> None:
    first, attempts = Attempts(policy(2)).after(BROKEN)
    second, attempts = attempts.after(refused(850012))
    third, _ = attempts.after(BROKEN)
    assert (first, second, third) == (1.0, 2.0, None)


def test_state_is_not_changed_by_asking() -> None:
    attempts = Attempts(policy())
    attempts.after(BROKEN)
    attempts.after(refused(22009))
    assert attempts == Attempts(attempts.policy)
    assert (attempts.failures, attempts.limits, attempts.limited_since) == (0, 0, None)


def test_states_and_policies_are_frozen() -> None:
    with pytest.raises(AttributeError):
        setattr(Attempts(policy()), "failures", 1)
    with pytest.raises(AttributeError):
        setattr(policy(), "retries", 1)


def test_next_state_says_what_was_tried() -> None:
    clock: Any = Clock()
    _, attempts = Attempts(Policy(2, 1.0, lambda: 1.0, clock)).after(BROKEN)
    assert (attempts.failures, attempts.limits, attempts.limited_since) == (1, 0, None)
    clock.now = 1005.0
    _, attempts = attempts.after(refused(22009))
    assert (attempts.failures, attempts.limits, attempts.limited_since) == (1, 1, 1005.0)
    clock.now = 1007.0
    _, attempts = attempts.after(refused(22009))
    assert (attempts.failures, attempts.limits, attempts.limited_since) == (1, 2, 1005.0)


@pytest.mark.parametrize("error", [
    FINAL, refused(11244), refused(22009, retry_after=61.0),
    refused(status=503, retry_after=61.0),
])
def test_refused_repetition_leaves_the_state(error: UploadError) -> None:
    attempts = Attempts(policy())
    delay, same = attempts.after(error)
    assert delay is None
    assert same is attempts


# Calls that may have been carried out


@pytest.mark.parametrize("error", [
    BROKEN, ProtocolError("words", retryable=True), refused(status=500), refused(850027),
    refused(850012), refused(850012, status=500),
])
def test_failure_without_a_clear_refusal_is_not_repeated_if_it_must_not_be(
    error: UploadError
) -> None:
    assert delays(Attempts(policy(9)), error, repeatable=False) == []


@pytest.mark.parametrize("error, count", [
    (refused(11281), 1), (refused(304082), 2),
])
def test_clear_refusal_may_be_repeated_all_the_same(error: UploadError, count: int) -> None:
    assert len(delays(Attempts(policy(9)), error, repeatable=False)) == count


def test_rate_limit_may_be_waited_for_all_the_same() -> None:
    delay, _ = Attempts(policy()).after(refused(22009), repeatable=False)
    assert delay == 1.0


# Retry-After


@pytest.mark.parametrize("asked, delay", [(None, 1.0), (0.0, 1.0), (0.5, 1.0), (1.5, 1.5),
                                          (60.0, 60.0), (60.1, None), (86400.0, None)])
def test_storage_or_gateway_may_ask_for_a_longer_wait(
    asked: Optional[float], delay: Optional[float]
) -> None:
    assert Attempts(policy()).after(refused(status=503, retry_after=asked))[0] == delay


def test_back_off_below_a_second_stays_one_where_no_other_wait_is_asked_for() -> None:
    assert Attempts(policy(backoff=0.1)).after(BROKEN)[0] == 0.1


@pytest.mark.parametrize("asked, delay", [
    (0.0, 0.2), (0.1, 0.2), (0.3, 0.3), (7.0, 7.0), (60.0, 60.0), (60.1, None), (86400.0, None),
])
def test_rate_limit_says_how_long_to_wait(asked: float, delay: Optional[float]) -> None:
    assert Attempts(policy()).after(refused(22009, retry_after=asked))[0] == delay
    assert Attempts(policy()).after(refused(status=429, retry_after=asked))[0] == delay


# By the clock


@pytest.mark.parametrize("error", [refused(22009), refused(status=429), refused(100001)])
def test_rate_limit_is_waited_for_two_minutes_in_all_whatever_retries_says(
    error: UploadError
) -> None:
    expected = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 32.0]  # one more would end after 127 s
    assert delays(Attempts(policy(0)), error) == expected
    assert delays(Attempts(policy(9)), error) == expected


def test_rate_limit_with_retry_after_is_waited_for_two_minutes_in_all() -> None:
    assert delays(Attempts(policy(0)), refused(22009, retry_after=50.0)) == [50.0, 50.0]
    assert delays(Attempts(policy(0)), refused(22009, retry_after=60.0)) == [60.0, 60.0]


def test_rate_limit_is_never_answered_with_a_burst() -> None:
    found = delays(Attempts(policy(0, backoff=0.0)), refused(22009))
    assert set(found) == {0.2}
    assert sum(found) == pytest.approx(120.0, abs=0.21)


@pytest.mark.parametrize("backoff", [3.0, 60.0, 1000.0])
def test_long_backoff_of_the_callers_does_not_give_up_on_a_rate_limit(backoff: float) -> None:
    found = delays(Attempts(policy(0, backoff=backoff)), refused(22009))
    assert 90.0 <= sum(found) <= 120.0
    assert max(found) <= 60.0


def test_time_that_the_calls_themselves_take_counts() -> None:
    clock: Any = Clock()
    attempts = Attempts(Policy(0, 1.0, lambda: 1.0, clock))
    _, attempts = attempts.after(refused(40093001))
    clock.now += 119.0
    assert attempts.after(refused(40093001))[0] == 1.0
    clock.now += 0.1
    assert attempts.after(refused(40093001))[0] is None


def test_busy_platform_is_asked_every_second_for_two_minutes() -> None:
    for backoff in (0.0, 1.0, 50.0):
        found = delays(Attempts(policy(0, backoff=backoff)), refused(40093001))
        assert found == [1.0] * 120


def test_busy_platform_may_say_how_long_to_wait() -> None:
    assert Attempts(policy()).after(refused(40093001, retry_after=7.0))[0] == 7.0
    assert Attempts(policy()).after(refused(40093001, retry_after=0.0))[0] == 0.2
    assert Attempts(policy()).after(refused(40093001, retry_after=61.0))[0] is None


def test_waits_by_the_clock_do_not_use_up_retries() -> None:
    attempts = Attempts(policy(1))
    for _ in range(3):
        _, attempts = attempts.after(refused(22009))
    delay, attempts = attempts.after(BROKEN)
    assert delay == 1.0
    assert attempts.after(BROKEN)[0] is None


# Stopping


def test_abort_that_was_not_set_stops_nothing() -> None:
    stop = StopSignal()
    stop.check()
    stop.wait(0.0)
    assert not stop.is_set()


def test_abort_that_was_set_stops_everything() -> None:
    stop = StopSignal()
    stop.set()
    stop.set()
    assert stop.is_set()
    with pytest.raises(Aborted):
        stop.check()
    with pytest.raises(Aborted):
        stop.wait(60.0)


def test_wait_takes_as_long_as_it_was_told() -> None:
    began = time.monotonic()
    StopSignal().wait(0.05)
    assert 0.045 <= time.monotonic() - began < 2.0


def test_abort_ends_a_wait_at_once() -> None:
    stop = StopSignal()
    ended: List[bool] = []

    def wait() -> None:
        try:
            stop.wait(50.0)
        except Aborted:
            ended.append(True)

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.02)
    stop.set()
    thread.join(2.0)
    assert ended == [True]
    assert not thread.is_alive()


def test_stop_signal_is_no_upload_error() -> None:
    assert not issubclass(Aborted, UploadError)


def test_second_stop_wants_no_lock_that_an_interrupt_of_the_first_left_taken() -> None:
    stop = StopSignal()
    stop.set()
    with stop._event._cond:  # type: ignore[attr-defined]
        stop.set()
        assert stop.is_set()
