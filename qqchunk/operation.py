"""One blocking call of a user's: its threads, its clock, and its way out.

The calling thread never blocks in the network. Others do, and it waits for them in short turns, so
that Ctrl-C, ``cancel``, ``deadline``, ``close()`` and the progress callback always have theirs.
"""

from __future__ import annotations

import math
import queue
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Callable, List, Optional, Protocol, Set, TypeVar

from .errors import UploadCancelledError, UploadDeadlineError, UploadError
from .lifeline import Lifeline
from .progress import Reporter
from .retry import Aborted

TURN = 0.05  # seconds between two looks at what may stop the call
_MAX_DEADLINE = 1e9  # seconds, 30 years; more is a mistake, a point in time for example
_JOIN_TURN = 0.02
_JOIN_TIMEOUT = 0.8  # seconds; only name resolution cannot be ended sooner

_SHOWN = {  # the stages of Progress
    "hash": "hashing",
    "prepare": "preparing",
    "put": "uploading",
    "complete": "waiting",
    "url": "waiting",
    "message": "waiting",
}

_T = TypeVar("_T")


class Cancel(Protocol):
    """What ``cancel`` may be: ``threading.Event``, ``multiprocessing.Event``, …"""

    def is_set(self) -> bool: ...


class Operation:
    """Runs work for one call of a user's, until it is done or has to stop. A context manager.

    :param cancel: looked at every 50 ms
    :param deadline: seconds from now
    :raises TypeError: if one of them is of a wrong type
    :raises ValueError: if *deadline* is not a number of seconds
    """

    def __init__(self, cancel: Optional[Cancel] = None, deadline: Optional[float] = None) -> None:
        if cancel is not None and not callable(getattr(cancel, "is_set", None)):
            raise TypeError(f"cancel must have is_set(), as threading.Event does, not {cancel!r}")
        if deadline is not None:
            if isinstance(deadline, bool) or not isinstance(deadline, (int, float)):
                raise TypeError(f"deadline must be a number of seconds, not {deadline!r}")
            if math.isnan(deadline) or abs(deadline) > _MAX_DEADLINE:
                raise ValueError(f"deadline must be a number of seconds, not {deadline}")
        self.lifeline = Lifeline()
        self.stage = "open"
        self.file_name: Optional[str] = None
        self.file_size: Optional[int] = None
        self.reporter = Reporter(None, 0)
        self._cancel = cancel
        self._deadline = deadline
        self._end = math.inf if deadline is None else time.monotonic() + deadline
        self._closed = False
        self._done: queue.SimpleQueue[Future[Any]] = queue.SimpleQueue()
        self._running: Set[Future[Any]] = set()
        self._active: Set[object] = set()  # one for each work that a thread has begun
        self._pools: List[ThreadPoolExecutor] = []
        self._helper: Optional[ThreadPoolExecutor] = None

    def __enter__(self) -> Operation:
        return self

    def __exit__(self, kind: object, error: Optional[BaseException], trace: object) -> None:
        if isinstance(error, UploadError):
            error.file_name = error.file_name or self.file_name
            error.file_size = error.file_size or self.file_size
            error.stage = error.stage or self.stage
        self._stop_workers()

    def close(self) -> None:
        """Stop the call from another thread."""
        self._closed = True

    def pool(self, size: int, name: str) -> ThreadPoolExecutor:
        """Return a new pool of threads, which ends with the operation."""
        pool = ThreadPoolExecutor(size, thread_name_prefix=f"qqchunk-{name}")
        self._pools.append(pool)
        return pool

    def submit(
        self, pool: ThreadPoolExecutor, work: Callable[..., _T], *args: Any
    ) -> Future[_T]:
        """Let *pool* do *work*; :meth:`next_done` gives the future back once it is done."""
        future = pool.submit(self._run, work, *args)
        self._running.add(future)
        future.add_done_callback(self._done.put)
        return future

    def background(self, work: Callable[..., _T], *args: Any) -> Future[_T]:
        """Let a helper thread do *work*, one after the other."""
        if self._helper is None:
            self._helper = self.pool(1, "call")
        return self.submit(self._helper, work, *args)

    def wait_for(self, future: Future[_T]) -> _T:
        """Return the result of *future*, or raise what stops the call meanwhile."""
        while not future.done():
            self.next_done()
        self._running.discard(future)
        return future.result()

    def call(self, work: Callable[..., _T], *args: Any) -> _T:
        """Return the result of *work*, done by a helper thread."""
        return self.wait_for(self.background(work, *args))

    def next_done(self, until: Optional[float] = None) -> Optional[Future[Any]]:
        """Return the next future that is done, None at the monotonic time *until*.

        :raises UploadError: as :meth:`check`
        """
        while True:
            self.check()
            pause = TURN if until is None else min(TURN, until - time.monotonic())
            try:
                future = self._done.get(timeout=max(0.0, pause))
            except queue.Empty:
                if until is not None and time.monotonic() >= until:
                    return None
                continue
            if future in self._running:  # otherwise left over from workers that were stopped
                self._running.discard(future)
                return future

    def check(self) -> None:
        """Report progress, end exchanges that take too long, and raise what stops the call.

        :raises UploadCancelledError: ``cancel`` was set or the uploader closed
        :raises UploadDeadlineError: the deadline passed
        """
        if self._closed:
            raise UploadCancelledError(self._say("stopped, because the uploader was closed"))
        if self._cancel is not None and self._cancel.is_set():
            raise UploadCancelledError(self._say("cancelled"))
        if time.monotonic() >= self._end:
            raise UploadDeadlineError(self._say(
                f"the deadline of {self._deadline:g} s passed; allow more time, send a smaller "
                "file, or upload it before there is a message to answer"), retryable=True)
        self.lifeline.reap()
        self.reporter.tell()

    def enter(self, stage: str) -> None:
        """Note what the call is doing now, for errors and for progress."""
        self.stage = stage
        self.reporter.stage = _SHOWN[stage]

    def start_anew(self) -> None:
        """Stop the workers, but not the call."""
        self._stop_workers()
        self.lifeline = Lifeline()

    def _say(self, what: str) -> str:
        subject = f"{self.file_name}, {self.stage}" if self.file_name else self.stage
        return f"{subject}: {what}"

    def _run(self, work: Callable[..., _T], *args: Any) -> _T:
        mark = object()
        self._active.add(mark)
        try:
            return work(*args)
        except Aborted:
            pass
        finally:
            self._active.discard(mark)
        raise Aborted  # without the frames of the network, which would keep its connections alive

    def _stop_workers(self) -> None:
        try:
            self._end_workers()
        except BaseException:  # Ctrl-C once more; what is left of the 0.8 s is soon over
            self._end_workers()
            raise

    def _end_workers(self) -> None:
        # No futures.wait() here: an interrupt in it could leave their locks taken for ever.
        self.lifeline.cut()
        for future in list(self._running):
            future.cancel()
        give_up = time.monotonic() + _JOIN_TIMEOUT
        while self._active and time.monotonic() < give_up:
            with suppress(queue.Empty):
                self._done.get(timeout=_JOIN_TURN)
            self.lifeline.cut()  # also what was about to connect the first time
        ended = not self._active  # what begins from now on finds the stop signal first
        for pool in self._pools:
            pool.shutdown(wait=ended)
        self._running.clear()
        self._pools.clear()
        self._helper = None
