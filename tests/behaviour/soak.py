"""Uploads at full tilt through emulators that break at random, for as long as it is told to.

::

    python -m tests.behaviour.soak --seconds 600 --threads 16 --rate 0.1 --seed 1

Every file that the library reports as uploaded must be in the emulator with the size, md5 and sha1
of the bytes that were given; every other upload must raise one of the library's own exceptions; and
memory, threads and descriptors must stay where they are. Half of the threads speak https. The exit
code is 0 if all of that was so, else 1.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import hashlib
import io
import os
import pathlib
import random
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Tuple
from unittest import mock

from qqchunk import UploadError, Uploader
from qqchunk.emulator import Emulator, Fault
from tests.behaviour.recovery import SCHEMES, serving, trusted, uploading

BLOCK_SIZE = 128 << 10
MOST_BYTES = 2 << 20  # of one file
DEADLINE = 30.0  # seconds for one upload
OVERTIME = 3.0  # seconds by which an upload may pass its deadline on a busy machine
UPLOAD_LIFE = 15.0  # seconds: what failed must not fill the emulator's memory
RESTART_EVERY = 12.0  # seconds between two moments at which nobody listens
GROWTH = 32 << 20  # bytes of resident memory that say nothing yet

# Waits of the library that are meant for minutes.
SHORTENED = {
    "net.transport.SLOW_READ_TIMEOUT": 1.0, "protocol.retry.BUSY_DELAY": 0.2,
    "protocol.retry.MAX_RATE_WAIT": 3.0}

CALLS = ("token", "prepare", "finish", "complete")
ALL = (*CALLS, "put")
Spec = Tuple[Tuple[str, ...], str, Mapping[str, Any]]

FAULTS: List[Spec] = [
    *[(ALL, "status", {"status": status}) for status in (429, 500, 502, 503, 504)],
    (ALL, "status", {"status": 429, "retry_after": 0}),
    (ALL, "status", {"status": 503, "retry_after": 86400}),
    (ALL, "status", {"status": 400}),
    *[(ALL, kind, {}) for kind in (
        "reset_before", "reset_midway", "reset_unprocessed", "reset_after", "close", "close_after",
        "silence")],
    (ALL, "close", {"processed": True}),
    (ALL, "silence", {"processed": True}),
    *[(ALL, "cut_reply", {"where": where}) for where in ("body", "headers", "status")],
    (ALL, "drip", {"delay": 0.0005}),
    (ALL, "drip", {"delay": 0.05}),
    (ALL, "endless_continue", {"delay": 0.02}),
    (ALL, "header_flood", {"size": 200_000}),
    (ALL, "huge_body", {"size": 1 << 20}),
    *[(CALLS, "code", {"code": code}) for code in (
        850012, 850019, 850027, 850031, 11244, 11281, 22009, 40093002)],
    *[(CALLS, "html_200", {"processed": processed}) for processed in (True, False)],
    *[(CALLS, "wrong_shape", {"body": body}) for body in ([], {"some": "thing"})],
    (("prepare", "finish", "complete"), "busy", {}),
    (("token",), "code", {"code": 100001}),
    (("prepare", "complete"), "empty_body", {}),
    (("put",), "expired_url", {}),
    (("put",), "bad_signature", {}),
    (("put",), "early_status", {"at_bytes": 4096}),
    (("put",), "early_status", {"at_bytes": 4096, "linger": 1.0}),
    (("put",), "early_200", {"at_bytes": 4096}),
    (("put",), "status", {"status": 200}),
    (("put",), "stop_reading", {}),
    (("put",), "slow", {"bandwidth": 500_000}),
]


def faults_at(rate: float) -> List[Fault]:
    """All faults, such that each request is struck with the given probability."""
    found = []
    for stage in ALL:
        here = [(kind, options) for stages, kind, options in FAULTS if stage in stages]
        chance = 1 - (1 - rate) ** (1 / len(here))
        found += [
            Fault(stage, kind, times=None, chance=chance, **options) for kind, options in here]
    return found


class Sample(NamedTuple):
    """What the process holds at one moment."""

    resident: int  # bytes
    threads: int
    descriptors: int


def take_sample() -> Sample:
    pages = int(pathlib.Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return Sample(
        pages * os.sysconf("SC_PAGE_SIZE"), threading.active_count(),
        len(os.listdir("/proc/self/fd")))


class Soak:
    """One run: its threads, what they found, and what there is to object to."""

    def __init__(self, threads: int, seed: int) -> None:
        self._seed = seed
        self._lock = threading.Lock()
        self.over = threading.Event()
        self.uploaded = 0
        self.raised: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()
        self.problems: List[str] = []
        self.samples: List[Sample] = []
        self._threads = threads

    @property
    def attempts(self) -> int:
        return self.uploaded + sum(self.raised.values())

    def object(self, problem: str) -> None:
        with self._lock:
            self.problems.append(problem)
        print(f"PROBLEM {problem}", flush=True)

    def run(self, seconds: float, rate: float) -> None:
        end = time.monotonic() + seconds
        with contextlib.ExitStack() as stack:
            directory = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
            emulators = [
                stack.enter_context(self._listening(scheme, rate)) for scheme in SCHEMES]
            uploaders = [
                stack.enter_context(uploading(emulator, timeout=(1.0, 1.0), backoff=0.05))
                for emulator in emulators]
            workers = [
                threading.Thread(
                    target=self._work, name=f"worker-{n}",
                    args=(n, emulators[n % 2], uploaders[n % 2], directory / f"{n}.bin"))
                for n in range(self._threads)]
            for worker in workers:
                worker.start()
            self._watch(emulators, end, seconds)
            self.over.set()
            give_up = time.monotonic() + OVERTIME
            for worker in workers:
                worker.join(max(0.0, give_up - time.monotonic()))
            stuck = [worker.name for worker in workers if worker.is_alive()]
            if stuck:
                self.object(f"still uploading {OVERTIME} s after it was cancelled: {stuck}")

    def _listening(self, scheme: str, rate: float) -> Emulator:
        options: Dict[str, Any] = dict(
            block_size=BLOCK_SIZE, concurrency=4, retry_delay=0.1, retry_timeout=4.0,
            busy_finishes=0, daily_quota=1 << 60, upload_ttl=UPLOAD_LIFE, keep_bodies=False,
            part_md5_checked_at="complete", faults=faults_at(rate), seed=self._seed)
        draw = random.Random(f"{self._seed} port {scheme} {os.getpid()}")
        while True:  # below the ports for clients, one of which could be taken during a restart
            try:
                return serving(scheme, port=draw.randrange(12_000, 30_000), **options).start()
            except OSError:
                continue

    def _work(self, n: int, emulator: Emulator, uploader: Uploader, path: pathlib.Path) -> None:
        draw = random.Random(f"{self._seed} worker {n}")
        try:
            while not self.over.is_set():
                self._upload(draw, emulator, uploader, path)
        except BaseException:
            self.object(f"worker {n} ended:\n{traceback.format_exc()}")

    def _upload(
        self, draw: random.Random, emulator: Emulator, uploader: Uploader, path: pathlib.Path
    ) -> None:
        size = int(MOST_BYTES ** draw.random())
        content = draw.getrandbits(8 * size).to_bytes(size, "big")
        began = time.monotonic()
        try:
            with self._as_file(draw, content, path) as file:
                result = uploader.upload(
                    draw.choice(["c2c", "group"]), "0123456789ABCDEF", file, file_name="a.bin",
                    cancel=self.over, deadline=DEADLINE)
        except UploadError as error:
            with self._lock:
                self.raised[type(error).__name__] += 1
        else:
            stored = emulator.stored(result.file_info).digests
            emulator.forget(result.file_info)
            with self._lock:
                self.uploaded += 1
            if (stored.size, stored.md5, stored.sha1) != (
                size, hashlib.md5(content).hexdigest(), hashlib.sha1(content).hexdigest()
            ):
                self.object(f"{size} bytes were reported as uploaded, but {stored} arrived")
        took = time.monotonic() - began
        if took > DEADLINE + OVERTIME:
            self.object(f"an upload with a deadline of {DEADLINE} s took {took:.1f} s")

    @contextlib.contextmanager
    def _as_file(
        self, draw: random.Random, content: bytes, path: pathlib.Path
    ) -> Iterator[Any]:
        kind = draw.choice(["bytes", "path", "file", "stream"])
        if kind == "bytes":
            yield content
        elif kind == "stream":
            yield io.BytesIO(content)
        else:
            path.write_bytes(content)
            if kind == "path":
                yield path
            else:
                with path.open("rb") as file:
                    yield file

    def _watch(self, emulators: List[Emulator], end: float, seconds: float) -> None:
        """Print how it goes, restart the emulators now and then, until the time is over."""
        began = time.monotonic()
        pause = max(1.0, seconds / 40)
        next_restart = began + RESTART_EVERY
        while time.monotonic() < end:
            time.sleep(max(0.0, min(pause, end - time.monotonic())))
            sample = take_sample()
            self.samples.append(sample)
            for emulator in emulators:
                emulator.requests.clear()
                self.refusals.update(emulator.refusals + emulator.manners)
                emulator.refusals.clear()
                emulator.manners.clear()
            print(
                f"{time.monotonic() - began:6.1f} s  {self.uploaded} uploaded, "
                f"{sum(self.raised.values())} raised, {sample.resident >> 20} MiB, "
                f"{sample.threads} threads, {sample.descriptors} descriptors", flush=True)
            if time.monotonic() >= next_restart:
                next_restart += RESTART_EVERY
                for emulator in emulators:
                    emulator.stop()
                    time.sleep(0.3)
                    emulator.start()

    def check_flatness(self, before: Sample, after: Sample) -> None:
        """Compare the last third of the run with the middle one, and the end with the start."""
        third = len(self.samples) // 3
        if third >= 3:
            middle, last = self.samples[third:-third], self.samples[-third:]
            for name, allowed in [
                ("resident", GROWTH), ("threads", 8 * self._threads),
                ("descriptors", 8 * self._threads),
            ]:
                peak = max(getattr(sample, name) for sample in middle)
                later = min(getattr(sample, name) for sample in last)
                if later > peak + allowed:
                    self.object(f"{name} grew from at most {peak} to at least {later}")
        if after.threads > before.threads:
            names = sorted(thread.name for thread in threading.enumerate())
            self.object(f"{before.threads} threads became {after.threads}: {names}")
        if after.descriptors > before.descriptors:
            self.object(f"{before.descriptors} descriptors became {after.descriptors}")


def settled(before: Sample) -> Sample:
    """Take a sample once the last threads are gone, or after two seconds."""
    give_up = time.monotonic() + 2.0
    while True:
        gc.collect()
        sample = take_sample()
        if sample[1:] <= before[1:] or time.monotonic() > give_up:
            return sample
        time.sleep(0.05)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--threads", type=int, default=16)
    parser.add_argument("--rate", type=float, default=0.1, help="of requests that are struck")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    chosen = parser.parse_args()
    print(f"seed {chosen.seed}, {chosen.threads} threads, {chosen.seconds:g} s, "
          f"{chosen.rate:.0%} of requests struck", flush=True)
    soak = Soak(chosen.threads, chosen.seed)
    with contextlib.ExitStack() as stack:
        stack.enter_context(trusted())
        for name, value in SHORTENED.items():
            stack.enter_context(mock.patch(f"qqchunk.{name}", value))
        before = take_sample()
        soak.run(chosen.seconds, chosen.rate)
        soak.check_flatness(before, settled(before))
    if not soak.uploaded:
        soak.object("nothing was uploaded")
    for counted in (soak.raised, soak.refusals):
        for text, number in counted.most_common(20):
            print(f"{number:8d} {text}")
    print(f"soak (seed {chosen.seed}): {soak.uploaded} files uploaded and compared, "
          f"{sum(soak.raised.values())} raised an exception of ours")
    print(f"{soak.attempts} passed, {len(soak.problems)} failed")
    return 1 if soak.problems else 0


if __name__ == "__main__":
    sys.exit(main())
