"""Uploaded files for the inbox: what a browser may show of them, and their bytes in ranges."""

from __future__ import annotations

import re
from typing import Iterator, List, Optional, Tuple
from urllib.parse import quote

from .files import StoredFile
from .replies import Reply

# How the formats begin which a browser shows without running anything. The name says nothing, and
# SVG, HTML and PDF are none of them: what can hold script is a download.
_FORMATS: List[Tuple[bytes, str]] = [
    (rb"\x89PNG\r\n\x1a\n", "image/png"),
    (rb"\xff\xd8\xff", "image/jpeg"),
    (rb"GIF8[79]a", "image/gif"),
    (rb"RIFF....WEBP", "image/webp"),
    (rb"BM.{12}", "image/bmp"),
    (rb"....ftypM4A", "audio/mp4"),
    (rb"....ftyp", "video/mp4"),
    (rb"\x1aE\xdf\xa3", "video/webm"),
    (rb"OggS", "audio/ogg"),
    (rb"RIFF....WAVE", "audio/wav"),
    (rb"fLaC", "audio/flac"),
    (rb"ID3|\xff[\xe2-\xff]", "audio/mpeg"),
]
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


def shown_type(file: StoredFile) -> Optional[str]:
    """Return the media type under which a browser may show a file; None if it may not."""
    head = b"".join(bytes(chunk[:64]) for chunk in (file.chunks or ())[:1])
    for pattern, media_type in _FORMATS:
        if re.match(pattern, head, re.DOTALL):
            return media_type
    return None


def file_reply(file: StoredFile, wanted: str, *, download: bool) -> Tuple[Reply, Iterator[bytes]]:
    """Return the head of a reply with a file, and its bytes in pieces.

    :param wanted: the request's Range header; one that asks for several ranges gets the whole
    """
    media_type = None if download else shown_type(file)
    disposition = "inline" if media_type else "attachment"
    size = file.digests.size
    headers: Tuple[Tuple[str, str], ...] = (
        ("Content-Type", media_type or "application/octet-stream"),
        ("Content-Disposition", f"{disposition}; filename*=UTF-8''{quote(file.name, safe='')}"),
        # Opened by itself it is a document without an origin, script or network.
        ("Content-Security-Policy", "sandbox; default-src 'none'; media-src 'self'"),
        ("Accept-Ranges", "bytes"),
    )
    found = _RANGE.fullmatch(wanted)
    start, end, status = 0, size, 200
    if found and (found[1] or found[2]):
        if found[1]:
            start, end = int(found[1]), min(size, int(found[2]) + 1 if found[2] else size)
        else:
            start = max(0, size - int(found[2]))
        status = 206 if start < end else 416
        at = f"{start}-{end - 1}" if status == 206 else "*"
        headers += (("Content-Range", f"bytes {at}/{size}"),)
    if status == 416:
        start = end = 0
    headers += (("Content-Length", str(end - start)),)
    return Reply(status, headers=headers, sized=False), _pieces(file, start, end)


def _pieces(file: StoredFile, start: int, end: int) -> Iterator[bytes]:
    offset = 0
    for chunk in file.chunks or ():
        first, last = max(start - offset, 0), min(end - offset, len(chunk))
        for position in range(first, last, 1 << 20):
            yield bytes(chunk[position:min(position + (1 << 20), last)])
        offset += len(chunk)
