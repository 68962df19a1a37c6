"""What ``qqchunk emulator`` says of each call: one line, and one more for each message."""

from __future__ import annotations

import time
from typing import Callable, Mapping, Optional

from .. import format_size
from ..emulator import Request

MOST_SHOWN = 60  # characters of a text


class CallLog:
    """Writes a line for each call that is over, and one for each message taken.

    :param write: takes a line
    """

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write

    def __call__(self, request: Request) -> None:
        if request.seconds is None:
            return
        clock = time.strftime("%H:%M:%S")
        self._write(f"{clock}  {request.stage:<8}  {_subject(request)}  {_outcome(request)}")
        if request.stage == "message" and request.status in (200, 201, 202):
            self._write(f"{clock}  {_message(request)}")


def _subject(request: Request) -> str:
    body = request.body if isinstance(request.body, Mapping) else {}
    if request.part_index is not None:
        size = f", {format_size(request.received_bytes)}" if request.stage == "put" else ""
        return f"part {request.part_index}{size}"
    if request.stage == "prepare":
        size = str(body.get("file_size"))
        shown_size = format_size(int(size)) if size.isdigit() and len(size) < 20 else "?"
        return f"{_shown(body.get('file_name'))}, {shown_size}"
    if request.stage == "unknown":
        return f"{request.method} {_shown(request.path.partition('?')[0])}"
    return _shown(body.get("file_name")) if body.get("file_name") else "-"


def _outcome(request: Request) -> str:
    answer = "no answer" if request.status is None else str(request.status)
    code = f", code {request.code}" if request.code else ""
    fault = f" (fault: {request.fault})" if request.fault else ""
    note = f": {_shown(request.note)}" if request.note else ""
    manners = f" (bad manners: {_shown('; '.join(request.manners))})" if request.manners else ""
    return f"{answer}{code}{fault}{note}{manners}, {1000 * (request.seconds or 0):.0f} ms"


def _message(request: Request) -> str:
    body = request.body if isinstance(request.body, Mapping) else {}
    chat = request.path.partition("?")[0].rpartition("/")[0].replace("/v2/", "", 1)
    words = f"{_shown(body.get('content'))!r}" if body.get("content") else "no text"
    media = "a file" if body.get("media") else "no file"
    anchor: Optional[object] = body.get("msg_id") or body.get("event_id")
    answers = f", answers {_shown(anchor)}" if anchor else ""
    return f"message for {_shown(chat)}: {words}, {media}{answers}"


def _shown(text: object) -> str:
    """Return text from outside so that it stays on its line and does not steer a terminal."""
    whole = "".join(c if c.isprintable() else "\ufffd" for c in str(text))
    return whole if len(whole) <= MOST_SHOWN else whole[:MOST_SHOWN - 1] + "…"
