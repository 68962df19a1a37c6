"""The worker threads of one upload: pools of them, and how they are stopped."""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from types import FrameType
from typing import Any, Callable, Generic, List, Optional, Set, TypeVar

from ..errors import UploadError
from ..net.stopping import Aborted, StopSignal, monotonic

JOIN_TIMEOUT = 0.8  # seconds; only name resolution and code of the caller's cannot be ended sooner
_JOIN_TURN = 0.02
_NAP = 0.0002  # seconds between two looks whether a thread that has nothing left to do is gone

# Functions of Python's that hold a lock which every start of a thread needs.
_LOCKED = {
    ("threading", "start"), ("threading", "_stop"), ("threading", "enumerate"),
    ("threading", "active_count"), ("concurrent.futures.thread", "submit"),
    ("concurrent.futures.thread", "shutdown"),
}

#: Set once the program ends: from then on Python starts no threads.
program_ends = threading.Event()

_T = TypeVar("_T")


class Work(Generic[_T]):
    """One piece of work for a thread, and how it ended.

    Unlike a Future it has no lock, which an exception out of a signal handler could leave taken.

    :ivar done: True once it has ended
    :ivar failure: what it raised, until :meth:`result` raises that
    """

    def __init__(self, do: Callable[[], _T]) -> None:
        self._to_do = [do]
        self._results: List[_T] = []
        self.done = False
        self.failure: Optional[BaseException] = None

    def withdraw(self) -> None:
        """See that nobody does the work any more."""
        self._to_do.clear()

    def run(self) -> bool:
        """Do the work, unless it was done or withdrawn; raise nothing."""
        try:
            do = self._to_do.pop()
        except IndexError:  # it was queued twice, for want of threads
            return False
        try:
            self._results.append(do())
        except Aborted:
            self.failure = Aborted()  # its frames would keep the network's connections alive
        except BaseException as error:
            self.failure = _without_variables(error)
        self.done = True
        return True

    def result(self) -> _T:
        """Return what the work returned, or raise what it raised."""
        failure, self.failure = self.failure, None
        try:
            if isinstance(failure, UploadError):
                raise failure.with_traceback(None)  # says all there is to say
            if failure is not None:
                raise failure
        finally:
            del failure  # or this frame and the traceback would refer to each other
        return self._results[0]


