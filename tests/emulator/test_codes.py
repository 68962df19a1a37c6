"""Every code that the platform is known to answer can be played, with what goes beside it."""

from __future__ import annotations

from typing import Any, Iterator

import pytest

from tests.emulator.client import CONTENT, Bot, serving


@pytest.fixture(scope="module")
def bot() -> Iterator[Bot]:
    with serving() as started:
        yield started


def played(bot: Bot, stage: str, **options: Any) -> Any:
    bot.emulator.fail(stage, "code", **options)
    calls = {
        "token": bot.fetch_token,
        "prepare": bot.prepare,
        "finish": lambda: bot.finish({"upload_id": "u"}, 1, b""),
        "complete": lambda: bot.complete({"upload_id": "u"}),
        "url": lambda: bot.api("/v2/users/U1/files", {"url": "https://a.invalid"}),
        "message": lambda: bot.send("f"),
    }
    return calls[stage]()


@pytest.mark.parametrize("code, status, err_code", [
    (10000, 400, 40011000), (11241, 401, 40011027), (11243, 401, 40011027),
    (11244, 401, 40011027), (11255, 400, 40011028), (11298, 401, 40023002),
    (850012, 500, None), (850019, 400, 40034002), (850026, 400, 40034001),
    (22009, 429, 22009), (304023, 202, 304023), (304024, 202, 304024),
])
@pytest.mark.parametrize("stage", ["prepare", "complete", "message"])
def test_code_has_its_status_and_its_err_code(
    bot: Bot, stage: str, code: int, status: int, err_code: Any
) -> None:
    assert played(bot, stage, code=code).codes == (status, code, err_code)


@pytest.mark.parametrize("stage, codes", [
    ("finish", [40093001, 40093002]),
    ("complete", [850018, 850027, 850031, 40034004]),
    ("prepare", [10998, 11242, 11252, 11263, 11281]),
    ("prepare", [11245, 11251, 11253, 11254, 11261, 11262, 11264, 11265]),
    ("prepare", [11273, 11274, 11275, 11282]),
    ("prepare", [12001, 12002, 12003, 50006, *range(1100100, 1100105)]),
    ("url", [40093010, 850026, 850027]),
    ("message", [304080, 40034032, 304082, 304083, 50055001, 50055002, 40054006]),
    ("message", [40034005, 40034128, 304103, *range(40034024, 40034028), 304026, 304027]),
    ("message", [40034006, 40034101, 40054003, 40054002, 40054004, 40054007, 40054010]),
    ("message", [40054013, 40054016, 40054018, 22006, 304010, 304017, 304020, 304021]),
    ("message", [40034105, 40034100, 40054005]),
])
def test_code_is_played_at_its_stage(bot: Bot, stage: str, codes: Any) -> None:
    for code in codes:
        answer = played(bot, stage, code=code)
        assert answer.json["code"] == code and answer.status >= 400
        assert played(bot, stage, code=code, status=200).codes[:2] == (200, code)
        assert bot.emulator.requests[-1].code == code


@pytest.mark.parametrize("code", [100001, 100002, 100007, 100016, 10004])
def test_refused_token_call_is_played_with_http_200(bot: Bot, code: int) -> None:
    answer = played(bot, "token", code=code, status=200)
    assert (answer.status, answer.json["code"]) == (200, code)


@pytest.mark.parametrize("status", [401, 500, 504])
def test_json_error_may_have_another_status(bot: Bot, status: int) -> None:
    assert played(bot, "complete", code=850012, status=status).codes[:2] == (status, 850012)


@pytest.mark.parametrize("status", [400, 404, 408, 429, 500, 503])
def test_storage_refuses_in_xml_with_any_status(bot: Bot, status: int) -> None:
    url = bot.prepare(CONTENT[:100]).json["parts"][0]["presigned_url"]
    bot.emulator.fail("put", "status", status=status)
    answer = bot.put(url, CONTENT[:100])
    assert answer.status == status and answer.headers["Content-Type"] == "application/xml"
    assert bot.put(url, CONTENT[:100]).status == 200
