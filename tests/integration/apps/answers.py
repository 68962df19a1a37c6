"""What a web bot answers when a file could not be sent: an HTTP status, and words for a person."""

from __future__ import annotations

from typing import Tuple

from qqchunk import (
    AuthenticationError,
    UploadDailyLimitExceededError,
    UploadDeadlineError,
    UploadError,
    UploadFileTooLargeError,
)


def explain(error: UploadError) -> Tuple[int, str]:
    """Return the HTTP status and the text of the answer for *error*."""
    if isinstance(error, UploadFileTooLargeError):
        if error.limit_bytes:
            return 413, f"{error.file_name} is too large: the limit is {error.limit_human}."
        return 413, f"{error.file_name} is too large with its {error.file_size_human}."
    if isinstance(error, UploadDailyLimitExceededError):
        return 429, "The bot has sent as much as it may today. Please try again tomorrow."
    if isinstance(error, UploadDeadlineError):
        if error.stage == "message":  # the platform may have it, only its answer is missing
            return 504, f"{error.file_name} may have been sent. Please look into the chat first."
        return 504, f"{error.file_name} took too long to send. A smaller file may get through."
    if isinstance(error, AuthenticationError):
        return 500, "The bot cannot log in to QQ. Its operator has been told."
    if error.retryable:
        return 503, "QQ does not take the file at the moment. Please try again in a minute."
    return 502, f"QQ did not take the file: {error}"
