"""The reply that a fault's options describe."""

from __future__ import annotations

import json
from typing import Mapping, Tuple, cast

from .replies import Reply, gateway_page, storage_error

Options = Mapping[str, object]

STORAGE_CODES = {
    400: "InvalidArgument", 403: "AccessDenied", 404: "NoSuchBucket", 408: "RequestTimeout",
    411: "MissingContentLength", 413: "EntityTooLarge", 429: "TooManyRequests",
    500: "InternalError", 503: "ServiceUnavailable",
}


def number(options: Options, name: str, default: float) -> float:
    return cast(float, options.get(name, default))  # Fault has looked at the type


def status_of(options: Options, default: int) -> int:
    return int(number(options, "status", default))


def scripted_reply(stage: str, options: Options, default_status: int) -> Reply:
    status = status_of(options, default_status)
    headers = headers_of(options)
    body = options.get("body")
    if body is None:
        if stage == "put":
            return storage_error(status, STORAGE_CODES.get(status, "Error"), "emulated", headers)
        return gateway_page(status, headers)
    if isinstance(body, (dict, list)):
        body = json.dumps(body)
    data = body if isinstance(body, bytes) else str(body).encode("utf-8")
    if not any(name.lower() == "content-type" for name, _ in headers):
        kind = "text/html" if data.lstrip()[:1] == b"<" else "application/json"
        headers += (("Content-Type", kind),)
    return Reply(status, data, headers)


def headers_of(options: Options) -> Tuple[Tuple[str, str], ...]:
    given = cast(Mapping[str, str], options.get("headers", {}))
    headers = tuple((str(name), str(value)) for name, value in given.items())
    for option, name in (("retry_after", "Retry-After"), ("location", "Location")):
        if option in options:
            headers += ((name, str(options[option])),)
    return headers
