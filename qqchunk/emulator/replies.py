"""What the platform, its storage and its gateway answer, as values ready to be sent."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Dict, Optional, Tuple

from .error_codes import known_by


@dataclass(frozen=True)
class Reply:
    """One HTTP reply."""

    status: int
    body: bytes = b""
    headers: Tuple[Tuple[str, str], ...] = ()
    #: The business code in the body, None if it carries none.
    code: Optional[int] = None
    #: False for a body that has no end, or whose length ``headers`` tell.
    sized: bool = True

    def head(self, *, close: bool = False) -> bytes:
        """The status line and headers, with the blank line that ends them."""
        lines = [f"HTTP/1.1 {self.status} {_phrase(self.status)}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        if self.sized and self.status not in (204, 304):
            lines.append(f"Content-Length: {len(self.body)}")
        if close:
            lines.append("Connection: close")
        return "\r\n".join(lines + ["", ""]).encode("latin-1")


def _phrase(status: int) -> str:
    if status == 413:
        return "Request Entity Too Large"  # the gateway's words; Python 3.13 has newer ones
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Status"


class Refused(Exception):
    """Raised inside the emulator where the platform would refuse a request.

    :param reply: what the client gets.
    :param note: the breach of contract for ``Emulator.refusals``; None if there was none.
    """

    def __init__(self, reply: Reply, note: Optional[str] = None) -> None:
        super().__init__(note)
        self.reply = reply
        self.note = note


def new_trace_id() -> str:
    return uuid.uuid4().hex


def json_reply(
    value: object, status: int = 200, *, code: Optional[int] = None, trace_id: Optional[str] = None
) -> Reply:
    """Any JSON value as a reply of the API, with the trace id in its header."""
    headers = (
        ("Content-Type", "application/json"),
        ("X-Tps-trace-ID", trace_id or new_trace_id()),
    )
    return Reply(status, _json(value), headers, code)


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8")


def error_reply(
    code: object,
    *,
    err_code: object = "known",
    status: Optional[int] = None,
    message: Optional[str] = None,
    trace: Optional[bool] = None,
    retry_after: object = None,
    headers: Tuple[Tuple[str, str], ...] = (),
) -> Reply:
    """A business error as the live platform words it.

    :param code: the number, or any other value to send in its place; None leaves the field out.
    :param err_code: likewise; by default what the platform sends beside ``code``.
    :param status: HTTP status; by default the one known for ``code``, else 400.
    :param message: by default the one known for ``code``.
    :param trace: whether the body names the trace id too.
    :param retry_after: seconds, named in the body.
    """
    number = code if isinstance(code, int) else None
    known = known_by(code, err_code)
    trace_id = new_trace_id()
    body: Dict[str, object] = {"message": known.message if message is None else message}
    if code is not None:
        body["code"] = code
    if err_code == "known":
        err_code = known.err_code
    if err_code is not None:
        body["err_code"] = err_code
    if known.traced if trace is None else trace:
        body["trace_id"] = trace_id
    if retry_after is not None:
        body["retry_after"] = retry_after
    reply = json_reply(body, status or known.status, code=number, trace_id=trace_id)
    return Reply(reply.status, reply.body, reply.headers + headers, reply.code)


def with_codes(reply: Reply, fields: str) -> Reply:
    """Leave ``code`` or ``err_code`` out of a business error.

    :param fields: ``"both"`` to leave it as it is, or the one that shall stay.
    """
    if fields == "both" or reply.code is None:
        return reply
    body: Dict[str, object] = json.loads(reply.body)
    other = "err_code" if fields == "code" else "code"
    if fields in body:
        body.pop(other, None)
    elif other in body:
        body[fields] = body.pop(other)
    return replace(reply, body=_json(body))


def bad_request(note: str) -> Refused:
    """The general refusal of a request that breaks the contract."""
    return Refused(error_reply(10000, message=f"请求参数错误: {note}"), note)


def storage_error(
    status: int, code: str, message: str, headers: Tuple[Tuple[str, str], ...] = ()
) -> Reply:
    """An error of the object storage: XML, without any business code."""
    body = (
        "<?xml version='1.0' encoding='utf-8' ?>\n"
        f"<Error><Code>{code}</Code><Message>{message}</Message><Resource>/robot_upload</Resource>"
        f"<RequestId>{new_trace_id()}</RequestId><TraceId>{new_trace_id()}</TraceId></Error>"
    )
    return Reply(status, body.encode(), (("Content-Type", "application/xml"), *headers))


def expired_url() -> Reply:
    return storage_error(403, "AccessDenied", "Request has expired")


def bad_signature() -> Reply:
    return storage_error(
        403, "SignatureDoesNotMatch", "The Signature you specified is invalid."
    )


def missing_object() -> Reply:
    return storage_error(404, "NoSuchKey", "The specified key does not exist.")


def gateway_page(status: int, headers: Tuple[Tuple[str, str], ...] = ()) -> Reply:
    """The HTML page of the gateway in front of the API: no JSON, no trace id."""
    phrase = _phrase(status)
    body = (
        f"<html>\n<head><title>{status} {phrase}</title></head>\n<body>\n"
        f"<center><h1>{status} {phrase}</h1></center>\n<hr><center>stgw</center>\n"
        "</body>\n</html>\n"
    )
    return Reply(status, body.encode(), (("Content-Type", "text/html"), *headers))
