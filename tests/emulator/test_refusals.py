"""The emulator is as strict as the platform, and says what it refused."""

from __future__ import annotations

import hashlib
import json
import re
import socket
from http.client import HTTPMessage
from typing import Any, Dict, Iterator, List, Tuple
from urllib.parse import quote, unquote, urlsplit

import pytest

from qqchunk.emulator import Emulator
from qqchunk.emulator.calls import Call
from qqchunk.emulator.rates import RateLimiter
from qqchunk.emulator.replies import Refused
from qqchunk.emulator.tokens import TokenService
from tests.emulator.client import CONTENT, MD5_10M_SIZE, Bot, digests, notes, serving, wait_for


@pytest.fixture
def bot() -> Iterator[Bot]:
    with serving() as started:
        yield started


# The way it should go


@pytest.mark.parametrize("scene", ["users", "groups"])
def test_file_goes_up_in_parts_and_is_received_whole(bot: Bot, scene: str) -> None:
    reply = bot.upload(to=f"{scene}/ABC")
    assert bot.emulator.received(reply["file_info"]) == CONTENT
    assert notes(bot) == []


def test_requests_are_written_down_in_order(bot: Bot) -> None:
    bot.upload(CONTENT[:100])
    requests = bot.emulator.requests
    assert [r.stage for r in requests] == ["token", "prepare", "put", "finish", "complete"]
    assert [r.status for r in requests] == [200] * 5
    assert [r.part_index for r in requests] == [None, None, 1, 1, None]
    assert requests[2].received_bytes == 100
    assert requests[3].body["block_size"] == "100"  # type: ignore[index]
    assert requests[1].headers["authorization"] == f"QQBot {bot.token}"
    assert {r.connection for r in requests} == {1}
    assert [r.at for r in requests] == sorted(r.at for r in requests)
    assert bot.emulator.count("put") == 1


def test_requests_go_on_being_written_down_after_the_list_was_cleared(bot: Bot) -> None:
    bot.upload()
    bot.emulator.requests.clear()
    bot.prepare()
    assert [r.stage for r in bot.emulator.requests] == ["prepare"]
    assert bot.emulator.count("prepare") == 2


def test_md5_of_the_head_ends_at_byte_10_002_432() -> None:
    content = bytes(MD5_10M_SIZE) + b"x"
    with serving(block_size=10_485_760) as bot:
        stored = bot.emulator.stored(bot.upload(content)["file_info"])
        assert stored.digests.md5_10m == digests(content)["md5_10m"]
        plan = bot.prepare(content, md5_10m=hashlib.md5(content).hexdigest()).json
        bot.send_parts(plan, content)
        assert bot.complete(plan).codes == (400, 850019, 40034002)


def test_parts_may_come_in_any_order_and_twice(bot: Bot) -> None:
    plan = bot.prepare().json
    blocks = bot.blocks(plan)
    for part in list(reversed(plan["parts"])) * 2:
        assert bot.put(part["presigned_url"], blocks[part["index"]]).status == 200
    for index, block in blocks.items():
        assert bot.finish(plan, index, block).json == {}
    assert bot.complete(plan, file_type=4, file_name="a.bin", srv_send_msg=False).status == 200


def test_bodies_are_dropped_on_request() -> None:
    with serving(keep_bodies=False) as bot:
        reply = bot.upload()
        with pytest.raises(RuntimeError, match="keep_bodies"):
            bot.emulator.received(reply["file_info"])
        assert bot.emulator.stored(reply["file_info"]).digests.sha1 == digests(CONTENT)["sha1"]


def test_forgotten_file_is_gone(bot: Bot) -> None:
    file_info = bot.upload()["file_info"]
    bot.emulator.forget(file_info)
    with pytest.raises(KeyError):
        bot.emulator.received(file_info)


# Tokens


