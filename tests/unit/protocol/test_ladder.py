"""What follows an answer, as tables: a row for each of the platform's errors at each stage."""

from __future__ import annotations

import itertools
import json
from datetime import datetime, timezone
from typing import Any, List, Optional, Tuple

import pytest

from qqchunk.errors import (
    Again,
    ApiError,
    PartFinishTimeoutError,
    ProtocolError,
    SourceChangedError,
    TransportError,
    UploadError,
)
from qqchunk.protocol.ladder import CallState, Next, PartState, Step
from qqchunk.protocol.replies import read_reply, storage_refusal
from qqchunk.protocol.retry import Policy
from qqchunk.protocol.values import Call

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=timezone.utc)
START = 1000.0  # the monotonic time at which everything begins

BROKEN = TransportError("words", again=Again.BACKOFF, ambiguous=True)
UNSENT = TransportError("words", again=Again.BACKOFF)
UNTRUSTED = TransportError("words")


def refused(
    code: Optional[int] = None, status: int = 400, *, stage: str = "prepare",
    retry_after: Optional[float] = None,
) -> UploadError:
    """The exception for such a reply."""
    body = json.dumps({} if code is None else {"err_code": code}).encode()
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    with pytest.raises(UploadError) as caught:
        read_reply(Call(stage, "/", {}, "a.mp4", 5), status, headers, body, NOW)
    return caught.value


def at_storage(status: int, code: str = "", retry_after: Optional[float] = None) -> UploadError:
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return storage_refusal(
        status, headers, f"<Error><Code>{code}</Code></Error>".encode(), NOW, attempt=1,
        name="part 1 of 2", part_index=1, file_name="a.mp4", file_size=5)


def policy(retries: int = 2, backoff: float = 1.0) -> Policy:
    return Policy(retries, backoff, lambda: 1.0)


def call(stage: str = "prepare", retries: int = 2, backoff: float = 1.0, **facts: Any) -> CallState:
    return CallState(stage, policy(retries, backoff), **facts)


def run(state: CallState, error: UploadError) -> Tuple[List[float], Step]:
    """Every wait while each attempt ends in the same error, and the step in the end."""
    waits: List[float] = []
    now = START
    while len(waits) < 2000:
        after = state.failed(error, now)
        if after.step is not Step.CALL:
            return waits, after.step
        waits.append(after.due - now)
        now, state = after.due, after.state
    raise AssertionError("it never ends")


CALLS = ("token", "prepare", "finish", "complete", "url", "message")
TWICE, ONCE = [1.0, 2.0], [1.0]
RATE = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 32.0]  # one more would end after two minutes
BUSY = [1.0] * 120

