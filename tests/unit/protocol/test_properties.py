"""Whatever the network says: a value or one of our exceptions, soon, and never anything else."""

from __future__ import annotations

import itertools
import json
import math
import os.path
import time
from datetime import datetime, timedelta, timezone
from typing import Any, Dict, List, Optional, Tuple

import pytest
import requests
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from requests.structures import CaseInsensitiveDict

from qqchunk.errors import Again, ApiError, ProtocolError, TransportError, UploadError, format_size
from qqchunk.protocol.calls import read_token
from qqchunk.protocol.codes import RULES, find_rule
from qqchunk.protocol.ladder import CallState, PartState, Step
from qqchunk.protocol.plan import UploadPlan, read_plan
from qqchunk.protocol.replies import read_reply, read_retry_after, read_storage_error
from qqchunk.protocol.results import UploadResult, read_result
from qqchunk.protocol.retry import Policy
from qqchunk.protocol.values import Call, ChatType, Reply, Secret, chat_path, clean_file_name

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=timezone.utc)
STAGES = ["token", "prepare", "finish", "complete", "url", "message"]
FIELDS = [
    "access_token", "block_size", "code", "concurrency", "data", "err_code", "expires_in",
    "file_info", "file_uuid", "index", "message", "part_index", "part_list", "parts",
    "presigned_url", "raw_url", "retry_delay", "retry_timeout", "trace_id", "ttl", "upload_config",
    "upload_id", "url",
]

often = settings(max_examples=60, suppress_health_check=list(HealthCheck))
seldom = settings(max_examples=30, suppress_health_check=list(HealthCheck))

# Anything


texts = st.one_of(
    st.text(st.characters(blacklist_categories=()), max_size=8),  # lone surrogates as well
    st.sampled_from(["https://h/p", "http://u@h/", "https://h:99999", "0", "1", "NaN", "1e999",
                     "9" * 25, "-1", " 7 ", "\ud800", "\x00"]),
)
numbers = st.one_of(
    st.integers(-3, 12), st.integers(-(1 << 70), 1 << 70), st.just(10 ** 400), st.floats(),
)
scalars = st.one_of(st.none(), st.booleans(), numbers, texts)
names = st.one_of(st.sampled_from(FIELDS), st.text(max_size=3))
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(names, inner, max_size=6)),
    max_leaves=6,
)
objects = st.dictionaries(names, values, max_size=8)

bodies = st.one_of(
    st.binary(max_size=60),
    st.builds(lambda value: json.dumps(value).encode(), values),
    st.builds(lambda value, cut: json.dumps(value).encode()[:cut], objects, st.integers(0, 40)),
    st.builds(lambda value, code: json.dumps(value).encode(code), objects,
              st.sampled_from(["utf-16", "utf-32", "utf-8-sig"])),
)
headers = st.dictionaries(
    st.sampled_from(["Retry-After", "retry-after", "X-Tps-trace-ID", "Content-Type"]),
    st.one_of(st.text(max_size=20), st.sampled_from([
        "5", "-5", "nan", "inf", "1e999", "9" * 400, "Sun, 22 Nov 2026 12:00:30 GMT",
        "Sun, 22 Nov 0001 12:00:30 +2359", "Fri, 31 Dec 9999 23:59:59 -2359"])),
)
statuses = st.one_of(st.sampled_from([200, 201, 202, 204, 302, 400, 401, 413, 429, 500, 503]),
                     st.integers(100, 999))


def reply_of(
    stage: str, status: int, fields: Dict[str, str], body: bytes
) -> Optional[Dict[str, Any]]:
    """The reply's object, or None if it is refused."""
    call = Call(stage, "/", {}, "a", 5)
    try:
        reply = read_reply(call, status, CaseInsensitiveDict(fields), body, NOW)
    except UploadError as error:
        assert error.stage == stage
        assert error.http_status == status
        assert error.__context__ is None or stage == ""
        assert len(str(error)) < 2000
        assert error.retry_after is None or 0 <= error.retry_after < math.inf
        return None
    assert status < 300
    return reply.fields


def planned(reply: Dict[str, Any], file_size: int, cap: int = 10) -> Optional[UploadPlan]:
    """The plan, looked at from every side, or None if it is refused."""
    try:
        plan = read_plan(Reply(reply), file_size, max_concurrency=cap, https_only=True, now=NOW)
    except ProtocolError:
        return None
    check_plan(plan, file_size, cap)
    return plan


