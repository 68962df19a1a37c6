"""Scripts, pipes, proxies, threads of async programs, and systems that lack what Linux has."""

from __future__ import annotations

import asyncio
import io
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time
from typing import Any, Callable, Dict, Iterator, List

import pytest
import requests

from qqchunk import Uploader, UploadCancelledError
from qqchunk.emulator import Emulator

from tests.integration.apps.async_bot import send_file
from tests.processes import ROOT, bot_environment
from tests.relays import HttpProxy, SocksProxy
from tests.support import callers_sessions

OPENID = "A" * 32
SCRIPT = ROOT / "tests" / "integration" / "apps" / "script.py"

MakeUploader = Callable[..., Uploader]

# Runs a script as it is, with an emulator in the place of the platform.
AGAINST_THE_EMULATOR = """
import os, runpy, sys
import qqchunk

defaults = qqchunk.Uploader.__init__.__kwdefaults__
defaults.update({name: os.environ["QQ_BOT_" + name.upper()] for name in ("api_url", "token_url")})
sys.argv[:] = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""

# What Windows does not have. The standard library copes with that, if it finds out at import.
AS_ON_WINDOWS = """
import os, sys

for name in (
    "pread", "preadv", "pwrite", "pwritev", "fork", "forkpty", "register_at_fork", "mkfifo",
    "mknod", "sendfile", "sched_getaffinity", "O_NONBLOCK", "O_CLOEXEC", "O_NOFOLLOW", "uname",
    "getuid", "killpg", "posix_fadvise", "statvfs", "fchmod", "fchown",
):
    if hasattr(os, name):
        delattr(os, name)
for name in ("fcntl", "resource", "pwd", "grp", "termios", "pty"):
    sys.modules[name] = None
"""
UPLOAD_EVERYTHING = """
import io, json
from qqchunk import Uploader

class Stream:
    name = "holiday.mp4"

    def __init__(self, file):
        self.read = file.read

path = sys.argv[1]
names = ("app_id", "client_secret", "api_url", "token_url")
bot = {name: os.environ["QQ_BOT_" + name.upper()] for name in names}
with Uploader(**bot) as uploader, open(path, "rb") as file, open(path, "rb") as other:
    file.seek(7)
    files = path, file, Stream(other), io.BytesIO(file.read()[-1000:])
    file.seek(7)
    infos = [
        uploader.upload("c2c", "OPENID", each, file_name="a.mp4", progress=lambda p: None).file_info
        for each in files]
    assert file.tell() == 7
print(json.dumps([str(info) for info in infos]))
"""


@pytest.fixture
def report(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "report.pdf"
    path.write_bytes(os.urandom(200_000))
    return path


def python(
    emulator: Emulator, *arguments: Any, **options: Any
) -> subprocess.CompletedProcess[bytes]:
    """Run this interpreter, warnings being errors, with the bot's settings in the environment."""
    return subprocess.run(
        [sys.executable, "-W", "error", *map(str, arguments)], env=bot_environment(emulator),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30, **options)


def urls(emulator: Emulator) -> List[str]:
    return ["--api-url", emulator.api_url, "--token-url", emulator.token_url]


def delivered(emulator: Emulator) -> bytes:
    media: Any = emulator.messages[-1]["media"]
    return emulator.received(media["file_info"])


# --------------------------------------------------------------------------------- scripts


def test_three_lines_send_a_file(emulator: Emulator, report: pathlib.Path) -> None:
    done = python(emulator, "-X", "dev", "-c", AGAINST_THE_EMULATOR, SCRIPT, OPENID, report)
    assert done.stderr == b""
    assert done.stdout.startswith(b"ROBOT1.0_")
    assert delivered(emulator) == report.read_bytes()


def test_failed_script_ends_with_a_traceback_whose_last_line_says_why(
    emulator: Emulator, report: pathlib.Path
) -> None:
    emulator.fail("prepare", "code", code=40093002)
    done = python(emulator, "-c", AGAINST_THE_EMULATOR, SCRIPT, OPENID, report)
    assert done.returncode == 1
    last = done.stderr.decode().splitlines()[-1]
    assert last.startswith("qqchunk.errors.UploadDailyLimitExceededError: report.pdf, prepare: ")
    assert "try again tomorrow" in last


def test_command_in_a_pipe_reads_the_file_and_writes_json(
    emulator: Emulator, report: pathlib.Path
) -> None:
    done = python(
        emulator, "-m", "qqchunk", "upload", "-", "--name", "report.pdf", "--user", OPENID,
        "--json", "--quiet", *urls(emulator), input=report.read_bytes())
    assert (done.returncode, done.stderr) == (0, b"")
    assert emulator.received(json.loads(done.stdout)["file_info"]) == report.read_bytes()


def test_command_that_fails_says_so_by_its_exit_status_and_prints_no_result(
    emulator: Emulator, report: pathlib.Path
) -> None:
    emulator.fail("prepare", "code", code=40093002)
    done = python(
        emulator, "-m", "qqchunk", "upload", report, "--user", OPENID, "--json", *urls(emulator))
    assert (done.returncode, done.stdout) == (3, b"")


JQ = "jq -r .file_info"
IN_PLACE_OF_JQ = '"$0" -c "import json, sys; print(json.load(sys.stdin)[\'file_info\'])"'


@pytest.mark.integration
def test_shell_pipeline_takes_the_result_apart(emulator: Emulator, report: pathlib.Path) -> None:
    command = (
        'cat "$1" | "$0" -m qqchunk upload - --name report.pdf --group G --json --quiet'
        ' --api-url "$QQ_BOT_API_URL" --token-url "$QQ_BOT_TOKEN_URL" | '
        + (JQ if shutil.which("jq") else IN_PLACE_OF_JQ))
    done = subprocess.run(
        ["sh", "-c", command, sys.executable, str(report)], env=bot_environment(emulator),
        stdout=subprocess.PIPE, timeout=30)
    assert emulator.received(done.stdout.decode().strip()) == report.read_bytes()


