"""How long to wait between repeats: the policy's delays and the counts of one exchange."""

from __future__ import annotations

from typing import Optional

import pytest

from qqchunk.protocol.retry import Attempts, Policy


def policy(retries: int = 2, backoff: float = 1.0, factor: float = 1.0) -> Policy:
    return Policy(retries, backoff, lambda: factor)


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


# Counts


def test_each_event_gives_the_next_state_and_leaves_the_one_before() -> None:
    first = Attempts()
    assert first.failed() == Attempts(failures=1)
    assert first.limited(7.0) == Attempts(limits=1, limited_since=7.0)
    assert first.limited(7.0).limited(9.0) == Attempts(limits=2, limited_since=7.0)
    assert first == Attempts()


@pytest.mark.parametrize("asked, delay", [
    (None, 1.0), (0.0, 0.2), (0.1, 0.2), (0.3, 0.3), (60.0, 60.0),
])
def test_rate_limit_is_never_answered_with_a_burst(asked: Optional[float], delay: float) -> None:
    assert Attempts(limits=1).rate_delay(policy(), asked) == delay


@pytest.mark.parametrize("limits, delay", [(1, 1.0), (5, 16.0), (6, 32.0), (7, 32.0), (90, 32.0)])
def test_wait_for_a_rate_limit_doubles_up_to_half_a_minute(limits: int, delay: float) -> None:
    assert Attempts(limits=limits).rate_delay(policy(), None) == delay


def test_long_backoff_does_not_make_a_rate_limit_hopeless() -> None:
    assert Attempts(limits=1).rate_delay(policy(backoff=1000.0), None) == 60.0


@pytest.mark.parametrize("since, left", [(None, 120.0), (100.0, 120.0), (80.0, 100.0)])
def test_rate_limit_is_waited_for_two_minutes_in_all(since: Optional[float], left: float) -> None:
    assert Attempts(limited_since=since).rate_time_left(100.0) == left


def test_policies_and_counts_are_frozen() -> None:
    with pytest.raises(AttributeError):
        setattr(Attempts(), "failures", 1)
    with pytest.raises(AttributeError):
        setattr(policy(), "retries", 1)
