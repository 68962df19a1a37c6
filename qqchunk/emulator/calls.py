"""What a request is about, told from its path and its JSON body."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from http.client import HTTPMessage
from typing import Optional
from urllib.parse import unquote

_API = re.compile(r"/v2/(users|groups)/([^/]+)/(upload_prepare|upload_part_finish|files|messages)")
_STORAGE = re.compile(r"/robot_upload/[^/]+/(?P<upload>[^/]+)/part_(?P<part>\d+)")
_STAGES = {"upload_prepare": "prepare", "upload_part_finish": "finish", "messages": "message"}


@dataclass
class Call:
    """A request, taken apart."""

    method: str
    path: str
    headers: HTTPMessage
    stage: str = "unknown"
    scene: str = ""
    target: str = ""
    body: object = None
    part_index: Optional[int] = None
    upload_id: Optional[str] = None
    #: What is wrong with it, in words.
    note: Optional[str] = None


def read_path(method: str, path: str, headers: HTTPMessage) -> Call:
    """Tell from method and path what a request is about; ``/files`` is told by its body later."""
    call = Call(method, path, headers)
    bare = path.partition("?")[0]
    if bare.startswith("/robot_upload/"):
        call.stage = "put"
        found = _STORAGE.fullmatch(unquote(bare))
        if found and len(found["part"]) < 20:
            call.upload_id, call.part_index = found["upload"], int(found["part"])
    elif method == "POST" and bare == "/app/getAppAccessToken":
        call.stage = "token"
    elif method == "POST":
        match = _API.fullmatch(bare)
        if match:
            call.scene, call.target = match[1], unquote(match[2])
            call.stage = _STAGES.get(match[3], "complete")
    return call


def read_json(call: Call, content: bytes) -> None:
    """Parse the body of an API call, and tell complete from by-URL."""
    try:
        call.body = json.loads(content)
    except (ValueError, RecursionError):
        call.body = None
    fields = call.body if isinstance(call.body, dict) else {}
    if call.stage == "complete" and "upload_id" not in fields:
        call.stage = "url"
    if call.stage in ("finish", "complete"):
        upload_id, index = fields.get("upload_id"), fields.get("part_index")
        call.upload_id = upload_id if isinstance(upload_id, str) else None
        call.part_index = index if isinstance(index, int) else None
