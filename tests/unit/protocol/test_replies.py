"""From status, headers and body to a JSON object or to the exception it stands for."""

from __future__ import annotations

import json
import math
import pathlib
from datetime import datetime, timedelta, timezone
from typing import Any, Dict, Optional, Type

import pytest
from requests.structures import CaseInsensitiveDict

from qqchunk.errors import (
    Again,
    ApiError,
    AuthenticationError,
    ProtocolError,
    UploadDailyLimitExceededError,
    UploadError,
    UploadFileTooLargeError,
)
from qqchunk.protocol.replies import (
    read_int,
    read_number,
    read_reply,
    read_retry_after,
    read_storage_error,
    read_text,
    unwrap,
)
from qqchunk.protocol.values import Call

SAMPLES = pathlib.Path(__file__).parents[2] / "samples"
NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=timezone.utc)


def read(
    status: int,
    body: Any,
    *,
    stage: str = "prepare",
    headers: Optional[Dict[str, str]] = None,
) -> Dict[str, Any]:
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    call = Call(stage, "/v2/users/U1/files", {}, "a.mp4", 5)
    return read_reply(call, status, CaseInsensitiveDict(headers or {}), body, NOW).fields


def refused(status: int, body: Any, **options: Any) -> UploadError:
    with pytest.raises(UploadError) as caught:
        read(status, body, **options)
    return caught.value


def wire(name: str) -> bytes:
    return (SAMPLES / name).read_bytes()


# Calls


def test_call_is_repeatable_and_quick_unless_it_says_otherwise() -> None:
    call = Call("prepare", "/path", {})
    assert (call.repeatable, call.slow) == (True, False)
    assert (call.file_name, call.file_size) == (None, None)


def test_call_is_frozen() -> None:
    with pytest.raises(AttributeError):
        setattr(Call("prepare", "/path", {}), "path", "/other")


# Successes


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_object_with_a_2xx_is_a_success(status: int) -> None:
    assert read(status, {"upload_id": "u"}) == {"upload_id": "u"}


@pytest.mark.parametrize("field", ["code", "err_code"])
@pytest.mark.parametrize("value", [0, "0", 0.0, None, "", False, "ok"])
def test_code_of_nothing_is_a_success(field: str, value: Any) -> None:
    assert read(200, {field: value, "upload_id": "u"})["upload_id"] == "u"


def test_replies_in_other_encodings_of_json_are_read() -> None:
    assert read(200, b'\xef\xbb\xbf{"a": 1}') == {"a": 1}
    assert read(200, '{"a": "\u5047"}'.encode("utf-16")) == {"a": "\u5047"}


@pytest.mark.parametrize("body", [b"", b"  \r\n", b"{}"])
@pytest.mark.parametrize("status", [200, 204])
def test_finish_may_be_answered_with_nothing(status: int, body: bytes) -> None:
    assert read(status, body, stage="finish") == {}


@pytest.mark.parametrize("stage", ["token", "prepare", "complete", "url", "message"])
def test_other_calls_may_not_be_answered_with_nothing(stage: str) -> None:
    error = refused(200, b"", stage=stage)
    assert type(error) is ProtocolError


@pytest.mark.parametrize(
    "name", ["access_token", "file_info", "presigned_url", "raw_url", "url"])
def test_secrets_do_not_show_in_the_repr_of_a_reply(name: str) -> None:
    for fields in ({name: "5ecret"}, {"data": {name: "5ecret"}}, {"parts": [{name: "5ecret"}]}):
        reply = read(200, fields)
        assert reply == fields
        assert "5ecret" not in repr(reply)


def test_what_is_no_secret_shows() -> None:
    fields = {"upload_id": "u", "url": 5, "file_info": None, "raw_url": ["x"], "uri": "y"}
    assert repr(read(200, fields)) == repr(fields)


def test_number_of_more_digits_than_any_size_is_no_number() -> None:
    reply = read(200, b'{"a": 9999999999999999999, "b": 99999999999999999999}')
    assert reply["a"] == 9999999999999999999
    assert math.isnan(reply["b"])


