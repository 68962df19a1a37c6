"""Bad manners: noted and let pass, as live does for all we know; refused by a strict emulator."""

from __future__ import annotations

import contextlib
import socket
from typing import Any, Dict, Iterator

import pytest

from tests.emulator.client import CONTENT, Bot, address, notes, serving, wait_for


@pytest.fixture
def bot() -> Iterator[Bot]:
    with serving(strict=False) as started:
        yield started


def manners(bot: Bot) -> Any:
    assert notes(bot) == []
    return bot.emulator.manners


def first_url(bot: Bot) -> str:
    return str(bot.prepare(CONTENT[:100]).json["parts"][0]["presigned_url"])


@pytest.mark.parametrize(
    "headers, note",
    [
        ({"Authorization": "QQBot {token}"}, "Authorization header sent to storage"),
        ({"Cookie": "session=1"}, "Cookie header sent to storage"),
        ({"Proxy_Authorization": "Basic eA=="}, "Proxy-Authorization header sent to storage"),
        ({"X_Custom": "{token}"}, "the bot's token or secret sent to storage"),
    ],
)
def test_credentials_on_storage_pass(bot: Bot, headers: Dict[str, str], note: str) -> None:
    plan = bot.prepare(CONTENT[:100]).json
    sent = {name: value.format(token=bot.token) for name, value in headers.items()}
    assert bot.put(plan["parts"][0]["presigned_url"], CONTENT[:100], **sent).status == 200
    assert bot.finish(plan, 1, CONTENT[:100]).status == 200
    assert bot.complete(plan).status == 200
    assert manners(bot) == [f"put part 1: {note}"]


def test_chunked_put_passes(bot: Bot) -> None:
    plan = bot.prepare(CONTENT[:100]).json
    chunks = iter([CONTENT[:7], CONTENT[7:99], CONTENT[99:100]])
    url = plan["parts"][0]["presigned_url"]
    assert bot.put(url, chunks, Transfer_Encoding="chunked").status == 200
    assert bot.emulator.requests[-1].received_bytes == 100
    assert bot.finish(plan, 1, CONTENT[:100]).status == 200
    assert bot.emulator.received(bot.complete(plan).json["file_info"]) == CONTENT[:100]
    assert manners(bot) == ["put part 1: chunked transfer"]
    assert bot.emulator.connections == 1


def test_chunked_api_call_passes(bot: Bot) -> None:
    headers = {
        "Authorization": f"QQBot {bot.token}", "Content-Type": "application/json",
        "Transfer-Encoding": "chunked"}
    body = iter([b'{"msg_type": 0, ', b'"content": "hello"}'])
    assert bot.request("POST", "/v2/users/U1/messages", body, headers).status == 200
    assert manners(bot) == ["message: chunked transfer"]


def test_chunked_body_may_have_extensions_and_trailers(bot: Bot) -> None:
    with socket.create_connection(address(bot.emulator), timeout=5) as sock:
        path = "/" + first_url(bot).split("/", 3)[3]
        sock.sendall(
            f"PUT {path} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
            + b"4;name=value\r\nabcd\r\n0\r\nX-Trailer: 1\r\n\r\n"
            + f"PUT {path} HTTP/1.1\r\nContent-Length: 1\r\n\r\nx".encode())
        wait_for(lambda: bot.emulator.count("put") == 2)
        wait_for(lambda: bot.emulator.requests[-1].status == 200)
    assert [r.received_bytes for r in bot.emulator.requests if r.stage == "put"] == [4, 1]


@pytest.mark.parametrize("framing", [
    b"z\r\nabcd\r\n", b"-4\r\nabcd\r\n", b"4\r\nabcdefgh\r\n", b"ffffffffff\r\n", b"\r\n",
    b"9\r\nabc",
])
def test_chunks_that_make_no_sense_end_the_connection(bot: Bot, framing: bytes) -> None:
    url = first_url(bot)
    with socket.create_connection(address(bot.emulator), timeout=5) as sock:
        path = "/" + url.split("/", 3)[3]
        sock.sendall(f"PUT {path} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        sock.sendall(framing)
        sock.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionError):
            assert sock.recv(1000) == b""