# The waits of a repeatable call with retries=2 and backoff=1 at each of these stages.
NO: List[float] = []
ROWS = [
    # codes, HTTP status, stages, waits
    ((40093001,), 400, ("prepare", "complete"), BUSY),
    ((40093002,), 400, ("prepare", "finish", "complete"), NO),
    ((850012,), 500, ("prepare", "complete"), TWICE),
    ((850018,), 400, ("complete", "message"), NO),
    ((850019, 40034002), 400, ("prepare", "complete"), NO),
    ((850026, 40034001), 400, ("url",), TWICE),
    ((850027,), 400, ("prepare", "finish", "url", "message"), TWICE),
    ((850027,), 400, ("complete",), [1.0, 2.0, 4.0, 8.0, 16.0]),
    ((850031,), 400, ("prepare", "complete"), NO),
    ((40034004,), 400, ("complete", "message"), TWICE),
    ((40093010,), 400, ("url",), NO),
    ((10000, 10998, 40011000), 400, CALLS, NO),
    ((11255, 40011028), 400, CALLS, NO),
    ((11298, 40023002), 401, CALLS, NO),
    ((11242, 11252, 11263, 11281), 400, CALLS, ONCE),
    ((11245, 11251, 11253, 11254, 11261, 11262, 11264, 11265, 11273, 11274, 11275, 11282), 400,
     CALLS, NO),
    ((12001, 12002, 12003, 50006, 1100100, 1100101, 1100102, 1100103, 1100104), 400, CALLS, NO),
    ((100001,), 200, ("token",), RATE),
    ((100007, 100016, 10004, 100002), 200, ("token",), NO),
    ((22009,), 400, CALLS, RATE),
    ((40034032,), 400, ("message",), NO),
    ((304082, 304083, 50055001, 50055002, 40054006), 400, ("message",), TWICE),
    ((40034005, 40034128, 304103, 40034024, 40034025, 40034026, 40034027, 304026, 304027), 400,
     ("message",), NO),
    ((40034006, 40034101, 40054003, 40054002, 40054004, 40054007, 40054010, 40054013, 40054016,
      40054018, 22006, 304010, 304017, 304020, 304021), 400, ("message",), NO),
    ((40034105, 40034100, 40054005), 400, ("message",), NO),
    ((None,), 429, CALLS, RATE),
    ((None, 999), 400, CALLS, NO), ((None, 999), 404, CALLS, NO), ((None,), 302, CALLS, NO),
    ((None,), 413, CALLS, NO), ((999,), 200, CALLS, NO),
    ((None, 999), 500, CALLS, TWICE), ((None,), 502, CALLS, TWICE), ((None,), 504, CALLS, TWICE),
]


@pytest.mark.parametrize("codes, status, stages, waits", ROWS)
def test_call_is_repeated_as_its_row_says(
    codes: Tuple[Optional[int], ...], status: int, stages: Tuple[str, ...], waits: List[float]
) -> None:
    for code, stage in itertools.product(codes, stages):
        found, step = run(call(stage), refused(code, status, stage=stage))
        assert found == waits, (code, stage)
        fresh = stage == "complete" and code == 850027
        assert step is (Step.PREPARE if fresh else Step.FAIL), (code, stage)


@pytest.mark.parametrize("error", [
    BROKEN, UNSENT, ProtocolError("no JSON", again=Again.BACKOFF, ambiguous=True)])
@pytest.mark.parametrize("stage", CALLS)
@pytest.mark.parametrize("retries, waits", [
    (0, []), (1, [1.0]), (2, [1.0, 2.0]), (5, [1.0, 2.0, 4.0, 8.0, 16.0]),
])
def test_broken_exchange_is_repeated_as_often_as_retries_says(
    error: UploadError, stage: str, retries: int, waits: List[float]
) -> None:
    assert run(call(stage, retries), error) == (waits, Step.FAIL)


@pytest.mark.parametrize("error", [
    UNTRUSTED, ProtocolError("words"), SourceChangedError("words"), UploadError("words")])
@pytest.mark.parametrize("stage", CALLS)
def test_what_is_final_ends_the_call(error: UploadError, stage: str) -> None:
    assert run(call(stage, retries=9), error) == ([], Step.FAIL)


@pytest.mark.parametrize("code, most", [(850012, 2), (40034004, 2), (11281, 1), (11242, 1)])
@pytest.mark.parametrize("retries", [0, 1, 2, 9])
def test_row_with_a_number_never_means_more_than_retries(
    code: int, most: int, retries: int
) -> None:
    assert len(run(call(retries=retries), refused(code))[0]) == min(most, retries)


@pytest.mark.parametrize("error, waits", [(refused(22009), RATE), (refused(40093001), BUSY)])
@pytest.mark.parametrize("retries", [0, 9])
def test_what_goes_by_the_clock_does_not_go_by_retries(
    error: UploadError, waits: List[float], retries: int
) -> None:
    assert run(call(retries=retries), error) == (waits, Step.FAIL)


