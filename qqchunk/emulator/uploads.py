"""Uploads in parts: prepare, the parts' arrival and confirmation, complete."""

from __future__ import annotations

import secrets
import threading
import time
from dataclasses import dataclass, field, replace
from typing import Dict, List, Optional

from . import fields as wanted
from .behaviour import Behaviour, as_size
from .digests import Digests, digest
from .files import FileRegistry, StoredFile
from .local_storage import LocalStorage
from .plan import confirmed_at_once, cut, plan_fields
from .replies import Refused, Reply, bad_request, error_reply, json_reply
from .storage import Storage, StorageError, StoragePart


@dataclass
class UploadPart:
    """How far one part has come at the API."""

    plan: StoragePart
    finished: bool = False
    #: part_finish calls answered "busy" so far.
    busy_answers: int = 0


@dataclass
class Upload:
    """One upload between its prepare and its complete."""

    id: str
    scene: str
    target: str
    file_type: int
    name: str
    digests: Digests
    #: By the index that the client was given.
    parts: Dict[int, UploadPart]
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

    def __init__(
        self,
        behaviour: Behaviour,
        files: FileRegistry,
        local_storage: LocalStorage,
        storage: Optional[Storage],
    ) -> None:
        self._behaviour = behaviour
        self._files = files
        self._local = local_storage
        self._storage: Storage = storage or local_storage
        self._lock = threading.Lock()
        self._uploads: Dict[str, Upload] = {}

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
            parts={part.index: UploadPart(part) for part in planned},
            concurrency=confirmed_at_once(behaviour),
            known=known,
        )
        urls = (
            self._storage.presigned_urls(upload.id, planned, behaviour.url_ttl) if planned else [])
        fields = plan_fields(behaviour, upload.id, digests.size, planned, urls)
        if known and behaviour.instant is True:
            stored = self._files.again(known, file_type, name)
            fields.update(self._files.reply_fields(stored))
            return json_reply(behaviour.wrap(fields))
        with self._lock:
            oldest = now - behaviour.upload_ttl
            for old in [k for k, v in self._uploads.items() if v.started <= oldest]:
                del self._uploads[old]
                self._local.forget(old)
            self._uploads[upload.id] = upload
        return json_reply(behaviour.wrap(fields))

    def finish(self, scene: str, target: str, body: Dict[str, object]) -> Reply:
        upload = self._find(scene, target, body)
        index = body.get("part_index")
        if isinstance(index, bool) or not isinstance(index, int):
            raise bad_request("part_index is missing or no int")
        part = upload.parts.get(index)
        if part is None:
            raise bad_request(f"part_index {index} is none of {sorted(upload.parts)}: renumbered")
        size = as_size(body.get("block_size"))
        if size is None or size != part.plan.size:
            given = body.get("block_size")
            raise bad_request(f"block_size {given!r} is not part {index}'s, {part.plan.size}")
        md5 = wanted.hex_digest(body, "md5", 32)
        with upload.lock:
            self._check_order(upload, index)
            if part.finished and not self._behaviour.finish_repeatable:
                raise Refused(error_reply(10000, message=f"part {index} is finished already"))
            self._check_arrival(upload, index, md5)
            if part.busy_answers < self._behaviour.busy_finishes:
                part.busy_answers += 1
                raise Refused(error_reply(40093001))
            part.finished = True
            part.plan = replace(part.plan, told_md5=md5, told_size=size)
        return json_reply(self._behaviour.wrap({}))

    def _check_order(self, upload: Upload, index: int) -> None:
        if self._behaviour.ordered_finishes and not upload.parts[index].finished:
            due = upload.next_to_confirm()
            if index not in due:
                raise bad_request(f"part {index} before {due}, the next to be confirmed")

    def _check_arrival(self, upload: Upload, index: int, md5: str) -> None:
        if upload.success is None and self._missing(upload, index):
            raise Refused(error_reply(40093001))
        came = self._local.part(upload.id, index)
        if came and came.md5 != md5 and self._behaviour.part_md5_checked_at == "finish":
            raise bad_request(f"md5 of part {index} is not that of the bytes that came")

    def _missing(self, upload: Upload, index: int) -> bool:
        """Say whether a part is known not to have come; only the own storage can tell."""
        came = self._local.part(upload.id, index)
        return self._storage is self._local and (came is None or came.md5 is None)

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
        for index, part in upload.parts.items():
            if not part.finished:
                lack = "sent" if self._missing(upload, index) else "finished"
                raise Refused(error_reply(850019), f"part {index} was not {lack}")
        try:
            chunks = self._storage.assembled(upload.id, [p.plan for p in upload.parts.values()])
        except StorageError as error:
            raise Refused(error_reply(850019), str(error)) from None
        came = digest(chunks)
        if came != upload.digests:
            note = f"the bytes that came are not the file announced: {came} for {upload.digests}"
            raise Refused(error_reply(850019), note)
        self._files.charge(came.size, "complete")
        stored = self._files.add(upload.scene, upload.file_type, upload.name, came, chunks)
        self._local.close(upload.id)
        fields = self._files.reply_fields(stored)
        fields["raw_url"] = self._local.download_url(upload.id, min(upload.parts))
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
