"""The emulator's own object storage: presigned URLs on its own port, parts kept in memory."""

from __future__ import annotations

import secrets
import threading
import time
from dataclasses import dataclass
from typing import Dict, List, Optional, Sequence
from urllib.parse import quote

from .behaviour import Behaviour
from .calls import Call
from .digests import Bytes
from .manners import Manners
from .replies import Refused, Reply, bad_signature, expired_url, storage_error
from .signing import Signer
from .storage import StorageError, StoragePart


@dataclass
class StoredPart:
    """One part's place in storage."""

    size: int
    url_end: float
    body: Optional[Bytes] = None
    md5: Optional[str] = None
    #: False once the upload was completed: what is sent then is dropped.
    open: bool = True
    #: Whether something was sent then.
    late: bool = False
    #: PUTs that were let in, and the bytes read of the latest one.
    puts: int = 0
    received: int = 0


class LocalStorage:
    """A :class:`~qqchunk.emulator.storage.Storage` served by the emulator itself."""

    def __init__(self, behaviour: Behaviour, manners: Manners) -> None:
        self._behaviour = behaviour
        self._manners = manners
        self._signer = Signer()
        self._lock = threading.Lock()
        self._uploads: Dict[str, Dict[int, StoredPart]] = {}
        #: Scheme, host and port in presigned URLs; known once the server listens.
        self.url = ""

    def presigned_urls(
        self, upload_id: str, parts: Sequence[StoragePart], lifetime: float
    ) -> List[str]:
        """See :class:`Storage`; the URLs end by the emulator's own clock."""
        end = time.monotonic() + lifetime
        with self._lock:
            self._uploads[upload_id] = {part.index: StoredPart(part.size, end) for part in parts}
        return [self._sign("PUT", upload_id, part.index, lifetime) for part in parts]

    def assembled(self, upload_id: str, parts: Sequence[StoragePart]) -> List[Bytes]:
        """See :class:`Storage`."""
        pieces: List[Bytes] = []
        with self._lock:
            for part in parts:
                body = self._uploads[upload_id][part.index].body
                if body is None:
                    raise StorageError(f"part {part.index} was not sent")
                pieces.append(body)
        return pieces

    def download_url(self, upload_id: str, index: int) -> str:
        """Give a signed link for a GET of a completed upload."""
        return self._sign("GET", upload_id, index, self._behaviour.url_ttl)

    def _sign(self, method: str, upload_id: str, index: int, lifetime: float) -> str:
        app_id = quote(self._behaviour.app_id, safe="")
        path = f"/robot_upload/{app_id}/{upload_id}/part_{index}"
        return self._signer.sign(method, self.url, path, lifetime)

    def part(self, upload_id: Optional[str], index: Optional[int]) -> Optional[StoredPart]:
        """Find a part's place; None if there is none."""
        with self._lock:
            parts = self._uploads.get(upload_id or "", {})
            return None if index is None else parts.get(index)

    def check_signature(self, call: Call) -> None:
        """Raise Refused unless the URL is one which this storage signed for this method."""
        if not self._signer.check(call.method, call.path):
            raise Refused(bad_signature(), "the presigned URL was altered")

    def admit(self, call: Call) -> StoredPart:
        """Judge a PUT by its headers: give the place of its part, or raise Refused."""
        self.check_signature(call)
        part = self.part(call.upload_id, call.part_index)
        if part is None or part.url_end <= time.monotonic():
            raise Refused(expired_url())
        if call.chunked:
            reply = storage_error(411, "MissingContentLength", "Content-Length is required")
            self._manners.breach(call, "chunked transfer", reply)
        elif call.length is None:
            reply = storage_error(411, "MissingContentLength", "Content-Length is required")
            raise Refused(reply, "no Content-Length")
        elif call.length > max(self._behaviour.max_file_size, part.size):
            reply = storage_error(400, "EntityTooLarge", "the object is too large")
            raise Refused(reply, f"{call.length} bytes announced for a part of {part.size}")
        if not part.open:
            reply = storage_error(403, "AccessDenied", "the upload was completed")
            self._manners.breach(call, "PUT to an upload that was completed", reply)
            part.late = True
        part.puts += 1
        part.received = 0
        return part

    def store(self, part: StoredPart, body: Bytes, md5: str) -> Reply:
        """Keep a part that has arrived whole; a part sent again takes the old one's place."""
        with self._lock:
            if part.open:
                part.body, part.md5 = body, md5
        headers = (("ETag", f'"{md5}"'), ("x-cos-request-id", secrets.token_hex(16)))
        return Reply(200, headers=headers)

    def close(self, upload_id: str) -> None:
        """Take nothing more for an upload that was completed, and let go of its parts."""
        with self._lock:
            for part in self._uploads.get(upload_id, {}).values():
                part.open, part.body = False, None

    def disturbed(self, upload_id: str) -> bool:
        """Say whether something was sent to an upload after it was completed."""
        with self._lock:
            return any(part.late for part in self._uploads.get(upload_id, {}).values())

    def forget(self, upload_id: str) -> None:
        """Drop an upload; its URLs are then expired ones."""
        with self._lock:
            self._uploads.pop(upload_id, None)

    def expire_url(self, call: Call) -> None:
        """End the presigned URL that a request came to, for good."""
        part = self.part(call.upload_id, call.part_index)
        if part is not None:
            part.url_end = 0.0

    def expire_urls(self) -> None:
        """End every presigned URL handed out so far."""
        with self._lock:
            for parts in self._uploads.values():
                for part in parts.values():
                    part.url_end = 0.0
