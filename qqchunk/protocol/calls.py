"""The platform's calls: bodies out, replies in. Pure: no socket, file, clock or thread.

An upload is four kinds of call: *prepare* gives an upload id and a URL per part, each part is
*put* to storage and *finished* with the API, *complete* turns them into a ``file_info``. A
*message* carries that to a chat.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Optional, Tuple

from .plan import Part, UploadPlan
from .replies import bad_reply, read_number, read_text, unwrap
from .values import Call, ChatType, FileType, Json, Reply, Secret, chat_path

TOKEN_LIFE = 7200.0  # seconds, as documented


@dataclass(frozen=True)
class Upload:
    """One file on its way to one chat: the bodies of its calls."""

    chat_type: ChatType
    target_id: str
    file_type: FileType
    file_name: str
    file_size: int

    def prepare(self, md5: str, sha1: str, md5_10m: str) -> Call:
        """Ask for an upload id and part URLs; the digests in lower-case hex."""
        return self._call("prepare", "upload_prepare", {
            "file_type": int(self.file_type),
            "file_size": str(self.file_size),  # documented as text
            "file_name": self.file_name,
            "md5": md5,
            "sha1": sha1,
            "md5_10m": md5_10m,
        })

    def finish(self, plan: UploadPlan, part: Part, md5: str) -> Call:
        """Say that *part* is at storage; *md5* of the bytes that were sent."""
        return self._call("finish", "upload_part_finish", {
            "upload_id": plan.upload_id,
            "part_index": part.index,
            "block_size": str(part.size),
            "md5": md5,
        })

    def complete(self, plan: UploadPlan) -> Call:
        """Ask for the ``file_info`` of the whole."""
        return self._call("complete", "files", {
            "file_type": int(self.file_type),
            "srv_send_msg": False,  # true would post a message with every repeat
            "file_name": self.file_name,
            "upload_id": plan.upload_id,
        }, slow=True)

    def _call(self, stage: str, name: str, body: Json, slow: bool = False) -> Call:
        path = f"{chat_path(self.chat_type, self.target_id)}/{name}"
        return Call(stage, path, body, self.file_name, self.file_size, slow=slow)


def url_call(
    chat_type: ChatType,
    target_id: str,
    url: Secret,
    file_type: FileType,
    file_name: str,
) -> Call:
    """Ask the platform to download *url* itself; only files of type FILE carry a name."""
    body: Json = {"file_type": int(file_type), "url": url, "srv_send_msg": False}
    if file_type is FileType.FILE:
        body["file_name"] = file_name
    path = f"{chat_path(chat_type, target_id)}/files"
    return Call("url", path, body, file_name, slow=True)


def message_call(
    chat_type: ChatType,
    target_id: str,
    file_info: str,
    *,
    msg_seq: int,
    msg_id: Optional[str],
    event_id: Optional[str],
    content: Optional[str],
    file_name: Optional[str],
    file_size: Optional[int],
) -> Call:
    """Send a file that the platform has to a chat.

    :param msg_seq: the same for every repeat, so that the platform can tell a repeat
    :param msg_id: the message this is a reply to
    :param event_id: or the event; with neither, a call without an answer is not repeatable
    """
    body: Dict[str, Any] = {
        "msg_type": 7,
        "media": {"file_info": Secret(file_info)},
        "msg_seq": msg_seq,
    }
    for name, value in (("msg_id", msg_id), ("event_id", event_id), ("content", content)):
        if value is not None:
            body[name] = value
    return Call(
        "message", f"{chat_path(chat_type, target_id)}/messages", body, file_name, file_size,
        repeatable=bool(msg_id or event_id))


def token_call(app_id: str, client_secret: Secret) -> Call:
    """Ask for an access token; both values go as text, the platform refuses numbers."""
    return Call("token", "", {"appId": app_id, "clientSecret": client_secret})


def read_token(reply: Reply) -> Tuple[Secret, float]:
    """Return the access token and its life in seconds: the documented one if it names none.

    :raises ProtocolError: if there is no token
    """
    fields = unwrap(reply.fields, "access_token")
    token = read_text(fields.get("access_token"))
    if token is None or not token.isprintable() or not token.isascii():
        bad_reply(reply, "it has no access_token", "token")
    life = read_number(fields.get("expires_in"))
    return Secret(token), TOKEN_LIFE if life is None else max(0.0, life)
