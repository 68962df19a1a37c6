"""One call of a user's: the threads that work for it, and whatever ends it before its time.

The calling thread never blocks in the network. Worker threads do, and it waits for them 50 ms at a
time, so that Ctrl-C, ``cancel``, ``deadline``, ``close()`` and the progress callback are looked
after in between.
"""

from __future__ import annotations

import copy
import math
import os
import threading
import time
import weakref
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, Callable, Iterator, List, Optional, Protocol, Set, TypeVar

from ..errors import UploadCancelledError, UploadDeadlineError, UploadError
from ..net.sessions import Sessions
from ..net.transport import Transport
from .progress import Reporter
from .workers import JOIN_TIMEOUT, Workers

TURN = 0.05  # seconds between two looks at what may stop the call
_MAX_DEADLINE = 1e9  # seconds, 30 years; more is a mistake, a point in time for example

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
    """Runs one call: has its work done by threads and stops them at the end. A context manager.

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
        self.stage = "open"
        self.file_name: Optional[str] = None
        self.file_size: Optional[int] = None
        self.reporter = Reporter(None, 0)
        self._cancel = cancel
        self._deadline = deadline
        self._end = math.inf if deadline is None else time.monotonic() + deadline
        self._closed = False
        self._give_up: Optional[float] = None
        self._workers = Workers(2)  # for the calls one after the other, and for the token
        self._added: List[Workers] = []
        self.stop_signal = self._workers.stop_signal

    def __enter__(self) -> Operation:
        return self

    def __exit__(self, kind: object, error: Optional[BaseException], trace: object) -> None:
        if isinstance(error, UploadError):
            error.file_name = error.file_name or self.file_name
            error.file_size = error.file_size or self.file_size
            error.stage = error.stage or self.stage
        self.stop()

    def close(self) -> None:
        """Stop the call from another thread."""
        self._closed = True

    def add_workers(self, *sizes: int) -> Workers:
        """Return more workers, in pools of these sizes, which are stopped with the call.

        :raises Aborted: if the call has been stopped already
        """
        workers = Workers(*sizes)
        self._added.append(workers)
        self.stop_signal.check()  # a stop between the two did not see the new ones
        return workers

    def submit(self, work: Callable[..., _T], *args: Any) -> Future[_T]:
        """Let a thread do *work* in the background."""
        return self._workers.submit(0, work, *args)

    def wait_for(self, future: Future[_T]) -> _T:
        """Return the result of *future*, or raise what stops the call meanwhile."""
        while not future.done():
            self.check()
            self._workers.next_done(TURN)
        failure = future.exception()
        if isinstance(failure, UploadError):
            # Not itself: the frames it went through refer to it, and so would keep the caller's
            # variables, the file among them, until the garbage collector comes by.
            raise copy.copy(failure.with_traceback(None))
        return future.result()

    def run(self, work: Callable[..., _T], *args: Any) -> _T:
        """Return the result of *work*, done by a thread, while this one keeps the clock."""
        return self.wait_for(self.submit(work, *args))

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
                f"the deadline of {self._deadline:g} s passed"), retryable=True, advice=(
                    "allow more time, send a smaller file, or upload it before there is a message "
                    "to answer"))
        for workers in (self._workers, *self._added):
            workers.stop_signal.shut_expired()
        self.reporter.tell()

    def enter(self, stage: str) -> None:
        """Note what the call is doing now, for errors and for progress."""
        self.stage = stage
        self.reporter.stage = _SHOWN[stage]

    def stop(self) -> None:
        """Stop what still works for the call; may be repeated."""
        self._give_up = self._give_up or time.monotonic() + JOIN_TIMEOUT
        try:
            self._stop()
        except BaseException:  # Ctrl-C once more
            self._stop()
            raise

    def _say(self, what: str) -> str:
        subject = f"{self.file_name}, {self.stage}" if self.file_name else self.stage
        return f"{subject}: {what}"

    def _stop(self) -> None:
        for workers in (self._workers, *self._added):
            workers.begin_stop()
        self._workers.stop(self._give_up)  # first: nobody can add workers after that
        for workers in self._added:
            workers.stop(self._give_up)


class RunningCalls:
    """The calls that run on one uploader; they are stopped when it is closed.

    :param owner: the uploader; the sessions are closed once nobody holds it any more
    """

    def __init__(self, owner: object, sessions: Sessions, transport: Transport) -> None:
        self._transport = transport
        self._sessions = sessions
        self._close = weakref.finalize(owner, sessions.close)
        self._forget_operations()
        _all.add(self)

    @property
    def closed(self) -> bool:
        """Say whether the uploader has been closed."""
        return not self._close.alive

    @contextmanager
    def operation(
        self, cancel: Optional[Cancel], deadline: Optional[float]
    ) -> Iterator[Operation]:
        """Run one call of the user's.

        :raises RuntimeError: if the uploader is closed
        """
        operation = Operation(cancel, deadline)
        with self._lock:
            if self.closed:
                raise RuntimeError("this Uploader is closed: make another one")
            self._operations.add(operation)
        try:
            with operation:
                yield operation
        finally:
            self._end(operation)

    def close(self) -> None:
        """Stop the calls of other threads and close the connections."""
        with self._lock:
            for operation in self._operations:
                operation.close()  # first: it shall see that, not a broken connection
            self._close()

    def after_fork(self) -> None:
        """Run in the child: the parent's connections and the locks of its threads stay there."""
        self._forget_operations()
        self._transport.after_fork()

    def _end(self, operation: Operation) -> None:
        with self._lock:
            self._operations.discard(operation)
            if self.closed:  # the call's last exchanges may have left connections idle
                self._sessions.close()

    def _forget_operations(self) -> None:
        self._lock = threading.RLock()  # a signal handler may call close() while we hold it
        self._operations: Set[Operation] = set()


_all: weakref.WeakSet[RunningCalls] = weakref.WeakSet()


def _after_fork() -> None:
    for calls in list(_all):
        calls.after_fork()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork either
    os.register_at_fork(after_in_child=_after_fork)