@pytest.mark.parametrize("file_type, name", [(1, "picture"), (2, "film"), (3, "voice")])
def test_name_without_extension_passes(bot: Bot, file_type: int, name: str) -> None:
    reply = bot.upload(file_type=file_type, file_name=name)
    assert bot.emulator.stored(reply["file_info"]).name == name
    assert manners(bot) == [f"prepare: file_name {name!r} has no extension"]
    assert bot.upload(file_type=4, file_name="Makefile")
    assert len(manners(bot)) == 1


@pytest.mark.parametrize("content", [CONTENT[:100], CONTENT])
def test_wrong_md5_10m_passes(bot: Bot, content: bytes) -> None:
    reply = bot.upload(content, md5_10m="0" * 32)
    assert bot.emulator.received(reply["file_info"]) == content
    (note,) = manners(bot)
    assert note.startswith("complete: md5_10m 000")


@pytest.mark.parametrize("changes", [
    {"file_type": 2}, {"file_type": "4"}, {"file_name": "b.bin"}, {"file_name": ""},
])
def test_other_words_at_complete_than_at_prepare_pass(bot: Bot, changes: Dict[str, Any]) -> None:
    plan = bot.prepare().json
    bot.send_parts(plan)
    file_info = bot.complete(plan, **changes).json["file_info"]
    assert bot.emulator.stored(file_info).name == "a.bin"
    assert len(manners(bot)) == 1 and "not the one prepared" in manners(bot)[0]


def test_block_size_at_finish_that_is_not_the_parts_passes(bot: Bot) -> None:
    plan = bot.prepare().json
    bot.put(plan["parts"][0]["presigned_url"], CONTENT[:100])
    assert bot.finish(plan, 1, CONTENT[:100], block_size="320").status == 200
    assert manners(bot) == ["finish part 1: block_size '320' is not part 1's, 100"]


@pytest.mark.parametrize("file_type, again", [(4, (400, 850019, 40034002)), (1, (200, None, None))])
def test_put_to_a_completed_upload_passes_and_spoils_it_unless_an_image(
    bot: Bot, file_type: int, again: Any
) -> None:
    bot.emulator.behaviour.complete_repeatable = True
    plan = bot.prepare(file_type=file_type, file_name="a.png").json
    bot.send_parts(plan)
    file_info = bot.complete(plan).json["file_info"]
    assert bot.put(plan["parts"][0]["presigned_url"], bytes(100)).status == 200
    assert bot.emulator.manners == ["put part 1: PUT to an upload that was completed"]
    assert bot.complete(plan).codes == again
    assert bot.emulator.received(file_info) == CONTENT


def test_put_to_a_completed_upload_is_refused_by_a_strict_emulator() -> None:
    with serving() as bot:
        plan = bot.prepare().json
        bot.send_parts(plan)
        assert bot.complete(plan).status == 200
        assert bot.put(plan["parts"][0]["presigned_url"], bytes(100)).status == 403
        assert notes(bot) == ["put part 1: PUT to an upload that was completed"]
        assert bot.emulator.manners == []


def test_manners_stand_on_the_request_too(bot: Bot) -> None:
    bot.put(first_url(bot), CONTENT[:100], Cookie="a=b", Authorization="Basic eA==")
    request = bot.emulator.requests[-1]
    assert request.manners == (
        "Authorization header sent to storage", "Cookie header sent to storage")
    assert request.note is None


def test_strictness_can_be_changed_while_it_runs(bot: Bot) -> None:
    bot.emulator.behaviour.strict = True
    assert bot.put(first_url(bot), CONTENT[:100], Cookie="a=b").status == 400
    assert bot.emulator.manners == [] and len(notes(bot)) == 1
