"""What the platform, its storage and its gateway answer, as values ready to be sent."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from http import HTTPStatus
from typing import Dict, NamedTuple, Optional, Tuple


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


class _Known(NamedTuple):
    message: str
    status: int = 400
    err_code: Optional[int] = None  # None: the reply has no err_code
    traced: bool = False  # whether the body has a trace_id


_KNOWN: Dict[int, _Known] = {
    10000: _Known("请求参数错误", err_code=40011000),
    11241: _Known("Authorization请求头缺失", 401, 40011027),
    11244: _Known("AccessToken无效或过期", 401, 40011027),
    11255: _Known("请求的资源不存在(用户/群已注销)", err_code=40011028, traced=True),
    11281: _Known("check token system error", 500, 11281, True),
    22009: _Known("msg limit exceed", 429, 22009, True),
    304023: _Known("push message is waiting for audit now", 202, 304023),
    304024: _Known("push message is waiting for audit now", 202, 304024),
    304080: _Known("富媒体file_info已过期或不存在", err_code=304080, traced=True),
    40034005: _Known("消息被回复超时", err_code=40034005, traced=True),
    40054005: _Known("Message deduplicated, please check msgseq in request", err_code=40054005),
    40093001: _Known("文件上传失败，请重试", err_code=40093001, traced=True),
    40093002: _Known("超过当天发送文件容量上限", err_code=40093002),
    40093010: _Known("上传url非法", err_code=40093010, traced=True),
    850012: _Known("call inner proxy error", 500),
    850018: _Known("机器人已被禁言", err_code=850018, traced=True),
    850019: _Known("富媒体文件格式不支持", err_code=40034002),
    850026: _Known("富媒体文件下载失败", err_code=850026, traced=True),
    850031: _Known("富媒体文件大小超过限制", err_code=850031, traced=True),
    100001: _Known("too many requests", 200),
    100002: _Known("request parameter invalid", 200),
    100007: _Known("appid invalid", 200),
    100016: _Known("invalid appid or secret", 200),
}


def new_trace_id() -> str:
    return uuid.uuid4().hex


def json_reply(
    value: object, status: int = 200, *, code: Optional[int] = None, trace_id: Optional[str] = None
) -> Reply:
    """Any JSON value as a reply of the API, with the trace id in its header."""
    headers = (
        ("Content-Type", "application/json; charset=utf-8"),
        ("X-Tps-trace-ID", trace_id or new_trace_id()),
    )
    return Reply(status, json.dumps(value, ensure_ascii=False).encode("utf-8"), headers, code)


def error_reply(
    code: object,
    *,
    err_code: object = "known",
    status: Optional[int] = None,
    message: Optional[str] = None,
    trace: Optional[bool] = None,
    headers: Tuple[Tuple[str, str], ...] = (),
) -> Reply:
    """A business error as the live platform words it.

    :param code: the number, or any other value to send in its place; None leaves the field out.
    :param err_code: likewise; by default what the platform sends beside ``code``.
    :param status: HTTP status; by default the one known for ``code``, else 400.
    :param message: by default the one known for ``code``.
    :param trace: whether the body names the trace id too.
    """
    number = code if isinstance(code, int) else None
    known = _KNOWN.get(number or 0)
    if known is None:
        known = _Known("emulated error", 400, number, True)
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
    reply = json_reply(body, status or known.status, code=number, trace_id=trace_id)
    return Reply(reply.status, reply.body, reply.headers + headers, reply.code)


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


def gateway_page(status: int, headers: Tuple[Tuple[str, str], ...] = ()) -> Reply:
    """The HTML page of the gateway in front of the API: no JSON, no trace id."""
    phrase = _phrase(status)
    body = (
        f"<html>\n<head><title>{status} {phrase}</title></head>\n<body>\n"
        f"<center><h1>{status} {phrase}</h1></center>\n<hr><center>stgw</center>\n"
        "</body>\n</html>\n"
    )
    return Reply(status, body.encode(), (("Content-Type", "text/html"), *headers))
