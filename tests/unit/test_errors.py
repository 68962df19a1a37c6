"""The exceptions: their tree, their words, their way through pickle; sizes in words."""

from __future__ import annotations

import copy
import pickle
from typing import Any, Dict, List, Type

import pytest

from qqchunk import errors
from qqchunk.errors import (
    Again,
    ApiError,
    AuthenticationError,
    PartFinishTimeoutError,
    PartUploadError,
    ProtocolError,
    SourceChangedError,
    TransportError,
    UploadCancelledError,
    UploadDailyLimitExceededError,
    UploadDeadlineError,
    UploadError,
    UploadFileTooLargeError,
    format_size,
)

FACTS: Dict[str, Any] = dict(
    stage="prepare", http_status=400, code=850019, err_code=40034002, trace_id="f00d",
    retryable=True, retry_after=1.5,
)
NAMED: Dict[str, Any] = dict(FACTS, file_name="a.mp4", file_size=12)

EXAMPLES: List[UploadError] = [
    UploadError("words", **NAMED),
    UploadDailyLimitExceededError("a.mp4", 12, "words", **FACTS),
    UploadFileTooLargeError("a.mp4", 12, 10, "words", **FACTS),
    ApiError("words", message="said", **NAMED),
    AuthenticationError("words", message="said", **NAMED),
    ProtocolError("words", **NAMED),
    TransportError("words", **NAMED),
    PartUploadError("words", part_index=3, attempts=4, **NAMED),
    PartFinishTimeoutError("words", part_index=3, waited=1.25, **NAMED),
    SourceChangedError("words", **NAMED),
    UploadDeadlineError("words", **NAMED),
    UploadCancelledError("words", **NAMED),
]

OWN_FACTS: Dict[Type[UploadError], Dict[str, Any]] = {
    UploadFileTooLargeError: {"limit_bytes": 10},
    ApiError: {"message": "said"},
    AuthenticationError: {"message": "said"},
    PartUploadError: {"part_index": 3, "attempts": 4},
    PartFinishTimeoutError: {"part_index": 3, "waited": 1.25},
}


def by_name(error: UploadError) -> str:
    return type(error).__name__


def test_every_exception_of_the_module_has_an_example() -> None:
    found = {
        thing for thing in vars(errors).values()
        if isinstance(thing, type) and issubclass(thing, BaseException)
    }
    assert found == {type(error) for error in EXAMPLES}


@pytest.mark.parametrize("error", EXAMPLES, ids=by_name)
def test_exception_keeps_its_facts(error: UploadError) -> None:
    assert vars(error) == {**NAMED, "result": None, **OWN_FACTS.get(type(error), {})}
    assert str(error) == "words"
    assert error.args == ("words",)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("error", EXAMPLES, ids=by_name)
def test_exception_survives_pickle(error: UploadError, protocol: int) -> None:
    again = pickle.loads(pickle.dumps(error, protocol))
    assert type(again) is type(error)
    assert vars(again) == vars(error)
    assert again.args == error.args
    assert str(again) == str(error)
    assert repr(again) == repr(error)


@pytest.mark.parametrize("error", EXAMPLES, ids=by_name)
def test_copy_of_an_exception_has_facts_of_its_own(error: UploadError) -> None:
    again = copy.copy(error)
    again.stage = "put"
    assert type(again) is type(error)
    assert error.stage == "prepare"


@pytest.mark.parametrize("error", EXAMPLES, ids=by_name)
def test_exception_that_went_through_pickle_can_be_raised(error: UploadError) -> None:
    again = pickle.loads(pickle.dumps(error))
    with pytest.raises(type(error)) as caught:
        raise again
    assert caught.value is again


@pytest.mark.parametrize("error", EXAMPLES, ids=by_name)
def test_every_exception_is_an_upload_error_and_a_runtime_error(error: UploadError) -> None:
    assert isinstance(error, UploadError)
    assert isinstance(error, RuntimeError)


@pytest.mark.parametrize("kind, second", [
    (ProtocolError, ValueError),
    (PartFinishTimeoutError, TimeoutError),
    (UploadDeadlineError, TimeoutError),
    (SourceChangedError, OSError),
    (AuthenticationError, ApiError),
])
def test_second_parent_lets_old_handlers_go_on(
    kind: Type[UploadError], second: Type[BaseException]
) -> None:
    assert issubclass(kind, second)


@pytest.mark.parametrize("kind", [ApiError, TransportError, PartUploadError, UploadCancelledError])
def test_the_others_are_no_os_errors(kind: Type[UploadError]) -> None:
    assert not issubclass(kind, (OSError, ValueError))


