"""urllib3-future, which niquests puts in urllib3's place: uploads, in a venv of its own."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import venv
from typing import Any

import pytest

pytestmark = pytest.mark.integration

ROOT = pathlib.Path(__file__).parents[2]

UPLOADS = """
from qqchunk import Uploader
from qqchunk.emulator import Emulator

with Emulator(block_size=100_000, concurrency=2) as emulator:
    with Uploader(emulator.app_id, emulator.client_secret, api_url=emulator.api_url,
                  token_url=emulator.token_url) as uploader:
        for number in range(3):
            content = bytes([number]) * 300_000
            result = uploader.upload("c2c", "U1", content, file_name="a.bin")
            assert emulator.received(result.file_info) == content
"""

CANCEL = """
import threading, time
from qqchunk import UploadCancelledError, Uploader
from qqchunk.emulator import Emulator

with Emulator() as emulator:
    emulator.fail("prepare", "silence", times=None)
    cancel = threading.Event()
    with Uploader(emulator.app_id, emulator.client_secret, api_url=emulator.api_url,
                  token_url=emulator.token_url) as uploader:
        threading.Timer(0.2, cancel.set).start()
        began = time.monotonic()
        try:
            uploader.upload("c2c", "U1", b"content", file_name="a.bin", cancel=cancel)
        except UploadCancelledError:
            assert time.monotonic() - began < 1.2
        else:
            raise AssertionError("it was not cancelled")
"""

NIQUESTS_SESSION = """
import niquests
from qqchunk import Uploader

try:
    Uploader("1", "s", session=niquests.Session())
except TypeError as error:
    assert "must be a requests.Session" in str(error), error
else:
    raise AssertionError("it was taken")
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: Any) -> pathlib.Path:
    """An interpreter that has urllib3-future where urllib3 would be."""
    directory = tmp_path_factory.mktemp("future") / "venv"
    venv.create(directory, symlinks=True)
    found = directory / "bin" / "python"
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(found), "install", "-q", "--no-compile",
         "requests", "niquests"],
        check=True)
    return found


@pytest.mark.timeout(180)  # the first of them waits for the venv
@pytest.mark.parametrize(
    "script", [UPLOADS, CANCEL, NIQUESTS_SESSION], ids=["uploads", "cancel", "session"])
def test_urllib3_future_serves_as_urllib3_does(python: pathlib.Path, script: str) -> None:
    checked = "import urllib3.util; assert hasattr(urllib3.util, 'traffic_police')\n" + script
    done = subprocess.run(
        [str(python), "-c", checked], env=dict(os.environ, PYTHONPATH=str(ROOT)), timeout=60,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)
    assert done.returncode == 0, done.stdout
