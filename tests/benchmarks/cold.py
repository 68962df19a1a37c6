"""Cold start: what the import costs, and whether the first token is fetched beside the hashing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Dict, List, Mapping

from .clients import LIBRARY
from .driver import ROOT, Driver, MissingClientError
from .report import Gate
from .server import Server
from .truth import check, make_file, truth_of
from .wire import Behaviour

MIB = 1 << 20
TOKEN_LATENCY = 0.1  # seconds; less than the md5 of the file takes anywhere
Found = Dict[str, float]


def run(server: Server, folder: str, quick: bool) -> Found:
    """Milliseconds of both imports, and what the first upload took longer than the later ones."""
    found = _imports(folder, 3 if quick else 21)
    try:
        found["token share"] = _token(server, folder, 1 if quick else 7)
    except MissingClientError:
        pass
    return found


def _imports(folder: str, rounds: int) -> Found:
    """Fresh interpreters with compiled modules at hand, as after an installation.

    Both imports are timed in the same process: whole runs of two kinds of process differ by more
    than what is to be measured.
    """
    environment = dict(os.environ, PYTHONPYCACHEPREFIX=str(Path(folder, "compiled")))
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    script = (
        "import time; a = time.perf_counter(); import requests; b = time.perf_counter(); "
        f"import {LIBRARY}; c = time.perf_counter(); print((b - a) * 1000, (c - b) * 1000)"
    )
    times: List[List[float]] = []
    for _ in range(rounds + 1):
        command = [sys.executable, "-c", script]
        output = subprocess.check_output(command, cwd=ROOT, env=environment)
        times.append([float(word) for word in output.split()])
    both = [median(column) for column in zip(*times[1:])]
    return {"import requests": both[0], f"import {LIBRARY} after it": both[1]}


def _token(server: Server, folder: str, rounds: int) -> float:
    """The part of the token's latency that a first upload waited for: 0 hidden, 1 waited out.

    The yardstick is the first upload of another fresh client, to a server that gives tokens at
    once. The medians of both are compared.
    """
    path = make_file(folder, 100 * MIB)
    walls: Dict[float, List[float]] = {0.0: [], TOKEN_LATENCY: []}
    for _ in range(rounds):
        for latency, found in walls.items():
            behaviour = Behaviour(token_latency=latency)
            server.behave(behaviour)
            with Driver(LIBRARY, server.api_url(), server.ca_file) as driver:
                found.append(driver.run(path).wall)
            check(truth_of(path, behaviour.block_size), 1, behaviour, *server.report())
    return (median(walls[TOKEN_LATENCY]) - median(walls[0.0])) / TOKEN_LATENCY


def text(found: Mapping[str, float]) -> str:
    lines = [f"{name}: {found[name]:.0f} ms" for name in found if name.startswith("import")]
    if "token share" in found:
        lines.append(
            f"of a token that takes {TOKEN_LATENCY:g} s the first upload waits for "
            f"{found['token share']:.0%}"
        )
    return "\n".join(lines)


def gates(found: Mapping[str, float]) -> List[Gate]:
    over = found[f"import {LIBRARY} after it"]
    return [
        Gate(f"import {LIBRARY} over import requests", over, 30, " ms"),
        Gate("share of the first token's latency waited for", found.get("token share"), 0.5),
    ]
