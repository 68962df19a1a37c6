"""The emulator speaks as the platform's samples do, and every other dialect on request."""

from __future__ import annotations

import json
import math
import pathlib
from typing import Any, Dict

import pytest

from tests.emulator.client import CONTENT, digests, notes, serving

SAMPLES = pathlib.Path(__file__).parents[1] / "samples"


def sample(name: str) -> Any:
    return json.loads((SAMPLES / name).read_text(encoding="utf-8"))


def shape(value: Any) -> Any:
    """The keys and types of a JSON value; of a list, those of its first item."""
    if isinstance(value, dict):
        return {name: shape(item) for name, item in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value).__name__


# The samples


def test_token_reply_has_the_shape_of_the_sample() -> None:
    body = sample("01_token_request.json")["body"]
    with serving(app_id=body["appId"], client_secret=body["clientSecret"]) as bot:
        reply = bot.fetch_token().json
        assert shape(reply) == shape(sample("02_token_response_200.json"))
        assert reply["expires_in"] == "7200"
        refused = bot.fetch_token(clientSecret="other")
        assert (refused.status, refused.json) == (200, sample("03_token_error_200.json"))


def test_sampled_plan_of_seven_parts_is_given_part_for_part() -> None:
    body = sample("04_prepare_request.json")["body"]
    body.update(md5="0" * 32, sha1="0" * 40, md5_10m="0" * 32)
    expected = sample("05_prepare_response_200_multi.json")
    with serving(block_size=10_485_760) as bot:
        plan = bot.api("/v2/users/U1/upload_prepare", body).json
        assert notes(bot) == []
    assert shape(plan) == shape(expected)
    assert (plan["block_size"], plan["upload_config"]) == (
        expected["block_size"], expected["upload_config"]
    )
    for part, wanted in zip(plan["parts"], expected["parts"]):
        assert (part["index"], part["block_size"]) == (wanted["index"], wanted["block_size"])
        names = [[f.split("=")[0] for f in url.split("?")[1].split("&")] for url in (
            part["presigned_url"], wanted["presigned_url"]
        )]
        assert names[0] == names[1]
        assert part["presigned_url"].split("?")[0].endswith(f"/part_{part['index']}")
    assert len(plan["parts"]) == len(expected["parts"])


def test_sampled_plan_in_numbers_is_given_on_request() -> None:
    expected = sample("06_prepare_response_200_single_numeric_variant.json")
    with serving(block_size=10_485_760, numbers="number") as bot:
        plan = bot.prepare(file_size="1728171").json
    assert shape(plan) == shape(expected)
    assert plan["block_size"] == plan["parts"][0]["block_size"] == 1728171


def test_storage_answers_as_the_samples() -> None:
    expected = sample("07_put_part.json")["response"]
    with serving() as bot:
        url = bot.prepare(CONTENT[:100]).json["parts"][0]["presigned_url"]
        answer = bot.put(url, CONTENT[:100])
        assert (answer.status, answer.body.decode()) == (expected["status"], expected["body"])
        assert set(expected["headers"]) <= set(answer.headers)
        assert answer.headers["ETag"] == '"{md5}"'.format(**digests(CONTENT[:100]))
        bot.emulator.expire_urls()
        refused = bot.put(url, CONTENT[:100]).body.decode()
    xml = (SAMPLES / "08_put_part_error_403_xml.txt").read_text(encoding="utf-8")
    tags = ("Code", "Message", "Resource", "RequestId", "TraceId")
    for tag in tags:
        assert f"<{tag}>" in xml and f"<{tag}>" in refused
    assert refused.splitlines()[0] == xml.splitlines()[0]
    assert "<Code>AccessDenied</Code><Message>Request has expired</Message>" in refused


def test_finish_takes_and_gives_what_the_samples_do() -> None:
    names = set(sample("09_part_finish_request.json")["body"])
    expected = sample("11_part_finish_error_retryable_400.json")
    with serving(busy_finishes=1) as bot:
        plan = bot.prepare(CONTENT[:100]).json
        bot.put(plan["parts"][0]["presigned_url"], CONTENT[:100])
        busy = bot.finish(plan, 1, CONTENT[:100])
        assert busy.status == 400
        assert shape(busy.json) == shape(expected)
        assert busy.json["message"] == expected["message"]
        done = bot.finish(plan, 1, CONTENT[:100])
        assert done.json == sample("10_part_finish_response_200.json")
        assert set(bot.emulator.requests[-1].body) == names  # type: ignore[call-overload]


