"""Uploads in parts: prepare, the parts' arrival and confirmation, complete."""

from __future__ import annotations

import secrets
import threading
import time
from dataclasses import dataclass, field
from typing import Dict, List, Optional
from urllib.parse import quote

from . import fields as wanted
from .behaviour import Behaviour, as_size
from .digests import Bytes, Digests, digest
from .files import FileRegistry, StoredFile
from .plan import PlannedPart, confirmed_at_once, cut, plan_fields
from .replies import Refused, Reply, bad_request, error_reply, expired_url, json_reply
from .signing import Signer


@dataclass
class Upload:
    """One upload between its prepare and its complete."""

    id: str
    scene: str
    target: str
    file_type: int
    name: str
    digests: Digests
    parts: Dict[int, PlannedPart]
    urls_end: float
    #: How many parts may be in confirmation, if that is looked at.
    concurrency: int
    started: float = field(default_factory=time.monotonic)
    lock: threading.Lock = field(default_factory=threading.Lock)
    #: The file of the same content that is here already; such an upload has no parts.
    known: Optional[StoredFile] = None
    #: The successful reply to complete; None until then.
    success: Optional[Reply] = None
    #: Whether that reply went out whole.
    delivered: bool = False

    def next_to_confirm(self) -> List[int]:
        """Numbers of the lowest unconfirmed parts, as many as may be in confirmation."""
        left = sorted(index for index, part in self.parts.items() if not part.finished)
        return left[:self.concurrency]


