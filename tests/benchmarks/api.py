"""The API half of the server: token, prepare, part_finish and complete."""

from __future__ import annotations

import itertools
import json
import time
from multiprocessing.connection import Connection
from typing import Dict, Tuple

from .process import Listeners, PartRecord, Report, Service, UploadRecord
from .wire import Channel, Head

TOKEN = "benchmark-token"
Reply = Tuple[int, Dict[str, object]]


class Api(Service):
    """Answers after `Behaviour.latency` seconds, as a server far away would."""

    def __init__(self, listeners: Listeners, storage_urls: Tuple[str, str]) -> None:
        super().__init__(listeners)
        self._storage_url, self._storage_url_tls = storage_urls
        self._serial = itertools.count(1)
        self._uploads: Dict[str, UploadRecord] = {}

    def answer(self, channel: Channel) -> bool:
        head = channel.read_head()
        if head is None:
            return False
        body = json.loads(channel.read_body(head.length))
        step = head.target.rsplit("/", 1)[-1]
        if step == "getAppAccessToken":
            with self.lock:
                self.report.token_at.append(time.monotonic())
            time.sleep(self.behaviour.token_latency or self.behaviour.latency)
            channel.reply(200, {"access_token": TOKEN, "expires_in": "7200"})
            return True
        if head.headers.get("authorization") != f"QQBot {TOKEN}":
            status, reply = 401, _refusal(11244, "no valid token")
        else:
            with self.lock:
                status, reply = self._step(step, head, body)
        if self.behaviour.latency:
            time.sleep(self.behaviour.latency)
        channel.reply(status, reply)
        return True

    def collect(self) -> Report:
        report = super().collect()
        with self.lock:
            report.uploads = list(self._uploads.values())
            self._uploads = {}
        return report

    def _step(self, step: str, head: Head, body: Dict[str, object]) -> Reply:
        if step == "upload_prepare":
            return self._prepare(head.headers["host"], body)
        upload = self._uploads.get(str(body["upload_id"]))
        if upload is None:
            return 400, _refusal(10000, "unknown upload_id")
        if step == "upload_part_finish":
            return self._finish(upload, body)
        upload.completed_at = time.monotonic()
        return 200, {"file_uuid": "uuid", "file_info": upload.upload_id, "ttl": 86400}

    def _prepare(self, host: str, body: Dict[str, object]) -> Reply:
        behaviour = self.behaviour
        upload_id = f"upload_{next(self._serial)}"
        size = int(str(body["file_size"]))
        claims = (str(body["md5"]), str(body["sha1"]), str(body["md5_10m"]))
        self._uploads[upload_id] = UploadRecord(upload_id, size, *claims, time.monotonic())
        secure = int(host.rpartition(":")[2]) == self._listeners.tls.getsockname()[1]
        base = self._storage_url_tls if secure else self._storage_url
        base = behaviour.storage_url or base
        block = behaviour.block_size
        parts = [
            {
                "index": index,
                "presigned_url": f"{base}/robot_upload/{upload_id}/part_{index}?q-signature=0",
                "block_size": str(min(block, size - (index - 1) * block)),
            }
            for index in range(1, max(1, -(-size // block)) + 1)
        ]
        config = {
            "concurrency": behaviour.concurrency,
            "retry_timeout": 300,
            "retry_delay": behaviour.retry_delay,
        }
        block = min(block, size)
        reply = {"upload_id": upload_id, "block_size": str(block), "parts": parts}
        return 200, {**reply, "upload_config": config}

    def _finish(self, upload: UploadRecord, body: Dict[str, object]) -> Reply:
        index = int(str(body["part_index"]))
        upload.asked[index] = upload.asked.get(index, 0) + 1
        if upload.asked[index] <= self.behaviour.busy:
            return 400, _refusal(40093001, "transfer channel busy, code 40093001")
        size = int(str(body["block_size"]))
        record = PartRecord(upload.upload_id, index, size, str(body["md5"]), time.monotonic())
        upload.finished[index] = record
        return 200, {}


def _refusal(code: int, message: str) -> Dict[str, object]:
    # The number stands in the text too: one peer keeps nothing else of a refusal.
    return {"code": code, "err_code": code, "message": message, "trace_id": "benchmark"}


def serve_api(listeners: Listeners, urls: Tuple[str, str], control: Connection) -> None:
    """The body of the API process."""
    Api(listeners, urls).run(control)
