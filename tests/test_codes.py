"""The table of the platform's codes, row by row, and the exceptions made from it."""

from __future__ import annotations

import pickle
from typing import Any, Dict, List, Tuple, Type

import pytest

from qqchunk.codes import (
    DUPLICATE_MESSAGE,
    FILE_INFO_EXPIRED,
    PART_BUSY,
    RULES,
    UNDER_REVIEW,
    Again,
    again,
    find_rule,
    refusal,
)
from qqchunk.errors import (
    ApiError,
    AuthenticationError,
    PartFinishTimeoutError,
    PartUploadError,
    ProtocolError,
    SourceChangedError,
    TransportError,
    UploadDailyLimitExceededError,
    UploadError,
    UploadFileTooLargeError,
)

# (codes, a word of the meaning, again, a word of the advice, exception)
Row = Tuple[Tuple[int, ...], str, Again, str, Type[UploadError]]

TABLE: List[Row] = [
    ((40093001,), "busy", Again.BUSY, "try again later", ApiError),
    ((40093002,), "daily upload quota", Again.NEVER, "tomorrow", UploadDailyLimitExceededError),
    ((850012,), "backend failed", Again.TWICE, "try again later", ApiError),
    ((850018,), "muted", Again.NEVER, "lift the mute", ApiError),
    ((850019, 40034002), "empty or garbled", Again.NEVER, "FileType.FILE", ApiError),
    ((850026,), "could not download the url", Again.TWICE, "public internet", ApiError),
    ((850027,), "timed out", Again.BACKOFF, "try again later", ApiError),
    ((850031,), "size limit", Again.NEVER, "smaller file", UploadFileTooLargeError),
    ((40034004,), "transfer failed", Again.TWICE, "try again later", ApiError),
    ((40093010,), "url is bad", Again.NEVER, "http(s) url", ApiError),
    ((10000, 10998, 40011000), "bad or too large", Again.NEVER, "check the arguments", ApiError),
    ((11255, 40011028), "no such target", Again.NEVER, "openid", ApiError),
    ((11241, 11243, 11244, 40011027), "access token", Again.TOKEN, "app id", AuthenticationError),
    ((11242, 11252, 11263, 11281), "while checking", Again.ONCE, "try again later", ApiError),
    ((11245, 11251, 11253, 11254, 11265), "permission", Again.NEVER, "console", ApiError),
    ((100001,), "too many requests", Again.RATE, "try again later", AuthenticationError),
    ((100007, 100016, 10004, 100002), "app id", Again.NEVER, "app id", AuthenticationError),
    ((22009,), "too many requests", Again.RATE, "try again later", ApiError),
    ((304080,), "file_info", Again.NEVER, "upload the file again", ApiError),
    ((304082, 304083, 50055001), "convert or send", Again.TWICE, "try again later", ApiError),
    ((40034005,), "too old", Again.NEVER, "without msg_id", ApiError),
    ((40034105, 40034100), "own accord", Again.NEVER, "reply to a message", ApiError),
    ((40054005,), "msg_seq", Again.NEVER, "msg_seq of its own", ApiError),
]
CASES = [(code, *row[1:]) for row in TABLE for code in row[0]]

RETRYABLE = {Again.ONCE, Again.TWICE, Again.BACKOFF, Again.RATE, Again.BUSY}


def made(**changes: Any) -> UploadError:
    facts: Dict[str, Any] = dict(
        stage="prepare", http_status=400, code=None, err_code=None, message="", trace_id=None,
        retry_after=None, file_name="a.mp4", file_size=5)
    facts.update(changes)
    return refusal(**facts)


def test_table_has_these_rows_and_no_others() -> None:
    assert sorted(RULES) == sorted(case[0] for case in CASES)


def test_codes_with_a_part_of_their_own_are_named() -> None:
    assert (PART_BUSY, FILE_INFO_EXPIRED, DUPLICATE_MESSAGE) == (40093001, 304080, 40054005)
    assert UNDER_REVIEW == (304023, 304024)


@pytest.mark.parametrize("code, meaning, policy, advice, kind", CASES)
def test_row_says_what_it_means_and_what_may_be_done(
    code: int, meaning: str, policy: Again, advice: str, kind: Type[UploadError]
) -> None:
    rule = RULES[code]
    assert meaning in rule.meaning
    assert rule.again is policy
    assert advice in rule.advice
    assert rule.error is kind


