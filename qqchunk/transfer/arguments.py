"""What an ``Uploader`` is told, checked before anything is sent."""

from __future__ import annotations

import os
import re
from contextlib import ExitStack, contextmanager
from posixpath import basename
from typing import Any, Iterator, Optional, Tuple, Union
from urllib.parse import unquote, urlsplit

import requests
from requests.auth import HTTPBasicAuth

from ..net.sessions import Timeout
from ..protocol.calls import Upload, url_call
from ..protocol.retry import Policy
from ..protocol.values import (
    Call,
    ChatType,
    FileType,
    Secret,
    chat_path,
    check_chat_type,
    check_file_type,
    clean_file_name,
    guess_file_type,
)
from ..source.naming import find_name
from ..source.opening import open_source
from ..source.ranges import Source
from .operation import Operation
from .progress import Bar, Callback, Reporter, check_progress

_MAX_SECONDS = 10 ** 9  # thirty years; the limits of sockets and events are not far above


def check_credentials(
    app_id: Union[None, str, int], client_secret: Union[None, str, type], auth: Any
) -> Tuple[str, Secret]:
    """Return app id and secret as text, empty where *auth* stands for them.

    :param client_secret: as :func:`masked` gives it
    :raises TypeError: one of them is of a wrong type
    :raises ValueError: one of them is missing, or there are two kinds of credentials
    """
    if isinstance(app_id, bool) or not isinstance(app_id, (str, int, type(None))):
        raise TypeError(f"app_id must be text or an int, not {type(app_id).__name__}")
    if isinstance(client_secret, type):
        raise TypeError(f"client_secret must be text, not {client_secret.__name__}")
    if auth is not None:
        if client_secret is not None:
            raise ValueError("give either a client_secret or auth, not both")
    elif app_id in (None, "") or not client_secret:
        raise ValueError(
            "an app_id and a client_secret are needed (from the QQ open platform console), "
            "or auth")
    return "" if app_id is None else str(app_id), Secret(client_secret or "")


def masked(secret: object) -> Any:
    """Return a secret so that it does not show; in place of what is no text, its type."""
    if secret is None:
        return None
    return Secret(secret) if isinstance(secret, str) else type(secret)


def check_auth(auth: Any) -> Any:
    """Return *auth* as a callable that does not show its secrets.

    :raises TypeError: if requests would not take it
    """
    if isinstance(auth, tuple) and len(auth) == 2:
        return HTTPBasicAuth(*auth)
    if auth is not None and not callable(auth):
        raise TypeError("auth must be a callable or a (user, password) pair, as requests takes it")
    return auth


def check_session(name: str, session: Optional[requests.Session]) -> Optional[requests.Session]:
    """Return *session*, which may be None.

    :raises TypeError: if it is something else, or returns before it has the answer
    """
    origins = {cls.__module__.partition(".")[0] for cls in type(session).__mro__}
    # Not by isinstance(): mocks and caches put other classes in the place of requests.Session.
    if session is not None and ("niquests" in origins or not hasattr(session, "get_adapter")):
        raise TypeError(f"{name} must be a requests.Session, not {type(session).__name__}")
    if "requests_futures" in origins:
        raise TypeError(f"{name} must be a session whose request() returns the response, not a "
                        "promise of it: an upload sends its parts side by side by itself")
    return session


def check_cache(cache: Any, app_id: str) -> Any:
    """Return *cache*, which may be None.

    :raises TypeError: if it lacks one of the three methods that are called
    :raises ValueError: if there is no *app_id* to tell this bot's files by
    """
    for method in ("get", "set", "delete"):
        if cache is not None and not callable(getattr(cache, method, None)):
            raise TypeError(f"cache must have {method}(), as Django's caches and cachelib's do")
    if cache is not None and not app_id:
        raise ValueError("a cache needs the app_id: a file_info is good for one bot only")
    return cache


def check_url(name: str, url: object) -> str:
    """Return *url* if it is a usable http(s) URL.

    :raises TypeError: if it is not text
    :raises ValueError: if it is anything else
    """
    if not isinstance(url, str):
        raise TypeError(f"{name} must be text, not {type(url).__name__}")
    if not _is_complete(url):
        raise ValueError(f"{name} must be a complete http(s) URL")
    return url


def _is_complete(url: str) -> bool:
    try:
        split = urlsplit(url)
        if not url.isprintable() or " " in url:
            return False
        return split.scheme in ("http", "https") and bool(split.hostname) and split.port != 0
    except ValueError:
        return False


def check_timeout(timeout: object) -> Timeout:
    """Return *timeout* as (connect, read), as requests understands it.

    :raises TypeError: if it is neither a number, a pair nor None
    :raises ValueError: if a number is not positive
    """
    pair = timeout if isinstance(timeout, tuple) else (timeout, timeout)
    if len(pair) != 2:
        raise ValueError("timeout must be a number of seconds or a (connect, read) pair")
    connect, read = (None if n is None else check_number("timeout", n, above=0.0) for n in pair)
    return connect, read


def check_number(name: str, value: object, *, above: Optional[float] = None) -> float:
    """Return a number of seconds that is at least 0, or over *above*.

    :raises TypeError: if it is none
    :raises ValueError: if it is too small, too large or not a number
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number, not {type(value).__name__}")
    good = value > above if above is not None else value >= 0
    if not good:
        raise ValueError(f"{name} must be {'over' if above is not None else 'at least'} 0, "
                         f"not {value}")
    if value > _MAX_SECONDS:
        raise ValueError(f"{name} must be at most {_MAX_SECONDS} seconds")
    return float(value)


def check_count(name: str, value: object, least: int) -> int:
    """Return an int that is at least *least*.

    :raises TypeError: if it is none
    :raises ValueError: if it is too small
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an int, not {type(value).__name__}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, not {value}")
    return value


def check_policy(retries: object, backoff: object) -> Policy:
    """Return the retry policy for the given number of retries and first delay."""
    return Policy(check_count("retries", retries, 0), check_number("backoff", backoff))


def mask_file_info(file: Any) -> Any:
    """Return *file*; a ``file_info`` that somebody takes for a path does not show from here on."""
    looks_like_one = isinstance(file, str) and re.fullmatch(r"[A-Za-z0-9+/_=-]{40,}", file)
    return Secret(file) if looks_like_one and not os.path.lexists(file) else file


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
    if isinstance(file, Secret):
        raise ValueError("this looks like a file_info, which is no path: to send an uploaded file "
                         "again, pass the UploadResult to send()")
    chat = check_chat_type(chat_type)
    chat_path(chat, target_id)  # refuses a bad target before the file is touched
    kind = None if file_type is None else check_file_type(file_type)
    callback = check_progress(progress)
    given = _check_file_name(file_name) or find_name(file)
    name = clean_file_name(given) if given else None
    with ExitStack() as stack:
        source = stack.enter_context(open_source(
            file, name, max_size=max_file_size, check=operation.check))
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
        _check_file_name(file_name) or unquote(basename(urlsplit(secret_url).path)))
    kind = guess_file_type(name) if file_type is None else check_file_type(file_type)
    return url_call(chat, target_id, secret_url, kind, name)


def _check_file_name(file_name: object) -> Optional[str]:
    if file_name is not None and not isinstance(file_name, str):
        raise TypeError(f"file_name must be text, not {type(file_name).__name__}")
    return file_name
