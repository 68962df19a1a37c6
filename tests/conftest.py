"""What every test gets: a clean environment, loopback only, no thread left behind."""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import ipaddress
import os
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Callable, Iterator, List, Optional

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from qqchunk import Uploader
    from qqchunk.emulator import Emulator
    from tests.support import Pki

# A shared machine is slow now and then; that says nothing about the code.
settings.register_profile("qqchunk", deadline=None)
settings.load_profile("qqchunk")

SECONDS_TO_EXIT = 60  # between the last test and the end of the process
SECONDS_FOR_THREADS = 2.0  # for a thread that was told to stop
LONGEST_ID = 200  # characters of a parameter in the name of a test

CLEANED = {
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "FTP_PROXY", "NO_PROXY",
    "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR",
}


class OutsideLoopbackError(AssertionError):
    """A test tried to reach another machine."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--write-tables", action="store_true",
        help="write the tables in docs that tests make, instead of comparing them",
    )


@pytest.hookimpl(hookwrapper=True)
def pytest_collection() -> Iterator[None]:
    """Keep the garbage collector from what is imported and collected: it all stays to the end."""
    gc.disable()
    yield
    gc.enable()
    gc.freeze()


def pytest_make_parametrize_id(val: object) -> Optional[str]:
    """Call a long value by its length: older versions of pytest write out all of it."""
    if isinstance(val, (str, bytes)) and len(val) > LONGEST_ID:
        return f"{type(val).__name__}_of_{len(val)}"
    return None


def pytest_unconfigure() -> None:
    if "MUTANT_UNDER_TEST" in os.environ:
        return  # mutmut runs the tests in its own process, and goes on
    # A thread that nobody joined would keep the process alive for ever, after the last test.
    with contextlib.suppress(AttributeError, OSError, ValueError):
        faulthandler.dump_traceback_later(SECONDS_TO_EXIT, exit=True, file=sys.__stderr__)


@pytest.fixture(scope="session", autouse=True)
def clean_environment() -> Iterator[None]:
    """Take away what would change requests' or the command line's behaviour."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.upper() in CLEANED or name.startswith("QQ_BOT_"):
                patch.delenv(name)
        patch.setenv("NETRC", os.devnull)  # else requests reads the one in the home directory
        yield


def is_loopback(host: Any) -> bool:
    if isinstance(host, bytes):
        host = host.decode("ascii", "replace")
    if host in (None, "", "localhost"):
        return True
    try:
        return ipaddress.ip_address(str(host).split("%")[0]).is_loopback
    except ValueError:
        return False


@pytest.fixture(scope="session")
def outside_attempts() -> Iterator[List[str]]:
    """Watch connections and look-ups; gives the list of those that left this machine."""
    attempts: List[str] = []
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex
    getaddrinfo = socket.getaddrinfo

    def refuse(what: str) -> None:
        attempts.append(what)
        raise OutsideLoopbackError(what + " by a test: only loopback is allowed")

    def check_address(sock: socket.socket, address: Any) -> None:
        if sock.family in (socket.AF_INET, socket.AF_INET6) and not is_loopback(address[0]):
            refuse(f"connection to {address!r}")

    def guarded_connect(sock: socket.socket, address: Any) -> None:
        check_address(sock, address)
        connect(sock, address)

    def guarded_connect_ex(sock: socket.socket, address: Any) -> int:
        check_address(sock, address)
        return connect_ex(sock, address)

    def guarded_getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(host, str) and host.endswith(".invalid"):
            # Reserved for names that never exist, so nobody need be asked.
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        if not is_loopback(host):
            refuse(f"look-up of {host!r}")
        return getaddrinfo(host, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded_connect)
        patch.setattr(socket.socket, "connect_ex", guarded_connect_ex)
        patch.setattr(socket, "getaddrinfo", guarded_getaddrinfo)
        yield attempts


@pytest.fixture(autouse=True)
def loopback_only(outside_attempts: List[str]) -> Iterator[None]:
    """Fail a test that left this machine even if the code under test swallowed the refusal."""
    del outside_attempts[:]
    yield
    assert outside_attempts == []


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    """Fail a test after which a thread of the library still runs."""
    before = set(threading.enumerate())

    def left() -> List[str]:
        return sorted(
            thread.name
            for thread in set(threading.enumerate()) - before
            if thread.name.startswith("qqchunk")
        )

    yield
    give_up = time.monotonic() + SECONDS_FOR_THREADS
    while left() and time.monotonic() < give_up:
        time.sleep(0.01)
    assert left() == []


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """A started emulator with the platform's live behaviour, strict about manners."""
    from qqchunk.emulator import Emulator

    with Emulator(strict=True) as started:
        yield started


@pytest.fixture
def uploader_for() -> Iterator[Callable[..., Uploader]]:
    """`uploader_for(emulator, **options)` gives an Uploader for it, closed after the test."""
    from tests import support

    with contextlib.ExitStack() as stack:
        yield lambda emulator, **options: stack.enter_context(
            support.uploader_for(emulator, **options))


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    """A certificate authority, which nobody trusts yet."""
    from tests.support import Pki

    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def trusted_pki(pki: Pki, monkeypatch: pytest.MonkeyPatch) -> Pki:
    """The certificate authority; requests trusts it."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", pki.ca_file)
    return pki
