"""Messages and files by URL: what the platform takes, and which repetition it knows again."""

from __future__ import annotations

import base64
import contextlib
import datetime
import http.server
import json
import pathlib
import threading
from typing import Any, Dict, Iterator

import pytest

from tests.emulator.client import CONTENT, Bot, changed, notes, serving
from tests.emulator.test_dialects import sample, shape


@pytest.fixture
def bot() -> Iterator[Bot]:
    with serving() as started:
        yield started


# Messages


def test_message_is_taken_and_answered_as_the_samples(bot: Bot) -> None:
    body = sample("17_message_request.json")["body"]
    body["media"]["file_info"] = bot.upload()["file_info"]
    answer = bot.api("/v2/users/U1/messages", body)
    expected = sample("18_message_response_200.json")
    assert answer.status == 200
    assert shape(answer.json) == shape(expected)
    assert answer.json["id"].startswith("ROBOT1.0_")
    assert answer.json["ext_info"]["ref_idx"].startswith("REFIDX_")
    assert datetime.datetime.fromisoformat(answer.json["timestamp"]).utcoffset() is not None
    assert bot.emulator.messages == [dict(body, scene="users", target="U1")]


def test_timestamp_is_a_number_where_numbers_are() -> None:
    with serving(numbers="number") as bot:
        assert isinstance(bot.send(bot.upload()["file_info"]).json["timestamp"], int)


def test_one_file_goes_to_many_targets_of_its_scene(bot: Bot) -> None:
    file_info = bot.upload(to="groups/G1")["file_info"]
    assert [bot.send(file_info, f"groups/G{n}").status for n in (1, 2, 3)] == [200, 200, 200]
    assert [message["target"] for message in bot.emulator.messages] == ["G1", "G2", "G3"]


@pytest.mark.parametrize("name", ["msg_id", "event_id"])
def test_same_msg_seq_to_the_same_message_is_a_duplicate(bot: Bot, name: str) -> None:
    file_info = bot.upload()["file_info"]
    assert bot.send(file_info, **{name: "A"}).status == 200
    again = bot.send(file_info, **{name: "A"})
    assert (again.status, again.json) == (400, sample("26_error_400_dedup.json"))
    assert bot.send(file_info, **{name: "A", "msg_seq": 2}).status == 200
    assert bot.send(file_info, **{name: "B"}).status == 200
    assert bot.send(file_info, "users/U2", **{name: "A"}).status == 200
    assert len(bot.emulator.messages) == 4
    assert notes(bot) == []


def test_missing_msg_seq_counts_as_one(bot: Bot) -> None:
    file_info = bot.upload()["file_info"]
    assert bot.send(file_info, msg_id="A", msg_seq=...).status == 200
    assert bot.send(file_info, msg_id="A", msg_seq=1).json["code"] == 40054005


def test_message_that_replies_to_nothing_is_never_a_duplicate(bot: Bot) -> None:
    file_info = bot.upload()["file_info"]
    assert [bot.send(file_info).status for _ in range(2)] == [200, 200]


def test_lost_reply_to_a_message_makes_its_repetition_a_duplicate(bot: Bot) -> None:
    file_info = bot.upload()["file_info"]
    bot.emulator.fail("message", "reset_after")
    with pytest.raises(ConnectionResetError):
        bot.send(file_info, msg_id="A")
    assert bot.send(file_info, msg_id="A").json["code"] == 40054005
    assert len(bot.emulator.messages) == 1


def test_refused_message_may_be_sent_again_with_its_msg_seq(bot: Bot) -> None:
    assert bot.send("nothing", msg_id="A").json["code"] == 40034032
    assert bot.send(bot.upload()["file_info"], msg_id="A").status == 200


def test_file_info_of_another_scene_or_expired_is_304080(bot: Bot) -> None:
    file_info = bot.upload()["file_info"]
    assert bot.send(file_info, "groups/G1").codes == (400, 304080, 304080)
    bot.emulator.expire_files()
    assert bot.send(file_info).codes == (400, 304080, 304080)
    assert bot.emulator.messages == []
    assert bot.emulator.received(file_info) == CONTENT


def test_file_info_that_was_not_sent_verbatim_is_40034032(bot: Bot) -> None:
    file_info = bot.upload()["file_info"]
    for spoilt in (file_info.rstrip("="), file_info[:-1], "nothing", ""):
        assert bot.send(spoilt).codes == (400, 40034032, 40034032)
    assert bot.send(file_info).status == 200


@pytest.mark.parametrize("ttl, status", [(0.0001, 400), (0, 200), (None, 200)])
def test_file_info_lives_as_long_as_its_ttl(ttl: Any, status: int) -> None:
    with serving(file_info_ttl=ttl) as bot:
        reply = bot.upload()
        bot.fetch_token()  # takes longer than the shortest ttl
        assert bot.send(reply["file_info"]).status == status


