"""The message that carries a file."""

from __future__ import annotations

import logging
import random
from typing import Any, Callable, Dict, NamedTuple, Optional

from ..errors import ADVICE, ApiError, UploadDeadlineError
from ..net.transport import Transport
from ..protocol.calls import message_call
from ..protocol.codes import DUPLICATE_MESSAGE, FILE_INFO_EXPIRED, is_unclear
from ..protocol.replies import unwrap
from ..protocol.results import UploadResult
from ..protocol.values import ChatType
from .arguments import check_count
from .operation import Operation

log = logging.getLogger(__name__)

_MAX_SEQ = 1_000_000  # small enough for any integer type at the other end


class Message(NamedTuple):
    """What goes to the chat with the file.

    :ivar msg_seq: drawn once, so that a repeat of the message can be told from another one
    :ivar own_seq: True if the user gave it, so that a later call can have the same
    """

    content: Optional[str]
    msg_id: Optional[str]
    event_id: Optional[str]
    msg_seq: int
    own_seq: bool

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
        # Not 1: that is what the bot's text reply to the same message will have.
        drawn = random.randint(2, _MAX_SEQ) if msg_seq is None else msg_seq
        return cls(
            content, msg_id, event_id, check_count("msg_seq", drawn, 0), msg_seq is not None)

    def send(
        self,
        operation: Operation,
        transport: Transport,
        chat_type: ChatType,
        target_id: str,
        result: UploadResult,
        renew: Optional[Callable[[], UploadResult]] = None,
    ) -> Dict[str, Any]:
        """Send it with the file of *result*; return the platform's reply.

        :param renew: uploads the file once more, if its ``file_info`` turns out to be too old
        """
        try:
            return self._send(operation, transport, chat_type, target_id, result)
        except ApiError as error:
            if renew is None or FILE_INFO_EXPIRED not in (error.code, error.err_code):
                raise
            log.warning("%s; uploading it again", error.brief)
        return self._send(operation, transport, chat_type, target_id, renew())

    def _send(
        self, operation: Operation, transport: Transport, chat_type: ChatType, target_id: str,
        result: UploadResult,
    ) -> Dict[str, Any]:
        operation.enter("message")
        subject = operation.file_name or "the file"
        call = message_call(
            chat_type, target_id, result.file_info, msg_seq=self.msg_seq, msg_id=self.msg_id,
            event_id=self.event_id, content=self.content,
            file_name=operation.file_name, file_size=operation.file_size)
        try:
            outcome = operation.run(transport.call, call, operation.stop_signal)
        except UploadDeadlineError as too_late:
            too_late.retryable = self._may_be_repeated
            raise
        error = outcome.error
        if error is not None and outcome.replayed:
            if DUPLICATE_MESSAGE in (error.code, error.err_code):
                log.info("%s: the platform has the message already", subject)
                return {"id": None, "deduplicated": True}
        if error is not None and is_unclear(error) and not self._may_be_repeated:
            # Whoever tries again what is retryable would post it twice.
            error.retryable = False
            error.args = (f"{error.brief}{ADVICE}it may have been sent all the same: look in the "
                          "chat before you send it again",)
        reply = unwrap(outcome.get(), "id")
        log.info("%s: sent to a %s chat", subject, chat_type.value)
        return reply

    @property
    def _may_be_repeated(self) -> bool:
        """Say whether the platform would tell a second call of the user's from another message."""
        return self.own_seq and bool(self.msg_id or self.event_id)
