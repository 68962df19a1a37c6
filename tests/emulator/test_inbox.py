"""The inbox as a browser asks for it: its state, its files, its buttons, and whom it refuses."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import re
import socket
import threading
import time
from typing import Any, Callable, Dict, Iterator, List
from urllib.parse import urlsplit

import pytest
import requests

from qqchunk import Uploader
from qqchunk.emulator import Emulator
from tests.support import wait_until

PNG = b"\x89PNG\r\n\x1a\n" + b"x" * 100
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


class Page:
    """What the page's script does, without a browser."""

    def __init__(self, emulator: Emulator) -> None:
        self.url = emulator.api_url
        self.session = requests.Session()

    def get(self, path: str, **headers: str) -> requests.Response:
        return self.session.get(self.url + path, headers=headers, timeout=10)

    def state(self, seen: str = "") -> Dict[str, Any]:
        state: Dict[str, Any] = self.get(f"/inbox/state?seen={seen}").json()
        return state

    def post(self, path: str, body: object = None, **headers: str) -> requests.Response:
        given = {"Origin": self.url, **headers}
        return self.session.post(self.url + path, json=body, headers=given, timeout=10)

    def file(self, name: str, **headers: str) -> requests.Response:
        (found,) = [a["file"] for a in self.state()["arrivals"] if a["file"]["name"] == name]
        return self.get(found["url"], **headers)


@pytest.fixture
def page(emulator: Emulator) -> Iterator[Page]:
    page = Page(emulator)
    with page.session:
        yield page


@pytest.fixture
def uploader(emulator: Emulator, uploader_for: Callable[..., Uploader]) -> Uploader:
    return uploader_for(emulator, backoff=0)


# The page


