"""The reply to prepare, in every dialect, becomes one plan or a ProtocolError."""

from __future__ import annotations

import json
import math
import pathlib
import traceback
from datetime import datetime, timezone
from typing import Any, Dict, List

import pytest

from qqchunk.errors import ProtocolError
from qqchunk.protocol.plan import Part, UploadPlan, read_plan
from qqchunk.protocol.replies import read_reply
from qqchunk.protocol.values import Call, Reply, Secret

SAMPLES = pathlib.Path(__file__).parents[2] / "samples"
NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=timezone.utc)
MAKES_NO_SENSE = (
    "prepare: the platform's reply makes no sense: {}; nothing was sent - "
    "report it if it happens again")


def entry(index: Any, size: Any, url: Any = "https://cos.example/part") -> Dict[str, Any]:
    return {"index": index, "block_size": size, "presigned_url": url}


def reply(*parts: Dict[str, Any], **changes: Any) -> Dict[str, Any]:
    """A reply in the live dialect; a change to Ellipsis leaves the field out."""
    fields = {"upload_id": "u1", "block_size": "100", "parts": list(parts), **changes}
    return {name: value for name, value in fields.items() if value is not ...}


def plan(
    fields: Dict[str, Any], size: int = 250, cap: int = 10, https_only: bool = True
) -> UploadPlan:
    return read_plan(Reply(fields), size, max_concurrency=cap, https_only=https_only, now=NOW)


def refusal(fields: Dict[str, Any], size: int = 250, https_only: bool = True) -> str:
    """The words of the ProtocolError, without what all of them share."""
    with pytest.raises(ProtocolError) as caught:
        plan(fields, size, https_only=https_only)
    assert caught.value.stage == "prepare"
    assert not caught.value.retryable
    before, after = MAKES_NO_SENSE.split("{}")
    text = str(caught.value)
    assert text.startswith(before) and text.endswith(after)
    return text[len(before):-len(after)]


def layout(fields: Dict[str, Any], size: int = 250) -> List[Any]:
    return [(p.index, p.offset, p.size) for p in plan(fields, size).parts]


LIVE = [entry(1, "100"), entry(2, "100"), entry(3, "50")]


# The samples


def test_sample_of_seven_parts_is_read() -> None:
    fields = json.loads((SAMPLES / "05_prepare_response_200_multi.json").read_text("utf-8"))
    found = plan(fields, 64806266)
    assert found.upload_id == "upload_1778164576144309519_23744"
    assert (found.concurrency, found.retry_timeout, found.retry_delay) == (1, 300.0, 1.0)
    assert found.result is None
    assert [(p.index, p.offset, p.size) for p in found.parts] == [
        (1, 0, 10485760), (2, 10485760, 10485760), (3, 20971520, 10485760),
        (4, 31457280, 10485760), (5, 41943040, 10485760), (6, 52428800, 10485760),
        (7, 62914560, 1891706)]
    assert [p.url for p in found.parts] == [p["presigned_url"] for p in fields["parts"]]


def test_sample_of_one_part_with_plain_numbers_is_read() -> None:
    name = "06_prepare_response_200_single_numeric_variant.json"
    fields = json.loads((SAMPLES / name).read_text("utf-8"))
    found = plan(fields, 1728171)
    assert [(p.index, p.offset, p.size) for p in found.parts] == [(1, 0, 1728171)]
    assert (found.concurrency, found.retry_timeout, found.retry_delay) == (1, 300.0, 1.0)


# Dialects


EXPECTED = UploadPlan(
    upload_id="u1",
    parts=(
        Part(1, 0, 100, Secret("https://cos.example/1")),
        Part(2, 100, 100, Secret("https://cos.example/2")),
        Part(3, 200, 50, Secret("https://cos.example/3")),
    ),
)


def spelled(
    *, number: Any = str, size: Any = str, index: str = "index", url: str = "presigned_url",
    order: Any = (0, 1, 2), own: bool = True, numbered: bool = True, parts: str = "parts",
) -> Dict[str, Any]:
    found = []
    for n in order:
        part: Dict[str, Any] = {url: f"https://cos.example/{n + 1}"}
        if numbered:
            part[index] = number(n + 1)
        if own:
            part["block_size"] = size((100, 100, 50)[n])
        found.append(part)
    return {"upload_id": "u1", "block_size": size(100), parts: found}


