"""What follows an answer: the one place that decides. Pure: states in, the next step out.

A call and a part each have an immutable state. An event gives a :class:`Next`: the step to take,
the monotonic time it is due, and the state to go on with. Others only carry it out:
``net.transport`` makes calls, ``transfer.parts`` starts what is due.

The remedies for a part, in this order: the same URL again with back-off; polling; the part sent
once more; a fresh *prepare* for the whole file; an error.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Generic, Optional, Tuple, TypeVar

from ..errors import Again, ApiError, PartFinishTimeoutError, UploadError
from . import retry
from .codes import DUPLICATE_MESSAGE, FILE_INFO_EXPIRED, PART_BUSY, TIMED_OUT
from .retry import Attempts, Policy

# seconds; URLs are said to live 60 minutes, so a failure on an older one is the URL's
URL_LIFE = 50 * 60.0

# All polling of a part shares one retry_timeout: how much of it may be used up before the part is
# sent again, before the fresh prepare, and in all, so that each of these has time to take effect.
POLLING_SHARES = (0.8, 0.9, 1.0)

_MOST = {Again.ONCE: 1, Again.TWICE: 2}  # repeats, whatever the caller's retries
_TIMED_OUT_REPEATS = 5  # of complete after 850027: the parts are at storage already


class Step(Enum):
    """What to do next."""

    CALL = "call"  # the same call again
    PUT = "put"  # the part, to the URL it has
    FINISH = "finish"  # tell the platform about the part, or ask again
    PREPARE = "prepare"  # a fresh upload id and URLs for the whole file
    UPLOAD = "upload"  # the file_info is of no use: upload the file again
    DONE = "done"
    FAIL = "fail"


_State = TypeVar("_State", "CallState", "PartState")


@dataclass(frozen=True)
class Next(Generic[_State]):
    """What follows an event.

    :ivar due: the monotonic time of the step
    :ivar error: what led to it; for FAIL, what to raise
    """

    step: Step
    state: _State
    due: float = 0.0
    error: Optional[UploadError] = None


@dataclass(frozen=True)
class CallState:
    """What is known of one call to the API, from its first attempt to its last.

    :ivar stage: the step of the protocol, as in ``UploadError.stage``
    :ivar repeatable: False if it must not be made again after an attempt without a clear answer
    :ivar renewable: True if a refused token can be replaced: it is ours
    :ivar last: True if no fresh prepare is left
    :ivar replayed: an attempt may have been carried out without our seeing its answer
    :ivar renewed: a refused token has been replaced, which is done once
    """

    stage: str
    policy: Policy
    repeatable: bool = True
    renewable: bool = True
    last: bool = False
    replayed: bool = False
    renewed: bool = False
    attempts: Attempts = field(default_factory=Attempts)

    def failed(self, error: UploadError, now: float) -> Next[CallState]:
        """Return what follows an attempt that ended in *error*."""
        codes = (error.err_code, error.code)
        if error.stage == "token" and self.stage != "token":  # that call has had its own attempts
            return Next(Step.FAIL, self, now, error)
        if self.replayed and DUPLICATE_MESSAGE in codes:  # the attempt before was delivered
            return Next(Step.DONE, self, now, error)
        if self.stage == "message" and FILE_INFO_EXPIRED in codes:
            return Next(Step.UPLOAD, self, now, error)
        if error.again is Again.TOKEN and self.renewable and not self.renewed:
            return Next(Step.CALL, replace(self, renewed=True), now, error)
        if self.replayed and is_plain_refusal(error):
            if self.stage == "finish":  # left for complete to judge
                return Next(Step.DONE, self, now, error)
            if self.stage == "complete":  # only a fresh start is sure
                return self._prepare_or_fail(error, now)
        timed_out = self.stage == "complete" and TIMED_OUT in codes
        delay, attempts = self._delay(error, now, timed_out)
        if delay is None:
            asked = error.retry_after or 0.0
            fails = self.last or not timed_out or asked > retry.MAX_RETRY_AFTER
            return Next(Step.FAIL if fails else Step.PREPARE, self, now, error)
        replayed = self.replayed or error.ambiguous
        return Next(Step.CALL, replace(self, attempts=attempts, replayed=replayed),
                    now + delay, error)

    def _delay(
        self, error: UploadError, now: float, timed_out: bool
    ) -> Tuple[Optional[float], Attempts]:
        """Return the seconds to wait before the next attempt, None for no further one."""
        attempts, policy, asked = self.attempts, self.policy, error.retry_after
        if asked is not None and asked > retry.MAX_RETRY_AFTER:
            return None, attempts
        if error.ambiguous and not self.repeatable:
            return None, attempts
        if error.again in (Again.RATE, Again.BUSY):
            attempts = attempts.limited(now)
            if error.again is Again.BUSY and asked is None:
                asked = retry.BUSY_DELAY
            delay = attempts.rate_delay(policy, asked)
            return (delay if delay <= attempts.rate_time_left(now) else None), attempts
        if error.again not in (Again.BACKOFF, Again.ONCE, Again.TWICE):
            return None, attempts
        most = min(policy.retries, _MOST.get(error.again, policy.retries))
        most = _TIMED_OUT_REPEATS if timed_out and policy.retries else most
        attempts = attempts.failed()
        if attempts.failures > most:
            return None, attempts
        return max(policy.delay(attempts.failures), asked or 0.0), attempts

    def _prepare_or_fail(self, error: UploadError, now: float) -> Next[CallState]:
        return Next(Step.FAIL if self.last else Step.PREPARE, self, now, error)


@dataclass(frozen=True)
class PartState:
    """What is known of one part under one plan.

    :ivar index: the server's number of the part
    :ivar name: what texts call it: ``part 2 of 7``
    :ivar untried_finish: the state that the finish after each PUT begins from
    :ivar retry_timeout: seconds that all polling of this part may take, under all plans
    :ivar retry_delay: seconds between two polls
    :ivar prepared_at: the monotonic time at which its URL was given
    :ivar polled: seconds of polling before *polling_since*
    :ivar polling_since: the monotonic time of the first 40093001 after the last PUT
    :ivar sent_again: it was polled in vain and PUT once more, under this plan or an earlier one
    :ivar puts: how often it was PUT, under all plans
    :ivar putting: failed attempts of the PUT under way
    :ivar finish: the finish under way, None before the first
    """

    index: int
    name: str
    untried_finish: CallState
    retry_timeout: float
    retry_delay: float
    prepared_at: float
    polled: float = 0.0
    polling_since: Optional[float] = None
    sent_again: bool = False
    puts: int = 0
    putting: Attempts = field(default_factory=Attempts)
    finish: Optional[CallState] = None

    def after_another_plan(self, before: PartState) -> PartState:
        """Return this state with what an earlier plan spent; one polled there is sent again."""
        return replace(self, polled=before.polled, sent_again=before.polled > 0.0, puts=before.puts)

    def being_put(self) -> PartState:
        """Return the state of the part while it is PUT once more."""
        return replace(self, puts=self.puts + 1)

    def sent(self, now: float) -> Next[PartState]:
        """Return what follows a PUT that storage took."""
        return Next(Step.FINISH, replace(self, finish=self.untried_finish), now)

    def put_failed(self, error: UploadError, now: float) -> Next[PartState]:
        """Return what follows a PUT that ended in *error*."""
        if error.again is Again.FRESH:
            return self._prepare_or_fail(error, now)
        if error.again is Again.BACKOFF and now - self.prepared_at > URL_LIFE:
            return self._prepare_or_fail(error, now)
        put = CallState("put", self.untried_finish.policy, attempts=self.putting)
        after = put.failed(error, now)
        if after.step is Step.CALL:
            return Next(Step.PUT, replace(self, putting=after.state.attempts), after.due, error)
        asked = error.retry_after or 0.0
        if error.again is Again.BACKOFF and asked <= retry.MAX_RETRY_AFTER:
            return self._prepare_or_fail(error, now)
        return Next(Step.FAIL, self, now, error)

    def confirmed(self, now: float) -> Next[PartState]:
        """Return what follows a finish that succeeded."""
        return Next(Step.DONE, self.polling_ended(now), now)

    def finish_failed(self, error: UploadError, now: float) -> Next[PartState]:
        """Return what follows a finish that ended in *error*."""
        if PART_BUSY in (error.err_code, error.code):
            return self._busy(error, now)
        after = (self.finish or self.untried_finish).failed(error, now)
        state = replace(self, finish=after.state)
        if after.step is Step.CALL:
            return Next(Step.FINISH, state, after.due, error)
        return Next(after.step, state.polling_ended(now), now, error)

    def polled_until(self, now: float) -> float:
        """Return the seconds of polling so far."""
        return self.polled + (0.0 if self.polling_since is None else now - self.polling_since)

    def polling_ended(self, now: float) -> PartState:
        """Return the state from which on no time counts as polling."""
        return replace(self, polled=self.polled_until(now), polling_since=None)

    def _busy(self, error: UploadError, now: float) -> Next[PartState]:
        since = now if self.polling_since is None else self.polling_since
        share = POLLING_SHARES[int(self.untried_finish.last) + int(self.sent_again)]
        end = since + max(0.0, share * self.retry_timeout - self.polled)
        if now < end:  # each poll has attempts of its own
            finish = replace(self.finish or self.untried_finish, attempts=Attempts(), renewed=False)
            state = replace(self, polling_since=since, finish=finish)
            return Next(Step.FINISH, state, min(now + self.retry_delay, end), error)
        state = replace(self, polling_since=since).polling_ended(now)
        if state.sent_again:
            return state._prepare_or_fail(state._never_confirmed(error), now)
        return Next(Step.PUT, replace(state, sent_again=True, putting=Attempts()), now, error)

    def _never_confirmed(self, error: UploadError) -> UploadError:
        return PartFinishTimeoutError(
            f"{error.file_name}, finish: {self.name}: the platform answered 40093001 (busy or "
            f"failed) for {self.polled:.0f} s, also after the part was sent again",
            advice="try again later", part_index=self.index, waited=self.polled, stage="finish",
            http_status=error.http_status, code=error.code, err_code=error.err_code,
            trace_id=error.trace_id, retryable=True)

    def _prepare_or_fail(self, error: UploadError, now: float) -> Next[PartState]:
        return Next(Step.FAIL if self.untried_finish.last else Step.PREPARE, self, now, error)


def is_plain_refusal(error: UploadError) -> bool:
    """Say whether *error* is a refusal of the call itself, not about the bot, a limit or a quota.

    That is a 4xx, or an HTTP 200 with a code.
    """
    refused = type(error) is ApiError and 200 <= (error.http_status or 0) < 500
    return refused and error.again is Again.NEVER
