"""The uploads that were prepared, and how far each of them and each of its parts has come."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Dict, List, Optional

from .digests import Digests
from .files import StoredFile
from .replies import Reply
from .storage import StoragePart


@dataclass
class UploadPart:
    """How far one part has come at the API."""

    plan: StoragePart
    finished: bool = False
    #: part_finish calls that came for it, and those answered "busy" because it was asked for.
    finishes: int = 0
    busy_answers: int = 0


@dataclass
class Upload:
    """One upload from its prepare on."""

    id: str
    scene: str
    target: str
    file_type: int
    name: str
    #: Of the file as prepare announced it.
    digests: Digests
    #: By the index that the client was given.
    parts: Dict[int, UploadPart]
    #: How many parts may be in confirmation, if that is looked at.
    concurrency: int
    started: float = field(default_factory=time.monotonic)
    #: Held while complete is acted on, and while a part is confirmed.
    lock: threading.Lock = field(default_factory=threading.Lock)
    #: The file of the same content that is here already; such an upload has no parts.
    known: Optional[StoredFile] = None
    #: What the upload came to, and the reply to complete that said so; None until then.
    stored: Optional[StoredFile] = None
    success: Optional[Reply] = None
    #: Whether that reply went out whole.
    delivered: bool = False

    def next_to_confirm(self) -> List[int]:
        """Numbers of the lowest unconfirmed parts, as many as may be in confirmation."""
        left = sorted(index for index, part in self.parts.items() if not part.finished)
        return left[:self.concurrency]


class UploadRegistry:
    """The uploads by their ids."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._uploads: Dict[str, Upload] = {}

    def add(self, upload: Upload) -> None:
        with self._lock:
            self._uploads[upload.id] = upload

    def get(self, upload_id: Optional[str]) -> Optional[Upload]:
        with self._lock:
            return self._uploads.get(upload_id or "")

    def all(self) -> List[Upload]:
        """Every upload that is not forgotten, the oldest first."""
        with self._lock:
            return list(self._uploads.values())

    def forget_older(self, seconds: float) -> List[str]:
        """Forget the uploads begun longer ago than that, and give their ids."""
        oldest = time.monotonic() - seconds
        with self._lock:
            old = [key for key, upload in self._uploads.items() if upload.started <= oldest]
            for upload_id in old:
                del self._uploads[upload_id]
        return old

    def mark_delivered(self, upload_id: str, reply: Reply, delivered: bool) -> None:
        """Remember whether the success of complete went out whole, if that is what it is."""
        upload = self.get(upload_id)
        if upload is not None and upload.success is reply:
            upload.delivered = delivered
