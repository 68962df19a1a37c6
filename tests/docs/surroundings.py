"""What the pages' examples need beside an emulator, and what must be seen after each."""

from __future__ import annotations

import asyncio
import builtins
import contextlib
import functools
import getpass
import io
import json
import logging
import os
import pathlib
import re
import sys
import types
from typing import Any, Callable, Dict, Iterator, List
from unittest import mock

import django
import pytest
from django.apps import apps
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import RequestFactory

from qqchunk import UploadDeadlineError, Uploader, UploadError
from qqchunk.emulator import Emulator
from qqchunk.emulator.downloads import DownloadService
from qqchunk.protocol.codes import RULES

OPENID = "0123456789ABCDEF0123456789ABCDEF"
GROUP_OPENID = "FEDCBA9876543210FEDCBA9876543210"
HOLIDAY = os.urandom(3 << 20)
DEADLINES = ("put", "was not sent"), ("message", "may have been sent")  # what a web bot answers


class Seen:
    """What an example left: its names and its output."""

    def __init__(self) -> None:
        self.names: Dict[str, Any] = {}
        self.output = ""


# What an example needs beside the platform, and what must be seen after it: each is a context
# manager, entered before and left after.
Surroundings = Callable[[Emulator, pytest.MonkeyPatch, Seen], Iterator[None]]
SURROUNDINGS: Dict[str, Surroundings] = {}


def around(name: str) -> Callable[[Surroundings], Surroundings]:
    def register(function: Surroundings) -> Surroundings:
        SURROUNDINGS[name] = function
        return function

    return register


def nothing(platform: Emulator, monkeypatch: pytest.MonkeyPatch, seen: Seen) -> Iterator[None]:
    """The surroundings of an example that has only to run."""
    yield


@around("send")
def _(platform: Emulator, monkeypatch: pytest.MonkeyPatch, seen: Seen) -> Iterator[None]:
    yield
    (message,) = platform.messages
    assert message["content"] == "Our holiday"
    assert message["target"] == OPENID
    assert content_of(platform, message) == HOLIDAY
    assert seen.output.startswith("sent: ROBOT")


@around("reply")
def _(platform: Emulator, monkeypatch: pytest.MonkeyPatch, seen: Seen) -> Iterator[None]:
    yield
    assert platform.messages[0]["msg_id"] == "ROBOT1.0_abc"


@around("upload")
def _(platform: Emulator, monkeypatch: pytest.MonkeyPatch, seen: Seen) -> Iterator[None]:
    yield
    assert content_of(platform, seen.names["message"]) == read("report.pdf")


@around("many-chats")
def _(platform: Emulator, monkeypatch: pytest.MonkeyPatch, seen: Seen) -> Iterator[None]:
    yield
    assert platform.count("complete") == 1
    assert len({message["target"] for message in platform.messages}) == 2


@around("upload-url")
def _(platform: Emulator, monkeypatch: pytest.MonkeyPatch, seen: Seen) -> Iterator[None]:
    monkeypatch.setattr(DownloadService, "_download", lambda service, body: body["url"].encode())
    yield
    assert content_of(platform, platform.messages[0]) == b"https://example.com/photo.jpg"


@around("inputs")
def _(platform: Emulator, monkeypatch: pytest.MonkeyPatch, seen: Seen) -> Iterator[None]:
    yield
    assert uploaded_names(platform) == [
        "photo.jpg", "visitors.csv", "drawing.txt", "holiday.mp4", "log.txt"]


@around("progress")
def _(platform: Emulator, monkeypatch: pytest.MonkeyPatch, seen: Seen) -> Iterator[None]:
    yield
    assert seen.output.splitlines()[-1] == "done 100 %, 1 of 1 parts"


@around("rich")
def _(platform: Emulator, monkeypatch: pytest.MonkeyPatch, seen: Seen) -> Iterator[None]:
    yield
    (task,) = seen.names["bars"].tasks
    assert (task.completed, task.total) == (len(HOLIDAY), len(HOLIDAY))


