"""Where the bytes of uploads lie: the two things the emulator asks of a storage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Protocol, Sequence

from .digests import Bytes


@dataclass(frozen=True)
class StoragePart:
    """One part of an upload, as a storage is told of it."""

    #: Place in the file, counted from 1 as S3 counts its ``PartNumber``.
    number: int
    #: Number which the client was given; it counts from ``index_base``.
    index: int
    #: Planned length in bytes.
    size: int
    #: What part_finish said of the bytes sent; None while no part_finish was taken.
    told_md5: Optional[str] = None
    told_size: Optional[int] = None


class StorageError(Exception):
    """Raised by :meth:`Storage.assembled` if what came is not the upload.

    The text goes to ``Emulator.refusals``, the client gets the platform's 850019.
    """


class Storage(Protocol):
    """A storage for ``Emulator(storage=…)``, such as a bucket of a real S3 store.

    Clients PUT straight to it, so it alone judges signature, expiry and length, and the emulator
    sees none of the PUTs: faults of the stage ``put``, ``expire_urls()`` and the check of a part
    at part_finish are for the emulator's own storage, which is used if none is given.

    Both methods are called from the threads that serve requests, for several uploads at once,
    but never twice at once for one upload. An upload that is never completed is not taken leave
    of: a storage clears up by itself. Any other exception than those named breaks the connection
    of the client that called.
    """

    def presigned_urls(
        self, upload_id: str, parts: Sequence[StoragePart], lifetime: float
    ) -> Sequence[str]:
        """Begin an upload: give a URL to PUT each part to, in the order of ``parts``.

        Called once for each upload, while prepare is answered. For S3: ``create_multipart_upload``
        with ``upload_id`` as the key, then one presigned ``upload_part`` for each ``number``.

        :param upload_id: letters, digits and underscores; new for each prepare.
        :param parts: at least one, by ``number``; nothing is told of their bytes yet.
        :param lifetime: seconds until the URLs shall end, ``Behaviour.url_ttl``.
        """

    def assembled(self, upload_id: str, parts: Sequence[StoragePart]) -> Sequence[Bytes]:
        """End an upload: give the whole file in pieces of any length, in order.

        Called while complete is answered, every part having been confirmed; once more if complete
        is called again after a failure, never after it succeeded. The emulator compares size and
        digests of the whole with what prepare was told. For S3: ``complete_multipart_upload`` with
        each part's ``told_md5`` as its ETag, then ``get_object``.

        :param parts: those of :meth:`presigned_urls`, now with what part_finish said of them.
        :raises StorageError: if a part is missing or is not the one which part_finish described.
        """
