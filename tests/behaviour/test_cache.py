"""Reuse of file_info: which upload may have it, for how long, and in which caches."""

from __future__ import annotations

import json
import logging
from datetime import datetime, timedelta, timezone
from typing import Any, Callable, Dict, List, Optional, Tuple

import pytest

from qqchunk import ApiError, ChatType, FileType, Uploader, UploadError, UploadResult
from qqchunk.transfer.cache import FileInfoCache
from qqchunk.emulator import Emulator
from qqchunk.protocol.calls import Upload

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=timezone.utc)
CONTENT = b"a file of some bytes"
MakeUploader = Callable[..., Uploader]


class MemoryCache:
    """What a cache must have, and notes of what it was asked."""

    def __init__(self) -> None:
        self.kept: Dict[str, Any] = {}
        self.asked: List[Tuple[Any, ...]] = []

    def get(self, key: str) -> Any:
        self.asked.append(("get", key))
        return self.kept.get(key)

    def set(self, key: str, value: Any, timeout: Any) -> None:
        self.asked.append(("set", key, timeout))
        self.kept[key] = value

    def delete(self, key: str) -> None:
        self.asked.append(("delete", key))
        self.kept.pop(key, None)

    def __len__(self) -> int:  # so an empty one is false, as many containers are
        return len(self.kept)


class BrokenCache:
    def get(self, key: str) -> Any:
        raise ConnectionError("5ecret-of-the-cache")

    def set(self, key: str, value: Any, timeout: Any) -> None:
        raise ConnectionError("5ecret-of-the-cache")

    def delete(self, key: str) -> None:
        raise ConnectionError("5ecret-of-the-cache")


def at_once(do: Callable[[], Any]) -> Any:
    """Stands for the thread that works with the cache."""
    return do()


class Clock:
    def __init__(self) -> None:
        self.now = NOW.timestamp()

    def __call__(self) -> float:
        return self.now


class Kept:
    """A cache of file_info over a memory cache, with a clock of its own."""

    def __init__(self, scope: str = "scope") -> None:
        self.clock = Clock()
        self.memory = MemoryCache()
        self.cache = FileInfoCache(self.memory, scope, self.clock)

    def value(self, value: Any) -> Optional[UploadResult]:
        """What becomes of a value that somebody put there."""
        self.memory.kept["key"] = value
        return self.cache.get("key", at_once)


def result(ttl: Optional[int] = 3600, **changes: Any) -> UploadResult:
    expires = NOW + timedelta(seconds=ttl) if ttl else None
    facts = dict(file_info="f", file_uuid="u", ttl=ttl, expires_at=expires)
    return UploadResult(**{**facts, **changes})


def value(**changes: Any) -> str:
    fields = {"file_info": "f", "file_uuid": "u", "expires_at": NOW.timestamp() + 3600}
    return json.dumps({k: v for k, v in {**fields, **changes}.items() if v is not ...})


# Keys


def key(scope: str = "scope", md5: str = "m", sha1: str = "s", **changes: Any) -> str:
    facts: Dict[str, Any] = dict(
        chat_type=ChatType.C2C, target_id="U1", file_type=FileType.FILE, file_name="a.bin",
        file_size=5)
    facts.update(changes)
    return Kept(scope).cache.key(Upload(**facts), md5, sha1)


def test_key_is_short_plain_and_the_same_in_every_process() -> None:
    assert key() == "qqchunk-f6f68079c1b5d2edb106000e18db1ee6a136ef6e"


@pytest.mark.parametrize("changes", [
    dict(scope="other"), dict(md5="n"), dict(sha1="t"), dict(chat_type=ChatType.GROUP),
    dict(file_type=FileType.IMAGE), dict(file_size=6), dict(file_name="b.bin"),
], ids=lambda changes: next(iter(changes)))
def test_key_differs_with_each_fact(changes: Dict[str, Any]) -> None:
    assert key(**changes) != key()


def test_target_is_no_part_of_the_key() -> None:
    assert key(target_id="U2") == key()


@pytest.mark.parametrize("kind", [FileType.IMAGE, FileType.VIDEO, FileType.VOICE])
def test_name_is_part_of_the_key_for_plain_files_only(kind: FileType) -> None:
    assert key(file_type=kind, file_name="a") == key(file_type=kind, file_name="b")
    assert key(file_type=FileType.FILE, file_name="a") != key(
        file_type=FileType.FILE, file_name="b")


def test_key_of_any_name_is_plain() -> None:
    assert key(file_name="假 期.bin").isascii()
    assert " " not in key(file_name="假 期.bin")


# What is kept


