"""What broke on the network, in words without URLs, and whether trying again can help."""

from __future__ import annotations

import http.client
import os
import socket
import ssl
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


@dataclass(frozen=True)
class Diagnosis:
    """Why an exchange failed.

    :ivar text: in words, without the URL: presigned ones are secret
    :ivar final: True if trying again cannot help
    :ivar unsent: True if there was no connection, so that nothing can have been sent
    """

    text: str
    final: bool = False
    unsent: bool = False


_NO_CONNECTION = (
    socket.gaierror, ConnectionRefusedError, ssl.SSLCertVerificationError,
    urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError,
    requests.exceptions.ConnectTimeout,
)


def diagnose(error: BaseException) -> Diagnosis:
    """Say what is behind an exception of requests, urllib3, ssl or socket."""
    chain = _chain(error)
    found = _name_cause(error, chain)
    unsent = found.final or any(isinstance(cause, _NO_CONNECTION) for cause in chain)
    return replace(found, unsent=unsent)


def _name_cause(error: BaseException, chain: List[BaseException]) -> Diagnosis:
    proxy = any(isinstance(e, (requests.exceptions.ProxyError, urllib3.exceptions.ProxyError))
                for e in chain)
    prefix = "through the proxy: " if proxy else ""
    for cause in chain:
        if isinstance(cause, ssl.SSLCertVerificationError):
            # urllib3 1.26 compares the host's name itself, and leaves the attribute out.
            reason = getattr(cause, "verify_message", None) or str(cause)
            return Diagnosis(
                f"{prefix}the server's certificate is not trusted ({reason}); "
                "if a proxy of your network re-signs traffic, give its CA as session.verify or "
                "REQUESTS_CA_BUNDLE", final=True)
        if type(cause).__name__ == "CertificateError":
            return Diagnosis(f"{prefix}the server's certificate is for another host", final=True)
        if "SOCKS" in str(cause) and isinstance(cause, requests.exceptions.InvalidSchema):
            return Diagnosis("a SOCKS proxy needs the package PySocks", final=True)
        if isinstance(cause, _FINAL):
            return Diagnosis(
                "the URL or the proxy setting cannot be used: check api_url, token_url and "
                "the proxies", final=True)
    if type(error) is OSError and error.errno is None:  # requests on a missing CA bundle
        return Diagnosis(str(error), final=True)
    return Diagnosis(prefix + _in_words(chain))


def _in_words(chain: List[BaseException]) -> str:
    # urllib3 makes "refused" and "unreachable" a kind of ConnectTimeoutError.
    told = [e for e in chain if not isinstance(e, urllib3.exceptions.NewConnectionError)]
    for types, words in _WORDS:
        if any(isinstance(e, types) for e in told):
            return words
    for cause in chain:
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
