"""Send files of up to 200 MB to QQ chats from synchronous Python, by the chunked upload.

::

    from qqchunk import Uploader

    with Uploader.from_env() as uploader:  # QQ_BOT_APP_ID and QQ_BOT_CLIENT_SECRET
        uploader.send("c2c", openid, "holiday.mp4", content="Our holiday")

``help(qqchunk.Uploader)`` has every argument, ``help(qqchunk.errors)`` what can go wrong, and
``help(qqchunk.emulator)`` the stand-in for the platform that tests use.
"""

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any, List

if TYPE_CHECKING:
    from . import emulator as emulator
    from . import errors as errors
    from .errors import ApiError as ApiError
    from .errors import AuthenticationError as AuthenticationError
    from .errors import PartFinishTimeoutError as PartFinishTimeoutError
    from .errors import PartUploadError as PartUploadError
    from .errors import ProtocolError as ProtocolError
    from .errors import SourceChangedError as SourceChangedError
    from .errors import TransportError as TransportError
    from .errors import UploadCancelledError as UploadCancelledError
    from .errors import UploadDailyLimitExceededError as UploadDailyLimitExceededError
    from .errors import UploadDeadlineError as UploadDeadlineError
    from .errors import UploadError as UploadError
    from .errors import UploadFileTooLargeError as UploadFileTooLargeError
    from .errors import format_size as format_size
    from .protocol.results import UploadResult as UploadResult
    from .protocol.values import ChatType as ChatType
    from .protocol.values import FileType as FileType
    from .source.hashing import FileHashes as FileHashes
    from .source.hashing import hash_file as hash_file
    from .transfer.progress import Progress as Progress
    from .uploader import Uploader as Uploader

__version__ = "0.2.0"

# Each public name is imported when it is first asked for (PEP 562): pytest imports this package in
# every test run of whoever has installed it, and need not pay for requests and ssl.
_HOMES = {
    "ApiError": "errors",
    "AuthenticationError": "errors",
    "PartFinishTimeoutError": "errors",
    "PartUploadError": "errors",
    "ProtocolError": "errors",
    "SourceChangedError": "errors",
    "TransportError": "errors",
    "UploadCancelledError": "errors",
    "UploadDailyLimitExceededError": "errors",
    "UploadDeadlineError": "errors",
    "UploadError": "errors",
    "UploadFileTooLargeError": "errors",
    "format_size": "errors",
    "UploadResult": "protocol.results",
    "ChatType": "protocol.values",
    "FileType": "protocol.values",
    "FileHashes": "source.hashing",
    "hash_file": "source.hashing",
    "Progress": "transfer.progress",
    "Uploader": "uploader",
}
_MODULES = ("emulator", "errors")  # public ones, there without an import of their own
__all__ = [*_HOMES, "__version__"]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return value


def __dir__() -> List[str]:
    return sorted([*__all__, *_MODULES])  # without what this file itself imports


logging.getLogger(__name__).addHandler(logging.NullHandler())
