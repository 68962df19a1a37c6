"""What can go wrong, as exceptions.

::

    UploadError (RuntimeError)
    ├── UploadDailyLimitExceededError         the bot's quota for today is used up
    ├── UploadFileTooLargeError               over the platform's or the caller's size limit
    ├── ApiError                              any other refusal by the platform
    │   └── AuthenticationError               the credentials were refused, or a fresh token was
    ├── ProtocolError (ValueError)            a reply that makes no sense
    ├── TransportError                        the network, after the retries
    ├── PartUploadError                       storage refused a part for good
    ├── PartFinishTimeoutError (TimeoutError) a part was never confirmed
    ├── SourceChangedError (OSError)          the file changed under the upload
    ├── UploadDeadlineError (TimeoutError)    ``deadline`` passed
    └── UploadCancelledError                  ``cancel`` was set, or the uploader closed

All of them survive ``pickle`` with their attributes.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, Dict, Optional, Tuple, Type


def format_size(n: float) -> str:
    """Return *n* bytes in words a person reads: ``'100.0 B'``, ``'12.3 MB'``; units of 1024."""
    for unit in ("B", "KB", "MB", "GB"):
        if abs(n) < 1023.95:  # what would be rounded up to 1024.0 belongs to the next unit
            return f"{n:.1f} {unit}"
        n /= 1024
    return f"{n:.1f} TB"


class Again(Enum):
    """Whether, and how, the exchange that ended in an error may be made again."""

    NEVER = "never"
    BACKOFF = "backoff"  # as often as the caller's ``retries`` says
    ONCE = "once"  # one more time, if ``retries`` allows it
    TWICE = "twice"  # at most two more times, and no more than ``retries``
    RATE = "rate"  # by the clock, after Retry-After or a back-off
    BUSY = "busy"  # by the clock, at a steady pace
    TOKEN = "token"  # once, with a new access token
    FRESH = "fresh"  # not on this URL: after a fresh prepare


ADVICE = " - "  # stands between what happened and what the user can do


class UploadError(RuntimeError):
    """The root of everything this package raises about an upload.

    Every attribute is None where there is nothing to say, ``retryable`` False:

    :ivar file_name: the name the file goes by at the platform
    :ivar file_size: its size in bytes
    :ivar stage: ``open``, ``hash``, ``token``, ``prepare``, ``put``, ``finish``, ``complete``,
        ``url`` or ``message``
    :ivar http_status: the HTTP status of the reply that ended it
    :ivar code: the platform's ``code``
    :ivar err_code: the platform's ``err_code``, which may differ from ``code``
    :ivar trace_id: the platform's trace id: name it when you ask its support
    :ivar retryable: True if the same call may well succeed later
    :ivar retry_after: seconds the platform asked to wait
    :ivar result: from a ``send`` that failed after the upload, the :class:`UploadResult`: it can
        be sent again without another upload
    """

    # What protocol.ladder decides by; kept only where they differ from this.
    again = Again.NEVER
    ambiguous = False  # True if what failed may have taken effect all the same
    _advice = ""

    def __init__(
        self,
        message: str = "",
        *,
        file_name: Optional[str] = None,
        file_size: Optional[int] = None,
        stage: Optional[str] = None,
        http_status: Optional[int] = None,
        code: Optional[int] = None,
        err_code: Optional[int] = None,
        trace_id: Optional[str] = None,
        retryable: bool = False,
        retry_after: Optional[float] = None,
        advice: str = "",
        again: Again = Again.NEVER,
        ambiguous: bool = False,
    ) -> None:
        super().__init__(f"{message}{ADVICE}{advice}" if advice else message)
        self.file_name = file_name
        self.file_size = file_size
        self.stage = stage
        self.http_status = http_status
        self.code = code
        self.err_code = err_code
        self.trace_id = trace_id
        self.retryable = retryable or again not in (Again.NEVER, Again.TOKEN)
        self.retry_after = retry_after
        self.result: Optional[Any] = None
        kept = {"again": again, "ambiguous": ambiguous, "_advice": advice}
        vars(self).update({n: v for n, v in kept.items() if v != getattr(UploadError, n)})

    @property
    def brief(self) -> str:
        """What happened, without the advice at the end of ``str()``: for a line in a log."""
        text, end = str(self), ADVICE + self._advice
        return text[:-len(end)] if self._advice and text.endswith(end) else text

    def advise(self, advice: str) -> None:
        """Put *advice* in place of what the text says the user can do."""
        self.args = (f"{self.brief}{ADVICE}{advice}",)
        self._advice = advice

    def __reduce__(self) -> Tuple[Any, ...]:
        return _restore, (type(self), self.args, dict(self.__dict__))


def _restore(
    cls: Type[UploadError], args: Tuple[Any, ...], attributes: Dict[str, Any]
) -> UploadError:
    """Make the exception again without its constructor, whose signatures differ."""
    error = BaseException.__new__(cls) if not issubclass(cls, OSError) else OSError.__new__(cls)
    error.args = args
    error.__dict__.update(attributes)
    return error


class UploadDailyLimitExceededError(UploadError):
    """The bot has used up its daily upload quota (40093002, about 2 GB a day)."""

    def __init__(
        self, file_name: Optional[str], file_size: Optional[int], message: str = "", **facts: Any
    ) -> None:
        if not message:
            message = f"{file_name} ({_size(file_size)}): the bot's daily upload quota is used up"
            facts["advice"] = "try again tomorrow or with a smaller file"
        super().__init__(message, file_name=file_name, file_size=file_size, **facts)

    @property
    def file_size_human(self) -> str:
        """The file's size in words, ``'unknown'`` if it is not known."""
        return _size(self.file_size)


