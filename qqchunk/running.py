"""From the making of an uploader to its end: its running calls, ``close()`` and forks."""

from __future__ import annotations

import os
import threading
import weakref
from contextlib import contextmanager
from typing import Iterator, Optional, Set

from .operation import Cancel, Operation
from .sessions import Sessions
from .transport import Transport


class RunningCalls:
    """Knows the calls that run on one uploader, stops them when it is closed.

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
