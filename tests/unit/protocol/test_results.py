"""The reply to complete becomes an UploadResult or a ProtocolError."""

from __future__ import annotations

import json
import pathlib
import pickle
from datetime import datetime, timedelta, timezone
from typing import Any, Dict, Optional

import pytest

from qqchunk.errors import ProtocolError
from qqchunk.protocol import results
from qqchunk.protocol.replies import bad_reply
from qqchunk.protocol.results import UploadResult
from qqchunk.protocol.values import Reply, Secret

SAMPLES = pathlib.Path(__file__).parents[2] / "samples"
NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=timezone.utc)


def read_result(fields: Dict[str, Any], now: datetime, **options: Any) -> UploadResult:
    return results.read_result(Reply(fields), now, **options)


def test_sample_of_a_merge_is_read() -> None:
    fields = json.loads((SAMPLES / "13_merge_response_200.json").read_text("utf-8"))
    result = read_result(fields, NOW)
    assert result.file_info == fields["file_info"]
    assert result.file_uuid == fields["file_uuid"]
    assert result.ttl == 86400
    assert result.expires_at == datetime(2026, 11, 23, 12, 0, 0, tzinfo=timezone.utc)
    assert result.reused is False
    assert result.raw == fields


def test_sample_of_a_file_by_url_is_read() -> None:
    fields = json.loads((SAMPLES / "16_files_response_200.json").read_text("utf-8"))
    result = read_result(fields, NOW, stage="url")
    assert (result.file_info, result.file_uuid, result.ttl) == ("<opaque>", "<opaque>", 86400)
    assert result.raw == fields


def test_result_under_data_is_unwrapped() -> None:
    result = read_result({"code": 0, "data": {"file_info": "f", "ttl": 5}}, NOW)
    assert (result.file_info, result.ttl) == ("f", 5)
    assert result.raw == {"file_info": "f", "ttl": 5}


@pytest.mark.parametrize("given, ttl, seconds", [
    (1, 1, 1), ("86400", 86400, 86400), (60.0, 60, 60),
    (0, 0, None), ("0", 0, None),
    (None, None, None), (..., None, None), (-1, None, None), ("-1", None, None),
    ("soon", None, None), (1.5, None, None), (True, None, None), ([], None, None),
])
def test_ttl_is_read_and_gives_the_end(given: Any, ttl: Optional[int], seconds: Any) -> None:
    fields = {"file_info": "f"} if given is ... else {"file_info": "f", "ttl": given}
    result = read_result(fields, NOW)
    assert result.ttl == ttl
    assert result.expires_at == (None if seconds is None else NOW + timedelta(seconds=seconds))


@pytest.mark.parametrize("ttl", [10 ** 12, 10 ** 18, int(1e308)], ids=["12", "18", "308"])
def test_end_beyond_the_calendar_is_no_end(ttl: int) -> None:
    result = read_result({"file_info": "f", "ttl": ttl}, NOW)
    assert (result.ttl, result.expires_at) == (ttl, None)


def test_end_is_in_utc_whatever_the_clocks_zone() -> None:
    beijing = NOW.astimezone(timezone(timedelta(hours=8)))
    result = read_result({"file_info": "f", "ttl": 60}, beijing)
    assert result.expires_at is not None
    assert result.expires_at.tzinfo is timezone.utc
    assert result.expires_at == NOW + timedelta(seconds=60)


@pytest.mark.parametrize("file_uuid", [None, "", 5, ..., []])
def test_file_uuid_may_be_missing(file_uuid: Any) -> None:
    fields = {"file_info": "f"} if file_uuid is ... else {"file_info": "f", "file_uuid": file_uuid}
    assert read_result(fields, NOW).file_uuid is None


