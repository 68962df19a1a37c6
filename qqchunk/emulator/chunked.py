"""Bodies in chunked transfer encoding, which http.server leaves to its user."""

from __future__ import annotations

from io import BufferedIOBase

_LONGEST_LINE = 1024  # bytes


def read_chunk(stream: BufferedIOBase, most: int) -> bytes:
    """Read one chunk; empty at the end of the body, whose trailers are read as well.

    :param most: bytes; a longer chunk is not waited for.
    :raises ConnectionAbortedError: if the client goes away or does not keep to the encoding.
    """
    size_line = stream.readline(_LONGEST_LINE)
    try:
        size = int(size_line.partition(b";")[0], 16)
    except ValueError:
        size = -1
    if not 0 <= size <= most:
        raise ConnectionAbortedError(f"{size_line[:20]!r} is no size of a chunk here")
    if size == 0:
        while stream.readline(_LONGEST_LINE).strip():
            pass  # a trailer
        return b""
    data = stream.read(size)
    if len(data) < size or stream.readline(_LONGEST_LINE).strip():
        raise ConnectionAbortedError("the client went away in mid-chunk")
    return data
