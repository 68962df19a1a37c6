"""No failure shows a secret: not its logs, messages, attributes, chain, traceback or variables."""

from __future__ import annotations

import functools
import logging
import pickle
import re
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Callable, Dict, Iterator, List, Optional, Set

import pytest

from qqchunk import (
    UploadCancelledError,
    UploadDeadlineError,
    UploadError,
    UploadResult,
    Uploader,
)
from qqchunk.emulator import Emulator, Fault
from tests import support

SECRET = "the-secret-of-this-bot"

Failure = Any  # (stage, kind, options of the fault)

FAILURES: List[Failure] = [
    (stage, kind, {})
    for stage in ("token", "prepare", "put", "finish", "complete", "message")
    for kind in (
        "status", "html_200", "empty_body", "wrong_shape", "reset_before", "reset_midway",
        "reset_after", "cut_reply", "silence", "early_status")
    if (stage, kind) not in {  # these are no failures there
        ("put", "html_200"), ("put", "empty_body"), ("put", "wrong_shape"), ("put", "cut_reply"),
        ("finish", "empty_body"), ("finish", "wrong_shape")}
] + [
    ("token", "code", {"code": 100016}),
    ("prepare", "code", {"code": 11244, "status": 401}),
    ("prepare", "code", {"code": 40093002}),
    ("prepare", "code", {"code": 850031}),
    ("prepare", "wrong_shape", {"body": {"upload_id": "u", "parts": [
        {"index": 1, "presigned_url": "https://h/?q-signature=leaked", "block_size": "1"}]}}),
    ("complete", "wrong_shape", {"body": {"raw_url": "https://h/?q-signature=leaked"}}),
    ("complete", "wrong_shape", {"body": {"code": 1, "file_info": "leaked"}}),
    ("token", "wrong_shape", {"body": {"access_token": "leaked", "expires_in": "x", "code": 5}}),
    ("put", "expired_url", {}),
    ("put", "stop_reading", {}),
    ("put", "status", {"status": 400}),
    ("message", "code", {"code": 304080}),
]


@pytest.fixture(autouse=True)
def debug(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.DEBUG):
        yield


def secrets_of(emulator: Emulator) -> Set[str]:
    """What must not be seen, of all the requests that came."""
    found = {SECRET, "leaked", "q-signature", "x-cos-security-token"}
    for request in emulator.requests:
        authorization = request.headers.get("Authorization", "")
        found.update(authorization.split()[1:])
        if "?" in request.path:
            found.add(request.path.split("?")[1])
        if request.stage == "message" and isinstance(request.body, dict):
            found.add(request.body["media"]["file_info"])
    return found


def everything_about(error: BaseException) -> str:
    """All that a program, a log or an error tracker could show of an exception."""
    shown: List[str] = []
    seen: Set[int] = set()

    def show(value: Any) -> None:
        if id(value) in seen:
            return
        seen.add(id(value))
        shown.append(repr(value))
        if isinstance(value, str):
            shown.append(str(value))
        elif isinstance(value, BaseException):
            shown.append(str(value))
            for part in (value.args, value.__dict__, value.__cause__, value.__context__):
                show(part)
            shown.extend(variables_of(value.__traceback__))
        elif isinstance(value, dict):
            show(list(value.values()))
        elif isinstance(value, (list, tuple, set)):
            for part in value:
                show(part)

    show(error)
    return "\n".join(shown)


def variables_of(trace: Optional[TracebackType]) -> Iterator[str]:
    """The lines with local variables, of the library's frames and those it called."""
    stack = traceback.StackSummary.extract(
        traceback.walk_tb(trace), capture_locals=True)
    for frame in stack:
        if frame.filename != __file__:
            yield f"{frame.filename}:{frame.lineno} {frame.line} {frame.locals}"