@pytest.mark.parametrize(
    "changes, code",
    [
        ({"appId": 102000001}, 100002),
        ({"clientSecret": None}, 100002),
        ({"appId": ...}, 100007),
        ({"appId": "1"}, 100016),
        ({"clientSecret": "wrong"}, 100016),
    ],
)
def test_refused_token_call_has_status_200_and_a_code(
    bot: Bot, changes: Dict[str, Any], code: int
) -> None:
    answer = bot.fetch_token(**changes)
    assert (answer.status, answer.json["code"]) == (200, code)
    assert bot.emulator.requests[-1].code == code


def test_token_call_needs_a_json_object(bot: Bot) -> None:
    headers = {"Content-Type": "application/json"}
    answer = bot.request("POST", "/app/getAppAccessToken", "[]", headers)
    assert (answer.status, answer.json["code"]) == (200, 100002)


def test_token_call_needs_a_json_content_type(bot: Bot) -> None:
    body = json.dumps({"appId": bot.emulator.app_id, "clientSecret": bot.emulator.client_secret})
    for content_type in ("text/plain", "application/x-www-form-urlencoded"):
        answer = bot.request(
            "POST", "/app/getAppAccessToken", body, {"Content-Type": content_type}
        )
        assert answer.json["code"] == 100007
    answer = bot.request(
        "POST", "/app/getAppAccessToken", body, {"Content-Type": "application/json; charset=UTF-8"}
    )
    assert "access_token" in answer.json


@pytest.mark.parametrize(
    "header, code, noted",
    [
        (..., 11241, True),
        ("Bearer {token}", 11241, True),
        ("QQBot", 11241, True),
        ("QQBot nobody", 11244, False),
        ("QQBot {token}x", 11244, False),
    ],
)
def test_call_without_a_living_token_is_answered_401(
    bot: Bot, header: Any, code: int, noted: bool
) -> None:
    value = header if header is ... else header.format(token=bot.token)
    answer = bot.api("/v2/users/U1/upload_prepare", {}, Authorization=value)
    assert answer.codes == (401, code, 40011027)
    assert bool(notes(bot)) is noted


def test_expired_token_is_refused_and_a_new_one_accepted(bot: Bot) -> None:
    assert bot.prepare().status == 200
    bot.emulator.expire_tokens()
    assert bot.prepare().codes == (401, 11244, 40011027)
    bot._token = None
    assert bot.prepare().status == 200
    assert notes(bot) == []


def test_token_ends_after_its_ttl() -> None:
    with serving(token_ttl="0.02") as bot:
        assert bot.fetch_token().json["expires_in"] == "0.02"
        assert bot.token
        with pytest.raises(AssertionError):
            for _ in range(1000):
                assert bot.prepare().status == 200


@pytest.fixture
def hour_by_hour(bot: Bot) -> Tuple[TokenService, Call, List[float]]:
    """A token service, a good call to it and its clock."""
    now = [0.0]
    headers = HTTPMessage()
    headers["Content-Type"] = "application/json"
    body = {"appId": bot.emulator.app_id, "clientSecret": bot.emulator.client_secret}
    call = Call("POST", "/app/getAppAccessToken", headers, body=body)
    return TokenService(bot.emulator.behaviour, clock=lambda: now[0]), call, now


Service = Tuple[TokenService, Call, List[float]]


def test_token_is_given_again_until_a_minute_before_its_end(hour_by_hour: Service) -> None:
    service, call, now = hour_by_hour
    given = []
    for now[0] in (0.0, 0.5, 100.0, 7139.0, 7140.0, 7150.0):
        given.append(json.loads(service.issue(call).body))
    assert [reply["expires_in"] for reply in given] == [
        "7200", "7199", "7100", "61", "7200", "7190"]
    tokens = [reply["access_token"] for reply in given]
    assert len(set(tokens[:4])) == 1 and len(set(tokens[4:])) == 1 and tokens[3] != tokens[4]


def test_each_call_gives_a_new_token_on_request(bot: Bot) -> None:
    bot.emulator.behaviour.token_reissued = False
    first, second = (bot.fetch_token().json for _ in range(2))
    assert first["access_token"] != second["access_token"]
    assert first["expires_in"] == second["expires_in"] == "7200"


