"""Uploads where no more threads can be started."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import Any, Callable, List

import pytest

from qqchunk import UploadError, Uploader
from qqchunk.emulator import Emulator

from tests.processes import ROOT, bot_environment

CONTENT = bytes(range(256)) * 4096  # eight parts, and big enough for a second thread that hashes
PART = 1 << 17
UploaderFor = Callable[..., Uploader]


@pytest.fixture
def threads_of_ours(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], List[str]]:
    """`threads_of_ours(most)` lets that many start from now on; gives the names of all asked."""
    start = threading.Thread.start

    def limit(most: int) -> List[str]:
        asked: List[str] = []

        def start_or_not(thread: threading.Thread) -> None:
            if thread.name.startswith("qqchunk"):
                asked.append(thread.name)
                if len(asked) > most:
                    raise RuntimeError("can't start new thread")
            start(thread)

        monkeypatch.setattr(threading.Thread, "start", start_or_not)
        return asked

    return limit


@pytest.mark.parametrize("most", range(1, 9))
def test_upload_does_with_as_many_threads_as_there_are(
    uploader_for: UploaderFor, threads_of_ours: Any, most: int
) -> None:
    with Emulator(block_size=PART, concurrency=4) as emulator:
        uploader = uploader_for(emulator)
        asked = threads_of_ours(most)
        result = uploader.upload("c2c", "U", CONTENT, file_name="a.bin", deadline=20)
        assert emulator.received(result.file_info) == CONTENT
        assert len(asked) >= most
        # Python queues work before it fails to start a thread for it: none is done twice.
        assert (emulator.count("put"), emulator.count("part_finish")) in ((8, 8), (8, 0))


def test_no_thread_at_all_is_an_error_to_try_again_on(
    uploader_for: UploaderFor, threads_of_ours: Any
) -> None:
    with Emulator(block_size=PART) as emulator:
        uploader = uploader_for(emulator)
        threads_of_ours(0)
        with pytest.raises(UploadError, match=(
            r"^a\.bin, hash: no thread could be started \(can't start new thread\) - try again once"
        )) as caught:
            uploader.upload("c2c", "U", CONTENT, file_name="a.bin")
        assert type(caught.value) is UploadError
        assert (caught.value.retryable, caught.value.stage) == (True, "hash")
        assert emulator.requests == []
        threads_of_ours(99)
        uploader.upload("c2c", "U", CONTENT, file_name="a.bin")


def test_stop_of_an_upload_with_one_thread(
    uploader_for: UploaderFor, threads_of_ours: Any
) -> None:
    with Emulator(block_size=PART, concurrency=4) as emulator:
        emulator.fail("put", "silence", times=None)
        uploader = uploader_for(emulator)
        threads_of_ours(1)
        with pytest.raises(UploadError, match="deadline"):
            uploader.upload("c2c", "U", CONTENT, file_name="a.bin", deadline=0.5)


LIMITED = """
import resource, sys, threading
from qqchunk import Uploader, UploadError

threads = int(sys.argv[1])
with Uploader.from_env() as uploader:
    uploader.upload("c2c", "U", bytes(100), file_name="warm.bin")
    threading.stack_size(256 << 20)  # of address space, which is limited then
    with open("/proc/self/status") as status:
        used = [int(line.split()[1]) for line in status if line.startswith("VmSize")][0] << 10
    resource.setrlimit(resource.RLIMIT_AS, (used + (threads * 256 + 128 << 20),) * 2)
    try:
        uploader.upload("c2c", "U", bytes(range(256)) * 4096, file_name="a.bin", deadline=20)
        print("uploaded")
    except UploadError as error:
        print(f"retryable: {error.retryable}: {error}")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="goes by /proc")
@pytest.mark.parametrize("threads", [0, 1, 3])
def test_program_at_a_real_limit(threads: int) -> None:
    with Emulator(block_size=PART, concurrency=4) as emulator:
        out = subprocess.run(
            [sys.executable, "-c", LIMITED, str(threads)], env=bot_environment(emulator),
            cwd=str(ROOT), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=40)
        assert (out.returncode, out.stderr) == (0, "")
        if threads:
            assert out.stdout == "uploaded\n"
            assert emulator.count("put") == 9
        else:
            assert out.stdout.startswith("retryable: True: a.bin, hash: no thread could be started")
