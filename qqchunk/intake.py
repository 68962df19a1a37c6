"""From what a user gives to what goes over the wire, checked before anything is sent."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from posixpath import basename
from typing import Any, Iterator, Optional, Tuple, Union
from urllib.parse import unquote, urlsplit

from .names import (
    ChatType,
    FileType,
    Secret,
    chat_path,
    check_chat_type,
    check_file_type,
    clean_file_name,
    guess_file_type,
)
from .operation import Operation
from .progress import Bar, Callback, Reporter, check_progress
from .protocol import Upload, url_call
from .ranges import Source
from .replies import Call
from .settings import check_url
from .source import open_source


@contextmanager
def opened_upload(
    operation: Operation,
    chat_type: Union[str, ChatType],
    target_id: str,
    file: Any,
    file_type: Union[None, int, FileType],
    file_name: Optional[str],
    progress: Union[None, bool, Callback],
    max_file_size: int,
) -> Iterator[Tuple[Upload, Source]]:
    """Check the arguments, open the file, and tell *operation* what it is about.

    :raises TypeError: an argument of a wrong type
    :raises ValueError: an argument of a wrong value
    :raises OSError: the file cannot be read
    :raises ImportError: a bar is wanted and tqdm is not installed
    :raises UploadFileTooLargeError: over *max_file_size* bytes
    """
    chat = check_chat_type(chat_type)
    chat_path(chat, target_id)  # refuses a bad target before the file is touched
    kind = None if file_type is None else check_file_type(file_type)
    callback = check_progress(progress)
    with ExitStack() as stack:
        source = stack.enter_context(open_source(
            file, file_name, max_size=max_file_size, check=operation.check))
        stack.callback(operation.stop)  # before the source is closed under those who read it
        name = source.name
        operation.file_name, operation.file_size = name, source.size
        if isinstance(callback, Bar):
            callback.open(name, source.size)
            stack.callback(callback.close)
        operation.reporter = Reporter(callback, source.size)
        yield Upload(chat, target_id, kind or guess_file_type(name), name, source.size), source


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
    if file_name is not None and not isinstance(file_name, str):
        raise TypeError(f"file_name must be text, not {type(file_name).__name__}")
    secret_url = Secret(check_url("url", url))
    name = clean_file_name(file_name or unquote(basename(urlsplit(secret_url).path)))
    kind = guess_file_type(name) if file_type is None else check_file_type(file_type)
    return url_call(chat, target_id, secret_url, kind, name)
