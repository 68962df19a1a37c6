"""How much an upload adds to the peak of resident memory, in a process that has done nothing else.

The starting point is the memory in use once the client is imported and constructed, before its
first upload, so that buffers, threads, connections and late imports all count. Mapped pages of the
file count too, as the kernel counts them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Dict, List, Sequence, Tuple

from .clients import LIBRARY, PEERS
from .driver import Driver, MissingClientError
from .report import Gate, table
from .server import Server
from .truth import check, make_file, truth_of
from .wire import Behaviour

MIB = 1 << 20
SIZES: Dict[str, int] = {"10 MB": 10**7, "100 MB": 10**8, "200 MB": 2 * 10**8, "1 GiB": 1 << 30}
CONCURRENCIES = (1, 4, 10)
PEER_CELLS = (("100 MB", 1), ("100 MB", 4), ("100 MB", 10))
LIMITS = {1: 12.0, 4: 12.0, 10: 20.0}  # MiB


@dataclass(frozen=True)
class Cell:
    """Bytes added to the peak by one upload."""

    client: str
    size: str
    concurrency: int
    added: int


def run(server: Server, folder: str, clients: Sequence[str], quick: bool) -> List[Cell]:
    cells: List[Tuple[str, int]] = [(size, count) for size in SIZES for count in CONCURRENCIES]
    found = []
    if quick:
        cells = [("10 MB", 1), ("10 MB", 4)]
    for client in clients:
        wanted = [cell for cell in PEER_CELLS if cell in cells] if client in PEERS else cells
        for size, concurrency in wanted:
            try:
                added = _added(server, folder, client, SIZES[size], concurrency)
            except MissingClientError:
                break
            found.append(Cell(client, size, concurrency, added))
    return found


def _added(server: Server, folder: str, client: str, size: int, concurrency: int) -> int:
    behaviour = Behaviour(concurrency=concurrency, keep=False)
    server.behave(behaviour)
    path = make_file(folder, size)
    with Driver(client, server.api_url(), server.ca_file) as driver:
        added = driver.run(path).added
    check(truth_of(path, behaviour.block_size), 1, behaviour, *server.report())
    return added


def text(cells: Sequence[Cell]) -> str:
    head = ["client", "file", *[f"{count} at once" for count in CONCURRENCIES]]
    found = {(cell.client, cell.size, cell.concurrency): cell.added for cell in cells}
    rows = []
    for client, size in dict.fromkeys((cell.client, cell.size) for cell in cells):
        added = [found.get((client, size, count)) for count in CONCURRENCIES]
        rows.append([client, size, *["-" if n is None else f"{n / MIB:.1f} MiB" for n in added]])
    return table(head, rows)


def gates(cells: Sequence[Cell]) -> List[Gate]:
    """The worst size of each concurrency."""
    found = []
    for concurrency, limit in LIMITS.items():
        ours = [
            cell.added / MIB
            for cell in cells
            if cell.client == LIBRARY and cell.concurrency == concurrency
        ]
        name = f"memory added, {concurrency} at once"
        found.append(Gate(name, max(ours) if ours else None, limit, " MiB"))
    return found


def data(cells: Sequence[Cell]) -> object:
    return [asdict(cell) for cell in cells]
