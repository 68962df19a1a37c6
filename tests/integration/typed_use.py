"""Every public name as its users use it, for mypy --strict: read by the type checker, never run."""

from __future__ import annotations

import io
import os
import pathlib
import pickle
import tempfile
import threading
from datetime import datetime
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple, Type

import requests
from cachelib import FileSystemCache
from redis import Redis
from requests.auth import AuthBase

from qqchunk import (
    ApiError,
    AuthenticationError,
    ChatType,
    FileHashes,
    FileType,
    PartFinishTimeoutError,
    PartUploadError,
    Progress,
    ProtocolError,
    SourceChangedError,
    TransportError,
    UploadCancelledError,
    UploadDailyLimitExceededError,
    UploadDeadlineError,
    Uploader,
    UploadError,
    UploadFileTooLargeError,
    UploadResult,
    __version__,
    format_size,
    hash_file,
)
from qqchunk.emulator import (
    Behaviour,
    Emulator,
    Fault,
    Request,
    Storage,
    StorageError,
    StoragePart,
    StoredFile,
)


class OwnCache:
    """A cache as a user may write it."""

    def __init__(self) -> None:
        self._values: Dict[str, str] = {}

    def get(self, key: str) -> Optional[str]:
        return self._values.get(key)

    def set(self, key: str, value: str, timeout: int) -> None:
        self._values[key] = value

    def delete(self, key: str) -> bool:
        return self._values.pop(key, None) is not None


class OwnAuth(AuthBase):
    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


class OwnStream:
    name = "stream.bin"

    def read(self, size: int = -1) -> bytes:
        return b""


class OwnFlag:
    def is_set(self) -> bool:
        return False


def make() -> List[Uploader]:
    session = requests.Session()
    with Uploader("app id", "client secret") as uploader:
        entered: Uploader = uploader
    entered.close()
    return [
        Uploader(102000001, "client secret", timeout=5, retries=0, backoff=0.5),
        Uploader(app_id="app id", auth=OwnAuth(), cache=OwnCache()),
        Uploader("app id", "client secret", cache=FileSystemCache("uploads")),
        Uploader("app id", "client secret", cache=Redis.from_url("redis://localhost:6379/0")),
        Uploader(auth=("user", "password")),
        Uploader(auth=lambda request: request),
        Uploader(
            "app id", "client secret",
            session=session, storage_session=requests.Session(),
            api_url="https://api.sgroup.qq.com",
            token_url="https://bots.qq.com/app/getAppAccessToken",
            timeout=(10.0, None), retries=2, backoff=1.0, max_concurrency=10,
            max_file_size=200 << 20, cache=None),
    ]


def upload(uploader: Uploader, stream: io.BufferedReader) -> List[UploadResult]:
    shown: List[Progress] = []
    files: Tuple[object, ...] = (
        "holiday.mp4", b"name.mp4", pathlib.Path("holiday.mp4"), b"bytes", bytearray(b"bytes"),
        memoryview(b"bytes"), io.BytesIO(b"bytes"), stream, OwnStream())
    results = [uploader.upload("c2c", "OPENID", file, file_name="name") for file in files]
    with tempfile.TemporaryFile() as file:
        results.append(uploader.upload(
            ChatType.GROUP, "OPENID", file, FileType.FILE, "name",
            progress=shown.append, cancel=threading.Event(), deadline=30))
    results.append(uploader.upload("group", "OPENID", "a.png", 1, progress=True, cancel=OwnFlag()))
    results.append(uploader.upload_url(
        "c2c", "OPENID", "https://example.org/a.mp4", FileType.VIDEO, "a.mp4",
        cancel=None, deadline=30.5))
    return results


def send(uploader: Uploader, result: UploadResult) -> Optional[str]:
    uploader.send("c2c", "OPENID", result)
    reply: Dict[str, Any] = uploader.send(
        ChatType.C2C, "OPENID", "holiday.mp4", FileType.VIDEO, "holiday.mp4",
        content="look", msg_id="id", event_id=None, msg_seq=7,
        progress=show, cancel=None, deadline=None)
    identity: Optional[str] = reply.get("id")
    return identity


