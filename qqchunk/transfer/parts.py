"""The parts of one plan: which exchange is due next, and on which thread it runs.

What follows an exchange is decided in ``protocol.ladder``; here it is started once it is due. The
thread that calls :meth:`Parts.send` keeps the clock, the workers make one exchange at a time each,
so a part that waits holds no thread.

Sending runs ahead of confirming, since storage knows nothing of the API's state. Confirming keeps
the order that every client seen on the live platform keeps: only the lowest unconfirmed parts, as
many as the platform's concurrency says, are being confirmed.
"""

from __future__ import annotations

import copy
import logging
import math
from dataclasses import dataclass
from functools import partial
from typing import Any, Callable, Dict, List, Optional

from ..errors import Again, SourceChangedError, UploadError
from ..net.outcome import Outcome
from ..net.stopping import monotonic
from ..net.storage import put_part
from ..net.transport import Transport
from ..protocol.calls import Upload
from ..protocol.ladder import Next, PartState, Step
from ..protocol.plan import Part, UploadPlan
from ..protocol.values import Reply
from ..source.ranges import Source
from .operation import Operation
from .workers import Work

_PUT, _FINISH = 0, 1  # the pools of workers

log = logging.getLogger(__name__)


@dataclass(eq=False)
class _Task:
    """One part on its way; only the thread in :meth:`Parts.send` touches it.

    :ivar position: its place in the plan, from 0
    :ivar due: the monotonic time from which *step* may be taken
    :ivar running: an exchange for it is under way
    :ivar md5: of what the last PUT sent
    """

    part: Part
    position: int
    state: PartState
    step: Step = Step.PUT
    due: float = 0.0
    running: bool = False
    md5: str = ""