def test_complete_takes_and_gives_what_the_samples_do() -> None:
    body = sample("12_merge_request.json")["body"]
    with serving() as bot:
        plan = bot.prepare(file_type=body["file_type"], file_name=body["file_name"]).json
        bot.send_parts(plan)
        body["upload_id"] = plan["upload_id"]
        reply = bot.api("/v2/users/U1/files", body).json
        expected = sample("13_merge_response_200.json")
        assert reply.pop("id") == ""
        assert (shape(reply), reply["ttl"]) == (shape(expected), expected["ttl"])
        assert "/part_1?" in reply["raw_url"]


@pytest.mark.parametrize(
    "name, code, status",
    [
        ("19_error_401_token.json", 11244, 401),
        ("21_error_400_format.json", 850019, 400),
        ("22_error_400_daily_quota.json", 40093002, 400),
        ("23_error_500_inner_proxy.json", 850012, 500),
        ("24_error_400_target.json", 11255, 400),
        ("26_error_400_dedup.json", 40054005, 400),
        ("27_error_401_ip_not_whitelisted.json", 11298, 401),
        ("28_error_400_reply_anchor_expired.json", 40034005, 400),
        ("11_part_finish_error_retryable_400.json", 40093001, 400),
    ],
)
def test_errors_are_worded_as_the_samples(name: str, code: int, status: int) -> None:
    expected = sample(name)
    with serving() as bot:
        bot.emulator.fail("prepare", "code", code=code)
        answer = bot.prepare()
    assert answer.status == status
    assert answer.json == dict(expected, **(
        {"trace_id": answer.headers["X-Tps-trace-ID"]} if "trace_id" in expected else {}
    ))


def test_older_wording_of_an_error_can_be_scripted() -> None:
    expected = sample("20_error_401_token_2025.json")
    with serving() as bot:
        bot.emulator.fail(
            "prepare", "code", code=11244, err_code=11244, message=expected["message"], trace=True
        )
        answer = bot.prepare()
    assert answer.status == 401 and shape(answer.json) == shape(expected)
    assert dict(answer.json, trace_id="") == dict(expected, trace_id="")


def test_page_of_the_gateway_is_the_sampled_one() -> None:
    with serving() as bot:
        bot.emulator.fail("prepare", "status", status=413)
        answer = bot.prepare()
    expected = (SAMPLES / "25_error_413_html.txt").read_text(encoding="utf-8")
    assert answer.body.decode().split() == expected.split()
    assert "X-Tps-trace-ID" not in answer.headers


# Other dialects


@pytest.mark.parametrize("base", [0, 1, 7])
def test_index_base_is_chosen_and_must_be_echoed(base: int) -> None:
    with serving(index_base=base) as bot:
        plan = bot.prepare().json
        assert [part["index"] for part in plan["parts"]] == [base, base + 1, base + 2, base + 3]
        bot.send_parts(plan)
        assert bot.complete(plan).status == 200
        assert bot.finish(plan, base + 4, b"x").status == 400


@pytest.mark.parametrize(
    "numbers, block_size, concurrency, index, expires_in, ttl",
    [
        ("mixed", "100", 1, 1, "7200", 86400),
        ("text", "100", "1", "1", "7200", "86400"),
        ("number", 100, 1, 1, 7200, 86400),
        ("float", 100.0, 1.0, 1.0, 7200.0, 86400.0),
    ],
)
def test_numbers_are_spelled_as_asked(
    numbers: str, block_size: Any, concurrency: Any, index: Any, expires_in: Any, ttl: Any
) -> None:
    with serving(numbers=numbers) as bot:
        token = bot.fetch_token().json
        plan = bot.prepare().json
        bot.send_parts(plan)
        ended = bot.complete(plan).json
    found = [
        plan["block_size"], plan["parts"][0]["block_size"], plan["parts"][0]["index"],
        plan["upload_config"]["concurrency"], token["expires_in"], ended["ttl"],
    ]
    wanted = [block_size, block_size, index, concurrency, expires_in, ttl]
    assert [repr(value) for value in found] == [repr(value) for value in wanted]