def assert_nothing_shows(
    secrets: Set[str], error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    ours = [r for r in caplog.records if r.name.startswith("qqchunk")]
    logged = "\n".join(f"{r.getMessage()} {r.args!r} {r.__dict__!r}" for r in ours)
    for secret in secrets:
        assert secret not in logged
        assert secret not in everything_about(error)
    formatted = traceback.TracebackException.from_exception(error, capture_locals=True)
    text = "".join(formatted.format())
    # Without the frames of this file, which holds the secrets it looks for.
    own = rf'  File "{re.escape(__file__)}".*?(?=\n  File|\n\S)'
    text = re.sub(own, "", text, flags=re.S)
    for secret in secrets:
        assert secret not in text
        assert secret not in repr(pickle.loads(pickle.dumps(error)))


uploader_for = functools.partial(
    support.uploader_for, client_secret=SECRET, retries=1, backoff=0.0, timeout=(0.15, 0.15))


@pytest.mark.parametrize("stage,kind,options", FAILURES)
def test_failure_shows_no_secret(
    stage: str, kind: str, options: Dict[str, Any], tmp_path: Path,
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("qqchunk.net.transport.SLOW_READ_TIMEOUT", 0.15)
    fault = Fault(stage, kind, times=None, **options)
    path = tmp_path / "a.bin"  # not bytes: they would be printed, all 5 MB
    path.write_bytes(bytes(5 << 20 if kind == "stop_reading" else 10))
    with Emulator(client_secret=SECRET, faults=[fault]) as emulator:
        # Each attempt costs its time-out; that a repeat is logged shows in the others.
        retries = 0 if kind in ("silence", "stop_reading") else 1
        with uploader_for(emulator, retries=retries) as uploader:
            with pytest.raises(UploadError) as caught:
                uploader.send("c2c", "U1", path, msg_id="m")
        assert_nothing_shows(secrets_of(emulator), caught.value, caplog)


def test_secrets_would_be_noticed(caplog: pytest.LogCaptureFixture) -> None:
    error = UploadError("it failed")
    error.__context__ = ValueError({"url": f"https://h/?{SECRET}"})
    with pytest.raises(AssertionError):
        assert_nothing_shows({SECRET}, error, caplog)
    logging.getLogger("qqchunk.test").debug("using %s", SECRET)
    with pytest.raises(AssertionError):
        assert_nothing_shows({SECRET}, UploadError("it failed"), caplog)


@dataclass(frozen=True)
class Asked:
    """A ``cancel`` that is set once the emulator was asked for *stage*."""

    emulator: Emulator
    stage: str

    def is_set(self) -> bool:
        return self.emulator.count(self.stage) > 0


@pytest.mark.parametrize("stage", ["token", "prepare", "put", "finish", "complete"])
def test_stop_shows_no_secret(stage: str, caplog: pytest.LogCaptureFixture) -> None:
    with Emulator(client_secret=SECRET, faults=[Fault(stage, "silence")]) as emulator:
        with uploader_for(emulator, timeout=10.0) as uploader:
            with pytest.raises(UploadCancelledError) as caught:
                uploader.upload(
                    "c2c", "U1", b"content", file_name="a.bin", cancel=Asked(emulator, stage))
        assert_nothing_shows(secrets_of(emulator), caught.value, caplog)


def test_deadline_shows_no_secret(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Emulator(client_secret=SECRET, faults=[Fault("put", "silence")]) as emulator:
        with uploader_for(emulator, timeout=10.0) as uploader:
            deadline = support.deadline_when(lambda: emulator.count("put"), monkeypatch)
            with pytest.raises(UploadDeadlineError) as caught:
                uploader.upload("c2c", "U1", b"content", file_name="a.bin", deadline=deadline)
        assert_nothing_shows(secrets_of(emulator), caught.value, caplog)


def test_success_logs_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    with Emulator(client_secret=SECRET) as emulator, uploader_for(emulator) as uploader:
        result: UploadResult = uploader.upload("c2c", "U1", b"content", file_name="a.png")
        uploader.send("c2c", "U1", result)
        shown = f"{result!r} {uploader!r} {vars(uploader)!r}"
        for secret in secrets_of(emulator) | {result.file_info, result.raw["raw_url"]}:
            assert secret not in shown
        assert_nothing_shows(
            secrets_of(emulator) | {str(result.file_info)}, UploadError("none"), caplog)


def test_rejected_arguments_show_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    wrong: List[Dict[str, Any]] = [{"retries": -1}, {"timeout": "x"}, {"api_url": "ftp://h"}]
    attempts: List[Callable[[], Uploader]] = [
        lambda options=options: Uploader("app", SECRET, **options) for options in wrong]
    for attempt in attempts:
        with pytest.raises((TypeError, ValueError)) as caught:
            attempt()
        assert_nothing_shows({SECRET}, caught.value, caplog)


@pytest.mark.parametrize("auth", [
    f"QQBot {SECRET}", SECRET.encode(), ["app", SECRET], ("app", SECRET, "more"), {"token": SECRET},
])
@pytest.mark.parametrize("make", [Uploader, Uploader.from_env])
def test_auth_that_is_rejected_does_not_show(
    make: Callable[..., Uploader], auth: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(TypeError) as caught:
        make(app_id="app", auth=auth)
    assert_nothing_shows({SECRET}, caught.value, caplog)


@pytest.mark.parametrize("words", [
    "cannot fetch https://files.example/a.mp4?sign={secret}", "a.mp4?sign={secret} is gone",
    "x" * 450 + "https://files.example/a.mp4?sign={secret}",
])
def test_url_that_the_platform_repeats_does_not_show(
    words: str, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "leaked" * 10
    url = f"https://files.example/a.mp4?sign={secret}"
    with Emulator(client_secret=SECRET) as emulator, uploader_for(emulator) as uploader:
        emulator.fail("url", "download_failed", message=words.format(secret=secret), times=None)
        with pytest.raises(UploadError) as caught:
            uploader.upload_url("c2c", "U1", url)
        assert "<secret>" in str(caught.value)
        assert_nothing_shows({"leaked"}, caught.value, caplog)


@pytest.mark.parametrize("stage", ["token", "message"])
def test_secret_that_the_platform_repeats_does_not_show(
    stage: str, caplog: pytest.LogCaptureFixture
) -> None:
    with Emulator(client_secret=SECRET) as emulator, uploader_for(emulator) as uploader:
        result = UploadResult(file_info="leaked" * 10)
        said = {"token": SECRET, "message": result.file_info}[stage]
        emulator.fail(stage, "code", code=100016, message=f"not good: {said}", times=None)
        with pytest.raises(UploadError, match="not good: <secret>") as caught:
            uploader.send("c2c", "U1", result)
        caught.value.result = None  # which has it, see Sending
        assert_nothing_shows({SECRET, "leaked"}, caught.value, caplog)