def test_value_is_plain_json_with_its_end() -> None:
    kept = Kept()
    kept.cache.set("key", result(), at_once)
    assert json.loads(kept.memory.kept["key"]) == {
        "file_info": "f", "file_uuid": "u", "expires_at": NOW.timestamp() + 3600}
    assert isinstance(kept.memory.kept["key"], str)
    assert kept.memory.asked == [("set", "key", 3540)]


@pytest.mark.parametrize("ttl, timeout", [(61, 1), (62, 2), (86400, 86340)])
def test_value_is_kept_until_a_minute_before_its_end(ttl: int, timeout: int) -> None:
    kept = Kept()
    kept.cache.set("key", result(ttl), at_once)
    assert kept.memory.asked == [("set", "key", timeout)]


@pytest.mark.parametrize("ttl", [None, 0, 1, 59, 60])
def test_result_of_no_or_a_short_life_is_not_kept(ttl: Optional[int]) -> None:
    kept = Kept()
    kept.cache.set("key", result(ttl), at_once)
    assert kept.memory.asked == []


def test_result_whose_end_is_beyond_the_calendar_is_not_kept() -> None:
    kept = Kept()
    kept.cache.set("key", UploadResult("f", "u", ttl=10 ** 18, expires_at=None), at_once)
    assert kept.memory.asked == []


def test_value_needs_nothing_of_ours_to_be_read() -> None:
    kept = Kept()
    kept.cache.set("key", result(), at_once)
    assert type(kept.memory.kept["key"]) is str


# What comes back


def test_kept_result_comes_back_as_a_reused_one() -> None:
    kept = Kept()
    kept.cache.set("key", result(), at_once)
    kept.clock.now += 100
    found = kept.cache.get("key", at_once)
    assert found == UploadResult("f", "u", 3500, NOW + timedelta(seconds=3600), reused=True)
    assert found is not None
    assert found.raw["file_info"] == "f"
    assert found.expires_at is not None and found.expires_at.tzinfo is timezone.utc
    assert kept.memory.asked[-1] == ("get", "key")


def test_kept_result_hides_its_file_info() -> None:
    kept = Kept()
    found = kept.value(value(file_info="5ecret"))
    assert found is not None and found.file_info == "5ecret"
    assert "5ecret" not in repr(found)


def test_result_is_used_until_a_minute_before_its_end_even_if_the_cache_keeps_it() -> None:
    kept = Kept()
    kept.cache.set("key", result(), at_once)
    kept.clock.now += 3539.9
    found = kept.cache.get("key", at_once)
    assert found is not None and found.ttl == 60
    kept.clock.now += 0.1
    assert kept.cache.get("key", at_once) is None


def test_value_may_come_back_as_bytes_as_from_redis() -> None:
    found = Kept().value(value().encode())
    assert found is not None and found.file_info == "f"


def test_result_without_uuid_is_good() -> None:
    kept = Kept()
    kept.cache.set("key", result(file_uuid=None), at_once)
    found = kept.cache.get("key", at_once)
    assert found is not None and found.file_uuid is None


@pytest.mark.parametrize("stored", [
    None, "", "text", "{", "null", "[]", "{}", "5", b"\xff", b"\x80\x04", 5, ["f"], object(),
    value(file_info=...), value(expires_at=...), value(file_uuid=...),
    value(file_info=None), value(file_info=""), value(file_info=5), value(file_info=["f"]),
    value(expires_at=None), value(expires_at="soon"), value(expires_at=[]),
    value(expires_at=float("nan")), value(expires_at=float("inf")), value(expires_at=1e300),
    value(expires_at=-1e300), value(expires_at=1e17), value(expires_at=0),
    pytest.param("[" * 100_000, id="deep"),
    pytest.param('{"file_info": "f", "file_uuid": "u", "expires_at": 1' + "0" * 4000 + "}",
                 id="huge"),
])
def test_foreign_or_broken_value_is_passed_over(stored: Any) -> None:
    assert Kept().value(stored) is None


def test_odd_uuid_is_none() -> None:
    found = Kept().value(value(file_uuid=5))
    assert found is not None and found.file_uuid is None


def test_forgotten_is_forgotten() -> None:
    kept = Kept()
    kept.cache.set("key", result(), at_once)
    kept.cache.delete("key", at_once)
    kept.cache.delete("key", at_once)
    assert kept.cache.get("key", at_once) is None
    assert kept.memory.asked[1] == ("delete", "key")


def test_broken_cache_is_logged_and_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    cache = FileInfoCache(BrokenCache(), "scope")
    assert cache.get("key", at_once) is None
    cache.set("key", result(), at_once)
    cache.delete("key", at_once)
    assert [r.getMessage() for r in caplog.records] == [
        "the cache failed to get (ConnectionError)",
        "the cache failed to set (ConnectionError)",
        "the cache failed to delete (ConnectionError)",
    ]
    assert {r.levelno for r in caplog.records} == {logging.WARNING}


