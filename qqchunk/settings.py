"""What an ``Uploader`` is told, checked before anything is sent."""

from __future__ import annotations

from typing import Any, Optional, Tuple, Union
from urllib.parse import urlsplit

from requests.auth import HTTPBasicAuth

from .names import Secret
from .retry import Policy
from .sessions import Timeout


def check_credentials(
    app_id: Union[None, str, int], client_secret: Optional[str], auth: Any
) -> Tuple[str, Secret]:
    """Return app id and secret as text, empty where *auth* stands for them.

    :raises TypeError: one of them is of a wrong type
    :raises ValueError: one of them is missing, or there are two kinds of credentials
    """
    if isinstance(app_id, bool) or not isinstance(app_id, (str, int, type(None))):
        raise TypeError(f"app_id must be text or an int, not {type(app_id).__name__}")
    if not isinstance(client_secret, (str, type(None))):
        raise TypeError(f"client_secret must be text, not {type(client_secret).__name__}")
    if auth is not None:
        if client_secret is not None:
            raise ValueError("give either a client_secret or auth, not both")
    elif app_id in (None, "") or not client_secret:
        raise ValueError(
            "an app_id and a client_secret are needed (from the QQ open platform console), "
            "or auth")
    return "" if app_id is None else str(app_id), Secret(client_secret or "")


def check_auth(auth: Any) -> Any:
    """Return *auth* as a callable that does not show its secrets.

    :raises TypeError: if requests would not take it
    """
    if isinstance(auth, tuple) and len(auth) == 2:
        return HTTPBasicAuth(*auth)
    if auth is not None and not callable(auth):
        raise TypeError("auth must be a callable or a (user, password) pair, as requests takes it")
    return auth


def check_url(name: str, url: object) -> str:
    """Return *url* if it is a usable http(s) URL.

    :raises TypeError: if it is not text
    :raises ValueError: if it is anything else
    """
    if not isinstance(url, str):
        raise TypeError(f"{name} must be text, not {type(url).__name__}")
    try:
        split = urlsplit(url)
        good = split.scheme in ("http", "https") and bool(split.hostname) and split.port != 0
    except ValueError:
        good = False
    if not good:
        raise ValueError(f"{name} must be a complete http(s) URL")
    return url


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
    """Return a number that is at least 0, or over *above*.

    :raises TypeError: if it is none
    :raises ValueError: if it is too small or not finite
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number, not {type(value).__name__}")
    good = value > above if above is not None else value >= 0
    if not good or value == float("inf"):
        raise ValueError(f"{name} must be {'over' if above is not None else 'at least'} 0, "
                         f"not {value}")
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
