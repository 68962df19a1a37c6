"""The Flask bot of the recipes: uploads and commands reach the chat, failures reach the person."""

from __future__ import annotations

import io
import os
from typing import Any, Callable, Dict, Iterator, Tuple

import pytest
from flask.testing import FlaskClient
from werkzeug.datastructures import FileStorage
from werkzeug.test import encode_multipart

from qqchunk.emulator import Emulator

from tests.integration.apps.flask_bot import create_app
from tests.support import deadline_when

OPENID = "A" * 32
FILES = f"/chats/c2c/{OPENID}/files"

MakeClient = Callable[..., FlaskClient]


def form(content: bytes, name: str = "holiday.mp4", **fields: Any) -> Dict[str, Any]:
    # Encoded here: werkzeug's client would leave a temporary file open for a large one.
    boundary, data = encode_multipart(
        dict(fields, file=FileStorage(io.BytesIO(content), filename=name)))
    return {"data": data, "content_type": f"multipart/form-data; boundary={boundary}"}


@pytest.fixture
def make_client() -> Iterator[MakeClient]:
    """`make_client(emulator, **options)` gives a client of a bot with these Uploader options."""
    apps = []

    def make(emulator: Emulator, **options: Any) -> FlaskClient:
        app = create_app(
            app_id=emulator.app_id, client_secret=emulator.client_secret,
            api_url=emulator.api_url, token_url=emulator.token_url, backoff=0.01, **options)
        apps.append(app)
        return app.test_client()

    yield make
    for app in apps:
        app.extensions["qqchunk"].close()


@pytest.fixture
def client(emulator: Emulator, make_client: MakeClient) -> FlaskClient:
    return make_client(emulator)


def delivered(emulator: Emulator, number: int = -1) -> Tuple[str, bytes]:
    """Name and content of the file in a message that the emulator took."""
    media: Any = emulator.messages[number]["media"]
    return emulator.stored(media["file_info"]).name, emulator.received(media["file_info"])


def test_posted_file_appears_in_the_chat(client: FlaskClient, emulator: Emulator) -> None:
    content = os.urandom(1000)
    answer = client.post(FILES, **form(content, text="look", msg_id="m1"))
    assert (answer.status_code, answer.json) == (200, {"message_id": answer.json["message_id"]})
    (message,) = emulator.messages
    assert (message["scene"], message["target"], message["content"]) == ("users", OPENID, "look")
    assert message["msg_id"] == "m1"
    assert delivered(emulator) == ("holiday.mp4", content)


def test_upload_that_werkzeug_spooled_to_disk_arrives_whole(
    client: FlaskClient, emulator: Emulator
) -> None:
    content = os.urandom(700_000)  # werkzeug keeps up to 500 kB in memory
    assert client.post(FILES, **form(content)).status_code == 200
    assert delivered(emulator) == ("holiday.mp4", content)


def test_chinese_file_name_is_kept(client: FlaskClient, emulator: Emulator) -> None:
    assert client.post(FILES, **form(b"x", "假期 照片.zip")).status_code == 200
    assert delivered(emulator)[0] == "假期 照片.zip"


@pytest.mark.parametrize("request_body", [{}, form(b""), form(b"x", "")])
def test_missing_or_empty_file_is_the_persons_to_mend(
    client: FlaskClient, emulator: Emulator, request_body: Dict[str, Any]
) -> None:
    answer = client.post(FILES, **request_body)
    assert answer.status_code == 400
    assert "Choose a file" in answer.text
    assert emulator.requests == []


def test_unknown_kind_of_chat_is_no_page(client: FlaskClient) -> None:
    assert client.post(f"/chats/channel/{OPENID}/files", **form(b"x")).status_code == 404


def test_one_upload_goes_to_many_groups_and_a_muted_one_is_named(
    client: FlaskClient, emulator: Emulator
) -> None:
    emulator.fail("message", "code", code=850018, after=1)
    answer = client.post("/groups/files", **form(b"news", "news.pdf", group=["A", "B", "C"]))
    assert answer.status_code == 200
    assert answer.json["A"] == answer.json["C"] == "sent"
    assert "muted" in answer.json["B"]
    assert [message["target"] for message in emulator.messages] == ["A", "C"]
    assert emulator.count("put") == 1


def test_command_is_answered_with_a_file(client: FlaskClient, emulator: Emulator) -> None:
    answer = client.post("/commands/report", json={"openid": OPENID, "msg_id": "ROBOT1.0_q"})
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
    client: FlaskClient, emulator: Emulator, fault: Tuple[str, str, int], status: int, words: str
) -> None:
    stage, kind, code = fault
    emulator.fail(stage, kind, code=code, times=None)
    answer = client.post(FILES, **form(b"video"))
    assert answer.status_code == status
    assert words in answer.json["error"]
    assert emulator.messages == []


def test_own_size_limit_is_named(emulator: Emulator, make_client: MakeClient) -> None:
    answer = make_client(emulator, max_file_size=2048).post(FILES, **form(b"x" * 5000))
    assert answer.status_code == 413
    assert answer.json["error"] == "holiday.mp4 is too large: the limit is 2.0 KB."


def test_deadline_is_answered_before_the_web_server_gives_up(
    client: FlaskClient, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    deadline_when(lambda: emulator.count("put"), monkeypatch)  # that of the bot
    emulator.fail("put", "silence")
    answer = client.post(FILES, **form(b"video"))
    assert answer.status_code == 504
    assert "holiday.mp4 took too long" in answer.json["error"]


def test_deadline_after_the_message_had_left_does_not_say_that_nothing_was_sent(
    client: FlaskClient, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    deadline_when(lambda: emulator.messages, monkeypatch)
    emulator.fail("message", "silence", processed=True)
    answer = client.post(FILES, **form(b"video"))
    assert (answer.status_code, len(emulator.messages)) == (504, 1)
    assert "may have been sent" in answer.json["error"]


def test_request_over_the_limit_of_the_app_is_not_read(
    client: FlaskClient, emulator: Emulator
) -> None:
    client.application.config["MAX_CONTENT_LENGTH"] = 1000
    assert client.post(FILES, **form(b"x" * 2000)).status_code == 413
    assert emulator.requests == []


def test_answer_names_the_trace_id(client: FlaskClient, emulator: Emulator) -> None:
    emulator.fail("prepare", "code", code=11255)
    answer = client.post(FILES, **form(b"video")).json
    assert len(answer["trace_id"]) == 32
    assert answer["trace_id"] in answer["error"]
