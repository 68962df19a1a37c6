"""The Django bot of the recipes: uploads and commands reach the chat, failures reach the person."""

from __future__ import annotations

import contextlib
import os
from typing import Any, Callable, Iterator, Tuple

import django
import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client, override_settings

from qqchunk.emulator import Emulator

from tests.integration.apps import django_bot

if not settings.configured:
    settings.configure()
settings.SECRET_KEY = django_bot.SECRET_KEY  # no override: Django cannot put back an empty one
django.setup()

OPENID = "A" * 32
FILES = f"/users/{OPENID}/files"

Serve = Callable[..., Client]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """`serve(emulator, **options)` gives a client of the site with these Uploader options."""
    with contextlib.ExitStack() as stack:

        def start(emulator: Emulator, **options: Any) -> Client:
            given = {name: getattr(django_bot, name) for name in dir(django_bot) if name.isupper()}
            bot = given.pop("INSTALLED_APPS")
            given["ALLOWED_HOSTS"] = ["testserver"]
            given["QQ_BOT"] = dict({
                "app_id": emulator.app_id,
                "client_secret": emulator.client_secret,
                "api_url": emulator.api_url,
                "token_url": emulator.token_url,
                "backoff": 0.01,
            }, **options)
            stack.enter_context(override_settings(**given))
            # Only now: the app is made ready before the other settings of one override hold.
            stack.enter_context(override_settings(INSTALLED_APPS=bot))
            stack.enter_context(django_bot.uploader())
            return Client()

        yield start


@pytest.fixture
def client(emulator: Emulator, serve: Serve) -> Client:
    return serve(emulator)


def upload(content: bytes, name: str = "holiday.mp4") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content)


def delivered(emulator: Emulator) -> Tuple[str, bytes]:
    """Name and content of the file in the last message that the emulator took."""
    media: Any = emulator.messages[-1]["media"]
    return emulator.stored(media["file_info"]).name, emulator.received(media["file_info"])


def test_posted_file_appears_in_the_chat(client: Client, emulator: Emulator) -> None:
    content = os.urandom(1000)
    answer = client.post(FILES, {"file": upload(content), "text": "look"})
    assert answer.status_code == 200
    assert answer.json()["message_id"].startswith("ROBOT1.0_")
    (message,) = emulator.messages
    assert (message["scene"], message["target"], message["content"]) == ("users", OPENID, "look")
    assert delivered(emulator) == ("holiday.mp4", content)


def test_group_is_sent_to_as_a_group(client: Client, emulator: Emulator) -> None:
    client.post("/groups/G/files", {"file": upload(b"x")})
    assert (emulator.messages[0]["scene"], emulator.messages[0]["target"]) == ("groups", "G")


def test_upload_that_django_put_into_a_file_arrives_whole(
    client: Client, emulator: Emulator
) -> None:
    content = os.urandom(50_000)
    with override_settings(FILE_UPLOAD_MAX_MEMORY_SIZE=1000):
        assert client.post(FILES, {"file": upload(content)}).status_code == 200
    assert delivered(emulator) == ("holiday.mp4", content)


def test_missing_file_is_the_persons_to_mend(client: Client, emulator: Emulator) -> None:
    answer = client.post(FILES, {"text": "look"})
    assert answer.status_code == 400
    assert "required" in answer.json()["error"]["file"][0]


def test_empty_file_is_the_persons_to_mend(client: Client, emulator: Emulator) -> None:
    answer = client.post(FILES, {"file": upload(b"")})
    assert answer.status_code == 400
    assert "empty" in answer.json()["error"]["file"][0]
    assert emulator.requests == []


def test_command_is_answered_with_a_file(client: Client, emulator: Emulator) -> None:
    answer = client.post(
        "/commands/report", {"openid": OPENID, "msg_id": "ROBOT1.0_q"}, "application/json")
    assert answer.status_code == 200
    assert emulator.messages[0]["msg_id"] == "ROBOT1.0_q"
    name, content = delivered(emulator)
    assert name == "report.csv"
    assert content.startswith(b"day,visitors\n")


@pytest.mark.parametrize(
    ("fault", "status", "words"),
    [
        (("prepare", "code", 40093002), 429, "as much as it may today"),
        (("prepare", "code", 850031), 413, "holiday.mp4 is too large with its 5.0 B."),
        (("complete", "code", 850019), 502, "the format does not fit"),
        (("complete", "code", 850012), 503, "try again in a minute"),
        (("token", "code", 100016), 500, "cannot log in"),
    ],
)
def test_failure_is_answered_in_words_for_a_person(
    client: Client, emulator: Emulator, fault: Tuple[str, str, int], status: int, words: str
) -> None:
    stage, kind, code = fault
    emulator.fail(stage, kind, code=code, times=None)
    answer = client.post(FILES, {"file": upload(b"video")})
    assert answer.status_code == status
    assert words in answer.json()["error"]
    assert emulator.messages == []


def test_own_size_limit_is_named(emulator: Emulator, serve: Serve) -> None:
    answer = serve(emulator, max_file_size=2048).post(FILES, {"file": upload(b"x" * 5000)})
    assert answer.status_code == 413
    assert answer.json()["error"] == "holiday.mp4 is too large: the limit is 2.0 KB."


def test_deadline_is_answered_before_the_web_server_gives_up(
    client: Client, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(django_bot, "DEADLINE", 0.2)
    emulator.fail("put", "silence")
    answer = client.post(FILES, {"file": upload(b"video")})
    assert answer.status_code == 504
    assert "holiday.mp4 took too long" in answer.json()["error"]


def test_error_that_is_none_of_the_upload_is_djangos_own(client: Client) -> None:
    with pytest.raises(KeyError):
        client.post("/commands/report", {"openid": OPENID}, "application/json")
