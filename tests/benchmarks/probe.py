"""How fast is the server itself? A client that does nothing but send.

And what A and A tls take at the least on this machine, if each part's md5 is taken as it is sent:
the md5 of the file, and then a loop over bare sockets that reads, hashes and sends.
"""

from __future__ import annotations

from statistics import median
from typing import Dict, List, Mapping

from .bare import round_trip, send_parts
from .report import Gate
from .server import Server
from .truth import make_file
from .wire import Behaviour
from .workloads import md5_alone

PART, PARTS, LANES = 10 << 20, 10, 4
RATE = 40e6  # bytes per second of one connection
LATENCY = 0.03  # seconds
PLAIN, TLS, PACED = "sink, plain", "sink, TLS", "one connection at 40 MB/s"
HASHED, HASHED_TLS = "read and hashed on the way", "read and hashed on the way, TLS"
MD5, TRIP = "md5 alone", "one call of 30 ms"


def run(server: Server, folder: str, rounds: int) -> Dict[str, float]:
    """Seconds for 100 MiB with no client worth the name, for md5 over as much, and for a call."""
    path = make_file(folder, PART * PARTS)
    found = {MD5: median(md5_alone(path) for _ in range(rounds))}
    for name, rate, lanes, source in (
        (PLAIN, 0.0, LANES, ""),
        (TLS, 0.0, LANES, ""),
        (PACED, RATE, 1, ""),
        (HASHED, 0.0, LANES, path),
        (HASHED_TLS, 0.0, LANES, path),
    ):
        server.behave(Behaviour(rate=rate))
        url, trusted = server.storage_url(name in (TLS, HASHED_TLS)), server.ca_file
        times: List[float] = []
        for _ in range(rounds + 1):
            times.append(
                send_parts(url, trusted, parts=PARTS, size=PART, lanes=lanes, path=source))
            server.report()
        found[name] = median(times[1:])
    server.behave(Behaviour(latency=LATENCY))
    found[TRIP] = median(round_trip(server.api_url(), server.ca_file) for _ in range(rounds))
    return found


def text(found: Mapping[str, float]) -> str:
    lines = [
        f"{name if name == TRIP else f'100 MiB, {name}'}: {seconds:.4f} s"
        for name, seconds in found.items()
    ]
    least = found[MD5] + found[HASHED], found[MD5] + found[HASHED_TLS]
    lines.append("A takes at least %.3f s here, A tls %.3f s" % least)
    return "\n".join(lines)


def gates(found: Mapping[str, float]) -> List[Gate]:
    """The sink must be faster than the floor, and the limited link neither faster nor slower."""
    ideal = PART * PARTS / RATE
    return [
        Gate("the sink against md5 alone", found[PLAIN] / found[MD5], 0.5, " ×"),
        Gate("the sink with TLS against md5 alone", found[TLS] / found[MD5], 1, " ×"),
        Gate("error of the limited link", abs(found[PACED] - ideal) / ideal, 0.01),
        Gate("a call over its latency", (found[TRIP] - LATENCY) * 1000, 1, " ms"),
    ]