@around("errors")
def _(platform: Emulator, monkeypatch: pytest.MonkeyPatch, seen: Seen) -> Iterator[None]:
    yield
    assert seen.output == "sent\n"
    send_video = seen.names["send_video"]
    with Uploader("app id", "client secret", backoff=0) as seen.names["uploader"]:
        platform.fail("prepare", "code", code=40093002)
        assert send_video("holiday.mp4") == "the bot may not send more files today"
        platform.fail("prepare", "code", code=850012, times=3)
        assert send_video("holiday.mp4") == "QQ is busy, please try again in a minute"
        platform.fail("prepare", "code", code=11255)
        assert send_video("holiday.mp4").startswith("this did not work: holiday.mp4, prepare: ")
    with Uploader("app id", "client secret", max_file_size=1024) as seen.names["uploader"]:
        assert send_video("holiday.mp4") == "holiday.mp4 is too large (3.0 MB, limit 1.0 KB)"


@around("late")
def _(platform: Emulator, monkeypatch: pytest.MonkeyPatch, seen: Seen) -> Iterator[None]:
    platform.fail("message", "code", code=40034005)
    yield
    (message,) = platform.messages
    assert "msg_id" not in message
    assert content_of(platform, message) == read("report.pdf")
    assert platform.count("put") == 1
    anchors = {code for code, rule in RULES.items() if "replied to is too old" in rule.meaning}
    assert seen.names["TOO_LATE"] == anchors
    platform.fail("message", "code", code=850018)
    with Uploader.from_env() as seen.names["uploader"], pytest.raises(UploadError):
        seen.names["send_report"](OPENID, "ROBOT1.0_abc")


@around("stopping")
def _(platform: Emulator, monkeypatch: pytest.MonkeyPatch, seen: Seen) -> Iterator[None]:
    platform.fail("put", "slow", bandwidth=100_000)
    yield
    assert seen.output == "stopped\n"


@around("pool")
def _(platform: Emulator, monkeypatch: pytest.MonkeyPatch, seen: Seen) -> Iterator[None]:
    yield
    assert seen.output.count("sent: ROBOT") == len(platform.messages) == 2


@around("helpers")
def _(platform: Emulator, monkeypatch: pytest.MonkeyPatch, seen: Seen) -> Iterator[None]:
    yield
    assert seen.output.splitlines()[1:] == ["3.0 MB", "group 2"]


@around("faults")
def _(platform: Emulator, monkeypatch: pytest.MonkeyPatch, seen: Seen) -> Iterator[None]:
    yield
    assert seen.output == "3145728 bytes in 4 requests\n"


@around("flask")
def _(platform: Emulator, monkeypatch: pytest.MonkeyPatch, seen: Seen) -> Iterator[None]:
    yield
    client = seen.names["create_app"]().test_client()

    def post(content: bytes) -> Any:
        form = {"file": (io.BytesIO(content), "photo.jpg")}
        return client.post(f"/chats/group/{GROUP_OPENID}/files", data=form)

    assert post(b"a photo").get_json()["message_id"].startswith("ROBOT")
    assert content_of(platform, platform.messages[0]) == b"a photo"
    assert post(b"").status_code == 400
    platform.fail("prepare", "code", code=40093002)
    assert post(b"a photo").status_code == 429
    for stage, words in DEADLINES:
        with out_of_time(stage):
            answer = post(b"a photo")
        assert answer.status_code == 504 and words in answer.get_json()["error"]


@around("django")
def _(platform: Emulator, monkeypatch: pytest.MonkeyPatch, seen: Seen) -> Iterator[None]:
    configure_django()
    yield
    config = seen.names["BotConfig"]("bot", sys.modules[__name__])
    config.ready()
    with config.uploader:
        config.uploader.upload("c2c", OPENID, "report.pdf")


@around("django-views")
def _(platform: Emulator, monkeypatch: pytest.MonkeyPatch, seen: Seen) -> Iterator[None]:
    configure_django()
    yield

    def post(content: bytes) -> Any:
        upload = SimpleUploadedFile("photo.jpg", content)
        request = RequestFactory().post("/", {"file": upload, "text": "A photo"})
        return seen.names["send_file"](request, GROUP_OPENID)

    with Uploader("app id", "client secret") as uploader:
        config = types.SimpleNamespace(uploader=uploader)
        monkeypatch.setattr(apps, "get_app_config", lambda label: config)
        assert json.loads(post(b"a photo").content)["message_id"].startswith("ROBOT")
        assert content_of(platform, platform.messages[0]) == b"a photo"
        assert post(b"").status_code == 400
        platform.fail("prepare", "code", code=40093002)
        assert post(b"another photo").status_code == 429
        for stage, words in DEADLINES:
            with out_of_time(stage):
                answer = post(b"another photo")
            assert answer.status_code == 504 and words in json.loads(answer.content)["error"]


