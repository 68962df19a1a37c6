"""When which part is PUT and finished: the schedule, on a clock that only its exchanges move on."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import pytest

from qqchunk.errors import (
    Again,
    ApiError,
    PartFinishTimeoutError,
    PartUploadError,
    SourceChangedError,
    TransportError,
    UploadError,
)
from qqchunk.net.outcome import Outcome
from qqchunk.net.stopping import Aborted, StopSignal
from qqchunk.net.storage import put_part
from qqchunk.protocol.calls import Upload
from qqchunk.protocol.ladder import URL_LIFE, CallState, PartState
from qqchunk.protocol.plan import Part, UploadPlan
from qqchunk.protocol.retry import Policy
from qqchunk.protocol.values import Call, ChatType, FileType, Reply, Secret
from qqchunk.transfer.parts import Parts
from qqchunk.transfer.progress import Progress, Reporter
from qqchunk.transfer.workers import Work

START = 10_000.0  # what the clock says first; more than the life of a URL
SIZE = 100  # bytes of each part
FIRST_INDEX = 7  # the server's number of part 1
FILE_MD5 = "of the whole file"
POLLING = {"retry_timeout": 10.0, "retry_delay": 2.0}  # seconds
NEVER = 1e6  # seconds, for an exchange that does not end
MOST_TURNS = 1000  # no schedule here needs as many

BUSY = ApiError("a.bin, finish: busy", file_name="a.bin", again=Again.BUSY, err_code=40093001)
BROKEN = TransportError("a.bin, put: it broke", again=Again.BACKOFF, advice="look at the network")
LOST = TransportError("a.bin, finish: no answer", again=Again.BACKOFF, ambiguous=True)
REFUSED = ApiError("a.bin, finish: no", http_status=400, advice="ask somebody")
EXPIRED = PartUploadError("a.bin, put: 403", again=Again.FRESH)
FORBIDDEN = PartUploadError("a.bin, put: 400", advice="do not")

What = Tuple[str, int]  # "put" or "finish", and the part's number in the file, from 1


@dataclass(frozen=True)
class Answer:
    """How an exchange ends, and after how many seconds."""

    error: Optional[Exception] = None
    seconds: float = 1.0
    md5: str = FILE_MD5


# Eight of the ten seconds from the first answer on, with the last poll at their end.
POLLED_IN_VAIN = [Answer(BUSY, seconds=0.1)] * 5


class Line:
    """Stands for an operation, its workers, a transport and the clock.

    :param answers: of an exchange's first time, its second …; what is not here succeeds in a second
    :ivar began: all exchanges so far, and when
    :ivar running: those that have not ended, and when they will
    :ivar puts: what each PUT was told: the server's number, the attempt, the name
    :ivar calls: what was called, for finish
    :ivar most: exchanges at a time
    :ivar pools: the sizes that the workers were made with
    """

    def __init__(self, answers: Dict[What, Sequence[Answer]]) -> None:
        self.now = START
        self.began: List[Tuple[What, float]] = []
        self.running: Dict[What, Tuple[float, Work[Any]]] = {}
        self.puts: List[Tuple[int, int, str]] = []
        self.calls: List[Call] = []
        self.most = {"put": 0, "finish": 0}
        self.pools: Optional[Tuple[int, ...]] = None
        self.stop_signal = StopSignal()
        self.stopped = False
        self.told: List[Progress] = []
        self.reporter = Reporter(self.told.append, 0, self.clock)
        self._answers = {what: list(some) for what, some in answers.items()}
        self._turns = 0

    def clock(self) -> float:
        return self.now

    # the operation

    def add_workers(self, *sizes: int) -> Line:
        self.pools = sizes
        return self

    # the transport

    def first_state(self, call: Call, *, last: bool = False) -> CallState:
        return CallState(call.stage, Policy(2, 1.0, lambda: 1.0), last=last)

    def attempt(self, call: Call, stop: StopSignal) -> Outcome[Reply]:
        raise NotImplementedError("the line itself answers")

    # the workers

    def submit(self, pool: int, do: Callable[..., Any], *args: Any) -> Work[Any]:
        assert args[-1] is self.stop_signal
        if do is put_part:
            part, attempt, name, mark = args[3:7]
            what = "put", part.offset // SIZE + 1
            self.puts.append((part.index, attempt, name))
            mark(SIZE // 2)
        else:
            assert do == self.attempt
            what = "finish", args[0].body["part_index"] - FIRST_INDEX + 1
            self.calls.append(args[0])
        assert pool == ["put", "finish"].index(what[0])
        assert what not in self.running
        some = self._answers.get(what)
        answer = some.pop(0) if some else Answer()

        def end() -> Outcome[Any]:
            if isinstance(answer.error, UploadError):
                return Outcome(error=answer.error)
            if answer.error is not None:
                raise answer.error
            return Outcome(answer.md5 if what[0] == "put" else Reply())

        work = Work(end)
        self.began.append((what, self.now))
        self.running[what] = self.now + answer.seconds, work
        same = [name for name, _ in self.running if name == what[0]]
        self.most[what[0]] = max(self.most[what[0]], len(same))
        return work

    def next_done(self, timeout: Optional[float]) -> Optional[Work[Any]]:
        self._turns += 1
        assert self._turns < MOST_TURNS, "it goes round without an end"
        what = min(self.running, key=lambda each: self.running[each][0], default=None)
        end = NEVER if what is None else self.running[what][0]
        if timeout is None:
            assert end < NEVER, "it waits for what does not come"
        elif what is None or end > self.now + timeout:
            self.now += timeout
            return None
        assert what is not None
        self.now = max(self.now, end)
        work = self.running.pop(what)[1]
        work.run()
        return work

    def stop(self) -> None:
        self.stopped = True

    # the test

    def times(self, name: str, number: int) -> List[float]:
        """When that exchange began, in seconds from the start."""
        return [at - START for what, at in self.began if what == (name, number)]

    def order(self, name: str) -> List[int]:
        """The parts of these exchanges, in the order in which they began."""
        return [number for (each, number), _ in self.began if each == name]


def parts_on(
    line: Line, count: int, concurrency: int = 1, *,
    spent: Optional[Dict[int, PartState]] = None, last: bool = False,
) -> Parts:
    plan = UploadPlan("id", tuple(
        Part(FIRST_INDEX + n, n * SIZE, SIZE, Secret(f"url {n + 1}")) for n in range(count)
    ), concurrency, **POLLING)
    stand_in: Any = line
    source: Any = None  # which only put_part() reads
    upload = Upload(ChatType.C2C, "U1", FileType.FILE, "a.bin", count * SIZE)
    return Parts(stand_in, stand_in, upload, source, plan, md5=FILE_MD5,
                 spent={} if spent is None else spent, last=last, clock=line.clock)


def sent(
    count: int, concurrency: int = 1, answers: Optional[Dict[What, Sequence[Answer]]] = None
) -> Line:
    """A line on which that many parts have gone up and are confirmed."""
    line = Line(answers or {})
    assert parts_on(line, count, concurrency).send() is None
    assert set(line.order("finish")) == set(range(1, count + 1))
    return line


def held(count: int, concurrency: int, answers: Dict[What, Sequence[Answer]]) -> Line:
    """A line that came to where it waits for an exchange that does not end."""
    line = Line(answers)
    with pytest.raises(AssertionError, match="it waits for what does not come"):
        parts_on(line, count, concurrency).send()
    return line


# Confirming

def test_parts_are_confirmed_one_after_the_other_at_concurrency_one() -> None:
    line = sent(4, answers={("finish", n): [Answer(seconds=5.0)] for n in range(1, 5)})
    assert line.order("finish") == [1, 2, 3, 4]
    assert [line.times("finish", n) for n in range(1, 5)] == [[1.0], [6.0], [11.0], [16.0]]


def test_only_the_lowest_unconfirmed_parts_are_confirmed() -> None:
    # The first is long on its way to storage: one of the two places is kept for it.
    line = held(5, 2, {
        ("put", 1): [Answer(seconds=20.0)], ("finish", 2): [Answer(seconds=NEVER)]})
    assert line.order("finish") == [2, 1, 3, 4, 5]
    assert [line.times("finish", n) for n in (2, 1, 3)] == [[1.0], [20.0], [21.0]]


def test_as_many_parts_are_confirmed_at_a_time_as_the_platform_wishes() -> None:
    line = sent(9, 3, {("finish", n): [Answer(seconds=5.0)] for n in range(1, 10)})
    assert line.most == {"put": 3, "finish": 3}


def test_place_of_a_confirmed_part_goes_to_the_next_one() -> None:
    line = held(5, 2, {("finish", 1): [Answer(seconds=NEVER)]})
    assert line.order("finish") == [1, 2, 3, 4, 5]


def test_polled_part_keeps_its_place() -> None:
    line = sent(3, answers={("finish", 1): [Answer(BUSY), Answer(BUSY)]})
    assert line.order("finish") == [1, 1, 1, 2, 3]
    assert line.times("finish", 1) == [1.0, 4.0, 7.0]  # two seconds after each answer


def test_part_whose_finish_broke_keeps_its_place() -> None:
    line = sent(2, answers={("finish", 1): [Answer(LOST)]})
    assert line.order("finish") == [1, 1, 2]
    assert line.times("finish", 1) == [1.0, 3.0]


# Sending

def test_storage_gets_the_next_part_while_one_is_polled() -> None:
    line = sent(3, answers={("finish", 1): [Answer(BUSY)]})
    assert [line.times("put", n) for n in (1, 2, 3)] == [[0.0], [1.0], [2.0]]


def test_storage_gets_the_next_part_while_one_waits_for_its_second_try() -> None:
    line = sent(2, answers={("put", 1): [Answer(BROKEN)]})
    assert line.order("put") == [1, 2, 1]
    assert line.times("put", 2) == [1.0]
    assert line.times("put", 1) == [0.0, 2.0]


@pytest.mark.parametrize("concurrency, most", [(1, 10), (2, 12), (5, 18)])
def test_sending_runs_ahead_of_confirming_up_to_a_bound(concurrency: int, most: int) -> None:
    line = held(30, concurrency, {
        ("finish", n): [Answer(seconds=NEVER)] for n in range(1, concurrency + 1)})
    assert line.order("put") == list(range(1, most + 1))


def test_each_confirmed_part_lets_one_more_be_sent() -> None:
    line = held(30, 1, {
        ("finish", 1): [Answer(seconds=50.0)], ("finish", 2): [Answer(seconds=NEVER)]})
    assert line.order("put") == list(range(1, 12))
    assert line.times("put", 11) == [51.0]


def test_part_that_is_confirmed_next_is_put_again_however_many_are_sent() -> None:
    long_ago = [Answer(BROKEN, seconds=100.0)]
    line = held(30, 2, {("put", 1): long_ago, ("finish", 2): [Answer(seconds=NEVER)]})
    assert len(line.began) > 12
    assert line.times("put", 1) == [0.0, 101.0]


def test_part_polled_in_vain_is_put_again_however_many_are_sent() -> None:
    line = held(30, 1, {
        **{("put", n): [Answer(seconds=0.5)] for n in range(1, 11)},
        ("finish", 1): [*POLLED_IN_VAIN, Answer(seconds=NEVER)]})
    assert line.order("put") == [*range(1, 11), 1]
    assert line.times("put", 1) == [0.0, pytest.approx(8.7)]
    assert line.order("finish") == [1] * 6


def test_lower_part_is_put_again_before_another_is_begun() -> None:
    # Both may begin when part 2 is there: the second try, and part 3.
    line = sent(3, answers={("put", 1): [Answer(BROKEN)], ("put", 2): [Answer(seconds=4.0)]})
    assert line.order("put") == [1, 2, 1, 3]
    assert line.times("put", 1) == [0.0, 5.0]


def test_no_more_parts_are_put_at_a_time_than_the_platform_wishes_when_some_are_put_again() -> None:
    line = sent(6, 2, {("put", n): [Answer(BROKEN)] for n in range(1, 7)})
    assert line.most["put"] == 2
    assert all(len(line.times("put", n)) == 2 for n in range(1, 7))


def test_finish_tells_the_digest_of_the_last_put() -> None:
    line = sent(2, answers={
        ("put", 1): [Answer(md5="first"), Answer(md5="second")], ("finish", 1): POLLED_IN_VAIN})
    assert [call.body["md5"] for call in line.calls] == ["first"] * 5 + ["second", FILE_MD5]


def test_put_is_told_its_part_its_name_and_its_attempt() -> None:
    line = sent(2, answers={("put", 2): [Answer(BROKEN)]})
    assert line.puts == [
        (7, 1, "part 1 of 2"), (8, 1, "part 2 of 2"), (8, 2, "part 2 of 2")]


# One part alone

def test_single_part_needs_no_pools() -> None:
    assert sent(1).pools == ()


def test_several_parts_have_a_pool_for_storage_and_one_for_the_platform() -> None:
    assert sent(2, 3).pools == (3, 3)


def test_single_part_must_have_the_digest_of_the_file() -> None:
    line = Line({("put", 1): [Answer(md5="another")]})
    with pytest.raises(SourceChangedError, match="a.bin, put: the bytes sent are not those"):
        parts_on(line, 1).send()
    assert line.order("finish") == []


def test_one_of_several_parts_has_a_digest_of_its_own() -> None:
    assert sent(2, answers={("put", 1): [Answer(md5="another")]}).order("put") == [1, 2]


# How it ends

def test_fresh_prepare_is_wanted_with_the_error_and_nothing_more_begins() -> None:
    line = Line({("put", 2): [Answer(EXPIRED, seconds=2.5)]})
    assert parts_on(line, 9, 2).send() is EXPIRED
    assert line.now == START + 2.5
    assert line.order("put") == [1, 2, 3, 4]
    assert line.order("finish") == [1, 3]
    assert set(line.running) == {("put", 4), ("finish", 3)}  # stop() ends them, not this
    assert not line.stopped


def test_part_that_broke_on_an_old_url_wants_a_fresh_prepare() -> None:
    line = Line({("put", 2): [Answer(BROKEN, seconds=URL_LIFE)]})
    assert parts_on(line, 2).send() is BROKEN
    assert line.order("put") == [1, 2]


def test_refusal_of_a_part_is_raised_and_nothing_more_begins() -> None:
    line = Line({("put", 2): [Answer(FORBIDDEN, seconds=2.5)]})
    with pytest.raises(PartUploadError, match="400") as caught:
        parts_on(line, 9, 2).send()
    assert caught.value is not FORBIDDEN  # the worker's frames would go up with it
    assert line.order("put") == [1, 2, 3, 4]


def test_what_is_no_answer_of_the_network_is_raised_as_it_is() -> None:
    line = Line({("put", 1): [Answer(IsADirectoryError("a.bin"))]})
    with pytest.raises(IsADirectoryError):
        parts_on(line, 2).send()


def test_last_plan_has_no_fresh_prepare_to_ask_for() -> None:
    line = Line({("put", 1): [Answer(EXPIRED)]})
    with pytest.raises(PartUploadError, match="403"):
        parts_on(line, 2, last=True).send()


def test_part_that_is_never_confirmed_is_named_by_the_number_of_the_server() -> None:
    line = Line({("finish", 2): [Answer(BUSY)] * 20})
    with pytest.raises(PartFinishTimeoutError, match="part 2 of 3") as caught:
        parts_on(line, 3, last=True).send()
    assert caught.value.part_index == FIRST_INDEX + 1
    assert line.order("put") == [1, 2, 3, 2]


def test_stop_signal_ends_it() -> None:
    line = Line({("put", 1): [Answer(BROKEN)]})
    parts = parts_on(line, 2)
    line.stop_signal.set()
    with pytest.raises(Aborted):
        parts.send()


def test_stop_stops_the_workers() -> None:
    line = Line({})
    parts_on(line, 2).stop()
    assert line.stopped


# The next plan

def spent_on(
    count: int, answers: Dict[What, Sequence[Answer]], spent: Dict[int, PartState]
) -> Line:
    """A line on which a plan ended with the wish for another one."""
    line = Line(answers)
    assert parts_on(line, count, spent=spent).send() is not None
    return line


def test_puts_are_counted_over_all_plans() -> None:
    spent: Dict[int, PartState] = {}
    spent_on(3, {("put", 1): [Answer(BROKEN), Answer(EXPIRED)]}, spent)
    line = Line({})
    assert parts_on(line, 3, spent=spent).send() is None
    assert [attempt for _, attempt, _ in line.puts] == [3, 2, 1]


def test_polling_is_counted_over_all_plans_and_not_between_them() -> None:
    spent: Dict[int, PartState] = {}
    # Polled from 2.0 on, until the second part wants a fresh prepare at 7.0.
    spent_on(2, {("finish", 1): [Answer(BUSY)] * 3, ("put", 2): [Answer(EXPIRED, seconds=6.0)]},
             spent)
    assert [spent[n * SIZE].polled for n in range(2)] == [5.0, 0.0]
    line = Line({("finish", 1): [Answer(BUSY, seconds=0.0)] * 9})
    line.now += 500.0
    with pytest.raises(PartFinishTimeoutError) as caught:
        parts_on(line, 2, spent=spent, last=True).send()
    assert caught.value.waited == POLLING["retry_timeout"]
    assert line.order("put") == [1, 2]  # it was sent again by this plan


def test_failure_leaves_what_was_spent_too() -> None:
    spent: Dict[int, PartState] = {}
    with pytest.raises(PartUploadError):
        parts_on(Line({("put", 1): [Answer(FORBIDDEN)]}), 3, spent=spent).send()
    assert [spent[n * SIZE].puts for n in range(3)] == [1, 0, 0]


# Doubt

def test_part_refused_after_a_finish_without_an_answer_leaves_a_doubt() -> None:
    line = Line({("finish", 1): [Answer(LOST), Answer(REFUSED)]})
    parts = parts_on(line, 2)
    assert parts.send() is None
    assert parts.doubtful
    assert line.order("finish") == [1, 1, 2]


def test_confirmed_parts_leave_no_doubt() -> None:
    parts = parts_on(Line({("finish", 1): [Answer(LOST), Answer(BUSY)]}), 2)
    assert parts.send() is None
    assert not parts.doubtful


# What is told

def test_confirmed_parts_are_counted_and_marks_belong_to_their_parts() -> None:
    line = Line({("put", 4): [Answer(EXPIRED, seconds=0.5)]})
    parts_on(line, 5).send()
    line.reporter.tell()
    (told,) = line.told
    assert (told.completed_parts, told.total_parts) == (2, 5)
    assert told.uploaded_bytes == 4 * (SIZE // 2)


def lines_of(
    caplog: pytest.LogCaptureFixture, count: int, answers: Dict[What, Sequence[Answer]],
    level: int = logging.INFO,
) -> List[str]:
    caplog.set_level(level, "qqchunk.transfer.parts")
    sent(count, answers=answers)
    return [f"{record.levelname} {record.getMessage()}" for record in caplog.records]


def test_each_part_has_two_lines_for_debugging(caplog: pytest.LogCaptureFixture) -> None:
    assert lines_of(caplog, 2, {}, logging.DEBUG) == [
        "DEBUG a.bin: part 1 of 2 is at storage",
        "DEBUG a.bin: part 1 of 2 is confirmed",
        "DEBUG a.bin: part 2 of 2 is at storage",
        "DEBUG a.bin: part 2 of 2 is confirmed"]


def test_repeat_is_a_warning_without_advice(caplog: pytest.LogCaptureFixture) -> None:
    lines = lines_of(caplog, 2, {
        ("put", 1): [Answer(BROKEN)], ("finish", 2): [Answer(LOST)] * 2})
    assert lines == [
        "WARNING a.bin, put: it broke; again in 1.0 s",
        "WARNING a.bin, finish: no answer; again in 1.0 s",
        "WARNING a.bin, finish: no answer; again in 2.0 s"]


def test_polling_is_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    assert lines_of(caplog, 2, {("finish", 1): [Answer(BUSY)] * 3}) == []


def test_part_sent_again_for_being_busy_is_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    # The PUT that breaks afterwards is another matter: it is not sent in vain once more.
    lines = lines_of(caplog, 2, {
        ("finish", 1): POLLED_IN_VAIN, ("put", 1): [Answer(), Answer(BROKEN)]})
    assert lines == [
        "WARNING a.bin: part 1 of 2: busy for 8 s; sending it again",
        "WARNING a.bin, put: it broke; again in 1.0 s"]


def test_doubt_is_a_warning_without_advice(caplog: pytest.LogCaptureFixture) -> None:
    assert lines_of(caplog, 2, {("finish", 1): [Answer(LOST), Answer(REFUSED)]}) == [
        "WARNING a.bin, finish: no answer; again in 1.0 s",
        "WARNING a.bin, finish: no; left for complete to judge"]