# ------------------------------------------------------------------------------ other systems


def test_without_what_only_unix_has_everything_still_goes_up(
    emulator: Emulator, tmp_path: pathlib.Path
) -> None:
    content = os.urandom(1_000_000)  # more than a spool keeps in memory
    (tmp_path / "holiday.mp4").write_bytes(content)
    emulator.behaviour.block_size = 100_000
    emulator.behaviour.concurrency = 4
    done = python(
        emulator, "-c", AS_ON_WINDOWS + UPLOAD_EVERYTHING, tmp_path / "holiday.mp4")
    assert done.stderr == b""
    received = [emulator.received(info) for info in json.loads(done.stdout)]
    assert received == [content, content, content, content[-1000:]]


# ----------------------------------------------------------------------------- async programs


def test_upload_in_a_thread_leaves_the_event_loop_free(
    emulator: Emulator, uploader_for: MakeUploader, report: pathlib.Path
) -> None:
    uploader = uploader_for(emulator)
    emulator.behaviour.latency = 0.05

    async def main() -> int:
        uploads = asyncio.gather(*(send_file(uploader, name, str(report)) for name in "ABC"))
        ticks = 0
        while not uploads.done():
            await asyncio.sleep(0.01)
            ticks += 1
        assert all(reply["id"] for reply in await uploads)
        return ticks

    assert asyncio.run(main()) >= 5
    assert sorted(str(message["target"]) for message in emulator.messages) == ["A", "B", "C"]


def test_cancelled_task_stops_its_upload(
    emulator: Emulator, uploader_for: MakeUploader, report: pathlib.Path
) -> None:
    uploader = uploader_for(emulator)
    emulator.fail("put", "silence")
    ended: List[BaseException] = []
    send = uploader.send

    def note_end(*args: Any, **options: Any) -> Dict[str, Any]:
        try:
            return send(*args, **options)
        except BaseException as error:
            ended.append(error)
            raise

    uploader.send = note_end  # type: ignore[method-assign]

    async def main() -> float:
        task = asyncio.ensure_future(send_file(uploader, OPENID, str(report)))
        while not emulator.count("put"):
            await asyncio.sleep(0.01)
        task.cancel()
        began = time.monotonic()
        with pytest.raises(asyncio.CancelledError):
            await task
        while not ended:
            await asyncio.sleep(0.01)
        return time.monotonic() - began

    assert asyncio.run(main()) < 1
    assert isinstance(ended[0], UploadCancelledError)
    assert emulator.messages == []


if sys.version_info >= (3, 9):
    def test_to_thread_needs_no_wrapper(
        emulator: Emulator, uploader_for: MakeUploader, report: pathlib.Path
    ) -> None:
        upload = asyncio.to_thread(uploader_for(emulator).upload, "c2c", OPENID, report)
        assert emulator.received(asyncio.run(upload).file_info) == report.read_bytes()


# ------------------------------------------------------------------------------------ proxies


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as opened:
        yield opened


def test_http_proxy_of_the_session_carries_the_api_and_the_file(
    emulator: Emulator, uploader_for: MakeUploader, report: pathlib.Path, session: requests.Session
) -> None:
    with HttpProxy() as proxy:
        session.proxies = {"http": proxy.url()}
        result = uploader_for(emulator, session=session).upload("c2c", OPENID, report)
        methods = {head.split(" ")[0] for head in proxy.heads}
    assert emulator.received(result.file_info) == report.read_bytes()
    assert methods == {"POST", "PUT"}


def test_storage_session_of_its_own_takes_the_file_past_the_proxy(
    emulator: Emulator, uploader_for: MakeUploader, report: pathlib.Path, session: requests.Session
) -> None:
    with HttpProxy() as proxy, requests.Session() as direct:
        session.proxies = {"http": proxy.url()}
        uploader = uploader_for(emulator, session=session, storage_session=direct)
        result = uploader.upload("c2c", OPENID, report)
        methods = {head.split(" ")[0] for head in proxy.heads}
    assert emulator.received(result.file_info) == report.read_bytes()
    assert methods == {"POST"}


def test_proxy_of_the_environment_is_used(
    emulator: Emulator, uploader_for: MakeUploader, report: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with HttpProxy() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url())
        with callers_sessions() as sessions:
            result = uploader_for(emulator, **sessions).upload("c2c", OPENID, report)
        assert proxy.heads
    assert emulator.received(result.file_info) == report.read_bytes()


def test_socks_proxy_carries_the_api_and_the_file(
    emulator: Emulator, uploader_for: MakeUploader, report: pathlib.Path, session: requests.Session
) -> None:
    with SocksProxy() as proxy:
        session.proxies = {"http": proxy.url("socks5h")}
        result = uploader_for(emulator, session=session).upload("c2c", OPENID, report)
        assert len(proxy.targets) >= 2
    assert emulator.received(result.file_info) == report.read_bytes()


# ----------------------------------------------------------------------------------- progress


@pytest.mark.integration
def test_rich_bar_ends_full(
    emulator: Emulator, uploader_for: MakeUploader, report: pathlib.Path
) -> None:
    from rich.console import Console

    from tests.integration.apps.rich_bar import rich_bar

    written = io.StringIO()
    with rich_bar("report.pdf", Console(file=written, width=100)) as show:
        uploader_for(emulator).upload("c2c", OPENID, report, progress=show)
    assert "report.pdf (done)" in written.getvalue()
    assert "200.0/200.0 kB" in written.getvalue()
