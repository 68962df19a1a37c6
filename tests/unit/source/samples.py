"""What the tests of this room upload, and how they look at what would go up."""

from __future__ import annotations

from typing import Any, Optional

from qqchunk.source.opening import open_source
from qqchunk.source.ranges import Source

SMALL = b"0123456789"
LARGE = bytes(range(251)) * 4000  # over 256 KiB, and no block of it is like another


def content(source: Source) -> bytes:
    return source.read_at(0, source.size + 1)


def upload(file: Any, file_name: Optional[str] = None, **options: Any) -> bytes:
    """Return what would go up."""
    with open_source(file, file_name, **options) as source:
        data = content(source)
        assert len(data) == source.size
    return data


class Reader:
    """No more than read()."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def read(self, length: int) -> Any:
        block, self.data = self.data[:length], self.data[length:]
        return block