@pytest.mark.parametrize("fields", [
    {}, {"file_info": None}, {"file_info": ""}, {"file_info": 5}, {"file_info": ["f"]},
    {"data": {}}, {"data": {"file_info": ""}}, {"file_uuid": "g", "ttl": 5},
])
@pytest.mark.parametrize("stage", ["complete", "url"])
def test_no_file_info_is_no_success(fields: Any, stage: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        read_result(fields, NOW, stage=stage)
    assert caught.value.stage == stage
    assert str(caught.value) == (
        f"{stage}: the platform's reply makes no sense: it has no file_info; there is no file to "
        "send - report it if it happens again")


def test_reply_to_prepare_that_makes_no_sense_says_that_nothing_was_sent() -> None:
    with pytest.raises(ProtocolError) as caught:
        bad_reply(Reply(), "it is odd", "prepare")
    assert caught.value.stage == "prepare"
    assert str(caught.value) == (
        "prepare: the platform's reply makes no sense: it is odd; nothing was sent - "
        "report it if it happens again")


def test_stage_is_complete_unless_told_otherwise() -> None:
    with pytest.raises(ProtocolError) as caught:
        read_result({}, NOW)
    assert caught.value.stage == "complete"


def test_reused_is_what_it_was_told() -> None:
    assert read_result({"file_info": "f"}, NOW, reused=True).reused is True
    assert read_result({"file_info": "f"}, NOW).reused is False


def test_repr_shows_no_secret() -> None:
    fields = {"file_info": "5ecret", "raw_url": "https://h/?sign=5ecret", "file_uuid": "g"}
    result = read_result(fields, NOW)
    assert "5ecret" not in repr(result)
    assert "file_uuid='g'" in repr(result)
    assert "raw" not in repr(result)
    assert result.raw == fields


def test_odd_values_of_secret_fields_do_no_harm() -> None:
    result = read_result({"file_info": "f", "raw_url": None}, NOW)
    assert result.raw == {"file_info": "f", "raw_url": None}


def test_result_does_not_change_with_the_reply() -> None:
    fields = {"file_info": "f"}
    result = read_result(fields, NOW)
    fields["file_info"] = "other"
    assert result.raw == {"file_info": "f"}


def test_results_are_equal_whatever_else_the_platform_said() -> None:
    assert read_result({"file_info": "f", "x": 1}, NOW) == read_result({"file_info": "f"}, NOW)
    assert read_result({"file_info": "f"}, NOW) != read_result({"file_info": "g"}, NOW)


def test_result_is_frozen() -> None:
    with pytest.raises(AttributeError):
        setattr(read_result({"file_info": "f"}, NOW), "ttl", 5)


def test_result_made_by_hand_has_nothing_but_its_file_info() -> None:
    result = UploadResult("f")
    assert (result.file_uuid, result.ttl, result.expires_at, result.reused) == (
        None, None, None, False)
    assert result.raw == {}
    assert result.raw is not UploadResult("f").raw
    assert "5ecret" not in repr(UploadResult("5ecret"))


def test_result_made_of_nothing_is_not_made_of_its_name() -> None:
    nothing: Any = None
    assert UploadResult(nothing).file_info is None


def test_result_survives_pickle() -> None:
    result = read_result({"file_info": "5ecret", "ttl": 60, "raw_url": "5ecret"}, NOW)
    again = pickle.loads(pickle.dumps(result))
    assert again == result
    assert again.raw == result.raw
    assert "5ecret" not in repr(again)


def test_what_the_user_gets_is_of_exact_types() -> None:
    fields = {"file_info": Secret("f"), "file_uuid": Secret("u"), "a": [{"url": Secret("h")}]}
    result = read_result(fields, NOW)
    found = result.file_info, result.file_uuid, result.raw["a"][0]["url"]
    assert [type(text) for text in found] == [str, str, str]
    assert type(UploadResult(Secret("f")).file_info) is str


def test_missing_file_info_names_the_trace_of_the_reply() -> None:
    with pytest.raises(ProtocolError) as caught:
        results.read_result(Reply({}, 200, "f00d"), NOW)
    assert caught.value.trace_id == "f00d"