@pytest.mark.parametrize("fields", [
    spelled(),
    spelled(number=int, size=int),
    spelled(number=float, size=float),
    spelled(index="part_index", url="url", parts="part_list"),
    spelled(order=(2, 0, 1)),
    spelled(own=False),
    spelled(own=False, order=(1, 2, 0), number=int, size=int),
    spelled(numbered=False),
    spelled(numbered=False, own=False),
    {"data": spelled()},
    {"code": 0, "message": "ok", "data": spelled(parts="part_list")},
], ids=["text", "ints", "floats", "aliases", "shuffled", "no own sizes", "shuffled, no own sizes",
        "no indexes", "bare", "wrapped", "wrapped aliases"])
def test_dialect_gives_the_same_plan(fields: Dict[str, Any]) -> None:
    assert plan(fields) == EXPECTED


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_indexes_from_0_keep_their_own_numbers(order: Any) -> None:
    live = [entry(0, 100), entry(1, 100), entry(2, 50)]
    assert layout(reply(*(live[n] for n in order))) == [(0, 0, 100), (1, 100, 100), (2, 200, 50)]


def test_index_0_beside_an_alias_is_an_index() -> None:
    assert layout(reply(dict(entry(0, 250), part_index=1))) == [(0, 0, 250)]


def test_null_is_passed_over_for_the_alias() -> None:
    part = {"index": None, "part_index": 0, "presigned_url": None, "url": "https://h/",
            "block_size": None}
    assert layout(reply(part, block_size=250)) == [(0, 0, 250)]


def test_plan_and_parts_are_frozen() -> None:
    with pytest.raises(AttributeError):
        setattr(EXPECTED, "upload_id", "u2")
    with pytest.raises(AttributeError):
        setattr(EXPECTED.parts[0], "index", 0)


def test_offsets_are_a_running_sum_of_uneven_sizes() -> None:
    fields = reply(entry(1, 10), entry(2, 200), entry(3, 40))
    assert layout(fields) == [(1, 0, 10), (2, 10, 200), (3, 210, 40)]


def test_own_size_goes_before_the_common_one() -> None:
    assert layout(reply(entry(1, 250), block_size=100)) == [(1, 0, 250)]


def test_parts_with_and_without_own_size_add_up() -> None:
    bare = {"index": 2, "presigned_url": "https://h/"}
    assert layout(reply(entry(1, 180), bare)) == [(1, 0, 180), (2, 180, 70)]


def test_only_part_is_clipped_to_a_file_smaller_than_the_common_size() -> None:
    bare = {"index": 1, "presigned_url": "https://h/"}
    assert layout(reply(bare, block_size=10485760), 1) == [(1, 0, 1)]


def test_file_of_exactly_two_blocks_has_two() -> None:
    parts = [{"index": n, "presigned_url": "https://h/"} for n in (1, 2)]
    assert layout(reply(*parts), 200) == [(1, 0, 100), (2, 100, 100)]


def test_url_goes_out_as_it_came_and_hides_in_a_repr() -> None:
    url = "https://cos.example:443/a%2fb/part_1?x=%e5&q-signature=5ecret+/=#frag"
    part = plan(reply(entry(1, 250, url))).parts[0]
    assert part.url == url
    assert "5ecret" not in repr(part)


# The pace


@pytest.mark.parametrize("value, concurrency", [
    (1, 1), (2, 2), (9, 9), (10, 10), (11, 10), (1e300, 10), ("4", 4), (4.0, 4), (2.9, 2),
    (0, 1), ("0", 1), (-3, 1), ("-3", 1), (0.5, 1), (math.nan, 1), ("NaN", 1), (math.inf, 1),
    (None, 1), (True, 1), ("many", 1), ([], 1), (..., 1),
])
def test_concurrency_is_clamped(value: Any, concurrency: int) -> None:
    config = {} if value is ... else {"concurrency": value}
    found = plan(reply(*LIVE, upload_config=config)).concurrency
    assert found == concurrency
    assert type(found) is int


def test_local_cap_is_the_most() -> None:
    assert plan(reply(*LIVE, upload_config={"concurrency": 5}), cap=3).concurrency == 3
    assert plan(reply(*LIVE, upload_config={"concurrency": 5}), cap=1).concurrency == 1


