"""Uploads while the program ends: child processes, run to their end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import Any, Dict, Tuple

import pytest

from qqchunk.emulator import Emulator

from tests.processes import ROOT, bot_environment

PRELUDE = """
import atexit, os, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from qqchunk import Uploader, UploadError, hash_file

uploader = Uploader.from_env(backoff=30)
content = bytes(100_000)

def upload(name="a.bin", **options):
    try:
        uploader.upload("c2c", "U", content, file_name=name, **options)
        print(f"uploaded {name}\\n", end="", flush=True)
    except UploadError as error:
        print(f"{type(error).__name__}: {error}\\n", end="", flush=True)

def wait_for():
    "Wait until the emulator has been asked for what the test wants."
    while os.read(0, 1) != b"!":
        pass
"""


class Program:
    """A program whose main thread ends once the emulator has seen a request of *stage*.

    :ivar seconds: from there to its end
    """

    def __init__(self, emulator: Emulator, code: str, stage: str = "") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PRELUDE + code], env=bot_environment(emulator), cwd=str(ROOT),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            give_up = time.monotonic() + 30
            while stage and not emulator.count(stage) and self.process.poll() is None:
                assert time.monotonic() < give_up, self.process.kill()
                time.sleep(0.01)
            self.told = time.monotonic()
            self.process.stdin.write("!")
            self.process.stdin.flush()
        except BaseException:
            self.process.kill()
            raise

    def end(self) -> str:
        """Return what it printed."""
        try:
            out, err = self.process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            out, err = self.process.communicate()
            raise AssertionError(f"it did not end: {out!r} {err!r}")
        self.seconds = time.monotonic() - self.told
        assert (self.process.returncode, err) == (0, "")
        return out


DAEMON = """
threading.Thread(target=upload, daemon=True).start()
wait_for()
"""
# What the upload of a daemon thread hangs in when the program ends.
HANGS: Dict[str, Tuple[str, str, Dict[str, Any], Dict[str, Any]]] = {
    "no answer to the token": ("token", "silence", {}, {}),
    "no answer to prepare": ("prepare", "silence", {}, {}),
    "no answer to a put": ("put", "silence", {}, {"block_size": 10_000, "concurrency": 4}),
    "storage stops reading": ("put", "stop_reading", {}, {}),
    "an answer that drips in": ("complete", "drip", {"delay": 0.1}, {}),
    "a busy part": ("finish", "busy", {}, {"retry_timeout": 120}),
    "a back-off": ("prepare", "status", {"status": 500}, {}),
}
QUICK = ("no answer to the token", "no answer to a put", "a busy part")


@pytest.mark.parametrize("hang", [
    pytest.param(hang, marks=[] if hang in QUICK else [pytest.mark.matrix]) for hang in HANGS])
def test_daemon_threads_upload_ends_with_the_program(hang: str) -> None:
    stage, kind, options, behaviour = HANGS[hang]
    with Emulator(**behaviour) as emulator:
        emulator.fail(stage, kind, times=None, **options)
        program = Program(emulator, DAEMON, stage)
        program.end()
    assert program.seconds < 3.0


def test_daemon_thread_that_goes_on_uploading_ends_with_the_program() -> None:
    code = """
def for_ever():
    while True:
        upload()
for _ in range(3):
    threading.Thread(target=for_ever, daemon=True).start()
wait_for()
"""
    with Emulator(latency=0.02) as emulator:
        program = Program(emulator, code, "complete")
        program.end()
    assert program.seconds < 3.0


def test_thread_that_python_waits_for_finishes_its_upload() -> None:
    code = """
threading.Thread(target=upload).start()
wait_for()
"""
    with Emulator(block_size=25_000, latency=0.05) as emulator:
        assert Program(emulator, code, "put").end() == "uploaded a.bin\n"
        assert emulator.count("complete") == 1


def test_threads_that_upload_one_file_after_the_other_finish_them_all() -> None:
    code = """
