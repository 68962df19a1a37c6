"""What the emulator saw: requests in order of arrival, and what it had to refuse."""

from __future__ import annotations

import dataclasses
import threading
import time
from dataclasses import dataclass
from http.client import HTTPMessage
from typing import Callable, Dict, List, Optional, Sequence, Tuple

STAGES = ("token", "prepare", "put", "finish", "complete", "url", "message")


@dataclass(frozen=True)
class Request:
    """One request as it came in. A request still under way has ``status`` None."""

    #: One of ``STAGES``; ``"raw_url"`` for the GET of an uploaded file, ``"other"`` for another
    #: call of the platform's, ``"unknown"`` for a path which it does not have.
    stage: str
    method: str
    #: Path and query exactly as sent.
    path: str
    #: Names are looked up whatever their case.
    headers: HTTPMessage
    #: The parsed JSON body; None if there was none or it was no JSON.
    body: object = None
    #: The server's own index of the part, for ``put`` and ``finish``.
    part_index: Optional[int] = None
    upload_id: Optional[str] = None
    #: Bytes of the body that were read.
    received_bytes: int = 0
    #: HTTP status of the reply; None while there is none, and for ever if none was sent.
    status: Optional[int] = None
    #: Business code of the reply.
    code: Optional[int] = None
    #: ``time.monotonic()`` at the arrival of the headers.
    at: float = 0.0
    #: Number of the connection it came on, counted from 1.
    connection: int = 0
    #: Kind of the fault that was played on it.
    fault: Optional[str] = None
    #: What was wrong with it, in words; None if nothing was, or nobody says.
    note: Optional[str] = None
    #: What was bad manners about it, in words.
    manners: Tuple[str, ...] = ()
    #: Seconds from the headers to the end; None while it is under way.
    seconds: Optional[float] = None


class Journal:
    """What ``Emulator.requests``, ``refusals`` and ``manners`` give, safe to share."""

    def __init__(self) -> None:
        self.requests: List[Request] = []
        self.refusals: List[str] = []
        self.manners: List[str] = []
        #: Called with each request when it has come and when it is over, on its own thread.
        self.watchers: List[Callable[[Request], None]] = []
        self._lock = threading.Lock()
        self._counts: Dict[str, int] = {}
        self._active: Dict[str, int] = {}
        self._peaks: Dict[str, int] = {}

    def begin(self, request: Request) -> None:
        """Write down a request that has just arrived."""
        stage = request.stage
        with self._lock:
            self.requests.append(request)
            self._counts[stage] = self._counts.get(stage, 0) + 1
            self._active[stage] = self._active.get(stage, 0) + 1
            self._peaks[stage] = max(self._peaks.get(stage, 0), self._active[stage])
        self._tell(request)

    def end(
        self,
        request: Request,
        *,
        status: Optional[int],
        code: Optional[int],
        received: int,
        note: Optional[str] = None,
        manners: Sequence[str] = (),
    ) -> None:
        """Put the outcome in the place of the request under way."""
        done = dataclasses.replace(
            request, status=status, code=code, received_bytes=received, note=note,
            manners=tuple(manners), seconds=time.monotonic() - request.at)
        with self._lock:
            self._active[request.stage] -= 1
            for position in range(len(self.requests) - 1, -1, -1):
                if self.requests[position] is request:
                    self.requests[position] = done
                    break  # none was found if the test cleared the list meanwhile
        self._tell(done)

    def _tell(self, request: Request) -> None:
        for watcher in list(self.watchers):
            watcher(request)

    def refuse(self, note: str) -> None:
        with self._lock:
            self.refusals.append(note)

    def note_manners(self, note: str) -> None:
        with self._lock:
            self.manners.append(note)

    def count(self, stage: str) -> int:
        with self._lock:
            return self._counts.get(stage, 0)

    def peak(self, stage: str) -> int:
        with self._lock:
            return self._peaks.get(stage, 0)
