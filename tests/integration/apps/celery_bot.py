"""Uploads by a task queue: a web process queues them, workers send each file once.

    celery -A celery_bot worker --concurrency 4

    send_file.delay("c2c", openid, "/shared/report.pdf", msg_id)

The file has to lie where the workers can read it. Results are pickled, so that exceptions arrive
whole: let nobody but this application write to its Redis.
"""

from __future__ import annotations

import os
import zlib
from functools import lru_cache
from typing import Any, Optional

from celery import Celery

from qqchunk import UploadDeadlineError, Uploader, UploadError

DEADLINE = 900.0  # seconds for one attempt
FIRST_DELAY = 30.0  # seconds until a task is tried again; doubled each time …
LONGEST_DELAY = 600.0  # … up to this
ALREADY_SENT = 40054005  # the platform has a message with this msg_id and msg_seq

redis_url = os.environ.get("REDIS_URL", "redis://localhost:6379/0")
app = Celery("bot", broker=redis_url, backend=redis_url)
app.conf.update(
    task_acks_late=True,  # done when it is done, not when a worker has taken it
    task_reject_on_worker_lost=True,  # the task of a killed process goes to another one
    worker_prefetch_multiplier=1,  # a worker that uploads for minutes hoards no tasks
    # A task that is not acknowledged within this time is given to another worker, even if the
    # first still works on it or waits to try again: longer than DEADLINE and LONGEST_DELAY.
    broker_transport_options={"visibility_timeout": 3600},
    broker_connection_retry_on_startup=True,
    accept_content=["json"],
    result_serializer="pickle",
    result_accept_content=["pickle"],
)


@lru_cache(maxsize=None)
def uploader() -> Uploader:
    """Return this process's Uploader, made by its first task: those who only queue need none."""
    return Uploader.from_env()


@app.task(bind=True, max_retries=5)
def send_file(
    task: Any, chat_type: str, openid: str, path: str, msg_id: str, content: Optional[str] = None
) -> Optional[str]:
    """Send the file at *path* as a reply to *msg_id*; return the message's id if there is one."""
    try:
        reply = uploader().send(
            chat_type, openid, path, content=content, msg_id=msg_id,
            msg_seq=number_of(task.request.id), deadline=DEADLINE)
    except UploadDeadlineError:
        raise  # the next attempt would take as long
    except UploadError as error:
        if ALREADY_SENT in (error.code, error.err_code):
            return None  # by an earlier run of this task, whose worker died before it could say so
        if not error.retryable:  # the quota among others: tomorrow is too late for a retry
            raise
        delay = error.retry_after or FIRST_DELAY * 2 ** task.request.retries
        raise task.retry(exc=error, countdown=min(delay, LONGEST_DELAY))
    return reply.get("id")


def number_of(task_id: str) -> int:
    """Return a msg_seq that is the same for every run of a task, and hardly ever for two tasks."""
    return 2 + zlib.crc32(task_id.encode()) % 999_999