def test_old_token_lives_sixty_seconds_beside_a_new_one(
    bot: Bot, hour_by_hour: Service
) -> None:
    bot.emulator.behaviour.token_reissued = False
    service, call, now = hour_by_hour
    old, new = (
        "QQBot " + json.loads(service.issue(call).body)["access_token"] for _ in range(2))
    now[0] = 59.9
    service.check(old)
    now[0] = 60.0
    with pytest.raises(Refused):
        service.check(old)
    now[0] = 7199.9
    service.check(new)
    now[0] = 7200.0
    with pytest.raises(Refused):
        service.check(new)


# Prepare


@pytest.mark.parametrize(
    "changes, status, code",
    [
        ({"file_name": ...}, 500, 850012),
        ({"file_name": ""}, 500, 850012),
        ({"file_name": 7}, 400, 10000),
        ({"file_type": ...}, 400, 10000),
        ({"file_type": "4"}, 400, 10000),
        ({"file_type": True}, 400, 10000),
        ({"file_type": 5}, 400, 10000),
        ({"file_size": ...}, 400, 10000),
        ({"file_size": "0"}, 400, 10000),
        ({"file_size": -1}, 400, 10000),
        ({"file_size": 320.0}, 400, 10000),
        ({"file_size": "0x10"}, 400, 10000),
        ({"md5": ...}, 500, 850012),
        ({"sha1": ""}, 500, 850012),
        ({"md5_10m": ""}, 500, 850012),
        ({"md5": digests(CONTENT)["md5"].upper()}, 400, 10000),
        ({"sha1": digests(CONTENT)["md5"]}, 400, 10000),
        ({"md5_10m": 5}, 400, 10000),
    ],
)
def test_prepare_with_a_wrong_field_is_refused(
    bot: Bot, changes: Dict[str, Any], status: int, code: int
) -> None:
    answer = bot.prepare(**changes)
    assert (answer.status, answer.json["code"]) == (status, code)
    assert len(notes(bot)) == 1 and next(iter(changes)) in notes(bot)[0]


def test_sizes_may_be_ints_too(bot: Bot) -> None:
    plan = bot.prepare(CONTENT[:100], file_size=100).json
    bot.put(plan["parts"][0]["presigned_url"], CONTENT[:100])
    assert bot.finish(plan, 1, CONTENT[:100], block_size=100).status == 200


def test_size_limit_and_daily_quota_are_kept() -> None:
    with serving(max_file_size=300, daily_quota=500) as bot:
        assert bot.prepare(bytes(301)).codes == (400, 850031, 850031)
        assert bot.prepare(bytes(300)).status == 200
        assert bot.prepare(bytes(201)).codes == (400, 40093002, 40093002)
        assert bot.prepare(bytes(200)).status == 200
        assert notes(bot) == []


def test_quota_may_be_charged_at_complete() -> None:
    with serving(daily_quota=100, quota_stage="complete") as bot:
        plan = bot.prepare().json
        bot.send_parts(plan)
        assert bot.complete(plan).codes == (400, 40093002, 40093002)


@pytest.mark.parametrize(
    "file_type, name, allowed",
    [
        (1, "a.png", True), (1, "a.JPG", True), (1, "a.jpeg", True), (1, "a.gif", False),
        (2, "a.mp4", True), (2, "a.avi", False), (3, "a.silk", True), (3, "a.mp3", False),
        (1, "png", False), (4, "a.exe", True),
    ],
)
def test_formats_are_bound_to_the_file_type(
    bot: Bot, file_type: int, name: str, allowed: bool
) -> None:
    answer = bot.prepare(file_type=file_type, file_name=name)
    assert answer.codes == ((200, None, None) if allowed else (400, 850019, 40034002))


def test_known_file_needs_no_parts_if_instant() -> None:
    with serving(instant=True) as bot:
        bot.upload()
        plan = bot.prepare(file_name="other.bin").json
        assert plan["parts"] == []
        assert bot.emulator.received(plan["file_info"]) == CONTENT
        assert bot.emulator.stored(plan["file_info"]).name == "other.bin"
        assert bot.prepare(to="groups/G1").json["parts"] != []


