"""The parts on their way: what is sent when, and what happens when it fails.

The thread that sends the file decides and keeps the clock; its workers each do one exchange at
a time. So a part that waits, for its next poll or for a back-off, holds no thread.

The remedies for a part, in this order: the same URL again with back-off; polling; the part once
more; a fresh *prepare* for the whole file, which is the caller's to make (:class:`StaleUpload`).
"""

from __future__ import annotations

import heapq
import logging
import math
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any, Callable, Deque, Dict, List, Tuple, Union

from ..errors import PartFinishTimeoutError, PartUploadError, SourceChangedError, UploadError
from ..net.storage import put_part
from ..net.transport import Outcome, Transport
from ..protocol.calls import Upload
from ..protocol.codes import PART_BUSY, Again, again, is_plain_refusal, is_unclear
from ..protocol.plan import Part, UploadPlan
from ..protocol.retry import MAX_RETRY_AFTER, Attempts
from ..source.ranges import Source
from .operation import Operation

# All polling of a part shares one retry_timeout: it may use it up to here before the first remedy,
# the second (sent again, prepared anew), and the end, so that each has time to take effect.
_SHARES = (0.8, 0.9, 1.0)

_SEND, _CONFIRM = 0, 1  # the pools of the workers

log = logging.getLogger(__name__)


class StaleUpload(Exception):
    """This upload_id or its URLs are of no use any more. Never leaves the package.

    :ivar error: what to raise if no fresh prepare is left
    """

    def __init__(self, error: UploadError) -> None:
        super().__init__()
        self.error = error


@dataclass
class _Delivery:
    """One part on its way; only the thread in :meth:`Parts.send` touches it.

    :ivar position: its place in the plan, from 0
    :ivar put_attempts: of the PUTs since the last remedy
    :ivar finish_attempts: of the finish since the last poll
    :ivar polled: seconds of polling before ``polling_since``
    :ivar polling_since: monotonic time of the first 40093001 after the last PUT, 0 before it
    :ivar puts: PUTs so far under this plan
    :ivar sent_again: it was polled in vain and PUT once more, under this plan or an earlier one
    :ivar md5: of what the last PUT sent
    :ivar unclear: a finish after the last PUT may have been carried out without our seeing it
    """

    part: Part
    position: int
    put_attempts: Attempts
    finish_attempts: Attempts
    polled: float
    polling_since: float = 0.0
    puts: int = 0
    sent_again: bool = False
    unclear: bool = False
    md5: str = ""


