"""Every check of what a user gives, before anything is sent."""

from __future__ import annotations

from typing import Any, Callable, Optional, Protocol, Tuple, Union
from urllib.parse import urlsplit

import requests
from requests.auth import HTTPBasicAuth

from ..net.sessions import Timeout
from ..protocol.retry import Policy
from ..protocol.values import ChatType, FileType, Secret

_MAX_SECONDS = 10 ** 9  # thirty years; the limits of sockets and events are not far above


def check_credentials(
    app_id: Union[None, str, int], client_secret: Union[None, str, type], auth: Any
) -> Tuple[str, Secret]:
    """Return app id and secret as text, empty where *auth* stands for them.

    :param client_secret: as :func:`masked` gives it
    :param auth: as :func:`masked_auth` gives it
    :raises TypeError: one of them is of a wrong type
    :raises ValueError: one of them is missing, or there are two kinds of credentials
    """
    if isinstance(app_id, bool) or not isinstance(app_id, (str, int, type(None))):
        raise TypeError(f"app_id must be text or an int, not {type(app_id).__name__}")
    if isinstance(client_secret, type):
        raise TypeError(f"client_secret must be text, not {client_secret.__name__}")
    if isinstance(auth, type):
        raise TypeError("auth must be a callable or a (user, password) pair, as requests takes it, "
                        f"not {auth.__name__}")
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


def masked_auth(auth: Any) -> Any:
    """Return *auth* as a callable; in place of what requests would not take, its type."""
    if isinstance(auth, tuple) and len(auth) == 2:
        return HTTPBasicAuth(*auth)
    return auth if auth is None or callable(auth) else type(auth)


def check_session(name: str, session: Optional[requests.Session]) -> Optional[requests.Session]:
    """Return *session*, which may be None.

    :raises TypeError: if it is something else, or returns before it has the answer
    """
    origins = {cls.__module__.partition(".")[0] for cls in type(session).__mro__}
    # Not by isinstance(): mocks and caches put other classes in the place of requests.Session.
    if session is not None and ("niquests" in origins or isinstance(session, type)
                                or not hasattr(session, "get_adapter")):
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
        if cache is not None and (
                isinstance(cache, type) or not callable(getattr(cache, method, None))):
            raise TypeError(f"cache must have {method}(), as Django's cache and cachelib's "
                            "SimpleCache() do")
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


def check_chat_type(value: Union[str, ChatType]) -> ChatType:
    """Return *value* as a :class:`ChatType`.

    :raises ValueError: if it is neither ``"c2c"`` nor ``"group"``
    """
    try:
        return ChatType(value)
    except ValueError:
        pass
    raise ValueError(f"chat_type must be 'c2c' or 'group', not {value!r}")


def check_file_type(value: Union[int, FileType]) -> FileType:
    """Return *value* as a :class:`FileType`.

    :raises TypeError: if it is not an int
    :raises ValueError: if it is not 1, 2, 3 or 4
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"file_type must be a FileType or 1-4, not {value!r}")
    try:
        return FileType(value)
    except ValueError:
        pass
    raise ValueError(f"file_type must be a FileType or 1-4, not {value!r}")


def check_file_name(file_name: object) -> Optional[str]:
    """Return *file_name*, which may be None.

    :raises TypeError: if it is no text
    """
    if file_name is not None and not isinstance(file_name, str):
        raise TypeError(f"file_name must be text, not {type(file_name).__name__}")
    return file_name


def check_progress(progress: Any) -> Union[None, bool, Callable[[Any], object]]:
    """Return a callable, True for a bar, or None.

    :raises TypeError: if *progress* is neither a bool nor callable
    """
    if progress is None or progress is False:
        return None
    if not callable(progress) and progress is not True:
        raise TypeError(f"progress must be True or callable, not {type(progress).__name__}")
    bar_or_callback: Union[bool, Callable[[Any], object]] = progress
    return bar_or_callback


class Cancel(Protocol):
    """What ``cancel`` may be: ``threading.Event``, ``multiprocessing.Event``, …"""

    def is_set(self) -> bool: ...


def check_cancel(cancel: Optional[Cancel]) -> Optional[Cancel]:
    """Return *cancel*, which may be None.

    :raises TypeError: if it has no ``is_set()``
    """
    if isinstance(cancel, type) or not (
            cancel is None or callable(getattr(cancel, "is_set", None))):
        raise TypeError(f"cancel must have is_set(), as threading.Event() does, not {cancel!r}")
    return cancel


def check_deadline(deadline: Optional[float]) -> Optional[float]:
    """Return *deadline*, which may be None.

    :raises TypeError: if it is no number
    :raises ValueError: if it is not a number of seconds: a point in time, for example
    """
    if deadline is not None:
        if isinstance(deadline, bool) or not isinstance(deadline, (int, float)):
            raise TypeError(f"deadline must be a number of seconds, not {deadline!r}")
        if not abs(deadline) <= _MAX_SECONDS:
            raise ValueError(f"deadline must be a number of seconds, not {deadline}")
    return deadline


def check_texts(**texts: object) -> None:
    """Make sure that each is text or None.

    :raises TypeError: if one is not
    """
    for name, value in texts.items():
        if value is not None and not isinstance(value, str):
            raise TypeError(f"{name} must be text, not {type(value).__name__}")
