"""Waiting for the end of threads so that Ctrl-C can come at any moment."""

from __future__ import annotations

import math
import threading
import time
from typing import Iterable

_NAP = 0.0002  # seconds; these threads have nothing left to do


def wait_until_ended(threads: Iterable[threading.Thread], give_up: float = math.inf) -> None:
    """Return once none of the threads runs any more, or at the monotonic time *give_up*.

    Not by ``join()``: in CPython 3.8 a thread whose join was interrupted can never be joined again,
    neither by a second try nor at the end of the process (bpo-45274).
    """
    for thread in threads:
        while thread.is_alive() and time.monotonic() < give_up:
            time.sleep(_NAP)