class Parts:
    """Sends and confirms the parts of one plan.

    :param md5: of the whole file
    :param polled: seconds of polling so far by part offset; kept up to date
    :param last: True if there will be no fresh plan after this one
    :ivar doubtful: True if a part counts as confirmed though the platform did not say so
    """

    def __init__(
        self,
        operation: Operation,
        transport: Transport,
        upload: Upload,
        source: Source,
        plan: UploadPlan,
        *,
        md5: str,
        polled: Dict[int, float],
        last: bool,
    ) -> None:
        self._operation = operation
        self._transport = transport
        self._upload = upload
        self._source = source
        self._plan = plan
        self._md5 = md5
        self._polled = polled
        self._last = last
        self.doubtful = False
        fresh = Attempts(transport.policy)
        self._deliveries = [
            _Delivery(part, position, fresh, fresh, polled.get(part.offset, 0.0))
            for position, part in enumerate(plan.parts)]
        for delivery in self._deliveries:  # one polled for an earlier plan is being sent again now
            delivery.sent_again = delivery.polled > 0.0
        self._unsent: Deque[_Delivery] = deque(self._deliveries)
        # (due, position, delivery), for the next exchange of a part that has been sent before
        self._to_put: List[Tuple[float, int, _Delivery]] = []
        self._to_finish: List[Tuple[float, int, _Delivery]] = []
        self._putting = self._finishing = self._open = self._confirmed = 0
        self._most_open = 2 * plan.concurrency + 8
        self._handlers: Dict[Future[Any], Callable[[Any], None]] = {}
        # A single part has no others to hold up: its exchanges need no threads of their own.
        pools = plan.concurrency, plan.concurrency  # _SEND and _CONFIRM
        self._workers = operation.add_workers(*pools) if len(plan.parts) > 1 else None
        self._stop_signal = self._workers.stop_signal if self._workers else operation.stop_signal

    def send(self) -> None:
        """Return once the platform has confirmed every part.

        :raises StaleUpload: a fresh plan may help
        :raises UploadError: nothing will
        """
        self._operation.reporter.plan(len(self._plan.parts))
        try:
            while True:
                self._hand_out(time.monotonic())
                if self._confirmed == len(self._plan.parts):
                    return
                self._wait(self._next_due())
        finally:
            for delivery in self._deliveries:
                _end_polling(delivery)
                self._polled[delivery.part.offset] = delivery.polled

    def stop(self) -> None:
        """End what is still on its way, after a failure that is not that of the whole call."""
        if self._workers is not None:
            self._workers.stop()

    def _start(
        self, pool: int, handler: Callable[[Any], None], work: Callable[..., Any], *args: Any
    ) -> None:
        """Let *handler* have what *work* returns, done by a thread of that pool."""
        if self._workers is None:
            handler(work(*args))
        else:
            self._handlers[self._workers.submit(pool, work, *args)] = handler

    def _wait(self, until: float) -> None:
        """Wait for the next work that is done, or the monotonic time *until*."""
        timeout = None if until == math.inf else max(0.0, until - time.monotonic())
        if self._workers is None:
            self._stop_signal.wait(timeout or 0.0)
            return
        future = self._workers.next_done(timeout)
        self._stop_signal.check()
        if future is not None:
            self._handlers.pop(future)(future.result())

    def _hand_out(self, now: float) -> None:
        while self._putting < self._plan.concurrency:
            if self._to_put and self._to_put[0][0] <= now:
                self._put(heapq.heappop(self._to_put)[2])
            elif self._unsent and self._open < self._most_open:
                self._open += 1
                self._put(self._unsent.popleft())
            else:
                break
        while self._finishing < self._plan.concurrency:
            if not (self._to_finish and self._to_finish[0][0] <= now):
                break
            self._finish(heapq.heappop(self._to_finish)[2])

    def _next_due(self) -> float:
        due = math.inf
        if self._to_put and self._putting < self._plan.concurrency:
            due = self._to_put[0][0]
        if self._to_finish and self._finishing < self._plan.concurrency:
            due = min(due, self._to_finish[0][0])
        return due

    def _put(self, delivery: _Delivery) -> None:
        self._putting += 1
        delivery.puts += 1
        delivery.unclear = False
        mark = partial(self._operation.reporter.mark, delivery.position)
        self._start(
            _SEND, partial(self._was_put, delivery), put_part, self._transport, self._upload,
            self._source, delivery.part, delivery.puts, self._number(delivery), mark,
            self._stop_signal)

    def _was_put(self, delivery: _Delivery, result: Union[str, Exception]) -> None:
        self._putting -= 1
        if isinstance(result, Exception):
            self._retry_put(delivery, result)
            return
        log.debug("%s is at storage", self._name(delivery))
        if len(self._plan.parts) == 1 and result != self._md5:
            raise SourceChangedError(
                f"{self._upload.file_name}, put: the bytes sent are not those that were hashed; "
                "upload it again once nothing writes to it", stage="put")
        delivery.md5 = result
        delivery.finish_attempts = Attempts(self._transport.policy)
        heapq.heappush(self._to_finish, (0.0, delivery.position, delivery))

    def _retry_put(self, delivery: _Delivery, error: Exception) -> None:
        if not isinstance(error, UploadError) or again(error) is Again.NEVER:
            raise error
        if isinstance(error, PartUploadError) and error.http_status == 403:
            raise StaleUpload(error)
        if (error.retry_after or 0.0) > MAX_RETRY_AFTER:
            raise error
        delay, delivery.put_attempts = delivery.put_attempts.after(error)
        if delay is None:
            raise StaleUpload(error)
        log.warning("%s; again in %.1f s", error.brief, delay)
        due = time.monotonic() + delay
        heapq.heappush(self._to_put, (due, delivery.position, delivery))

    def _finish(self, delivery: _Delivery) -> None:
        self._finishing += 1
        call = self._upload.finish(self._plan, delivery.part, delivery.md5)
        self._start(
            _CONFIRM, partial(self._was_finished, delivery), self._transport.attempt, call,
            self._stop_signal)

    def _was_finished(self, delivery: _Delivery, outcome: Outcome) -> None:
        self._finishing -= 1
        error = outcome.error
        if error is not None and PART_BUSY in (error.code, error.err_code):
            delivery.finish_attempts = Attempts(self._transport.policy)  # each poll is a new call
            self._poll(delivery, error, time.monotonic())
        elif error is not None and not (delivery.unclear and is_plain_refusal(error)):
            self._retry_finish(delivery, error)
        else:
            if error is not None:  # it may have been finished by the call we saw no answer of
                self.doubtful = True
                log.warning("%s; left for complete to judge", error.brief)
            log.debug("%s is confirmed", self._name(delivery))
            self._open -= 1
            self._confirmed += 1
            self._operation.reporter.completed_parts = self._confirmed

    def _retry_finish(self, delivery: _Delivery, error: UploadError) -> None:
        delay, delivery.finish_attempts = delivery.finish_attempts.after(error)
        if delay is None or error.stage == "token":  # which has had its own attempts
            raise error
        log.warning("%s; again in %.1f s", error.brief, delay)
        delivery.unclear = delivery.unclear or is_unclear(error)
        due = time.monotonic() + delay
        heapq.heappush(self._to_finish, (due, delivery.position, delivery))

    def _poll(self, delivery: _Delivery, error: UploadError, now: float) -> None:
        """The platform is still busy with the part: ask again, or turn to the next remedy."""
        delivery.polling_since = delivery.polling_since or now
        remedies = int(self._last) + int(delivery.sent_again)
        left = _SHARES[remedies] * self._plan.retry_timeout - delivery.polled
        end = delivery.polling_since + max(0.0, left)
        if now < end:
            due = min(now + self._plan.retry_delay, end)
            heapq.heappush(self._to_finish, (due, delivery.position, delivery))
            return
        _end_polling(delivery)
        if delivery.sent_again:
            raise StaleUpload(PartFinishTimeoutError(
                f"{self._upload.file_name}, finish: {self._number(delivery)}: the platform "
                f"answered 40093001 (busy or failed) for {delivery.polled:.0f} s, also after the "
                "part was sent again - try again later",
                part_index=delivery.part.index, waited=delivery.polled, stage="finish",
                http_status=error.http_status, code=error.code, err_code=error.err_code,
                trace_id=error.trace_id, retryable=True))
        log.warning("%s: busy for %.0f s; sending it again", self._name(delivery), delivery.polled)
        delivery.sent_again = True
        delivery.put_attempts = Attempts(self._transport.policy)
        heapq.heappush(self._to_put, (now, delivery.position, delivery))

    def _name(self, delivery: _Delivery) -> str:
        return f"{self._upload.file_name}: {self._number(delivery)}"

    def _number(self, delivery: _Delivery) -> str:
        return f"part {delivery.position + 1} of {len(self._plan.parts)}"


def _end_polling(delivery: _Delivery) -> None:
    if delivery.polling_since:
        delivery.polled += time.monotonic() - delivery.polling_since
        delivery.polling_since = 0.0