@pytest.mark.parametrize("status", [200, 400, 401, 413, 429, 500, 503])
@pytest.mark.parametrize("code, meaning, policy, advice, kind", CASES)
def test_code_counts_whatever_the_http_status(
    code: int, meaning: str, policy: Again, advice: str, kind: Type[UploadError], status: int
) -> None:
    error = made(code=code, http_status=status)
    assert type(error) is kind
    assert error.http_status == status
    assert again(error) is policy
    assert error.retryable is (policy in RETRYABLE)


@pytest.mark.parametrize("code, meaning, policy, advice, kind", CASES)
def test_words_of_a_row_say_file_stage_numbers_and_remedy(
    code: int, meaning: str, policy: Again, advice: str, kind: Type[UploadError]
) -> None:
    rule = RULES[code]
    error = made(code=code, stage="complete", message="their words", trace_id="f00d")
    assert str(error) == (
        f"a.mp4, complete: {rule.meaning} (code {code}, HTTP 400, trace f00d): their words"
        f" - {rule.advice}")


@pytest.mark.parametrize("code, meaning, policy, advice, kind", CASES)
def test_err_code_alone_finds_the_row_too(
    code: int, meaning: str, policy: Again, advice: str, kind: Type[UploadError]
) -> None:
    error = made(err_code=code)
    assert type(error) is kind
    assert again(error) is policy
    assert (error.code, error.err_code) == (None, code)


def test_err_code_finds_its_row_beside_a_code_nobody_knows() -> None:
    assert find_rule(400, 123456, 40011027) is RULES[40011027]


def test_code_goes_before_err_code() -> None:
    assert find_rule(400, 850012, 40093002) is RULES[850012]


@pytest.mark.parametrize("code, err_code, numbers", [
    (850019, 40034002, "code 850019/40034002, "),
    (11244, 11244, "code 11244, "),
    (11244, None, "code 11244, "),
    (None, 11244, "code 11244, "),
    (0, 11244, "code 0/11244, "),
    (None, None, ""),
])
def test_both_numbers_are_named_once_each(code: Any, err_code: Any, numbers: str) -> None:
    error = made(code=code, err_code=err_code)
    assert f"({numbers}HTTP 400)" in str(error)
    assert (error.code, error.err_code) == (code, err_code)


def test_words_without_file_name_message_and_trace_leave_them_out() -> None:
    error = made(code=850012, stage="token", file_name=None, file_size=None)
    assert str(error) == (
        "token: the platform's backend failed (code 850012, HTTP 400) - try again later")


def test_every_fact_is_on_the_exception() -> None:
    error = made(
        code=850012, err_code=7, stage="finish", http_status=500, message="said", trace_id="f00d",
        retry_after=2.5)
    assert isinstance(error, ApiError)
    assert vars(error) == dict(
        file_name="a.mp4", file_size=5, stage="finish", http_status=500, code=850012, err_code=7,
        trace_id="f00d", retryable=True, retry_after=2.5, message="said")


def test_quota_keeps_its_facts() -> None:
    error = made(code=40093002, err_code=7, trace_id="f00d", retry_after=3.0)
    assert isinstance(error, UploadDailyLimitExceededError)
    assert error.file_size_human == "5 B"
    assert vars(error) == dict(
        file_name="a.mp4", file_size=5, stage="prepare", http_status=400, code=40093002,
        err_code=7, trace_id="f00d", retryable=False, retry_after=3.0)


def test_size_limit_keeps_its_facts_and_knows_no_limit() -> None:
    error = made(code=850031, trace_id="f00d")
    assert isinstance(error, UploadFileTooLargeError)
    assert (error.limit_bytes, error.limit_human) == (0, "unknown")
    assert vars(error) == dict(
        file_name="a.mp4", file_size=5, stage="prepare", http_status=400, code=850031,
        err_code=None, trace_id="f00d", retryable=False, retry_after=None, limit_bytes=0)


@pytest.mark.parametrize("code, meaning, policy, advice, kind", CASES)
def test_refusal_survives_pickle(
    code: int, meaning: str, policy: Again, advice: str, kind: Type[UploadError]
) -> None:
    error = made(code=code, message="said")
    same = pickle.loads(pickle.dumps(error))
    assert (type(same), str(same), vars(same)) == (kind, str(error), vars(error))


# Refusals without a code of the table