@pytest.mark.parametrize("value, seconds", [
    (300, 300.0), ("300", 300.0), (1, 1.0), (0.5, 0.5), (599, 599.0), (600, 600.0), (601, 600.0),
    (1e300, 600.0), (0, 120.0), ("0", 120.0), (-1, 120.0), (math.nan, 120.0), ("nan", 120.0),
    (math.inf, 120.0), (None, 120.0), (True, 120.0), ("x", 120.0), ({}, 120.0), (..., 120.0),
])
def test_retry_timeout_is_clamped(value: Any, seconds: float) -> None:
    config = {} if value is ... else {"retry_timeout": value}
    assert plan(reply(*LIVE, upload_config=config)).retry_timeout == seconds


@pytest.mark.parametrize("value, seconds", [
    (1, 1.0), ("2", 2.0), (0.5, 0.5), (30, 30.0), (300, 300.0), (301, 300.0), (1e300, 300.0),
    (0.05, 0.05), (0.04, 0.05), (1e-300, 0.05),
    (0, 1.0), ("0", 1.0), (-1, 1.0), (math.nan, 1.0), ("nan", 1.0), (math.inf, 1.0), (None, 1.0),
    (True, 1.0), ("x", 1.0), (..., 1.0),
])
def test_retry_delay_is_clamped(value: Any, seconds: float) -> None:
    config: Dict[str, Any] = {"retry_timeout": 300}
    if value is not ...:
        config["retry_delay"] = value
    assert plan(reply(*LIVE, upload_config=config)).retry_delay == seconds


def test_delay_is_no_longer_than_the_timeout() -> None:
    found = plan(reply(*LIVE, upload_config={"retry_timeout": 0.5, "retry_delay": 7}))
    assert (found.retry_timeout, found.retry_delay) == (0.5, 0.5)


PACE = {"concurrency": 3, "retry_timeout": 30, "retry_delay": 2}


@pytest.mark.parametrize("changes", [
    {"upload_config": PACE},
    PACE,
    {"upload_config": PACE, "concurrency": 9, "retry_timeout": 9, "retry_delay": 9},
    {"upload_config": {"concurrency": 3}, "concurrency": 9, "retry_timeout": 30, "retry_delay": 2},
    {"upload_config": None, **PACE},
    {"upload_config": [], **PACE},
    {"upload_config": "text", **PACE},
], ids=["nested", "flat", "both", "mixed", "null", "list", "text"])
def test_pace_is_nested_or_flat_and_nested_wins(changes: Dict[str, Any]) -> None:
    found = plan(reply(*LIVE, **changes))
    assert (found.concurrency, found.retry_timeout, found.retry_delay) == (3, 30.0, 2.0)


def test_pace_without_any_word_is_the_default() -> None:
    found = plan(reply(*LIVE))
    assert (found.concurrency, found.retry_timeout, found.retry_delay) == (1, 120.0, 1.0)


# Nothing to send


@pytest.mark.parametrize("parts", [{"parts": []}, {"part_list": []}, {"parts": None}, {}])
def test_file_info_without_parts_is_the_result(parts: Dict[str, Any]) -> None:
    found = plan({"file_info": "f", "file_uuid": "g", "ttl": 60, **parts})
    assert found.parts == ()
    assert found.upload_id == ""
    assert found.result is not None
    assert (found.result.file_info, found.result.file_uuid, found.result.ttl) == ("f", "g", 60)
    assert found.result.reused is True


def test_wrapped_file_info_without_parts_is_the_result() -> None:
    found = plan({"code": 0, "data": {"file_info": "f"}})
    assert found.result is not None and found.result.file_info == "f"


def test_file_info_beside_parts_does_not_make_them_needless() -> None:
    found = plan(reply(*LIVE, file_info="f"))
    assert found.result is None
    assert len(found.parts) == 3


@pytest.mark.parametrize("file_info", [..., None, "", 5])
def test_no_parts_with_an_upload_id_lead_on_to_complete(file_info: Any) -> None:
    found = plan(reply(file_info=file_info))
    assert (found.upload_id, found.parts, found.result) == ("u1", (), None)


# Replies that make no sense


