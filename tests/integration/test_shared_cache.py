"""One cache of `file_info` for several processes, in a real Redis."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
import uuid
from typing import Any, Callable, Dict, Iterator

import pytest

from qqchunk.emulator import Emulator

from tests.processes import bot_environment, redis_server

pytestmark = pytest.mark.integration

CACHELIB = """
import os
from urllib.parse import urlsplit
from cachelib import RedisCache

url = urlsplit(os.environ["REDIS_URL"])
cache = RedisCache(url.hostname, url.port, key_prefix=os.environ["PREFIX"])
"""

DJANGO = """
import os
from django.conf import settings

settings.configure(CACHES={"default": {
    "BACKEND": "django.core.cache.backends.redis.RedisCache",
    "LOCATION": os.environ["REDIS_URL"],
    "KEY_PREFIX": os.environ["PREFIX"],
}})
from django.core.cache import cache
"""

REDIS = """
import os
from redis import Redis

cache = Redis.from_url(os.environ["REDIS_URL"])
"""

SEND = """
import json, os, sys
from qqchunk import Uploader

names = ("app_id", "client_secret", "api_url", "token_url")
bot = {name: os.environ["QQ_BOT_" + name.upper()] for name in names}
with Uploader(cache=cache, **bot) as uploader:
    result = uploader.upload("group", "G", sys.argv[1])
    uploader.send("group", "G", sys.argv[1])
    print(json.dumps({"file_info": result.file_info, "reused": result.reused, "ttl": result.ttl}))
if hasattr(cache, "close"):
    cache.close()
"""

Upload = Callable[[bytes], Dict[str, Any]]


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis_server(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture(params=[CACHELIB, DJANGO, REDIS], ids=["cachelib", "django", "redis"])
def upload(
    request: Any, redis_url: str, emulator: Emulator, tmp_path: pathlib.Path
) -> Upload:
    """`upload(content)` uploads and sends a file in a process of its own."""
    prefix = f"qqchunk-{uuid.uuid4().hex}-"
    environment = bot_environment(emulator, REDIS_URL=redis_url, PREFIX=prefix)
    script, file = tmp_path / "bot.py", tmp_path / "photo.png"
    script.write_text(request.param + SEND)

    def run(content: bytes) -> Dict[str, Any]:
        file.write_bytes(content + prefix.encode())  # found by nobody else who uses this Redis
        done = subprocess.run(
            [sys.executable, "-W", "error", str(script), str(file)],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=50)
        assert done.stderr == b""
        result: Dict[str, Any] = json.loads(done.stdout)
        return result

    return run


def test_what_one_process_uploaded_another_one_reuses(
    upload: Upload, emulator: Emulator
) -> None:
    emulator.behaviour.file_info_ttl = 1000
    first, second = upload(b"photo"), upload(b"photo")
    assert (first["reused"], second["reused"]) == (False, True)
    assert first["file_info"] == second["file_info"]
    assert 900 < second["ttl"] <= 1000
    assert emulator.count("prepare") == 1
    assert len(emulator.messages) == 2


def test_expired_file_info_is_replaced_for_all_processes(
    upload: Upload, emulator: Emulator
) -> None:
    old = upload(b"photo")["file_info"]
    emulator.expire_files()
    upload(b"photo")  # its upload() takes the old one on trust, its send() finds out
    assert emulator.count("prepare") == 2
    new = upload(b"photo")
    assert new["reused"] and new["file_info"] != old
    assert emulator.count("prepare") == 2
    assert len(emulator.messages) == 3
