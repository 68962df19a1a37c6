"""What an abort puts on the wire, and that it touches nobody else's connections."""

from __future__ import annotations

import ssl
import threading
import time
from typing import Any, List

import pytest

from qqchunk import Uploader, UploadCancelledError
from qqchunk.emulator import Emulator, Fault

from tests.relays import Relay, clear_text
from tests.support import Pki, connected_to, uploader_for, wait_until

PART = 1 << 20  # bytes

pytestmark = pytest.mark.usefixtures("trusted_pki", "nothing_stays")


class Soon:
    """A cancel that is set some time after the body has begun to move."""

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._due = float("inf")

    def progress(self, progress: Any) -> None:
        if progress.uploaded_bytes:
            self._due = min(self._due, time.monotonic() + self._delay)

    def is_set(self) -> bool:
        return time.monotonic() >= self._due


class KernelHas:
    """A cancel that is set once the kernel has so many bytes which the relay has not read."""

    def __init__(self, size: int, relay: Relay) -> None:
        self._size = size
        self._relay = relay
        self._sent = 0

    def progress(self, progress: Any) -> None:
        self._sent = progress.uploaded_bytes

    def is_set(self) -> bool:
        peers = self._relay.peers
        return bool(peers) and self._sent > sum(len(peer.heard) for peer in peers) + self._size


def abort_many(uploader: Uploader, uploads: int, at_a_time: int = 6) -> int:
    """Begin so many uploads of four parts and cancel them in mid-body; say how many were."""
    cancelled: List[BaseException] = []

    def abort_some(first: int) -> None:
        for number in range(first, uploads, at_a_time):
            soon = Soon(0.002 * number)
            try:
                uploader.upload(
                    "c2c", "U1", bytes(4 * PART), file_name="a.bin",
                    cancel=soon, progress=soon.progress)
            except UploadCancelledError as error:
                cancelled.append(error)

    threads = [threading.Thread(target=abort_some, args=(n,)) for n in range(at_a_time)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(cancelled)


# CPython leaves a socket to the collector that is reset between connect and handshake.
@pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")
@pytest.mark.parametrize("uploads", [8, pytest.param(32, marks=pytest.mark.matrix)])
@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_aborts_in_mid_body_put_no_clear_text_on_the_wire(
    pki: Pki, version: str, uploads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken_off: List[ssl.SSLSocket] = []
    shutdown = ssl.SSLSocket.shutdown

    def watched(sock: ssl.SSLSocket, how: int) -> None:
        if not sock.server_side:
            taken_off.append(sock)
        shutdown(sock, how)

    monkeypatch.setattr(ssl.SSLSocket, "shutdown", watched)
    context = pki.context_for("127.0.0.1")
    context.maximum_version = ssl.TLSVersion[version]
    with Emulator(
        ssl_context=context, keep_bodies=False, block_size=PART, concurrency=4,
    ) as emulator, Relay(emulator.api_url, pause=0.005) as relay:
        emulator._service.local_storage.url = relay.url("https")
        with uploader_for(emulator) as uploader:
            assert abort_many(uploader, uploads) > uploads - 4
        wait_until(lambda: all(peer.end for peer in relay.peers))
        cut = [peer for peer in relay.peers if 10_000 < len(peer.heard) < PART]
        assert len(cut) > 2 * uploads - 4
        assert [peer for peer in relay.peers if clear_text(peer.heard)] == []
        # It takes the encryption off a socket to which another thread may be writing.
        assert taken_off == []


def test_clear_text_would_be_noticed() -> None:
    records = b"\x16\x03\x01\x00\x02hi" + b"\x17\x03\x03\x00\x04secr"
    assert clear_text(records) == clear_text(records[:-2]) == clear_text(records[:9]) == b""
    assert clear_text(records + b"PUT / HTTP/1.1") == b"PUT / HTTP/1.1"
    assert clear_text(records + bytes(9)) == bytes(9)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_server_gets_nothing_after_the_stop_but_what_was_on_its_way(
    scheme: str, pki: Pki
) -> None:
    context = pki.context if scheme == "https" else None
    with Emulator(ssl_context=context, faults=[
        Fault("put", "stop_reading", at_bytes=1000),
    ]) as emulator, Relay(emulator.api_url, pause=0.05) as relay:
        emulator._service.local_storage.url = relay.url(scheme)
        full = KernelHas(PART, relay)  # the relay takes over a second for it
        with uploader_for(emulator) as uploader:
            with pytest.raises(UploadCancelledError):
                uploader.upload(
                    "c2c", "U1", bytes(10 * PART), file_name="a.bin",
                    cancel=full, progress=full.progress)
            # The relay reads on slowly: what the kernel had is dropped, not sent.
            wait_until(lambda: relay.peers[0].end)
            assert relay.peers[0].end == "RST"
            assert len(relay.peers[0].heard) < PART
            assert not connected_to(relay.port)


@pytest.mark.parametrize("scheme, size", [("http", 100_000), ("https", 100_000), ("https", 1)])
def test_abort_leaves_the_neighbours_on_the_same_uploader_alone(
    scheme: str, size: int, pki: Pki, caplog: pytest.LogCaptureFixture
) -> None:
    context = pki.context if scheme == "https" else None
    cancel = threading.Event()
    cancelled: List[BaseException] = []
    results: List[str] = []
    with Emulator(
        ssl_context=context, block_size=PART, concurrency=4,
    ) as emulator, Relay(emulator.api_url, hold_at=size) as relay:
        emulator._service.local_storage.url = relay.url(scheme)
        with uploader_for(emulator) as uploader:

            def upload() -> None:
                for number in range(2):
                    content = bytes([number]) * 2 * PART
                    result = uploader.upload("c2c", "U1", content, file_name="a.bin")
                    assert emulator.received(result.file_info) == content
                    results.append(result.file_info)

            def abort() -> None:
                try:
                    uploader.upload("c2c", "U1", bytes(4 * PART), file_name="a.bin", cancel=cancel)
                except UploadCancelledError as error:
                    cancelled.append(error)

            neighbours = [threading.Thread(target=upload) for _ in range(2)]
            aborted = [threading.Thread(target=abort) for _ in range(2)]
            for thread in neighbours + aborted:
                thread.start()
            # All are in mid-body, or in mid-handshake, and stay there while two of them end.
            wait_until(lambda: relay.held == 2 * 2 + 2 * 4)
            cancel.set()
            for thread in aborted:
                thread.join()
            assert (len(cancelled), results) == (2, [])
            relay.release()
            for thread in neighbours:
                thread.join()
        assert len(results) == 4
        # Nothing had to be repeated because of somebody else's abort.
        assert [r for r in caplog.records if r.name.startswith("qqchunk")] == []
        assert emulator.refusals + emulator.manners == []
