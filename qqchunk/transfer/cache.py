"""Reusable ``file_info``: which upload may use it, and for how long."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from datetime import datetime, timezone
from typing import Any, Callable, Optional, Protocol

from ..errors import UploadError
from ..protocol.calls import Upload
from ..protocol.replies import read_text
from ..protocol.results import UploadResult
from ..protocol.values import FileType, Secret

MARGIN = 60  # seconds: a file_info is not used in its last minute, a message takes time too

#: Has the caller's cache called where a slow one holds up nobody for ever.
Run = Callable[[Callable[[], Any]], Any]

log = logging.getLogger(__name__)


class Cache(Protocol):
    """What ``cache`` may be: Django's caches and cachelib's fit as they are."""

    def get(self, key: str, /) -> Any:
        """Return the value kept under *key*, or None."""

    def set(self, key: str, value: Any, timeout: Any, /) -> Any:
        """Keep *value* under *key* for *timeout* seconds."""

    def delete(self, key: str, /) -> Any:
        """Forget what is kept under *key*."""


class FileInfoCache:
    """Keeps results in a cache of the caller's, which may be shared by many processes.

    A cache that fails costs an upload, never more: it is logged and passed over.

    :param cache: None for none: then nothing is ever found
    :param scope: what sets this bot apart from others in the same cache
    :param clock: seconds since the epoch
    """

    def __init__(
        self, cache: Optional[Cache], scope: str,
        clock: Callable[[], float] = lambda: time.time(),  # which a test may have frozen
    ) -> None:
        self._cache = cache
        self._scope = scope
        self._clock = clock

    def key(self, upload: Upload, md5: str, sha1: str) -> str:
        """Return the key of a file: the chat type is part of it, the target is not."""
        # The platform bakes the name into results of type FILE only.
        name = upload.file_name if upload.file_type is FileType.FILE else None
        facts = json.dumps([
            self._scope, upload.chat_type.value, int(upload.file_type), upload.file_size,
            md5, sha1, name])
        return "qqchunk-" + hashlib.sha256(facts.encode()).hexdigest()[:40]

    def get(self, key: str, run: Run) -> Optional[UploadResult]:
        """Return the result kept under *key* if it is still good, else None."""
        value = self._try(run, "get", key)
        try:
            kept = json.loads(value)
            file_info, file_uuid = read_text(kept["file_info"]), read_text(kept["file_uuid"])
            expires = float(kept["expires_at"])
            expires_at = datetime.fromtimestamp(expires, timezone.utc)
        except (TypeError, ValueError, KeyError, OverflowError, OSError, RecursionError):
            return None  # nothing there, or not of our making
        if file_info is None or expires - MARGIN <= self._clock():
            return None
        return UploadResult(
            file_info=Secret(file_info),
            file_uuid=file_uuid,
            ttl=int(expires - self._clock()),
            expires_at=expires_at,
            reused=True,
            raw={**kept, "file_info": Secret(file_info)},
        )

    def set(self, key: str, result: UploadResult, run: Run) -> None:
        """Keep *result* until a minute before its end, if it has one that is further off.

        If the call is stopped meanwhile, its result is there all the same.
        """
        if result.ttl is None or result.ttl <= MARGIN or result.expires_at is None:
            return
        value = Secret(json.dumps({
            "file_info": result.file_info,
            "file_uuid": result.file_uuid,
            "expires_at": result.expires_at.timestamp(),
        }))
        timeout = result.ttl - MARGIN
        try:
            self._try(run, "set", key, value, timeout)
        except UploadError as error:
            log.warning("the cache was not waited for (%s)", error.brief)

    def delete(self, key: str, run: Run) -> None:
        """Forget what is kept under *key*."""
        self._try(run, "delete", key)

    def _try(self, run: Run, name: str, *args: object) -> Any:
        if self._cache is None:
            return None
        try:
            # Here, on the caller's thread: Django's cache makes the object that holds its
            # connections for the context in which it is first looked at.
            method = getattr(self._cache, name)
        except Exception as error:
            log.warning("the cache failed to %s (%s)", name, type(error).__name__)
            return None
        return run(lambda: self._call(name, method, *args))

    def _call(self, name: str, method: Callable[..., Any], *args: object) -> Any:
        try:
            return method(*(str(a) if isinstance(a, Secret) else a for a in args))
        except Exception as error:  # whatever the caller's cache raises
            log.warning("the cache failed to %s (%s)", name, type(error).__name__)
            return None
