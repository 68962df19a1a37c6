"""How often and how fast one exchange is repeated: counts and delays. Pure: the time is given."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Callable, Optional

MAX_RATE_WAIT = 120.0  # seconds that one call may go on being limited, or finding it busy
MAX_RETRY_AFTER = 60.0  # a longer Retry-After is the caller's to wait for
BUSY_DELAY = 1.0  # seconds between two tries of a busy platform
MIN_RATE_DELAY = 0.2  # seconds; a rate limit is never answered with a burst
_MAX_DOUBLINGS = 20  # more would be over ten days, and in the end more than a float holds
_MAX_RATE_DOUBLINGS = 5  # so that a rate limit is asked about again within its two minutes


@dataclass(frozen=True)
class Policy:
    """What the caller wants of repeats.

    :ivar retries: further attempts after a transient failure
    :ivar backoff: the first delay in seconds; each further one doubles it
    :ivar draw: gives the random factor of a delay, 0.8 to 1.2
    """

    retries: int = 2
    backoff: float = 1.0
    draw: Callable[[], float] = lambda: random.uniform(0.8, 1.2)

    def delay(self, failures: int) -> float:
        """Return the seconds to wait after that many failures."""
        return float(self.backoff * 2 ** min(failures - 1, _MAX_DOUBLINGS) * self.draw())


@dataclass(frozen=True)
class Attempts:
    """What has been tried so far. Immutable: each event gives the next state.

    :ivar failures: transient failures
    :ivar limits: rate limits and busy answers
    :ivar limited_since: the monotonic time of the first of these
    """

    failures: int = 0
    limits: int = 0
    limited_since: Optional[float] = None

    def failed(self) -> Attempts:
        """Return the state after one more transient failure."""
        return replace(self, failures=self.failures + 1)

    def limited(self, now: float) -> Attempts:
        """Return the state after one more answer to wait for by the clock."""
        since = now if self.limited_since is None else self.limited_since
        return replace(self, limits=self.limits + 1, limited_since=since)

    def rate_delay(self, policy: Policy, asked: Optional[float]) -> float:
        """Return the seconds to wait for a rate limit; *asked*: what its Retry-After says."""
        if asked is None:
            asked = min(policy.delay(min(self.limits, _MAX_RATE_DOUBLINGS + 1)), MAX_RETRY_AFTER)
        return max(asked, MIN_RATE_DELAY)

    def rate_time_left(self, now: float) -> float:
        """Return the seconds that may still be waited by the clock."""
        since = now if self.limited_since is None else self.limited_since
        return MAX_RATE_WAIT - (now - since)
