"""Watching an emulator: each request twice, and why it was refused."""

from __future__ import annotations

from typing import Any, Callable, List

import pytest
import requests

from qqchunk.emulator import Emulator, Request


@pytest.fixture
def seen(emulator: Emulator) -> List[Request]:
    seen: List[Request] = []
    emulator.watch(seen.append)
    return seen


def test_each_request_is_told_when_it_comes_and_when_it_is_over(
    emulator: Emulator, uploader_for: Callable[..., Any], seen: List[Request]
) -> None:
    uploader_for(emulator).upload("c2c", "U", b"abc", file_name="a.bin")
    told = [(request.stage, request.seconds is not None) for request in seen]
    stages = ("token", "prepare", "put", "finish", "complete")
    assert told == [(stage, over) for stage in stages for over in (False, True)]
    assert [request.status for request in seen if request.seconds is not None] == [200] * 5


def test_request_that_got_no_answer_is_over_too(
    emulator: Emulator, uploader_for: Callable[..., Any], seen: List[Request]
) -> None:
    emulator.fail("prepare", "reset_before")
    uploader_for(emulator, backoff=0).upload("c2c", "U", b"abc", file_name="a.bin")
    first = [request for request in seen if request.stage == "prepare"][1]
    assert first.seconds is not None
    assert (first.status, first.fault) == (None, "reset_before")


def test_refusal_says_on_the_request_what_was_wrong(emulator: Emulator) -> None:
    requests.post(emulator.token_url, data="no JSON", headers={"Content-Type": "text/plain"})
    (request,) = emulator.requests
    assert request.note == "content type 'text/plain' is not JSON"
