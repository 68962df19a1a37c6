"""The message that carries a file."""

from __future__ import annotations

import logging
import random
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Callable, Dict, Optional

from ..errors import UploadError
from ..net.outcome import Doubt, Outcome
from ..net.transport import Transport
from ..protocol.calls import message_call
from ..protocol.codes import FILE_INFO_EXPIRED, FILE_INFO_INVALID
from ..protocol.ladder import Step
from ..protocol.replies import plain, unwrap
from ..protocol.results import UploadResult
from ..protocol.values import ChatType, Reply
from .arguments import check_count, check_texts
from .operation import Operation

log = logging.getLogger(__name__)

_MAX_SEQ = 1_000_000  # small enough for any integer type at the other end

# Not the module's own: a program that seeds that would draw the same numbers again, and the
# platform would drop its messages as duplicates.
_random = random.SystemRandom()


@dataclass(frozen=True)
class Message:
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
        check_texts(content=content, msg_id=msg_id, event_id=event_id)
        if msg_id is not None and event_id is not None:
            raise ValueError("a message replies to a msg_id or to an event_id, not to both")
        # Not 1: that is what the bot's text reply to the same message will have.
        drawn = _random.randint(2, _MAX_SEQ) if msg_seq is None else msg_seq
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
        :raises UploadError: with *result*, unless the platform refused just that
        """
        subject = operation.file_name or "the file"
        outcome = self._send(operation, transport, chat_type, target_id, result)
        if outcome.step is Step.UPLOAD and renew is not None:
            log.warning("%s: its file_info is too old; uploading it again", subject)
            result = renew()
            outcome = self._send(operation, transport, chat_type, target_id, result)
        if outcome.step is Step.DONE and outcome.error is not None:
            log.info("%s: the platform has the message already", subject)
            return {"id": None, "deduplicated": True}
        fields = unwrap(outcome.get().fields, "id")
        log.info("%s: sent to a %s chat", subject, chat_type.value)
        reply: Dict[str, Any] = plain(fields)
        return reply

    def _send(
        self, operation: Operation, transport: Transport, chat_type: ChatType, target_id: str,
        result: UploadResult,
    ) -> Outcome[Reply]:
        operation.enter("message")
        call = message_call(
            chat_type, target_id, result.file_info, msg_seq=self.msg_seq, msg_id=self.msg_id,
            event_id=self.event_id, content=self.content,
            file_name=operation.file_name, file_size=operation.file_size)
        doubt = Doubt()
        try:
            outcome = operation.run(partial(transport.call, doubt=doubt), call,
                                    operation.stop_signal)
        except UploadError as error:  # what stops the call: deadline, cancel, close()
            outcome = Outcome(error=error.with_traceback(None), step=Step.FAIL)
        if outcome.error is not None and outcome.step is not Step.DONE:
            self._explain(outcome.error, result, in_doubt=doubt.raised)
        return outcome

    def _explain(self, error: UploadError, result: UploadResult, *, in_doubt: bool) -> None:
        """Say in *error* whether the message may have been sent, and give it the result."""
        if not {error.code, error.err_code} & {FILE_INFO_EXPIRED, FILE_INFO_INVALID}:
            raw = {name: value for name, value in result.raw.items() if name != "raw_url"}
            error.result = replace(result, raw=raw)
        if in_doubt:
            # Whoever tries again what is retryable would post it twice: the platform can only
            # tell a repeat with the same msg_seq, of a reply.
            told = self.own_seq and bool(self.msg_id or self.event_id)
            error.retryable = error.retryable and told
            error.advise("it may have been sent all the same: " + (
                "the same call with the same msg_seq will not post it twice" if told
                else "look in the chat before you send it again"))
