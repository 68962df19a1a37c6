"""The storage half of the server: takes PUTs as fast as the kernel hands them over."""

from __future__ import annotations

import hashlib
import time
from multiprocessing.connection import Connection
from typing import Dict, List, Optional, Tuple

from .process import Listeners, PartRecord, Report, Service
from .wire import Channel, Link

SCRATCH = 1 << 20  # bytes hashed at a time when bodies are not kept


class Storage(Service):
    """A sink that keeps each body, and hashes it only when the run is over.

    The md5 of 100 MiB costs as much as everything else a fast uploader does; on two cores a server
    that took it at once would be what is measured.
    """

    def __init__(self, listeners: Listeners) -> None:
        super().__init__(listeners)
        self._kept: List[Tuple[PartRecord, bytearray]] = []
        self._spare: Dict[int, List[bytearray]] = {}

    def answer(self, channel: Channel) -> bool:
        head = channel.read_head()
        if head is None:
            return False
        link = Link(self.behaviour.rate) if self.behaviour.rate else None
        if self.behaviour.keep:
            self._keep(channel, head.target, head.length, link)
        else:
            self._hash(channel, head.target, head.length, link)
        if link is not None:
            link.drain()
        if self.behaviour.put_latency:
            time.sleep(self.behaviour.put_latency)
        channel.reply(200)
        return True

    def collect(self) -> Report:
        report = super().collect()
        with self.lock:
            kept, self._kept = self._kept, []
        for record, body in kept:
            md5 = hashlib.md5(body).hexdigest()
            report.parts.append(
                PartRecord(record.upload_id, record.index, record.size, md5, record.received_at)
            )
            self._spare.setdefault(len(body), []).append(body)
        return report

    def _keep(self, channel: Channel, target: str, length: int, link: Optional[Link]) -> None:
        with self.lock:
            spare = self._spare.get(length)
            body = spare.pop() if spare else None
        if body is None:
            body = bytearray(length)
        with memoryview(body) as view:
            done = 0
            while done < length:
                done += channel.read_some(view[done:], link)
        with self.lock:
            self._kept.append((_record(target, length, ""), body))

    def _hash(self, channel: Channel, target: str, length: int, link: Optional[Link]) -> None:
        digest = hashlib.md5()
        scratch = memoryview(bytearray(min(SCRATCH, length)))
        done = 0
        while done < length:
            count = channel.read_some(scratch[: length - done], link)
            digest.update(scratch[:count])
            done += count
        record = _record(target, length, digest.hexdigest())
        with self.lock:
            self.report.parts.append(record)


def _record(target: str, length: int, md5: str) -> PartRecord:
    _, upload_id, name = target.partition("?")[0].rsplit("/", 2)
    index = int(name.replace("part_", ""))
    return PartRecord(upload_id, index, length, md5, time.monotonic())


def serve_storage(listeners: Listeners, control: Connection) -> None:
    """The body of one storage process."""
    Storage(listeners).run(control)
