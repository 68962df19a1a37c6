"""The worker threads of one upload: pools of them, and how they are stopped."""

from __future__ import annotations

import queue
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Callable, List, Optional, Set, TypeVar

from ..net.stopping import Aborted, StopSignal
from ..source.hashing import wait_until_ended

_JOIN_TURN = 0.02
JOIN_TIMEOUT = 0.8  # seconds; only name resolution cannot be ended sooner

_T = TypeVar("_T")


class Workers:
    """Thread pools with one stop signal.

    :param sizes: threads at the most, for each pool; they are started as they are needed
    :ivar stop_signal: the stop signal, which the work has to heed
    """

    def __init__(self, *sizes: int) -> None:
        self.stop_signal = StopSignal()
        threads: Set[threading.Thread] = set()
        self._threads = threads
        self._pools = [
            ThreadPoolExecutor(
                size, thread_name_prefix="qqchunk",
                initializer=lambda: threads.add(threading.current_thread()))
            for size in sizes]
        self._done: queue.SimpleQueue[Optional[Future[Any]]] = queue.SimpleQueue()
        self._pending: Set[object] = set()  # one for each work that has not ended

    def submit(self, pool: int, work: Callable[..., _T], *args: Any) -> Future[_T]:
        """Let a thread of that pool, counted from 0, do *work*.

        :meth:`next_done` gives the future back once it is done.
        """
        mark = object()
        self._pending.add(mark)
        try:
            future = self._pools[pool].submit(self._run, mark, work, *args)
        except BaseException:
            self._pending.discard(mark)
            raise
        future.add_done_callback(self._done.put)
        return future

    def next_done(self, timeout: Optional[float]) -> Optional[Future[Any]]:
        """Return the next future that is done, None after *timeout* seconds or at a stop."""
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
        # No futures.wait() here: an interrupt in it could leave their locks taken for ever.
        self.begin_stop()
        give_up = give_up or time.monotonic() + JOIN_TIMEOUT
        while self._pending and time.monotonic() < give_up:
            self.next_done(_JOIN_TURN)
            self.begin_stop()  # also what was about to connect the first time
        # What begins from now on finds the stop signal first.
        for pool in self._pools:
            pool.shutdown(wait=False)
        wait_until_ended(list(self._threads), give_up)

    def _run(self, mark: object, work: Callable[..., _T], *args: Any) -> _T:
        try:
            return work(*args)
        except Aborted:
            pass
        finally:
            self._pending.discard(mark)
        raise Aborted  # without the frames of the network, which would keep its connections alive


class Inline:
    """Stands in for :class:`Workers` where one thread is enough: the caller's own does the work."""

    def __init__(self, stop_signal: StopSignal) -> None:
        self.stop_signal = stop_signal
        self._done: List[Future[Any]] = []

    def submit(self, pool: int, work: Callable[..., _T], *args: Any) -> Future[_T]:
        """Do *work* now; :meth:`next_done` gives the future."""
        future: Future[_T] = Future()
        future.set_result(work(*args))
        self._done.append(future)
        return future

    def next_done(self, timeout: Optional[float]) -> Optional[Future[Any]]:
        """Return the next future that is done, None after *timeout* seconds."""
        if self._done:
            return self._done.pop()
        self.stop_signal.wait(timeout or 0.0)
        return None

    def stop(self) -> None:
        """Do nothing: no work goes on."""