@pytest.mark.parametrize("retries, repeats", [(0, 0), (1, 5), (2, 5), (9, 5)])
@pytest.mark.parametrize("last, end", [(False, Step.PREPARE), (True, Step.FAIL)])
def test_complete_that_timed_out_is_repeated_five_times_and_then_prepared_anew(
    retries: int, repeats: int, last: bool, end: Step
) -> None:
    waits, step = run(call("complete", retries, last=last), refused(850027))
    assert (len(waits), step) == (repeats, end)


def test_failures_of_several_kinds_count_together() -> None:
    state = call()
    for error, delay in ((BROKEN, 1.0), (refused(850012), 2.0)):
        after = state.failed(error, START)
        assert (after.step, after.due) == (Step.CALL, START + delay)
        state = after.state
    assert state.failed(BROKEN, START).step is Step.FAIL


def test_waits_by_the_clock_use_up_no_retries() -> None:
    state = call(retries=1)
    for _ in range(3):
        state = state.failed(refused(22009), START).state
    after = state.failed(BROKEN, START)
    assert (after.step, after.due) == (Step.CALL, START + 1.0)
    assert after.state.failed(BROKEN, START).step is Step.FAIL


def test_time_that_the_calls_themselves_take_counts_against_the_clock() -> None:
    state = call().failed(refused(40093001), START).state
    assert state.failed(refused(40093001), START + 119.0).step is Step.CALL
    assert state.failed(refused(40093001), START + 119.1).step is Step.FAIL


# Retry-After


@pytest.mark.parametrize("error, waits", [
    (refused(status=503, retry_after=0), [1.0, 2.0]),
    (refused(status=503, retry_after=7), [7.0, 7.0]),
    (refused(status=503, retry_after=60), [60.0, 60.0]),
    (refused(status=503, retry_after=61), []),
    (refused(status=429, retry_after=50), [50.0, 50.0]),
    (refused(22009, retry_after=60), [60.0, 60.0]),
    (refused(22009, retry_after=61), []),
    (refused(40093001, retry_after=61), []),
])
def test_retry_after_is_kept_up_to_a_minute(error: UploadError, waits: List[float]) -> None:
    assert run(call(), error) == (waits, Step.FAIL)


def test_busy_platform_may_say_how_long_to_wait() -> None:
    assert call().failed(refused(40093001, retry_after=7), START).due == START + 7.0


def test_body_of_a_429_may_say_how_long_to_wait() -> None:
    with pytest.raises(ApiError) as caught:
        read_reply(Call("prepare", "/", {}), 429, {}, b'{"retry_after": 3.5}', NOW)
    assert call().failed(caught.value, START).due == START + 3.5


# Tokens


@pytest.mark.parametrize("error", [refused(11244, 401), refused(40011027), refused(None, 401)])
@pytest.mark.parametrize("stage", ["prepare", "finish", "complete", "url", "message"])
def test_refused_token_is_replaced_once_at_once(error: UploadError, stage: str) -> None:
    assert run(call(stage), error) == ([0.0], Step.FAIL)
    assert run(call(stage, repeatable=False), error) == ([0.0], Step.FAIL)
    assert run(call(stage, renewable=False), error) == ([], Step.FAIL)


@pytest.mark.parametrize("error", [
    refused(None, 503, stage="token"), TransportError("words", stage="token", again=Again.BACKOFF)])
def test_token_that_cannot_be_fetched_has_had_its_own_attempts(error: UploadError) -> None:
    assert run(call("finish"), error) == ([], Step.FAIL)


# Calls that may have been carried out


@pytest.mark.parametrize("error", [
    BROKEN, ProtocolError("words", again=Again.BACKOFF, ambiguous=True), refused(None, 500),
    refused(850027), refused(850012, 500), refused(50055002), refused(40054006),
])
def test_message_that_may_have_been_sent_is_repeated_only_if_the_platform_knows_repeats(
    error: UploadError
) -> None:
    assert run(call("message", repeatable=False), error) == ([], Step.FAIL)
    assert run(call("message"), error) == (TWICE, Step.FAIL)


