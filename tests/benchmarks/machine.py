"""What the figures are taken on, and whether it has anything else to do meanwhile."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path
from typing import Dict, Tuple

STAT = Path("/proc/stat")
CPUINFO = Path("/proc/cpuinfo")
SAMPLE = 0.25  # seconds over which idleness is judged
BUSY = 0.10  # share of all cores that others may use


def describe_machine() -> Dict[str, object]:
    """Facts that belong beside every table."""
    model = platform.processor() or platform.machine()
    if CPUINFO.exists():
        names = [line for line in CPUINFO.read_text().splitlines() if line.startswith("model name")]
        model = names[0].partition(": ")[2] if names else model
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "processor": model,
        "cores": os.cpu_count(),
        "load": [round(load, 2) for load in os.getloadavg()],
    }


def wait_until_idle(patience: float) -> bool:
    """Waits while other programs are busy, `patience` seconds at most; True once they are not.

    Without /proc nothing can be known, and the answer is True.
    """
    end = time.monotonic() + patience
    while STAT.exists() and _busy_share() > BUSY:
        if time.monotonic() >= end:
            return False
    return True


def _busy_share() -> float:
    idle, total = _ticks()
    time.sleep(SAMPLE)
    idle_after, total_after = _ticks()
    return 1 - (idle_after - idle) / max(1, total_after - total)


def _ticks() -> Tuple[int, int]:
    numbers = [int(word) for word in STAT.read_text().split("\n", 1)[0].split()[1:9]]
    return numbers[3] + numbers[4], sum(numbers)
