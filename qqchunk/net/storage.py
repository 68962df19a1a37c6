"""One part put to storage once: its bytes are read as they are sent, and hashed on the way."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Callable, Iterator, Optional, Tuple, Type

from ..errors import SourceChangedError, UploadError
from ..protocol.calls import Upload
from ..protocol.plan import Part
from ..protocol.replies import storage_refusal
from ..source.hashing import new_md5
from ..source.ranges import Source
from .diagnosis import Diagnosis
from .outcome import Outcome
from .stopping import Aborted, StopSignal, current
from .transport import Transport, transport_error

# bytes; half of this costs noticeably more CPU, and since a write has to be through within the
# connect timeout, more would fail on slow links
BLOCK_SIZE = 64 << 10

# bytes read and hashed at a time; each such step gives the interpreter away and has to get it back
READ_SIZE = 256 << 10


class PartBody:
    """An iterable of blocks with a length, which requests sends with a Content-Length.

    It may be iterated more than once, and each block is an object of its own: recorders and
    adapters that try again do the one and keep the other.

    :param mark: called with the number of bytes handed over so far
    :param reply_limit: seconds the answer may take once all is handed over
    :ivar begun: True once somebody has begun to read it
    :ivar failure: why the bytes could not be had, if that ended it
    """

    def __init__(
        self,
        source: Source,
        part: Part,
        mark: Callable[[int], None],
        stop: StopSignal,
        reply_limit: Optional[float],
    ) -> None:
        self._source = source
        self._part = part
        self._mark = mark
        self._stop = stop
        self._reply_limit = reply_limit
        self._md5 = new_md5()
        self._sent = 0
        self.begun = False
        self.failure: Optional[Exception] = None

    def __len__(self) -> int:
        return self._part.size

    def __iter__(self) -> Iterator[bytes]:
        self._sent, self._md5 = 0, new_md5()
        self.begun = True
        for chunk in self._chunks():
            for start in range(0, len(chunk), BLOCK_SIZE):
                self._stop.check()
                block = bytes(chunk[start:start + BLOCK_SIZE])
                yield block
                self._sent += len(block)  # only now is it out of our hands
                self._mark(self._sent)
            self._md5.update(chunk)  # while the network carries them
        if current() is self._stop:  # not with what a mock left to be read
            self._stop.limit(self._reply_limit)

    def __reduce__(self) -> Tuple[Type[bytes], Tuple[bytes]]:
        return bytes, (b"".join(map(bytes, self._chunks())),)  # a copy is the bytes themselves

    @property
    def complete(self) -> bool:
        """Say whether every byte has been handed over."""
        return self._sent == self._part.size

    @property
    def md5(self) -> str:
        """The md5 of the bytes handed over, lower-case hex."""
        return self._md5.hexdigest()

    def _chunks(self) -> Iterator[memoryview]:
        if self._stop.is_set() and current() is None:
            raise ValueError(
                "this part can be read only while it is being uploaded: its file is closed by now")
        buffer = memoryview(bytearray(min(READ_SIZE, self._part.size)))
        done = 0
        while done < self._part.size:
            self._stop.check()
            chunk = buffer[:self._part.size - done]
            self._read(done, chunk)
            yield chunk
            done += len(chunk)

    def _read(self, start: int, chunk: memoryview) -> None:
        try:
            if self._source.read_into(self._part.offset + start, chunk) == len(chunk):
                return
        except (OSError, ValueError) as error:
            self.failure = error
        else:
            self.failure = SourceChangedError(
                f"{self._source.name}, put: the file became shorter while it was being uploaded",
                advice="upload it again once nothing writes to it", stage="put")
        raise Aborted  # an OSError would be taken for the network's


def put_part(
    transport: Transport,
    upload: Upload,
    source: Source,
    part: Part,
    attempt: int,
    name: str,
    mark: Callable[[int], None],
    stop: StopSignal,
) -> Outcome[str]:
    """PUT a part once; give the md5 of what was sent. Raises Aborted.

    :param attempt: counts from 1 over all plans, for the exception
    :param name: what the exception calls the part: ``part 2 of 7``
    """
    body = PartBody(source, part, mark, stop, transport.reply_limit())
    try:
        outcome = transport.put(part.url, body, stop, about=upload, name=name)
        if outcome.value and 200 <= outcome.value.status < 300 and not body.begun:
            for _ in body:  # a mock answered, which reads nothing
                pass
    except Aborted:
        if body.failure is None:
            raise
        outcome = Outcome()
    if isinstance(body.failure, UploadError):
        return Outcome(error=body.failure)
    if body.failure is not None:
        raise body.failure.with_traceback(None)  # as the system has it: the file cannot be read
    answer = outcome.value
    if answer is None:
        return Outcome(error=outcome.error)
    if not 200 <= answer.status < 300:
        return Outcome(error=storage_refusal(
            answer.status, answer.headers, answer.body, datetime.now(timezone.utc),
            attempt=attempt, name=name, part_index=part.index, file_name=upload.file_name,
            file_size=upload.file_size))
    if not body.complete:
        early = Diagnosis(
            "storage answered before it had the whole part",
            advice="check the network and the proxy settings")
        return Outcome(error=transport_error("put", part.url, early, upload, f"{name}: "))
    return Outcome(body.md5)