class UploadFileTooLargeError(UploadError):
    """The file is over a size limit: ``max_file_size``, the platform's, or a gateway's.

    :ivar limit_bytes: the limit in bytes, 0 if the platform did not say
    """

    def __init__(
        self, file_name: Optional[str], file_size: Optional[int], limit_bytes: int = 0,
        message: str = "", **facts: Any,
    ) -> None:
        if not message:
            limit = _size(limit_bytes)
            message = f"{file_name} ({_size(file_size)}) is over the size limit ({limit})"
            facts["advice"] = "send a smaller file"
        super().__init__(message, file_name=file_name, file_size=file_size, **facts)
        self.limit_bytes = limit_bytes

    @property
    def file_size_human(self) -> str:
        """The file's size in words, ``'unknown'`` if it is not known."""
        return _size(self.file_size)

    @property
    def limit_human(self) -> str:
        """The limit in words, ``'unknown'`` at 0."""
        return _size(self.limit_bytes)


def _size(n: Optional[int]) -> str:
    return format_size(n) if n else "unknown"


class ApiError(UploadError):
    """The platform refused.

    :ivar message: the platform's own words, ``""`` if it gave none
    """

    def __init__(self, text: str = "", *, message: str = "", **facts: Any) -> None:
        super().__init__(text, **facts)
        self.message = message


class AuthenticationError(ApiError):
    """The credentials were refused, or a fresh access token was."""


class ProtocolError(UploadError, ValueError):
    """A reply of the platform makes no sense, so the call went no further."""


class TransportError(UploadError):
    """The network failed, and went on failing after the retries."""


class PartUploadError(UploadError):
    """Storage refused a part for good.

    :ivar part_index: the server's own number of the part
    :ivar attempts: how often the part was sent
    """

    def __init__(
        self, message: str = "", *, part_index: Optional[int] = None, attempts: int = 0,
        **facts: Any,
    ) -> None:
        super().__init__(message, **facts)
        self.part_index = part_index
        self.attempts = attempts


class PartFinishTimeoutError(UploadError, TimeoutError):
    """A part was never confirmed: the platform answered 40093001 (busy) past every remedy.

    :ivar part_index: the server's own number of the part
    :ivar waited: seconds spent polling for it
    """

    def __init__(
        self, message: str = "", *, part_index: Optional[int] = None, waited: float = 0.0,
        **facts: Any,
    ) -> None:
        super().__init__(message, **facts)
        self.part_index = part_index
        self.waited = waited


class SourceChangedError(UploadError, OSError):
    """The file shrank or was rewritten while it was being uploaded."""


class UploadDeadlineError(UploadError, TimeoutError):
    """The ``deadline`` passed before the call was done."""


class UploadCancelledError(UploadError):
    """``cancel`` was set, or the uploader was closed, before the call was done."""
