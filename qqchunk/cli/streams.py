"""The three standard streams, also where one of them is closed, full or left by its reader."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Any, Iterator


class OutputLost(Exception):
    """A result could not be written to standard output; says why, or nothing for a left pipe."""


@contextlib.contextmanager
def usable() -> Iterator[None]:
    """Give the program three streams for the length of the block, and let none fail at its end."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # else the next socket takes this number
    with contextlib.ExitStack() as stack:
        if sys.stderr is None:  # print() would take standard output in its place
            nowhere = stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
            stack.enter_context(contextlib.redirect_stderr(nowhere))
        try:
            yield
        finally:
            for stream in (sys.stdout, sys.stderr):
                _let_go(stream)


def _let_go(stream: Any) -> None:
    """Drop what a stream cannot write, or the interpreter fails when it flushes it at exit."""
    try:
        stream.flush()
    except (OSError, ValueError, AttributeError):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            with open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), stream.fileno())


def say(text: object) -> None:
    """Write a message to standard error if it takes one."""
    put(f"qqchunk: {text}")


def put(line: str) -> None:
    """Write a line to standard error if it takes one."""
    with contextlib.suppress(OSError, ValueError):
        print(line, file=sys.stderr, flush=True)


def write(text: str) -> None:
    """Write lines to standard output.

    :raises OutputLost: if it did not take them
    """
    if sys.stdout is None:
        raise OutputLost("standard output is closed")
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    with _losing():
        print(text.encode(encoding, "backslashreplace").decode(encoding), flush=True)


def flush() -> None:
    """Make sure that standard output has what was written to it.

    :raises OutputLost: if it did not take it
    """
    if sys.stdout is not None:
        with _losing():
            sys.stdout.flush()


@contextlib.contextmanager
def _losing() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise OutputLost("") from None
    except (OSError, ValueError) as error:
        raise OutputLost(f"standard output: {getattr(error, 'strerror', None) or error}") from None
