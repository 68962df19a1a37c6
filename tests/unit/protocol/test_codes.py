"""The table of the platform's codes, row by row, and the exceptions made from it."""

from __future__ import annotations

import json
import pickle
from datetime import datetime, timezone
from typing import Any, Dict, List, Tuple, Type

import pytest

from qqchunk.errors import (
    Again,
    ApiError,
    AuthenticationError,
    UploadDailyLimitExceededError,
    UploadError,
    UploadFileTooLargeError,
)
from qqchunk.protocol.codes import (
    DUPLICATE_MESSAGE,
    FILE_INFO_EXPIRED,
    FILE_INFO_INVALID,
    PART_BUSY,
    RULES,
    TIMED_OUT,
    UNDER_REVIEW,
    find_rule,
    find_storage_rule,
)
from qqchunk.protocol.replies import read_reply
from qqchunk.protocol.values import Call

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=timezone.utc)
CONSOLE = "look at the bot's permissions and state in the QQ open platform console"

# (codes, again, exception, meaning, advice)
Row = Tuple[Tuple[int, ...], Again, Type[UploadError], str, str]

TABLE: List[Row] = [
    ((40093001,), Again.BUSY, ApiError,
     "the transfer channel is busy or failed",
     "try again later"),
    ((40093002,), Again.NEVER, UploadDailyLimitExceededError,
     "the bot's daily upload quota (about 2 GB) is used up",
     "try again tomorrow or send a smaller file"),
    ((850012,), Again.TWICE, ApiError,
     "the platform's backend failed",
     "try again later"),
    ((850018,), Again.NEVER, ApiError,
     "the group or the bot is muted",
     "ask an administrator of the group to lift the mute"),
    ((850019, 40034002), Again.NEVER, ApiError,
     "the format does not fit the file type, or what arrived was empty or garbled",
     "images are png or jpg, videos mp4, voices silk: send anything else as "
     "FileType.FILE; if the format is right, make sure that the file is whole"),
    ((850026, 40034001), Again.TWICE, ApiError,
     "the platform could not download the url",
     "make sure that the url can be fetched from the public internet"),
    ((850027,), Again.BACKOFF, ApiError,
     "sending timed out",
     "try again later"),
    ((850031,), Again.NEVER, UploadFileTooLargeError,
     "the file is over the platform's size limit",
     "send a smaller file"),
    ((40034004,), Again.TWICE, ApiError,
     "the media transfer failed",
     "try again later"),
    ((40093010,), Again.NEVER, ApiError,
     "the url is bad",
     "give a complete http(s) url"),
    ((10000, 10998, 40011000), Again.NEVER, ApiError,
     "the request is bad or too large",
     "check the arguments; if they are right, report it with the trace id"),
    ((11255, 40011028), Again.NEVER, ApiError,
     "no such target for this bot",
     "check that the openid was given to this bot and not to another, that a user's "
     "goes with \"c2c\" and a group's with \"group\", and that the user still talks to the"
     " bot"),
    ((11298, 40023002), Again.NEVER, ApiError,
     "this machine's public IP address is not in the bot's whitelist",
     "add the address from which this machine reaches the internet to the IP whitelist in the "
     "bot's settings in the QQ open platform console; neither the token nor the code is wrong"),
    ((11241, 11243, 11244, 40011027), Again.TOKEN, AuthenticationError,
     "the access token is missing, wrong or expired",
     "check that the app id and the secret belong to this bot"),
    ((11242, 11252, 11263, 11281), Again.ONCE, ApiError,
     "the platform failed while checking the bot",
     "try again later"),
    ((11245, 11251, 11253, 11254, 11261, 11262, 11264, 11265, 11273, 11274, 11275, 11282),
     Again.NEVER, ApiError,
     "the bot lacks the permission, or is banned", CONSOLE),
    ((12001, 12002, 12003, 50006, 1100100, 1100101, 1100102, 1100103, 1100104),
     Again.NEVER, ApiError,
     "the platform's security or risk control refused",
     "look at the content and at the bot's state in the QQ open platform console"),
    ((100001,), Again.RATE, ApiError,
     "too many requests for a token",
     "try again later"),
    ((100007, 100016, 10004, 100002), Again.NEVER, AuthenticationError,
     "the app id or the client secret is wrong",
     "check that the app id and the secret belong to this bot"),
    ((22009,), Again.RATE, ApiError,
     "too many requests",
     "try again later"),
    ((304080,), Again.NEVER, ApiError,
     "the file_info has expired or belongs to another scene or bot",
     "upload the file again for this chat type"),
    ((40034032,), Again.NEVER, ApiError,
     "the file_info is not one of the platform's",
     "pass the UploadResult, or file_info exactly as it came, and in its scene"),
    ((304082, 304083, 50055001), Again.TWICE, ApiError,
     "the platform could not convert or send the media",
     "try again later"),
    ((50055002, 40054006), Again.TWICE, ApiError,
     "the platform could not check or send the message",
     "try again later"),
    ((40034005, 40034128, 304103, 40034024, 40034025, 40034026, 40034027, 304026, 304027),
     Again.NEVER, ApiError,
     "the message or event replied to is too old, used up or not this chat's",
     "the file is uploaded: send error.result without msg_id and event_id, which counts as a "
     "message of the bot's own accord, or with a newer msg_id"),
    ((40034006, 40034101, 40054003, 40054002, 40054004, 40054007, 40054010, 40054013, 40054016,
      40054018, 22006, 304010, 304017, 304020, 304021), Again.NEVER, ApiError,
     "the chat or the platform does not take this message",
     "see what the platform says; the file is uploaded and error.result is good"),
    ((40034105, 40034100), Again.NEVER, ApiError,
     "the bot may not send messages of its own accord, or has used up their number",
     "reply to a message with msg_id; look at the bot's permissions and state in the "
     "QQ open platform console"),
    ((40054005,), Again.NEVER, ApiError,
     "a message with this msg_seq was sent already",
     "give each message of one reply a msg_seq of its own"),
]
CASES = [(code, *row[1:]) for row in TABLE for code in row[0]]