@pytest.mark.parametrize("upload_id", [..., None, "", 5, True, ["u1"], {}])
def test_upload_id_is_needed(upload_id: Any) -> None:
    assert refusal(reply(*LIVE, upload_id=upload_id)) == "it has no upload_id"


@pytest.mark.parametrize("parts", [..., "parts", 5, {"index": 1}, True, {}, "", 0])
def test_list_of_parts_is_needed(parts: Any) -> None:
    assert refusal(reply(parts=parts)) == "it has no list of parts"


@pytest.mark.parametrize("fields", [{}, {"data": {}}, {"data": []}, {"code": 0}])
def test_empty_reply_is_refused(fields: Dict[str, Any]) -> None:
    assert refusal(fields) == "it has no upload_id"


@pytest.mark.parametrize("thing", [None, 1, "part", [], True])
def test_part_that_is_no_object_is_refused(thing: Any) -> None:
    assert refusal(reply(entry(1, 100), thing)) == "its part at position 1 is not an object"


@pytest.mark.parametrize("index", ["", "one", "1.0", 1.5, math.nan, True, [], {}, "9" * 20])
def test_index_that_is_no_number_is_refused(index: Any) -> None:
    fields = reply(entry(1, 200), entry(index, 50))
    assert refusal(fields) == "its part at position 1 has no usable index"


