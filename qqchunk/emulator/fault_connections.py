"""The faults that break, stall or flood a connection."""

from __future__ import annotations

from typing import Callable, Dict, Tuple

from .exchange import Exchange
from .fault_replies import Options, number, scripted_reply, status_of
from .replies import Reply, json_reply


def _reset_before(exchange: Exchange, options: Options) -> None:
    exchange.reset()


def _reset_midway(exchange: Exchange, options: Options) -> None:
    exchange.read(int(number(options, "at_bytes", exchange.length // 2)))
    exchange.reset()


def _reset_unprocessed(exchange: Exchange, options: Options) -> None:
    exchange.read()
    exchange.reset()


def _reset_after(exchange: Exchange, options: Options) -> None:
    exchange.process()
    exchange.reset()


def _close(exchange: Exchange, options: Options) -> None:
    if options.get("processed", False):
        exchange.process()
    exchange.read()
    exchange.handler.close_connection = True


def _close_after(exchange: Exchange, options: Options) -> None:
    exchange.answer(exchange.process())
    exchange.handler.close_connection = True


def _cut_reply(exchange: Exchange, options: Options) -> None:
    reply = exchange.process() if options.get("processed", True) else json_reply({"cut": True})
    exchange.read()
    head = reply.head()
    where = options.get("where", "body")
    if where == "status":
        data = head[:head.index(b"\r\n") // 2]
    elif where == "body" and reply.body:
        data = head + reply.body[:len(reply.body) // 2]
    else:
        data = head[:len(head) // 2]
    exchange.record(None)
    exchange.send(data)
    exchange.handler.close_connection = True


def _silence(exchange: Exchange, options: Options) -> None:
    if options.get("processed", False):
        exchange.process()
    exchange.read()
    exchange.wait_until_gone()


def _stop_reading(exchange: Exchange, options: Options) -> None:
    exchange.read(int(number(options, "at_bytes", 65536)))
    exchange.wait_until_gone()


def _slow(exchange: Exchange, options: Options) -> None:
    exchange.read(bandwidth=number(options, "bandwidth", 100_000))
    exchange.answer(exchange.process())


def _drip(exchange: Exchange, options: Options) -> None:
    reply = exchange.process()
    delay = number(options, "delay", 0.01)
    exchange.record(reply)
    for byte in reply.head() + reply.body:
        exchange.stopping.wait(delay)
        exchange.send(bytes([byte]))


def _early_status(exchange: Exchange, options: Options) -> None:
    exchange.read(int(number(options, "at_bytes", 0)))
    exchange.answer(scripted_reply(exchange.call.stage, options, 403), close=True)
    exchange.close_early(number(options, "linger", 0.0))


def _early_200(exchange: Exchange, options: Options) -> None:
    exchange.read(int(number(options, "at_bytes", 0)))
    storage = exchange.call.stage == "put"
    reply = Reply(200, headers=(("ETag", '"emulated"'),)) if storage else json_reply({})
    exchange.answer(reply, close=True)
    exchange.close_early(number(options, "linger", 0.0))


def _huge_body(exchange: Exchange, options: Options) -> None:
    exchange.read()
    size = options.get("size", 100 << 20)
    left = None if size is None else int(number(options, "size", 100 << 20))
    headers: Tuple[Tuple[str, str], ...] = (("Content-Type", "application/json"),)
    if left is not None:
        headers += (("Content-Length", str(left)),)
    exchange.handler.close_connection = True
    reply = Reply(status_of(options, 400), headers=headers, sized=False)
    exchange.record(reply)
    exchange.send(reply.head(close=True))
    block = b'{"message": "' + b"x" * 65536
    while left is None or left > 0:
        piece = block if left is None else block[:left]
        exchange.send(piece)
        block = b"x" * 65536
        left = None if left is None else left - len(piece)


def _header_flood(exchange: Exchange, options: Options) -> None:
    exchange.read()
    size = options.get("size")
    left = None if size is None else number(options, "size", 0)
    exchange.handler.close_connection = True
    exchange.record(None)
    exchange.send(b"HTTP/1.1 200 OK\r\n")
    written = 0
    while left is None or left > 0:
        lines = b"".join(b"X-Flood-%d: %s\r\n" % (written + i, b"x" * 100) for i in range(100))
        exchange.send(lines)
        written += 100
        left = None if left is None else left - len(lines)
    exchange.send(b"Content-Length: 2\r\nConnection: close\r\n\r\n{}")


def _endless_continue(exchange: Exchange, options: Options) -> None:
    exchange.read()
    exchange.handler.close_connection = True
    exchange.record(None)
    delay = number(options, "delay", 0.0)
    lines = b"HTTP/1.1 100 Continue\r\n\r\n" * (1 if delay else 256)
    while not exchange.stopping.is_set():
        exchange.send(lines)
        exchange.stopping.wait(delay)


BROKEN_CONNECTIONS: Dict[str, Callable[[Exchange, Options], None]] = {
    "reset": _reset_midway,
    "reset_before": _reset_before,
    "reset_midway": _reset_midway,
    "reset_unprocessed": _reset_unprocessed,
    "reset_after": _reset_after,
    "close": _close,
    "close_after": _close_after,
    "cut_reply": _cut_reply,
    "silence": _silence,
    "stop_reading": _stop_reading,
    "slow": _slow,
    "drip": _drip,
    "early_status": _early_status,
    "early_200": _early_200,
    "huge_body": _huge_body,
    "header_flood": _header_flood,
    "endless_continue": _endless_continue,
}