REDIRECT = "the platform answered with a redirect, which is not followed"
RETRYABLE = {Again.ONCE, Again.TWICE, Again.BACKOFF, Again.RATE, Again.BUSY}


def made(
    *, stage: str = "prepare", http_status: int = 400, file_name: Any = "a.mp4",
    file_size: Any = 5, retry_after: Any = None, **fields: Any,
) -> UploadError:
    """The exception for a reply with these fields."""
    body = json.dumps({name: value for name, value in fields.items() if value is not None})
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    call = Call(stage, "/", {}, file_name, file_size)
    with pytest.raises(UploadError) as caught:
        read_reply(call, http_status, headers, body.encode(), NOW)
    return caught.value


def test_table_has_these_rows_and_no_others() -> None:
    assert sorted(RULES) == sorted(case[0] for case in CASES)


def test_codes_with_a_part_of_their_own_are_named() -> None:
    assert (PART_BUSY, FILE_INFO_EXPIRED, DUPLICATE_MESSAGE) == (40093001, 304080, 40054005)
    assert (TIMED_OUT, FILE_INFO_INVALID) == (850027, 40034032)
    assert UNDER_REVIEW == (304023, 304024)


@pytest.mark.parametrize("code, policy, kind, meaning, advice", CASES)
def test_row_says_what_it_means_and_what_may_be_done(
    code: int, policy: Again, kind: Type[UploadError], meaning: str, advice: str
) -> None:
    rule = RULES[code]
    assert rule.meaning == meaning
    assert rule.again is policy
    assert rule.advice == advice
    assert rule.error is kind


@pytest.mark.parametrize("code, policy, kind, meaning, advice", CASES)
def test_code_counts_whatever_the_http_status(
    code: int, policy: Again, kind: Type[UploadError], meaning: str, advice: str
) -> None:
    for status in (200, 400, 401, 413, 429, 500, 503):
        error = made(code=code, http_status=status)
        assert (type(error), error.http_status) == (kind, status)
        assert (error.again, error.retryable) == (policy, policy in RETRYABLE), status


@pytest.mark.parametrize("code, policy, kind, meaning, advice", CASES)
def test_words_of_a_row_say_file_stage_numbers_and_remedy(
    code: int, policy: Again, kind: Type[UploadError], meaning: str, advice: str
) -> None:
    rule = RULES[code]
    error = made(code=code, stage="complete", message="their words", trace_id="f00d")
    assert str(error) == (
        f"a.mp4, complete: {rule.meaning} (code {code}, HTTP 400, trace f00d): their words"
        f" - {rule.advice}")