def show(progress: Progress) -> None:
    stage: str = progress.stage
    sizes: Tuple[int, int] = (progress.uploaded_bytes, progress.total_bytes)
    parts: Tuple[int, int] = (progress.completed_parts, progress.total_parts)
    print(stage, sizes, parts)


def look_at(result: UploadResult) -> None:
    file_info: str = result.file_info
    file_uuid: Optional[str] = result.file_uuid
    ttl: Optional[int] = result.ttl
    expires_at: Optional[datetime] = result.expires_at
    reused: bool = result.reused
    raw: Dict[str, Any] = result.raw
    print(file_info, file_uuid, ttl, expires_at, reused, raw)


def fail(uploader: Uploader) -> None:
    try:
        uploader.upload("c2c", "OPENID", "holiday.mp4")
    except UploadDailyLimitExceededError as error:
        human: str = error.file_size_human
        print(human)
    except UploadFileTooLargeError as error:
        texts: Tuple[str, str] = (error.file_size_human, error.limit_human)
        limit: int = error.limit_bytes
        print(texts, limit)
    except AuthenticationError as error:
        refused: ApiError = error
        words: str = refused.message
        print(words)
    except PartUploadError as error:
        index: Optional[int] = error.part_index
        attempts: int = error.attempts
        print(index, attempts)
    except PartFinishTimeoutError as error:
        waited: float = error.waited
        print(waited, error.part_index)
    except UploadError as error:
        name: Optional[str] = error.file_name
        size: Optional[int] = error.file_size
        stage: Optional[str] = error.stage
        codes: Tuple[Optional[int], ...] = (error.http_status, error.code, error.err_code)
        trace_id: Optional[str] = error.trace_id
        retryable: bool = error.retryable
        retry_after: Optional[float] = error.retry_after
        print(name, size, stage, codes, trace_id, retryable, retry_after, pickle.dumps(error))


def parents() -> None:
    protocol: Type[ValueError] = ProtocolError
    finish: Type[TimeoutError] = PartFinishTimeoutError
    deadline: Type[TimeoutError] = UploadDeadlineError
    changed: Type[OSError] = SourceChangedError
    roots: List[Type[RuntimeError]] = [TransportError, UploadCancelledError, ApiError]
    own: List[UploadError] = [
        UploadDailyLimitExceededError("holiday.mp4", 1, "message"),
        UploadFileTooLargeError("holiday.mp4", 2, limit_bytes=1)]
    print(protocol, finish, deadline, changed, roots, own)


def measure() -> None:
    hashes: FileHashes = hash_file("holiday.mp4")
    digests: Tuple[str, str, str] = (hashes.md5, hashes.sha1, hashes.md5_10m)
    size: int = hashes.size
    words: str = format_size(size)
    version: str = __version__
    print(digests, words, version, os.fspath("holiday.mp4"))


def emulate(check: Callable[[Emulator], None]) -> None:
    with Emulator(block_size=1 << 20, concurrency=4, faults=[Fault("put", "reset_midway")]) as qq:
        check(qq)
        uploader = Uploader(
            qq.app_id, qq.client_secret, api_url=qq.api_url, token_url=qq.token_url)
        result = uploader.upload("c2c", "OPENID", b"bytes", file_name="name")
        content: bytes = qq.received(result.file_info)
        requests_seen: List[Request] = qq.requests
        stored: StoredFile = qq.stored(result.file_info)
        fault: Fault = qq.fail("prepare", "code", code=850012)
        messages: List[Dict[str, object]] = qq.messages
        print(content, requests_seen, stored, fault, messages, qq.count("put"))


class OwnStorage:
    """A storage as a user may write it."""

    def presigned_urls(
        self, upload_id: str, parts: Sequence[StoragePart], lifetime: float
    ) -> Sequence[str]:
        return [f"https://storage.example/{upload_id}/{part.number}" for part in parts]

    def assembled(self, upload_id: str, parts: Sequence[StoragePart]) -> Sequence[bytes]:
        raise StorageError(f"{len(parts)} parts are not there")


def emulate_with_a_storage() -> None:
    storage: Storage = OwnStorage()
    with Emulator(storage=storage) as qq:
        behaviour: Behaviour = qq.behaviour
        behaviour.latency = 0.1
