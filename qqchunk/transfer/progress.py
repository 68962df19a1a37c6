"""How far an upload is: the numbers, who is told, and the tqdm bar."""

from __future__ import annotations

import sys
import traceback
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Callable, Iterator, List, Optional

from ..net.stopping import monotonic

_SHOWN = {  # the stages of Progress
    "hash": "hashing",
    "prepare": "preparing",
    "put": "uploading",
    "complete": "waiting",
    "url": "waiting",
    "message": "waiting",
}

INTERVAL = 0.05  # seconds between two reports


@dataclass(frozen=True)
class Progress:
    """How far an upload is.

    :ivar stage: ``hashing``, ``preparing``, ``uploading``, ``waiting`` (all is sent, the platform
        works), at last ``done``
    :ivar uploaded_bytes: handed to the network so far, from 0; never goes back
    :ivar total_bytes: the file's size
    :ivar completed_parts: parts the platform has confirmed, from 0; goes back only with a fresh
        plan of fewer parts
    :ivar total_parts: all parts; 0 until the platform has said how many
    """

    stage: str
    uploaded_bytes: int
    total_bytes: int
    completed_parts: int
    total_parts: int


Callback = Callable[[Progress], object]


class Reporter:
    """Collects the numbers and tells them to a callback, on the thread that calls :meth:`tell`.

    :param callback: None if nobody wants to know
    :param total_bytes: the file's size
    :param clock: monotonic seconds
    """

    def __init__(
        self,
        callback: Optional[Callback],
        total_bytes: int,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._callback = callback
        self._clock = clock
        self._next = 0.0
        self._last: Optional[Progress] = None
        self._now = Progress("hashing", 0, total_bytes, 0, 0)
        self._marks: List[int] = []
        self.stage = "hashing"
        self.completed_parts = 0

    def enter(self, stage: str) -> None:
        """Note the stage of the call, by its name in errors."""
        self.stage = _SHOWN[stage]

    def plan(self, total_parts: int) -> None:
        """Begin to send that many parts; what was sent for an earlier plan has to be caught up."""
        self._marks = [0] * total_parts
        self.completed_parts = 0

    def mark(self, position: int, sent: int) -> None:
        """Note how much of a part is sent; may be called by the thread that sends it.

        A part that is sent again has to reach its old mark before it moves anything.
        """
        self._marks[position] = max(self._marks[position], sent)

    def tell(self, final: bool = False) -> None:
        """Report if something moved and the last report is long enough ago; *final*: report."""
        if self._callback is None or (not final and self._clock() < self._next):
            return
        last = self._now
        total, parts = last.total_bytes, len(self._marks)
        self._now = Progress(
            "done" if final else self._stage(total),
            total if final else max(last.uploaded_bytes, sum(self._marks)),
            total,
            parts if final else min(max(last.completed_parts, self.completed_parts), parts),
            parts,
        )
        if self._now != self._last:
            self._last = self._now
            self._callback(self._now)
            self._next = self._clock() + INTERVAL

    def _stage(self, total: int) -> str:
        return "waiting" if self.stage == "uploading" and sum(self._marks) >= total else self.stage


# What tqdm and the streams it writes to raise: a closed or full stream, a name that cannot be
# spelled, a TQDM_… variable that makes no sense. All else, Celery's soft time limit above all, was
# raised by a signal handler while the bar was drawn, and is the caller's.
_BAR_TROUBLE = (
    OSError, ValueError, TypeError, AttributeError, LookupError, ArithmeticError, Warning)


class Bar:
    """A tqdm bar; in a notebook the notebook's. One that cannot be shown gives up quietly.

    :raises ImportError: if tqdm is not installed
    """

    def __init__(self) -> None:
        self._bar: Any = None
        self._tqdm: Any = None
        missing = False
        with self._giving_up():
            try:
                from tqdm.auto import tqdm
            except ImportError:
                missing = True
            else:
                self._tqdm = tqdm
        if missing:
            raise ImportError(
                "progress=True needs tqdm: pip install 'qqchunk[progress]', or give a callable")

    def open(self, name: str, total_bytes: int) -> None:
        """Show the bar of a file."""
        if self._tqdm is None or sys.stderr is None:
            return
        encoding = getattr(sys.stderr, "encoding", None) or "ascii"
        with self._giving_up():
            self._name = name.encode(encoding, "replace").decode(encoding)
            bar = self._tqdm(
                total=total_bytes, unit="B", unit_scale=True, unit_divisor=1024, desc=self._name)
            self._bar = None if bar.disable else bar  # TQDM_DISABLE

    def __call__(self, progress: Progress) -> None:
        if self._bar is not None:
            with self._giving_up():
                self._show(progress)

    def _show(self, progress: Progress) -> None:
        label = self._name if progress.stage == "done" else f"{self._name} ({progress.stage})"
        if label != self._bar.desc:
            self._bar.set_description_str(label, refresh=False)
            self._bar.n = progress.uploaded_bytes
            self._bar.refresh()
        self._bar.update(progress.uploaded_bytes - self._bar.n)

    def close(self) -> None:
        """Leave the bar as it stands."""
        if self._bar is not None:
            with self._giving_up():
                self._bar.close()

    @contextmanager
    def _giving_up(self) -> Iterator[None]:
        """Show nothing from the first trouble on: the upload goes on without a bar."""
        try:
            yield
        except BaseException as trouble:
            _release_lock(trouble)
            # No stream says TimeoutError; and of RuntimeErrors only that its lock is held by the
            # code which the signal handler that uploads has interrupted.
            ours = isinstance(trouble, _BAR_TROUBLE) and not isinstance(trouble, TimeoutError)
            if not ours and not (
                    isinstance(trouble, RuntimeError) and "reentrant call" in str(trouble)):
                raise
            self._bar = None
            kind: Any = self._tqdm if isinstance(self._tqdm, type) else ()
            for frame, _ in traceback.walk_tb(trouble.__traceback__):
                for value in frame.f_locals.values():
                    if isinstance(value, kind):
                        value.disable = True  # a half-made one, too, tries again when collected


def _release_lock(trouble: BaseException) -> None:
    """Release the lock of all bars where tqdm has not: its refresh() does so only after success.

    Every other thread that shows or collects a bar would wait for it for ever.
    """
    frames = [frame for frame, _ in traceback.walk_tb(trouble.__traceback__)]
    for frame, inner in zip(frames, frames[1:]):
        names = frame.f_code.co_name, inner.f_code.co_name
        if names == ("refresh", "display") and not frame.f_locals.get("nolock"):
            with suppress(Exception):  # another tqdm, which works otherwise
                frame.f_locals["self"]._lock.release()
