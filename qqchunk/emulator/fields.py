"""The fields the platform insists on, and in which type."""

from __future__ import annotations

import string
from typing import Dict, Tuple

from .behaviour import as_size
from .digests import Digests
from .replies import Refused, bad_request, error_reply

_LOWER_HEX = set(string.hexdigits.lower())


def prepare_fields(body: Dict[str, object]) -> Tuple[int, str, Digests]:
    """Read the six fields of prepare, all of them required."""
    file_type = file_type_of(body)
    size = as_size(body.get("file_size"))
    if not size:
        raise bad_request(f"file_size {body.get('file_size')!r} is no positive number")
    name = body.get("file_name", "")
    if not isinstance(name, str):
        raise bad_request("file_name is no text")
    if not name:
        raise Refused(error_reply(850012), "file_name is missing or empty")
    digests = Digests(
        size,
        hex_digest(body, "md5", 32),
        hex_digest(body, "sha1", 40),
        hex_digest(body, "md5_10m", 32),
    )
    return file_type, name, digests


def file_type_of(body: Dict[str, object]) -> int:
    file_type = body.get("file_type")
    if type(file_type) is not int or file_type not in range(1, 5):  # a bool is an int
        raise bad_request(f"file_type {file_type!r} is no int of 1 … 4")
    return file_type


def hex_digest(body: Dict[str, object], name: str, length: int) -> str:
    """Read a digest: lower-case hex of the right length."""
    value = body.get(name, "")
    if value == "":
        raise Refused(error_reply(850012), f"{name} is missing or empty")
    if not isinstance(value, str) or len(value) != length or not _LOWER_HEX.issuperset(value):
        raise bad_request(f"{name} {value!r} is no lower-case hex of {length} digits")
    return value


def text(body: Dict[str, object], name: str) -> str:
    """Read a text that must be there and not be empty."""
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise bad_request(f"{name} {value!r} is no text")
    return value


def srv_send_msg(body: Dict[str, object]) -> bool:
    """Say whether the file is to be posted at once, as a message of the bot's own accord."""
    value = body.get("srv_send_msg", False)
    if not isinstance(value, bool):
        raise bad_request(f"srv_send_msg {value!r} is no bool")
    return value


def lacks_extension(file_type: int, name: str) -> bool:
    """Say whether a name leaves open of which format the file is, and its type allows only some."""
    return file_type != 4 and "." not in name
