"""Was everything uploaded right? A time counts only after this has been asked."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import List, Tuple

from .process import PartRecord, Report, UploadRecord
from .wire import Behaviour

MD5_10M_SIZE = 10_002_432  # bytes; the platform's figure


class WrongUploadError(RuntimeError):
    """A client sent something else than the file, or out of order."""


@dataclass(frozen=True)
class Truth:
    """A file's real digests."""

    size: int
    md5: str
    sha1: str
    md5_10m: str
    parts: Tuple[Tuple[int, str], ...]  # size and md5 of each part, in order


def make_file(folder: str, size: int) -> str:
    """A file of `size` random bytes, already in the page cache."""
    path = Path(folder, f"{size}.bin")
    if not path.exists():
        with path.open("wb") as file:
            left = size
            while left:
                left -= file.write(os.urandom(min(left, 1 << 20)))
    return str(path)


@lru_cache(maxsize=None)
def truth_of(path: str, block_size: int) -> Truth:
    """Reads the file once and keeps the answer."""
    md5, sha1 = hashlib.md5(), hashlib.sha1()
    parts: List[Tuple[int, str]] = []
    with open(path, "rb") as file:
        md5_10m = hashlib.md5(file.read(MD5_10M_SIZE)).hexdigest()
        file.seek(0)
        for block in iter(lambda: file.read(block_size), b""):
            md5.update(block)
            sha1.update(block)
            parts.append((len(block), hashlib.md5(block).hexdigest()))
    size = sum(length for length, _ in parts)
    return Truth(size, md5.hexdigest(), sha1.hexdigest(), md5_10m, tuple(parts))


def check(truth: Truth, uploads: int, behaviour: Behaviour, api: Report, storage: Report) -> None:
    """Raises WrongUploadError unless the server got `uploads` whole, confirmed, correct files."""
    if len(api.uploads) != uploads:
        raise WrongUploadError(f"{len(api.uploads)} uploads arrived instead of {uploads}")
    errors = api.errors + storage.errors
    for upload in api.uploads:
        claim = (upload.file_size, upload.md5, upload.sha1, upload.md5_10m)
        if claim != (truth.size, truth.md5, truth.sha1, truth.md5_10m):
            raise WrongUploadError(f"{upload.upload_id} was prepared with wrong digests")
        received = [part for part in storage.parts if part.upload_id == upload.upload_id]
        fault = _fault(truth, behaviour, upload, sorted(received, key=lambda part: part.index))
        if fault:
            raise WrongUploadError(f"{upload.upload_id}: {fault}; server errors: {errors}")


def _fault(
    truth: Truth, behaviour: Behaviour, upload: UploadRecord, received: List[PartRecord]
) -> str:
    found = tuple((part.size, part.md5) for part in received)
    if found != truth.parts:
        return f"{len(found)} parts arrived, and not the {len(truth.parts)} of the file, once each"
    for part in received:
        finish = upload.finished.get(part.index)
        if finish is None or (finish.size, finish.md5) != (part.size, part.md5):
            return f"part {part.index} was confirmed wrongly or never"
        if finish.received_at < part.received_at:
            return f"part {part.index} was confirmed before it had arrived"
        if upload.asked[part.index] != behaviour.busy + 1:
            return f"part {part.index} was confirmed {upload.asked[part.index]} times"
    if upload.completed_at is None:
        return "complete was never called"
    if upload.completed_at < max(part.received_at for part in upload.finished.values()):
        return "complete was called before the last part was confirmed"
    return ""
