"""The emulator's server: it lets go of everything at once, speaks TLS, keeps connections alive."""

from __future__ import annotations

import contextlib
import gc
import hashlib
import http.client
import importlib
import socket
import ssl
import struct
import sys
import threading
import time
import warnings
from typing import Any, Dict, Iterator, List, Tuple

import pytest

from qqchunk.emulator import Emulator
from qqchunk.emulator.connections import Connection
from tests.emulator.client import CONTENT, Bot, address, notes, serving, wait_for

pytest_plugins = ("pytester",)


def emulator_threads() -> List[str]:
    return [thread.name for thread in threading.enumerate() if "emulator" in thread.name]


@pytest.fixture(scope="module")
def contexts() -> Tuple[ssl.SSLContext, ssl.SSLContext]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # cryptography has words on old versions of Python
        import trustme
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return server, client


STALLS = [
    ("silence", {}), ("stop_reading", {"at_bytes": 1}), ("slow", {"bandwidth": 100}),
    ("endless_continue", {"delay": 0.05}), ("endless_continue", {}), ("header_flood", {}),
    ("huge_body", {"size": None}), ("drip", {"delay": 1.0}),
]


@contextlib.contextmanager
def raw_put(emulator: Emulator, path: str) -> Iterator[socket.socket]:
    with socket.create_connection(address(emulator), timeout=5) as sock:
        head = f"PUT {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n"
        sock.sendall(head.encode() + bytes(1000))
        yield sock


@pytest.mark.parametrize("kind, options", STALLS)
def test_stop_ends_a_stalled_exchange_at_once(kind: str, options: Dict[str, Any]) -> None:
    with Emulator() as emulator:
        emulator.fail("put", kind, **options)
        with raw_put(emulator, "/robot_upload/1/u/part_1"):
            wait_for(lambda: emulator.count("put") == 1)
            started = time.monotonic()
            emulator.stop()
            assert time.monotonic() - started < 2
            assert emulator_threads() == []
    assert emulator.requests[0].fault == kind