pool = ThreadPoolExecutor(2)
for number in range(6):
    pool.submit(upload, f"{number}.bin")
wait_for()
"""
    with Emulator(block_size=50_000, latency=0.02) as emulator:
        lines = Program(emulator, code, "complete").end().splitlines()
        assert sorted(lines) == [f"uploaded {number}.bin" for number in range(6)]
        assert emulator.count("complete") == 6


def test_daemons_upload_does_not_end_before_those_python_waits_for() -> None:
    code = """
threading.Thread(target=upload).start()
threading.Thread(target=upload, args=("b.bin",), daemon=True).start()
wait_for()
"""
    with Emulator(block_size=25_000, latency=0.05) as emulator:
        assert "uploaded a.bin\n" in Program(emulator, code, "put").end()


def test_upload_in_atexit_works_or_is_one_error_in_words() -> None:
    code = """
atexit.register(upload)
wait_for()
"""
    with Emulator() as emulator:
        said = Program(emulator, code).end()
    if sys.version_info < (3, 9):  # which has no earlier end of its thread pools
        assert said == "uploaded a.bin\n"
    else:
        assert said == (
            "UploadError: a.bin, hash: no thread can be started any more, because the program is "
            "ending - upload before the main thread ends, or let that wait for the upload\n")


def test_upload_long_after_the_main_thread_works_or_is_one_error_in_words() -> None:
    code = """
def late():
    time.sleep(0.25)
    upload()
threading.Thread(target=late).start()
wait_for()
"""
    with Emulator() as emulator:
        said = Program(emulator, code).end()
    assert said == "uploaded a.bin\n" or said.startswith(
        "UploadError: a.bin, hash: no thread can be started any more"), said


def test_import_in_atexit_is_one_error_in_words_too() -> None:
    code = """
def late():
    for name in [name for name in sys.modules if name.startswith("qqchunk")]:
        del sys.modules[name]
    import qqchunk
    try:
        qqchunk.Uploader.from_env().upload("c2c", "U", content, file_name="a.bin")
        print("uploaded a.bin", flush=True)
    except qqchunk.UploadError as error:
        print(f"{type(error).__name__}: {error}", flush=True)
atexit.register(late)
wait_for()
"""
    with Emulator() as emulator:
        said = Program(emulator, code).end()
    assert said == "uploaded a.bin\n" or said.startswith(
        "UploadError: a.bin, hash: no thread can be started any more"), said


def test_close_in_atexit_works() -> None:
    code = """
upload()
atexit.register(uploader.close)
wait_for()
"""
    with Emulator() as emulator:
        assert Program(emulator, code).end() == "uploaded a.bin\n"


def test_daemon_thread_that_hashes_ends_with_the_program(tmp_path: Any) -> None:
    with open(tmp_path / "huge", "wb") as file:
        file.truncate(1 << 42)
    code = f"""
threading.Thread(target=hash_file, args=({str(tmp_path / "huge")!r},), daemon=True).start()
time.sleep(0.1)
wait_for()
"""
    with Emulator() as emulator:
        program = Program(emulator, code)
        program.end()
    assert program.seconds < 5.0


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C is another matter there")
def test_interrupt_of_a_program_that_waits_for_an_upload_ends_it() -> None:
    code = """
def silent():
    upload()
threading.Thread(target=silent).start()
wait_for()
print("main thread ends", flush=True)
"""
    with Emulator() as emulator:
        emulator.fail("put", "silence", times=None)
        program = Program(emulator, code, "put")
        assert program.process.stdout.readline() == "main thread ends\n"
        time.sleep(0.1)
        pressed = time.monotonic()
        program.process.send_signal(signal.SIGINT)
        out, _ = program.process.communicate(timeout=30)
        assert time.monotonic() - pressed < 3.0
        if sys.version_info >= (3, 9):
            assert out.startswith("UploadCancelledError: a.bin, put: stopped, because the program")