def test_end_of_the_caller_is_no_failure_of_the_cache() -> None:
    class Interrupted(BrokenCache):
        def get(self, key: str) -> Any:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        FileInfoCache(Interrupted(), "scope").get("key", at_once)


# Uploads


def upload(uploader: Uploader, **changes: Any) -> UploadResult:
    arguments: Dict[str, Any] = dict(
        chat_type="c2c", target_id="U1", file=CONTENT, file_name="a.bin")
    arguments.update(changes)
    return uploader.upload(**arguments)


@pytest.fixture
def memory() -> MemoryCache:
    return MemoryCache()


@pytest.fixture
def uploader(emulator: Emulator, uploader_for: MakeUploader, memory: MemoryCache) -> Uploader:
    return uploader_for(emulator, cache=memory, backoff=0.0)


def test_without_a_cache_every_upload_is_one(
    emulator: Emulator, uploader_for: MakeUploader
) -> None:
    uploader = uploader_for(emulator)
    assert upload(uploader).file_info != upload(uploader).file_info
    assert emulator.count("prepare") == 2


@pytest.mark.parametrize("instant, completes", [(True, 1), ("complete", 2)])
def test_file_the_platform_has_already_is_a_reused_one(
    instant: Any, completes: int, uploader_for: MakeUploader
) -> None:
    with Emulator(instant=instant) as emulator:
        uploader = uploader_for(emulator)
        assert [upload(uploader).reused, upload(uploader).reused] == [False, True]
        assert (emulator.count("put"), emulator.count("complete")) == (1, completes)


def test_second_upload_of_the_same_is_none(emulator: Emulator, uploader: Uploader) -> None:
    first, second = upload(uploader), upload(uploader)
    assert (first.reused, second.reused) == (False, True)
    assert (second.file_info, second.file_uuid) == (first.file_info, first.file_uuid)
    assert second.expires_at == first.expires_at
    assert second.ttl is not None and 86390 < second.ttl <= 86400
    assert (emulator.count("prepare"), emulator.count("put"), emulator.count("complete")) == (
        1, 1, 1)


def test_reused_file_can_be_sent_to_another_chat(emulator: Emulator, uploader: Uploader) -> None:
    upload(uploader)
    assert uploader.send("c2c", "U2", CONTENT, file_name="a.bin")["id"]
    assert emulator.count("prepare") == 1


@pytest.mark.parametrize("changes", [
    dict(chat_type="group"), dict(file=CONTENT + b"."), dict(file_name="b.bin"),
    dict(file_type=1, file_name="a.png"),
], ids=lambda changes: next(iter(changes)))
def test_other_file_scene_type_or_name_is_uploaded(
    emulator: Emulator, uploader: Uploader, changes: Dict[str, Any]
) -> None:
    upload(uploader)
    assert not upload(uploader, **changes).reused
    assert emulator.count("prepare") == 2


def test_name_of_a_picture_does_not_matter(emulator: Emulator, uploader: Uploader) -> None:
    upload(uploader, file_name="a.png")
    assert upload(uploader, file_name="b.png").reused
    assert emulator.count("prepare") == 1


def test_other_bots_and_hosts_have_files_of_their_own(
    emulator: Emulator, uploader: Uploader, uploader_for: MakeUploader, memory: MemoryCache
) -> None:
    first = upload(uploader)
    with Emulator(app_id="102000002") as other:
        second = upload(uploader_for(other, cache=memory))
        assert (first.reused, second.reused) == (False, False)
        assert upload(uploader_for(other, cache=memory)).file_info == second.file_info
    assert upload(uploader).file_info == first.file_info
    assert len(memory.kept) == 2


def test_two_bots_at_one_host_do_not_share(
    emulator: Emulator, uploader_for: MakeUploader, memory: MemoryCache
) -> None:
    upload(uploader_for(emulator, cache=memory))
    emulator.behaviour.app_id = "102000002"
    other = uploader_for(emulator, cache=memory, app_id=102000002)
    assert not upload(other).reused
    assert upload(other).reused


def test_two_uploaders_of_one_bot_share(
    emulator: Emulator, uploader: Uploader, uploader_for: MakeUploader, memory: MemoryCache
) -> None:
    upload(uploader)
    other = uploader_for(
        emulator, cache=memory, api_url=emulator.api_url + "/", app_id=int(emulator.app_id))
    assert upload(other).reused


@pytest.mark.parametrize("ttl", [0, None, 60, "60", 1])
def test_file_info_of_no_or_a_short_life_is_not_reused(
    emulator: Emulator, uploader: Uploader, memory: MemoryCache, ttl: Any
) -> None:
    emulator.behaviour.file_info_ttl = ttl
    assert not upload(uploader).reused
    assert not upload(uploader).reused
    assert memory.kept == {}


