"""What the exception says when storage refuses a PUT, whole; what follows it is the ladder's."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any, Mapping

import pytest

from qqchunk.errors import Again, PartUploadError, UploadError, UploadFileTooLargeError
from qqchunk.protocol.replies import storage_refusal

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=timezone.utc)
XML = (b"<?xml version='1.0'?><Error><Code>SignatureDoesNotMatch</Code><Message>no</Message>"
       b"<Resource>/secret/object</Resource></Error>")


def refusal(status: int, body: bytes = b"", headers: Mapping[str, str] = {}) -> UploadError:
    return storage_refusal(
        status, headers, body, NOW, attempt=3, name="part 2 of 7", part_index=5,
        file_name="a.mp4", file_size=99)


def facts(error: UploadError) -> Any:
    return (error.stage, error.http_status, error.file_name, error.file_size, error.again,
            error.ambiguous, error.code, error.err_code, error.trace_id, error.result)


def test_text_says_file_part_reason_status_and_attempt_and_not_the_object() -> None:
    assert str(refusal(403, XML)) == (
        "a.mp4, put: part 2 of 7: the URL has expired or its signature is wrong: "
        "HTTP 403 (SignatureDoesNotMatch: no) to attempt 3 - upload the file again")


def test_text_of_a_refusal_without_a_word_has_no_empty_brackets() -> None:
    assert str(refusal(503)) == (
        "a.mp4, put: part 2 of 7: storage failed: HTTP 503 to attempt 3 - try again later")


@pytest.mark.parametrize("status, body, again", [
    (403, XML, Again.FRESH), (429, b"", Again.RATE), (503, b"", Again.BACKOFF),
    (503, b"<Code> SlowDown </Code>", Again.RATE), (404, XML, Again.NEVER),
    (400, b"<Code>BadDigest</Code>", Again.BACKOFF),
])
def test_refusal_knows_its_part_and_whether_it_may_be_sent_again(
    status: int, body: bytes, again: Again
) -> None:
    error = refusal(status, body)
    assert type(error) is PartUploadError
    assert (error.part_index, error.attempts) == (5, 3)
    assert facts(error) == ("put", status, "a.mp4", 99, again, False, None, None, None, None)


def test_time_that_storage_asks_for_is_told() -> None:
    assert refusal(503, b"", {"Retry-After": "7"}).retry_after == 7.0
    date = {"Retry-After": "Sun, 22 Nov 2026 12:00:30 GMT"}
    assert refusal(503, b"", date).retry_after == 30.0
    assert refusal(503).retry_after is None


def test_part_that_is_too_large_for_what_is_in_between_is_a_matter_of_size() -> None:
    error = refusal(413, b"<html>no</html>")
    assert type(error) is UploadFileTooLargeError
    assert facts(error) == ("put", 413, "a.mp4", 99, Again.NEVER, False, None, None, None, None)
    assert error.limit_bytes == 0
    assert str(error).startswith(
        "a.mp4, put: part 2 of 7: a part of this size was refused: HTTP 413 to attempt 3 - parts")