# Replies that are none


@pytest.mark.parametrize("body", [
    b"<html></html>", b"[]", b"null", b"1", b'"text"', b"{", b"\xff\xfe", b"\x00", b"nonsense",
    b"[" * 200_000, b'{"a":' * 200_000,
])
def test_2xx_without_an_object_is_a_broken_reply(body: bytes) -> None:
    error = refused(200, body)
    assert type(error) is ProtocolError
    assert str(error) == (
        f"a.mp4, prepare: the reply (HTTP 200, {len(body)} bytes) is not a JSON object - "
        "try again later, and look for a proxy that answers in the platform's place")
    assert vars(error) == dict(
        stage="prepare", http_status=200, retryable=True, file_name="a.mp4", file_size=5,
        code=None, err_code=None, trace_id=None, retry_after=None, result=None,
        again=Again.BACKOFF, ambiguous=True, _advice=(
            "try again later, and look for a proxy that answers in the platform's place"))


def test_broken_reply_names_its_trace() -> None:
    error = refused(200, b"<html>", headers={"X-Tps-trace-ID": "f00d"})
    assert error.trace_id == "f00d"


def test_broken_reply_to_a_call_without_a_file_names_the_stage_alone() -> None:
    with pytest.raises(ProtocolError, match=r"^message: the reply \(HTTP 200, 2 bytes\) is not "):
        read_reply(Call("message", "/path", {}), 200, CaseInsensitiveDict(), b"[]", NOW)


def test_finish_answered_with_html_is_a_broken_reply() -> None:
    assert type(refused(200, b"<html></html>", stage="finish")) is ProtocolError


@pytest.mark.parametrize("status, kind", [
    (300, ApiError), (304, ApiError), (400, ApiError), (401, AuthenticationError),
    (413, UploadFileTooLargeError), (500, ApiError),
])
def test_body_that_is_no_object_does_not_hide_the_status(
    status: int, kind: Type[UploadError]
) -> None:
    for body in (b"", b"[]", b"<html>", b"\xff"):
        error = refused(status, body)
        assert type(error) is kind
        assert error.http_status == status


def test_finish_with_an_empty_refusal_is_refused() -> None:
    assert refused(500, b"", stage="finish").http_status == 500
    assert refused(300, b"", stage="finish").http_status == 300


# Refusals


@pytest.mark.parametrize("value", [850019, "850019", 850019.0, " 850019 "])
@pytest.mark.parametrize("field", ["code", "err_code"])
def test_code_in_an_http_200_is_an_error(field: str, value: Any) -> None:
    error = refused(200, {field: value, "file_info": "f"})
    assert type(error) is ApiError
    assert getattr(error, field) == 850019
    assert error.http_status == 200


def test_negative_code_is_an_error() -> None:
    assert refused(200, {"code": -1}).code == -1


def test_both_codes_are_kept() -> None:
    error = refused(400, wire("21_error_400_format.json"))
    assert (error.code, error.err_code) == (850019, 40034002)


def test_trace_id_comes_from_the_body_or_else_from_the_header() -> None:
    headers = {"x-tps-trace-id": "header"}
    assert refused(400, {"code": 1, "trace_id": "body"}, headers=headers).trace_id == "body"
    assert refused(400, {"code": 1}, headers=headers).trace_id == "header"
    assert refused(400, {"code": 1, "trace_id": ""}, headers=headers).trace_id == "header"
    assert refused(400, {"code": 1, "trace_id": 7}, headers=headers).trace_id == "header"
    assert refused(400, {"code": 1}).trace_id is None


def test_success_carries_its_trace_id() -> None:
    call, headers = Call("prepare", "/path", {}), CaseInsensitiveDict({"X-Tps-trace-ID": "f00d"})
    assert read_reply(call, 200, headers, b'{"upload_id": 7}', NOW).trace_id == "f00d"