def test_file_info_is_kept_a_minute_less_than_it_lives(
    emulator: Emulator, uploader: Uploader, memory: MemoryCache
) -> None:
    emulator.behaviour.file_info_ttl = 61
    upload(uploader)
    assert memory.asked[-1][0::2] == ("set", 1)


def test_evicted_file_is_uploaded_again(
    emulator: Emulator, uploader: Uploader, memory: MemoryCache
) -> None:
    upload(uploader)
    memory.kept.clear()
    assert not upload(uploader).reused
    assert upload(uploader).reused


def test_file_past_its_time_is_uploaded_again_even_if_the_cache_keeps_it(
    uploader: Uploader, memory: MemoryCache
) -> None:
    upload(uploader)
    (name, kept), = memory.kept.items()
    old = json.loads(kept)
    old["expires_at"] -= 86400 - 59
    memory.kept[name] = json.dumps(old)
    assert not upload(uploader).reused


def test_broken_cache_costs_an_upload_and_nothing_else(
    emulator: Emulator, uploader_for: MakeUploader, caplog: pytest.LogCaptureFixture
) -> None:
    uploader = uploader_for(emulator, cache=BrokenCache())
    assert not upload(uploader).reused
    assert not upload(uploader).reused
    assert uploader.send("c2c", "U1", CONTENT, file_name="a.bin")["id"]
    assert "5ecret" not in caplog.text


def test_failed_upload_is_not_kept(
    emulator: Emulator, uploader: Uploader, memory: MemoryCache
) -> None:
    emulator.fail("complete", "code", code=850019)
    with pytest.raises(ApiError):
        upload(uploader)
    assert memory.kept == {}


def test_progress_of_a_reused_file_ends_at_its_end(uploader: Uploader) -> None:
    seen: List[Any] = []
    upload(uploader)
    assert upload(uploader, progress=seen.append).reused
    assert (seen[-1].stage, seen[-1].uploaded_bytes, seen[-1].total_bytes) == ("done", 20, 20)


def test_cache_goes_with_auth_of_ones_own(
    emulator: Emulator, uploader: Uploader, uploader_for: MakeUploader, memory: MemoryCache
) -> None:
    upload(uploader)

    def auth(request: Any) -> Any:
        raise AssertionError("a reused file needs no request")

    other = uploader_for(emulator, client_secret=None, auth=auth, cache=memory)
    assert upload(other).reused


# 304080: the platform has forgotten what the cache still has


def send(uploader: Uploader) -> Dict[str, Any]:
    return uploader.send("c2c", "U1", CONTENT, file_name="a.bin")


def test_expired_entry_is_dropped_and_the_file_uploaded_again(
    emulator: Emulator, uploader: Uploader, memory: MemoryCache
) -> None:
    old = upload(uploader).file_info
    emulator.expire_files()
    assert send(uploader)["id"]
    assert emulator.count("prepare") == 2
    new = upload(uploader)
    assert new.reused and new.file_info != old
    assert [m["media"]["file_info"] for m in emulator.messages] == [new.file_info]
    assert [asked[0] for asked in memory.asked if asked[0] != "get"] == ["set", "delete", "set"]


def test_expired_entry_stays_dropped_if_the_new_one_is_not_kept(
    emulator: Emulator, uploader: Uploader, memory: MemoryCache
) -> None:
    upload(uploader)
    emulator.expire_files()
    emulator.behaviour.file_info_ttl = 0
    assert send(uploader)["id"]
    assert memory.kept == {}


def test_expired_entry_stays_dropped_if_the_new_upload_fails(
    emulator: Emulator, uploader: Uploader, memory: MemoryCache
) -> None:
    upload(uploader)
    emulator.expire_files()
    emulator.fail("prepare", "code", code=40093002)
    with pytest.raises(UploadError):
        send(uploader)
    assert memory.kept == {}


# Caches as they are


def test_djangos_local_memory_cache_fits_as_it_is(
    emulator: Emulator, uploader_for: MakeUploader
) -> None:
    from django.core.cache.backends.locmem import LocMemCache

    uploader = uploader_for(emulator, cache=LocMemCache("test_cache", {}))
    first, second = upload(uploader), upload(uploader)
    assert second.reused and second.file_info == first.file_info
    emulator.expire_files()
    assert send(uploader)["id"]
    assert upload(uploader).file_info != first.file_info


@pytest.mark.integration
def test_cachelibs_simple_cache_fits_as_it_is(
    emulator: Emulator, uploader_for: MakeUploader
) -> None:
    from cachelib import SimpleCache

    uploader = uploader_for(emulator, cache=SimpleCache())
    first, second = upload(uploader), upload(uploader)
    assert second.reused and second.file_info == first.file_info
    emulator.expire_files()
    assert send(uploader)["id"]
    assert upload(uploader).file_info != first.file_info
