"""Prepare, part_finish and complete: the calls of an upload in parts."""

from __future__ import annotations

import secrets
import time
from dataclasses import replace
from typing import Optional

from . import fields as wanted
from .behaviour import Behaviour, as_size
from .calls import Call
from .digests import digest
from .files import FileRegistry, StoredFile
from .local_storage import LocalStorage
from .manners import Manners
from .messages import MessageService
from .plan import confirmed_at_once, cut, plan_fields
from .replies import Refused, Reply, bad_request, error_reply, json_reply
from .storage import Storage, StorageError
from .uploads import Upload, UploadPart, UploadRegistry


class UploadService:
    """Answers the calls about uploads in parts."""

    def __init__(
        self,
        behaviour: Behaviour,
        manners: Manners,
        files: FileRegistry,
        messages: MessageService,
        local_storage: LocalStorage,
        storage: Optional[Storage],
    ) -> None:
        self._behaviour = behaviour
        self._manners = manners
        self._files = files
        self._messages = messages
        self._local = local_storage
        self._storage: Storage = storage or local_storage
        self.registry = UploadRegistry()

    def prepare(self, call: Call) -> Reply:
        file_type, name, digests = wanted.prepare_fields(call.fields)
        if wanted.lacks_extension(file_type, name):
            note = f"file_name {name!r} has no extension"
            self._manners.breach(call, note, error_reply(850019))
        self._files.check(file_type, name, digests.size)
        behaviour = self._behaviour
        known = self._files.known(call.scene, digests) if behaviour.instant else None
        if known is None:
            self._files.charge(digests.size, "prepare")
        planned = [] if known else cut(digests.size, behaviour)
        upload = Upload(
            id=f"upload_{time.time_ns()}_{secrets.randbelow(900_000) + 10_000}",
            scene=call.scene,
            target=call.target,
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
        for old in self.registry.forget_older(behaviour.upload_ttl):
            self._local.forget(old)
        self.registry.add(upload)
        return json_reply(behaviour.wrap(fields))

    def finish(self, call: Call) -> Reply:
        upload = self._find(call)
        index = call.fields.get("part_index")
        if isinstance(index, bool) or not isinstance(index, int):
            raise bad_request("part_index is missing or no int")
        part = upload.parts.get(index)
        if part is None:
            raise bad_request(f"part_index {index} is none of {sorted(upload.parts)}: renumbered")
        given = call.fields.get("block_size")
        size = as_size(given)
        if size is None:
            raise bad_request(f"block_size {given!r} is no number")
        if size != part.plan.size:
            refusal = bad_request(f"block_size {given!r} is not part {index}'s, {part.plan.size}")
            self._manners.breach(call, str(refusal.note), refusal.reply)
        md5 = wanted.hex_digest(call.fields, "md5", 32)
        with upload.lock:
            part.finishes += 1
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

    def complete(self, call: Call) -> Reply:
        upload = self._find(call)
        posts = wanted.srv_send_msg(call.fields)
        for name, value in (("file_type", upload.file_type), ("file_name", upload.name)):
            given = call.fields.get(name, value)
            if type(given) is not type(value) or given != value:
                refusal = bad_request(f"{name} {given!r} is not the one prepared, {value!r}")
                self._manners.breach(call, str(refusal.note), refusal.reply)
        with upload.lock:
            if upload.success is not None:
                return self._complete_again(call, upload, posts)
            upload.stored = self._merge(call, upload)
            self._local.close(upload.id)
            raw_url = ""
            if upload.parts and upload.file_type != 4:
                raw_url = self._local.download_url(upload.id, min(upload.parts))
            message_id = self._messages.post(call, upload.stored) if posts else ""
            fields = self._files.reply_fields(upload.stored)
            fields.update(raw_url=raw_url, id=message_id)
            upload.success = json_reply(self._behaviour.wrap(fields))
            return upload.success

    def _complete_again(self, call: Call, upload: Upload, posts: bool) -> Reply:
        note = "complete again after its success was sent" if upload.delivered else None
        if upload.success is None or not self._behaviour.complete_repeatable:
            raise Refused(error_reply(10000, message="the upload is completed already"), note)
        if upload.file_type != 1 and self._local.disturbed(upload.id):
            raise Refused(error_reply(850019), "a part was sent after the upload was completed")
        if posts and upload.stored:
            self._messages.post(call, upload.stored)
        if note:
            raise Refused(upload.success, note)
        return upload.success

    def _merge(self, call: Call, upload: Upload) -> StoredFile:
        """Put the parts together, and the file among the others."""
        if upload.known:
            return self._files.again(upload.known, upload.file_type, upload.name)
        for index, part in upload.parts.items():
            if not part.finished:
                lack = "sent" if self._missing(upload, index) else "finished"
                raise Refused(error_reply(850019), f"part {index} was not {lack}")
        try:
            chunks = self._storage.assembled(upload.id, [p.plan for p in upload.parts.values()])
        except StorageError as error:
            raise Refused(error_reply(850019), str(error)) from None
        came, told = digest(chunks), upload.digests
        if came != told:
            checked = self._behaviour.media_checked or upload.file_type == 4
            if not came.size or (checked and replace(came, md5_10m=told.md5_10m) != told):
                note = f"the bytes that came are not the file announced: {came} for {told}"
                note += self._wrong_lengths(upload)
                raise Refused(error_reply(850019), note)
            if checked:
                note = f"md5_10m {told.md5_10m} is not that of the file, {came.md5_10m}"
                self._manners.breach(call, note, error_reply(850019))
        self._files.charge(came.size, "complete")
        return self._files.add(upload.scene, upload.file_type, upload.name, came, chunks)

    def _wrong_lengths(self, upload: Upload) -> str:
        places = {index: self._local.part(upload.id, index) for index in upload.parts}
        wrong = [
            f"{len(place.body)} bytes of {place.size} in part {index}"
            for index, place in places.items()
            if place and place.body is not None and len(place.body) != place.size
        ]
        return "; ".join(["", *wrong])

    def _find(self, call: Call) -> Upload:
        upload_id = wanted.text(call.fields, "upload_id")
        upload = self.registry.get(upload_id)
        if upload is None:
            raise bad_request(f"upload_id {upload_id!r} is unknown")
        if (upload.scene, upload.target) != (call.scene, call.target):
            begun = f"{upload.scene}/{upload.target}"
            note = f"upload of {begun} continued as {call.scene}/{call.target}"
            raise Refused(error_reply(11255), note)
        return upload
