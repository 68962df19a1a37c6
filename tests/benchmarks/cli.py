"""`python -m tests.benchmarks`: what is measured, and where it goes."""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Callable, Dict, List, Sequence

from . import cold, connections, linearity, memory, probe
from .chart import upload_chart
from .clients import CLIENTS, LIBRARY, PEERS
from .machine import describe_machine
from .report import (
    Gate,
    command,
    cpu_table,
    describe,
    upload_gates,
    upload_json,
    upload_table,
    write_json,
)
from .server import Server
from .uploads import Bench
from .workloads import WORKLOADS, quick


@dataclass
class Outcome:
    """What one part found: text to print, gates, JSON, and maybe a chart."""

    text: str
    gates: List[Gate] = field(default_factory=list)
    data: object = None
    chart: str = ""


def uploads(server: Server, folder: str, options: argparse.Namespace) -> Outcome:
    """The main table."""
    chosen = [item for item in WORKLOADS if not options.workloads or item.name in options.workloads]
    if options.quick:
        chosen = [quick(item) for item in chosen]
    patience = 0.0 if options.quick else options.patience
    bench = Bench(server, folder, options.clients, options.rounds, patience)
    rows = [bench.run(item) for item in chosen]
    print(file=sys.stderr)
    names = [name for name in options.clients if name not in bench.missing]
    about = describe(describe_machine(), bench.versions)
    text = f"{about}\n\n{upload_table(rows, names)}\n\n{cpu_table(rows, names)}\n"
    text += f"median of {options.rounds}; * one run"
    text += f"; {bench.disturbed} rounds began on a busy machine" if bench.disturbed else ""
    text += "; quick: 10 MiB in parts of 1 MiB, 3 files in D" if options.quick else ""
    text += "".join(f"\n{name} left out: {why}" for name, why in bench.missing.items())
    gates = upload_gates(rows) if LIBRARY in options.clients else []
    chart = upload_chart(rows, about.partition("\n")[0]) if bench.versions else ""
    return Outcome(text, gates, upload_json(rows), chart)


def _memory(server: Server, folder: str, options: argparse.Namespace) -> Outcome:
    found = memory.run(server, folder, options.clients, options.quick)
    return Outcome(memory.text(found), memory.gates(found), memory.data(found))


def _linearity(server: Server, folder: str, options: argparse.Namespace) -> Outcome:
    points = linearity.run(server, folder, options.rounds, options.quick)
    chart = linearity.chart(points)
    return Outcome(linearity.text(points), linearity.gates(points), linearity.data(points), chart)


def _connections(server: Server, folder: str, options: argparse.Namespace) -> Outcome:
    found = connections.run(server, folder, options.quick)
    return Outcome(connections.text(found), connections.gates(found), found)


def _cold(server: Server, folder: str, options: argparse.Namespace) -> Outcome:
    found = cold.run(server, folder, options.quick)
    return Outcome(cold.text(found), cold.gates(found), found)


def _server(server: Server, folder: str, options: argparse.Namespace) -> Outcome:
    found = probe.run(server, folder, options.rounds)
    return Outcome(probe.text(found), probe.gates(found), found)


PARTS: Dict[str, Callable[[Server, str, argparse.Namespace], Outcome]] = {
    "uploads": uploads,
    "memory": _memory,
    "linearity": _linearity,
    "connections": _connections,
    "cold": _cold,
    "server": _server,
}


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m tests.benchmarks", description=__doc__)
    parser.add_argument("part", nargs="?", default="uploads", choices=[*PARTS, "all"])
    parser.add_argument("--rounds", type=int, default=5, help="runs of which the median counts")
    parser.add_argument(
        "--patience",
        type=float,
        default=10.0,
        help="seconds to wait before a round of the table for other programs to be idle",
    )
    parser.add_argument("--workloads", type=_names, help='some of the table, as "A,C,A tls"')
    parser.add_argument(
        "--clients",
        type=_names,
        default=[LIBRARY, *PEERS],
        help="names, by comma; there is also the prototype, which does no more than it must",
    )
    parser.add_argument("--json", metavar="FILE", help="write everything measured")
    parser.add_argument(
        "--chart",
        metavar="FILE",
        help="write the part's chart as SVG; with all also FILE-linearity",
    )
    parser.add_argument("--quick", action="store_true", help="small and once; gates do not count")
    options = parser.parse_args(arguments)
    if options.quick:
        options.rounds = 1
    unknown = set(options.clients) - set(CLIENTS)
    unknown |= set(options.workloads or ()) - {item.name for item in WORKLOADS}
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    return options


def main(arguments: Sequence[str]) -> int:
    """Runs the parts asked for; 1 if a gate was missed, 0 otherwise."""
    options = parse(arguments)
    chosen = list(PARTS) if options.part == "all" else [options.part]
    outcomes: Dict[str, Outcome] = {}
    with Server() as server, tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        for name in chosen:
            outcomes[name] = PARTS[name](server, folder, options)
            print(f"== {name} ==\n{outcomes[name].text}\n")
            print(*outcomes[name].gates, sep="\n", end="\n\n", flush=True)
    gates = [gate for outcome in outcomes.values() for gate in outcome.gates]
    if options.json:
        data = {name: outcome.data for name, outcome in outcomes.items()}
        verdicts = [{**asdict(gate), "verdict": gate.verdict} for gate in gates]
        about: Dict[str, object] = {"command": command(), "machine": describe_machine()}
        write_json(options.json, {**about, **data, "gates": verdicts})
    if options.chart:
        _write_charts(Path(options.chart), outcomes)
    missed = [gate for gate in gates if gate.verdict == "MISS"]
    return 1 if missed and not options.quick else 0


def _write_charts(path: Path, outcomes: Dict[str, Outcome]) -> None:
    charts = {name: outcome.chart for name, outcome in outcomes.items() if outcome.chart}
    for number, (name, chart) in enumerate(charts.items()):
        target = path.with_name(f"{path.stem}-{name}{path.suffix}") if number else path
        target.write_text(chart, "utf-8")


def _names(text: str) -> List[str]:
    return [name.strip() for name in text.split(",")]