@pytest.mark.parametrize("status, policy, kind, meaning", [
    (200, Again.NEVER, ApiError, "the platform refused"),
    (299, Again.NEVER, ApiError, "the platform refused"),
    (300, Again.NEVER, ApiError, "redirect"),
    (302, Again.NEVER, ApiError, "redirect"),
    (399, Again.NEVER, ApiError, "redirect"),
    (400, Again.NEVER, ApiError, "the platform refused"),
    (401, Again.TOKEN, AuthenticationError, "the access token was refused"),
    (403, Again.NEVER, ApiError, "the platform refused"),
    (404, Again.NEVER, ApiError, "the platform refused"),
    (412, Again.NEVER, ApiError, "the platform refused"),
    (413, Again.NEVER, UploadFileTooLargeError, "too large for the gateway"),
    (414, Again.NEVER, ApiError, "the platform refused"),
    (428, Again.NEVER, ApiError, "the platform refused"),
    (429, Again.RATE, ApiError, "too many requests"),
    (430, Again.NEVER, ApiError, "the platform refused"),
    (499, Again.NEVER, ApiError, "the platform refused"),
    (500, Again.BACKOFF, ApiError, "the platform failed"),
    (502, Again.BACKOFF, ApiError, "the platform failed"),
    (503, Again.BACKOFF, ApiError, "the platform failed"),
    (504, Again.BACKOFF, ApiError, "the platform failed"),
    (599, Again.BACKOFF, ApiError, "the platform failed"),
])
def test_http_status_decides_where_no_code_is_given(
    status: int, policy: Again, kind: Type[UploadError], meaning: str
) -> None:
    error = made(http_status=status)
    assert type(error) is kind
    assert again(error) is policy
    assert error.retryable is (policy in RETRYABLE)
    assert str(error).startswith(f"a.mp4, prepare: {meaning}" if meaning[:3] == "the"
                                 else "a.mp4, prepare: ")
    assert meaning in str(error)


@pytest.mark.parametrize("status, advice", [
    (302, "check api_url and the proxy settings"),
    (400, "check the arguments; if they are right, report it with the trace id"),
    (401, "check that the app id and the secret belong to this bot"),
    (413, "send a smaller file"),
    (429, "try again later"),
    (502, "try again later"),
])
def test_http_status_alone_gets_advice_too(status: int, advice: str) -> None:
    assert str(made(http_status=status)).endswith(f" (HTTP {status}) - {advice}")


@pytest.mark.parametrize("code, err_code, policy", [
    (0, 0, Again.TOKEN), (None, 0, Again.TOKEN), (None, None, Again.TOKEN),
    (999, None, Again.NEVER), (None, 999, Again.NEVER), (999, 999, Again.NEVER),
])
def test_401_with_an_unknown_code_says_nothing_about_the_token(
    code: Any, err_code: Any, policy: Again
) -> None:
    assert again(made(http_status=401, code=code, err_code=err_code)) is policy


def test_unknown_code_with_5xx_is_transient_and_with_4xx_is_not() -> None:
    assert again(made(http_status=500, code=999)) is Again.BACKOFF
    assert again(made(http_status=400, code=999)) is Again.NEVER


def test_no_status_at_all_is_a_refusal() -> None:
    assert find_rule(None, None, None).again is Again.NEVER
    assert find_rule(None, 850012, None) is RULES[850012]


# Stages


@pytest.mark.parametrize("status, code", [(200, 100016), (200, 999), (400, None), (500, None)])
def test_refusal_of_the_token_call_is_an_authentication_error(status: int, code: Any) -> None:
    error = made(stage="token", http_status=status, code=code, message="said")
    assert type(error) is AuthenticationError
    assert error.message == "said"


# Errors of our own making


@pytest.mark.parametrize("kind", [TransportError, ProtocolError, PartUploadError])
@pytest.mark.parametrize("retryable, policy", [(True, Again.BACKOFF), (False, Again.NEVER)])
def test_broken_exchange_may_be_tried_again_if_it_says_so(
    kind: Type[UploadError], retryable: bool, policy: Again
) -> None:
    assert again(kind("words", retryable=retryable)) is policy


def test_broken_reply_is_not_judged_by_its_status() -> None:
    assert again(ProtocolError("words", http_status=429, retryable=False)) is Again.NEVER
    assert again(TransportError("words", http_status=400, retryable=True)) is Again.BACKOFF


@pytest.mark.parametrize("kind", [SourceChangedError, PartFinishTimeoutError])
def test_what_ends_an_upload_is_not_tried_again(kind: Type[UploadError]) -> None:
    assert again(kind("words")) is Again.NEVER


def test_policies_have_names() -> None:
    assert sorted(policy.value for policy in Again) == [
        "backoff", "busy", "never", "once", "rate", "token", "twice"]
