"""What each kind of fault does to a request and its reply."""

from __future__ import annotations

import json
from typing import Any, Callable, Dict

from .exchange import Exchange
from .fault_connections import BROKEN_CONNECTIONS
from .fault_replies import Options, headers_of, number, scripted_reply, status_of
from .faults import CODES, STORAGE_ERRORS, Fault
from .replies import (
    Reply, bad_signature, error_reply, expired_url, gateway_page, json_reply, storage_error,
)


def apply_fault(fault: Fault, exchange: Exchange) -> None:
    """Handle the exchange the way the fault's kind says."""
    if fault.kind in CODES:
        _code(exchange, {"code": CODES[fault.kind], **fault.options})
    elif fault.kind in STORAGE_ERRORS:
        exchange.read()
        status, code = STORAGE_ERRORS[fault.kind]
        exchange.answer(storage_error(status, code, "emulated", headers_of(fault.options)))
    else:
        _ACTIONS[fault.kind](exchange, fault.options)


def _status(exchange: Exchange, options: Options) -> None:
    exchange.read()
    exchange.answer(scripted_reply(exchange.call.stage, options, 500))


def _code(exchange: Exchange, options: Options) -> None:
    exchange.read()
    # Of the right types: they were checked when the fault was made.
    given: Dict[str, Any] = {
        k: options[k] for k in ("err_code", "status", "message", "trace") if k in options}
    reply = error_reply(
        options.get("code", 850012), headers=headers_of(options),
        retry_after=options.get("body_retry_after"), **given)
    exchange.answer(reply)


def _busy(exchange: Exchange, options: Options) -> None:
    exchange.read()
    exchange.answer(error_reply(40093001, status=status_of(options, 400)))


def _audit(exchange: Exchange, options: Options) -> None:
    reply = exchange.process()
    if reply.status == 200:
        code = int(number(options, "code", 304023))
        body = json.loads(error_reply(code).body)
        body["data"] = {"message_audit": {"audit_id": "emulated-audit"}}
        reply = json_reply(body, status_of(options, 202), code=code)
    exchange.answer(reply)


def _expired_token(exchange: Exchange, options: Options) -> None:
    exchange.service.tokens.expire()
    exchange.answer(exchange.process())


def _expired_url(exchange: Exchange, options: Options) -> None:
    exchange.read()
    exchange.service.local_storage.expire_url(exchange.call)
    exchange.answer(expired_url())


def _bad_signature(exchange: Exchange, options: Options) -> None:
    exchange.read()
    exchange.answer(bad_signature())


def _instead(exchange: Exchange, options: Options, reply: Reply, processed: bool) -> None:
    if options.get("processed", processed):
        exchange.process()
    exchange.read()
    exchange.answer(reply)


def _html_200(exchange: Exchange, options: Options) -> None:
    _instead(exchange, options, gateway_page(200), False)


def _empty_body(exchange: Exchange, options: Options) -> None:
    _instead(exchange, options, Reply(status_of(options, 200)), True)


def _wrong_shape(exchange: Exchange, options: Options) -> None:
    reply = json_reply(options.get("body", []), status_of(options, 200))
    _instead(exchange, options, reply, False)


_ACTIONS: Dict[str, Callable[[Exchange, Options], None]] = {
    "status": _status,
    "code": _code,
    "busy": _busy,
    "audit": _audit,
    "expired_url": _expired_url,
    "bad_signature": _bad_signature,
    "html_200": _html_200,
    "empty_body": _empty_body,
    "wrong_shape": _wrong_shape,
    "expired_token": _expired_token,
    **BROKEN_CONNECTIONS,
}