@pytest.mark.parametrize("code, policy, kind, meaning, advice", CASES)
def test_err_code_alone_finds_the_row_too(
    code: int, policy: Again, kind: Type[UploadError], meaning: str, advice: str
) -> None:
    error = made(err_code=code)
    assert type(error) is kind
    assert error.again is policy
    assert (error.code, error.err_code) == (None, code)


def test_err_code_finds_its_row_beside_a_code_nobody_knows() -> None:
    assert find_rule(400, 123456, 40011027) is RULES[40011027]


def test_err_code_goes_before_code() -> None:
    assert find_rule(400, 850012, 40093002) is RULES[40093002]


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


@pytest.mark.parametrize("asked, words", [
    (None, ""), (0.0, ""), (7.0, " (it asks to wait 7 s)"), (86400.4, " (it asks to wait 86400 s)"),
])
def test_words_say_how_long_the_platform_asks_to_wait(asked: Any, words: str) -> None:
    error = made(code=22009, retry_after=asked, message="said")
    assert str(error) == (
        f"a.mp4, prepare: too many requests (code 22009, HTTP 400): said{words} - try again later")
    assert error.brief == (
        f"a.mp4, prepare: too many requests (code 22009, HTTP 400): said{words}")


@pytest.mark.parametrize("facts, ambiguous", [
    ({"http_status": 500}, True), ({"http_status": 504}, True), ({"http_status": 400}, False),
    ({"code": 850012}, True), ({"err_code": 850012}, True), ({"code": 850027}, True),
    ({"code": 850019}, False), ({"code": 304082}, False), ({"http_status": 429}, False),
    ({"code": 50055002}, True), ({"code": 40054006}, True),
    ({"stage": "token", "http_status": 500}, False),
])
def test_some_refusals_may_have_been_a_success(facts: Dict[str, Any], ambiguous: bool) -> None:
    assert made(**facts).ambiguous is ambiguous


def test_every_fact_is_on_the_exception() -> None:
    error = made(
        code=850012, err_code=7, stage="finish", http_status=500, message="said", trace_id="f00d",
        retry_after=2.5)
    assert isinstance(error, ApiError)
    assert vars(error) == dict(
        file_name="a.mp4", file_size=5, stage="finish", http_status=500, code=850012, err_code=7,
        trace_id="f00d", retryable=True, retry_after=2.5, message="said", result=None,
        again=Again.TWICE, ambiguous=True, _advice="try again later")


def test_quota_keeps_its_facts() -> None:
    error = made(code=7, err_code=40093002, trace_id="f00d", retry_after=3.0)
    assert isinstance(error, UploadDailyLimitExceededError)
    assert error.file_size_human == "5.0 B"
    assert vars(error) == dict(
        file_name="a.mp4", file_size=5, stage="prepare", http_status=400, code=7,
        err_code=40093002, trace_id="f00d", retryable=False, retry_after=3.0, result=None,
        _advice="try again tomorrow or send a smaller file")


def test_size_limit_keeps_its_facts_and_knows_no_limit() -> None:
    error = made(code=850031, trace_id="f00d")
    assert isinstance(error, UploadFileTooLargeError)
    assert (error.limit_bytes, error.limit_human) == (0, "unknown")
    assert vars(error) == dict(
        file_name="a.mp4", file_size=5, stage="prepare", http_status=400, code=850031,
        err_code=None, trace_id="f00d", retryable=False, retry_after=None, limit_bytes=0,
        result=None, _advice="send a smaller file")


@pytest.mark.parametrize("code, policy, kind, meaning, advice", CASES)
def test_refusal_survives_pickle(
    code: int, policy: Again, kind: Type[UploadError], meaning: str, advice: str
) -> None:
    error = made(code=code, message="said")
    same = pickle.loads(pickle.dumps(error))
    assert (type(same), str(same), vars(same)) == (kind, str(error), vars(error))


# Refusals without a code of the table


