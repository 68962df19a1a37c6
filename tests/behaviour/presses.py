"""How often a process survives its second Ctrl-C: presses it twice on many uploads, and counts.

    python -m tests.behaviour.presses [--times 100] [--seed 1] [--tree DIRECTORY]

The second press comes up to 10 ms after the first, while the upload is being stopped. Gives 1 if a
process was not gone four seconds later. *tree* is another checkout to measure.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from qqchunk.emulator import Emulator, Fault

SIZE = 40 << 20  # bytes
CRAWL = 50_000  # bytes per second, of each part
PAUSES = (0.0005, 0.001, 0.002, 0.003, 0.005)  # seconds; each is taken 0 to 2 times
GONE_WITHIN = 4.0


def press_twice(tree: Path, file: str, pause: float) -> bool:
    """Say whether the process was gone in time."""
    fault = Fault("put", "slow", bandwidth=CRAWL, times=None)
    with Emulator(client_secret="secret", concurrency=4, faults=[fault]) as emulator:
        options = {"url": emulator.api_url, "secret": "secret", "file": file, "backoff": 30.0}
        with subprocess.Popen(
            [sys.executable, "-m", "tests.behaviour.interrupted", json.dumps(options)], cwd=tree,
            env=dict(os.environ, PYTHONPATH=str(tree)), stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as process:
            try:
                assert process.stdout is not None and process.stdout.readline() == b"ready\n"
                while emulator.count("put") < 4:
                    time.sleep(0.005)
                process.send_signal(signal.SIGINT)
                time.sleep(pause)
                process.send_signal(signal.SIGINT)
                process.communicate(timeout=GONE_WITHIN)
                return True
            except subprocess.TimeoutExpired:
                return False
            finally:
                process.kill()


def main() -> int:
    parser = argparse.ArgumentParser("python -m tests.behaviour.presses", description=__doc__)
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tree", type=Path, default=Path(__file__).parents[2])
    options = parser.parse_args()
    draw = random.Random(options.seed)
    # As in a shell's foreground: a parent that ignores it would make every process ignore it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="presses-") as folder:
        file = Path(folder, "big.bin")
        with file.open("wb") as created:
            created.truncate(SIZE)
        stuck = sum(
            not press_twice(options.tree, str(file), draw.choice(PAUSES) * 2 * draw.random())
            for _ in range(options.times))
    print(f"CPython {sys.version.split()[0]}: {stuck} of {options.times} were not gone in time")
    return int(stuck > 0)


if __name__ == "__main__":
    sys.exit(main())