CONFIG = {"concurrency": 3, "retry_timeout": 300, "retry_delay": 1}


@pytest.mark.parametrize(
    "config, nested, flat",
    [
        ("nested", CONFIG, {}),
        ("flat", None, CONFIG),
        ("both", CONFIG, {"concurrency": 99, "retry_timeout": 0, "retry_delay": 0}),
        ("none", None, {}),
    ],
)
def test_config_stands_where_asked(config: str, nested: Any, flat: Dict[str, int]) -> None:
    with serving(config=config, concurrency=3) as bot:
        plan = bot.prepare().json
    assert plan.get("upload_config") == nested
    assert {name: plan[name] for name in CONFIG if name in plan} == flat


@pytest.mark.parametrize("value", ["0", -1, 10**30, None, True, [], 1.5, "many"])
def test_silly_values_are_sent_as_given(value: Any) -> None:
    options = {"block_size": value, "retry_delay": value, "file_info_ttl": value}
    with serving(**options, numbers="number", token_ttl=value) as bot:
        plan = bot.prepare(CONTENT).json
        assert plan["upload_config"]["retry_delay"] == value
        if value != 10**30:  # above the file's size, so the size is given
            assert plan["block_size"] == value
        assert [int(part["block_size"]) for part in plan["parts"]] == [320]
        assert bot.fetch_token().json["expires_in"] == value
        bot.send_parts(plan)
        assert bot.complete(plan).json.get("ttl") == value


def test_nan_is_sent_as_given() -> None:
    with serving(concurrency=float("nan")) as bot:
        assert math.isnan(bot.prepare().json["upload_config"]["concurrency"])


def test_every_good_reply_may_be_wrapped() -> None:
    with serving(wrapped=True) as bot:
        assert set(bot.fetch_token().json) == {"code", "message", "data"}
        plan = bot.prepare().json["data"]
        bot.send_parts(plan)
        assert bot.finish(plan, 1, CONTENT[:100]).json["data"] == {}
        file_info = bot.complete(plan).json["data"]["file_info"]
        assert bot.emulator.received(file_info) == CONTENT
        assert bot.send(file_info).json["data"]["id"].startswith("ROBOT1.0_")
        assert bot.finish(plan, 9, b"x").json["code"] == 10000


def test_parts_may_be_shuffled() -> None:
    with serving(shuffled=True, block_size=10) as bot:
        for _ in range(5):
            plan = bot.prepare().json
            indexes = [part["index"] for part in plan["parts"]]
            assert indexes != sorted(indexes) and sorted(indexes) == list(range(1, 33))
        bot.send_parts(plan)
        assert bot.complete(plan).status == 200
        bot.emulator.behaviour.block_size = 200
        plans = [bot.prepare().json for _ in range(8)]
        assert [[part["index"] for part in plan["parts"]] for plan in plans] == [[2, 1]] * 8


def test_aliases_take_the_place_of_the_names() -> None:
    with serving(aliases=True) as bot:
        plan = bot.prepare().json
    assert "parts" not in plan
    assert set(plan["part_list"][0]) == {"part_index", "url", "block_size"}


def test_parts_may_come_without_sizes_and_indexes() -> None:
    with serving(part_sizes=False, part_indexes=False) as bot:
        plan = bot.prepare().json
        assert [set(part) for part in plan["parts"]] == [{"presigned_url"}] * 4


def test_ttl_may_be_missing() -> None:
    with serving(file_info_ttl=None) as bot:
        assert "ttl" not in bot.upload()


def test_behaviour_can_be_changed_while_it_runs() -> None:
    with serving() as bot:
        bot.emulator.behaviour.index_base = 0
        assert bot.prepare().json["parts"][0]["index"] == 0


def test_bot_of_another_name_has_its_urls_below_it() -> None:
    with serving(app_id="7 8") as bot:
        plan = bot.prepare().json
        assert "/robot_upload/7%208/upload_" in plan["parts"][0]["presigned_url"]
        bot.send_parts(plan)
