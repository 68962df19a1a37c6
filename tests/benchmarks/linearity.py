"""Is twice the file twice the time? Wall and CPU seconds from 1 MiB to 1 GiB, on a free server."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import median
from typing import Dict, List, Sequence, Tuple

from .chart import line_chart
from .clients import LIBRARY
from .driver import Driver, MissingClientError
from .report import Gate, table
from .server import Server
from .truth import check, make_file, truth_of
from .wire import Behaviour
from .workloads import md5_alone

MIB = 1 << 20
SIZES = (1, 4, 16, 64, 256, 1024)  # MiB
REFERENCE = 64  # MiB; below, what an upload costs anyhow is too large a share
DRIFT = 1.15  # how much dearer a MiB of the largest file may be than one of the reference


@dataclass(frozen=True)
class Measured:
    """Medians for one size: seconds of the upload, of its CPU and of md5 alone."""

    mebibytes: int
    wall: float
    cpu: float
    md5: float


def run(server: Server, folder: str, rounds: int, quick: bool) -> List[Measured]:
    behaviour = Behaviour()
    server.behave(behaviour)
    found = []
    try:
        with Driver(LIBRARY, server.api_url(), server.ca_file) as driver:
            for size in SIZES[:3] if quick else SIZES:
                path = make_file(folder, size * MIB)
                runs: List[Tuple[float, float, float]] = []
                for _ in range(rounds + 1):
                    md5 = md5_alone(path)
                    cost = driver.run(path)
                    check(truth_of(path, behaviour.block_size), 1, behaviour, *server.report())
                    runs.append((cost.wall, cost.cpu, md5))
                medians = [median(column) for column in zip(*runs[1:])]
                found.append(Measured(size, *medians))
    except MissingClientError:
        pass
    return found


def text(points: Sequence[Measured]) -> str:
    head = ["size", "", "wall s", "CPU s", "md5 alone s", "wall ms/MiB", "CPU ms/MiB"]
    rows = [
        [
            f"{point.mebibytes} MiB",
            "",
            f"{point.wall:.4f}",
            f"{point.cpu:.4f}",
            f"{point.md5:.4f}",
            f"{point.wall / point.mebibytes * 1000:.3f}",
            f"{point.cpu / point.mebibytes * 1000:.3f}",
        ]
        for point in points
    ]
    return table(head, rows)


def gates(points: Sequence[Measured]) -> List[Gate]:
    by_size: Dict[int, Measured] = {point.mebibytes: point for point in points}
    base, last = by_size.get(REFERENCE), by_size.get(SIZES[-1])
    names = (f"wall time per MiB, 1 GiB against {REFERENCE} MiB", "the same for CPU")
    if base is None or last is None:
        return [Gate(name, None, DRIFT, " ×") for name in names]
    share = REFERENCE / SIZES[-1]
    drifts = (last.wall / base.wall * share, last.cpu / base.cpu * share)
    return [Gate(name, drift, DRIFT, " ×") for name, drift in zip(names, drifts)]


def chart(points: Sequence[Measured]) -> str:
    if not points:
        return ""
    lines = {
        "upload, wall": [(float(point.mebibytes), point.wall) for point in points],
        "upload, CPU": [(float(point.mebibytes), point.cpu) for point in points],
        "md5 alone": [(float(point.mebibytes), point.md5) for point in points],
    }
    return line_chart("One upload by size of the file", lines, lambda size: f"{size:g} MiB")


def data(points: Sequence[Measured]) -> object:
    return [asdict(point) for point in points]
