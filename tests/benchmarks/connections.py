"""Connections made and kept, and what several threads get out of one uploader."""

from __future__ import annotations

from typing import Dict, List, Mapping, Tuple

from .clients import LIBRARY
from .driver import Driver, Measurement, MissingClientError
from .process import Report
from .report import Gate
from .server import Server
from .truth import check, make_file, truth_of
from .wire import Behaviour

MIB = 1 << 20
CONCURRENCY = 4
Found = Dict[str, float]


def run(server: Server, folder: str, quick: bool) -> Found:
    """Three tries, each in a fresh process; {} if the library is not there."""
    small, large = make_file(folder, 200 << 10), make_file(folder, MIB)
    crowd, far = (10, 10) if quick else (50, 10), Behaviour(latency=0.03, concurrency=CONCURRENCY)
    local = Behaviour(concurrency=CONCURRENCY)
    try:
        _, api, storage = _try(server, local, small, 20, 1)
        found = {"api": float(api.connections), "storage": float(storage.connections)}
        cost, api, storage = _try(server, local, large, crowd[1], crowd[0])
        found["pool is full"] = float(sum("pool is full" in line for line in cost.warnings))
        found["warnings"] = float(len(cost.warnings))
        found["crowd"] = float(crowd[0])
        found["crowd api"], found["crowd storage"] = api.connections, storage.connections
        found["crowd seconds"] = cost.wall
        alone, _, _ = _try(server, far, large, 10, 1)
        eight, _, _ = _try(server, far, large, 10, 8)
        found["8 threads"] = 8 * alone.wall / eight.wall
    except MissingClientError:
        return {}
    return found


def _try(
    server: Server, behaviour: Behaviour, path: str, times: int, threads: int
) -> Tuple[Measurement, Report, Report]:
    server.behave(behaviour)
    with Driver(LIBRARY, server.api_url(), server.ca_file) as driver:
        cost = driver.run(path, times, threads)
    reports = server.report()
    check(truth_of(path, behaviour.block_size), times * threads, behaviour, *reports)
    return (cost, *reports)


def text(found: Mapping[str, float]) -> str:
    if not found:
        return f"{LIBRARY} is not there"
    return (
        f"20 uploads of 200 KiB in a row: {found['api']:.0f} connections to the API, "
        f"{found['storage']:.0f} to storage\n"
        f"{found['crowd']:.0f} threads × 10 uploads of 1 MiB: {found['crowd seconds']:.2f} s, "
        f"{found['crowd api']:.0f} connections to the API, {found['crowd storage']:.0f} to "
        f"storage, {found['warnings']:.0f} warnings of urllib3\n"
        f"8 threads with 30 ms per API call move {found['8 threads']:.2f} × what one does"
    )


def gates(found: Mapping[str, float]) -> List[Gate]:
    return [
        Gate("connections to the API, 20 uploads in a row", found.get("api"), 2),
        Gate("connections to storage, 20 uploads in a row", found.get("storage"), CONCURRENCY),
        Gate('"pool is full" warnings', found.get("pool is full"), 0),
        Gate("8 threads against one", found.get("8 threads"), 4, " ×", at_least=True),
    ]
