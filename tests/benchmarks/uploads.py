"""The main table: every client and the floor, in the same rounds, against the same server."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Dict, List, Optional, Sequence

from .bare import round_trip
from .clients import LIBRARY, PEERS
from .driver import Driver, MissingClientError
from .machine import wait_until_idle
from .server import Server
from .truth import check, make_file, truth_of
from .workloads import Workload, md5_alone

GIB = 1 << 30


@dataclass
class Series:
    """One client's runs of one workload, in seconds."""

    walls: List[float] = field(default_factory=list)
    cpus: List[float] = field(default_factory=list)

    @property
    def wall(self) -> float:
        return median(self.walls)

    @property
    def cpu(self) -> float:
        return median(self.cpus)


@dataclass
class Row:
    """One workload: the floor of each round, and what each client took."""

    workload: Workload
    floors: List[float] = field(default_factory=list)
    clients: Dict[str, Series] = field(default_factory=dict)

    @property
    def floor(self) -> float:
        return median(self.floors)

    @property
    def best_peer(self) -> Optional[str]:
        peers = [name for name in self.clients if name in PEERS]
        return min(peers, key=lambda name: self.clients[name].wall) if peers else None

    def cpu_per_gib(self, client: str) -> float:
        """Seconds of CPU for each GiB uploaded."""
        sent = self.workload.size * self.workload.uploads
        return self.clients[client].cpu * GIB / sent


class Bench:
    """Holds the server and the folder of files; `run` gives one row."""

    def __init__(
        self, server: Server, folder: str, clients: Sequence[str], rounds: int, patience: float
    ) -> None:
        self.versions: Dict[str, str] = {}
        self.missing: Dict[str, str] = {}
        self.disturbed = 0
        self._server = server
        self._folder = folder
        self._clients = clients
        self._rounds = rounds
        self._patience = patience

    def run(self, workload: Workload) -> Row:
        """All rounds of one workload, in fresh processes, after an upload each that is not counted.

        Each round starts with another client, so that none always follows the same one.
        """
        row = Row(workload)
        path = make_file(self._folder, workload.size)
        behaviour = workload.behaviour
        if workload.line is not None:
            self._server.stretch(workload.line)
            behaviour = replace(behaviour, storage_url=self._server.far_urls["storage"])
        self._server.behave(behaviour)
        with ExitStack() as stack:
            drivers = self._start(stack, workload)
            for name, driver in drivers.items():
                row.clients[name] = Series()
                if not (workload.cold or workload.peers_once and name != LIBRARY):
                    self._once(workload, driver, path)
            for number in range(self._rounds):
                if self._patience:
                    self.disturbed += not wait_until_idle(self._patience)
                trip = round_trip(self._api_url(workload), self._server.ca_file)
                row.floors.append(workload.floor(md5_alone(path), trip))
                self._server.report()
                for name in _rotated(list(drivers), number):
                    if number and workload.peers_once and name != LIBRARY:
                        continue
                    driver = drivers[name]
                    if workload.cold and number:
                        driver = stack.enter_context(self._driver(name, workload))
                    wall, cpu = self._once(workload, driver, path)
                    row.clients[name].walls.append(wall)
                    row.clients[name].cpus.append(cpu)
                print(".", end="", file=sys.stderr, flush=True)
        return row

    def _start(self, stack: ExitStack, workload: Workload) -> Dict[str, Driver]:
        drivers = {}
        for name in self._clients:
            try:
                driver = stack.enter_context(self._driver(name, workload))
            except MissingClientError as error:
                self.missing[name] = str(error)
                continue
            drivers[name] = driver
            self.versions[name] = driver.version
        return drivers

    def _driver(self, name: str, workload: Workload) -> Driver:
        token = None if workload.line is None else self._server.far_urls["token"]
        return Driver(name, self._api_url(workload), self._server.ca_file, token)

    def _api_url(self, workload: Workload) -> str:
        if workload.line is not None:
            return self._server.far_urls["api"]
        return self._server.api_url(workload.tls)

    def _once(self, workload: Workload, driver: Driver, path: str) -> List[float]:
        cost = driver.run(path, workload.uploads)
        truth = truth_of(path, workload.behaviour.block_size)
        check(truth, workload.uploads, workload.behaviour, *self._server.report())
        return [cost.wall, cost.cpu]


def _rotated(names: List[str], by: int) -> List[str]:
    shift = by % max(1, len(names))
    return names[shift:] + names[:shift]