class Workers:
    """Thread pools with one stop signal.

    :param sizes: threads at the most, for each pool; they are started as they are needed
    :param own_thread: True if the thread that submits work may have to do it itself; without any
        pool it does all of it
    :ivar stop_signal: the stop signal, which the work has to heed
    """

    def __init__(self, *sizes: int, own_thread: bool = False) -> None:
        self.stop_signal = StopSignal()
        self._own_thread = own_thread
        threads: Set[threading.Thread] = set()
        self._threads = threads
        self._pools = [
            ThreadPoolExecutor(
                size, thread_name_prefix="qqchunk",
                initializer=lambda: threads.add(threading.current_thread()))
            for size in sizes]
        self._staffed: Set[int] = set()  # pools that have a thread
        self._done: queue.SimpleQueue[Optional[Work[Any]]] = queue.SimpleQueue()
        self._pending: Set[Work[Any]] = set()

    def submit(self, pool: int, do: Callable[..., _T], *args: Any) -> Work[_T]:
        """Let a thread of that pool, counted from 0, do the work, in the context of this one.

        :meth:`next_done` gives it back once it is done. Where no thread can be started, those of
        the other pools help out, or else this thread does the work itself, if it may.

        :raises Aborted: if the work has been stopped
        :raises UploadError: if there is nobody to do the work
        """
        self.stop_signal.check()
        work, context = Work(partial(do, *args)), copy_context()

        def run() -> None:
            context.run(self._run, work)

        self._pending.add(work)
        try:
            reason = self._start(pool, run)
            if reason and self._own_thread:
                run()
            elif reason:
                raise _no_thread(reason)
        except BaseException:
            work.withdraw()
            self._pending.discard(work)
            raise
        return work

    def _start(self, pool: int, run: Callable[[], None]) -> str:
        """Put work into a pool that has a thread for it; else say why not."""
        reason = "there is no pool"
        for place in (pool, *self._staffed) if self._pools else ():
            try:
                self._pools[place].submit(run)
                self._staffed.add(place)
                return ""
            except RuntimeError as error:
                reason = str(error)
            self.stop_signal.check()
            # The pool queues the work before it fails to start a thread for it.
            if place in self._staffed and not program_ends.is_set():
                return ""
        return reason

    def next_done(self, timeout: Optional[float]) -> Optional[Work[Any]]:
        """Return the next work that is done, None after *timeout* seconds or at a stop."""
        with suppress(queue.Empty):
            return self._done.get(timeout=timeout)
        return None

    def begin_stop(self) -> None:
        """Stop the work; may be repeated, and does not wait for its end."""
        stopped = self.stop_signal.is_set()
        self.stop_signal.set()
        if not stopped:
            self._done.put(None)

    def stop(self, give_up: Optional[float] = None) -> None:
        """Stop the work; return when it and its threads have ended, at the latest in 0.8 s.

        :param give_up: another monotonic time for that
        """
        self.begin_stop()
        give_up = give_up or monotonic() + JOIN_TIMEOUT
        while self._pending and monotonic() < give_up:
            self.next_done(_JOIN_TURN)
            self.begin_stop()  # also what was about to connect the first time
        # What begins from now on finds the stop signal first.
        for pool in self._pools:
            pool.shutdown(wait=False)
        # Not by join(): in CPython 3.8 a thread whose join was interrupted can never be joined
        # again, neither by a second try nor at the end of the process (bpo-45274).
        for thread in list(self._threads):
            while _is_there(thread) and monotonic() < give_up:
                time.sleep(_NAP)

    def _run(self, work: Work[Any]) -> None:
        if work.run():
            self._pending.discard(work)
            self._done.put(work)


def _is_there(thread: threading.Thread) -> bool:
    """Say whether a thread is alive, or ended for Python but not for the system (Linux).

    In between OpenSSL frees what it has of the thread, under a lock of the process: a fork at that
    moment would leave the child with the lock taken, and its first https call would wait for ever.
    """
    ident = getattr(thread, "native_id", None)  # not every system has them
    return thread.is_alive() or os.path.exists(f"/proc/self/task/{ident}")


def check_not_nested() -> None:
    """See that this thread has not been interrupted where it must not start threads.

    :raises UploadError: if it has: to start one would wait for ever for a lock that it holds
    """
    frame: Optional[FrameType] = sys._getframe()
    while frame is not None:
        if (frame.f_globals.get("__name__"), frame.f_code.co_name) in _LOCKED:
            raise UploadError(
                "this call interrupted the start of a thread, which it would have to wait for",
                retryable=True, advice=(
                    "in a signal handler only note what is to be done, and upload after it has "
                    "returned, or in a thread that waits for the note"))
        frame = frame.f_back


def _no_thread(reason: str) -> UploadError:
    if program_ends.is_set():
        return UploadError(
            "no thread can be started any more, because the program is ending",
            advice="upload before the main thread ends, or let that wait for the upload")
    return UploadError(
        f"no thread could be started ({reason})", retryable=True, advice=(
            "try again once fewer threads or processes run, or raise their limit (ulimit -u, "
            "the container's pids limit, memory)"))


def _without_variables(error: BaseException) -> BaseException:
    """Forget the variables of all frames that *error* went through.

    They would keep the caller's file alive, some of them until the garbage collector comes.
    """
    if error.__traceback__ is not None:
        error.__traceback__ = error.__traceback__.tb_next  # without the frame of Work.run()
    chain = [error]
    for link in chain:
        traceback.clear_frames(link.__traceback__)
        for other in (link.__cause__, link.__context__):
            if other is not None and all(other is not known for known in chain):
                chain.append(other)
    return error
