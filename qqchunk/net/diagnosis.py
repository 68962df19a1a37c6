"""What broke on the network, in words without URLs, and whether trying again can help."""

from __future__ import annotations

import errno
import http.client
import os
import re
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Iterator, List, Optional, Tuple, Type

import requests
import urllib3

_FINAL = (
    requests.exceptions.InvalidSchema,
    requests.exceptions.InvalidURL,
    requests.exceptions.MissingSchema,
    requests.exceptions.InvalidHeader,
    urllib3.exceptions.LocationValueError,
)

_WORDS: Tuple[Tuple[Tuple[Type[BaseException], ...], str], ...] = (
    ((socket.gaierror,), "the host name could not be resolved"),
    ((requests.exceptions.ConnectTimeout, urllib3.exceptions.ConnectTimeoutError),
     "connecting timed out"),
    ((requests.exceptions.ReadTimeout, urllib3.exceptions.ReadTimeoutError),
     "there was no answer in time"),
    ((http.client.RemoteDisconnected,), "the connection was closed without an answer"),
    ((http.client.IncompleteRead, requests.exceptions.ChunkedEncodingError,
      urllib3.exceptions.IncompleteRead), "the answer was cut off"),
    ((socket.timeout,), "the transfer made no progress in time"),
    ((http.client.HTTPException,), "the answer is not HTTP"),
    ((ssl.SSLError,), "the TLS connection broke"),
)


# What http.client says of a proxy that refuses a tunnel.
_TUNNEL = re.compile(r"Tunnel connection failed: (\d{3})")

# What TLS says of a server that speaks in clear.
_CLEAR_TEXT = re.compile(
    "wrong.version.number|http.request|unknown.protocol|record.layer.failure", re.IGNORECASE)

_NO_CONNECTION = (
    socket.gaierror,
    ConnectionRefusedError,
    requests.exceptions.ConnectTimeout,
    urllib3.exceptions.ConnectTimeoutError,
    urllib3.exceptions.NewConnectionError,
    ssl.SSLCertVerificationError,
)
_PROXY = (requests.exceptions.ProxyError, urllib3.exceptions.ProxyError)


@dataclass(frozen=True)
class Diagnosis:
    """Why an exchange failed.

    :ivar text: in words, without the URL: presigned ones are secret
    :ivar final: True if trying again cannot help
    :ivar unsent: True if there was no connection, so that nothing can have been sent
    :ivar starved: True if the process was out of file descriptors
    :ivar advice: what the user can do
    """

    text: str
    final: bool = False
    unsent: bool = False
    starved: bool = False
    advice: str = ""


def proxy_refusal(status: int) -> Diagnosis:
    """Say what a proxy's refusal to pass a request on means."""
    if status == 407:
        return replace(_WRONG_CREDENTIALS, text=f"{_WRONG_CREDENTIALS.text} (HTTP {status})")
    return Diagnosis(
        f"the proxy refused to connect to this host (HTTP {status})",
        final=400 <= status < 500 and status not in (408, 429), unsent=True,
        advice="check the proxy's rules, or let this host go past it (no_proxy)")


def diagnose(error: BaseException) -> Diagnosis:
    """Say what is behind an exception of requests, urllib3, ssl or socket."""
    chain = _chain(error)
    proxied = any(isinstance(e, _PROXY) for e in chain)
    prefix = "through the proxy: " if proxied else ""
    for cause in chain:
        final = _final(cause, proxied)
        if final:
            return final
        tunnel = _TUNNEL.search(str(cause)) if isinstance(cause, OSError) else None
        if tunnel:
            return proxy_refusal(int(tunnel.group(1)))
        if isinstance(cause, OSError) and cause.errno in (errno.EMFILE, errno.ENFILE):
            return Diagnosis(
                _out_of_files(), unsent=True, starved=True,
                advice="upload fewer files at a time, lower max_concurrency, or raise the limit "
                "(ulimit -n)")
    if type(error) is OSError and error.errno is None:  # requests on a missing CA bundle
        return _lasting(str(error))
    # A ProxyError alone says nothing: urllib3 1.26 calls any failure behind a proxy one.
    unsent = any(isinstance(e, _NO_CONNECTION) or getattr(e, "unsent", False) for e in chain)
    return Diagnosis(
        prefix + _in_words(chain), unsent=unsent, advice="check the network and the proxy settings")


def _final(cause: BaseException, proxied: bool) -> Optional[Diagnosis]:
    """Say what *cause* is if trying again cannot help."""
    prefix = "through the proxy: " if proxied else ""
    if isinstance(cause, ssl.SSLCertVerificationError):
        # urllib3 1.26 compares the host's name itself, and leaves the attribute out.
        reason = getattr(cause, "verify_message", None) or str(cause)
        return _lasting(
            f"{prefix}the server's certificate is not trusted ({reason})",
            "if a proxy of your network re-signs traffic, give its CA as session.verify or "
            "REQUESTS_CA_BUNDLE")
    if type(cause).__name__ == "CertificateError":
        return _lasting(f"{prefix}the server's certificate is for another host")
    if proxied and isinstance(cause, ssl.SSLError) and _CLEAR_TEXT.search(str(cause)):
        return _lasting("the proxy itself speaks no TLS", "write http://, not https://, in its URL")
    if type(cause).__name__ == "SOCKS5AuthError":
        return _WRONG_CREDENTIALS
    if type(cause).__name__ == "SOCKS5Error" and "not allowed" in str(cause):
        return _lasting(f"the proxy said: {cause}")
    if "SOCKS" in str(cause) and isinstance(cause, requests.exceptions.InvalidSchema):
        return _lasting("a SOCKS proxy needs the package PySocks")
    if isinstance(cause, _FINAL):
        return _lasting("the URL or the proxy setting cannot be used",
                        "check api_url, token_url and the proxies")
    return None


def _lasting(text: str, advice: str = "") -> Diagnosis:
    """Return the diagnosis of what trying again cannot help."""
    return Diagnosis(text, final=True, unsent=True, advice=advice)


_WRONG_CREDENTIALS = _lasting(
    "the proxy wants other credentials", "check the user and the password in its URL")


def _out_of_files() -> str:
    most = ""
    with suppress(ImportError):  # Windows
        import resource

        most = f" (it may have {resource.getrlimit(resource.RLIMIT_NOFILE)[0]})"
    return f"this process has too many open files{most}"


def _in_words(chain: List[BaseException]) -> str:
    # urllib3 makes "refused" and "unreachable" a kind of ConnectTimeoutError.
    told = [e for e in chain if not isinstance(e, urllib3.exceptions.NewConnectionError)]
    for types, words in _WORDS:
        if any(isinstance(e, types) for e in told):
            return words
    for cause in chain:
        if type(cause).__name__ in ("SOCKS4Error", "SOCKS5Error"):
            return f"the proxy said: {cause}"
        if isinstance(cause, OSError) and cause.errno:
            return os.strerror(cause.errno).lower()
    return type(chain[-1]).__name__


def _chain(error: BaseException) -> List[BaseException]:
    found: List[BaseException] = []
    todo: List[BaseException] = [error]
    while todo and len(found) < 50:
        current = todo.pop(0)
        if current not in found:
            found.append(current)
            todo.extend(_behind(current))
    return found


def _behind(error: BaseException) -> Iterator[BaseException]:
    candidates: List[Optional[object]] = [
        *error.args, getattr(error, "reason", None), error.__cause__, error.__context__]
    return (e for e in candidates if isinstance(e, BaseException))
