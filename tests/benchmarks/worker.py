"""The child process in which one client runs: orders in on stdin, measurements out on stdout.

Run as `python -m tests.benchmarks.worker SETTINGS`. Interpreter start and imports are over before
the first order, so no time contains them.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Dict, List, TextIO

from .clients import CLIENTS, Client, Settings

STATUS = Path("/proc/self/status")


class _Warnings(logging.Handler):
    """Keeps the warnings of urllib3, of which "pool is full" is one."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: List[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def resident(key: str) -> int:
    """Bytes of memory in use now (`VmRSS`) or at most (`VmHWM`); without /proc always the peak."""
    if not STATUS.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    for line in STATUS.read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"no {key} in {STATUS}")


def forget_peak() -> None:
    """Makes `VmHWM` start again from the memory in use."""
    if STATUS.exists():
        Path("/proc/self/clear_refs").write_text("5")


def measure(client: Client, path: str, times: int, threads: int) -> Dict[str, object]:
    """Wall and CPU seconds of `threads × times` uploads, and bytes added to the peak of memory."""
    failures: List[BaseException] = []

    def work() -> None:
        try:
            client.upload(path, times)
        except Exception as error:
            failures.append(error)

    others = [threading.Thread(target=work) for _ in range(threads - 1)]
    forget_peak()
    before = resident("VmRSS")
    wall, cpu = time.perf_counter(), time.process_time()
    for thread in others:
        thread.start()
    work()
    for thread in others:
        thread.join()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resident("VmHWM")
    if failures:
        raise failures[0]
    return {"wall": wall, "cpu": cpu, "added": peak - before}


def serve(settings: Settings, out: TextIO) -> None:
    """Answers one line for each line of orders, until stdin ends."""
    warnings = _Warnings()
    logging.getLogger("urllib3").addHandler(warnings)
    if settings.client != "qqchunk":
        logging.disable(logging.CRITICAL)
    try:
        client = CLIENTS[settings.client](settings)
    except ImportError as error:
        print(json.dumps({"missing": str(error)}), file=out, flush=True)
        return
    print(json.dumps({"version": client.version()}), file=out, flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        try:
            answer = measure(client, order["path"], order["times"], order["threads"])
            answer["warnings"] = warnings.lines
        except Exception:
            answer = {"error": traceback.format_exc()}
        print(json.dumps(answer), file=out, flush=True)
        warnings.lines.clear()
    client.close()


if __name__ == "__main__":
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints must not get between the replies
    serve(Settings(**json.loads(sys.argv[1])), replies)
