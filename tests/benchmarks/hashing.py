"""Measure hashing against plain hashlib: ``python tests/benchmarks/hashing.py [--json]``.

One file in the page cache, every candidate in turn, seven rounds, medians. Two ratios come out:

* ``over md5``: :func:`qqchunk.hash_file` over ``hashlib.md5`` alone
* ``over md5+sha1``: the same on a single core over a loop that feeds both digests

The loops read the file in blocks of 256 KiB.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import tempfile
import time
from typing import Any, Callable, Dict, List

from qqchunk.source.hashing import hash_file

BLOCK_SIZE = 256 << 10


def feed(path: str, *digests: Any) -> None:
    with open(path, "rb", buffering=0) as file:
        while True:
            block = file.read(BLOCK_SIZE)
            if not block:
                return
            for digest in digests:
                digest.update(block)


def measure(candidates: Dict[str, Callable[[], Any]], rounds: int) -> Dict[str, float]:
    """Return the median seconds of each candidate, run in turn so that noise hits all alike."""
    seconds: Dict[str, List[float]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, run in candidates.items():
            started = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in seconds.items()}


def measure_all(path: str, rounds: int) -> Dict[str, float]:
    feed(path)  # into the page cache
    figures = measure({
        "md5": lambda: feed(path, hashlib.md5()),
        "hash_file": lambda: hash_file(path),
    }, rounds)
    figures["over md5"] = figures["hash_file"] / figures["md5"]
    if hasattr(os, "sched_setaffinity"):
        cores = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {min(cores)})
        try:
            figures.update(measure({
                "md5+sha1, one core": lambda: feed(path, hashlib.md5(), hashlib.sha1()),
                "hash_file, one core": lambda: hash_file(path),
            }, rounds))
        finally:
            os.sched_setaffinity(0, cores)
        figures["over md5+sha1"] = (
            figures["hash_file, one core"] / figures["md5+sha1, one core"]
        )
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure hashing against plain hashlib.")
    parser.add_argument("--size", type=int, default=100, help="MiB (default: 100)")
    parser.add_argument("--rounds", type=int, default=7, help="(default: 7)")
    parser.add_argument("--json", action="store_true", help="figures for machines")
    arguments = parser.parse_args()
    with tempfile.NamedTemporaryFile() as file:
        for _ in range(arguments.size):
            file.write(os.urandom(1 << 20))
        file.flush()
        figures = measure_all(file.name, arguments.rounds)
    if arguments.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:20} {value:7.3f}" + ("" if name.startswith("over") else " s"))


if __name__ == "__main__":
    main()
