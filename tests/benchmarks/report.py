"""Tables for people, JSON for machines, and the gates."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Dict, List, Optional, Sequence

from .clients import LIBRARY, PEERS
from .uploads import Row

Cells = List[str]


@dataclass(frozen=True)
class Gate:
    """One promise: `value` must not be over `limit` (under it, if `at_least`).

    A value of None was not measured, for want of a library to measure.
    """

    name: str
    value: Optional[float]
    limit: float
    unit: str = ""
    at_least: bool = False

    @property
    def verdict(self) -> str:
        if self.value is None:
            return "----"
        good = self.value >= self.limit if self.at_least else self.value <= self.limit
        return "PASS" if good else "MISS"

    def __str__(self) -> str:
        bound = "at least" if self.at_least else "at most"
        found = "not measured" if self.value is None else f"{self.value:.3f}{self.unit}"
        return f"{self.verdict}  {self.name}: {found} ({bound} {self.limit:g}{self.unit})"


def describe(facts: Dict[str, object], versions: Dict[str, str]) -> str:
    libraries = ", ".join(f"{name} {version}" for name, version in versions.items())
    return (
        f"{facts['processor']}, {facts['cores']} cores, {facts['system']}, "
        f"Python {facts['python']}, load {facts['load']}\n{libraries}"
    )


def table(head: Cells, rows: Sequence[Cells]) -> str:
    """Columns padded to their widest cell; the first ones to the left, figures to the right."""
    lines = [head, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    padded = [
        "  ".join(
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths))
        ).rstrip()
        for line in lines
    ]
    rule = "  ".join("-" * width for width in widths)
    return "\n".join([padded[0], rule, *padded[1:]])


def upload_table(rows: Sequence[Row], clients: Sequence[str]) -> str:
    """Seconds, and the library's ratios to the floor and to the best peer."""
    head = ["", "wall time, s", "floor", *clients, "× floor", "× best peer"]
    lines = []
    for row in rows:
        line = [row.workload.name, row.workload.title, f"{row.floor:.3f}"]
        line += [_seconds(row, name) for name in clients]
        line += [_ratio(against_floor(row)), _ratio(against_peer(row))]
        lines.append(line)
    return table(head, lines)


def cpu_table(rows: Sequence[Row], clients: Sequence[str]) -> str:
    """Seconds of CPU, user and system, per GiB; the server's own are not in it."""
    head = ["", "CPU s per GiB", *clients, "× best peer"]
    lines = []
    for row in rows:
        line = [row.workload.name, row.workload.title]
        line += [f"{row.cpu_per_gib(name):.2f}" if name in row.clients else "-" for name in clients]
        lines.append([*line, _ratio(_cpu(row))])
    return table(head, lines)


def against_floor(row: Row) -> Optional[float]:
    ours = row.clients.get(LIBRARY)
    return ours.wall / row.floor if ours else None


def against_peer(row: Row) -> Optional[float]:
    ours, peer = row.clients.get(LIBRARY), row.best_peer
    return ours.wall / row.clients[peer].wall if ours and peer else None


def upload_gates(rows: Sequence[Row]) -> List[Gate]:
    gates = []
    for row in rows:
        if row.workload.floor_limit:
            name = f"{row.workload.name} against the floor"
            gates.append(Gate(name, against_floor(row), row.workload.floor_limit, " ×"))
        if row.workload.peer_limit:
            name = f"{row.workload.name} against the best peer"
            gates.append(Gate(name, against_peer(row), row.workload.peer_limit, " ×"))
        if row.workload.uploads == 1:
            name = f"{row.workload.name} CPU against the thriftiest peer"
            gates.append(Gate(name, _cpu(row), 1, " ×"))
    return gates


def upload_json(rows: Sequence[Row]) -> List[Dict[str, object]]:
    return [
        {
            **asdict(row.workload),
            "floor": row.floor,
            "floors": row.floors,
            "clients": {
                name: {
                    "median": series.wall,
                    "walls": series.walls,
                    "cpu_per_gib": row.cpu_per_gib(name),
                    "times_floor": series.wall / row.floor,
                }
                for name, series in row.clients.items()
            },
            "against_best_peer": against_peer(row),
        }
        for row in rows
    ]


def write_json(path: str, content: Dict[str, object]) -> None:
    Path(path).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")


def command() -> str:
    """How this run was asked for, for the reader of the JSON file."""
    return " ".join(["python -m tests.benchmarks", *sys.argv[1:]])


def _cpu(row: Row) -> Optional[float]:
    peers = [row.clients[name].cpu for name in row.clients if name in PEERS]
    ours = row.clients.get(LIBRARY)
    return ours.cpu / min(peers) if ours and peers else None


def _seconds(row: Row, client: str) -> str:
    series = row.clients.get(client)
    if series is None:
        return "-"
    return f"{series.wall:.3f}" + ("*" if len(series.walls) < len(row.floors) else "")


def _ratio(value: Optional[float]) -> str:
    return "-" if value is None else f"{value:.3f}"
