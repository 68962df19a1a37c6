"""The numbers of an upload, when they are told, and the bar that shows them."""

from __future__ import annotations

import re
import sys
from typing import List, Optional

import pytest

from qqchunk.transfer.progress import INTERVAL, Bar, Progress, Reporter


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Told:
    """A reporter for 100 bytes, what it told, and a clock that goes on before each report."""

    def __init__(self, total_bytes: int = 100, parts: Optional[int] = None) -> None:
        self.clock = Clock()
        self.seen: List[Progress] = []
        self.reporter = Reporter(self.seen.append, total_bytes, self.clock)
        if parts is not None:
            self.reporter.stage = "uploading"
            self.reporter.plan(parts)

    def tell(self, final: bool = False) -> Progress:
        self.clock.now += 1.0
        self.reporter.tell(final)
        return self.seen[-1]


# The numbers


def test_at_first_the_file_is_hashed_and_nothing_known_about_parts() -> None:
    assert Told().tell() == Progress("hashing", 0, 100, 0, 0)


def test_stage_is_the_one_it_was_given() -> None:
    told = Told()
    told.reporter.stage = "preparing"
    assert told.tell() == Progress("preparing", 0, 100, 0, 0)


def test_plan_says_how_many_parts_there_are() -> None:
    assert Told(parts=3).tell() == Progress("uploading", 0, 100, 0, 3)


def test_bytes_move_inside_a_part() -> None:
    told = Told(parts=2)
    told.reporter.mark(0, 10)
    assert told.tell().uploaded_bytes == 10
    told.reporter.mark(1, 5)
    told.reporter.mark(0, 20)
    assert told.tell() == Progress("uploading", 25, 100, 0, 2)


def test_part_sent_again_waits_for_its_old_mark() -> None:
    told = Told(parts=2)
    told.reporter.mark(0, 30)
    told.reporter.mark(1, 1)
    assert told.tell().uploaded_bytes == 31
    seen = []
    for sent in (0, 10, 29, 30, 31, 50):
        told.reporter.mark(0, sent)
        seen.append(told.tell().uploaded_bytes)
    assert seen == [31, 31, 31, 31, 32, 51]


def test_part_sent_again_does_not_hide_what_the_others_send() -> None:
    told = Told(parts=2)
    told.reporter.mark(0, 30)
    told.tell()
    told.reporter.mark(0, 10)
    told.reporter.mark(1, 15)
    assert told.tell().uploaded_bytes == 45


def test_bytes_of_a_fresh_plan_wait_for_the_old_ones() -> None:
    told = Told(parts=2)
    told.reporter.mark(0, 50)
    told.reporter.completed_parts = 1
    assert told.tell() == Progress("uploading", 50, 100, 1, 2)
    told.reporter.plan(2)
    told.reporter.mark(0, 40)
    told.tell()
    told.reporter.mark(1, 15)
    told.tell()
    assert [p.uploaded_bytes for p in told.seen] == [50, 55]
    assert told.seen[-1].completed_parts == 1


def test_confirmed_parts_never_go_back() -> None:
    told = Told(parts=3)
    told.reporter.completed_parts = 2
    told.tell()
    told.reporter.completed_parts = 1
    told.reporter.mark(0, 1)
    assert told.tell().completed_parts == 2
    told.reporter.completed_parts = 3
    assert told.tell().completed_parts == 3


def test_stage_is_waiting_once_all_is_sent() -> None:
    told = Told(parts=2)
    told.reporter.mark(0, 50)
    told.reporter.mark(1, 49)
    assert told.tell().stage == "uploading"
    told.reporter.mark(1, 50)
    assert told.tell() == Progress("waiting", 100, 100, 0, 2)


def test_other_stages_do_not_turn_into_waiting() -> None:
    told = Told(parts=1)
    told.reporter.mark(0, 100)
    told.reporter.stage = "preparing"
    assert told.tell().stage == "preparing"


def test_end_is_the_total_with_all_parts_confirmed() -> None:
    told = Told(parts=2)
    told.reporter.mark(0, 10)
    assert told.tell(final=True) == Progress("done", 100, 100, 2, 2)


def test_end_of_a_file_that_needed_no_sending_has_no_parts() -> None:
    assert Told().tell(final=True) == Progress("done", 100, 100, 0, 0)


def test_report_is_frozen() -> None:
    with pytest.raises(AttributeError):
        setattr(Progress("done", 1, 1, 1, 1), "stage", "hashing")


# When it is told


def test_reports_are_at_least_a_twentieth_of_a_second_apart() -> None:
    told = Told(parts=1)
    told.reporter.tell()
    for sent in range(1, 100):
        told.clock.now += 0.01
        told.reporter.mark(0, sent)
        told.reporter.tell()
    assert INTERVAL == 0.05
    assert [p.uploaded_bytes for p in told.seen] in (
        list(range(0, 100, 5)), list(range(0, 100, 6)))  # the clock's sums are not exact


