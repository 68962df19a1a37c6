"""The recovery matrix for parts: what storage, finish and complete can do to an upload."""

from __future__ import annotations

from typing import Any, List, Mapping, Tuple, Type

import pytest

from qqchunk import ApiError, PartFinishTimeoutError, PartUploadError, TransportError, UploadError
from qqchunk.emulator import Emulator, Fault
from tests.behaviour.recovery import (
    BIG,
    CLEAN,
    DAY,
    FLOOR,
    FRESH,
    ONE_PART,
    RETRY_AFTER,
    RETRY_AT,
    RETRY_DELAY,
    RETRY_TIMEOUT,
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
from tests.support import uploader_for

TRANSIENT = {"retryable": True}
ONE_MORE: Counts = (1, 1, 3, 2, 1)  # one of the two parts went up twice
TWICE_THREE: Counts = (1, 2, (3, 3), 0, 0)  # one part, three times on each of two URLs


def put_fault(kind: str, *, times: Any = 1, **options: Any) -> Tuple[Fault, ...]:
    return (Fault("put", kind, part=1, times=times, **options),)


def transient(
    name: str, kind: str, error: Type[UploadError] = TransportError,
    facts: Mapping[str, Any] = TRANSIENT, *, big: bool = False, **options: Any
) -> List[Cell]:
    """The same URL with back-off, then one fresh prepare, then the error."""
    ladder = after_silence if kind in ("silence", "stop_reading") else backoff
    once: Counts = (1, 1, 2, 1, 1) if big else ONE_MORE
    return [
        Cell(f"{name} once", "put", put_fault(kind, **options), once, delays=ladder(1),
             size=BIG if big else TWO_PARTS),
        Cell(f"{name} for ever", "put", put_fault(kind, times=None, **options), TWICE_THREE,
             error, facts, ladder(1, 2) + FRESH + ladder(1, 2), BIG if big else ONE_PART),
    ]


def answered(name: str, status: int, *, retryable: bool = True, **options: Any) -> List[Cell]:
    """Storage answers that it cannot now."""
    facts = {"http_status": status, "retryable": True, "part_index": 1, "attempts": 6}
    return transient(name, "status", PartUploadError, facts, status=status, **options)


def refusing(name: str, kind: str, **options: Any) -> List[Cell]:
    """A 403: not on that URL again; a fresh prepare at once, once."""
    facts = {"http_status": 403, "retryable": True, "part_index": 1, "attempts": 2}
    big = kind == "early_status"
    once: Counts = (1, 2, (1, 1), 1, 1) if big else (1, 2, (1, 2), 2, 1)
    return [
        Cell(f"{name} once", "put", put_fault(kind, **options), once, delays=FRESH,
             size=BIG if big else TWO_PARTS),
        Cell(f"{name} for ever", "put", put_fault(kind, times=None, **options),
             (1, 2, (1, 1), 0, 0), PartUploadError, facts, FRESH, BIG if big else ONE_PART),
    ]


def final(name: str, status: int, **options: Any) -> List[Cell]:
    """Neither this URL nor another one."""
    facts = {"http_status": status, "part_index": 1, "attempts": 1}
    fault = put_fault("status", status=status, times=None, **options)
    return [Cell(name, "put", fault, (1, 1, 1, 0, 0), PartUploadError, facts)]


# 0.8 of the time for a part, with the last poll at its end; then 0.1 of it twice.
POLLS = (*wait(RETRY_DELAY), Delay(0.0, 0.8 * RETRY_TIMEOUT - RETRY_DELAY))
LAST_POLLS = (Delay(0.0, 0.0), Delay(0.0, 0.1 * RETRY_TIMEOUT))

BUSY = {
    "http_status": 400, "code": 40093001, "err_code": 40093001, "retryable": True,
    "waited": RETRY_TIMEOUT, "part_index": 1,
}


def swallowed(name: str, **options: Any) -> List[Cell]:
    """A 200 from something that is not the storage: only part_finish shows it, by being busy.

    There are three polls after the first PUT and two after each other one.
    """
    facts = dict(BUSY, stage="finish")
    return [
        Cell(f"{name} once", "put", put_fault("status", status=200, **options),
             (1, 1, 2, 4, 1), delays=wait(0.8 * RETRY_TIMEOUT), size=ONE_PART, spare=1),
        Cell(f"{name} for ever", "put", put_fault("status", status=200, times=None, **options),
             (1, 2, (2, 1), 7, 0), PartFinishTimeoutError, facts,
             wait(0.8 * RETRY_TIMEOUT), ONE_PART, spare=3),
    ]


def far_off(status: int) -> Cell:
    facts = {"http_status": status, "retryable": True, "retry_after": float(DAY)}
    return Cell(f"{status} of a day", "put", put_fault("status", status=status, retry_after=DAY),
                (1, 1, 1, 0, 0), PartUploadError, facts)


def limited(name: str, retry_after: object, status: int = 429, **options: Any) -> Cell:
    fault = put_fault("status", status=status, retry_after=retry_after, **options)
    return Cell(name, "put", fault, ONE_MORE, delays=wait(RETRY_AFTER))


def unlimited(name: str, status: int, **options: Any) -> Cell:
    """By the clock, on the same URL, without a fresh prepare."""
    facts = {"http_status": status, "retryable": True, "part_index": 1, "attempts": 3}
    return Cell(name, "put", put_fault("status", status=status, times=None, **options),
                (1, 1, 3, 0, 0), PartUploadError, facts, wait(FLOOR, FLOOR), ONE_PART)


PUT = [
    Cell("refused once", "put", (), CLEAN, delays=backoff(1), refused=1, attempts=2),
    Cell("refused for ever", "put", (), (1, 2, 0, 0, 0), TransportError, TRANSIENT,
         backoff(1, 2) + FRESH + backoff(1, 2), ONE_PART, refused=None, attempts=6),
    *transient("reset before the body", "reset_before"),
    *transient("reset in the middle of the body", "reset_midway", big=True),
    *transient("reset after the body", "reset_unprocessed"),
    *transient("stored and reset", "reset_after"),
    *transient("closed without a reply", "close"),
    *transient("cut status line", "cut_reply", where="status"),
    *transient("silence after the body", "silence"),
    *transient("silence in the body", "stop_reading", big=True),
    limited("429 with seconds", RETRY_AFTER),
    limited("429 with a date", RETRY_AT),
    limited("SlowDown", RETRY_AFTER, status=503, body="<Error><Code>SlowDown</Code></Error>"),
    unlimited("429 for ever", status=429),
    unlimited("SlowDown for ever", status=503, body="<Error><Code>SlowDown</Code></Error>"),
    *answered("400 RequestTimeout", 400, body="<Error><Code>RequestTimeout</Code></Error>"),
    *answered("400 BadDigest", 400, body="<Error><Code>BadDigest</Code></Error>"),
    *answered("400 IncompleteBody", 400, body="<Error><Code>IncompleteBody</Code></Error>"),
    far_off(429),
    far_off(503),
    *answered("408", 408),
    *answered("500", 500),
    *answered("502 HTML", 502, body="<html><title>502 Bad Gateway</title></html>"),
    *answered("503", 503),
    *answered("504", 504),
    *swallowed("200 with an error code", body={"code": 850012, "message": "no"}),
    *swallowed("200 with HTML", body="<html>Welcome to the hotel</html>"),
    *transient("200 before the body ended", "early_200", big=True, at_bytes=65536),
    *refusing("403 expired URL", "expired_url"),
    *refusing("403 signature", "bad_signature"),
    *refusing("early 403", "early_status", at_bytes=65536, linger=5.0),
    Cell("URL expired by the clock", "put", (), (1, 2, (1, 1), 0, 0), PartUploadError,
         {"http_status": 403, "retryable": True, "part_index": 1, "attempts": 2},
         emulator={"url_ttl": 0.0}),
    *final("400", 400),
    *final("404", 404),
    *final("redirect", 302, location="/elsewhere"),
]

FINISH = [
    Cell("40093001 for a while", "finish", (Fault("finish", "busy", part=1, times=2),),
         (1, 1, 2, 4, 1), delays=wait(0.2, 0.2), emulator={"retry_delay": 0.2}),
    Cell("40093001 until it is sent again", "finish", (Fault("finish", "busy", times=3),),
         (1, 1, 2, 4, 1), delays=POLLS, size=ONE_PART),
    Cell("40093001 until the fresh prepare", "finish", (Fault("finish", "busy", times=5),),
         (1, 2, (2, 1), 6, 1), delays=POLLS + LAST_POLLS, size=ONE_PART),
    Cell("40093001 for ever", "finish", (Fault("finish", "busy", times=None),),
         (1, 2, (2, 1), 7, 0), PartFinishTimeoutError, BUSY,
         POLLS + LAST_POLLS + LAST_POLLS, ONE_PART, spare=3),
    *[Cell(f"{name}, repeatable: {repeatable}", "finish", (Fault("finish", kind, **options),),
           plus, delays=delays, emulator={"finish_repeatable": repeatable})
      for repeatable in (True, False)
      for name, kind, options, plus, delays in [
          ("done and reset", "reset_after", {"part": 1}, (1, 1, 2, 3, 1), backoff(1)),
          ("done and cut", "cut_reply", {"part": 1}, (1, 1, 2, 3, 1), backoff(1)),
          ("done and silent", "silence", {"part": 1, "processed": True}, (1, 1, 2, 3, 1),
           after_silence(1)),
          ("done and HTML", "html_200", {"part": 1, "processed": True}, (1, 1, 2, 3, 1),
           backoff(1)),
          ("empty body", "empty_body", {"times": None}, CLEAN, ()),
          ("204", "empty_body", {"times": None, "status": 204}, CLEAN, ()),
          ("some other object", "wrong_shape",
           {"times": None, "processed": True, "body": {"some": "thing"}}, CLEAN, ()),
      ]],
]

LOST: Counts = (1, 2, (2, 2), 4, 3)  # lost, refused on repeat, and a whole fresh upload


def lost(name: str, kind: str, repeatable: bool, **options: Any) -> Cell:
    """Complete was carried out, and its reply did not come."""
    return Cell(
        f"{name}, repeatable: {repeatable}", "complete", (Fault("complete", kind, **options),),
        (1, 1, 2, 2, 2) if repeatable else LOST,
        delays=after_silence(1) if kind == "silence" else backoff(1),
        emulator={"complete_repeatable": repeatable})


COMPLETE = [
    *[lost(*row[:2], repeatable, **row[2]) for repeatable in (True, False) for row in [
        ("done and reset", "reset_after", {}),
        ("done and closed", "close", {"processed": True}),
        ("done and cut", "cut_reply", {}),
        ("done and cut in the headers", "cut_reply", {"where": "headers"}),
        ("done and silent", "silence", {"processed": True}),
        ("done and HTML", "html_200", {"processed": True}),
        ("done and empty", "empty_body", {}),
        ("done and 502", "empty_body", {"status": 502}),
    ]],
    Cell("lost for ever", "complete", (Fault("complete", "reset_after", times=None),),
         (1, 1, 2, 2, 3), TransportError, TRANSIENT, backoff(1, 2)),
    Cell("lost in both uploads", "complete",
         (Fault("complete", "reset_after"), Fault("complete", "reset_after", after=2)),
         (1, 2, (2, 2), 4, 4), ApiError,
         {"http_status": 400, "code": 10000, "err_code": 40011000}, backoff(1)),
]

CELLS = [*PUT, *FINISH, *COMPLETE]


@pytest.fixture(scope="module")
def verdicts(request: pytest.FixtureRequest) -> Verdicts:
    return play_all(CELLS, request)


@pytest.mark.timeout(180)  # the first of them waits for all
@pytest.mark.parametrize("cell, scheme", product(CELLS, lambda c: (c.stage, c.fault_name)))
def test_part_recovers_or_fails_as_stated(cell: Cell, scheme: str, verdicts: Verdicts) -> None:
    verdicts[str(cell), scheme].result()


def test_time_of_a_fresh_prepare_is_no_time_of_polling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qqchunk.protocol.retry.BUSY_DELAY", 0.6)
    content = bytes(150_000)
    with Emulator(
        block_size=50_000, concurrency=2, retry_timeout=0.5, retry_delay=0.05
    ) as emulator, uploader_for(emulator, backoff=0.1) as uploader:
        emulator.fail("finish", "busy", part=1, times=4)  # some of them under each plan
        emulator.fail("put", "status", part=2, status=500)
        emulator.fail("put", "bad_signature", part=2)
        emulator.fail("prepare", "busy", after=1)  # which is asked again later than that
        result = uploader.upload("c2c", "U1", content, file_name="a.bin")
        assert emulator.received(result.file_info) == content
        assert emulator.count("prepare") == 3