def check_plan(plan: UploadPlan, file_size: int, cap: int) -> None:
    assert type(plan.concurrency) is int and 1 <= plan.concurrency <= cap
    assert 0 < plan.retry_delay <= plan.retry_timeout <= 600
    if not plan.parts:
        assert plan.upload_id or plan.result is not None
        return
    assert plan.upload_id
    assert plan.result is None
    end = 0
    for part, following in zip(plan.parts, itertools.count(plan.parts[0].index)):
        assert type(part.size) is int and part.size >= 1
        assert part.offset == end
        assert part.index == following
        assert isinstance(part.url, Secret) and part.url.lower().startswith("https://")
        end += part.size
    assert end == file_size
    assert plan.parts[0].index in (0, 1)


def check_all_readers(reply: Dict[str, Any], file_size: int) -> None:
    planned(reply, file_size)
    try:
        result: Optional[UploadResult] = read_result(Reply(reply), NOW)
    except ProtocolError:
        result = None
    if result is not None:
        assert type(result.file_info) is str and result.file_info
        assert result.ttl is None or result.ttl >= 0
        assert result.expires_at is None or result.expires_at > NOW
    try:
        token, life = read_token(Reply(reply))
    except ProtocolError:
        return
    assert token.isascii() and token.isprintable()
    assert 0 <= life < math.inf


@often
@given(st.sampled_from(STAGES), statuses, headers, bodies, st.integers(1, 20))
def test_any_reply_gives_a_value_or_one_of_our_exceptions(
    stage: str, status: int, fields: Dict[str, str], body: bytes, size: int
) -> None:
    reply = reply_of(stage, status, fields, body)
    if reply is not None:
        check_all_readers(reply, size)


@often
@given(objects, st.integers(1, 20))
@example({"upload_id": "u", "parts": [{"index": 10 ** 400, "url": "https://h/"}]}, 1)
@example({"file_info": "f", "ttl": 10 ** 400}, 1)
@example({"access_token": "t", "expires_in": 10 ** 400}, 1)
def test_any_object_gives_a_value_or_one_of_our_exceptions(
    reply: Dict[str, Any], size: int
) -> None:
    check_all_readers(reply, size)
    check_all_readers({"data": reply}, size)


loose_parts = st.lists(
    st.fixed_dictionaries({}, optional={
        "index": st.one_of(st.integers(-1, 4), scalars),
        "part_index": st.integers(0, 4),
        "block_size": st.one_of(st.integers(-1, 6), st.integers(0, 6).map(str), scalars),
        "presigned_url": st.one_of(st.just("https://h/p"), texts),
        "url": st.just("https://h/p"),
    }),
    max_size=4,
)


@often
@given(loose_parts, st.one_of(st.integers(0, 6), scalars), objects, st.integers(1, 12),
       st.integers(1, 10))
def test_every_plan_that_is_accepted_covers_the_file_exactly_once(
    parts: Any, block_size: Any, config: Any, size: int, cap: int
) -> None:
    planned({"upload_id": "u", "parts": parts, "block_size": block_size,
             "upload_config": config}, size, cap)


@often
@given(scalars, scalars, scalars, st.integers(1, 10))
def test_any_pace_is_a_pace_to_live_with(
    concurrency: Any, timeout: Any, delay: Any, cap: int
) -> None:
    pace = {"concurrency": concurrency, "retry_timeout": timeout, "retry_delay": delay}
    for reply in (dict(pace), {"upload_config": pace}):
        plan = planned({"upload_id": "u", "parts": [], **reply}, 5, cap)
        assert plan is not None


# Dialects