def test_known_file_may_be_left_to_complete() -> None:
    with serving(instant="complete") as bot:
        bot.upload()
        plan = bot.prepare().json
        assert plan["parts"] == [] and "file_info" not in plan
        assert bot.emulator.received(bot.complete(plan).json["file_info"]) == CONTENT


# Storage


def first_url(bot: Bot) -> str:
    return str(bot.prepare(CONTENT[:100]).json["parts"][0]["presigned_url"])


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Basic bmV0cmM6bmV0cmM="},
        {"Cookie": "session=1"},
        {"Proxy_Authorization": "Basic eA=="},
        {"X_Custom": "QQBot {token}"},
        {"X_Custom": "emulator-secret"},
    ],
)
def test_credentials_on_storage_are_refused(bot: Bot, headers: Dict[str, str]) -> None:
    sent = {name: value.format(token=bot.token) for name, value in headers.items()}
    assert bot.put(first_url(bot), CONTENT[:100], **sent).status == 400
    assert len(notes(bot)) == 1 and "sent to storage" in notes(bot)[0]


def test_chunked_put_is_refused(bot: Bot) -> None:
    answer = bot.put(first_url(bot), iter([CONTENT[:100]]), Transfer_Encoding="chunked")
    assert answer.status == 411
    assert notes(bot) == ["put part 1: chunked transfer"]


def test_put_above_every_size_is_refused(bot: Bot) -> None:
    url = urlsplit(first_url(bot))
    bot.connection.putrequest("PUT", f"{url.path}?{url.query}")
    bot.connection.putheader("Content-Length", str((200 << 20) + 1))
    bot.connection.endheaders()
    wait_for(lambda: len(notes(bot)) == 1)
    bot.connection.close()
    assert notes(bot) == ["put part 1: 209715201 bytes announced for a part of 100"]


def spoil(url: str, how: str) -> str:
    base, _, query = url.partition("?")
    if how == "requoted":
        return f"{base}?{quote(query, safe='=&%').replace('%', '%25')}"
    if how == "decoded":
        return f"{base}?{unquote(query).replace(' ', '%20')}"
    if how == "truncated":
        return url[:-1]
    if how == "bare":
        return base
    if how == "other part":
        return url.replace("part_1", "part_2")
    return url + "&extra=1"


@pytest.mark.parametrize(
    "how", ["requoted", "decoded", "truncated", "bare", "other part", "extended"]
)
def test_altered_url_is_refused(bot: Bot, how: str) -> None:
    answer = bot.put(spoil(first_url(bot), how), CONTENT[:100])
    assert answer.status == 403 and b"<Code>SignatureDoesNotMatch</Code>" in answer.body
    part = 2 if how == "other part" else 1
    assert notes(bot) == [f"put part {part}: the presigned URL was altered"]


def test_equivalent_spelling_of_a_url_is_accepted(bot: Bot) -> None:
    url = first_url(bot)
    assert "%7E" in url and "%2B" in url
    respelled = url.replace("%7E", "~").replace("%2B", "%2b").replace("%2F", "/")
    assert bot.put(respelled, CONTENT[:100]).status == 200


def test_expired_url_is_answered_403_in_xml(bot: Bot) -> None:
    url = first_url(bot)
    bot.emulator.expire_urls()
    answer = bot.put(url, CONTENT[:100])
    assert answer.status == 403 and b"Request has expired" in answer.body
    assert bot.put(first_url(bot), CONTENT[:100]).status == 200
    assert notes(bot) == []


def test_urls_live_as_long_as_their_ttl() -> None:
    with serving(url_ttl=0.0) as bot:
        assert b"Request has expired" in bot.put(first_url(bot), CONTENT[:100]).body


def test_urls_live_for_an_hour_unless_told_otherwise(bot: Bot) -> None:
    assert bot.emulator.behaviour.url_ttl == 3600
    (period,) = re.findall("q-sign-time=([0-9]+)%3B([0-9]+)", first_url(bot))
    assert int(period[1]) - int(period[0]) == 3600


