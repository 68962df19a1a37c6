"""The parent's end of a worker process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Dict, Optional, Tuple, Type

from .clients import Settings

ROOT = Path(__file__).resolve().parents[2]


class MissingClientError(RuntimeError):
    """The library is not installed here."""


class FailedUploadError(RuntimeError):
    """A client raised; the text is its traceback."""


@dataclass(frozen=True)
class Measurement:
    """What one order cost: seconds, seconds of CPU, bytes added to the peak, urllib3's warnings."""

    wall: float
    cpu: float
    added: int
    warnings: Tuple[str, ...]


class Driver:
    """A client in a fresh interpreter; a context manager.

    `ca_file` is trusted by whatever reads the usual environment variables. Raises
    MissingClientError if the client cannot be imported.
    """

    def __init__(
        self, client: str, api_url: str, ca_file: str, token_host: Optional[str] = None
    ) -> None:
        environment = dict(os.environ, SSL_CERT_FILE=ca_file, REQUESTS_CA_BUNDLE=ca_file)
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            environment.pop(name, None)
            environment.pop(name.upper(), None)
        settings = json.dumps(asdict(Settings(client, api_url, token_host or api_url)))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.worker", settings],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env=environment,
            text=True,
        )
        hello = self._read()
        if "missing" in hello:
            self.close()
            raise MissingClientError(hello["missing"])
        self.version = str(hello["version"])

    def __enter__(self) -> Driver:
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def run(self, path: str, times: int = 1, threads: int = 1) -> Measurement:
        """Uploads `path` in `threads` threads, `times` times each."""
        assert self._process.stdin is not None
        order = {"path": path, "times": times, "threads": threads}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer = self._read()
        if "error" in answer:
            raise FailedUploadError(answer["error"])
        return Measurement(
            answer["wall"], answer["cpu"], answer["added"], tuple(answer["warnings"])
        )

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def _read(self) -> Dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise FailedUploadError(f"worker {self.pid} died")
        answer: Dict[str, Any] = json.loads(line)
        return answer
