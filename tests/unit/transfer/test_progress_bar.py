"""A bar that cannot be shown: the upload goes on without it, and nothing is said."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import subprocess
import sys
import threading
from typing import Any, Callable, Iterator, List

import pytest
import tqdm.auto

from qqchunk.transfer.progress import Bar, Progress


class Hopeless(io.TextIOWrapper):
    """A stream of a terminal whose every write fails in one way."""

    def __init__(self, failure: BaseException, encoding: str = "utf-8") -> None:
        super().__init__(io.BytesIO(), encoding=encoding)
        self.failure = failure
        self.tried = 0

    def write(self, text: str) -> int:
        self.tried += 1
        raise type(self.failure)(*self.failure.args)


@pytest.fixture
def stderr(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Any], None]]:
    """`stderr(stream)` puts that stream in the place of standard error until the test ends."""
    yield lambda stream: monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.undo()


def show(bar: Bar, name: str = "a.mp4") -> None:
    bar.open(name, 100)
    bar(Progress("hashing", 0, 100, 0, 0))
    bar(Progress("uploading", 60, 100, 0, 1))
    bar(Progress("done", 100, 100, 1, 1))
    bar.close()


@pytest.mark.parametrize("failure", [
    OSError(28, "No space left on device"),
    BrokenPipeError(32, "Broken pipe"),
    ValueError("underlying buffer has been detached"),
    UnicodeEncodeError("gbk", "x", 0, 1, "illegal multibyte sequence"),
    AttributeError("'Window' object has no attribute 'encoding'"),
    RuntimeError("reentrant call inside <_io.BufferedWriter name='<stderr>'>"),
], ids=lambda failure: type(failure).__name__)
def test_stream_that_takes_nothing_is_tried_once(
    failure: BaseException, stderr: Callable[[Any], None]
) -> None:
    stream = Hopeless(failure)
    stderr(stream)
    show(Bar())
    assert stream.tried == 1


def test_closed_stream_ends_the_bar_in_mid_upload(stderr: Callable[[Any], None]) -> None:
    stream = io.StringIO()
    stderr(stream)
    bar = Bar()
    bar.open("a.mp4", 100)
    stream.close()
    bar(Progress("uploading", 60, 100, 0, 1))
    bar.close()


def test_missing_stream_means_no_bar(stderr: Callable[[Any], None]) -> None:
    stderr(None)
    show(Bar())


def test_name_is_spelled_as_the_stream_can(stderr: Callable[[Any], None]) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="gbk")
    stderr(stream)
    show(Bar(), "假期🎉.mp4")
    stream.seek(0)
    assert "假期?.mp4: 100%" in stream.read()


@pytest.mark.parametrize("failure", [TimeoutError("a handler's"), RuntimeError("a handler's")])
def test_exception_of_a_signal_handler_is_the_callers(
    failure: BaseException, stderr: Callable[[Any], None]
) -> None:
    stderr(Hopeless(failure))
    with pytest.raises(type(failure), match="a handler's"):
        Bar().open("a.mp4", 100)


SCRIPT = """
import sys
from qqchunk.transfer.progress import Bar, Progress
if {before!r}: exec({before!r})
bar = Bar()
bar.open("a.mp4", 100)
for n in (0, 50, 100): bar(Progress("uploading", n, 100, 0, 1))
bar.close()
del bar
print("arrived", len(getattr(sys.stderr, "seen", [])))
"""

WITHOUT_DESCRIPTOR = """
import multiprocessing
multiprocessing.set_start_method("spawn")
class Stream:
    seen = []
    def write(self, text): self.seen.append(text)
    def flush(self): pass
    def isatty(self): return False
    def fileno(self): return -1
sys.stderr = Stream()
"""


def run(before: str = "", **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT.format(before=before)], timeout=50,
        env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        universal_newlines=True)


@pytest.mark.parametrize("variable", [
    "TQDM_DISABLE=1", "TQDM_MININTERVAL=x", "TQDM_NCOLS=x", "TQDM_ASCII=x", "TQDM_FILE=x",
    "TQDM_BAR_FORMAT={foo}"])
def test_settings_that_make_no_sense_mean_no_bar_and_no_word(variable: str) -> None:
    done = run(**dict([variable.split("=")]))
    lines: List[str] = [line for line in done.stderr.splitlines() if "a.mp4" not in line]
    assert (done.returncode, done.stdout, lines) == (0, "arrived 0\n", [])


def test_tqdm_that_somebody_has_set_up_means_no_bar_on_such_a_stream_either(
    stderr: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tqdm.auto.tqdm", functools.partial(tqdm.auto.tqdm, ascii=True))
    stream = Hopeless(OSError(28, "No space left on device"))
    stderr(stream)
    show(Bar())
    assert stream.tried > 0


def test_stream_without_a_descriptor_means_no_bar() -> None:
    done = run(WITHOUT_DESCRIPTOR)
    assert (done.returncode, done.stdout) == (0, "arrived 0\n")


@pytest.mark.parametrize("failure", [
    OSError(28, "No space left on device"), KeyboardInterrupt(), ZeroDivisionError(),
], ids=lambda failure: type(failure).__name__)
def test_trouble_leaves_no_lock_for_the_bars_of_other_threads(
    failure: BaseException, stderr: Callable[[Any], None]
) -> None:
    class Failing(io.StringIO):
        fails = False

        def write(self, text: str) -> int:
            if self.fails:
                raise failure
            return super().write(text)

    stream = Failing()
    stderr(stream)
    bar = Bar()
    bar.open("a.mp4", 100)
    stream.fails = True
    with contextlib.suppress(KeyboardInterrupt):
        bar(Progress("hashing", 1, 100, 0, 1))
    free: List[bool] = []

    def look() -> None:
        with tqdm.auto.tqdm.get_lock():
            free.append(True)

    other = threading.Thread(target=look, daemon=True)
    other.start()
    other.join(2.0)
    assert free == [True]