@st.composite
def dialects(draw: Any) -> Tuple[int, Dict[str, Any], List[Tuple[int, int, int, str]], Any]:
    """File size, a reply in some dialect, and the parts and the pace it stands for."""
    block = draw(st.integers(1, 50))
    size = draw(st.integers(1, 6)) * block - draw(st.integers(0, block - 1))
    own = draw(st.booleans())
    numbered = draw(st.booleans())
    base = draw(st.sampled_from([0, 1])) if numbered else 1
    spell = draw(st.sampled_from([int, str, float]))
    index, url, parts = draw(st.sampled_from([
        ("index", "presigned_url", "parts"), ("part_index", "url", "part_list"),
        ("part_index", "presigned_url", "parts"), ("index", "url", "part_list")]))
    expected, listed, offset = [], [], 0
    while offset < size:
        left = size - offset
        length = draw(st.integers(1, left)) if own and draw(st.booleans()) else min(block, left)
        number = base + len(expected)
        link = f"https://cos.example/part_{number}?sign=%2f+{number}"
        expected.append((number, offset, length, link))
        entry: Dict[str, Any] = {url: link}
        if numbered:
            # A spelling that changes from part to part is accepted too.
            entry[index] = draw(st.sampled_from([int, str, float]))(number)
        if own:
            entry["block_size"] = spell(length)
        listed.append(entry)
        offset += length
    if numbered:
        listed = draw(st.permutations(listed))
    pace = {"concurrency": draw(st.integers(1, 10)), "retry_timeout": draw(st.integers(31, 600)),
            "retry_delay": draw(st.integers(1, 30))}
    spelled = {name: spell(number) for name, number in pace.items()}
    reply: Dict[str, Any] = {"upload_id": "u", parts: listed}
    if not own or draw(st.booleans()):
        reply["block_size"] = spell(block)
    where = draw(st.sampled_from(["nested", "flat", "both"]))
    if where != "flat":
        reply["upload_config"] = spelled
    if where == "flat":
        reply.update(spelled)
    if where == "both":
        reply.update(dict.fromkeys(pace, 0))
    if draw(st.booleans()):
        reply = {"code": 0, "message": "ok", "data": reply}
    return size, reply, expected, tuple(pace.values())


@often
@given(dialects())
def test_every_dialect_says_the_same(dialect: Any) -> None:
    size, reply, expected, pace = dialect
    again = reply_of("prepare", 200, {}, json.dumps(reply).encode())
    assert again is not None
    plan = planned(again, size)
    assert plan is not None
    assert [(p.index, p.offset, p.size, p.url) for p in plan.parts] == expected
    assert (plan.concurrency, plan.retry_timeout, plan.retry_delay) == pace


BREAKS = {
    "missing": lambda parts, n: parts.pop(n),
    "doubled": lambda parts, n: parts.append(dict(parts[n])),
    "empty": lambda parts, n: parts[n].update(block_size=0),
    "negative": lambda parts, n: parts[n].update(block_size=-parts[n]["block_size"]),
    "longer": lambda parts, n: parts[n].update(block_size=parts[n]["block_size"] + 1),
    "shorter": lambda parts, n: parts[n].update(block_size=parts[n]["block_size"] - 1),
    "no URL": lambda parts, n: parts[n].pop("presigned_url"),
    "no http": lambda parts, n: parts[n].update(presigned_url="ftp://h/p"),
    "plain http": lambda parts, n: parts[n].update(presigned_url="http://h/p"),
    "credentials": lambda parts, n: parts[n].update(presigned_url="https://u:w@h/p"),
    "line break": lambda parts, n: parts[n].update(presigned_url="https://h/p\r\nX: y"),
    "renumbered": lambda parts, n: parts[n].update(index=len(parts) + 2),
    "negative index": lambda parts, n: parts[n].update(index=-1),
    "no object": lambda parts, n: parts.__setitem__(n, None),
}


@seldom
@given(st.lists(st.integers(1, 9), min_size=2, max_size=5), st.sampled_from([0, 1]),
       st.sampled_from(sorted(BREAKS)), st.data())
def test_plan_that_is_broken_in_any_one_place_is_refused(
    sizes: List[int], base: int, how: str, data: Any
) -> None:
    parts = [{"index": base + n, "block_size": size, "presigned_url": "https://h/p"}
             for n, size in enumerate(sizes)]
    assert planned({"upload_id": "u", "parts": parts}, sum(sizes)) is not None
    BREAKS[how](parts, data.draw(st.integers(0, len(parts) - 1)))
    assert planned({"upload_id": "u", "parts": parts}, sum(sizes)) is None


# Bounded time: the longest bodies that are read at all


