"""What the inbox shows, as one JSON object: chats, files, uploads under way, requests, faults."""

from __future__ import annotations

import hashlib
import json
import time
from typing import Dict, List, Optional, Sequence

from .faults import FaultScript
from .files import StoredFile
from .inbox_files import shown_type
from .journal import Journal, Request
from .local_storage import StoredPart
from .messages import Message
from .service import Service
from .uploads import Upload, UploadPart

MOST_REQUESTS = 300
MOST_ARRIVALS = 200
_DONE_SHOWN = 4.0  # seconds for which an upload that has ended is still under way on the page
_QUIET_AFTER, _GONE_AFTER = 20.0, 600.0  # seconds without a call

_Json = Dict[str, object]


class InboxState:
    """Reads the emulator's state anew each time it is asked."""

    def __init__(self, service: Service, journal: Journal, script: FaultScript) -> None:
        self._service = service
        self._journal = journal
        self._script = script

    def current(self) -> _Json:
        """Give the state, under ``version`` a name for it that changes whenever it does."""
        requests = list(self._journal.requests)
        uploads = self._service.uploads.all()
        behaviour = self._service.behaviour
        state: _Json = {
            "app_id": behaviour.app_id,
            "quota": {"used": self._service.files.charged, "limit": behaviour.daily_quota},
            "arrivals": self._arrivals(uploads),
            "uploads": self._uploads(uploads, requests),
            "requests": [_request(request) for request in requests[:-MOST_REQUESTS - 1:-1]],
            "requests_total": len(requests),
            "faults": [
                {"id": number, "stage": fault.stage, "kind": fault.kind, "left": left}
                for number, fault, left in self._script.waiting()
            ],
        }
        text = json.dumps(state, sort_keys=True)
        state["version"] = hashlib.sha256(text.encode()).hexdigest()[:16]
        return state

    def file(self, file_id: str) -> Optional[StoredFile]:
        """Find the file that a link on the page stands for."""
        for file in self._service.files.all():
            if _file_id(file) == file_id:
                return file
        return None

    def _arrivals(self, uploads: Sequence[Upload]) -> List[_Json]:
        messages = self._service.messages.all()
        sent = {message.file.file_info for message in messages if message.file}
        targets = {upload.stored.file_info: upload.target for upload in uploads if upload.stored}
        arrivals = [_message(message) for message in messages]
        for file in self._service.files.all():
            if file.file_info not in sent:
                target = targets.get(file.file_info, "")
                arrivals.append({
                    "kind": "arrival", "id": f"file-{_file_id(file)}", "sent": False,
                    "scene": file.scene, "target": target, "at": file.at, "text": "",
                    "reply_to": "", "file": _file(file)})
        arrivals.sort(key=lambda arrival: float(str(arrival["at"])), reverse=True)
        return arrivals[:MOST_ARRIVALS]

    def _uploads(self, uploads: Sequence[Upload], requests: Sequence[Request]) -> List[_Json]:
        calls: Dict[str, List[Request]] = {upload.id: [] for upload in uploads}
        for request in requests:
            if request.upload_id in calls:
                calls[request.upload_id].append(request)
        now, wall = time.monotonic(), time.time()
        newest = {_subject(upload): upload for upload in uploads}
        shown = []
        for upload in reversed(uploads):
            latest = [upload.started]
            for call in calls[upload.id]:
                # One under way counts as of now: a slow PUT is a sign of life.
                latest.append(now if call.seconds is None else call.at + call.seconds)
            quiet = now - max(latest)
            done = upload.stored is not None
            renewed = newest[_subject(upload)] is not upload
            if quiet > (_DONE_SHOWN if done or renewed else _GONE_AFTER):
                continue
            parts = [self._part(upload, part, calls[upload.id]) for part in upload.parts.values()]
            shown.append({
                "id": upload.id, "scene": upload.scene, "target": upload.target,
                "name": upload.name, "size": upload.digests.size, "parts": parts,
                "at": round(wall - now + upload.started, 1),
                "state": "done" if done else "renewed" if renewed
                else "quiet" if quiet > _QUIET_AFTER else "open",
            })
        return shown

    def _part(self, upload: Upload, part: UploadPart, calls: Sequence[Request]) -> _Json:
        index, size = part.plan.index, part.plan.size
        own = [call for call in calls if call.part_index == index]
        stored = self._service.local_storage.part(upload.id, index)
        return {
            "index": index,
            "size": size,
            "sent": size if part.finished or stored is None else stored.received,
            "puts": sum(call.stage == "put" for call in own),
            "state": "confirmed" if part.finished else _part_state(own, stored),
        }


def _part_state(calls: Sequence[Request], stored: Optional[StoredPart]) -> str:
    """Say how far a part is that is not confirmed, by the latest call about it."""
    if not calls:
        return "prepared"
    latest = calls[-1]
    if latest.stage != "put":
        return "busy" if latest.code == 40093001 else "confirming"
    if latest.seconds is None:
        return "again" if sum(call.stage == "put" for call in calls) > 1 else "sending"
    return "sent" if stored is not None and stored.body is not None else "again"


def _subject(upload: Upload) -> object:
    return upload.scene, upload.target, upload.digests


def _file_id(file: StoredFile) -> str:
    return hashlib.sha256(file.file_info.encode()).hexdigest()[:24]


def _file(file: StoredFile) -> _Json:
    media_type = shown_type(file)
    return {
        "name": file.name,
        "size": file.digests.size,
        "type": file.file_type,
        "md5": file.digests.md5,
        "shown": media_type.partition("/")[0] if media_type else None,
        "url": None if file.chunks is None else f"/inbox/files/{_file_id(file)}",
    }


def _message(message: Message) -> _Json:
    body = message.body
    markdown = body.get("markdown")
    text = body.get("content") or (markdown.get("content") if isinstance(markdown, dict) else "")
    return {
        "kind": "arrival",
        "id": message.id,
        "sent": True,
        "scene": message.scene,
        "target": message.target,
        "at": message.at,
        "text": str(text or ""),
        "reply_to": str(body.get("msg_id") or body.get("event_id") or ""),
        "file": _file(message.file) if message.file else None,
    }


def _request(request: Request) -> _Json:
    return {
        "id": f"{request.connection}-{request.at}",
        "at": round(time.time() - time.monotonic() + request.at),
        "stage": request.stage,
        "method": request.method,
        "path": request.path.partition("?")[0],
        "what": _what(request),
        "status": request.status,
        "code": request.code,
        "open": request.seconds is None,
        "ms": None if request.seconds is None else round(1000 * request.seconds),
        "fault": request.fault,
        "note": request.note,
        "manners": list(request.manners),
    }


def _what(request: Request) -> str:
    body = request.body if isinstance(request.body, dict) else {}
    if request.part_index is not None:
        return f"part {request.part_index}"
    if request.stage in ("other", "unknown"):
        return f"{request.method} {request.path.partition('?')[0]}"
    return str(body.get("file_name") or body.get("content") or "")
