"""The documented calls per second."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Callable, Deque, Dict

RATES = {"prepare": 10, "finish": 10, "complete": 50, "url": 50, "message": 100}


class RateLimiter:
    """Counts the calls of each stage in the second that has just passed."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._recent: Dict[str, Deque[float]] = {stage: deque() for stage in RATES}

    def allows(self, stage: str) -> bool:
        """Count one more call, unless it is one too many; other stages have no limit."""
        if stage not in RATES:
            return True
        now = self._clock()
        with self._lock:
            recent = self._recent[stage]
            while recent and recent[0] <= now - 1.0:
                recent.popleft()
            if len(recent) >= RATES[stage]:
                return False
            recent.append(now)
            return True
