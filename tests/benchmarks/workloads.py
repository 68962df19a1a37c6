"""The workloads, and the time below which no client can be: the floor.

The floor of a workload is computed beside each run, as the sum of what must follow one another:

- the md5 of the file, alone, taken in the same round (`hashlib.md5` over 256 KiB blocks): prepare
  has to name it;
- one round trip for prepare;
- the bytes over the bandwidth: the parts dealt out to `concurrency` connections, each to the one
  that is free first, with storage's latency for each part; the fullest connection counts;
- the confirmations, in the order that every client seen on the live platform keeps: at most
  `concurrency` parts at a time, the lowest unconfirmed ones; each takes one round trip, and for
  each refusal before it one `retry_delay`, counted from request to request;
- one round trip for complete.

Over a long line (see `line.py`) the round trips of a cold upload are nine: connect, TLS and call
for the token, beside which the API's connect and TLS can be; prepare; storage's connect, TLS and
PUT; finish; complete. Of a warm one four. Each further PUT that follows another on one connection
costs one more, and the bytes take their time over the rate.

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
from typing import List, Optional, Tuple

from .line import Line
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
    line: Optional[Line] = None
    cold: bool = False  # each upload in a process of its own, which has no connection and no token

    @property
    def parts(self) -> int:
        return max(1, -(-self.size // self.behaviour.block_size))

    def floor(self, md5_seconds: float, round_trip: float) -> float:
        """Seconds that the whole workload takes at least; see the module's text."""
        behaviour = self.behaviour
        if self.line is not None:
            trips = (9 if self.cold else 4) + self.parts - 1
            bytes_alone = self.size / self.line.rate if self.line.rate else 0.0
            return md5_seconds + trips * round_trip + bytes_alone
        overhead = max(0.0, round_trip - behaviour.latency)
        lanes = [0.0] * behaviour.concurrency
        polls = behaviour.busy * max(behaviour.retry_delay, behaviour.latency)
        confirmed: List[float] = []
        for index in range(self.parts):
            size = min(behaviour.block_size, self.size - index * behaviour.block_size)
            free = lanes.index(min(lanes))
            lanes[free] += size / behaviour.rate if behaviour.rate else 0.0
            lanes[free] += behaviour.put_latency + overhead
            # It is this part's turn once all but concurrency - 1 of those before it are confirmed.
            done_before = index - behaviour.concurrency
            turn = sorted(confirmed)[done_before] if done_before >= 0 else 0.0
            confirmed.append(max(lanes[free], turn) + polls + round_trip)
        once = md5_seconds + 2 * round_trip + max(confirmed)
        return once * self.uploads


def _all() -> Tuple[Workload, ...]:
    local = Behaviour()
    thin = Behaviour(latency=0.03, rate=40e6, concurrency=1)
    wide = replace(thin, concurrency=4)
    far = Behaviour(latency=0.03, put_latency=0.03)
    plain = (
        # Half of A is this server's Python storage: no client can be much below the best peer.
        Workload("A", "no latency, no limit, 4 at once", local, peer_limit=0.72),
        Workload("B", "30 ms, 40 MB/s, 1 at once", thin, floor_limit=1.05),
        Workload("C", "30 ms, 40 MB/s, 4 at once", wide, floor_limit=1.05),
        Workload("D", "20 × 200 KiB, 30 ms", far, 200 << 10, 20, floor_limit=1.10),
        Workload("E", "C, two 40093001 a part", replace(wide, busy=2), peer_limit=0.90),
        Workload(
            "F", "E, 1 at once", replace(thin, busy=2), floor_limit=1.05, peers_once=True
        ),
    )
    secure = tuple(
        replace(workload, name=workload.name + " tls", tls=True)
        for workload in plain
        if workload.name in "ACD"
    )
    one = Behaviour(concurrency=1)
    short, long = Line(0.04), Line(0.2, 2.5e6)
    far_off = (
        Workload("G", "200 KiB, cold, 40 ms", one, 200 << 10, line=short, cold=True,
                 floor_limit=1.08),
        Workload("H", "200 KiB, warm, 40 ms", one, 200 << 10, line=short, floor_limit=1.08),
        Workload("I", "25 MB, cold, 200 ms, 2.5 MB/s", one, 25_000_000, line=long, cold=True,
                 floor_limit=1.04),
        Workload("J", "25 MB, warm, 200 ms, 2.5 MB/s", one, 25_000_000, line=long,
                 floor_limit=1.04),
    )
    far_off = tuple(replace(workload, tls=True) for workload in far_off)
    return plain + (replace(secure[0], peer_limit=0.75),) + secure[1:] + far_off


WORKLOADS = _all()


def quick(workload: Workload) -> Workload:
    """The same in small: parts of 1 MiB, a tenth of the bytes, three short files instead of 20."""
    behaviour = replace(workload.behaviour, block_size=MIB, busy=min(1, workload.behaviour.busy))
    size = min(workload.size, 10 * MIB)
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
