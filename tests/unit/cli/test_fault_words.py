"""``--fail``: a fault in one word."""

from __future__ import annotations

import argparse

import pytest

from qqchunk.cli.emulating import fault


def test_stage_and_kind_strike_once() -> None:
    read = fault("put=slow")
    assert (read.stage, read.kind, read.times, read.options) == ("put", "slow", 1, {})


def test_third_word_is_how_often() -> None:
    assert fault("finish=busy,3").times == 3
    assert fault("finish=busy,always").times is None


def test_options_of_the_fault_follow() -> None:
    read = fault("prepare=code,2,code=40093002,message=quota,after=1")
    assert (read.times, read.after) == (2, 1)
    assert read.options == {"code": 40093002, "message": "quota"}


@pytest.mark.parametrize("text, reason", [
    ("busy", "is not STAGE=KIND"),
    ("nowhere=busy", "no stage 'nowhere': one of token, "),
    ("put=nothing", "no fault 'nothing': one of "),
    ("put=slow,speed=3", "has no option speed"),
    ("put=slow,-1", "must not be negative"),
    ("put=slow,often", "a word where a number belongs"),
    ("put=slow,chance=often", "a word where a number belongs"),
])
def test_what_is_no_fault_says_why(text: str, reason: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=reason):
        fault(text)