def test_stop_ends_silent_idle_and_half_open_clients(
    contexts: Tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    for context in (None, contexts[0]):
        with Emulator(ssl_context=context) as emulator, contextlib.ExitStack() as stack:
            socks = [
                stack.enter_context(socket.create_connection(address(emulator))) for _ in range(5)
            ]
            if context is None:
                head = b"POST /v2/users/U1/files HTTP/1.1\r\nContent-Length: 9\r\n\r\n{"
                socks[0].sendall(head)
            wait_for(lambda: emulator.open_connections == 5)
            started = time.monotonic()
            emulator.stop()
            assert time.monotonic() - started < 2
            assert emulator_threads() == []
            for sock in socks:
                with contextlib.suppress(ConnectionError):
                    assert sock.recv(1) == b""


def test_stalled_exchange_ends_when_its_client_goes() -> None:
    with Emulator() as emulator:
        for kind in ("silence", "stop_reading"):
            emulator.fail("token", kind)
            with socket.create_connection(address(emulator)) as sock:
                sock.sendall(
                    b"POST /app/getAppAccessToken HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}"
                )
                wait_for(lambda: emulator.open_connections == 1)
            wait_for(lambda: emulator.open_connections == 0)
        assert [request.status for request in emulator.requests] == [None, None]


def test_stop_may_be_called_twice_and_without_start() -> None:
    emulator = Emulator()
    emulator.stop()
    with pytest.raises(RuntimeError, match="start"):
        emulator.api_url
    emulator.start()
    assert emulator.start() is emulator
    emulator.stop()
    emulator.stop()


def test_emulator_starts_again_on_its_port_and_knows_all() -> None:
    with serving() as bot:
        emulator, url = bot.emulator, bot.emulator.api_url
        file_info = bot.upload()["file_info"]
        emulator.stop()
        bot.connection.close()
        with pytest.raises(ConnectionRefusedError):
            bot.prepare()
        emulator.start()
        assert emulator.api_url == url
        assert bot.send(file_info).status == 200
        assert emulator.connections == 2


def test_connection_is_kept_alive_until_the_client_asks_otherwise() -> None:
    with serving() as bot:
        bot.upload()
        assert bot.emulator.connections == bot.emulator.open_connections == 1
        answer = bot.api("/v2/users/U1/upload_prepare", {}, Connection="close")
        assert answer.headers["Connection"] == "close"
        wait_for(lambda: bot.emulator.open_connections == 0)


def test_peak_counts_requests_under_way_together() -> None:
    with serving(latency=0.05) as bot:
        assert bot.token
        bots = [Bot(bot.emulator) for _ in range(3)]
        threads = [threading.Thread(target=other.fetch_token) for other in bots]
        for thread in threads:
            thread.start()
        for thread, other in zip(threads, bots):
            thread.join()
            other.connection.close()
        assert bot.emulator.peak("token") == 3
        assert bot.emulator.peak("prepare") == 0


def test_latency_is_added_to_api_calls() -> None:
    with serving(latency=0.05) as bot:
        started = time.monotonic()
        bot.fetch_token()
        assert time.monotonic() - started >= 0.05


def test_many_clients_upload_at_once() -> None:
    with serving() as bot:
        failures: List[BaseException] = []

        def work(number: int) -> None:
            other = Bot(bot.emulator)
            try:
                content = CONTENT + bytes([number])
                for _ in range(3):
                    reply = other.upload(content, to=f"users/U{number}")
                    assert bot.emulator.received(reply["file_info"]) == content
            except BaseException as error:
                failures.append(error)
            finally:
                other.connection.close()

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == [] and notes(bot) == []


def test_expect_continue_is_answered() -> None:
    with Emulator() as emulator, socket.create_connection(address(emulator)) as sock:
        sock.sendall(
            b"POST /app/getAppAccessToken HTTP/1.1\r\nExpect: 100-continue\r\n"
            b"Content-Length: 2\r\n\r\n"
        )
        assert sock.recv(100).startswith(b"HTTP/1.1 100 ")


@pytest.mark.skipif(sys.version_info < (3, 9), reason="hashlib cannot say what a digest is for")
def test_digests_are_had_in_fips_mode_too(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("md5", "sha1"):

        def new(data: bytes = b"", *, usedforsecurity: bool = True, real: Any = name) -> Any:
            if usedforsecurity:
                raise ValueError("[digital envelope routines] unsupported")
            return hashlib.new(real, data)

        monkeypatch.setattr(f"hashlib.{name}", new)
    modules = [name for name in sys.modules if name.startswith("qqchunk.emulator")]
    for module in modules:
        monkeypatch.delitem(sys.modules, module)
    fresh = importlib.import_module("qqchunk.emulator")
    with fresh.Emulator(block_size=100) as emulator:
        bot = Bot(emulator)
        assert emulator.received(bot.upload()["file_info"]) == CONTENT
        bot.connection.close()


# TLS


def test_file_goes_up_over_tls(contexts: Tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    server, client = contexts
    with Emulator(ssl_context=server, block_size=100) as emulator:
        bot = Bot(emulator, client)
        plan = bot.prepare().json
        assert plan["parts"][0]["presigned_url"].startswith(emulator.api_url + "/robot_upload/")
        assert emulator.api_url.startswith("https://")
        file_info = bot.upload()["file_info"]
        assert emulator.received(file_info) == CONTENT
        bot.connection.close()


@pytest.mark.parametrize("kind", ["reset_midway", "early_status", "close"])
def test_connection_is_broken_over_tls_too(
    contexts: Tuple[ssl.SSLContext, ssl.SSLContext], kind: str
) -> None:
    server, client = contexts
    content = bytes(8_000_000)
    with Emulator(ssl_context=server) as emulator:
        bot = Bot(emulator, client)
        url = bot.prepare(content).json["parts"][0]["presigned_url"]
        emulator.fail("put", kind)
        with pytest.raises((OSError, http.client.HTTPException)):
            bot.put(url, content)
        wait_for(lambda: emulator.open_connections == 0)
        assert bot.put(url, content).status == 200
        bot.connection.close()


@pytest.mark.parametrize("kind", ["silence", "stop_reading"])
def test_stop_ends_a_stalled_exchange_over_tls_too(
    contexts: Tuple[ssl.SSLContext, ssl.SSLContext], kind: str
) -> None:
    server, client = contexts
    with Emulator(ssl_context=server) as emulator:
        bot = Bot(emulator, client)
        assert bot.token
        emulator.fail("token", kind)
        bot.connection.request("POST", "/app/getAppAccessToken", b"{}")
        wait_for(lambda: emulator.count("token") == 2)
        started = time.monotonic()
        emulator.stop()
        assert time.monotonic() - started < 2
        assert emulator_threads() == []
        bot.connection.close()


def test_silent_tls_client_holds_nobody_up(
    contexts: Tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    server, client = contexts
    with Emulator(ssl_context=server) as emulator:
        with socket.create_connection(address(emulator)):
            bot = Bot(emulator, client)
            assert bot.token
            bot.connection.close()


def test_client_that_breaks_the_handshake_is_let_go(
    contexts: Tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    with Emulator(ssl_context=contexts[0]) as emulator:
        with pytest.raises(ssl.SSLError):
            with socket.create_connection(address(emulator)) as sock:
                ssl.create_default_context().wrap_socket(sock, server_hostname="127.0.0.1")
        with socket.create_connection(address(emulator)) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
        wait_for(lambda: emulator.open_connections == 0)
        assert emulator.requests == []


# The fixture


def test_fixture_gives_a_started_emulator_and_stops_it(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import socket
        seen = []

        def test_started(qq_emulator):
            seen.append(qq_emulator)
            port = int(qq_emulator.api_url.rpartition(":")[2])
            socket.create_connection(("127.0.0.1", port)).close()

        def test_new_and_stopped(qq_emulator):
            assert qq_emulator is not seen[0]
            assert seen[0].open_connections == 0
            assert seen[0]._listener is None
        """
    )
    # By import, so that it works whether or not the package is installed.
    pytester.makeconftest("from qqchunk.emulator.pytest_plugin import qq_emulator")
    pytester.runpytest_inprocess().assert_outcomes(passed=2)


def test_client_that_leaves_before_the_handshake_leaves_no_socket_open(
    contexts: Tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, warnings.catch_warnings(
        record=True
    ) as seen:
        warnings.simplefilter("always")
        client = socket.create_connection(server.getsockname())
        accepted, _ = server.accept()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        connection = Connection(1, accepted)
        wait_for(connection.client_gone)
        with contextlib.suppress(ConnectionResetError):
            connection.secure(contexts[0])
        connection.close()
        gc.collect()
    assert seen == []
