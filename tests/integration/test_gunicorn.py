"""The web bots under gunicorn: one Uploader, made before the fork, in several worker processes."""

from __future__ import annotations

import os
import pathlib
import re
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Iterator, List

import pytest
import requests

from qqchunk.emulator import Emulator

from tests.processes import Process, bot_environment, running, wait_until

pytestmark = pytest.mark.integration

WORKERS = 3
OPENID = "A" * 32
APPS = {
    "flask": ("tests.integration.apps.flask_bot:create_app()", f"/chats/c2c/{OPENID}/files"),
    "django": ("django.core.wsgi:get_wsgi_application()", f"/users/{OPENID}/files"),
}


class Site:
    """A bot under gunicorn."""

    def __init__(self, process: Process, url: str, files: str) -> None:
        self.process = process
        self.url = url
        self._files = files

    def post_file(self, content: bytes, name: str = "holiday.mp4") -> requests.Response:
        return requests.post(self.url + self._files, files={"file": (name, content)}, timeout=40)

    def workers(self) -> List[int]:
        """The process ids of the workers that were ever started."""
        found = re.findall(r"Booting worker with pid: (\d+)", self.process.output())
        return [int(pid) for pid in found]


@pytest.fixture(params=sorted(APPS))
def site(
    request: Any, emulator: Emulator, tmp_path: pathlib.Path
) -> Iterator[Site]:
    app, files = APPS[request.param]
    emulator.behaviour.block_size = 200_000
    emulator.behaviour.concurrency = 2
    environment = bot_environment(
        emulator, DJANGO_SETTINGS_MODULE="tests.integration.apps.django_bot")
    command = [
        "python", "-m", "gunicorn", "--preload", "--workers", str(WORKERS), "--threads", "4",
        "--bind", "127.0.0.1:0", app]
    with running(command, tmp_path / "gunicorn.log", environment) as process:
        def address() -> Any:
            return re.search(r"Listening at: (http://[\d.:]+)", process.output())

        started = Site(process, wait_until(address, process).group(1), files)
        wait_until(lambda: len(started.workers()) == WORKERS, process)
        yield started


def posted_at_once(site: Site, contents: List[bytes]) -> List[requests.Response]:
    with ThreadPoolExecutor(len(contents)) as pool:
        return list(pool.map(site.post_file, contents))


def delivered(emulator: Emulator) -> List[bytes]:
    """The contents of the files in the messages that the emulator took."""
    medias: List[Any] = [message["media"] for message in emulator.messages]
    return [emulator.received(media["file_info"]) for media in medias]


def test_every_concurrent_request_is_sent_whole_and_once(site: Site, emulator: Emulator) -> None:
    contents = [os.urandom(300_000 + i) for i in range(24)]
    answers = posted_at_once(site, contents)
    assert [answer.status_code for answer in answers] == [200] * 24
    assert len({answer.json()["message_id"] for answer in answers}) == 24
    assert sorted(delivered(emulator)) == sorted(contents)
    assert emulator.refusals == []
    # One token for each process that served, whatever the number of its requests.
    assert 1 <= emulator.count("token") <= WORKERS


def test_worker_that_follows_a_killed_one_uploads_as_well(
    site: Site, emulator: Emulator
) -> None:
    posted_at_once(site, [os.urandom(1000) for _ in range(6)])
    for pid in site.workers():
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: len(site.workers()) == 2 * WORKERS, site.process)
    content = os.urandom(500_000)
    assert site.post_file(content).status_code == 200
    assert delivered(emulator)[-1] == content


def test_failure_is_answered_in_words_for_a_person(site: Site, emulator: Emulator) -> None:
    emulator.fail("prepare", "code", code=40093002)
    answer = site.post_file(b"video")
    assert (answer.status_code, answer.json()["error"]) == (
        429, "The bot has sent as much as it may today. Please try again tomorrow.")
