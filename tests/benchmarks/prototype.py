"""The least that a synchronous client on requests can do: no retry, no check, nothing to stop it.

It hashes with the library's own code, takes each part's md5 as the part goes out, and confirms
apart from sending. What a row costs it is what requests, the md5s and the server cost together.
"""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Dict, Iterator, List

import requests
from requests.adapters import HTTPAdapter

from qqchunk import hash_file

READ_SIZE, SEND_SIZE = 256 << 10, 64 << 10  # bytes
MOST_THREADS = 16


class Body:
    """The bytes of one part, read and hashed as they are sent."""

    def __init__(self, descriptor: int, offset: int, size: int) -> None:
        self.md5 = hashlib.md5()
        self._descriptor = descriptor
        self._offset = offset
        self._size = size

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[memoryview]:
        buffer = memoryview(bytearray(READ_SIZE))
        done = 0
        while done < self._size:
            wanted = buffer[: self._size - done]
            count = os.preadv(self._descriptor, [wanted], self._offset + done)
            for start in range(0, count, SEND_SIZE):
                yield wanted[start:min(start + SEND_SIZE, count)]
            self.md5.update(wanted[:count])
            done += count


class Prototype:
    """Uploads one file after the other on one session."""

    def __init__(self, chat_url: str, token_url: str) -> None:
        self.session = requests.Session()
        for scheme in ("http://", "https://"):
            self.session.mount(scheme, HTTPAdapter(pool_maxsize=MOST_THREADS))
        self._chat_url = chat_url
        self._token_url = token_url
        self._headers: Dict[str, str] = {}

    def upload(self, path: str, file_type: int) -> str:
        if not self._headers:
            token = self._post(self._token_url, {"appId": "1", "clientSecret": "s"})
            self._headers["Authorization"] = f"QQBot {token['access_token']}"
        hashes = hash_file(path)
        plan = self._call("upload_prepare", {
            "file_type": file_type, "file_name": os.path.basename(path),
            "file_size": str(hashes.size), "md5": hashes.md5, "sha1": hashes.sha1,
            "md5_10m": hashes.md5_10m,
        })
        upload_id = plan["upload_id"]
        concurrency = plan["upload_config"]["concurrency"]
        with open(path, "rb") as file, ThreadPoolExecutor(concurrency) as confirming:
            confirmed: List[Future[Any]] = []

            def put(part: Dict[str, Any]) -> None:
                size = int(part["block_size"])
                offset = (part["index"] - 1) * int(plan["block_size"])
                body: Any = Body(file.fileno(), offset, size)
                url = part["presigned_url"]
                self.session.put(url, data=body, timeout=(10, 60)).raise_for_status()
                confirmed.append(confirming.submit(self._call, "upload_part_finish", {
                    "upload_id": upload_id, "part_index": part["index"],
                    "block_size": str(size), "md5": body.md5.hexdigest(),
                }))

            with ThreadPoolExecutor(concurrency) as sending:
                list(sending.map(put, plan["parts"]))
            for future in confirmed:
                future.result()
        done = self._call("files", {
            "file_type": file_type, "upload_id": upload_id, "srv_send_msg": False})
        return str(done["file_info"])

    def _call(self, step: str, body: Dict[str, object]) -> Dict[str, Any]:
        return self._post(f"{self._chat_url}/{step}", body)

    def _post(self, url: str, body: Dict[str, object]) -> Dict[str, Any]:
        reply = self.session.post(url, json=body, headers=self._headers, timeout=(10, 60))
        reply.raise_for_status()
        answer: Dict[str, Any] = reply.json()
        return answer