@pytest.mark.parametrize("status, code", [(202, 304023), (201, 304024)])
def test_message_may_be_put_under_review(bot: Bot, status: int, code: int) -> None:
    bot.emulator.fail("message", "audit", status=status, code=code)
    answer = bot.send(bot.upload()["file_info"])
    assert (answer.status, answer.json["code"]) == (status, code)
    assert answer.json["data"]["message_audit"]["audit_id"]
    assert len(bot.emulator.messages) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"msg_type": "7"}, {"msg_type": ...}, {"media": ...}, {"media": {"file_info": 1}},
        {"msg_seq": "1"}, {"msg_id": 5}, {"content": []}, {"msg_type": 0},
    ],
)
def test_message_with_a_wrong_field_is_refused(bot: Bot, changes: Dict[str, Any]) -> None:
    answer = bot.send(bot.upload()["file_info"], **changes)
    assert answer.codes == (400, 10000, 40011000)
    assert len(notes(bot)) == 1


def test_text_message_needs_no_media(bot: Bot) -> None:
    answer = bot.send("", msg_type=0, media=..., content="hello")
    assert answer.status == 200
    assert bot.emulator.messages[0]["content"] == "hello"


# Files in one call


@contextlib.contextmanager
def web_server(directory: pathlib.Path) -> Iterator[str]:
    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args, directory=str(directory))

        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            if self.path == "/redirect":
                self.send_response(302)
                self.send_header("Location", "http://192.0.2.1/")
                self.end_headers()
            elif self.path == "/garbage":
                self.wfile.write(b"garbage\r\n\r\n")
            else:
                super().do_GET()

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def by_url(bot: Bot, url: Any, to: str = "users/U1", **changes: Any) -> Any:
    fields = {"file_type": 1, "url": url, "srv_send_msg": False}
    return bot.api(f"/v2/{to}/files", changed(fields, changes))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory = tmp_path_factory.mktemp("site")
    (directory / "a.png").write_bytes(CONTENT)
    (directory / "empty").write_bytes(b"")
    with web_server(directory) as url:
        yield url


def test_file_by_url_is_fetched_and_answered_as_the_sample(bot: Bot, site: str) -> None:
    assert set(sample("14_files_url_request.json")) == {"file_type", "url", "srv_send_msg"}
    answer = by_url(bot, f"{site}/a.png")
    reply = answer.json
    assert reply.pop("id") == reply.pop("raw_url") == ""
    assert shape(reply) == shape(sample("16_files_response_200.json"))
    assert bot.emulator.received(answer.json["file_info"]) == CONTENT
    assert bot.send(answer.json["file_info"]).status == 200
    assert bot.emulator.count("url") == 1 and bot.emulator.count("complete") == 0


def test_name_goes_with_a_url_of_type_4_only(bot: Bot, site: str) -> None:
    answer = by_url(bot, f"{site}/a.png", file_type=4, file_name="b.png")
    assert bot.emulator.stored(answer.json["file_info"]).name == "b.png"
    assert by_url(bot, f"{site}/a.png", file_name="b.png").json["code"] == 10000
    assert len(notes(bot)) == 1
    bot.emulator.behaviour.strict = False
    answer = by_url(bot, f"{site}/a.png", file_name="b.png")
    assert bot.emulator.stored(answer.json["file_info"]).name == "b.png"
    assert bot.emulator.manners == [
        "url: file_name goes with file_type 4 only when a url is given"]
    assert len(notes(bot)) == 1


@pytest.mark.parametrize("path", ["missing", "redirect", "garbage"])
def test_url_that_gives_no_file_is_850026(bot: Bot, site: str, path: str) -> None:
    assert by_url(bot, f"{site}/{path}").codes == (400, 850026, 40034001)


def test_host_out_of_reach_is_850026(bot: Bot) -> None:
    assert by_url(bot, "https://example.com/a.png").codes == (400, 850026, 40034001)


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/a", "a.png", "http://", "http://[", 5, None])
def test_bad_url_is_40093010(bot: Bot, url: Any) -> None:
    assert by_url(bot, url).codes == (400, 40093010, 40093010)


@pytest.mark.parametrize(
    "changes, code",
    [({"srv_send_msg": 1}, 10000), ({"file_type": "1"}, 10000), ({"file_type": 9}, 10000)],
)
def test_url_call_with_a_wrong_field_is_refused(
    bot: Bot, site: str, changes: Dict[str, Any], code: int
) -> None:
    assert by_url(bot, f"{site}/a.png", **changes).json["code"] == code
    assert len(notes(bot)) == 1


def test_limits_hold_for_files_by_url_too(site: str) -> None:
    with serving(max_file_size=319) as bot:
        assert by_url(bot, f"{site}/a.png").json["code"] == 850031
    with serving(daily_quota=319) as bot:
        assert by_url(bot, f"{site}/a.png").json["code"] == 40093002
        assert by_url(bot, f"{site}/empty").json["code"] == 850019


def test_inline_file_is_taken_as_sampled(bot: Bot) -> None:
    body = sample("15_files_inline_request.json")
    body["file_data"] = base64.b64encode(CONTENT).decode()
    reply = bot.api("/v2/users/U1/files", body).json
    assert bot.emulator.received(reply["file_info"]) == CONTENT
    for garbage in ("***", "", 7):
        assert bot.api("/v2/users/U1/files", dict(body, file_data=garbage)).status == 400


def test_files_with_neither_upload_id_nor_url_is_a_bad_url(bot: Bot) -> None:
    assert json.loads(bot.api("/v2/users/U1/files", {"file_type": 4}).body)["code"] == 40093010
