"""One exchange over HTTP: a request goes out, its answer is read within limits."""

from __future__ import annotations

import http.client
import zlib
from contextlib import suppress
from dataclasses import dataclass
from typing import Callable, Mapping, Optional, Union

import requests
import urllib3

from .diagnosis import Diagnosis, diagnose
from .stopping import Aborted, StopSignal

MAX_SUCCESS_BODY = 4 << 20  # bytes
MAX_ERROR_BODY = 64 << 10
_READ_SIZE = 16 << 10

_NETWORK_ERRORS = (
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
    send: Callable[[], requests.Response],
    stop: StopSignal,
    limit: Optional[float] = None,
) -> Union[Answer, Diagnosis]:
    """Send one request and read its answer; or say what broke. Blocks; raises Aborted.

    :param send: sends it; the body of the response is still to be read
    :param limit: seconds that all of it may take
    """
    with stop.exchange(limit):
        try:
            with _answered(send) as response:
                return Answer(response.status_code, response.headers, _read(response))
        except Aborted:
            raise
        except _NETWORK_ERRORS as error:
            stop.check()
            return diagnose(error)
        except Exception as error:  # out of the caller's adapter, hook or auth
            failure = error
        raise failure.with_traceback(None)  # whose frames hold tokens and URLs


def _answered(send: Callable[[], requests.Response]) -> requests.Response:
    try:
        return send()
    except requests.exceptions.HTTPError as error:
        if error.response is None:
            raise
        return error.response  # a hook of the caller's session called raise_for_status()


def _read(response: requests.Response) -> bytes:
    limit = MAX_SUCCESS_BODY if response.status_code < 300 else MAX_ERROR_BODY
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