@pytest.mark.parametrize("error, count", [
    (UNSENT, 2), (refused(11281), 1), (refused(304082), 2), (refused(22009), 7)])
def test_message_that_was_not_sent_is_repeated_all_the_same(error: UploadError, count: int) -> None:
    assert len(run(call("message", repeatable=False), error)[0]) == count


@pytest.mark.parametrize("replayed, step", [(True, Step.DONE), (False, Step.FAIL)])
def test_duplicate_after_a_lost_reply_means_sent(replayed: bool, step: Step) -> None:
    state = call("message")
    if replayed:
        state = state.failed(BROKEN, START).state
    assert state.failed(refused(40054005, stage="message"), START).step is step


def test_expired_file_info_means_another_upload() -> None:
    assert call("message").failed(refused(304080), START).step is Step.UPLOAD


REFUSALS = [refused(10000), refused(None, 404), refused(10000, 200), refused(850019)]


@pytest.mark.parametrize("error", REFUSALS)
@pytest.mark.parametrize("stage, last, replayed, step", [
    ("complete", False, True, Step.PREPARE), ("complete", True, True, Step.FAIL),
    ("complete", False, False, Step.FAIL), ("finish", False, True, Step.DONE),
    ("finish", True, True, Step.DONE), ("finish", False, False, Step.FAIL),
    ("prepare", False, True, Step.FAIL), ("message", False, True, Step.FAIL),
])
def test_refusal_of_a_replay_leads_on_where_the_call_may_have_been_carried_out(
    error: UploadError, stage: str, last: bool, replayed: bool, step: Step
) -> None:
    state = call(stage, last=last)
    if replayed:
        state = state.failed(BROKEN, START).state
    assert state.failed(error, START).step is step


@pytest.mark.parametrize("error", [refused(40093002), refused(850031), refused(None, 413)])
@pytest.mark.parametrize("stage", ["finish", "complete"])
def test_refusal_about_a_limit_ends_a_replay_too(error: UploadError, stage: str) -> None:
    state = call(stage).failed(BROKEN, START).state
    assert state.failed(error, START).step is Step.FAIL


def test_state_is_not_changed_by_asking() -> None:
    state = call()
    before = repr(state)
    state.failed(BROKEN, START)
    assert repr(state) == before
    with pytest.raises(AttributeError):
        setattr(state, "replayed", True)


# Parts: putting


def part(*, last: bool = False, retries: int = 2, **facts: Any) -> PartState:
    return PartState(
        3, "part 3 of 7", call("finish", retries, last=last), retry_timeout=10.0, retry_delay=1.0,
        prepared_at=START, **facts)


def put_in_vain(state: PartState, error: UploadError) -> Tuple[List[float], Step]:
    waits: List[float] = []
    now = START
    while len(waits) < 2000:
        after = state.put_failed(error, now)
        if after.step is not Step.PUT:
            return waits, after.step
        waits.append(after.due - now)
        now, state = after.due, after.state
    raise AssertionError("it never ends")


PUT_ROWS = [
    (at_storage(403, "AccessDenied"), [], Step.PREPARE),
    (at_storage(403, "SignatureDoesNotMatch"), [], Step.PREPARE),
    (at_storage(429), RATE, Step.FAIL),
    (at_storage(503, "SlowDown"), RATE, Step.FAIL),
    (at_storage(429, retry_after=61), [], Step.FAIL),
    (at_storage(400, "RequestTimeout"), TWICE, Step.PREPARE),
    (at_storage(400, "IncompleteBody"), TWICE, Step.PREPARE),
    (at_storage(400, "BadDigest"), TWICE, Step.PREPARE),
    (at_storage(408), TWICE, Step.PREPARE),
    (at_storage(500), TWICE, Step.PREPARE),
    (at_storage(503, retry_after=7), [7.0, 7.0], Step.PREPARE),
    (at_storage(503, retry_after=61), [], Step.FAIL),
    (BROKEN, TWICE, Step.PREPARE),
    (UNSENT, TWICE, Step.PREPARE),
    (at_storage(400, "MalformedXML"), [], Step.FAIL),
    (at_storage(404), [], Step.FAIL),
    (at_storage(413), [], Step.FAIL),
    (at_storage(302), [], Step.FAIL),
    (UNTRUSTED, [], Step.FAIL),
    (SourceChangedError("words"), [], Step.FAIL),
]