@pytest.mark.parametrize("length, kept", [(100, 100), (101, 100), (60_000, 100)])
def test_trace_id_of_any_length_does_not_flood_the_words(length: int, kept: int) -> None:
    long = "f" * length
    assert refused(400, {"code": 1, "trace_id": long}).trace_id == "f" * kept
    assert refused(400, {}, headers={"X-Tps-trace-ID": long}).trace_id == "f" * kept


def test_retry_after_is_kept() -> None:
    assert refused(429, {}, headers={"retry-after": "7"}).retry_after == 7.0
    assert refused(429, {}).retry_after is None
    later = {"Retry-After": "Sun, 22 Nov 2026 12:01:30 GMT"}
    assert refused(503, b"", headers=later).retry_after == 90.0


def message_of(error: UploadError) -> str:
    assert isinstance(error, ApiError)
    return error.message


@pytest.mark.parametrize("body, message", [
    ({"code": 1, "message": "said"}, "said"),
    ({"code": 1, "msg": "said"}, "said"),
    ({"code": 1, "message": "said", "msg": "other"}, "said"),
    ({"code": 1, "message": "", "msg": "other"}, "other"),
    ({"code": 1, "message": 5}, ""),
    ({"code": 1}, ""),
    (b"<html><head><TITLE> 502 Bad Gateway </Title></head>", "502 Bad Gateway"),
    (b"<title>\xff</title>", "\ufffd"),
    (b"<title></title>", ""),
    (b"<html>", ""),
    (b"plain words", ""),
    ({"code": 1, "message": "x" * 501}, "x" * 500),
    (b"<title>" + b"x" * 501 + b"</title>", "x" * 500),
])
def test_message_is_what_the_platform_said(body: Any, message: str) -> None:
    assert message_of(refused(400, body)) == message


def test_refusal_carries_stage_and_file() -> None:
    error = refused(400, {"code": 1}, stage="complete")
    assert (error.stage, error.file_name, error.file_size) == ("complete", "a.mp4", 5)


# Messages under review


@pytest.mark.parametrize("body", [
    {"code": 304023, "data": {"message_audit": {"audit_id": "1"}}},
    {"code": 304024, "err_code": 304024},
    {"code": 999, "err_code": 998},
    {"id": "1"},
])
@pytest.mark.parametrize("status", [201, 202])
def test_message_under_review_is_sent(status: int, body: Any) -> None:
    assert read(status, body, stage="message") == body


@pytest.mark.parametrize("body", [
    {"code": 304023}, {"code": 304024}, {"err_code": 304023}, {"code": 0, "err_code": 304024},
    {"code": 999, "err_code": 304023},
])
def test_review_is_known_by_either_code_too(body: Any) -> None:
    assert read(200, body, stage="message") == body


@pytest.mark.parametrize("body", [b"", b"<html></html>", b"[]"])
@pytest.mark.parametrize("status", [201, 202])
def test_message_under_review_needs_no_words(status: int, body: bytes) -> None:
    assert read(status, body, stage="message") == {}


@pytest.mark.parametrize("status, code", [(200, 304022), (200, 304025), (203, 999), (400, 304023)])
def test_other_codes_and_statuses_are_no_review(status: int, code: int) -> None:
    assert refused(status, {"code": code}, stage="message").code == code


@pytest.mark.parametrize("stage", ["prepare", "finish", "complete", "url"])
def test_only_messages_are_reviewed(stage: str) -> None:
    assert refused(202, {"code": 304023}, stage=stage).code == 304023


# The samples


