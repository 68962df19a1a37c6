"""Runs every client through every situation, once for all tests."""

from __future__ import annotations

import functools
import http.server
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Dict, Iterator, Tuple

import pytest

from qqchunk.emulator import Emulator

from tests.support import Pki

from .environments import CLIENTS, ROOT, Client, cache_directory, install, variables
from .situations import SITUATIONS, Driver, Files, Outcome, observe
from .table import Observations


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="session")
def file_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tuple[Path, str]]:
    """A directory and the URL under which all in it can be fetched."""
    folder = tmp_path_factory.mktemp("served")
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def observations(
    tmp_path_factory: pytest.TempPathFactory,
    file_server: Tuple[Path, str],
) -> Observations:
    """Client → situation → what it did there."""
    home = cache_directory()
    install(home)
    logs = tmp_path_factory.mktemp("logs")
    pki = Pki(logs)
    served, url = file_server

    def watch(client: Client) -> Dict[str, Outcome]:
        label = client.driver.partition(".")[0]
        folder = served / label
        folder.mkdir()
        files = Files(folder, url, client.file_name)
        context = pki.context_for("127.0.0.1")
        with Emulator(ssl_context=context) as emulator:
            environment = {
                **variables(home, pki.ca_file),
                "PYTHONPATH": "" if client.environment else str(ROOT),
                "EMULATOR_APP_ID": emulator.app_id,
                "EMULATOR_SECRET": emulator.client_secret,
                "EMULATOR_API_URL": emulator.api_url,
                "EMULATOR_TOKEN_URL": emulator.token_url,
            }
            driver = Driver(client.command(home), environment, logs / f"{label}.log")
            try:
                return {
                    situation.name: observe(driver, emulator, situation, files, client.only_by_url)
                    for situation in SITUATIONS
                }
            finally:
                driver.close()

    with ThreadPoolExecutor(len(CLIENTS)) as pool:
        found = pool.map(watch, CLIENTS)
        return dict(zip([client.name for client in CLIENTS], found))