@pytest.mark.parametrize("indexes", [
    (1, 2, 4), (1, 3), (0, 2), (2, 3, 4), (-1, 0, 1), (1, 1), (0, 0), (0, 1, 1), (1, 2, 2), (2,),
    (-1,), (10 ** 30,), (1, 10 ** 30),
])
def test_indexes_with_gaps_or_twice_are_refused(indexes: Any) -> None:
    parts = [entry(n, 250 // len(indexes)) for n in indexes]
    assert refusal(reply(*parts)) == "its part indexes are not each number from 0 or 1 on, once"


def test_two_parts_of_one_index_are_refused_also_where_they_differ() -> None:
    fields = reply(entry(1, 200), entry(1, 50))
    assert refusal(fields) == "its part indexes are not each number from 0 or 1 on, once"


def test_some_parts_with_an_index_and_some_without_are_refused() -> None:
    bare = {"block_size": 50, "presigned_url": "https://h/"}
    assert refusal(reply(entry(1, 100), entry(2, 100), bare)) == "1 of its 3 parts have no index"
    assert refusal(reply(bare, bare, entry(3, 150))) == "2 of its 3 parts have no index"
    named = {"part_index": 1, "block_size": 200, "presigned_url": "https://h/"}
    assert refusal(reply(named, bare)) == "1 of its 2 parts have no index"


@pytest.mark.parametrize("size", [0, "0", -1, "-50", "", "x", 49.5, math.nan, True, [], {}])
def test_part_of_no_usable_size_is_refused(size: Any) -> None:
    fields = reply(entry(1, 100), entry(2, 150), entry(3, size))
    assert refusal(fields) == "its part 3 would be empty"


def test_smallest_part_is_one_byte() -> None:
    assert layout(reply(entry(1, 249), entry(2, 1))) == [(1, 0, 249), (2, 249, 1)]


@pytest.mark.parametrize("common", [..., None, 0, -1, "", "x", math.nan, 99.5])
def test_part_without_any_size_is_refused(common: Any) -> None:
    bare = {"index": 1, "presigned_url": "https://h/"}
    assert refusal(reply(bare, block_size=common)) == "its part 1 would be empty"


def test_part_past_the_end_of_the_file_is_refused() -> None:
    parts = [{"index": n, "presigned_url": "https://h/"} for n in (1, 2, 3, 4)]
    assert refusal(reply(*parts)) == "its part 4 would be empty"


@pytest.mark.parametrize("sizes, total", [
    ((100, 100, 49), 249), ((100, 100, 51), 251), ((250, 250), 500), ((1,), 1),
    ((10 ** 300,), 10 ** 300),
], ids=["short", "long", "twice", "much too short", "huge"])
def test_sizes_that_do_not_sum_up_are_refused(sizes: Any, total: int) -> None:
    parts = [entry(n + 1, size) for n, size in enumerate(sizes)]
    assert refusal(reply(*parts)) == f"its parts add up to {total} bytes and the file has 250"


def test_common_size_for_too_few_parts_is_refused() -> None:
    parts = [{"index": n, "presigned_url": "https://h/"} for n in (1, 2)]
    assert refusal(reply(*parts)) == "its parts add up to 200 bytes and the file has 250"


BAD_URLS = [
    ..., None, "", 5, True, ["https://h/"], "h/part", "/part", "//h/part", "ftp://h/part",
    "file:///etc/passwd", "javascript:alert(1)", "https:", "https://", "https:///part", "https:h",
    "https://:443/part", "https://user@h/part", "https://user:word@h/part", "https://@h/part",
    "https://h:0/part", "https://h:65536/part", "https://h:-1/part", "https://h:x/part",
    "https://[::1/part", "https://h/a b", " https://h/", "https://h/ ", "https://h/\n",
    "https://h/\r\nX: y", "https://h\t/", "https://h/\x00", "https://h/\x7f", "https://h/ü",
    "https://хост/", "https://h/\ud800", "https://h/\u2028",
]


@pytest.mark.parametrize("url", BAD_URLS, ids=range(len(BAD_URLS)))
def test_url_that_cannot_be_used_is_refused(url: Any) -> None:
    bad = entry(3, 50, url)
    if url is ...:
        del bad["presigned_url"]
    assert refusal(reply(entry(1, 100), entry(2, 100), bad)) == "its part 3 has no https URL"


@pytest.mark.parametrize("url", [
    "https://h", "https://h/", "HTTPS://H/", "https://h:1/", "https://h:65535/",
    "https://127.0.0.1/p", "https://[::1]:8443/p", "https://h/p?a=b@c", "https://h/%00",
])
def test_url_of_any_usual_form_is_taken(url: str) -> None:
    assert plan(reply(entry(1, 250, url))).parts[0].url == url


def test_plain_http_is_refused_where_the_api_is_https() -> None:
    assert refusal(reply(entry(1, 250, "http://h/"))) == "its part 1 has no https URL"


def test_plain_http_is_taken_where_the_api_is_plain_http() -> None:
    for url in ("http://h/", "https://h/"):
        found = plan(reply(entry(1, 250, url)), https_only=False)
        assert found.parts[0].url == url


def test_other_schemes_are_refused_on_plain_http_too() -> None:
    bad = reply(entry(1, 250, "ftp://h/"))
    assert refusal(bad, https_only=False) == "its part 1 has no http or https URL"


@pytest.mark.parametrize("changes", [
    {"parts": [entry(1, 250, "ftp://h/?sign=5ecret")]},
    {"parts": [entry(1, 100, "https://h/?sign=5ecret"), entry(2, 150, "https://[/?sign=5ecret")]},
    {"parts": [entry(1, 249, "https://h/?sign=5ecret")]},
    {"parts": [entry(2, 250, "https://h/?sign=5ecret")]},
    {"parts": [entry(1, 250, "https://h/?sign=5ecret")], "upload_id": None},
    {"parts": {"url": "https://h/?sign=5ecret"}, "file_info": "5ecret"},
], ids=["scheme", "host", "sum", "index", "upload_id", "no list"])
def test_traceback_of_a_refusal_shows_no_signature(changes: Dict[str, Any]) -> None:
    body = json.dumps(reply(**changes)).encode()
    answer = read_reply(Call("prepare", "/", {}), 200, {}, body, NOW)
    with pytest.raises(ProtocolError) as caught:
        plan(answer.fields)
    error = caught.value
    assert error.__context__ is None and error.__cause__ is None
    trace = traceback.TracebackException(
        type(error), error, error.__traceback__, capture_locals=True)
    frames = [f for f in trace.stack if pathlib.Path(f.filename).name == "plan.py"]
    assert frames
    assert "5ecret" not in str(error) + "".join(traceback.StackSummary.from_list(frames).format())


def test_refusal_names_the_trace_of_the_reply() -> None:
    with pytest.raises(ProtocolError) as caught:
        read_plan(Reply({}, 201, "f00d"), 250, max_concurrency=1, https_only=True, now=NOW)
    assert (caught.value.trace_id, caught.value.http_status) == ("f00d", 201)
    assert "(trace f00d)" in str(caught.value)
