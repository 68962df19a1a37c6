"""When to try again, and waiting that an abort ends at once. Decisions here are pure."""

from __future__ import annotations

import random
import time
from typing import Callable, NamedTuple, Optional, Tuple

from ..errors import UploadError
from .codes import Again, again, is_unclear

MAX_RATE_WAIT = 120.0  # seconds that one call may go on being limited, or finding it busy
MAX_RETRY_AFTER = 60.0  # a longer Retry-After is the caller's to wait for
BUSY_DELAY = 1.0  # seconds between two tries of a busy platform
MIN_RATE_DELAY = 0.2  # seconds; a rate limit is never answered with a burst
_MAX_DOUBLINGS = 20  # more would be over ten days, and in the end more than a float holds
_LIMITS = {Again.ONCE: 1, Again.TWICE: 2}


class Policy(NamedTuple):
    """How often and how fast one call is repeated.

    :ivar retries: further attempts after a transient failure
    :ivar backoff: the first delay in seconds; each further one doubles it
    :ivar draw: gives the random factor of a delay, 0.8 to 1.2
    :ivar clock: monotonic seconds
    """

    retries: int = 2
    backoff: float = 1.0
    draw: Callable[[], float] = lambda: random.uniform(0.8, 1.2)
    clock: Callable[[], float] = time.monotonic

    def delay(self, failures: int) -> float:
        """Return the seconds to wait after that many failures."""
        return float(self.backoff * 2 ** min(failures - 1, _MAX_DOUBLINGS) * self.draw())


class Attempts(NamedTuple):
    """What has been tried for one call so far. Immutable: :meth:`after` returns the next state.

    :ivar failures: transient failures so far
    :ivar limits: rate limits and busy answers so far
    :ivar limited_since: the monotonic time of the first of these
    """

    policy: Policy
    failures: int = 0
    limits: int = 0
    limited_since: Optional[float] = None

    def after(
        self, error: UploadError, repeatable: bool = True
    ) -> Tuple[Optional[float], Attempts]:
        """Return the seconds to wait before the next attempt, None for no further one.

        :param error: how the attempt ended
        :param repeatable: False if an attempt without a clear refusal may not be repeated
        """
        kind = again(error)
        if kind in (Again.NEVER, Again.TOKEN):
            return None, self
        if not repeatable and is_unclear(error):
            return None, self
        if kind in (Again.RATE, Again.BUSY):
            return self._by_the_clock(kind, error)
        failures = self.failures + 1
        if failures > min(self.policy.retries, _LIMITS.get(kind, self.policy.retries)):
            return None, self
        asked = error.retry_after or 0.0
        if asked > MAX_RETRY_AFTER:
            return None, self
        return max(self.policy.delay(failures), asked), self._replace(failures=failures)

    def _by_the_clock(self, kind: Again, error: UploadError) -> Tuple[Optional[float], Attempts]:
        limits = self.limits + 1
        now = self.policy.clock()
        since = now if self.limited_since is None else self.limited_since
        left = MAX_RATE_WAIT - (now - since)
        if error.retry_after is not None:
            delay = error.retry_after
        elif kind is Again.BUSY:
            delay = BUSY_DELAY
        else:
            delay = min(self.policy.delay(min(limits, 6)), MAX_RETRY_AFTER)
        delay = max(delay, MIN_RATE_DELAY)
        if delay > min(left, MAX_RETRY_AFTER):
            return None, self
        return delay, self._replace(limits=limits, limited_since=since)
