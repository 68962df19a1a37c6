"""The Celery bot of the recipes, with a real Redis and real workers, some of which are killed."""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import time
import uuid
from typing import Any, ContextManager, Iterator, List

import pytest

from qqchunk import UploadDailyLimitExceededError, UploadDeadlineError
from qqchunk.emulator import Emulator

from tests.processes import Process, bot_environment, redis_server, running, wait_until

pytestmark = pytest.mark.integration

GET = {"timeout": 55, "interval": 0.05}  # seconds to wait for a result

# The bot in haste, and apart from whatever else is in this Redis.
HURRIED_BOT = """
import os, pathlib
from celery.signals import task_prerun
from tests.integration.apps import celery_bot
from tests.integration.apps.celery_bot import app

celery_bot.FIRST_DELAY = 0.2
prefix = os.environ["PREFIX"]
app.conf.broker_transport_options["global_keyprefix"] = prefix
app.conf.result_backend_transport_options = {"global_keyprefix": prefix}
if "VISIBILITY_TIMEOUT" in os.environ:
    timeout = int(os.environ["VISIBILITY_TIMEOUT"])
    app.conf.broker_transport_options["visibility_timeout"] = timeout
    # A worker killed in the wrong moment holds this lock; others wait for five minutes by default.
    app.conf.broker_transport_options["unacked_mutex_expire"] = timeout

@task_prerun.connect
def write_down_process_id(**_):
    pathlib.Path("task.pid").write_text(str(os.getpid()))
"""


