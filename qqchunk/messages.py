"""The message that carries a file."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any, Dict, Optional

from .codes import DUPLICATE_MESSAGE, FILE_INFO_EXPIRED
from .errors import UploadError
from .names import ChatType
from .operation import Operation
from .protocol import UploadResult, message_call
from .replies import unwrap
from .settings import check_count
from .transport import Transport

_MAX_SEQ = 1_000_000  # small enough for any integer type at the other end


@dataclass(frozen=True)
class Message:
    """What goes to the chat with the file.

    :ivar msg_seq: drawn once, so that a repeat of the message can be told from another one
    """

    content: Optional[str]
    msg_id: Optional[str]
    event_id: Optional[str]
    msg_seq: int

    @classmethod
    def checked(
        cls,
        content: Optional[str],
        msg_id: Optional[str],
        event_id: Optional[str],
        msg_seq: Optional[int],
    ) -> Message:
        """Return the message, with a msg_seq of its own if none is given.

        :raises TypeError: an argument of a wrong type
        :raises ValueError: both *msg_id* and *event_id*, or a *msg_seq* below 0
        """
        for name, value in (("content", content), ("msg_id", msg_id), ("event_id", event_id)):
            if value is not None and not isinstance(value, str):
                raise TypeError(f"{name} must be text, not {type(value).__name__}")
        if msg_id is not None and event_id is not None:
            raise ValueError("a message replies to a msg_id or to an event_id, not to both")
        if msg_seq is None:
            # Not 1: that is what the bot's text reply to the same message will have.
            msg_seq = random.randint(2, _MAX_SEQ)
        return cls(content, msg_id, event_id, check_count("msg_seq", msg_seq, 0))

    def send(
        self,
        operation: Operation,
        transport: Transport,
        chat_type: ChatType,
        target_id: str,
        result: UploadResult,
    ) -> Dict[str, Any]:
        """Send it with the file of *result*; return the platform's reply."""
        operation.enter("message")
        call = message_call(
            chat_type, target_id, result.file_info, msg_seq=self.msg_seq, msg_id=self.msg_id,
            event_id=self.event_id, content=self.content,
            file_name=operation.file_name, file_size=operation.file_size)
        outcome = operation.call(transport.call, call, operation.lifeline)
        error = outcome.error
        if error is not None and outcome.replayed:
            if DUPLICATE_MESSAGE in (error.code, error.err_code):
                return {"id": None, "deduplicated": True}
        return unwrap(outcome.get(), "id")


def is_expired(error: UploadError) -> bool:
    """Say whether a message was refused because its ``file_info`` is too old."""
    return FILE_INFO_EXPIRED in (error.code, error.err_code)
