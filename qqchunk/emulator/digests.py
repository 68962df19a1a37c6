"""Size and digests of content, as the platform compares them."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass
from functools import partial
from typing import Any, Dict, Optional, Sequence, Union

MD5_10M_SIZE = 10_002_432  # bytes; the platform's figure, not 10 MiB
Bytes = Union[bytes, bytearray]

# OpenSSL in FIPS mode gives md5 only to those who say so.
_NOT_FOR_SECURITY: Dict[str, Any] = {"usedforsecurity": False} if sys.version_info >= (3, 9) else {}
new_md5 = partial(hashlib.md5, **_NOT_FOR_SECURITY)
new_sha1 = partial(hashlib.sha1, **_NOT_FOR_SECURITY)


@dataclass(frozen=True)
class Digests:
    """Size in bytes and lower-case hex digests of some content."""

    size: int
    md5: str
    sha1: str
    #: md5 of the first 10 002 432 bytes.
    md5_10m: str


def digest(chunks: Sequence[Bytes]) -> Digests:
    """Work out size and digests of content given in pieces."""
    md5, sha1 = new_md5(), new_sha1()
    head: Optional[str] = None
    size = 0
    for chunk in chunks:
        with memoryview(chunk) as view:
            sha1.update(view)
            cut = max(0, MD5_10M_SIZE - size)
            if head is None and len(view) > cut:
                md5.update(view[:cut])
                head = md5.hexdigest()
                md5.update(view[cut:])
            else:
                md5.update(view)
            size += len(view)
    return Digests(size, md5.hexdigest(), sha1.hexdigest(), head or md5.hexdigest())