MEGABYTE = 1 << 20
MOST_SECONDS = 20.0  # of CPU, on the slowest machine: what is not linear takes minutes
LONG_BODIES = {
    "lists in lists": b"[" * MEGABYTE,
    "objects in objects": b'{"data":' * (MEGABYTE // 2),
    "many digits": b'{"code":' + b"9" * (4 * MEGABYTE) + b"}",
    "many negative digits": b'{"ttl":-' + b"9" * (4 * MEGABYTE) + b"}",
    "many decimals": b'{"expires_in":0.' + b"9" * (4 * MEGABYTE) + b"}",
    "huge exponent": b'{"ttl":1e' + b"9" * (4 * MEGABYTE) + b"}",
    "many digits as text": b'{"block_size":"' + b"9" * (4 * MEGABYTE) + b'"}',
    "long message": b'{"code":1,"message":"' + b"x" * (4 * MEGABYTE) + b'"}',
    "titles": b"<title>" * (MEGABYTE // 2),
    "many parts": b'{"upload_id":"u","parts":[' + b"{}," * (MEGABYTE // 5) + b"{}]}",
    "many good parts": b'{"upload_id":"u","block_size":1,"parts":[' + (
        b'{"url":"https://h/p"},' * 20_000) + b'{"url":"https://h/p"}]}',
    "many fields": json.dumps({str(n): n for n in range(50_000)}).encode(),
}


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize("name", LONG_BODIES)
def test_longest_reply_is_read_in_bounded_time(name: str, status: int) -> None:
    began = time.process_time()
    reply = reply_of("complete", status, {}, LONG_BODIES[name])
    if reply is not None:
        check_all_readers(reply, 20_001)
    assert time.process_time() - began < MOST_SECONDS


@pytest.mark.parametrize("value", [
    "(" * 65_000, "," * 65_000, "9" * 65_000, " " * 65_000, "Sun, " * 13_000, ":" * 65_000,
    "-" * 65_000, "Sun, 22 Nov 2026 12:00:30 " + "+" * 65_000,
], ids=range(8))
def test_longest_header_is_read_in_bounded_time(value: str) -> None:
    began = time.process_time()
    assert read_retry_after(value, NOW) in (None, 30.0)
    assert time.process_time() - began < MOST_SECONDS


@pytest.mark.parametrize("body", [
    b"<Code>" * 11_000, b"<Code></Code>" * 5_000, b"<" * 65_536, b"<Message>" * 7_000 + b"x",
], ids=range(4))
def test_longest_storage_error_is_read_in_bounded_time(body: bytes) -> None:
    began = time.process_time()
    assert len(read_storage_error(body)[1]) <= 500
    assert time.process_time() - began < MOST_SECONDS


# The small readers


@seldom
@given(st.one_of(
    st.text(max_size=30), st.floats().map(str), st.integers().map(str),
    st.datetimes().map(lambda moment: moment.strftime("%a, %d %b %Y %H:%M:%S GMT"))))
def test_any_retry_after_is_a_finite_time_or_none(value: str) -> None:
    seconds = read_retry_after(value, NOW)
    assert seconds is None or 0 <= seconds < math.inf


@seldom
@given(st.floats(0, 10 ** 6))
def test_retry_after_as_a_date_is_the_time_until_then(later: float) -> None:
    moment = NOW + timedelta(seconds=int(later))
    value = moment.strftime("%a, %d %b %Y %H:%M:%S GMT")
    assert read_retry_after(value, NOW) == int(later)


@seldom
@given(st.binary(max_size=80))
def test_any_storage_error_is_short_text(body: bytes) -> None:
    for found in (b"<Code>" + body + b"</Code>", body):
        assert all(type(text) is str for text in read_storage_error(found))


names_of_files = st.one_of(
    st.text(st.characters(blacklist_categories=()), max_size=30),
    st.builds(lambda stem, extension: stem * 30 + "." + extension,
              st.text(st.characters(blacklist_categories=()), min_size=1, max_size=12),
              st.text("abc.", max_size=25)),
)


@often
@given(names_of_files)
def test_any_file_name_becomes_one_that_the_platform_takes(name: str) -> None:
    cleaned = clean_file_name(name)
    assert 1 <= len(cleaned) <= 180
    assert not set(cleaned) & set('\\/:*?"<>|')
    assert "  " not in cleaned
    assert cleaned.strip(".")
    assert all(ord(c) >= 32 for c in cleaned)
    cleaned.encode("utf-8")
    extension = os.path.splitext(name)[1]
    if extension.isalnum() and len(extension) < 20:
        assert cleaned.endswith(extension)


@often
@given(st.one_of(
    st.text(st.characters(blacklist_categories=()), max_size=12),
    st.text("./\\%2eEfF?#;@: \n", max_size=12)), st.sampled_from(list(ChatType)))
@example("..", ChatType.C2C)
@example("%2e%2e", ChatType.C2C)
@example("..%2f..%2ffiles", ChatType.GROUP)
@example("%", ChatType.GROUP)
@example("a/../b", ChatType.GROUP)
def test_no_target_reaches_another_path(target_id: str, chat_type: ChatType) -> None:
    try:
        path = chat_path(chat_type, target_id)
    except ValueError:
        return
    scene = {"c2c": "users", "group": "groups"}[chat_type.value]
    request = requests.Request("POST", f"https://h.invalid{path}/files").prepare()
    assert request.path_url == f"{path}/files"
    _, version, found, target, call = request.path_url.split("/")
    assert (version, found, call) == ("v2", scene, "files")
    assert requests.utils.unquote(target) == target_id


@seldom
@given(st.integers(-(1 << 60), 1 << 60))
def test_any_size_is_short_words(size: int) -> None:
    number, unit = format_size(size).split(" ")
    assert unit in ("B", "KB", "MB", "GB", "TB")
    assert abs(float(number)) < 1024 or unit == "TB"


# Retries


errors = st.one_of(
    st.builds(
        lambda code, status, after: ApiError(
            "words", code=code, http_status=status, retry_after=after,
            again=find_rule(status, code, None).again,
            ambiguous=find_rule(status, code, None).ambiguous),
        st.one_of(st.none(), st.sampled_from(sorted(RULES)), st.integers()),
        st.sampled_from([200, 400, 401, 413, 429, 500, 503]),
        st.one_of(st.none(), st.floats(0, 1e6))),
    st.builds(lambda again: TransportError("words", again=again), st.sampled_from(Again)),
)


@often
@given(st.lists(errors, max_size=60), st.sampled_from(STAGES), st.integers(0, 5),
       st.floats(0, 100), st.floats(0.8, 1.2))
def test_any_series_of_failures_ends_and_no_wait_is_endless(
    series: List[UploadError], stage: str, retries: int, backoff: float, factor: float
) -> None:
    now, waited_by_the_clock = 1000.0, 0.0
    state = CallState(stage, Policy(retries, backoff, lambda: factor))
    for count, error in enumerate(series):
        after = state.failed(error, now)
        if after.step is not Step.CALL:
            break
        delay, before, state = after.due - now, state, after.state
        assert 0 <= delay <= max(60.0, backoff * 2 ** max(retries, 5) * 1.2 + 1e-6)
        assert state.attempts.failures <= max(retries, 5)
        if state.attempts.limits > before.attempts.limits:
            waited_by_the_clock += delay
        elif state.attempts.failures == before.attempts.failures:
            assert state.renewed and not before.renewed
        now += delay
    assert waited_by_the_clock <= 120.0 + 1e-6


@often
@given(st.lists(st.one_of(errors, st.just(None)), max_size=80), st.booleans(),
       st.floats(0.05, 600), st.floats(0.05, 5))
def test_any_series_of_answers_brings_a_part_to_an_end(
    series: List[Optional[UploadError]], last: bool, timeout: float, delay: float
) -> None:
    now = 1000.0
    untried_finish = CallState("finish", Policy(2, 1.0, lambda: 1.0), last=last)
    state = PartState(1, "part 1 of 2", untried_finish, timeout, delay, now)
    step = Step.PUT
    for error in series:
        if step is Step.PUT:
            after = state.sent(now) if error is None else state.put_failed(error, now)
        else:
            after = state.confirmed(now) if error is None else state.finish_failed(error, now)
        assert after.due >= now
        assert after.step is not Step.PREPARE or not last
        assert (after.step is Step.FAIL) <= (after.error is not None)
        if after.step not in (Step.PUT, Step.FINISH):
            break
        assert after.state.polled_until(now) >= state.polled_until(now) - 1e-6
        step, state, now = after.step, after.state, after.due