class UploadService:
    """Answers the calls about uploads in parts."""

    def __init__(self, behaviour: Behaviour, files: FileRegistry, signer: Signer) -> None:
        self._behaviour = behaviour
        self._files = files
        self._signer = signer
        self._lock = threading.Lock()
        self._uploads: Dict[str, Upload] = {}
        #: Scheme, host and port of storage; known once the server listens.
        self.storage_url = ""

    def prepare(self, scene: str, target: str, body: Dict[str, object]) -> Reply:
        file_type, name, digests = wanted.prepare_fields(body)
        self._files.check(file_type, name, digests.size)
        behaviour = self._behaviour
        known = self._files.known(scene, digests) if behaviour.instant else None
        if known is None:
            self._files.charge(digests.size, "prepare")
        planned = [] if known else cut(digests.size, behaviour)
        now = time.monotonic()
        upload = Upload(
            id=f"upload_{time.time_ns()}_{secrets.randbelow(900_000) + 10_000}",
            scene=scene,
            target=target,
            file_type=file_type,
            name=name,
            digests=digests,
            parts={part.index: part for part in planned},
            urls_end=now + behaviour.url_ttl,
            concurrency=confirmed_at_once(behaviour),
            known=known,
        )
        urls = [self._sign("PUT", upload, part) for part in planned]
        fields = plan_fields(behaviour, upload.id, digests.size, planned, urls)
        if known and behaviour.instant is True:
            stored = self._files.again(known, file_type, name)
            fields.update(self._files.reply_fields(stored))
            return json_reply(behaviour.wrap(fields))
        with self._lock:
            oldest = now - behaviour.upload_ttl
            self._uploads = {k: v for k, v in self._uploads.items() if v.started > oldest}
            self._uploads[upload.id] = upload
        return json_reply(behaviour.wrap(fields))

    def _sign(self, method: str, upload: Upload, part: PlannedPart) -> str:
        app_id = quote(self._behaviour.app_id, safe="")
        path = f"/robot_upload/{app_id}/{upload.id}/part_{part.index}"
        return self._signer.sign(method, self.storage_url, path, self._behaviour.url_ttl)

    def destination(self, upload_id: str, part_index: int) -> PlannedPart:
        """Find the part a signed URL stands for; refused once the URL has expired."""
        with self._lock:
            upload = self._uploads.get(upload_id)
        part = upload.parts.get(part_index) if upload else None
        if upload is None or part is None or upload.urls_end <= time.monotonic():
            raise Refused(expired_url())
        return part

    def store(self, upload_id: str, part_index: int, body: Bytes, md5: str) -> Reply:
        """Keep a part that has arrived whole; a part sent again takes the old one's place."""
        with self._lock:
            upload = self._uploads.get(upload_id)
            if upload is not None and upload.success is None:
                part = upload.parts[part_index]
                part.body, part.md5 = body, md5
        headers = (("ETag", f'"{md5}"'), ("x-cos-request-id", secrets.token_hex(16)))
        return Reply(200, headers=headers)

    def finish(self, scene: str, target: str, body: Dict[str, object]) -> Reply:
        upload = self._find(scene, target, body)
        index = body.get("part_index")
        if isinstance(index, bool) or not isinstance(index, int):
            raise bad_request("part_index is missing or no int")
        part = upload.parts.get(index)
        if part is None:
            raise bad_request(f"part_index {index} is none of {sorted(upload.parts)}: renumbered")
        if as_size(body.get("block_size")) != part.size:
            given = body.get("block_size")
            raise bad_request(f"block_size {given!r} is not part {index}'s length, {part.size}")
        md5 = wanted.hex_digest(body, "md5", 32)
        with self._lock:
            if self._behaviour.ordered_finishes and not part.finished:
                due = upload.next_to_confirm()
                if index not in due:
                    raise bad_request(f"part {index} before {due}, the next to be confirmed")
            if part.finished and not self._behaviour.finish_repeatable:
                raise Refused(error_reply(10000, message=f"part {index} is finished already"))
            if part.md5 is None and upload.success is None:
                raise Refused(error_reply(40093001))
            if self._behaviour.part_md5_checked_at == "finish" and part.md5 != md5:
                raise bad_request(f"md5 of part {index} is not that of the bytes that came")
            if part.busy_answers < self._behaviour.busy_finishes:
                part.busy_answers += 1
                raise Refused(error_reply(40093001))
            part.finished = True
        return json_reply(self._behaviour.wrap({}))

    def complete(self, scene: str, target: str, body: Dict[str, object]) -> Reply:
        upload = self._find(scene, target, body)
        wanted.check_srv_send_msg(body)
        for name, value in (("file_type", upload.file_type), ("file_name", upload.name)):
            if name in body and (type(body[name]) is not type(value) or body[name] != value):
                raise bad_request(f"{name} {body[name]!r} is not the one prepared, {value!r}")
        with upload.lock:
            if upload.success is not None:
                return self._complete_again(upload)
            upload.success = self._merge(upload)
            return upload.success

    def _complete_again(self, upload: Upload) -> Reply:
        note = "complete again after its success was sent" if upload.delivered else None
        if upload.success is not None and self._behaviour.complete_repeatable:
            if note:
                raise Refused(upload.success, note)
            return upload.success
        raise Refused(error_reply(10000, message="the upload is completed already"), note)

    def _merge(self, upload: Upload) -> Reply:
        if upload.known:
            again = self._files.again(upload.known, upload.file_type, upload.name)
            return json_reply(self._behaviour.wrap(self._files.reply_fields(again)))
        chunks = []
        for part in upload.parts.values():
            if part.body is None or not part.finished:
                note = f"part {part.index} was not {'sent' if part.body is None else 'finished'}"
                raise Refused(error_reply(850019), note)
            chunks.append(part.body)
        came = digest(chunks)
        if came != upload.digests:
            note = f"the bytes that came are not the file announced: {came} for {upload.digests}"
            raise Refused(error_reply(850019), note)
        self._files.charge(came.size, "complete")
        stored = self._files.add(upload.scene, upload.file_type, upload.name, came, chunks)
        first = next(iter(upload.parts.values()))
        for part in upload.parts.values():
            part.body = None
        fields = self._files.reply_fields(stored)
        fields["raw_url"] = self._sign("GET", upload, first)
        return json_reply(self._behaviour.wrap(fields))

    def _find(self, scene: str, target: str, body: Dict[str, object]) -> Upload:
        upload_id = wanted.text(body, "upload_id")
        with self._lock:
            upload = self._uploads.get(upload_id)
        if upload is None:
            raise bad_request(f"upload_id {upload_id!r} is unknown")
        if (upload.scene, upload.target) != (scene, target):
            note = f"upload of {upload.scene}/{upload.target} continued as {scene}/{target}"
            raise Refused(error_reply(11255), note)
        return upload

    def mark_delivered(self, upload_id: str, reply: Reply, delivered: bool) -> None:
        """Remember whether the success of complete went out whole, if that is what it is."""
        with self._lock:
            upload = self._uploads.get(upload_id)
        if upload is not None and upload.success is reply:
            upload.delivered = delivered

    def expire_urls(self) -> None:
        """End every presigned URL at once."""
        with self._lock:
            for upload in self._uploads.values():
                upload.urls_end = 0.0
