"""What happens to each client, and how what it did is told in a cell of the table."""

from __future__ import annotations

import hashlib
import json
import queue
import random
import subprocess
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from qqchunk.emulator import Emulator

SMALL, LARGE = 300_000, 12_000_000  # bytes; one part and two
ANSWER_TIMEOUT = 120.0  # seconds


@dataclass(frozen=True)
class Situation:
    """One row of the table: a file on its way, and what comes in between."""

    name: str
    arm: Callable[[Emulator], None] = lambda emulator: None
    chat_type: str = "c2c"
    size: int = LARGE
    by_url: bool = False
    #: Whether the client has sent another file before, so that it holds a token.
    warm: bool = False
    #: Whether something goes wrong.
    troubled: bool = True
    #: Whether that is a scripted fault: a client that never calls its stage is not concerned.
    scripted: bool = True


def _once(*stages: str, kind: str, **options: object) -> Callable[[Emulator], None]:
    def arm(emulator: Emulator) -> None:
        for stage in stages:
            emulator.fail(stage, kind, **options)

    return arm


def _no_quota(emulator: Emulator) -> None:
    emulator.behaviour.daily_quota = 0


_PLAIN = {"troubled": False, "scripted": False}

SITUATIONS: Sequence[Situation] = (
    Situation("300 KB, c2c", size=SMALL, **_PLAIN),
    Situation("300 KB, group", chat_type="group", size=SMALL, **_PLAIN),
    Situation("12 MB, c2c", **_PLAIN),
    Situation("12 MB, group", chat_type="group", **_PLAIN),
    Situation("by URL, c2c", size=SMALL, by_url=True, **_PLAIN),
    Situation("finish: 40093001", _once("finish", kind="busy")),
    Situation("expired token", Emulator.expire_tokens, warm=True, scripted=False),
    Situation("quota used up", _no_quota, scripted=False),
    Situation("put: expired URL", _once("put", kind="expired_url")),
    Situation("token: 500", _once("token", kind="status", status=500)),
    Situation("prepare: 500", _once("prepare", kind="status", status=500)),
    Situation("put: 500", _once("put", kind="status", status=500)),
    Situation("finish: 500", _once("finish", kind="status", status=500)),
    Situation("files: 500", _once("complete", "url", kind="status", status=500)),
    Situation("message: 500", _once("message", kind="status", status=500)),
)


@dataclass
class Outcome:
    """What a client did in one situation."""

    #: Whether the message came, with the bytes of the file.
    arrived: bool
    #: The type of the exception that the client's user gets; None if there was none.
    error: Optional[str]
    text: str
    #: Requests by stage and part.
    calls: Mapping[Tuple[str, Optional[int]], int]
    #: Whether the file went up in the body of a call.
    inline: bool
    #: Whether the fault of the situation struck; None if it has none.
    struck: Optional[bool]
    refusals: List[str] = field(default_factory=list)
    manners: List[str] = field(default_factory=list)


class Driver:
    """A client's driver in a process of its own."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self.log = log
        with log.open("wb") as stderr:
            self._process = subprocess.Popen(
                command,
                env=dict(environment),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                encoding="utf-8",
            )
        self._answers: "queue.Queue[str]" = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self._answers.put(line)
        self._answers.put("")

    def order(self, **fields: object) -> Dict[str, Optional[str]]:
        """Let the client send a file; tell with which error, if any."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps(fields) + "\n")
        self._process.stdin.flush()
        try:
            line = self._answers.get(timeout=ANSWER_TIMEOUT)
        except queue.Empty:
            raise AssertionError(f"no answer in {ANSWER_TIMEOUT} s: {self._last_words()}") from None
        assert line, f"the driver ended: {self._last_words()}"
        answer: Dict[str, Optional[str]] = json.loads(line)
        return answer

    def _last_words(self) -> str:
        return self.log.read_text("utf-8", "replace")[-2000:]

    def close(self) -> None:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(10)
        self._process.stdout.close()


class Files:
    """Files of other content each time, under a folder, served at a URL."""

    def __init__(self, folder: Path, url: str, name: str) -> None:
        self._folder = folder
        self._url = url
        self._name = name
        self._made = 0

    def new(self, size: int) -> Path:
        self._made += 1
        path = self._folder / f"{self._made}-{self._name}"
        path.write_bytes(random.Random(self._made).randbytes(size))
        return path

    def url(self, path: Path) -> str:
        return f"{self._url}/{path.relative_to(self._folder.parent).as_posix()}"


def observe(
    driver: Driver, emulator: Emulator, situation: Situation, files: Files, only_by_url: bool
) -> Outcome:
    """Bring one client into one situation and see what it does."""
    by_url = situation.by_url or only_by_url
    if situation.warm:
        before = _order(driver, situation, files.new(SMALL), files, by_url, fresh=True)
        assert before["error"] is None, before
    quota = emulator.behaviour.daily_quota
    for seen in (emulator.requests, emulator.refusals, emulator.messages, emulator.manners):
        seen.clear()
    situation.arm(emulator)
    path = files.new(situation.size)
    try:
        answer = _order(driver, situation, path, files, by_url, fresh=not situation.warm)
    finally:
        emulator.clear_faults()
        emulator.behaviour.daily_quota = quota
    requests = list(emulator.requests)
    return Outcome(
        arrived=_arrived(emulator, path.read_bytes()),
        error=answer["error"],
        text=answer.get("text") or "",
        calls=Counter((r.stage, r.part_index) for r in requests),
        inline=any(isinstance(r.body, dict) and "file_data" in r.body for r in requests),
        struck=any(r.fault for r in requests) if situation.scripted else None,
        refusals=list(emulator.refusals),
        manners=list(emulator.manners),
    )


def _order(
    driver: Driver, situation: Situation, path: Path, files: Files, by_url: bool, fresh: bool
) -> Dict[str, Optional[str]]:
    return driver.order(
        chat_type=situation.chat_type,
        target=hashlib.md5(path.name.encode()).hexdigest().upper(),
        path=str(path),
        url=files.url(path) if by_url else None,
        fresh=fresh,
    )


def _arrived(emulator: Emulator, content: bytes) -> bool:
    for message in emulator.messages:
        media = message.get("media")
        if isinstance(media, dict) and emulator.received(media["file_info"]) == content:
            return True
    return False