class Parts:
    """Sends and confirms the parts of one plan.

    :param md5: of the whole file
    :param spent: the states that parts had under an earlier plan, by offset; kept up to date
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
        spent: Dict[int, PartState],
        last: bool,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._operation = operation
        self._transport = transport
        self._upload = upload
        self._source = source
        self._plan = plan
        self._md5 = md5
        self._spent = spent
        self._clock = clock
        self.doubtful = False
        now = clock()
        self._tasks: List[_Task] = []
        for position, part in enumerate(plan.parts):
            state = PartState(
                part.index, f"part {position + 1} of {len(plan.parts)}",
                transport.first_state(upload.finish(plan, part, ""), last=last),
                plan.retry_timeout, plan.retry_delay, prepared_at=now)
            if part.offset in spent:
                state = state.after_another_plan(spent[part.offset])
            self._tasks.append(_Task(part, position, state))
        self._later = iter(self._tasks)
        self._begun: List[_Task] = []  # and not confirmed, in the order of the file
        self._most_begun = 2 * plan.concurrency + 8  # bounds how far sending runs ahead
        self._putting = self._confirmed = 0
        self._stale: Optional[UploadError] = None
        self._handlers: Dict[Work[Any], Callable[[Any], None]] = {}
        # A single part has no others to hold up: its exchanges need no threads of their own.
        pools = (plan.concurrency, plan.concurrency) if len(plan.parts) > 1 else ()
        self._workers = operation.add_workers(*pools)

    def send(self) -> Optional[UploadError]:
        """Return None once every part is confirmed, or the error that a fresh plan may remedy.

        :raises UploadError: nothing will
        """
        self._operation.reporter.plan(len(self._tasks))
        try:
            while self._stale is None and self._confirmed < len(self._tasks):
                self._start_what_is_due(self._clock())
                self._wait()
            return self._stale
        finally:
            now = self._clock()  # a fresh prepare may take long
            for task in self._tasks:
                self._spent[task.part.offset] = task.state.polling_ended(now)

    def stop(self) -> None:
        """End what is still on its way, after a failure that is not that of the whole call."""
        self._workers.stop()

    def _start_what_is_due(self, now: float) -> None:
        for place, task in enumerate(self._begun):  # the lowest first
            if self._may_start(place, task) and task.due <= now:
                self._start(task)
        # Those that may be confirmed are begun already, or the next to begin: they come first.
        while self._putting < self._plan.concurrency and len(self._begun) < self._most_begun:
            task_or_none = next(self._later, None)
            if task_or_none is None:
                break
            self._begun.append(task_or_none)
            self._start(task_or_none)

    def _may_start(self, place: int, task: _Task) -> bool:
        """Say whether it is a part's turn, *place* among those begun, and a worker is free."""
        if task.running:
            return False
        if task.step is Step.PUT:
            return self._putting < self._plan.concurrency
        return place < self._plan.concurrency

    def _start(self, task: _Task) -> None:
        task.running = True
        stop = self._workers.stop_signal
        if task.step is Step.PUT:
            self._putting += 1
            task.state = task.state.being_put()
            mark = partial(self._operation.reporter.mark, task.position)
            work: Work[Any] = self._workers.submit(
                _PUT, put_part, self._transport, self._upload, self._source, task.part,
                task.state.puts, task.state.name, mark, stop)
            self._handlers[work] = partial(self._was_put, task)
        else:
            call = self._upload.finish(self._plan, task.part, task.md5)
            work = self._workers.submit(_FINISH, self._transport.attempt, call, stop)
            self._handlers[work] = partial(self._was_finished, task)

    def _wait(self) -> None:
        """Wait for the next exchange that is done, or until the next one is due."""
        due = min((task.due for place, task in enumerate(self._begun)
                   if self._may_start(place, task)), default=math.inf)
        timeout = None if due == math.inf else max(0.0, due - self._clock())
        work = self._workers.next_done(timeout)
        self._workers.stop_signal.check()
        if work is not None:
            self._handlers.pop(work)(work.result())

    def _was_put(self, task: _Task, outcome: Outcome[str]) -> None:
        self._putting -= 1
        error, now = outcome.error, self._clock()
        if error is not None:
            self._follow(task, task.state.put_failed(error, now))
            return
        task.md5 = outcome.get()
        log.debug("%s: %s is at storage", self._upload.file_name, task.state.name)
        if len(self._tasks) == 1 and task.md5 != self._md5:
            raise SourceChangedError(
                f"{self._upload.file_name}, put: the bytes sent are not those that were hashed",
                advice="upload it again once nothing writes to it", stage="put")
        self._follow(task, task.state.sent(now))

    def _was_finished(self, task: _Task, outcome: Outcome[Reply]) -> None:
        error, now = outcome.error, self._clock()
        state = task.state
        self._follow(
            task, state.confirmed(now) if error is None else state.finish_failed(error, now))

    def _follow(self, task: _Task, after: Next[PartState]) -> None:
        now = self._clock()
        name, error = f"{self._upload.file_name}: {after.state.name}", after.error
        sent_in_vain = after.step is Step.PUT and after.state.sent_again > task.state.sent_again
        task.running = False
        task.state, task.step, task.due = after.state, after.step, after.due
        if error is not None and after.step is Step.FAIL:
            raise copy.copy(error)  # frames of the thread that met it may be alive, and refer to it
        if after.step is Step.PREPARE:
            self._stale = error
        elif after.step is Step.DONE:
            if error is not None:  # it may have been finished by the call we saw no answer of
                self.doubtful = True
                log.warning("%s; left for complete to judge", error.brief)
            log.debug("%s is confirmed", name)
            self._begun.remove(task)
            self._confirmed += 1
            self._operation.reporter.completed_parts = self._confirmed
        elif sent_in_vain:
            log.warning("%s: busy for %.0f s; sending it again", name, after.state.polled)
        elif error is not None and error.again is not Again.BUSY and after.due > now:
            log.warning("%s; again in %.1f s", error.brief, after.due - now)
