"""The switch that takes part_finish in the order that every client seen live keeps."""

from __future__ import annotations

from typing import Any, Dict

import pytest

from tests.emulator.client import Bot, notes, serving


def finish(bot: Bot, plan: Any, index: int) -> int:
    return bot.finish(plan, index, bot.blocks(plan)[index]).status


def put_all(bot: Bot) -> Any:
    plan = bot.prepare().json
    blocks = bot.blocks(plan)
    for part in plan["parts"]:
        assert bot.put(part["presigned_url"], blocks[int(part["index"])]).status == 200
    return plan


def test_any_order_passes_unless_asked_otherwise() -> None:
    with serving() as bot:
        plan = put_all(bot)
        assert [finish(bot, plan, index) for index in (4, 2, 3, 1)] == [200] * 4
        assert notes(bot) == []


@pytest.mark.parametrize("base", [0, 1, 7])
def test_part_above_the_lowest_unconfirmed_one_is_refused(base: int) -> None:
    with serving(ordered_finishes=True, index_base=base) as bot:
        plan = put_all(bot)
        answer = bot.finish(plan, base + 1, bot.blocks(plan)[base + 1])
        assert answer.codes == (400, 10000, 40011000)
        assert notes(bot) == [
            f"finish part {base + 1}: part {base + 1} before [{base}], the next to be confirmed"]
        assert [finish(bot, plan, base + number) for number in range(4)] == [200] * 4
        assert bot.complete(plan).status == 200


def test_as_many_parts_as_the_concurrency_may_be_in_confirmation() -> None:
    with serving(ordered_finishes=True, concurrency=2) as bot:
        plan = put_all(bot)
        assert [finish(bot, plan, index) for index in (3, 2, 4, 3, 1, 4)] == [
            400, 200, 400, 200, 200, 200]


def test_part_that_was_not_put_counts_among_the_lowest() -> None:
    with serving(ordered_finishes=True) as bot:
        plan = bot.prepare().json
        second = plan["parts"][1]
        bot.put(second["presigned_url"], bot.blocks(plan)[2])
        assert finish(bot, plan, 2) == 400
        assert len(notes(bot)) == 1


def test_busy_part_keeps_its_place() -> None:
    with serving(ordered_finishes=True, busy_finishes=1) as bot:
        plan = put_all(bot)
        assert bot.finish(plan, 1, bot.blocks(plan)[1]).json["code"] == 40093001
        assert bot.finish(plan, 2, bot.blocks(plan)[2]).json["code"] == 10000
        assert finish(bot, plan, 1) == 200
        assert len(notes(bot)) == 1


def test_repeated_finish_of_a_confirmed_part_is_in_order() -> None:
    with serving(ordered_finishes=True) as bot:
        plan = put_all(bot)
        assert [finish(bot, plan, index) for index in (1, 2, 1, 2, 3)] == [200] * 5


@pytest.mark.parametrize("options, allowed", [
    ({"concurrency": "2"}, 2), ({"concurrency": 2.0}, 2), ({"concurrency": 99}, 4),
    ({"concurrency": 0}, 1), ({"concurrency": float("nan")}, 1), ({"concurrency": None}, 1),
    ({"concurrency": 3, "config": "none"}, 1), ({"concurrency": 3, "numbers": "float"}, 3),
])
def test_concurrency_is_the_one_that_prepare_told(options: Dict[str, Any], allowed: int) -> None:
    with serving(ordered_finishes=True, **options) as bot:
        plan = put_all(bot)
        bot.emulator.behaviour.concurrency = 1
        plan["parts"] = [dict(part, index=int(part["index"])) for part in plan["parts"]]
        if allowed < 4:
            assert finish(bot, plan, allowed + 1) == 400
        assert finish(bot, plan, allowed) == 200