@pytest.mark.parametrize("error, waits, step", PUT_ROWS)
@pytest.mark.parametrize("last", [False, True])
def test_put_is_repeated_as_its_row_says(
    error: UploadError, waits: List[float], step: Step, last: bool
) -> None:
    expected = Step.FAIL if last else step
    assert put_in_vain(part(last=last), error) == (waits, expected)


@pytest.mark.parametrize("retries", [0, 1, 5])
def test_put_is_repeated_on_one_url_as_often_as_retries_says(retries: int) -> None:
    waits, step = put_in_vain(part(retries=retries), BROKEN)
    assert (len(waits), step) == (retries, Step.PREPARE)


@pytest.mark.parametrize("error, step", [
    (BROKEN, Step.PREPARE), (at_storage(500), Step.PREPARE), (at_storage(403), Step.PREPARE),
    (at_storage(429), Step.PUT), (at_storage(404), Step.FAIL), (UNTRUSTED, Step.FAIL),
])
def test_failure_on_a_url_older_than_50_minutes_is_the_urls(
    error: UploadError, step: Step
) -> None:
    assert part().put_failed(error, START + 3000.1).step is step
    assert part().put_failed(BROKEN, START + 3000.0).step is Step.PUT


def test_part_that_was_sent_is_to_be_finished_at_once() -> None:
    after = part().sent(START)
    assert (after.step, after.due) == (Step.FINISH, START)


# Parts: confirming


BUSY_PART = refused(40093001, stage="finish")


def poll(state: PartState, now: float) -> Tuple[List[float], Next[PartState]]:
    """The moments of the polls from *now* on while the part is busy, and what follows them."""
    state = state.sent(now).state
    moments: List[float] = []
    while True:
        moments.append(now)
        after = state.finish_failed(BUSY_PART, now)
        if after.step is not Step.FINISH:
            return moments, after
        state, now = after.state, after.due


def test_busy_part_is_polled_sent_again_and_prepared_anew_within_one_retry_timeout() -> None:
    moments, after = poll(part(), START)
    assert moments == [START + n for n in range(9)]  # the last at 0.8 of the time
    assert (after.step, after.state.sent_again, after.state.polled) == (Step.PUT, True, 8.0)
    moments, after = poll(after.state, START + 20.0)
    assert moments == [START + 20.0, START + 21.0]  # up to 0.9
    assert (after.step, after.state.polled) == (Step.PREPARE, 9.0)
    assert isinstance(after.error, PartFinishTimeoutError)
    again = part(last=True).after_another_plan(after.state.polling_ended(START + 20.0))
    moments, after = poll(again, START + 40.0)
    assert moments == [START + 40.0, START + 41.0]
    assert after.step is Step.FAIL
    error = after.error
    assert isinstance(error, PartFinishTimeoutError)
    assert (error.part_index, error.waited, error.code) == (3, 10.0, None)
    assert (error.err_code, error.http_status, error.retryable) == (40093001, 400, True)
    assert "part 3 of 7" in str(error) and "for 10 s" in str(error)


def test_last_poll_comes_when_the_time_is_up() -> None:
    state = part(polled=0.0)
    state = PartState(3, "p", call("finish"), 1.5, 1.0, START)
    assert poll(state, START)[0] == [START, START + 1.0, pytest.approx(START + 1.2)]


def test_part_of_a_fresh_plan_that_was_never_busy_is_sent_again_first() -> None:
    _, after = poll(part(last=True), START)
    assert (after.step, after.state.polled) == (Step.PUT, 9.0)