def test_page_may_run_its_own_script_and_nothing_else(page: Page) -> None:
    reply = page.get("/")
    assert reply.headers["Content-Type"] == "text/html; charset=utf-8"
    policy = dict(
        part.strip().split(" ", 1) for part in reply.headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'none'"
    for tag in ("script", "style"):
        (content,) = re.findall(f"<{tag}>(.*?)</{tag}>", reply.text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert policy[f"{tag}-src"] == f"'sha256-{digest}'"
    assert policy["frame-ancestors"] == "'none'"


def test_page_names_no_other_host(page: Page) -> None:
    assert re.findall(r"https?://|src=|@import|url\(", page.get("/").text) == []


def test_page_of_both_languages_says_the_same_things(page: Page) -> None:
    en, zh = re.split(r"\n  zh: \{", re.split(r"\n  en: \{", page.get("/").text)[1])
    tables = en, zh.partition("\n};")[0]
    names = [re.findall(r"(?:[{,]|^)\s*(\w+): [\"{]", text, re.MULTILINE) for text in tables]
    assert names[0] == names[1]
    assert len(names[0]) > 50


def test_its_requests_are_in_no_list_of_the_bots(page: Page, emulator: Emulator) -> None:
    page.get("/")
    page.state()
    page.get("/inbox/nothing")
    page.post("/inbox/arm", {"fault": "slow"})
    assert (emulator.requests, emulator.refusals) == ([], [])


# What it shows


def test_message_arrives_with_its_text_its_file_and_what_it_answers(
    page: Page, uploader: Uploader
) -> None:
    uploader.send("group", "G", PNG, file_name="a.png", content="look", msg_id="M1")
    (arrival,) = page.state()["arrivals"]
    assert {name: arrival[name] for name in ("scene", "target", "text", "reply_to", "sent")} == {
        "scene": "groups", "target": "G", "text": "look", "reply_to": "M1", "sent": True}
    assert (arrival["file"]["name"], arrival["file"]["shown"]) == ("a.png", "image")


def test_file_without_a_message_arrives_as_unsent(page: Page, uploader: Uploader) -> None:
    uploader.upload("c2c", "U", PNG, file_name="a.png")
    (arrival,) = page.state()["arrivals"]
    assert (arrival["sent"], arrival["target"]) == (False, "U")


def test_newest_is_first(page: Page, uploader: Uploader) -> None:
    for name in ("1.bin", "2.bin", "3.bin"):
        uploader.send("c2c", "U", name.encode(), file_name=name)
    names = [arrival["file"]["name"] for arrival in page.state()["arrivals"]]
    assert names == ["3.bin", "2.bin", "1.bin"]


def test_quota_is_what_was_charged(page: Page, uploader: Uploader, emulator: Emulator) -> None:
    uploader.upload("c2c", "U", b"x" * 1000, file_name="a.bin")
    assert page.state()["quota"] == {"used": 1000, "limit": emulator.behaviour.daily_quota}


def test_request_log_tells_refusals_faults_and_stages(
    page: Page, uploader: Uploader, emulator: Emulator
) -> None:
    emulator.fail("prepare", "status", status=503)
    uploader.upload("c2c", "U", b"x", file_name="a.bin")
    requests.post(emulator.token_url, data="x", headers={"Content-Type": "text/plain"})
    log = page.state()["requests"]
    assert [row["stage"] for row in log] == [
        "token", "complete", "finish", "put", "prepare", "prepare", "token"]
    assert log[0]["note"] == "content type 'text/plain' is not JSON"
    assert (log[5]["status"], log[5]["fault"]) == (503, "status")
    assert "sign" not in str([row["path"] for row in log])


def test_parts_under_way_are_in_every_state(
    page: Page, uploader: Uploader, emulator: Emulator
) -> None:
    emulator.behaviour.block_size = 1000
    emulator.behaviour.concurrency = 3
    emulator.fail("finish", "busy", part=1, times=None)
    emulator.fail("put", "reset_midway", part=2)
    emulator.fail("put", "silence", part=2, after=1, times=None)
    emulator.fail("finish", "silence", part=3, times=None)
    emulator.fail("put", "stop_reading", part=4, at_bytes=500, times=None)
    cancel = threading.Event()
    upload = threading.Thread(target=lambda: pytest.raises(
        Exception, uploader.upload, "c2c", "U", b"x" * 4500, file_name="a.bin", cancel=cancel))
    upload.start()
    try:
        expected = {1: "busy", 2: "again", 3: "confirming", 4: "sending", 5: "prepared"}

        def states() -> Dict[int, str]:
            (shown,) = page.state()["uploads"] or [{"parts": []}]
            return {part["index"]: part["state"] for part in shown["parts"]}

        seen: Dict[int, List[str]] = {index: [] for index in expected}

        def all_seen() -> bool:
            for index, state in states().items():
                seen[index].append(state)
            return all(expected[index] in seen[index] for index in expected)

        wait_until(all_seen)
    finally:
        cancel.set()
        upload.join(5)


def test_upload_prepared_anew_is_told_from_the_one_that_goes_on(
    page: Page, uploader: Uploader, emulator: Emulator
) -> None:
    emulator.fail("put", "expired_url")
    uploader.upload("c2c", "U", b"x" * 100, file_name="a.bin")
    assert [upload["state"] for upload in page.state()["uploads"]] == ["done", "renewed"]


# Live


def test_answer_is_held_back_until_there_is_something_new(
    page: Page, uploader: Uploader
) -> None:
    seen = page.state()["version"]
    timer = threading.Timer(0.2, uploader.upload, ("c2c", "U", b"x"), {"file_name": "a.bin"})
    timer.start()
    began = time.monotonic()
    assert page.state(seen)["requests"] != []
    assert time.monotonic() - began > 0.1
    timer.join()


def test_stop_does_not_wait_for_a_page_that_is_open() -> None:
    with Emulator() as emulator:
        page = Page(emulator)
        seen = page.state()["version"]

        def wait_for_news() -> None:
            with contextlib.suppress(requests.RequestException):
                page.state(seen)

        waiting = threading.Thread(target=wait_for_news)
        waiting.start()
        time.sleep(0.15)
        began = time.monotonic()
    assert time.monotonic() - began < 2
    waiting.join(5)
    page.session.close()


# Files


@pytest.mark.parametrize("content, media_type", [
    (PNG, "image/png"),
    (b"\xff\xd8\xff\xe0", "image/jpeg"),
    (b"GIF89a", "image/gif"),
    (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
    (b"\0\0\0\x18ftypmp42", "video/mp4"),
    (b"\0\0\0\x18ftypM4A ", "audio/mp4"),
    (b"RIFF\0\0\0\0WAVEfmt ", "audio/wav"),
    (b"OggS\0", "audio/ogg"),
    (b"ID3\x04", "audio/mpeg"),
])
def test_format_that_runs_nothing_is_shown(
    content: bytes, media_type: str, page: Page, uploader: Uploader
) -> None:
    uploader.upload("c2c", "U", content, file_type=4, file_name="a.html")
    reply = page.file("a.html")
    assert (reply.headers["Content-Type"], reply.content) == (media_type, content)
    assert reply.headers["Content-Disposition"].startswith("inline")


@pytest.mark.parametrize("content", [
    SVG, b"<!doctype html><script>alert(1)</script>", b"<?xml version='1.0'?>" + SVG, b"%PDF-1.7",
    b"\x02#!SILK_V3", b"alert(1)", b"", b"GIF8;<script>"], ids=repr)
def test_anything_else_is_a_download_of_no_type(
    content: bytes, page: Page, uploader: Uploader
) -> None:
    uploader.upload("c2c", "U", content + b" ", file_type=4, file_name="a.png")
    headers = page.file("a.png").headers
    assert headers["Content-Type"] == "application/octet-stream"
    assert headers["Content-Disposition"].startswith("attachment")


def test_every_file_is_sandboxed_and_not_guessed_at(page: Page, uploader: Uploader) -> None:
    for name, content in (("a.png", PNG), ("b.svg", SVG)):
        uploader.upload("c2c", "U", content, file_type=4, file_name=name)
        headers = page.file(name).headers
        assert headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"


def test_name_of_a_file_stays_in_its_header(page: Page, uploader: Uploader) -> None:
    uploader.upload("c2c", "U", PNG, file_name='假";, x.png')
    disposition = page.file('假_;, x.png').headers["Content-Disposition"]
    assert disposition == "inline; filename*=UTF-8''%E5%81%87_%3B%2C%20x.png"


@pytest.mark.parametrize("asked, status, content, content_range", [
    ("bytes=2-4", 206, b"234", "bytes 2-4/10"),
    ("bytes=7-", 206, b"789", "bytes 7-9/10"),
    ("bytes=7-99", 206, b"789", "bytes 7-9/10"),
    ("bytes=-3", 206, b"789", "bytes 7-9/10"),
    ("bytes=10-", 416, b"", "bytes */10"),
    ("bytes=-0", 416, b"", "bytes */10"),
    ("bytes=4-2", 416, b"", "bytes */10"),
    ("bytes=1-2,4-5", 200, b"0123456789", None),
    ("lines=1-2", 200, b"0123456789", None),
])
def test_ranges_of_a_file(
    asked: str, status: int, content: bytes, content_range: Any, page: Page, uploader: Uploader,
    emulator: Emulator,
) -> None:
    emulator.behaviour.block_size = 4  # the bytes lie in several pieces
    uploader.upload("c2c", "U", b"0123456789", file_name="a.bin")
    reply = page.file("a.bin", Range=asked)
    assert (reply.status_code, reply.content) == (status, content)
    assert reply.headers.get("Content-Range") == content_range


def test_file_whose_bytes_were_not_kept_has_no_link(
    page: Page, uploader: Uploader, emulator: Emulator
) -> None:
    emulator.behaviour.keep_bodies = False
    uploader.upload("c2c", "U", PNG, file_name="a.png")
    assert page.state()["arrivals"][0]["file"]["url"] is None


# Buttons


@pytest.mark.parametrize("name", ["slow", "reset", "forbidden", "busy", "token"])
def test_button_breaks_the_next_upload_which_gets_through(
    name: str, page: Page, uploader: Uploader, emulator: Emulator
) -> None:
    emulator.behaviour.retry_delay = 0.01
    assert page.post("/inbox/arm", {"fault": name}).status_code == 204
    assert len(page.state()["faults"]) == 1
    uploader.upload("c2c", "U", b"x" * 100, file_name="a.bin")
    assert any(request.fault for request in emulator.requests)


@pytest.mark.parametrize("name, code", [("quota", 40093002), ("ip", 11298)])
def test_button_refuses_the_next_upload(
    name: str, code: int, page: Page, uploader: Uploader
) -> None:
    page.post("/inbox/arm", {"fault": name})
    with pytest.raises(Exception) as caught:
        uploader.upload("c2c", "U", b"x", file_name="a.bin")
    assert code in (getattr(caught.value, "code"), getattr(caught.value, "err_code"))
    assert page.state()["faults"] == []


def test_armed_faults_can_be_disarmed(page: Page, uploader: Uploader) -> None:
    page.post("/inbox/arm", {"fault": "quota"})
    assert page.post("/inbox/disarm", {}).status_code == 204
    uploader.upload("c2c", "U", b"x", file_name="a.bin")


@pytest.mark.parametrize("body", [None, [], "slow", {"fault": "rm"}, {"fault": ["slow"]}])
def test_button_that_does_not_exist_is_refused(body: object, page: Page) -> None:
    assert page.post("/inbox/arm", body).status_code == 404


# Whom it refuses


@pytest.mark.parametrize("origin", [
    "http://evil.example", "null", "", "http://127.0.0.1:1", "http://localhost", "file://"])
def test_post_of_another_page_is_refused(origin: str, page: Page) -> None:
    reply = page.post("/inbox/arm", {"fault": "slow"}, Origin=origin)
    assert reply.status_code == 403
    assert page.state()["faults"] == []


def test_post_without_an_origin_is_refused(page: Page) -> None:
    reply = page.session.post(page.url + "/inbox/arm", json={"fault": "slow"}, timeout=10)
    assert reply.status_code == 403


@pytest.mark.parametrize("host", [
    "evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "", "[::1", "a@b"])
@pytest.mark.parametrize("path", ["/", "/inbox/state"])
def test_name_that_was_made_to_point_here_is_refused(host: str, path: str, page: Page) -> None:
    reply = page.get(path, Host=host)
    assert reply.status_code == 403
    assert "arrivals" not in reply.text and "<script" not in reply.text


def test_post_under_a_foreign_name_is_refused_even_from_its_own_page(page: Page) -> None:
    reply = page.post(
        "/inbox/arm", {"fault": "slow"}, Host="evil.example", Origin="http://evil.example")
    assert reply.status_code == 403


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "[::1]", "LOCALHOST"])
def test_own_names_are_answered(name: str, page: Page) -> None:
    port = urlsplit(page.url).port
    assert page.get("/inbox/state", Host=f"{name}:{port}").status_code == 200


def test_body_that_is_too_long_is_not_read(page: Page) -> None:
    split = urlsplit(page.url)
    with socket.create_connection((str(split.hostname), int(split.port or 0)), 5) as sock:
        sock.sendall(
            b"POST /inbox/arm HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n")
        assert sock.recv(100).startswith(b"HTTP/1.1 413 ")


def test_bad_manners_are_told_with_their_reason() -> None:
    with Emulator() as emulator:
        page = Page(emulator)
        with page.session:
            bot = {"appId": emulator.app_id, "clientSecret": emulator.client_secret}
            token = requests.post(emulator.token_url, json=bot, timeout=10).json()["access_token"]
            md5, sha1 = hashlib.md5(b"x").hexdigest(), hashlib.sha1(b"x").hexdigest()
            prepared = requests.post(
                f"{emulator.api_url}/v2/users/U/upload_prepare", timeout=10,
                headers={"Authorization": f"QQBot {token}"},
                json={"file_type": 1, "file_size": "1", "file_name": "picture", "md5": md5,
                      "sha1": sha1, "md5_10m": md5})
            row = page.state()["requests"][0]
    assert prepared.status_code == row["status"] == 200
    assert "extension" in row["manners"][0]
