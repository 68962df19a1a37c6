"""A storage of one's own in the emulator's place: what it is asked, what its answers lead to."""

from __future__ import annotations

import hashlib
from typing import Any, Dict, Iterator, List, Sequence, Tuple

import pytest

from qqchunk.emulator import StorageError, StoragePart
from tests.emulator.client import CONTENT, Bot, notes, serving


class Shelf:
    """A storage that takes no PUTs: a test puts the parts on it."""

    def __init__(self) -> None:
        self.begun: List[Tuple[str, List[StoragePart], float]] = []
        self.ended: List[Tuple[str, List[StoragePart]]] = []
        self.kept: Dict[int, bytes] = {}

    def presigned_urls(
        self, upload_id: str, parts: Sequence[StoragePart], lifetime: float
    ) -> List[str]:
        self.begun.append((upload_id, list(parts), lifetime))
        return [f"https://bucket.invalid/{upload_id}?partNumber={p.number}" for p in parts]

    def assembled(self, upload_id: str, parts: Sequence[StoragePart]) -> List[bytes]:
        self.ended.append((upload_id, list(parts)))
        for part in parts:
            if hashlib.md5(self.kept.get(part.number, b"")).hexdigest() != part.told_md5:
                raise StorageError(f"InvalidPart {part.number}")
        return [self.kept[part.number] for part in parts]


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def bot(shelf: Shelf) -> Iterator[Bot]:
    with serving(storage=shelf, index_base=0, url_ttl=77.0) as started:
        yield started


def upload(bot: Bot, shelf: Shelf) -> Any:
    plan = bot.prepare().json
    for index, block in bot.blocks(plan).items():
        shelf.kept[index + 1] = block
        assert bot.finish(plan, index, block).json == {}
    return plan


def test_plan_has_the_urls_of_the_storage(bot: Bot, shelf: Shelf) -> None:
    plan = bot.prepare().json
    ((upload_id, parts, lifetime),) = shelf.begun
    assert (upload_id, lifetime) == (plan["upload_id"], 77.0)
    assert parts == [
        StoragePart(1, 0, 100), StoragePart(2, 1, 100), StoragePart(3, 2, 100),
        StoragePart(4, 3, 20)]
    assert [part["presigned_url"] for part in plan["parts"]] == [
        f"https://bucket.invalid/{upload_id}?partNumber={number}" for number in (1, 2, 3, 4)]


def test_file_is_the_one_which_the_storage_assembled(bot: Bot, shelf: Shelf) -> None:
    plan = upload(bot, shelf)
    file_info = bot.complete(plan).json["file_info"]
    assert bot.emulator.received(file_info) == CONTENT
    ((upload_id, parts),) = shelf.ended
    assert upload_id == plan["upload_id"]
    assert [part.told_size for part in parts] == [100, 100, 100, 20]
    assert parts[3].told_md5 == hashlib.md5(CONTENT[300:]).hexdigest()
    assert notes(bot) == []


def test_finish_takes_the_clients_word(bot: Bot, shelf: Shelf) -> None:
    plan = bot.prepare().json
    assert bot.finish(plan, 0, CONTENT[:100], md5="0" * 32).json == {}


def test_storage_that_refuses_is_the_format_error(bot: Bot, shelf: Shelf) -> None:
    plan = upload(bot, shelf)
    lost = shelf.kept.pop(2)
    assert bot.complete(plan).codes == (400, 850019, 40034002)
    assert notes(bot) == ["complete: InvalidPart 2"]
    shelf.kept[2] = lost
    assert bot.complete(plan).status == 200


def test_storage_is_asked_only_once_every_part_was_finished(bot: Bot, shelf: Shelf) -> None:
    plan = bot.prepare().json
    assert bot.complete(plan).codes == (400, 850019, 40034002)
    assert shelf.ended == []
    assert notes(bot) == ["complete: part 0 was not finished"]


def test_whole_of_another_content_is_the_format_error(bot: Bot, shelf: Shelf) -> None:
    other = bytes(len(CONTENT))
    plan = bot.prepare().json
    for index, block in bot.blocks(plan, other).items():
        shelf.kept[index + 1] = block
        bot.finish(plan, index, block)
    assert bot.complete(plan).codes == (400, 850019, 40034002)
    assert "not the file announced" in notes(bot)[0]


def test_storage_is_not_asked_again_after_success(bot: Bot, shelf: Shelf) -> None:
    bot.emulator.behaviour.complete_repeatable = True
    plan = upload(bot, shelf)
    replies = [bot.complete(plan).body for _ in range(2)]
    assert replies[0] == replies[1] and len(shelf.ended) == 1


def test_storage_is_not_asked_about_content_that_is_here(bot: Bot, shelf: Shelf) -> None:
    bot.emulator.behaviour.instant = True
    bot.complete(upload(bot, shelf))
    assert bot.prepare().json["parts"] == []
    assert len(shelf.begun) == 1