def test_each_poll_is_a_new_call() -> None:
    state = part(retries=1).sent(START).state
    for _ in range(3):
        after = state.finish_failed(BROKEN, START)
        assert after.step is Step.FINISH
        after = after.state.finish_failed(BUSY_PART, START)
        assert (after.step, after.due) == (Step.FINISH, START + 1.0)
        state = after.state


def test_token_that_ends_between_two_polls_is_replaced_each_time() -> None:
    state = part().sent(START).state
    for _ in range(3):
        after = state.finish_failed(refused(11244, 401), START)
        assert (after.step, after.due) == (Step.FINISH, START)
        state = after.state.finish_failed(BUSY_PART, START).state


@pytest.mark.parametrize("error, step", [
    (refused(40093002), Step.FAIL), (refused(10000), Step.FAIL), (refused(None, 500), Step.FINISH),
    (BROKEN, Step.FINISH), (refused(22009), Step.FINISH), (refused(11244, 401), Step.FINISH),
])
def test_finish_goes_by_the_rules_of_any_call(error: UploadError, step: Step) -> None:
    assert part().sent(START).state.finish_failed(error, START).step is step


@pytest.mark.parametrize("error", REFUSALS)
def test_replayed_finish_that_is_refused_is_left_for_complete(error: UploadError) -> None:
    state = part().sent(START).state.finish_failed(BROKEN, START).state
    after = state.finish_failed(error, START)
    assert (after.step, after.error) == (Step.DONE, error)


def test_finish_found_busy_after_a_lost_answer_is_still_a_replayed_one() -> None:
    state = part().sent(START).state.finish_failed(BROKEN, START).state
    for _ in range(3):
        state = state.finish_failed(BUSY_PART, START + 1.0).state
    after = state.finish_failed(refused(10000), START + 2.0)
    assert after.step is Step.DONE


def test_each_poll_has_all_the_attempts() -> None:
    state = part().sent(START).state
    for _ in range(3):
        after = state.finish_failed(BROKEN, START).state.finish_failed(BROKEN, START)
        assert after.step is Step.FINISH
        state = after.state.finish_failed(BUSY_PART, START).state


def test_another_put_makes_the_finish_a_new_one() -> None:
    state = part().sent(START).state.finish_failed(BROKEN, START).state
    assert state.sent(START).state.finish_failed(refused(10000), START).step is Step.FAIL


def test_confirmed_part_is_done_and_keeps_its_time_of_polling() -> None:
    state = part().sent(START).state.finish_failed(BUSY_PART, START).state
    after = state.confirmed(START + 3.0)
    assert (after.step, after.error, after.state.polled) == (Step.DONE, None, 3.0)
    assert after.state.polled_until(START + 9.0) == 3.0


def test_puts_are_counted_over_all_plans() -> None:
    first = part().being_put().being_put()
    second = part(last=True).after_another_plan(first).being_put()
    assert (first.puts, second.puts, second.sent_again) == (2, 3, False)


def test_part_that_was_never_confirmed_ends_with_the_last_answer_and_what_helps() -> None:
    busy = ApiError(
        "busy", http_status=400, code=7, err_code=40093001, trace_id="T", file_name="a.mp4",
        file_size=5, again=Again.BUSY)
    state = part(last=True, sent_again=True, polled=9.4).sent(START).state
    after = state.finish_failed(busy, START).state.finish_failed(busy, START + 0.6)
    error = after.error
    assert isinstance(error, PartFinishTimeoutError)
    assert after.step is Step.FAIL
    assert str(error) == (
        "a.mp4, finish: part 3 of 7: the platform answered 40093001 (busy or failed) for 10 s, "
        "also after the part was sent again - try again later")
    assert (error.stage, error.http_status, error.code, error.err_code, error.trace_id) == (
        "finish", 400, 7, 40093001, "T")
    assert (error.part_index, error.retryable) == (3, True)
    assert error.waited == pytest.approx(10.0)


