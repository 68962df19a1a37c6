"""An emulator in a process of its own.

OpenSSL does not bear a fork while another thread of the same process is at work in it: its locks
stay taken in the child. So the tests that fork over TLS must not have the server's threads here.
"""

from __future__ import annotations

import contextlib
import multiprocessing
from multiprocessing.connection import Connection
from typing import Any, Iterator, List, Optional

from qqchunk.emulator import Emulator

from tests.support import server_context


class Host:
    """A process for emulators, one at a time. A context manager."""

    def __enter__(self) -> Host:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=serve, args=(other,))
        self._process.start()
        other.close()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._pipe.send(None)  # closing would not do: forked children have the pipe as well
        self._process.join(10)
        self._process.kill()
        self._process.join()
        self._process.close()
        self._pipe.close()

    @contextlib.contextmanager
    def emulator(
        self, certificate: Optional[str] = None, **options: Any
    ) -> Iterator[RemoteEmulator]:
        """An emulator with these options; over TLS if there is a certificate."""
        self._pipe.send((certificate, options))
        try:
            yield RemoteEmulator(self._pipe)
        finally:
            self._pipe.send(None)
            assert self._pipe.recv() == "stopped"


class RemoteEmulator:
    """What the tests ask of an `Emulator`."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self.api_url, self.token_url, self.app_id, self.client_secret = pipe.recv()

    @property
    def requests(self) -> List[Any]:
        return self._ask("requests")

    @property
    def refusals(self) -> List[Any]:
        return self._ask("refusals")

    def count(self, stage: str) -> int:
        return self._ask("count", stage)

    def _ask(self, name: str, *arguments: Any) -> Any:
        self._pipe.send((name, arguments))
        return self._pipe.recv()


def serve(pipe: Connection) -> None:
    for certificate, options in iter(pipe.recv, None):
        context = server_context(certificate) if certificate else None
        if context:
            # Reading tickets takes locks of OpenSSL. Without them, who awaits an answer holds none.
            context.num_tickets = 0
        with Emulator(ssl_context=context, strict=True, **options) as emulator:
            pipe.send((
                emulator.api_url, emulator.token_url, emulator.app_id, emulator.client_secret))
            for name, arguments in iter(pipe.recv, None):
                found = getattr(emulator, name)
                pipe.send(found(*arguments) if callable(found) else list(found))
        pipe.send("stopped")