@pytest.mark.parametrize("name, stage, status, kind, code, err_code, trace_id", [
    ("03_token_error_200.json", "token", 200, AuthenticationError, 100016, None, None),
    ("11_part_finish_error_retryable_400.json", "finish", 400, ApiError, 40093001, 40093001,
     "<32 hex>"),
    ("19_error_401_token.json", "prepare", 401, AuthenticationError, 11244, 40011027, None),
    ("20_error_401_token_2025.json", "prepare", 401, AuthenticationError, 11244, 11244,
     "44f01fbc8ad9416bb2bf40a07e69ef10"),
    ("21_error_400_format.json", "complete", 400, ApiError, 850019, 40034002, None),
    ("22_error_400_daily_quota.json", "prepare", 400, UploadDailyLimitExceededError, 40093002,
     40093002, None),
    ("23_error_500_inner_proxy.json", "prepare", 500, ApiError, 850012, None, None),
    ("24_error_400_target.json", "prepare", 400, ApiError, 11255, 40011028,
     "a1357686d3e42fff9ac00633135e5194"),
    ("26_error_400_dedup.json", "message", 400, ApiError, 40054005, 40054005, None),
])
def test_sample_of_an_error_becomes_its_exception(
    name: str, stage: str, status: int, kind: Type[UploadError], code: int,
    err_code: Optional[int], trace_id: Optional[str],
) -> None:
    error = refused(status, wire(name), stage=stage)
    assert type(error) is kind
    assert (error.code, error.err_code, error.trace_id) == (code, err_code, trace_id)
    assert json.loads(wire(name))["message"] in str(error)


def test_sample_of_a_gateway_error_is_about_the_size() -> None:
    error = refused(413, wire("25_error_413_html.txt"))
    assert type(error) is UploadFileTooLargeError
    assert "413 Request Entity Too Large" in str(error)


@pytest.mark.parametrize("name, stage", [
    ("02_token_response_200.json", "token"),
    ("05_prepare_response_200_multi.json", "prepare"),
    ("06_prepare_response_200_single_numeric_variant.json", "prepare"),
    ("10_part_finish_response_200.json", "finish"),
    ("13_merge_response_200.json", "complete"),
    ("16_files_response_200.json", "url"),
    ("18_message_response_200.json", "message"),
])
def test_sample_of_a_success_is_read_as_it_is(name: str, stage: str) -> None:
    assert read(200, wire(name), stage=stage) == json.loads(wire(name))


def test_sample_of_a_storage_error_gives_its_code_and_message() -> None:
    found = read_storage_error(wire("08_put_part_error_403_xml.txt"))
    assert found == ("AccessDenied", "AccessDenied: Request has expired")


# The small readers


@pytest.mark.parametrize("reply, fields, inner", [
    ({"data": {"a": 1}}, ("a",), {"a": 1}),
    ({"data": {"b": 1}}, ("a", "b"), {"b": 1}),
    ({"data": {"a": None}}, ("a",), {"a": None}),
    ({"code": 0, "data": {"a": 1}}, ("a",), {"a": 1}),
    ({"data": {"a": 1}, "a": 2}, ("a",), {"data": {"a": 1}, "a": 2}),
    ({"data": {"a": 1}, "b": 2}, ("a", "b"), {"data": {"a": 1}, "b": 2}),
    ({"data": {"c": 1}}, ("a", "b"), {"data": {"c": 1}}),
    ({"data": [1]}, ("a",), {"data": [1]}),
    ({"data": "a"}, ("a",), {"data": "a"}),
    ({"data": None}, ("a",), {"data": None}),
    ({}, ("a",), {}),
])
def test_data_is_unwrapped_where_it_holds_the_fields(
    reply: Any, fields: Any, inner: Any
) -> None:
    assert unwrap(reply, *fields) == inner


@pytest.mark.parametrize("value, number", [
    (0, 0), (7, 7), (-7, -7), ("7", 7), (" 7\n", 7), ("-7", -7), ("007", 7), (7.0, 7), (-0.0, 0),
    (1 << 63, 1 << 63), ("9" * 19, int("9" * 19)),
    ("9" * 20, None), ("", None), (" ", None), ("7.0", None), ("1e3", None), ("1_0", None),
    ("+7", None), ("--7", None), ("7a", None), ("0x7", None), ("\u0661", None), ("\uff17", None),
    (2.0 ** 62, 1 << 62), (-2.0 ** 62, -(1 << 62)), (2.0 ** 63, None), (-2.0 ** 63, None),
    (1e300, None), (7.5, None), (math.nan, None), (math.inf, None), (-math.inf, None),
    (True, None), (False, None), (None, None), ([7], None), ({}, None), (b"7", None),
])
def test_int_is_read(value: Any, number: Optional[int]) -> None:
    found = read_int(value)
    assert found == number
    assert found is None or type(found) is int


