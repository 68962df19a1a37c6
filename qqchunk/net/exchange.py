"""One exchange over HTTP: a request sent, and its answer read up to a limit."""

from __future__ import annotations

import http.client
import zlib
from contextlib import suppress
from dataclasses import dataclass
from typing import Callable, Mapping, Optional, Union

import requests
import urllib3

from .diagnosis import Diagnosis, diagnose, proxy_refusal
from .stopping import Aborted, StopSignal

MAX_SUCCESS_BODY = 4 << 20  # bytes
MAX_ERROR_BODY = 64 << 10
_READ_SIZE = 16 << 10

NETWORK_ERRORS = (
    requests.exceptions.RequestException, urllib3.exceptions.HTTPError,
    http.client.HTTPException, OSError, UnicodeError,
)


@dataclass(frozen=True)
class Answer:
    """A reply as it came: status, headers (case-insensitive) and the body up to its limit."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def exchange(
    send: Callable[[], requests.Response], stop: StopSignal, limit: Optional[float]
) -> Union[Answer, Diagnosis]:
    """Let *send* make one request; return its answer, or why there is none. Raises Aborted.

    :param limit: seconds that it may take, whatever drips in
    """
    with stop.exchange(limit):
        try:
            with _answered(send) as response:
                if response.status_code == 407:
                    return proxy_refusal(407)
                return Answer(response.status_code, response.headers, _read(response))
        except Aborted:
            raise
        except NETWORK_ERRORS as error:
            stop.check()
            return diagnose(error)
        except Exception as error:  # out of the caller's adapter, hook or auth
            failure = error
        raise failure.with_traceback(None)  # whose frames hold tokens and URLs


def _answered(send: Callable[[], requests.Response]) -> requests.Response:
    try:
        response = send()
    except requests.exceptions.HTTPError as error:
        if error.response is None:
            raise
        response = error.response  # a hook of the caller's session called raise_for_status()
    if not isinstance(getattr(response, "status_code", None), int):
        raise TypeError(f"the session answered with a {type(response).__name__}; "
                        "it must answer with a requests.Response, when it has one")
    return response


def _read(response: requests.Response) -> bytes:
    limit = MAX_SUCCESS_BODY if response.status_code < 300 else MAX_ERROR_BODY
    read = getattr(response, "_content", False) is not False or getattr(
        response, "_content_consumed", False)
    if read or not hasattr(response.raw, "stream"):  # by a hook, or made by a mock
        return (response.content or b"")[:limit]
    body = bytearray()
    for block in response.raw.stream(_READ_SIZE, decode_content=False):
        body += block
        if len(body) > limit:
            break  # the connection is closed with the rest unread
    else:
        if getattr(response.raw, "length_remaining", None):  # urllib3 1.26 leaves it at that
            raise http.client.IncompleteRead(bytes(body))
    return _unpacked(bytes(body[:limit]), response.headers.get("Content-Encoding"), limit)


def _unpacked(body: bytes, coding: Optional[str], limit: int) -> bytes:
    """Undo a compression that nobody asked for; urllib3 would do so without a limit."""
    if (coding or "").strip().lower() in ("gzip", "x-gzip", "deflate"):
        with suppress(zlib.error):
            return zlib.decompressobj(32 + zlib.MAX_WBITS).decompress(body, limit)
    return body
