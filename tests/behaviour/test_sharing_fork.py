"""One uploader before and after a fork, as gunicorn, Celery and multiprocessing do it.

No thread may be at work in OpenSSL at the fork: its locks, which the whole process has in common,
would stay taken in the child, and the next SSLContext() there would wait for ever. So another
thread is let come to where it waits for an answer first, and of those of an ended upload
`Workers.stop` sees that none is left.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
import warnings
from typing import Any, Callable, Iterator, List

import pytest
import requests

from qqchunk import Uploader
from qqchunk.emulator import Fault

from tests.remote_emulator import Host
from tests.support import Pki, uploader_for, wait_until

CHILDREN = 4
SECONDS = 10.0  # for a child; one that takes longer hangs


@pytest.fixture(params=["http", "https"])
def certificate(request: Any, trusted_pki: Pki) -> Any:
    return trusted_pki.server_file if request.param == "https" else None


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    with Host() as started:
        yield started


@contextlib.contextmanager
def forking() -> Iterator[None]:
    """Python 3.12 and later warn of what these tests are about."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


def upload(uploader: Uploader, content: bytes) -> str:
    return uploader.upload("c2c", "U1", content, file_name="a.bin").file_info


def end_in_time() -> None:
    """A child that hangs shall not outlive the test."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # pytest-timeout's handler would only raise
    signal.alarm(int(SECONDS))


def fork(work: Callable[[], Any]) -> int:
    """Do *work* in a child process; give its pid."""
    with forking():
        pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        end_in_time()
        work()
        status = 0
    except BaseException:
        traceback.print_exc(file=sys.__stderr__)
    finally:
        os._exit(status)


def exit_status(pid: int) -> int:
    ended: List[int] = []

    def has_ended() -> bool:
        waited, status = os.waitpid(pid, os.WNOHANG)
        ended.extend([status] * bool(waited))
        return bool(waited)

    wait_until(has_ended, SECONDS + 5.0)
    return ended[0]


def test_children_upload_beside_their_parent(certificate: Any, host: Host) -> None:
    with host.emulator(certificate, block_size=100, concurrency=2) as emulator:
        with uploader_for(emulator) as uploader:
            upload(uploader, b"before" * 50)

            def work() -> None:
                for _ in range(3):
                    upload(uploader, str(os.getpid()).encode() * 50)
                uploader.close()

            children = [fork(work) for _ in range(CHILDREN)]
            for _ in range(3):
                upload(uploader, b"parent" * 50)
            assert [exit_status(pid) for pid in children] == [0] * CHILDREN
            upload(uploader, b"after" * 50)
        assert emulator.count("complete") == 2 + 3 + 3 * CHILDREN
        assert emulator.refusals == []
        # A child inherits the token, and none of the connections.
        assert emulator.count("token") == 1
        assert len({r.connection for r in emulator.requests}) >= 2 * (1 + CHILDREN)


def locks_of(uploader: Uploader) -> List[Any]:
    """Every lock that a thread of the parent could hold at the moment of a fork."""
    sessions = uploader._transport._sessions
    locks = [uploader._calls._lock, uploader._transport._keeper._changed]
    for session in {id(s): s for s in (sessions.api, sessions.storage)}.values():
        locks.append(session.cookies._cookies_lock)
        for adapter in session.adapters.values():
            pools = adapter.poolmanager.pools
            locks.append(pools.lock)
            locks += [pools[key].pool.mutex for key in pools.keys()]
    return locks


@pytest.mark.parametrize("own_session", [True, False])
def test_fork_while_another_thread_holds_every_lock(
    certificate: Any, host: Host, own_session: bool
) -> None:
    with host.emulator(certificate) as emulator, requests.Session() as session:
        options = {} if own_session else {"session": session, "storage_session": session}
        with uploader_for(emulator, **options) as uploader:
            upload(uploader, b"before")
            locks = locks_of(uploader)
            assert len(locks) >= 6
            children: List[int] = []
            forker = threading.Thread(target=lambda: children.append(
                fork(lambda: (upload(uploader, b"child"), uploader.close()))))
            # By the main thread: a new thread of the child may have the name, and with it the
            # locks, of any other one that is gone.
            with contextlib.ExitStack() as stack:
                for lock in locks:
                    stack.enter_context(lock)
                forker.start()
                forker.join()
                assert exit_status(children[0]) == 0
            upload(uploader, b"after")
        assert emulator.count("complete") == 3


@pytest.mark.parametrize("stage", ["token", "prepare", "put"])
def test_fork_while_another_thread_uploads(certificate: Any, host: Host, stage: str) -> None:
    silence = Fault(stage, "silence")
    with host.emulator(certificate, faults=[silence]) as emulator:
        with uploader_for(emulator) as uploader:
            cancel = threading.Event()

            def hang() -> None:
                with pytest.raises(Exception):
                    uploader.upload("c2c", "U1", b"hangs", file_name="a.bin", cancel=cancel)

            other = threading.Thread(target=hang)
            other.start()
            wait_until(lambda: emulator.count(stage))  # it sent that, and waits in a read
            child = fork(lambda: (upload(uploader, b"child"), uploader.close()))
            assert exit_status(child) == 0
            assert other.is_alive()
            cancel.set()
            began = time.monotonic()
            other.join(5)
            # The stop works although the child has the same sockets.
            assert time.monotonic() - began < 1.0
        assert emulator.count("complete") == 1


def upload_in_process(uploader: Uploader, number: int) -> None:
    end_in_time()
    upload(uploader, bytes([number]) * 100)


def test_multiprocessing_by_fork(certificate: Any, host: Host) -> None:
    with host.emulator(certificate) as emulator, uploader_for(emulator) as uploader:
        upload(uploader, b"before")
        kind = multiprocessing.get_context("fork")
        with forking():
            processes = [
                kind.Process(target=upload_in_process, args=(uploader, n)) for n in range(CHILDREN)]
            for process in processes:
                process.start()
        upload(uploader, b"parent")
        for process in processes:
            process.join(SECONDS)
        assert [process.exitcode for process in processes] == [0] * CHILDREN
        for process in processes:
            process.close()
        assert emulator.count("complete") == 2 + CHILDREN
