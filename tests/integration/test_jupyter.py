"""In a notebook: its own progress bar, and Kernel → Interrupt. With a real kernel."""

from __future__ import annotations

import os
import pathlib
import time
from typing import Any, Dict, Iterator

import pytest

from qqchunk.emulator import Emulator

from tests.processes import bot_environment, wait_until

pytestmark = pytest.mark.integration

SETUP = """
import os
from qqchunk import Uploader

names = ("app_id", "client_secret", "api_url", "token_url")
uploader = Uploader(**{name: os.environ["QQ_BOT_" + name.upper()] for name in names})
"""
UPLOAD = 'result = uploader.upload("c2c", "OPENID", "holiday.mp4", progress=True)'


@pytest.fixture
def film(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "holiday.mp4"
    path.write_bytes(os.urandom(1_000_000))
    return path


@pytest.fixture
def environment(emulator: Emulator, tmp_path: pathlib.Path) -> Dict[str, str]:
    """What a kernel needs to find the package and the emulator, and to leave the home alone."""
    emulator.behaviour.block_size = 400_000
    places = ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")
    own = {name: str(tmp_path / name.lower()) for name in places}
    return bot_environment(emulator, JUPYTER_PLATFORM_DIRS="1", **own)


@pytest.fixture
def kernel(environment: Dict[str, str], tmp_path: pathlib.Path) -> Iterator[Any]:
    """A started kernel: its manager and its client."""
    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel(env=environment, cwd=str(tmp_path))
    try:
        yield manager, client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()


def finish(client: Any, message_id: str) -> Dict[str, Any]:
    """Wait for the end of a cell; return the kernel's reply."""
    while True:
        reply: Dict[str, Any] = client.get_shell_msg(timeout=20)
        if reply["parent_header"].get("msg_id") == message_id:
            return reply["content"]


def run(client: Any, code: str) -> Dict[str, Any]:
    return finish(client, client.execute(code, user_expressions={"shown": "shown"}))


def test_progress_is_the_notebooks_own_bar(
    film: pathlib.Path, environment: Dict[str, str], tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import nbformat
    from nbclient import NotebookClient

    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    cells = [nbformat.v4.new_code_cell(source) for source in (SETUP, UPLOAD)]
    notebook = nbformat.v4.new_notebook(cells=cells)
    NotebookClient(
        notebook, timeout=30, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    ).execute()

    (output,) = notebook.cells[1].outputs  # no text, no warning beside the bar
    assert "application/vnd.jupyter.widget-view+json" in output["data"]
    widgets = notebook.metadata.widgets["application/vnd.jupyter.widget-state+json"]["state"]
    states = {w["model_name"]: w["state"] for w in widgets.values() if "model_name" in w}
    assert states["FloatProgressModel"]["value"] == film.stat().st_size
    assert states["FloatProgressModel"]["bar_style"] == "success"
    texts = [w["state"].get("value") for w in widgets.values() if w["model_name"] == "HTMLModel"]
    assert any("holiday.mp4" in str(text) for text in texts)


def test_interrupt_stops_the_upload_and_the_next_cell_works(
    film: pathlib.Path, kernel: Any, emulator: Emulator
) -> None:
    manager, client = kernel
    assert run(client, SETUP)["status"] == "ok"
    emulator.fail("put", "stop_reading", at_bytes=1000)
    cell = client.execute(UPLOAD)
    wait_until(lambda: emulator.count("put") == 1)

    began = time.monotonic()
    manager.interrupt_kernel()
    reply = finish(client, cell)
    assert time.monotonic() - began < 1
    assert (reply["status"], reply["ename"]) == ("error", "KeyboardInterrupt")

    shown = run(client, """
import threading
shown = sorted(t.name for t in threading.enumerate() if t.name.startswith("qqchunk"))
""")["user_expressions"]["shown"]["data"]["text/plain"]
    assert shown == "[]"
    assert emulator.count("complete") == 0

    reply = run(client, UPLOAD + "; shown = result.file_info + ''")
    assert reply["status"] == "ok"
    file_info = reply["user_expressions"]["shown"]["data"]["text/plain"].strip("'")
    assert emulator.received(file_info) == film.read_bytes()