def test_report_comes_at_the_very_end_of_the_interval() -> None:
    told = Told(parts=1)
    told.reporter.tell()
    told.clock.now += 0.049
    told.reporter.mark(0, 1)
    told.reporter.tell()
    assert len(told.seen) == 1
    told.clock.now = 100.0 + INTERVAL
    told.reporter.tell()
    assert len(told.seen) == 2


def test_time_of_the_callback_is_no_part_of_the_interval() -> None:
    clock = Clock()
    seen: List[Progress] = []

    def slow(progress: Progress) -> None:
        seen.append(progress)
        clock.now += 10.0

    reporter = Reporter(slow, 100, clock)
    reporter.plan(1)
    reporter.tell()
    reporter.mark(0, 1)
    reporter.tell()
    assert len(seen) == 1
    clock.now += INTERVAL
    reporter.tell()
    assert len(seen) == 2


def test_nothing_is_told_when_nothing_moved() -> None:
    told = Told(parts=1)
    for _ in range(5):
        told.tell()
    assert len(told.seen) == 1


def test_end_is_told_at_once_and_only_once() -> None:
    told = Told(parts=1)
    told.reporter.tell()
    told.reporter.tell(final=True)
    told.reporter.tell(final=True)
    assert [p.stage for p in told.seen] == ["uploading", "done"]


def test_nobody_is_told_where_nobody_asked() -> None:
    reporter = Reporter(None, 100)
    reporter.plan(1)
    reporter.mark(0, 100)
    reporter.tell()
    reporter.tell(final=True)


def test_exception_of_the_callback_goes_through() -> None:
    def bad(progress: Progress) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Reporter(bad, 100).tell()


def test_bar_without_tqdm_is_an_import_error_that_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with pytest.raises(ImportError) as caught:
        Bar()
    assert str(caught.value) == (
        "progress=True needs tqdm: pip install 'qqchunk[progress]', or give a callable")
    assert caught.value.__context__ is None


# The bar, with the real tqdm


def lines(text: str) -> List[str]:
    return [line for line in re.split(r"[\r\n]+", text) if line.strip()]


def test_bar_shows_name_stage_bytes_and_rate(capsys: pytest.CaptureFixture[str]) -> None:
    bar = Bar()
    bar.open("a.mp4", 3 << 20)
    bar(Progress("hashing", 0, 3 << 20, 0, 0))
    bar(Progress("uploading", 1 << 20, 3 << 20, 0, 3))
    bar(Progress("waiting", 3 << 20, 3 << 20, 2, 3))
    bar(Progress("done", 3 << 20, 3 << 20, 3, 3))
    bar.close()
    shown = lines(capsys.readouterr().err)
    assert shown[0].startswith("a.mp4:   0%")
    for stage in ("hashing", "uploading", "waiting"):
        assert any(line.startswith(f"a.mp4 ({stage}): ") for line in shown), stage
    assert shown[-1].startswith("a.mp4: 100%")
    assert "3.00M/3.00M" in shown[-1]
    assert re.search(r"[0-9.]+[kMGT]?B/s\]", shown[-1])


def test_bar_in_a_pipe_has_no_escape_codes_and_ends_its_line(
    capsys: pytest.CaptureFixture[str]
) -> None:
    bar = Bar()
    bar.open("a.mp4", 100)
    for sent in range(0, 101, 10):
        bar(Progress("uploading", sent, 100, 0, 1))
    bar.close()
    shown = capsys.readouterr()
    assert "\x1b" not in shown.err
    assert shown.err.endswith("\n")
    assert shown.out == ""


def test_bar_counts_what_was_sent(capsys: pytest.CaptureFixture[str]) -> None:
    bar = Bar()
    bar.open("a.mp4", 5000)
    bar(Progress("uploading", 1024, 5000, 0, 1))
    bar(Progress("uploading", 2048, 5000, 0, 1))
    bar.close()
    assert "2.00k/4.88k" in lines(capsys.readouterr().err)[-1]


def test_bar_of_an_upload_that_failed_stays_as_it_stood(capsys: pytest.CaptureFixture[str]) -> None:
    bar = Bar()
    bar.open("a.mp4", 100)
    bar(Progress("uploading", 40, 100, 0, 1))
    bar.close()
    assert lines(capsys.readouterr().err)[-1].startswith("a.mp4 (uploading):  40%")
    bar.close()


def test_bar_that_was_never_opened_can_be_closed(capsys: pytest.CaptureFixture[str]) -> None:
    Bar().close()
    assert capsys.readouterr().err == ""