def test_storage_takes_nothing_but_put(bot: Bot) -> None:
    parts = urlsplit(first_url(bot))
    answer = bot.request("POST", f"{parts.path}?{parts.query}", CONTENT[:100], {})
    assert answer.status == 403


def test_storage_may_have_another_host_name() -> None:
    with serving(storage_host="localhost") as bot:
        port = urlsplit(bot.emulator.api_url).port
        assert first_url(bot).startswith(f"http://localhost:{port}/robot_upload/102000001/upload_")


# Finish and complete


@pytest.mark.parametrize(
    "changes, note",
    [
        ({"part_index": 0}, "renumbered"),
        ({"part_index": 5}, "renumbered"),
        ({"part_index": "1"}, "no int"),
        ({"part_index": True}, "no int"),
        ({"block_size": "320"}, "block_size"),
        ({"block_size": ...}, "block_size"),
        ({"md5": "0" * 32}, "md5"),
        ({"upload_id": "upload_0"}, "unknown"),
        ({"upload_id": ...}, "upload_id"),
    ],
)
def test_finish_with_a_wrong_field_is_refused(bot: Bot, changes: Dict[str, Any], note: str) -> None:
    plan = bot.prepare().json
    bot.put(plan["parts"][0]["presigned_url"], CONTENT[:100])
    assert bot.finish(plan, 1, CONTENT[:100], **changes).codes == (400, 10000, 40011000)
    assert len(notes(bot)) == 1 and note in notes(bot)[0]


def test_finish_of_a_part_that_has_not_come_is_busy(bot: Bot) -> None:
    plan = bot.prepare().json
    assert bot.finish(plan, 1, CONTENT[:100]).codes == (400, 40093001, 40093001)


def test_part_md5_may_be_left_to_complete() -> None:
    with serving(part_md5_checked_at="complete") as bot:
        plan = bot.prepare(CONTENT[:100]).json
        bot.put(plan["parts"][0]["presigned_url"], bytes(100))
        assert bot.finish(plan, 1, CONTENT[:100]).status == 200
        assert bot.complete(plan).codes == (400, 850019, 40034002)


def test_each_part_is_busy_as_often_as_asked() -> None:
    with serving(busy_finishes=2) as bot:
        plan = bot.prepare().json
        for part in plan["parts"][:2]:
            block = bot.blocks(plan)[part["index"]]
            bot.put(part["presigned_url"], block)
            answers = [bot.finish(plan, part["index"], block) for _ in range(3)]
            assert [a.status for a in answers] == [400, 400, 200]
            assert answers[0].json["code"] == 40093001


@pytest.mark.parametrize("repeatable, status", [(True, 200), (False, 400)])
def test_finish_may_be_repeatable_or_not(repeatable: bool, status: int) -> None:
    with serving(finish_repeatable=repeatable) as bot:
        plan = bot.prepare(CONTENT[:100]).json
        bot.send_parts(plan, CONTENT[:100])
        assert bot.finish(plan, 1, CONTENT[:100]).status == status


@pytest.mark.parametrize(
    "changes, code, note",
    [
        ({"srv_send_msg": "false"}, 10000, "srv_send_msg"),
        ({"file_type": 2}, 10000, "file_type"),
        ({"file_name": "b.bin"}, 10000, "file_name"),
        ({"upload_id": "upload_0"}, 10000, "unknown"),
    ],
)
def test_complete_with_a_wrong_field_is_refused(
    bot: Bot, changes: Dict[str, Any], code: int, note: str
) -> None:
    plan = bot.prepare().json
    bot.send_parts(plan)
    assert bot.complete(plan, **changes).json["code"] == code
    assert len(notes(bot)) == 1 and note in notes(bot)[0]


def test_complete_without_all_parts_is_the_format_error(bot: Bot) -> None:
    plan = bot.prepare().json
    assert bot.complete(plan).codes == (400, 850019, 40034002)
    bot.put(plan["parts"][0]["presigned_url"], CONTENT[:100])
    assert bot.complete(plan).codes == (400, 850019, 40034002)
    assert notes(bot) == ["complete: part 1 was not sent", "complete: part 1 was not finished"]


