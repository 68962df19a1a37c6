"""The recovery matrix for calls to the API: each fault in each stage, over http and https."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, Iterator, Mapping, Optional, Tuple, Type

import pytest

from qqchunk import (
    ApiError,
    AuthenticationError,
    ProtocolError,
    TransportError,
    UploadDailyLimitExceededError,
    UploadError,
    UploadFileTooLargeError,
)
from qqchunk.emulator import Fault
from tests.behaviour.recovery import (
    CLEAN,
    DAY,
    FLOOR,
    ONE_PART,
    RETRY_AFTER,
    RETRY_AT,
    STAGES,
    TWO_PARTS,
    Cell,
    Counts,
    Delay,
    Verdicts,
    after_silence,
    backoff,
    play_all,
    product,
    wait,
)

CALLS = ("token", "prepare", "finish", "complete")
TRANSIENT = {"retryable": True}
ONE_REQUEST: Tuple[Delay, ...] = ()


@dataclass(frozen=True)
class Row:
    """A fault that means the same for every call.

    :ivar ever: requests if it never ends
    :ivar delays: between them
    :ivar once: whether the upload succeeds if it strikes once
    """

    name: str
    kind: str
    options: Mapping[str, Any]
    ever: int
    delays: Tuple[Delay, ...]
    error: Type[UploadError]
    facts: Mapping[str, Any] = field(default_factory=dict)
    once: bool = True
    stages: Tuple[str, ...] = CALLS


def broken(name: str, kind: str, **options: Any) -> Row:
    """The connection breaks, or nothing comes."""
    return Row(name, kind, options, 3, backoff(1, 2), TransportError, TRANSIENT)


def failing(name: str, status: int, **options: Any) -> Row:
    """The gateway answers with its HTML page."""
    return Row(name, "status", dict(options, status=status), 3, backoff(1, 2), ApiError,
               {"http_status": status, "retryable": True})


def garbled(name: str, kind: str, **options: Any) -> Row:
    """A good status, and nothing good in it."""
    return Row(name, kind, dict(options, processed=False), 3, backoff(1, 2), ProtocolError,
               {"http_status": 200, "retryable": True})


def final(
    name: str, code: Optional[int], error: Type[UploadError] = ApiError,
    stages: Tuple[str, ...] = CALLS[1:], kind: str = "code", facts: Mapping[str, Any] = {},
    **options: Any
) -> Row:
    """A refusal that is final: the first request is the last."""
    options = options if code is None else dict(options, code=code)
    given = {"http_status": 400, "code": code, **facts}
    return Row(name, kind, options, 1, ONE_REQUEST, error, given, once=False, stages=stages)


def limited(name: str, **options: Any) -> Row:
    """A 429 that says when to come again."""
    facts = {"http_status": 429, "retryable": True, "retry_after": RETRY_AFTER}
    return Row(name, "status", dict(options, status=429), 2, wait(RETRY_AFTER), ApiError, facts)


def far_off(name: str, status: int) -> Row:
    """More patience is asked for than an upload has."""
    return final(name, None, kind="status", status=status, retry_after=DAY, stages=CALLS,
                 facts={"http_status": status, "retryable": True, "retry_after": float(DAY)})


FLOORED = wait(FLOOR, FLOOR)  # a third one would pass MOST_RATE_WAIT

ROWS = (
    broken("reset before the body", "reset_before"),
    broken("reset in the middle of the body", "reset_midway"),
    broken("reset after the body", "reset_unprocessed"),
    broken("closed without a reply", "close"),
    broken("silence", "silence"),
    limited("429 with seconds", retry_after=RETRY_AFTER),
    limited("429 with a date", retry_after=RETRY_AT),
    Row("429 without a word", "status", {"status": 429}, 3, FLOORED, ApiError,
        {"http_status": 429, "retryable": True}),
    Row("22009", "code", {"code": 22009}, 3, FLOORED, ApiError,
        {"http_status": 429, "code": 22009, "err_code": 22009, "retryable": True}),
    far_off("429 of a day", 429),
    far_off("503 of a day", 503),
    failing("500", 500), failing("502 HTML", 502), failing("503", 503), failing("504", 504),
    garbled("200 with HTML", "html_200"),
    broken("cut reply", "cut_reply", processed=False),
    broken("cut status line", "cut_reply", processed=False, where="status"),
    garbled("list instead of an object", "wrong_shape", body=[]),
    final("200 with a code", 10000, status=200, stages=CALLS,
          facts={"http_status": 200, "err_code": 40011000}),
    final("403", None, kind="status", status=403, stages=CALLS, facts={"http_status": 403}),
    final("413 HTML", None, UploadFileTooLargeError, kind="status", status=413, stages=CALLS,
          facts={"http_status": 413}),
    final("redirect", None, kind="status", status=302, location="/elsewhere", stages=CALLS,
          facts={"http_status": 302}),
    final("850019", 850019, facts={"err_code": 40034002}),
    final("850031", 850031, UploadFileTooLargeError, facts={"err_code": 850031}),
    final("40093002", 40093002, UploadDailyLimitExceededError, facts={"err_code": 40093002}),
    final("100016", 100016, stages=("token",), facts={"http_status": 200}),
    final("11244 for the token", 11244, stages=("token",),
          facts={"http_status": 401, "err_code": 40011027}),
    Row("850012", "code", {"code": 850012}, 3, backoff(1, 2), ApiError,
        {"http_status": 500, "code": 850012, "retryable": True}),
    Row("11281", "code", {"code": 11281}, 2, backoff(1), ApiError,
        {"http_status": 500, "code": 11281, "err_code": 11281, "retryable": True}),
    Row("100001", "code", {"code": 100001}, 3, FLOORED, ApiError,
        {"http_status": 200, "code": 100001, "retryable": True}, stages=("token",)),
    Row("40093001", "busy", {}, 3, FLOORED, ApiError,
        {"http_status": 400, "code": 40093001, "err_code": 40093001, "retryable": True},
        stages=("prepare", "complete")),
    Row("empty body", "empty_body", {"processed": False}, 3, backoff(1, 2), ProtocolError,
        {"http_status": 200, "retryable": True}, stages=("token", "prepare", "complete")),
    Row("object of the wrong shape", "wrong_shape", {"body": {"some": "thing"}}, 1, ONE_REQUEST,
        ProtocolError, {"http_status": 200}, once=False, stages=("token", "prepare", "complete")),
)


def counted(stage: str, number: int, parts: int) -> Counts:
    """All requests of an upload that ends at *stage* after so many requests there."""
    before = {"token": 1, "prepare": 1, "put": parts, "finish": parts}
    reached = STAGES.index(stage)
    counts = [before.get(s, 0) if i < reached else 0 for i, s in enumerate(STAGES)]
    counts[reached] = number
    return counts[0], counts[1], counts[2], counts[3], counts[4]


def plus(counts: Counts, **more: int) -> Counts:
    changed: Dict[str, Any] = dict(zip(STAGES, counts))
    for stage, number in more.items():
        changed[stage] += number
    return tuple(changed.values())


def api_cells() -> Iterator[Cell]:
    for row in ROWS:
        for stage in row.stages:
            error = row.error
            if stage == "token" and error is ApiError and not row.facts.get("retryable"):
                # What is final about credentials is about them; a redirect is not.
                error = ApiError if row.facts["http_status"] == 302 else AuthenticationError
            size = ONE_PART if stage == "finish" else TWO_PARTS
            delays = after_silence(1, 2) if row.kind == "silence" else row.delays
            yield Cell(
                f"{row.name} for ever", stage, (Fault(stage, row.kind, times=None, **row.options),),
                counted(stage, row.ever, 1 if stage == "finish" else 2), error, row.facts,
                delays, size)
            if row.once:
                yield Cell(
                    f"{row.name} once", stage,
                    (Fault(stage, row.kind, part=1 if stage == "finish" else None, **row.options),),
                    plus(CLEAN, **{stage: 1}), delays=delays[:1])


def refused_cells() -> Iterator[Cell]:
    for stage in CALLS:
        size = ONE_PART if stage == "finish" else TWO_PARTS
        yield Cell(
            "refused for ever", stage, (), counted(stage, 0, 1 if stage == "finish" else 2),
            TransportError, TRANSIENT, backoff(1, 2), size, refused=None, attempts=3)
        attempts = 3 if stage == "finish" else 2
        yield Cell("refused once", stage, (), CLEAN, refused=1, attempts=attempts)


def token_cells() -> Iterator[Cell]:
    """A token that is refused is fetched anew, and the call made again, at once and only once."""
    facts = {"http_status": 401, "code": 11244, "err_code": 40011027}
    for stage in ("prepare", "finish", "complete"):
        yield Cell(
            "11244 once", stage, (Fault(stage, "code", code=11244),),
            plus(CLEAN, token=1, **{stage: 1}), delays=wait(0.0))
        parts = 1 if stage == "finish" else 2
        yield Cell(
            "11244 for ever", stage, (Fault(stage, "code", code=11244, times=None),),
            plus(counted(stage, 2, parts), token=1), AuthenticationError, facts, wait(0.0),
            ONE_PART if stage == "finish" else TWO_PARTS)


CELLS = [*api_cells(), *refused_cells(), *token_cells()]


@pytest.fixture(scope="module")
def verdicts(request: pytest.FixtureRequest) -> Verdicts:
    return play_all(CELLS, request)


@pytest.mark.timeout(180)  # the first of them waits for all
@pytest.mark.parametrize("cell, scheme", product(CELLS, lambda c: c.fault_name))
def test_call_recovers_or_fails_as_stated(cell: Cell, scheme: str, verdicts: Verdicts) -> None:
    verdicts[str(cell), scheme].result()
