"""An upload up to its transfer: arguments checked, file opened and hashed, cache asked."""

from __future__ import annotations

import logging
import os
import re
import time
from contextlib import ExitStack, contextmanager
from functools import partial
from posixpath import basename
from typing import Any, Callable, Iterator, Optional, Tuple, Union
from urllib.parse import unquote, urlsplit

from ..errors import format_size
from ..protocol.calls import Upload, url_call
from ..protocol.results import UploadResult
from ..protocol.values import (
    Call,
    ChatType,
    FileType,
    Secret,
    chat_path,
    clean_file_name,
    guess_file_type,
)
from ..source.hashing import FileHashes, hash_source
from ..source.naming import find_name
from ..source.opening import open_source
from ..source.ranges import Source
from .arguments import check_chat_type, check_file_name, check_file_type, check_progress, check_url
from .operation import Operation
from .progress import Bar, Callback, Reporter
from .settings import Settings

log = logging.getLogger(__name__)


def mask_file_info(file: Any) -> Any:
    """Return *file*; a ``file_info`` that somebody takes for a path does not show from here on."""
    looks_like_one = isinstance(file, str) and re.fullmatch(r"[A-Za-z0-9+/_=-]{40,}", file)
    return Secret(file) if looks_like_one and not os.path.lexists(file) else file


@contextmanager
def opened_upload(
    operation: Operation,
    settings: Settings,
    chat_type: Union[str, ChatType],
    target_id: str,
    file: Any,
    file_type: Union[None, int, FileType],
    file_name: Optional[str],
    progress: Union[None, bool, Callback],
) -> Iterator[Tuple[Upload, Source]]:
    """Check the arguments, open the file, and tell *operation* what it is about.

    :raises TypeError: an argument of a wrong type
    :raises ValueError: an argument of a wrong value
    :raises OSError: the file cannot be read
    :raises ImportError: a bar is wanted and tqdm is not installed
    :raises UploadFileTooLargeError: over *max_file_size* of the *settings*
    """
    if isinstance(file, Secret):
        raise ValueError("this looks like a file_info, which is no path: to send an uploaded file "
                         "again, pass the UploadResult to send()")
    chat = check_chat_type(chat_type)
    chat_path(chat, target_id)  # refuses a bad target before the file is touched
    kind = None if file_type is None else check_file_type(file_type)
    wanted = check_progress(progress)
    callback = Bar() if wanted is True else wanted or None
    given = check_file_name(file_name) or find_name(file)
    name = clean_file_name(given) if given else None
    with ExitStack() as stack:
        source = stack.enter_context(open_source(
            file, name, max_size=settings.max_file_size, check=operation.check))
        stack.callback(operation.stop)  # before the source is closed under those who read it
        operation.file_name, operation.file_size = source.name, source.size
        if isinstance(callback, Bar):
            callback.open(source.name, source.size)
            stack.callback(callback.close)
        operation.reporter = Reporter(callback, source.size)
        kind = kind or guess_file_type(source.name)
        yield Upload(chat, target_id, kind, source.name, source.size), source


def checked_url_call(
    chat_type: Union[str, ChatType],
    target_id: str,
    url: str,
    file_type: Union[None, int, FileType],
    file_name: Optional[str],
) -> Call:
    """Return the call that lets the platform download *url*.

    :raises TypeError: an argument of a wrong type
    :raises ValueError: an argument of a wrong value
    """
    chat = check_chat_type(chat_type)
    secret_url = Secret(check_url("url", url))
    name = clean_file_name(
        check_file_name(file_name) or unquote(basename(urlsplit(secret_url).path)))
    kind = guess_file_type(name) if file_type is None else check_file_type(file_type)
    return url_call(chat, target_id, secret_url, kind, name)


def reuse_or_transfer(
    operation: Operation, settings: Settings, upload: Upload, source: Source,
    transfer: Callable[[Operation, Upload, Source, FileHashes], UploadResult], *, use_cache: bool,
) -> UploadResult:
    """Hash the file; return the result that the cache has for it, or what *transfer* gives.

    Meanwhile the token is fetched.

    :param use_cache: False to forget what the cache has
    """
    cache, transport = settings.cache, settings.transport
    began = time.monotonic()
    size = format_size(upload.file_size)
    log.info("%s: uploading %s for a %s chat", upload.file_name, size, upload.chat_type.value)
    operation.enter("hash")
    token = None
    if transport.needs_token:  # fetched meanwhile
        stop = operation.stop_signal
        token = operation.submit(
            transport.token, stop,
            lambda: operation.submit(transport.connect_ahead, stop))
    hashes = hash_source(source, partial(operation.check, token))
    key = cache.key(upload, hashes.md5, hashes.sha1)
    result = None
    if use_cache:
        result = cache.get(key, operation.run_for_cache)
    else:
        cache.delete(key, operation.run_for_cache)
    if result is None:
        if token is not None:
            operation.enter("prepare")
            operation.wait_for(token)
        result = operation.run(transfer, operation, upload, source, hashes)
        cache.set(key, result, operation.run_for_cache)
    log.info(
        "%s: %s %s in %.1f s", upload.file_name,
        "reused" if result.reused else "uploaded", size, time.monotonic() - began)
    return result