@pytest.mark.parametrize("status, policy, kind, meaning", [
    (300, Again.NEVER, ApiError, REDIRECT),
    (302, Again.NEVER, ApiError, REDIRECT),
    (399, Again.NEVER, ApiError, REDIRECT),
    (400, Again.NEVER, ApiError, "the platform refused"),
    (401, Again.TOKEN, AuthenticationError, "the access token was refused"),
    (403, Again.NEVER, ApiError, "the platform refused"),
    (404, Again.NEVER, ApiError, "the platform refused"),
    (412, Again.NEVER, ApiError, "the platform refused"),
    (413, Again.NEVER, UploadFileTooLargeError,
     "the request or the file is too large for the gateway"),
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
    assert error.again is policy
    assert error.retryable is (policy in RETRYABLE)
    assert str(error).startswith(f"a.mp4, prepare: {meaning} (HTTP {status}) - ")


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
    assert made(http_status=401, code=code, err_code=err_code).again is policy


def test_unknown_code_with_5xx_is_transient_and_with_4xx_is_not() -> None:
    assert made(http_status=500, code=999).again is Again.BACKOFF
    assert made(http_status=400, code=999).again is Again.NEVER


def test_no_status_at_all_is_a_refusal() -> None:
    assert find_rule(None, None, None).again is Again.NEVER
    assert find_rule(None, 850012, None) is RULES[850012]


# Stages


@pytest.mark.parametrize("status, code", [(200, 100016), (200, 999), (400, None), (401, None)])
def test_final_refusal_of_the_token_call_is_an_authentication_error(status: int, code: Any) -> None:
    error = made(stage="token", http_status=status, code=code, message="said")
    assert isinstance(error, AuthenticationError)
    assert error.message == "said"


@pytest.mark.parametrize("status, code", [
    (500, None), (503, None), (429, None), (302, None), (200, 100001),
])
def test_token_service_that_cannot_is_none(status: int, code: Any) -> None:
    assert type(made(stage="token", http_status=status, code=code)) is ApiError


# Storage


@pytest.mark.parametrize("status, code, policy", [
    (403, "AccessDenied", Again.FRESH), (403, "", Again.FRESH),
    (429, "", Again.RATE), (503, "SlowDown", Again.RATE), (400, "SlowDown", Again.RATE),
    (400, "RequestTimeout", Again.BACKOFF), (400, "IncompleteBody", Again.BACKOFF),
    (400, "BadDigest", Again.BACKOFF), (408, "", Again.BACKOFF), (500, "Internal", Again.BACKOFF),
    (502, "", Again.BACKOFF), (503, "ServiceUnavailable", Again.BACKOFF), (504, "", Again.BACKOFF),
    (400, "MalformedXML", Again.NEVER), (404, "NoSuchUpload", Again.NEVER), (302, "", Again.NEVER),
    (413, "", Again.NEVER),
    (503, "SlowDownWrite", Again.RATE), (400, "ThrottlingException", Again.RATE),
    (503, "TooManyRequests", Again.RATE), (400, "RequestLimitExceeded", Again.RATE),
    (400, "ExpiredToken", Again.FRESH), (400, "InvalidToken", Again.NEVER),
])
def test_storage_is_judged_by_code_and_status_together(
    status: int, code: str, policy: Again
) -> None:
    assert find_storage_rule(status, code).again is policy


@pytest.mark.parametrize("status, meaning, advice", [
    (429, "storage is asked too often", "try again later"),
    (403, "the URL has expired or its signature is wrong", "upload the file again"),
    (413, "a part of this size was refused",
     "parts are no larger than storage takes: something between here and storage, a proxy for "
     "example, limits request bodies; let it through, or give a storage_session without that "
     "proxy"),
    (503, "storage failed", "try again later"),
    (404, "storage refused", "the same again would be refused again"),
    (600, "storage refused", "the same again would be refused again"),
])
def test_refusal_of_storage_has_its_words(status: int, meaning: str, advice: str) -> None:
    rule = find_storage_rule(status, "")
    assert (rule.meaning, rule.advice) == (meaning, advice)


def test_rules_are_frozen() -> None:
    with pytest.raises(AttributeError):
        setattr(RULES[850012], "again", Again.NEVER)


def test_policies_have_names() -> None:
    assert sorted(policy.value for policy in Again) == [
        "backoff", "busy", "fresh", "never", "once", "rate", "token", "twice"]
