"""What a request is about, told from its path and its JSON body."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from http.client import HTTPMessage
from typing import Dict, List, Optional
from urllib.parse import unquote

_API = re.compile(r"/v2/(users|groups)/([^/]+)/(upload_prepare|upload_part_finish|files|messages)")
_STORAGE = re.compile(r"/robot_upload/[^/]+/(?P<upload>[^/]+)/part_(?P<part>\d+)")
_STAGES = {"upload_prepare": "prepare", "upload_part_finish": "finish", "messages": "message"}
# Calls which the platform has beside those for files and messages: sign-on, channels, recall, the
# members of a group, menus.
_OTHER = re.compile(
    r"/(gateway|users|guilds|channels|dms|interactions)(/.*)?"
    r"|/v2/(menu|panels|media-images)(/.*)?"
    r"|/v2/groups/join_approval_strategy(/.*)?"
    r"|/v2/(users|groups)/[^/]+/(messages/.+|stream_messages)"
    r"|/v2/groups/[^/]+/(info|bot_state|members|member_blacklist|restrict_chat_setting"
    r"|join_request_list|approval_join_request/.+)"
)


@dataclass
class Call:
    """A request, taken apart."""

    method: str
    path: str
    headers: HTTPMessage
    #: One of ``journal.STAGES``; ``"raw_url"`` for the GET of an uploaded file, ``"other"`` for
    #: another call of the platform's, ``"unknown"`` for what the platform does not have.
    stage: str = "unknown"
    scene: str = ""
    target: str = ""
    #: The JSON body as it came.
    body: object = None
    #: Its fields if it is an object, without those that are null: these count as absent.
    fields: Dict[str, object] = field(default_factory=dict)
    part_index: Optional[int] = None
    upload_id: Optional[str] = None
    #: What is wrong with it, in words.
    note: Optional[str] = None
    #: What is bad manners about it, in words.
    manners: List[str] = field(default_factory=list)

    @property
    def length(self) -> Optional[int]:
        """Bytes of the body as announced; None if the header is missing or no number."""
        given = self.headers.get("Content-Length", "")
        return int(given) if given.isdecimal() and len(given) < 20 else None

    @property
    def chunked(self) -> bool:
        """Whether the body comes in chunks, its length untold."""
        return bool(self.headers.get("Transfer-Encoding", "").strip().lower() == "chunked")

    def named(self, note: str) -> str:
        """Put the stage and part before a remark."""
        part = "" if self.part_index is None else f" part {self.part_index}"
        return f"{self.stage}{part}: {note}"


def read_path(method: str, path: str, headers: HTTPMessage) -> Call:
    """Tell from method and path what a request is about; ``/files`` is told by its body later."""
    call = Call(method, path, headers)
    bare = path.partition("?")[0]
    api = _API.fullmatch(bare) if method == "POST" else None
    if bare.startswith("/robot_upload/"):
        call.stage = "raw_url" if method == "GET" else "put"
        found = _STORAGE.fullmatch(unquote(bare))
        if found and len(found["part"]) < 20:
            call.upload_id, call.part_index = found["upload"], int(found["part"])
    elif method == "POST" and bare == "/app/getAppAccessToken":
        call.stage = "token"
    elif api:
        call.scene, call.target = api[1], unquote(api[2])
        call.stage = _STAGES.get(api[3], "complete")
    elif _OTHER.fullmatch(bare):
        call.stage = "other"
    return call


def read_json(call: Call, content: bytes) -> None:
    """Parse the body of an API call, and tell complete from by-URL."""
    try:
        call.body = json.loads(content)
    except (ValueError, RecursionError):
        call.body = None
    if isinstance(call.body, dict):
        call.fields = {name: value for name, value in call.body.items() if value is not None}
    if call.stage == "complete" and "upload_id" not in call.fields:
        call.stage = "url"
    if call.stage in ("finish", "complete"):
        upload_id, index = call.fields.get("upload_id"), call.fields.get("part_index")
        call.upload_id = upload_id if isinstance(upload_id, str) else None
        call.part_index = index if isinstance(index, int) else None
