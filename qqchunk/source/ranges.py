"""Byte ranges of something to upload, wherever its bytes are.

A :class:`Source` is read by position, so that any number of threads can share it. Its two kinds
are :class:`MemorySource` and :class:`FileSource`; ``source.open_source`` chooses between them.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import threading
from typing import ContextManager, Iterator, Optional, Protocol, Union

from ..errors import SourceChangedError


_seeking = threading.Lock()  # duplicates of one descriptor share a position


class _Descriptor(Protocol):
    def fileno(self) -> int: ...

    def close(self) -> None: ...


class Source:
    """Bytes to be uploaded: their name, their size, and any range of them. A context manager.

    All methods but :meth:`close` may be called from several threads at once.

    :ivar name: the file's name, as it goes to the platform
    :ivar size: bytes, as counted when the source was opened
    """

    def __init__(self, name: str, size: int) -> None:
        self.name = name
        self.size = size

    def read_at(self, offset: int, length: int) -> bytes:
        """Return *length* bytes from byte *offset* on; fewer only where the file ends."""
        raise NotImplementedError

    def read_into(self, offset: int, buffer: memoryview) -> int:
        """Fill *buffer* from byte *offset* on; return how much of it, less only at the end."""
        data = self.read_at(offset, len(buffer))
        buffer[:len(data)] = data
        return len(data)

    def window(
        self, offset: int, length: int, *, stage: Optional[str] = None
    ) -> ContextManager[Union[bytes, memoryview]]:
        """Give *length* bytes from byte *offset* on as a buffer, for a ``with`` block.

        No slice of the buffer may outlive the block.

        :param stage: what the upload is doing, for the exception
        :raises SourceChangedError: the file has become too short for it
        """
        raise NotImplementedError

    def untouched(self, *, stage: Optional[str] = None) -> bool:
        """Say whether nothing was written to the file since it was opened.

        :param stage: what the upload is doing, for the exception
        :raises SourceChangedError: it became shorter, or is another file
        """
        return True

    def changed(self, what: str, stage: Optional[str]) -> SourceChangedError:
        """Return the exception for a file that is not what it was when it was opened.

        :param what: how that shows
        :param stage: what the upload is doing
        """
        return SourceChangedError(
            f"{self.name} changed while it was being uploaded: {what}; "
            "upload it again once nothing writes to it",
            file_name=self.name, file_size=self.size, stage=stage,
        )

    def close(self) -> None:
        """Let the bytes go. May be called again; a file object of the user's stays open."""

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


class MemorySource(Source):
    """Bytes that are in memory already."""

    def __init__(self, name: str, data: Union[bytes, bytearray, memoryview]) -> None:
        self._view = memoryview(data)
        try:
            self._view = self._view.cast("B")
        except (TypeError, ValueError):  # not contiguous, or of a format that cast() does not know
            self._view = memoryview(self._view.tobytes())
        super().__init__(name, self._view.nbytes)

    def read_at(self, offset: int, length: int) -> bytes:
        return bytes(self._view[offset:offset + length])

    def window(
        self, offset: int, length: int, *, stage: Optional[str] = None
    ) -> ContextManager[Union[bytes, memoryview]]:
        return self._view[offset:offset + length]

    def close(self) -> None:
        self._view.release()


class FileSource(Source):
    """A regular file, read by position through a descriptor of our own."""

    def __init__(self, name: str, file: _Descriptor) -> None:
        self._file = file
        self._opened = os.fstat(file.fileno())
        super().__init__(name, self._opened.st_size)
        self._mappable = True
        self._read_some = self._pread if hasattr(os, "pread") else self._seek_and_read

    def read_at(self, offset: int, length: int) -> bytes:
        data = self._read_some(offset, length)
        if len(data) == length:
            return data
        blocks = []  # network filesystems may give less than there is
        while data:
            blocks.append(data)
            offset += len(data)
            length -= len(data)
            data = self._read_some(offset, length)
        return b"".join(blocks)

    def read_into(self, offset: int, buffer: memoryview) -> int:
        if hasattr(os, "preadv"):  # saves the memory of one copy, and its page faults
            got = os.preadv(self._file.fileno(), [buffer], offset)
            if got == len(buffer):
                return got
        return super().read_into(offset, buffer)

    def _pread(self, offset: int, length: int) -> bytes:
        return os.pread(self._file.fileno(), length, offset)

    def _seek_and_read(self, offset: int, length: int) -> bytes:
        """Read where there is no pread (Windows); a duplicate shares its position with the user."""
        descriptor = self._file.fileno()
        with _seeking:
            position = os.lseek(descriptor, 0, os.SEEK_CUR)
            try:
                os.lseek(descriptor, offset, os.SEEK_SET)
                return os.read(descriptor, length)
            finally:
                os.lseek(descriptor, position, os.SEEK_SET)

    @contextlib.contextmanager
    def window(
        self, offset: int, length: int, *, stage: Optional[str] = None
    ) -> Iterator[Union[bytes, memoryview]]:
        # Touching a mapped page that lies behind the end of the file kills the process.
        size = os.fstat(self._file.fileno()).st_size
        if size < offset + length:
            raise self.changed(f"it had {self.size} bytes and now has {size}", stage)
        mapped = self._map(offset, length)
        if mapped is not None:
            with mapped, memoryview(mapped) as whole, whole[len(whole) - length:] as view:
                yield view
            return
        data = self.read_at(offset, length)
        if len(data) < length:
            raise self.changed(f"it had {self.size} bytes and now ends earlier", stage)
        yield data

    def _map(self, offset: int, length: int) -> Optional[mmap.mmap]:
        """Map at least the range, up to its very end; None where the file cannot be mapped."""
        if not self._mappable:
            return None
        before = offset % mmap.ALLOCATIONGRANULARITY
        try:
            return mmap.mmap(
                self._file.fileno(), before + length, access=mmap.ACCESS_READ,
                offset=offset - before,
            )
        except OSError:  # some network and FUSE filesystems have no mmap
            self._mappable = False
        except ValueError:  # cut off since we looked at its size: reading will tell
            pass
        return None

    def is_whole(self) -> bool:
        """Say whether the file has all the bytes of its size.

        Those of /proc have size 0 whatever is in them, those of /sys 4096: only reading tells.
        """
        if not self.size:
            return False
        mapped = self._map(self.size - 1, 1)
        if mapped is not None:
            mapped.close()
            return True
        return bool(self.read_at(self.size - 1, 1))

    def untouched(self, *, stage: Optional[str] = None) -> bool:
        then, now = self._opened, os.fstat(self._file.fileno())
        if now.st_size < then.st_size:
            raise self.changed(f"it had {then.st_size} bytes and now has {now.st_size}", stage)
        if now.st_ino != then.st_ino:
            raise self.changed("it is another file (its inode differs)", stage)
        return (now.st_size, now.st_mtime_ns) == (then.st_size, then.st_mtime_ns)

    def close(self) -> None:
        self._file.close()
