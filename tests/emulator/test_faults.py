"""Every scripted fault does on the wire what it says, as often and where it was asked to."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
from typing import Any, Dict, Iterator

import pytest

from qqchunk.emulator import Fault
from qqchunk.emulator.faults import KINDS
from tests.emulator.client import CONTENT, Bot, address, notes, serving, wait_for

BIG = bytes(8_000_000)  # more than loopback's buffers hold


@pytest.fixture
def bot() -> Iterator[Bot]:
    with serving(block_size=len(BIG)) as started:
        assert started.token
        yield started


def part_url(bot: Bot, content: bytes = CONTENT) -> str:
    return str(bot.prepare(content).json["parts"][0]["presigned_url"])


def raw_request(bot: Bot, url: str, body: bytes) -> bytes:
    """PUT with a bare socket, whatever happens while sending; gives all that came back."""
    path = "/" + url.split("/", 3)[3]
    head = f"PUT {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    received = b""
    with socket.create_connection(address(bot.emulator), timeout=5) as sock:
        with contextlib.suppress(ConnectionError):
            sock.sendall(head + body)
        with contextlib.suppress(ConnectionError):
            while True:
                data = sock.recv(65536)
                if not data:
                    break
                received += data
    return received


def arrived(bot: Bot, content: bytes = CONTENT) -> bool:
    """Whether the part of the last plan is there: finish of a part that is not is busy."""
    upload_id = bot.emulator.requests[-1].upload_id
    return bot.finish({"upload_id": upload_id}, 1, content).status == 200


# Which request it strikes


def statuses(bot: Bot, count: int) -> Any:
    return [bot.prepare().status for _ in range(count)]


def test_fault_strikes_once_unless_told_otherwise(bot: Bot) -> None:
    bot.emulator.fail("prepare", "status", status=503)
    assert statuses(bot, 2) == [503, 200]
    assert [r.fault for r in bot.emulator.requests] == [None, "status", None]


def test_fault_strikes_as_often_as_told(bot: Bot) -> None:
    bot.emulator.fail("prepare", "status", status=503, times=2, after=1)
    assert statuses(bot, 4) == [200, 503, 503, 200]


def test_fault_may_last_for_ever_until_cleared(bot: Bot) -> None:
    bot.emulator.fail("prepare", "status", status=503, times=None)
    assert statuses(bot, 3) == [503] * 3
    bot.emulator.clear_faults()
    assert statuses(bot, 1) == [200]


def test_faults_strike_in_the_order_they_were_added(bot: Bot) -> None:
    bot.emulator.fail("prepare", "status", status=503)
    bot.emulator.fail("prepare", "status", status=502)
    bot.emulator.fail("any", "status", status=504, after=3)
    assert statuses(bot, 4) == [503, 502, 200, 504]


def test_fault_may_be_bound_to_a_part() -> None:
    with serving(faults=[Fault("finish", "busy", part=2), Fault("put", "status", part=3)]) as bot:
        plan = bot.prepare().json
        blocks = bot.blocks(plan)
        put = {p["index"]: bot.put(p["presigned_url"], blocks[p["index"]]) for p in plan["parts"]}
        assert {index: answer.status for index, answer in put.items()} == {
            1: 200, 2: 200, 3: 500, 4: 200
        }
        assert [bot.finish(plan, index, blocks[index]).status for index in (1, 2)] == [200, 400]


def test_chance_is_drawn_by_seed() -> None:
    runs = []
    for seed in (1, 1, 2):
        with serving(seed=seed) as bot:
            bot.emulator.fail("prepare", "status", chance=0.5, times=None)
            runs.append(statuses(bot, 30))
    assert runs[0] == runs[1] != runs[2]
    assert set(runs[0]) == {200, 500}


@pytest.mark.parametrize(
    "arguments, options",
    [
        (("upload", "status"), {}), (("put", "explode"), {}), (("put", "status"), {"size": 1}),
        (("put", "status"), {"times": -1}), (("put", "status"), {"chance": 1.1}),
        (("put", "status"), {"after": -1}), (("put", "slow"), {"bandwidth": 0}),
        (("put", "status"), {"status": "500"}), (("put", "drip"), {"delay": float("nan")}),
        (("put", "status"), {"headers": "X: y"}), (("put", "cut_reply"), {"where": "tail"}),
    ],
)
def test_fault_that_makes_no_sense_is_an_error(arguments: Any, options: Dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Fault(*arguments, **options)


def test_every_kind_is_described() -> None:
    assert [kind for kind in KINDS if f"``{kind}``" not in str(Fault.__doc__)] == []
    assert "'put', 'silence'" in repr(Fault("put", "silence"))


def test_breaches_of_the_contract_are_noted_under_a_fault_too(bot: Bot) -> None:
    url = part_url(bot)
    bot.emulator.fail("put", "status", status=503)
    assert bot.put(url, CONTENT, Cookie="a=b").status == 503
    assert notes(bot) == ["put part 1: Cookie header sent to storage"]


# Answers


@pytest.mark.parametrize("status", [500, 502, 503, 504, 413, 429])
def test_status_on_the_api_is_a_page_of_the_gateway(bot: Bot, status: int) -> None:
    bot.emulator.fail("prepare", "status", status=status)
    answer = bot.prepare()
    assert answer.status == status and b"<center>stgw</center>" in answer.body


def test_status_on_storage_is_xml(bot: Bot) -> None:
    url = part_url(bot)
    bot.emulator.fail("put", "status", status=503)
    answer = bot.put(url, CONTENT)
    assert answer.status == 503 and b"<Code>ServiceUnavailable</Code>" in answer.body
    assert not arrived(bot)


def test_status_takes_body_and_headers(bot: Bot) -> None:
    bot.emulator.fail(
        "prepare", "status", status=307, body={"a": 1}, headers={"X-A": "b"},
        location="http://127.0.0.1:9/", retry_after="Wed, 21 Oct 2026 07:28:00 GMT",
    )
    answer = bot.prepare()
    assert (answer.status, answer.json) == (307, {"a": 1})
    assert answer.headers["X-A"] == "b"
    assert answer.headers["Location"] == "http://127.0.0.1:9/"
    assert answer.headers["Retry-After"] == "Wed, 21 Oct 2026 07:28:00 GMT"
    bot.emulator.fail("prepare", "status", status=204, body="")
    assert bot.prepare().body == b""


def test_code_may_stand_in_any_field_and_status(bot: Bot) -> None:
    fail = bot.emulator.fail
    fail("prepare", "code", code=850012, status=200, retry_after=7)
    fail("prepare", "code", code=None, err_code=40093002)
    fail("prepare", "code", code="40093001", err_code=None, message="later", trace=False)
    first, second, third = (bot.prepare() for _ in range(3))
    assert first.codes == (200, 850012, None) and first.headers["Retry-After"] == "7"
    assert second.codes == (400, None, 40093002)
    assert third.json == {"message": "later", "code": "40093001"}
    assert [r.code for r in bot.emulator.requests[-3:]] == [850012, None, None]


def test_busy_and_storages_refusals_have_names(bot: Bot) -> None:
    bot.emulator.fail("prepare", "busy")
    assert bot.prepare().codes == (400, 40093001, 40093001)
    url = part_url(bot)
    bot.emulator.fail("put", "expired_url")
    bot.emulator.fail("put", "bad_signature")
    assert b"Request has expired" in bot.put(url, CONTENT).body
    assert b"SignatureDoesNotMatch" in bot.put(part_url(bot), CONTENT).body


def test_url_that_a_fault_expired_stays_expired() -> None:
    with serving(faults=[Fault("put", "expired_url", part=1)]) as bot:
        plan = bot.prepare().json
        first, second = (part["presigned_url"] for part in plan["parts"][:2])
        assert [bot.put(first, CONTENT[:100]).status for _ in range(3)] == [403] * 3
        assert bot.put(second, CONTENT[100:200]).status == 200
        assert bot.put(bot.prepare().json["parts"][0]["presigned_url"], bytes(100)).status == 200


def test_expired_token_is_refused_until_a_new_one_was_fetched(bot: Bot) -> None:
    bot.emulator.fail("prepare", "expired_token")
    assert [bot.prepare().codes for _ in range(2)] == [(401, 11244, 40011027)] * 2
    bot._token = None
    assert bot.prepare().status == 200


@pytest.mark.parametrize(
    "kind, codes",
    [
        ("ip_not_whitelisted", (401, 11298, 40023002)),
        ("no_such_target", (400, 11255, 40011028)),
        ("quota", (400, 40093002, 40093002)),
        ("too_large", (400, 850031, 850031)),
        ("wrong_format", (400, 850019, 40034002)),
        ("timed_out", (400, 850027, 850027)),
        ("backend_error", (500, 850012, None)),
        ("rate_limited", (429, 22009, 22009)),
        ("download_failed", (400, 850026, 40034001)),
        ("muted", (400, 850018, 850018)),
        ("file_info_expired", (400, 304080, 304080)),
        ("file_info_invalid", (400, 40034032, 40034032)),
        ("anchor_expired", (400, 40034005, 40034005)),
        ("anchor_used_up", (400, 40034128, 40034128)),
        ("no_proactive", (400, 40034105, 40034105)),
        ("duplicate", (400, 40054005, 40054005)),
    ],
)
def test_refusal_has_a_plain_name(bot: Bot, kind: str, codes: Any) -> None:
    bot.emulator.fail("prepare", kind)
    assert bot.prepare().codes == codes
    assert bot.emulator.requests[-1].fault == kind
    assert bot.prepare().status == 200
    bot.emulator.fail("prepare", kind, status=418, message="no", retry_after=1)
    answer = bot.prepare()
    assert (answer.status, answer.json["message"]) == (418, "no")
    assert answer.headers["Retry-After"] == "1"


@pytest.mark.parametrize(
    "kind, status, code",
    [
        ("slow_down", 503, b"SlowDown"), ("request_timeout", 400, b"RequestTimeout"),
        ("incomplete_body", 400, b"IncompleteBody"), ("bad_digest", 400, b"BadDigest"),
    ],
)
def test_storages_refusal_has_a_plain_name(
    bot: Bot, kind: str, status: int, code: bytes
) -> None:
    url = part_url(bot)
    bot.emulator.fail("put", kind, retry_after=2)
    answer = bot.put(url, CONTENT)
    assert answer.status == status and b"<Code>" + code + b"</Code>" in answer.body
    assert answer.headers["Retry-After"] == "2"
    assert not arrived(bot)


def test_wait_may_be_asked_for_in_the_body_alone(bot: Bot) -> None:
    bot.emulator.fail("prepare", "rate_limited", body_retry_after=7)
    answer = bot.prepare()
    assert (answer.status, answer.json["retry_after"]) == (429, 7)
    assert "Retry-After" not in answer.headers


@pytest.mark.parametrize("err_code, message", [
    (40093002, "超过当天发送文件容量上限"), (40034002, "富媒体文件格式不支持"), (5, "emulated error"),
])
def test_err_code_may_stand_alone(bot: Bot, err_code: int, message: str) -> None:
    bot.emulator.fail("prepare", "code", code=None, err_code=err_code, trace=True)
    answer = bot.prepare()
    assert set(answer.json) == {"err_code", "message", "trace_id"}
    assert (answer.json["err_code"], answer.json["message"]) == (err_code, message)


@pytest.mark.parametrize(
    "kind, options, body, acted",
    [
        ("html_200", {}, None, False),
        ("html_200", {"processed": True}, None, True),
        ("empty_body", {}, b"", True),
        ("empty_body", {"processed": False}, b"", False),
        ("wrong_shape", {}, b"[]", False),
        ("wrong_shape", {"body": None}, b"null", False),
        ("wrong_shape", {"body": {"data": 5}}, b'{"data": 5}', False),
    ],
)
def test_strange_success_is_answered_with_200(
    bot: Bot, kind: str, options: Dict[str, Any], body: Any, acted: bool
) -> None:
    url = part_url(bot)
    bot.emulator.fail("put", kind, **options)
    answer = bot.put(url, CONTENT)
    assert answer.status == 200
    assert answer.body == body if body is not None else b"<html>" in answer.body
    assert arrived(bot) is acted


# Broken connections


@pytest.mark.parametrize(
    "kind, options, read, acted",
    [
        ("reset_before", {}, 0, False),
        ("reset_midway", {}, len(BIG) // 2, False),
        ("reset", {}, len(BIG) // 2, False),
        ("reset_midway", {"at_bytes": 5}, 5, False),
        ("reset_unprocessed", {}, len(BIG), False),
        ("reset_after", {}, len(BIG), True),
    ],
)
def test_reset_comes_where_it_is_due(
    bot: Bot, kind: str, options: Dict[str, Any], read: int, acted: bool
) -> None:
    url = part_url(bot, BIG)
    bot.emulator.fail("put", kind, **options)
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        bot.put(url, BIG)
    wait_for(lambda: bot.emulator.open_connections == 0)
    request = bot.emulator.requests[-1]
    assert (request.status, request.received_bytes, request.fault) == (None, read, kind)
    assert arrived(bot, BIG) is acted


def test_reset_is_an_rst(bot: Bot) -> None:
    for kind in ("reset_unprocessed", "reset_after"):
        bot.emulator.fail("prepare", kind)
        with pytest.raises(ConnectionResetError):
            bot.prepare()


@pytest.mark.parametrize("processed", [False, True])
def test_close_is_orderly_and_without_a_reply(bot: Bot, processed: bool) -> None:
    url = part_url(bot)
    bot.emulator.fail("put", "close", processed=processed)
    assert raw_request(bot, url, CONTENT) == b""
    assert arrived(bot) is processed


def test_kept_alive_connection_may_be_closed_without_notice(bot: Bot) -> None:
    bot.emulator.fail("prepare", "close_after")
    answer = bot.prepare()
    assert answer.status == 200 and "Connection" not in answer.headers
    wait_for(lambda: bot.emulator.open_connections == 0)
    with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
        bot.prepare()


def test_reply_may_be_cut_in_its_body(bot: Bot) -> None:
    bot.emulator.fail("prepare", "cut_reply")
    with pytest.raises(http.client.IncompleteRead) as caught:
        bot.prepare()
    assert 0 < len(caught.value.partial) <= (caught.value.expected or 0) + 1


@pytest.mark.parametrize("where", ["headers", "body"])
def test_reply_without_a_body_is_cut_in_its_headers(bot: Bot, where: str) -> None:
    url = part_url(bot)
    bot.emulator.fail("put", "cut_reply", where=where)
    reply = raw_request(bot, url, CONTENT)
    assert reply.startswith(b"HTTP/1.1 200") and b"\r\n\r\n" not in reply
    assert arrived(bot)


def test_reply_may_be_cut_in_its_status_line(bot: Bot) -> None:
    bot.emulator.fail("prepare", "cut_reply", where="status")
    with pytest.raises(http.client.BadStatusLine):
        bot.prepare()


def test_cut_reply_may_go_unprocessed(bot: Bot) -> None:
    url = part_url(bot)
    bot.emulator.fail("put", "cut_reply", processed=False)
    assert raw_request(bot, url, CONTENT).endswith(b"\r\n\r\n" + b'{"cut": true}'[:6])
    assert not arrived(bot)


# Stalls


@pytest.mark.parametrize("processed", [False, True])
def test_silence_reads_all_and_never_answers(bot: Bot, processed: bool) -> None:
    url = part_url(bot, BIG)
    bot.emulator.fail("put", "silence", processed=processed)

    def body() -> Iterator[bytes]:
        yield BIG
        bot.connection.sock.settimeout(0.1)  # for the answer alone

    with pytest.raises(socket.timeout):
        bot.put(url, body(), Content_Length=str(len(BIG)))
    wait_for(lambda: bot.emulator.open_connections == 0)
    assert bot.emulator.requests[-1].received_bytes == len(BIG)
    assert arrived(bot, BIG) is processed


def test_stop_reading_leaves_the_sender_stuck(bot: Bot) -> None:
    url = part_url(bot, BIG)
    bot.emulator.fail("put", "stop_reading", at_bytes=100_000)
    bot.connection.timeout = 0.1
    bot.connection.close()
    with pytest.raises(socket.timeout):
        bot.put(url, BIG)
    bot.emulator.stop()
    assert bot.emulator.requests[-1].received_bytes == 100_000


def test_slow_server_reads_at_its_bandwidth(bot: Bot) -> None:
    url = part_url(bot, bytes(20_000))
    bot.emulator.fail("put", "slow", bandwidth=200_000)
    started = time.monotonic()
    assert bot.put(url, bytes(20_000)).status == 200
    assert 0.1 <= time.monotonic() - started < 3.0
    assert arrived(bot, bytes(20_000))


def test_dripping_reply_comes_byte_by_byte(bot: Bot) -> None:
    url = part_url(bot)
    bot.emulator.fail("put", "drip", delay=0.001)
    started = time.monotonic()
    answer = bot.put(url, CONTENT)
    assert answer.status == 200 and time.monotonic() - started >= 0.1


def received_of_endless(bot: Bot, kind: str, wanted: int, **options: Any) -> bytes:
    bot.emulator.fail("token", kind, **options)
    received = b""
    with socket.create_connection(address(bot.emulator), timeout=5) as sock:
        sock.sendall(b"POST /app/getAppAccessToken HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}")
        while len(received) < wanted:
            data = sock.recv(65536)
            if not data:
                break
            received += data
    wait_for(lambda: bot.emulator.open_connections == 1)  # that of the bot itself
    return received


def test_continue_may_come_for_ever(bot: Bot) -> None:
    received = received_of_endless(bot, "endless_continue", 1_000_000)
    line = b"HTTP/1.1 100 Continue\r\n\r\n"
    assert received.startswith(line * 1000)


def test_headers_may_come_for_ever_or_end(bot: Bot) -> None:
    received = received_of_endless(bot, "header_flood", 1_000_000)
    assert received.startswith(b"HTTP/1.1 200 OK\r\nX-Flood-0: x") and b"\r\n\r\n" not in received
    received = received_of_endless(bot, "header_flood", 1 << 30, size=100_000)
    assert received.endswith(b"\r\n\r\n{}") and 100_000 < len(received) < 150_000


def test_body_may_come_for_ever_or_be_huge(bot: Bot) -> None:
    received = received_of_endless(bot, "huge_body", 1_000_000, status=200, size=None)
    assert received.startswith(b"HTTP/1.1 200 OK") and b"Content-Length" not in received[:300]
    received = received_of_endless(bot, "huge_body", 1 << 30, size=300_000)
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400") and b"Content-Length: 300000" in head
    assert len(body) == 300_000 and body.startswith(b'{"message": "xxx')


# Replies that come too early


@pytest.mark.parametrize("kind, status", [("early_status", b"403"), ("early_200", b"200")])
def test_early_reply_comes_before_the_body_ended(bot: Bot, kind: str, status: bytes) -> None:
    url = part_url(bot, BIG)
    bot.emulator.fail("put", kind, at_bytes=1000)
    reply = raw_request(bot, url, BIG)
    assert reply.startswith(b"HTTP/1.1 " + status) and b"\r\nConnection: close\r\n" in reply
    assert bot.emulator.requests[-1].received_bytes == 1000
    assert not arrived(bot, BIG)


def test_early_reply_may_linger_for_the_rest_of_the_body(bot: Bot) -> None:
    url = part_url(bot, BIG)
    bot.emulator.fail("put", "early_status", status=500, body=b"no", linger=2.0)
    assert bot.put(url, BIG).body == b"no"


def test_stop_ends_a_linger(bot: Bot) -> None:
    bot.emulator.fail("put", "early_200", linger=30.0)
    stopper = threading.Timer(0.05, bot.emulator.stop)
    with socket.create_connection(address(bot.emulator), timeout=5) as sock:
        sock.sendall(b"PUT /robot_upload/1/u/part_1 HTTP/1.1\r\nContent-Length: 9\r\n\r\n")
        started = time.monotonic()
        stopper.start()
        while sock.recv(1000):
            pass
        stopper.join()
        wait_for(lambda: bot.emulator.open_connections == 0)
    assert time.monotonic() - started < 2
