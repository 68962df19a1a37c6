"""An emulator in a process of its own.

OpenSSL does not bear a fork while another thread of the same process is at work in it: its locks
stay taken in the child. So the tests that fork over TLS must not have the server's threads here.
"""

from __future__ import annotations

import multiprocessing
from multiprocessing.connection import Connection
from typing import Any, List, Optional

from qqchunk.emulator import Emulator

from tests.support import server_context


class RemoteEmulator:
    """A context manager with what the tests ask of an `Emulator`."""

    def __init__(self, certificate: Optional[str] = None, **options: Any) -> None:
        self._certificate = certificate
        self._options = options

    def __enter__(self) -> RemoteEmulator:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(
            target=serve, args=(other, self._certificate, self._options))
        self._process.start()
        other.close()
        self.api_url, self.token_url, self.app_id, self.client_secret = self._pipe.recv()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._pipe.send(None)  # closing would not do: forked children have the pipe as well
        self._process.join(10)
        self._process.kill()
        self._process.join()
        self._process.close()
        self._pipe.close()

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


def serve(pipe: Connection, certificate: Optional[str], options: Any) -> None:
    context = server_context(certificate) if certificate else None
    with Emulator(ssl_context=context, strict=True, **options) as emulator:
        pipe.send((
            emulator.api_url, emulator.token_url, emulator.app_id, emulator.client_secret))
        while True:
            asked = pipe.recv()
            if asked is None:
                return
            name, arguments = asked
            found = getattr(emulator, name)
            pipe.send(found(*arguments) if callable(found) else list(found))
