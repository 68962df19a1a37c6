"""One call of a user's: the threads that work for it, and whatever ends it before its time.

The calling thread never blocks in the network. Worker threads do, and it waits for them 50 ms at a
time, so that Ctrl-C, ``cancel``, ``deadline``, ``close()`` and the progress callback are looked
after in between.
"""

from __future__ import annotations

import atexit
import math
import os
import threading
import weakref
from contextlib import contextmanager, suppress
from typing import Any, Callable, Iterator, List, Optional, TypeVar

from ..errors import AuthenticationError, UploadCancelledError, UploadDeadlineError, UploadError
from ..net.sessions import Sessions
from ..net.stopping import Aborted, monotonic
from ..net.transport import Transport
from ..protocol.replies import subject
from .arguments import Cancel, check_cancel, check_deadline
from .exiting import running
from .progress import Reporter
from .workers import JOIN_TIMEOUT, Work, Workers, check_not_nested

TURN = 0.05  # seconds between two looks at what may stop the call
_CALLS, _CACHE = 0, 1  # pools of the call's own workers
_T = TypeVar("_T")


class Operation:
    """Runs one call: has its work done by threads, and looks after what may stop it.

    :param cancel: looked at every 50 ms
    :param deadline: seconds from now
    :raises TypeError: if one of them is of a wrong type
    :raises ValueError: if *deadline* is not a number of seconds
    :ivar thread: the one that waits for it
    :ivar owner: the uploader's RunningCalls
    """

    def __init__(
        self, cancel: Optional[Cancel], deadline: Optional[float], owner: object
    ) -> None:
        self.owner = owner
        self.thread = threading.current_thread()
        self.stage = "open"
        self.file_name: Optional[str] = None
        self.file_size: Optional[int] = None
        self.reporter = Reporter(None, 0)
        self._cancel = check_cancel(cancel)
        self._deadline = check_deadline(deadline)
        self._end = math.inf if deadline is None else monotonic() + deadline
        self._closed = ""
        self._give_up: Optional[float] = None
        self._workers = Workers(2, 1)  # _CALLS: one after the other, and the token; _CACHE
        self._added: List[Workers] = []
        self.stop_signal = self._workers.stop_signal

    def close(self, reason: str) -> None:
        """Stop the call from another thread, or from a signal handler."""
        self._closed = self._closed or reason
        for workers in (self._workers, *self._added):
            workers.stop_signal.announce()

    def add_workers(self, *sizes: int) -> Workers:
        """Return more workers, for use by a thread of the call's; they are stopped with it.

        :raises Aborted: if the call has been stopped already
        """
        workers = Workers(*sizes, own_thread=True)
        self._added.append(workers)
        self.stop_signal.check()  # a stop between the two did not see the new ones
        return workers

    def submit(self, do: Callable[..., _T], *args: Any, pool: int = _CALLS) -> Work[_T]:
        """Let a thread do this in the background."""
        with suppress(Aborted):
            return self._workers.submit(pool, do, *args)
        if threading.current_thread() is self.thread:  # and not one of ours
            self.check()  # which says what stopped it
        raise Aborted

    def wait_for(self, work: Work[_T]) -> _T:
        """Return the result of *work*, or raise what stops the call meanwhile."""
        while not work.done:
            self.check()
            self._workers.next_done(TURN)
        if isinstance(work.failure, Aborted):
            self.check()
        return work.result()

    def run(self, do: Callable[..., _T], *args: Any) -> _T:
        """Return the result of what a thread does, while this one keeps the clock."""
        return self.wait_for(self.submit(do, *args))

    def run_for_cache(self, do: Callable[[], _T]) -> _T:
        """The same, on the one thread that works with the caller's cache."""
        return self.wait_for(self.submit(do, pool=_CACHE))

    def check(self, token: Optional[Work[Any]] = None) -> None:
        """Report progress, end exchanges that take too long, and raise what stops the call.

        :param token: work in the background
        :raises AuthenticationError: it is done, and the credentials were refused
        :raises UploadCancelledError: ``cancel`` was set or the uploader closed
        :raises UploadDeadlineError: the deadline passed
        """
        if self._closed:
            raise UploadCancelledError(self._say(f"stopped, because {self._closed}"))
        if self._cancel is not None and self._cancel.is_set():
            raise UploadCancelledError(self._say("cancelled"))
        if monotonic() >= self._end:
            raise UploadDeadlineError(self._say(
                f"the deadline of {self._deadline:g} s passed"), retryable=True, advice=(
                    "allow more time, send a smaller file, or upload it before there is a message "
                    "to answer"))
        if token is not None and isinstance(token.failure, AuthenticationError):
            token.result()
        for workers in (self._workers, *self._added):
            workers.stop_signal.shut_expired()
        self.reporter.tell()

    def enter(self, stage: str) -> None:
        """Note what the call is doing now, for errors and for progress."""
        self.stage = stage
        self.reporter.enter(stage)

    def begin_stop(self) -> None:
        """Stop what still works for the call, but do not wait for its end."""
        self._workers.begin_stop()
        # Only now: those who add workers after this look sees the stop signal themselves.
        for workers in list(self._added):
            workers.begin_stop()

    def explain(self, error: UploadError) -> None:
        """Say in *error* what it was about, where it does not."""
        if type(error) is UploadError and not error.stage:  # out of the workers, which know none
            error.args = (self._say(str(error)),)
        error.file_name = error.file_name or self.file_name
        error.file_size = error.file_size or self.file_size
        error.stage = error.stage or self.stage

    def stop(self) -> None:
        """Stop what still works for the call; may be repeated."""
        self._give_up = self._give_up or monotonic() + JOIN_TIMEOUT
        try:
            self._stop()
        except BaseException:  # Ctrl-C once more
            self._stop()
            raise

    def _say(self, what: str) -> str:
        return f"{subject(self.file_name, self.stage)}: {what}"

    def _stop(self) -> None:
        self.begin_stop()
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
        self._close.atexit = False  # what others registered with atexit may still upload
        self._lock = threading.RLock()  # a signal handler may call close() while we hold it
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
        check_not_nested()
        operation = Operation(cancel, deadline, self)
        with self._lock:
            if self.closed:
                raise RuntimeError("this Uploader is closed: make another one")
            running.add(operation)
        try:
            yield operation
        except UploadError as error:
            operation.explain(error)
            raise
        finally:
            try:
                operation.stop()
            finally:
                self._end(operation)

    def close(self) -> None:
        """Stop the calls of other threads and close the connections."""
        with self._lock:
            for operation in list(running):
                if operation.owner is self:  # first: it shall see that, not a broken connection
                    operation.close("the uploader was closed")
            self._close()

    def close_connections(self) -> None:
        """Close what idles; the uploader stays open."""
        self._sessions.close()

    def after_fork(self) -> None:
        """Run in the child: the parent's connections and the locks of its threads stay there."""
        self._lock = threading.RLock()
        self._transport.after_fork()

    def _end(self, operation: Operation) -> None:
        with self._lock:
            running.discard(operation)
            if self.closed:  # the call's last exchanges may have left connections idle
                self._sessions.close()


#: Those of all uploaders, for a fork to renew.
_all: weakref.WeakSet[RunningCalls] = weakref.WeakSet()


@atexit.register
def _close_connections() -> None:
    for calls in list(_all):  # uploaders stay open: what else the program ends with may upload
        calls.close_connections()


def _after_fork() -> None:
    running.clear()
    for calls in list(_all):
        calls.after_fork()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork either
    os.register_at_fork(after_in_child=_after_fork)
