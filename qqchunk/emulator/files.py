"""Files the platform holds: their bytes, their ``file_info``, the quota they count against."""

from __future__ import annotations

import base64
import os
import threading
import time
import uuid
from dataclasses import dataclass, field
from typing import Dict, List, Optional, Sequence, Tuple

from .behaviour import Behaviour, as_seconds
from .digests import Bytes, Digests
from .replies import Refused, error_reply

_FORMATS = {1: (".png", ".jpg", ".jpeg"), 2: (".mp4",), 3: (".silk",)}


@dataclass(frozen=True)
class StoredFile:
    """A file that was uploaded whole."""

    file_info: str = field(repr=False)
    file_uuid: str
    #: ``"users"`` or ``"groups"``: the only scene where ``file_info`` is good.
    scene: str
    file_type: int
    name: str
    digests: Digests
    #: The content in order; None if the emulator keeps no bodies.
    chunks: Optional[Tuple[Bytes, ...]] = field(repr=False)
    #: ``time.monotonic()`` at which ``file_info`` ends; infinite if it has no end.
    expires_at: float
    #: ``time.time()`` at which it was whole.
    at: float = field(default_factory=time.time)


class FileRegistry:
    """Keeps the files and the day's quota."""

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self._lock = threading.Lock()
        self._files: Dict[str, StoredFile] = {}
        self._charged = 0

    def check(self, file_type: int, name: Optional[str], size: int) -> None:
        """Refuse a file over the size limit or of a format its type does not allow."""
        if size > self._behaviour.max_file_size:
            raise Refused(error_reply(850031))
        formats = _FORMATS.get(file_type)
        if formats and "." in (name or "") and not str(name).lower().endswith(formats):
            raise Refused(error_reply(850019))

    def charge(self, size: int, stage: str) -> None:
        """Count bytes against the daily quota if this is the stage where that happens."""
        if stage != self._behaviour.quota_stage:
            return
        with self._lock:
            if self._charged + size > self._behaviour.daily_quota:
                raise Refused(error_reply(40093002))
            self._charged += size

    def add(
        self, scene: str, file_type: int, name: str, digests: Digests, chunks: Sequence[Bytes]
    ) -> StoredFile:
        """Put a file on the files under a new ``file_info``."""
        stored = StoredFile(
            file_info=base64.b64encode(os.urandom(90)).decode() + "+/==",
            file_uuid=base64.b64encode(uuid.uuid4().bytes).decode(),
            scene=scene,
            file_type=file_type,
            name=name,
            digests=digests,
            chunks=tuple(chunks) if self._behaviour.keep_bodies else None,
            expires_at=time.monotonic() + as_seconds(self._behaviour.file_info_ttl, float("inf")),
        )
        with self._lock:
            self._files[stored.file_info] = stored
        return stored

    def again(self, stored: StoredFile, file_type: int, name: str) -> StoredFile:
        """Give content that is already here a ``file_info`` of its own."""
        return self.add(stored.scene, file_type, name, stored.digests, stored.chunks or ())

    def known(self, scene: str, digests: Digests) -> Optional[StoredFile]:
        """Find a file of this content in this scene."""
        with self._lock:
            for stored in self._files.values():
                if stored.scene == scene and stored.digests == digests:
                    return stored
        return None

    def get(self, file_info: str) -> StoredFile:
        """Give a file, also one whose ``file_info`` has ended; KeyError if there is none."""
        with self._lock:
            return self._files[file_info]

    def find(self, file_info: str) -> Optional[StoredFile]:
        """Give a file, also one whose ``file_info`` has ended; None if there is none."""
        with self._lock:
            return self._files.get(file_info)

    def all(self) -> List[StoredFile]:
        """Every file that is not forgotten, the oldest first."""
        with self._lock:
            return list(self._files.values())

    @property
    def charged(self) -> int:
        """Bytes counted against the daily quota so far."""
        with self._lock:
            return self._charged

    def expire(self) -> None:
        """End every ``file_info`` at once; the content stays."""
        with self._lock:
            for file_info, stored in self._files.items():
                ended = dict(vars(stored), expires_at=0.0)
                self._files[file_info] = StoredFile(**ended)

    def forget(self, file_info: str) -> None:
        with self._lock:
            del self._files[file_info]

    def reply_fields(self, stored: StoredFile) -> Dict[str, object]:
        """What a successful upload is answered, short of its link and its message."""
        fields: Dict[str, object] = {
            "file_uuid": stored.file_uuid,
            "file_info": stored.file_info,
        }
        if self._behaviour.file_info_ttl is not None:
            fields["ttl"] = self._behaviour.spell(self._behaviour.file_info_ttl)
        return fields