@pytest.mark.parametrize("value, number", [
    (0, 0), (7, 7), (7.5, 7.5), ("7", 7.0), ("7.5", 7.5), (" 7 ", 7.0), ("1e3", 1000.0),
    ("-1", -1.0), ("0", 0.0), ("9" * 19, 1e19),
    ("9" * 20, None), ("", None), ("x", None), ("nan", None), ("inf", None), ("-Infinity", None),
    ("1e400", None), (math.nan, None), (math.inf, None), (-math.inf, None),
    pytest.param(10 ** 400, None, id="huge"),
    (True, None), (False, None), (None, None), ([1], None), ({}, None), (b"7", None),
])
def test_number_is_read(value: Any, number: Optional[float]) -> None:
    found = read_number(value)
    assert found == number
    assert not isinstance(found, bool)


@pytest.mark.parametrize("value, text", [
    ("a", "a"), (" ", " "), ("", None), (None, None), (1, None), (True, None), (b"a", None),
    (["a"], None),
])
def test_text_is_read(value: Any, text: Optional[str]) -> None:
    assert read_text(value) == text


@pytest.mark.parametrize("value, seconds", [
    (None, None), ("", None), (" ", None),
    ("0", 0.0), ("7", 7.0), (" 7 ", 7.0), ("1.5", 1.5), ("-5", 0.0),
    ("86400", 86400.0), ("soon", None), ("nan", None), ("inf", None), ("9" * 30, None),
    ("Sun, 22 Nov 2026 12:00:30 GMT", 30.0),
    ("Sun, 22 Nov 2026 12:00:30 -0000", 30.0),
    ("Sun, 22 Nov 2026 20:00:30 +0800", 30.0),
    ("Sun, 22 Nov 2026 11:00:00 GMT", 0.0),
    ("Sun, 22 Nov 2026 12:00:00 GMT", 0.0),
    ("Mon, 23 Nov 2026 12:00:00 GMT", 86400.0),
    ("Sun, 99 Nov 2026 12:00:30 GMT", None),
    ("Sun, 22 Nov 99999999 12:00:30 GMT", None),
    (", , , ,", None),
])
def test_retry_after_is_read(value: Optional[str], seconds: Optional[float]) -> None:
    assert read_retry_after(value, NOW) == seconds


def test_retry_after_date_counts_from_the_time_given() -> None:
    value = "Sun, 22 Nov 2026 12:00:30 GMT"
    assert read_retry_after(value, NOW + timedelta(seconds=10)) == 20.0
    beijing = timezone(timedelta(hours=8))
    assert read_retry_after(value, NOW.astimezone(beijing)) == 30.0


@pytest.mark.parametrize("body, text", [
    (b"<Error><Code>A</Code><Message>B c</Message><Resource>/x</Resource></Error>", "A: B c"),
    (b"<Code>A</Code>", "A"),
    (b"<Message>B</Message>", "B"),
    (b"<Message>B</Message><Code>A</Code>", "A: B"),
    (b"<Code></Code><Message>B</Message>", ": B"),
    (b"<Code>A<b>", ""),
    (b"<html>", ""),
    (b"", ""),
    (b"<Code>\xff</Code>", "\ufffd"),
    (b"<Code>" + b"x" * 600 + b"</Code>", "x" * 500),
])
def test_storage_error_gives_code_and_message_only(body: bytes, text: str) -> None:
    assert read_storage_error(body)[1] == text