class Fleet:
    """A broker, and as many workers as are started."""

    def __init__(self, directory: pathlib.Path, emulator: Emulator, **environment: str) -> None:
        self.emulator = emulator
        self._directory = directory
        self._environment = bot_environment(
            emulator, PREFIX=f"qqchunk-{uuid.uuid4().hex}-", **environment)
        (directory / "hurried_bot.py").write_text(HURRIED_BOT)
        self._file = directory / "report.pdf"
        self._file.write_bytes(os.urandom(100_000))

    def worker(self) -> ContextManager[Process]:
        command = [
            "python", "-m", "celery", "-A", "hurried_bot", "worker", "--concurrency", "1",
            "--loglevel", "INFO", "--without-gossip", "--without-mingle", "--without-heartbeat"]
        return running(command, self._directory / "worker.log", self._environment)

    @contextlib.contextmanager
    def queue(self) -> Iterator[Any]:
        """Give a function that queues the bot's task from this process."""
        from celery import Celery

        url, prefix = self._environment["REDIS_URL"], self._environment["PREFIX"]
        with Celery(broker=url, backend=url, set_as_current=False) as client:
            client.conf.update(
                broker_transport_options={"global_keyprefix": prefix},
                result_backend_transport_options={"global_keyprefix": prefix},
                result_serializer="pickle", result_accept_content=["pickle"])

            def send_file(openid: str) -> Any:
                return client.send_task(
                    "tests.integration.apps.celery_bot.send_file",
                    ("c2c", openid, str(self._file), "ROBOT1.0_question"))

            yield send_file
            client.backend.client.connection_pool.disconnect()

    def working_process(self) -> int:
        """Wait until a task hangs in the emulator's silence; return the process it runs in."""
        wait_until(lambda: any(
            request.fault == "silence" and request.status is None
            for request in list(self.emulator.requests)))
        return int((self._directory / "task.pid").read_text())

    def sent_to(self, openid: str) -> List[Any]:
        """The files that have appeared in that chat."""
        messages: List[Any] = [m for m in self.emulator.messages if m["target"] == openid]
        return [self.emulator.received(message["media"]["file_info"]) for message in messages]

    @property
    def content(self) -> bytes:
        return self._file.read_bytes()


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis_server(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture(scope="module")
def shared_fleet(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with Emulator() as emulator:
        fleet = Fleet(tmp_path_factory.mktemp("fleet"), emulator, REDIS_URL=redis_url)
        with fleet.worker():
            yield fleet


@pytest.fixture
def fleet(shared_fleet: Fleet) -> Fleet:
    """One worker for all the tests that leave it alive."""
    shared_fleet.emulator.clear_faults()
    del shared_fleet.emulator.requests[:]
    return shared_fleet


def count(emulator: Emulator, stage: str) -> int:
    return sum(request.stage == stage for request in emulator.requests)


def test_queued_file_is_sent(fleet: Fleet) -> None:
    with fleet.queue() as send_file:
        message_id = send_file("A").get(**GET)
    assert message_id.startswith("ROBOT1.0_")
    assert fleet.sent_to("A") == [fleet.content]


def test_passing_failure_is_tried_again_by_the_queue(fleet: Fleet) -> None:
    fleet.emulator.fail("prepare", "code", code=11242, times=2)  # one more than the library bears
    with fleet.queue() as send_file:
        send_file("B").get(**GET)
    assert count(fleet.emulator, "prepare") == 3
    assert fleet.sent_to("B") == [fleet.content]


def test_used_up_quota_is_not_tried_again_and_arrives_whole(fleet: Fleet) -> None:
    fleet.emulator.fail("prepare", "code", code=40093002)
    with fleet.queue() as send_file:
        with pytest.raises(UploadDailyLimitExceededError) as caught:
            send_file("C").get(**GET)
    assert count(fleet.emulator, "prepare") == 1
    assert fleet.sent_to("C") == []
    error = caught.value
    assert (error.file_name, error.file_size, error.file_size_human) == (
        "report.pdf", 100_000, "97.7 KB")
    assert (error.stage, error.http_status, error.code) == ("prepare", 400, 40093002)
    assert error.retryable is False
    assert "try again tomorrow" in str(error)


def test_file_of_a_process_killed_while_it_uploads_is_sent_once(fleet: Fleet) -> None:
    fleet.emulator.fail("put", "silence")
    with fleet.queue() as send_file:
        result = send_file("D")
        os.kill(fleet.working_process(), signal.SIGKILL)
        message_id = result.get(**GET)
    assert message_id.startswith("ROBOT1.0_")
    assert count(fleet.emulator, "prepare") == 2
    assert fleet.sent_to("D") == [fleet.content]


def test_message_of_a_process_killed_before_it_could_say_so_is_not_sent_again(
    fleet: Fleet,
) -> None:
    fleet.emulator.fail("message", "silence", processed=True)
    with fleet.queue() as send_file:
        result = send_file("E")
        os.kill(fleet.working_process(), signal.SIGKILL)
        assert result.get(**GET) is None
    assert [r.code for r in fleet.emulator.requests if r.stage == "message"] == [None, 40054005]
    assert fleet.sent_to("E") == [fleet.content]


def test_file_of_a_killed_worker_is_sent_once_by_the_next(
    redis_url: str, emulator: Emulator, tmp_path: pathlib.Path
) -> None:
    fleet = Fleet(tmp_path, emulator, REDIS_URL=redis_url, VISIBILITY_TIMEOUT="1")
    emulator.fail("put", "silence")
    with fleet.queue() as send_file:
        result = send_file("F")
        with fleet.worker() as first:
            fleet.working_process()
            first.kill()
        # A worker looks for lost tasks as it starts, and not again for minutes: by then this one
        # has to be overdue.
        time.sleep(1.5)
        with fleet.worker():
            result.get(**GET)
    assert emulator.count("prepare") == 2
    assert fleet.sent_to("F") == [fleet.content]


def test_attempt_out_of_time_is_not_made_again(
    emulator: Emulator, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.integration.apps import celery_bot

    file = tmp_path / "report.pdf"
    file.write_bytes(b"a report")
    for name in ("app_id", "client_secret", "api_url", "token_url"):
        monkeypatch.setenv("QQ_BOT_" + name.upper(), getattr(emulator, name))
    monkeypatch.setattr(celery_bot, "DEADLINE", 0.2)
    emulator.fail("put", "silence")
    with celery_bot.uploader():
        result = celery_bot.send_file.apply(("c2c", "G", str(file), "ROBOT1.0_question"))
    celery_bot.uploader.cache_clear()
    assert isinstance(result.result, UploadDeadlineError)
    assert emulator.count("put") <= 1
