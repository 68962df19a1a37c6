"""How the platform words its business errors."""

from __future__ import annotations

from typing import Dict, NamedTuple, Optional


class Known(NamedTuple):
    """What comes with a code."""

    message: str
    status: int = 400
    #: None: the body has no ``err_code``.
    err_code: Optional[int] = None
    #: Whether the body has a ``trace_id``.
    traced: bool = False


def _same(code: int, message: str, status: int = 400) -> Known:
    return Known(message, status, code, True)


KNOWN: Dict[int, Known] = {
    10000: Known("请求参数错误", err_code=40011000),
    # The token and the bot.
    11241: Known("Authorization请求头缺失", 401, 40011027),
    11243: Known("AccessToken错误", 401, 40011027),
    11244: Known("AccessToken无效或过期", 401, 40011027),
    11255: Known("请求的资源不存在(用户/群已注销)", err_code=40011028, traced=True),
    11281: _same(11281, "check token system error", 500),
    11298: Known("接口访问源IP不在白名单", 401, 40023002, True),
    100001: Known("too many requests", 200),
    100002: Known("request parameter invalid", 200),
    100007: Known("appid invalid", 200),
    100016: Known("invalid appid or secret", 200),
    22009: _same(22009, "msg limit exceed", 429),
    # Files.
    40034004: _same(40034004, "富媒体文件转存失败"),
    40093001: _same(40093001, "文件上传失败，请重试"),
    40093002: Known("超过当天发送文件容量上限", err_code=40093002),
    40093010: _same(40093010, "上传url非法"),
    850012: Known("call inner proxy error", 500),
    850018: _same(850018, "机器人已被禁言"),
    850019: Known("富媒体文件格式不支持", err_code=40034002),
    850026: Known("富媒体文件下载失败", err_code=40034001, traced=True),
    850027: _same(850027, "请求超时"),
    850031: _same(850031, "富媒体文件大小超过限制"),
    # Messages.
    304023: Known("push message is waiting for audit now", 202, 304023),
    304024: Known("push message is waiting for audit now", 202, 304024),
    304080: _same(304080, "富媒体file_info已过期或不存在"),
    304082: _same(304082, "富媒体文件转换失败"),
    40034006: _same(40034006, "消息内容非法"),
    40034032: _same(40034032, "富媒体file_info非法"),
    40034105: _same(40034105, "无主动消息权限"),
    40054005: Known("Message deduplicated, please check msgseq in request", err_code=40054005),
    # The message that is replied to.
    40034005: _same(40034005, "被动回复消息超时"),
    40034024: _same(40034024, "被动回复的msg_id非法"),
    40034128: _same(40034128, "被动回复次数超过限制"),
    304103: _same(304103, "被动回复的事件已过期"),
}
_BY_ERR_CODE = {known.err_code: code for code, known in KNOWN.items() if known.err_code}


def known_by(code: object, err_code: object) -> Known:
    """Find what comes with a code, or with an ``err_code`` that stands alone."""
    number = code if isinstance(code, int) else None
    if number is None and isinstance(err_code, int):
        number = err_code if err_code in KNOWN else _BY_ERR_CODE.get(err_code)
    return KNOWN.get(number or 0) or Known(
        "emulated error", 400, code if isinstance(code, int) else None, True)
