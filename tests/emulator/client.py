"""A bare-handed client for the emulator's own tests: nothing of qqchunk's client is used."""

from __future__ import annotations

import contextlib
import http.client
import json
import ssl
import time
from hashlib import md5, sha1
from typing import Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional, Tuple
from urllib.parse import urlsplit

from qqchunk.emulator import Emulator

CONTENT = bytes(range(250)) + b"0123456789" * 7  # 320 bytes: four parts of 100 at most
MD5_10M_SIZE = 10_002_432


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def codes(self) -> Any:
        """HTTP status, code, err_code."""
        return self.status, self.json.get("code"), self.json.get("err_code")


def digests(content: bytes) -> Dict[str, str]:
    return {
        "md5": md5(content).hexdigest(),
        "sha1": sha1(content).hexdigest(),
        "md5_10m": md5(content[:MD5_10M_SIZE]).hexdigest(),
    }


def changed(fields: Dict[str, Any], changes: Mapping[str, Any]) -> Dict[str, Any]:
    """Give the fields with the changes made; a change to Ellipsis leaves the field out."""
    merged = {**fields, **changes}
    return {name: value for name, value in merged.items() if value is not ...}


class Bot:
    """Speaks the protocol over one http.client connection."""

    def __init__(self, emulator: Emulator, context: Optional[ssl.SSLContext] = None) -> None:
        self.emulator = emulator
        parts = urlsplit(emulator.api_url)
        self.connection: http.client.HTTPConnection
        if context is None:
            self.connection = http.client.HTTPConnection(parts.netloc, timeout=5)
        else:
            self.connection = http.client.HTTPSConnection(parts.netloc, timeout=5, context=context)
        self._token: Optional[str] = None

    def request(self, method: str, path: str, body: Any, headers: Mapping[str, str]) -> Answer:
        try:
            chunked = "Transfer-Encoding" in headers
            self.connection.request(method, path, body, dict(headers), encode_chunked=chunked)
            with self.connection.getresponse() as response:
                return Answer(response.status, response.headers, response.read())
        except BaseException:
            self.connection.close()  # the next request gets a new connection
            raise

    def fetch_token(self, **changes: Any) -> Answer:
        emulator = self.emulator
        fields = {"appId": emulator.app_id, "clientSecret": emulator.client_secret}
        body = json.dumps(changed(fields, changes))
        path = urlsplit(emulator.token_url).path
        return self.request("POST", path, body, {"Content-Type": "application/json"})

    @property
    def token(self) -> str:
        if self._token is None:
            reply = self.fetch_token().json
            self._token = str(reply.get("data", reply)["access_token"])
        return self._token

    def api(self, path: str, body: Any, **headers: Any) -> Answer:
        sent = {"Authorization": f"QQBot {self.token}", "Content_Type": "application/json"}
        named = {k.replace("_", "-"): v for k, v in changed(sent, headers).items()}
        return self.request("POST", path, json.dumps(body), named)

    def prepare(self, content: bytes = CONTENT, to: str = "users/U1", **changes: Any) -> Answer:
        fields = {
            "file_type": 4, "file_size": str(len(content)), "file_name": "a.bin",
            **digests(content),
        }
        return self.api(f"/v2/{to}/upload_prepare", changed(fields, changes))

    def put(self, url: str, body: Any, **headers: Any) -> Answer:
        parts = urlsplit(url)
        named = {k.replace("_", "-"): v for k, v in headers.items()}
        return self.request("PUT", f"{parts.path}?{parts.query}", body, named)

    def finish(
        self, plan: Any, index: int, block: bytes, to: str = "users/U1", **changes: Any
    ) -> Answer:
        fields = {
            "upload_id": plan["upload_id"], "part_index": index, "block_size": str(len(block)),
            "md5": md5(block).hexdigest(),
        }
        return self.api(f"/v2/{to}/upload_part_finish", changed(fields, changes))

    def complete(self, plan: Any, to: str = "users/U1", **changes: Any) -> Answer:
        return self.api(f"/v2/{to}/files", changed({"upload_id": plan["upload_id"]}, changes))

    def send(self, file_info: str, to: str = "users/U1", **changes: Any) -> Answer:
        fields = {"msg_type": 7, "media": {"file_info": file_info}, "msg_seq": 1}
        return self.api(f"/v2/{to}/messages", changed(fields, changes))

    def blocks(self, plan: Any, content: bytes = CONTENT) -> Dict[int, bytes]:
        """Cut the content as a plan in the live dialect says."""
        found, offset = {}, 0
        for part in sorted(plan["parts"], key=lambda part: int(part["index"])):
            end = offset + int(part["block_size"])
            found[int(part["index"])] = content[offset:end]
            offset = end
        return found

    def send_parts(self, plan: Any, content: bytes = CONTENT, to: str = "users/U1") -> None:
        blocks = self.blocks(plan, content)
        for part in plan["parts"]:
            index = int(part["index"])
            assert self.put(part["presigned_url"], blocks[index]).status == 200
            assert self.finish(plan, index, blocks[index], to).status == 200

    def upload(self, content: bytes = CONTENT, to: str = "users/U1", **changes: Any) -> Any:
        """Upload whole; gives the reply to complete."""
        plan = self.prepare(content, to, **changes).json
        self.send_parts(plan, content, to)
        answer = self.complete(plan, to)
        assert answer.status == 200, answer
        return answer.json


@contextlib.contextmanager
def serving(**options: Any) -> Iterator[Bot]:
    """A strict emulator with parts of 100 bytes, unless told otherwise, and its bot."""
    with Emulator(**{"block_size": 100, "strict": True, **options}) as emulator:
        bot = Bot(emulator)
        try:
            yield bot
        finally:
            bot.connection.close()


def notes(bot: Bot) -> List[str]:
    return bot.emulator.refusals


def address(emulator: Emulator) -> Tuple[str, int]:
    host, _, port = emulator.api_url.rpartition("/")[2].partition(":")
    return host, int(port)


def wait_for(condition: Callable[[], bool], seconds: float = 2.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)