@pytest.mark.parametrize("name", ["md5", "sha1", "md5_10m"])
def test_file_that_is_not_the_one_announced_is_the_format_error(bot: Bot, name: str) -> None:
    plan = bot.prepare(**{name: "0" * (40 if name == "sha1" else 32)}).json
    bot.send_parts(plan)
    assert bot.complete(plan).codes == (400, 850019, 40034002)
    assert ("md5_10m" if name == "md5_10m" else "not the file announced") in notes(bot)[0]


@pytest.mark.parametrize("to", ["groups/U1", "users/U2"])
def test_upload_stays_with_one_scene_and_one_target(bot: Bot, to: str) -> None:
    plan = bot.prepare().json
    bot.send_parts(plan)
    assert bot.complete(plan, to).codes == (400, 11255, 40011028)
    assert bot.finish(plan, 1, CONTENT[:100], to).codes == (400, 11255, 40011028)
    assert len(notes(bot)) == 2


@pytest.mark.parametrize("repeatable, status", [(True, 200), (False, 400)])
def test_complete_after_a_success_that_was_sent_is_noted(repeatable: bool, status: int) -> None:
    with serving(complete_repeatable=repeatable) as bot:
        plan = bot.prepare().json
        bot.send_parts(plan)
        first = bot.complete(plan)
        second = bot.complete(plan)
        assert (first.status, second.status) == (200, status)
        assert notes(bot) == ["complete: complete again after its success was sent"]
        assert (first.body == second.body) is repeatable


def test_complete_after_a_lost_reply_is_no_breach(bot: Bot) -> None:
    plan = bot.prepare().json
    bot.send_parts(plan)
    bot.emulator.fail("complete", "reset_after")
    with pytest.raises(ConnectionResetError):
        bot.complete(plan)
    assert bot.complete(plan).codes == (400, 10000, 40011000)
    assert notes(bot) == []


def test_complete_after_a_reply_nobody_waited_for_is_no_breach() -> None:
    with serving(complete_repeatable=True) as bot:
        plan = bot.prepare(CONTENT[:100]).json
        bot.send_parts(plan, CONTENT[:100])
        bot.emulator.behaviour.latency = 0.1
        bot.connection.close()
        bot.connection.timeout = 0.02
        with pytest.raises(socket.timeout):
            bot.complete(plan)
        bot.connection.timeout = 5
        wait_for(lambda: bot.emulator.requests[-1].status is not None)
        bot.emulator.behaviour.latency = 0.0
        assert bot.complete(plan).status == 200
        assert notes(bot) == []


def test_upload_is_forgotten_after_its_ttl() -> None:
    with serving(upload_ttl=0.0) as bot:
        plan = bot.prepare().json
        bot.prepare()
        assert bot.finish(plan, 1, CONTENT[:100]).status == 400
        late = bot.put(plan["parts"][0]["presigned_url"], CONTENT[:100])
        assert b"Request has expired" in late.body


# Paths and frames


def test_target_ids_are_percent_decoded(bot: Bot) -> None:
    reply = bot.upload(to="users/" + quote("a/../b c", safe=""))
    assert bot.send(reply["file_info"], "users/x%2Fy").status == 200
    assert bot.emulator.messages[0]["target"] == "x/y"


@pytest.mark.parametrize(
    "method, path",
    [
        ("POST", "/v2/users/U1/upload"), ("POST", "/v2/users/a/b/files"), ("GET", "/nothing"),
        ("POST", "/v2/channels/U1/files"), ("GET", "/v2/users/U1/files"),
        ("POST", "/v2/users//files"), ("DELETE", "/v2/users/U1/files"),
    ],
)
def test_unknown_path_is_404(bot: Bot, method: str, path: str) -> None:
    assert bot.request(method, path, None, {}).status == 404
    assert notes(bot) == [f"unknown: {method} {path} is no call of the platform's"]


