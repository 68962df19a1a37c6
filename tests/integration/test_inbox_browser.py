"""The inbox in a real Chromium: what arrives is seen and played, and runs nothing."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import struct
import threading
import time
import zlib
from typing import Any, Callable, Iterator, List

import pytest

from qqchunk import UploadDailyLimitExceededError, Uploader
from qqchunk.emulator import Emulator
from tests.processes import wait_until

with contextlib.suppress(ImportError):  # without the extra "integration" only collected, never run
    from selenium import webdriver
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import Select

pytestmark = pytest.mark.integration

OPTIONS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--autoplay-policy=no-user-gesture-required", "--disable-dev-shm-usage",
]
OPENID = "0123456789ABCDEF" * 2


def png(width: int = 40, height: int = 30) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    rows = (b"\0" + b"\x30\x90\xf0" * width) * height
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"".join([
        b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(rows)),
        chunk(b"IEND", b"")])


def wav(seconds: float = 1.0) -> bytes:
    samples = bytes(128 + n % 32 for n in range(int(8000 * seconds)))
    body = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 8000, 8000, 1, 8)
    body += struct.pack("<4sI", b"data", len(samples)) + samples
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WAVE" + body


class Inbox:
    """The page in a browser."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def open(self, emulator: Emulator) -> None:
        self.driver.get(emulator.inbox_url)
        self.until("#live", lambda text: text in ("live", "实时"))

    def all(self, selector: str) -> List[Any]:
        return list(self.driver.find_elements(By.CSS_SELECTOR, selector))

    def texts(self, selector: str) -> List[str]:
        return list(self.driver.execute_script(
            "return [...document.querySelectorAll(arguments[0])].map((e) => e.textContent)",
            selector))

    def until(self, selector: str, wanted: Callable[[str], object]) -> str:
        """Wait for an element of such a text, and give it."""
        return wait_until(
            lambda: next((text for text in self.texts(selector) if wanted(text)), ""), timeout=15)

    def js(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def arm(self, name: str) -> None:
        self.driver.find_element(By.CSS_SELECTOR, f"[data-arm={name}]").click()
        wait_until(lambda: self.all("#armed li"))


@contextlib.contextmanager
def browser(directory: pathlib.Path, *more: str) -> Iterator[webdriver.Chrome]:
    program, helper = shutil.which("chromium"), shutil.which("chromedriver")
    if not program or not helper:
        raise AssertionError("these tests need Debian's packages chromium and chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for option in [*OPTIONS, f"--user-data-dir={directory}", *more]:
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(helper, env={**os.environ, "HOME": str(directory)})
    driver = webdriver.Chrome(options=options, service=service)
    try:
        yield driver
    finally:
        driver.quit()


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    with browser(tmp_path_factory.mktemp("chromium"), "--window-size=1440,900") as driver:
        yield driver


@pytest.fixture
def inbox(driver: webdriver.Chrome, emulator: Emulator) -> Iterator[Inbox]:
    """The page of an emulator, which must have said nothing on the browser's console."""
    inbox = Inbox(driver)
    driver.get_log("browser")
    inbox.open(emulator)
    yield inbox
    driver.get("about:blank")


@pytest.fixture
def uploader(emulator: Emulator, uploader_for: Callable[..., Uploader]) -> Uploader:
    return uploader_for(emulator, backoff=0.01)


def test_what_is_sent_appears_without_a_reload(inbox: Inbox, uploader: Uploader) -> None:
    inbox.js("window.mark = 1")
    assert inbox.all("#empty")[0].is_displayed()
    uploader.send("c2c", OPENID, png(), file_name="sunset.png", content="look", msg_id="M1")
    inbox.until(".arrival .words", lambda text: text == "look")
    inbox.until(".arrival .reply", lambda text: "M1" in text)
    wait_until(lambda: inbox.js(
        "const i = document.querySelector('.arrival img'); return i && i.naturalWidth") == 40)
    assert inbox.texts("#chats .name") == ["All chats", "012345…ABCDEF"]
    assert inbox.js("return window.mark") == 1
    assert inbox.driver.get_log("browser") == []


def test_audio_plays_and_can_be_moved_in(inbox: Inbox, uploader: Uploader) -> None:
    uploader.send("group", "G", wav(3.0), file_type=4, file_name="ping.wav")
    wait_until(lambda: inbox.all(".arrival audio"))
    audio = inbox.all(".arrival audio")[0]
    wait_until(lambda: inbox.js("return arguments[0].duration", audio))
    inbox.js(
        "arguments[0].muted = true; arguments[0].currentTime = 1.5; arguments[0].play()", audio)
    wait_until(lambda: inbox.js("return arguments[0].currentTime", audio) > 1.6)
    # What arrives meanwhile leaves it playing.
    uploader.send("group", "G", b"x", file_name="other.bin")
    inbox.until(".file h3", lambda text: text == "other.bin")
    assert inbox.js("return arguments[0].isConnected && !arguments[0].paused", audio)


def test_parts_under_way_have_a_bar_each(
    inbox: Inbox, uploader: Uploader, emulator: Emulator
) -> None:
    emulator.behaviour.block_size = 1000
    emulator.fail("finish", "busy", part=1, times=None)
    cancel = threading.Event()

    def upload() -> None:
        with contextlib.suppress(Exception):
            uploader.upload("c2c", OPENID, bytes(2500), file_name="a.bin", cancel=cancel)

    thread = threading.Thread(target=upload)
    thread.start()
    try:
        inbox.until(".part[data-state=busy]", lambda text: "part 1" in text)
        inbox.until(".part[data-state=sent]", lambda text: "part 2" in text)
        width = inbox.js("return document.querySelector('.part[data-state=busy] i').style.width")
        assert width == "100%"
    finally:
        cancel.set()
        thread.join(10)


def test_fault_is_armed_and_the_retry_is_seen(inbox: Inbox, uploader: Uploader) -> None:
    inbox.arm("reset")
    uploader.send("c2c", OPENID, bytes(200_000), file_name="a.bin")
    inbox.until("#log .why.played", lambda text: "reset_midway" in text)
    inbox.until(".file h3", lambda text: text == "a.bin")
    stages = inbox.texts("#log .stage")
    assert stages.count("put") == 2
    inbox.until("#log .status", lambda text: text == "no answer")


def test_quota_button_gives_the_bot_its_error(inbox: Inbox, uploader: Uploader) -> None:
    inbox.arm("quota")
    with pytest.raises(UploadDailyLimitExceededError):
        uploader.upload("c2c", OPENID, b"x", file_name="a.bin")
    inbox.until("#log .status", lambda text: text == "400 · 40093002")
    wait_until(lambda: not inbox.all("#armed li"))


def test_log_is_filtered_by_kind_and_by_word(
    inbox: Inbox, uploader: Uploader, emulator: Emulator
) -> None:
    emulator.fail("prepare", "status", status=503)
    uploader.upload("c2c", OPENID, b"x", file_name="a.bin")
    inbox.until("#log .stage", lambda text: text == "complete")
    only = Select(inbox.driver.find_element(By.ID, "only"))
    only.select_by_value("refused")
    wait_until(lambda: inbox.texts("#log .stage") == ["prepare"])
    only.select_by_value("everything")
    inbox.driver.find_element(By.ID, "search").send_keys("part 1")
    wait_until(lambda: inbox.texts("#log .stage") == ["finish", "put"])


def test_chat_is_chosen_with_the_keyboard(inbox: Inbox, uploader: Uploader) -> None:
    uploader.send("c2c", "ANNA", b"1", file_name="1.bin")
    uploader.send("group", "CHESS", b"2", file_name="2.bin")
    inbox.until(".file h3", lambda text: text == "2.bin")
    inbox.js("document.querySelector('#chats button').focus()")
    focused = inbox.driver.switch_to.active_element
    for _ in range(2):
        focused.send_keys(Keys.TAB)
        focused = inbox.driver.switch_to.active_element
    focused.send_keys(Keys.ENTER)
    wait_until(lambda: inbox.texts(".file h3") == ["1.bin"])
    assert inbox.js("return document.activeElement.getAttribute('aria-pressed')") == "true"


HOSTILE = "<img src=x onerror=window.hacked=1><script>window.hacked=1</script>"
DOCUMENTS = {
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg" onload="window.hacked=1">'
           b"<script>window.hacked=1;document.title='hacked'</script></svg>",
    "html": b"<!doctype html><title>x</title><script>document.title='hacked'</script>",
    "png": b"<html><script>document.title='hacked'</script>",
}


def test_hostile_names_texts_and_chats_are_only_text(
    inbox: Inbox, uploader: Uploader
) -> None:
    uploader.send(
        "c2c", HOSTILE.replace("/", "|"), b"x", file_name=f"{HOSTILE}.bin", content=HOSTILE,
        msg_id=HOSTILE)
    inbox.until(".arrival .words", lambda text: text == HOSTILE)
    inbox.until(".arrival .reply", lambda text: HOSTILE in text)
    time.sleep(0.2)
    assert inbox.js("return window.hacked") is None
    assert inbox.js("return document.querySelectorAll('main img, body script').length") == 1
    assert inbox.driver.get_log("browser") == []


@pytest.mark.parametrize("kind", sorted(DOCUMENTS))
def test_document_that_was_uploaded_runs_nothing_even_opened_by_itself(
    kind: str, inbox: Inbox, uploader: Uploader, emulator: Emulator
) -> None:
    uploader.send("c2c", OPENID, DOCUMENTS[kind], file_type=4, file_name=f"a.{kind}")
    inbox.until(".file h3", lambda text: text == f"a.{kind}")
    assert inbox.all(".arrival .shown") == []
    url = inbox.js("return document.querySelector('.file a').href").partition("?")[0]
    title = inbox.driver.title
    inbox.driver.get(url)  # a download: the page stays
    time.sleep(0.3)
    assert inbox.driver.title == title
    assert inbox.js("return window.hacked") is None
    # Nor as what the page itself would load.
    inbox.js(
        "for (const tag of ['iframe', 'embed', 'img', 'script']) {"
        " const e = document.createElement(tag);"
        " try { e.src = arguments[0]; document.body.append(e); } catch (error) {} }", url)
    time.sleep(0.3)
    assert inbox.js("return window.hacked") is None
    assert inbox.driver.title == title


def test_picture_that_is_opened_by_itself_has_no_origin(
    inbox: Inbox, uploader: Uploader
) -> None:
    uploader.send("c2c", OPENID, png(), file_name="a.png")
    wait_until(lambda: inbox.all(".arrival img"))
    inbox.driver.get(inbox.js("return document.querySelector('.arrival img').src"))
    assert inbox.js("return window.origin") == "null"


def test_page_of_another_origin_can_neither_arm_nor_read(
    inbox: Inbox, emulator: Emulator
) -> None:
    with Emulator() as other:  # the same host, another port
        inbox.driver.get(other.inbox_url + "inbox/nothing")
        outcome = inbox.driver.execute_async_script(
            "const [url, done] = arguments;"
            "const body = '{\"fault\": \"slow\"}';"
            "const tried = [fetch(url + 'inbox/arm', {method: 'POST', body, mode: 'no-cors'}),"
            " fetch(url + 'inbox/state').then((r) => r.text())];"
            "Promise.allSettled(tried).then((all) => done(all.map((one) => one.status)));",
            emulator.inbox_url)
    assert outcome[1] == "rejected"
    inbox.driver.get(emulator.inbox_url)
    inbox.until("#live", lambda text: text == "live")
    assert inbox.all("#armed li") == []


def test_stopped_emulator_is_said_and_a_started_one_taken_up_again(
    inbox: Inbox, emulator: Emulator
) -> None:
    emulator.stop()
    inbox.until("#live", lambda text: text == "not reachable")
    emulator.start()
    inbox.until("#live", lambda text: text == "live")


@pytest.mark.parametrize("width, scheme, language", [
    (360, "dark", "zh-CN"), (390, "light", "en-US"), (1024, "dark", "en-US"),
    (1440, "light", "zh-CN")])
def test_page_fits_every_width_in_both_schemes_and_languages(
    width: int, scheme: str, language: str, inbox: Inbox, uploader: Uploader, emulator: Emulator
) -> None:
    uploader.send("c2c", OPENID, png(900, 40), file_name="x" * 120 + ".png", content="word" * 80)
    cdp = inbox.driver.execute_cdp_cmd
    metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    cdp("Emulation.setDeviceMetricsOverride", metrics)
    cdp("Emulation.setEmulatedMedia", {
        "features": [{"name": "prefers-color-scheme", "value": scheme}]})
    cdp("Emulation.setUserAgentOverride", {"userAgent": "x", "acceptLanguage": language})
    try:
        inbox.open(emulator)
        wait_until(lambda: inbox.all(".arrival"))
        assert inbox.js("return document.documentElement.scrollWidth") <= width
        lang, words = ("zh-CN", "会话") if language == "zh-CN" else ("en", "Chats")
        assert inbox.js("return document.documentElement.lang") == lang
        assert words in inbox.texts("h2")
        color = inbox.js("return getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, color[4:-1].split(","))) < 380) == (scheme == "dark")
    finally:
        cdp("Emulation.clearDeviceMetricsOverride", {})
        cdp("Emulation.setEmulatedMedia", {"features": []})
        cdp("Emulation.setUserAgentOverride", {"userAgent": "x", "acceptLanguage": "en-US"})