def test_time_of_polling_under_an_earlier_plan_counts_up_to_its_end() -> None:
    state = part(polled=1.0, puts=2).sent(START).state.finish_failed(BUSY_PART, START).state
    after = part(last=True).after_another_plan(state.polling_ended(START + 3.0))
    assert (after.polled, after.sent_again, after.puts) == (4.0, True, 2)


SENT = part().sent(START).state
SPENT = part(sent_again=True, polled=9.0).sent(START).state.finish_failed(BUSY_PART, START).state
POLLED = part().sent(START).state.finish_failed(BUSY_PART, START).state


@pytest.mark.parametrize("after, step, due", [
    (part().put_failed(BROKEN, START), Step.PUT, START + 1.0),
    (part().put_failed(at_storage(403), START), Step.PREPARE, START),
    (part(retries=0).put_failed(BROKEN, START), Step.PREPARE, START),
    (part().put_failed(BROKEN, START + 3001.0), Step.PREPARE, START + 3001.0),
    (part(last=True).put_failed(at_storage(403), START), Step.FAIL, START),
    (part().put_failed(at_storage(404), START), Step.FAIL, START),
    (SENT.finish_failed(BROKEN, START), Step.FINISH, START + 1.0),
    (SENT.finish_failed(BUSY_PART, START), Step.FINISH, START + 1.0),
    (SENT.finish_failed(refused(10000), START), Step.FAIL, START),
    (POLLED.finish_failed(BUSY_PART, START + 8.0), Step.PUT, START + 8.0),
    (SPENT.finish_failed(BUSY_PART, START + 1.0), Step.PREPARE, START + 1.0),
])
def test_step_of_a_part_is_due_in_time_and_says_what_led_to_it(
    after: Next[PartState], step: Step, due: float
) -> None:
    assert (after.step, after.due, after.state.index) == (step, due, 3)
    assert isinstance(after.error, UploadError)


def test_fresh_prepare_of_a_call_is_due_at_once_and_says_what_led_to_it() -> None:
    error = refused(850027, stage="complete")
    after = call("complete", retries=0).failed(error, START)
    assert (after.step, after.due, after.error) == (Step.PREPARE, START, error)
    assert after.state.stage == "complete"


def test_part_that_is_sent_again_has_all_attempts_anew() -> None:
    state = part().put_failed(BROKEN, START).state.sent(START).state
    state = state.finish_failed(BUSY_PART, START).state
    after = state.finish_failed(BUSY_PART, START + 8.0)
    assert put_in_vain(after.state, BROKEN) == (TWICE, Step.PREPARE)


REPLAYED = {"replayed": True}


@pytest.mark.parametrize("state, error, step, wait", [
    (call("prepare"), refused(100016, stage="token"), Step.FAIL, 0.0),
    (call("message", **REPLAYED), refused(40054005, stage="message"), Step.DONE, 0.0),
    (call("message"), refused(304080, stage="message"), Step.UPLOAD, 0.0),
    (call("prepare"), refused(11244, 401), Step.CALL, 0.0),
    (call("finish", **REPLAYED), refused(10000, stage="finish"), Step.DONE, 0.0),
    (call("complete", **REPLAYED), refused(850019, stage="complete"), Step.PREPARE, 0.0),
    (call("prepare"), refused(10000), Step.FAIL, 0.0),
    (call("prepare"), BROKEN, Step.CALL, 1.0),
])
def test_step_of_a_call_is_due_in_time_and_says_what_led_to_it(
    state: CallState, error: UploadError, step: Step, wait: float
) -> None:
    after = state.failed(error, START)
    assert (after.step, after.due, after.error) == (step, START + wait, error)
    assert after.state.stage == state.stage


def test_complete_that_timed_out_and_asks_for_over_a_minute_is_the_callers_to_wait_for() -> None:
    assert run(call("complete"), refused(850027, retry_after=61)) == ([], Step.FAIL)