def test_facts_nobody_gave_are_none() -> None:
    error = UploadError("words")
    assert vars(error) == dict(
        file_name=None, file_size=None, stage=None, http_status=None, code=None, err_code=None,
        trace_id=None, retryable=False, retry_after=None, result=None)


@pytest.mark.parametrize("kind, own", [
    (UploadError, {}),
    (ApiError, {"message": ""}),
    (PartUploadError, {"part_index": None, "attempts": 0}),
    (PartFinishTimeoutError, {"part_index": None, "waited": 0.0}),
])
def test_exception_can_be_made_with_nothing(
    kind: Type[UploadError], own: Dict[str, Any]
) -> None:
    error = kind()
    assert str(error) == ""
    for name, value in own.items():
        assert getattr(error, name) == value


def test_daily_limit_words_name_file_size_and_remedy() -> None:
    error = UploadDailyLimitExceededError("a.mp4", 3 << 20)
    assert str(error) == (
        "a.mp4 (3.0 MB): the bot's daily upload quota is used up - "
        "try again tomorrow or with a smaller file")
    assert error.file_size_human == "3.0 MB"


def test_too_large_words_name_file_size_and_limit() -> None:
    error = UploadFileTooLargeError("a.mp4", 3 << 20, 2 << 20)
    assert str(error) == (
        "a.mp4 (3.0 MB) is over the size limit (2.0 MB) - send a smaller file")
    assert (error.file_size_human, error.limit_human) == ("3.0 MB", "2.0 MB")


def test_brief_words_leave_out_the_advice() -> None:
    error = UploadFileTooLargeError("a - b.mp4", 3 << 20, 2 << 20)
    assert error.brief == "a - b.mp4 (3.0 MB) is over the size limit (2.0 MB)"
    assert UploadError("words").brief == "words"
    assert UploadError("").brief == ""


@pytest.mark.parametrize("name", ["Artist - Title.mp4", "a - b - c", " - "])
def test_name_with_a_dash_does_not_cut_the_brief_words(name: str) -> None:
    assert UploadError(f"{name}, put: it broke").brief == f"{name}, put: it broke"
    error = UploadError(f"{name}, put: it broke", advice="try - again")
    assert str(error) == f"{name}, put: it broke - try - again"
    assert pickle.loads(pickle.dumps(error)).brief == f"{name}, put: it broke"


def test_other_advice_takes_the_place_of_the_first() -> None:
    error = UploadError("a - b: it broke", advice="try again")
    error.advise("look first")
    assert (str(error), error.brief) == ("a - b: it broke - look first", "a - b: it broke")


@pytest.mark.parametrize("again, retryable", [
    (Again.NEVER, False), (Again.TOKEN, False), (Again.ONCE, True), (Again.TWICE, True),
    (Again.BACKOFF, True), (Again.RATE, True), (Again.BUSY, True), (Again.FRESH, True),
])
def test_what_may_be_made_again_is_retryable(again: Again, retryable: bool) -> None:
    error = UploadError("words", again=again, ambiguous=True)
    assert error.retryable is retryable
    same = pickle.loads(pickle.dumps(error))
    assert (same.again, same.ambiguous) == (again, True)


def test_limit_of_0_is_unknown() -> None:
    error = UploadFileTooLargeError("a.mp4", 3 << 20)
    assert error.limit_bytes == 0
    assert error.limit_human == "unknown"
    assert str(error) == "a.mp4 (3.0 MB) is over the size limit (unknown) - send a smaller file"


def test_size_nobody_knows_is_unknown() -> None:
    assert UploadFileTooLargeError("a.mp4", None).file_size_human == "unknown"
    assert UploadDailyLimitExceededError("a.mp4", None).file_size_human == "unknown"


@pytest.mark.parametrize("size, words", [
    (0, "0.0 B"),
    (1, "1.0 B"),
    (100, "100.0 B"),
    (999, "999.0 B"),
    (1000, "1000.0 B"),
    (1023, "1023.0 B"),
    (1024, "1.0 KB"),
    (1025, "1.0 KB"),
    (1536, "1.5 KB"),
    (1023 * 1024, "1023.0 KB"),
    (1_048_524, "1023.9 KB"),
    (1_048_525, "1.0 MB"),  # in KB it would round up to 1024.0
    (1 << 20, "1.0 MB"),
    (12_897_485, "12.3 MB"),
    (200 << 20, "200.0 MB"),
    ((1 << 30) - 1, "1.0 GB"),
    (1 << 30, "1.0 GB"),
    (2 << 30, "2.0 GB"),
    ((1 << 40) - 1, "1.0 TB"),
    (1 << 40, "1.0 TB"),
    (5 << 50, "5120.0 TB"),
    (-1, "-1.0 B"),
    (-2048, "-2.0 KB"),
])
def test_size_in_words(size: int, words: str) -> None:
    assert format_size(size) == words
