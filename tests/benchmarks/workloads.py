"""The workloads, and the time below which no client can be: the floor.

The floor of a workload is computed beside each run, as the sum of what must follow one another:

- the md5 of the file, alone, taken in the same round (`hashlib.md5` over 256 KiB blocks): prepare
  has to name it;
- one round trip for prepare;
- the bytes over the bandwidth: the parts dealt out to `concurrency` connections, each to the one
  that is free first, with storage's latency for each part; the fullest connection counts;
- the confirmation of the last part: one round trip, and for each refusal before it one
  `retry_delay`, counted from request to request;
- one round trip for complete.

A round trip is what a bare socket measures in the same round: the latency asked of the server, and
the fraction of a millisecond that its sleep and the wake-ups of both sides add. Storage's latency
has the same added.

An upload of several files has this once per file. Nothing is charged for connections or the token
(both are warm), for the client's own work, for sha1 (it can hide beside md5 on a second core), for
the copy through the loopback, or for the confirmations of all other parts (they hide behind the
sending). Without latency and limit the floor is therefore nearly md5 alone.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, replace
from typing import Tuple

from .wire import Behaviour

MIB = 1 << 20
HASH_BLOCK = 256 << 10  # bytes


@dataclass(frozen=True)
class Workload:
    """One line of the table. `peer_limit` and `floor_limit` are the gates, as ratios."""

    name: str
    title: str
    behaviour: Behaviour
    size: int = 100 * MIB
    uploads: int = 1
    tls: bool = False
    peer_limit: float = 0.0
    floor_limit: float = 0.0
    peers_once: bool = False  # where a peer needs half a minute

    @property
    def parts(self) -> int:
        return max(1, -(-self.size // self.behaviour.block_size))

    def floor(self, md5_seconds: float, round_trip: float) -> float:
        """Seconds that the whole workload takes at least; see the module's text."""
        behaviour = self.behaviour
        overhead = max(0.0, round_trip - behaviour.latency)
        lanes = [0.0] * behaviour.concurrency
        for index in range(self.parts):
            size = min(behaviour.block_size, self.size - index * behaviour.block_size)
            free = lanes.index(min(lanes))
            lanes[free] += size / behaviour.rate if behaviour.rate else 0.0
            lanes[free] += behaviour.put_latency + overhead
        polls = behaviour.busy * max(behaviour.retry_delay, behaviour.latency)
        once = md5_seconds + 3 * round_trip + max(lanes) + polls
        return once * self.uploads


def _all() -> Tuple[Workload, ...]:
    local = Behaviour()
    thin = Behaviour(latency=0.03, rate=40e6, concurrency=1)
    wide = replace(thin, concurrency=4)
    far = Behaviour(latency=0.03, put_latency=0.03)
    plain = (
        Workload("A", "no latency, no limit, 4 at once", local, peer_limit=0.60),
        Workload("B", "30 ms, 40 MB/s, 1 at once", thin, floor_limit=1.05),
        Workload("C", "30 ms, 40 MB/s, 4 at once", wide, floor_limit=1.05),
        Workload("D", "20 × 200 KiB, 30 ms", far, 200 << 10, 20, floor_limit=1.1),
        Workload("E", "C, two 40093001 a part", replace(wide, busy=2), floor_limit=1.05),
        Workload(
            "F", "E, 1 at once", replace(thin, busy=2), floor_limit=1.10, peers_once=True
        ),
    )
    secure = tuple(
        replace(workload, name=workload.name + " tls", tls=True)
        for workload in plain
        if workload.name in "ACD"
    )
    return plain + (replace(secure[0], peer_limit=0.70),) + secure[1:]


WORKLOADS = _all()


def quick(workload: Workload) -> Workload:
    """The same in small: parts of 1 MiB, a tenth of the bytes, three short files instead of 20."""
    behaviour = replace(workload.behaviour, block_size=MIB, busy=min(1, workload.behaviour.busy))
    size = workload.size if workload.uploads > 1 else 10 * MIB
    return replace(workload, behaviour=behaviour, size=size, uploads=min(3, workload.uploads))


def md5_alone(path: str) -> float:
    """Seconds for the md5 of a file in the page cache, read in blocks of 256 KiB."""
    begin = time.perf_counter()
    digest = hashlib.md5()
    block = memoryview(bytearray(HASH_BLOCK))
    with open(path, "rb", buffering=0) as file:
        while True:
            count = file.readinto(block)
            if not count:
                break
            digest.update(block[:count])
    digest.hexdigest()
    return time.perf_counter() - begin