@pytest.mark.parametrize(
    "method, path",
    [
        ("GET", "/gateway"), ("GET", "/gateway/bot?x=1"), ("GET", "/users/@me"),
        ("DELETE", "/v2/groups/G1/messages/ROBOT1.0_1"), ("GET", "/guilds/1/channels"),
        ("DELETE", "/channels/1/messages/2?hidetip=true"),
        ("POST", "/v2/users/U1/messages/ROBOT1.0_1/recall"),
        ("POST", "/v2/users/U1/stream_messages"),
        ("GET", "/v2/groups/G1/members?limit=9"), ("POST", "/v2/groups/join_approval_strategy"),
        ("PUT", "/v2/menu"), ("DELETE", "/v2/media-images/1/delete"),
    ],
)
def test_other_calls_of_the_platform_are_not_emulated(bot: Bot, method: str, path: str) -> None:
    answer = bot.request(method, path, None, {})
    assert answer.status == 501 and answer.json["message"].startswith("not emulated: ")
    assert notes(bot) == bot.emulator.manners == []
    assert bot.emulator.requests[-1].stage == "other"


@pytest.mark.parametrize("body", ["[]", "", "{", "\xff", "null", "[" * 100_000])
def test_body_that_is_no_json_object_is_refused(bot: Bot, body: str) -> None:
    headers = {"Authorization": f"QQBot {bot.token}", "Content-Type": "application/json"}
    answer = bot.request("POST", "/v2/users/U1/upload_prepare", body.encode("latin-1"), headers)
    assert answer.codes == (400, 10000, 40011000)


def test_api_call_needs_a_json_content_type(bot: Bot) -> None:
    answer = bot.api("/v2/users/U1/upload_prepare", {}, Content_Type="text/plain")
    assert answer.status == 400 and "content type" in notes(bot)[0]


def test_body_over_the_gateways_limit_is_answered_413_in_html(bot: Bot) -> None:
    assert bot.token
    bot.connection.putrequest("POST", "/v2/users/U1/files")
    bot.connection.putheader("Content-Length", "19000001")
    bot.connection.endheaders()
    with bot.connection.getresponse() as response:
        assert response.status == 413
        assert b"<center>stgw</center>" in response.read()


def test_chunked_api_call_is_refused(bot: Bot) -> None:
    headers = {"Authorization": f"QQBot {bot.token}", "Transfer-Encoding": "chunked"}
    answer = bot.request("POST", "/v2/users/U1/upload_prepare", iter([b"{}"]), headers)
    assert answer.status == 411 and len(notes(bot)) == 1


def test_rate_limit_counts_the_last_second_of_each_stage() -> None:
    now = [0.0]
    limiter = RateLimiter(clock=lambda: now[0])
    assert [limiter.allows("finish") for _ in range(11)] == [True] * 10 + [False]
    assert all(limiter.allows("complete") for _ in range(50)) and limiter.allows("message")
    assert not limiter.allows("complete")
    now[0] = 0.999
    assert not limiter.allows("finish")
    now[0] = 1.0
    assert [limiter.allows("finish") for _ in range(11)] == [True] * 10 + [False]


def test_rate_limits_are_kept_on_request() -> None:
    with serving(rate_limits=True) as bot:
        answers = [bot.prepare() for _ in range(11)]
        assert [a.status for a in answers] == [200] * 10 + [429]
        assert answers[-1].json["code"] == 22009


def test_trace_id_is_in_the_header_and_in_the_body(bot: Bot) -> None:
    plan = bot.prepare().json
    answer = bot.finish(plan, 1, CONTENT[:100])
    assert answer.headers["X-Tps-trace-ID"] == answer.json["trace_id"]
    assert len(answer.json["trace_id"]) == 32


@pytest.mark.parametrize(
    "options",
    [
        {"numbers": "octal"}, {"config": "x"}, {"quota_stage": "put"}, {"instant": "yes"},
        {"error_codes": "none"},
    ],
)
def test_unknown_choice_is_an_error(options: Dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        Emulator(**options)