@around("django-cache")
def _(platform: Emulator, monkeypatch: pytest.MonkeyPatch, seen: Seen) -> Iterator[None]:
    configure_django()
    yield
    uploads = [seen.names["uploader"].upload("c2c", OPENID, "report.pdf") for _ in range(2)]
    assert [result.reused for result in uploads] == [False, True]


@around("celery")
def _(platform: Emulator, monkeypatch: pytest.MonkeyPatch, seen: Seen) -> Iterator[None]:
    yield
    task = seen.names["send_file"]
    sent = task.apply(("group", GROUP_OPENID, "report.pdf", "ROBOT1.0_abc"), task_id="first")
    assert sent.get().startswith("ROBOT")
    again = task.apply(("group", GROUP_OPENID, "report.pdf", "ROBOT1.0_abc"), task_id="first")
    assert again.get() is None
    assert len(platform.messages) == 1
    with out_of_time("put"):
        late = task.apply(("group", GROUP_OPENID, "report.pdf", "ROBOT1.0_abc"))
    assert isinstance(late.result, UploadDeadlineError)  # and not celery's Retry


@around("asyncio")
def _(platform: Emulator, monkeypatch: pytest.MonkeyPatch, seen: Seen) -> Iterator[None]:
    async def to_thread(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        call = functools.partial(function, *args, **options)
        return await asyncio.get_running_loop().run_in_executor(None, call)

    monkeypatch.setattr(asyncio, "to_thread", to_thread, raising=False)  # Python 3.8 has none
    yield
    assert content_of(platform, platform.messages[0]) == HOLIDAY


@around("notebook")
def _(platform: Emulator, monkeypatch: pytest.MonkeyPatch, seen: Seen) -> Iterator[None]:
    monkeypatch.setattr(builtins, "input", lambda prompt: platform.app_id)
    monkeypatch.setattr(getpass, "getpass", lambda prompt: platform.client_secret)
    yield
    assert platform.received(seen.names["result"].file_info) == HOLIDAY


@around("script")
def _(platform: Emulator, monkeypatch: pytest.MonkeyPatch, seen: Seen) -> Iterator[None]:
    yield
    assert seen.output.startswith("ROBOT")


@around("stdin")
def _(platform: Emulator, monkeypatch: pytest.MonkeyPatch, seen: Seen) -> Iterator[None]:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a backup")))
    yield
    assert uploaded_names(platform) == ["photos.tar.gz"]


@around("cache")
def _(platform: Emulator, monkeypatch: pytest.MonkeyPatch, seen: Seen) -> Iterator[None]:
    yield
    assert seen.output == "False True\n"
    assert platform.count("prepare") == 1


@around("logging")
def _(platform: Emulator, monkeypatch: pytest.MonkeyPatch, seen: Seen) -> Iterator[None]:
    lines: List[str] = []
    handler = logging.Handler()
    monkeypatch.setattr(handler, "emit", lambda record: lines.append(record.getMessage()))
    logger = logging.getLogger("bot.files")
    logger.setLevel(logging.INFO)  # pytest has set up logging already: basicConfig() does nothing
    logger.addHandler(handler)
    yield
    (line,) = lines
    assert re.match(rf"holiday\.mp4 sent to c2c {OPENID} in \d\.\d s", line)


@around("porting")
def _(platform: Emulator, monkeypatch: pytest.MonkeyPatch, seen: Seen) -> Iterator[None]:
    yield
    assert platform.received(seen.names["file_info"]) == HOLIDAY


@contextlib.contextmanager
def out_of_time(stage: str) -> Iterator[None]:
    """Let every `send` end by its deadline, at this stage."""
    error = UploadDeadlineError("the deadline of 50 s passed", file_name="photo.jpg", stage=stage)
    with mock.patch.object(Uploader, "send", side_effect=error):
        yield


def configure_django() -> None:
    if not settings.configured:
        settings.configure()
    django.setup()


def content_of(platform: Emulator, message: Any) -> bytes:
    return platform.received(message["media"]["file_info"])


def uploaded_names(platform: Emulator) -> List[str]:
    return [r.body["file_name"] for r in platform.requests if r.stage == "complete"]


def read(name: str) -> bytes:
    return pathlib.Path(name).read_bytes()
