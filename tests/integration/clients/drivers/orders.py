"""What all drivers share: orders come as lines of JSON, each is answered with one line.

A driver runs in the environment of the client it drives, so this imports nothing of ours. It
gives :func:`serve` a coroutine function that opens a client: an object with coroutines
``send(order)`` and ``close()``.
"""

import asyncio
import json
import os
import sys
from pathlib import Path

APP_ID = os.environ["EMULATOR_APP_ID"]
SECRET = os.environ["EMULATOR_SECRET"]
API_URL = os.environ["EMULATOR_API_URL"]
TOKEN_URL = os.environ["EMULATOR_TOKEN_URL"]
HOST = API_URL.partition("://")[2]
TIMEOUT = 60  # seconds; the five that some clients begin with are few on a busy machine

# Some clients log to standard output, which is for the answers alone.
_answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
os.dup2(2, 1)


class Order:
    """One file to bring to one chat, and to show there in a message."""

    def __init__(self, fields):
        self.chat_type = fields["chat_type"]
        self.target = fields["target"]
        self.path = Path(fields["path"])
        #: Where the file can be downloaded, if it shall be sent by its URL.
        self.url = fields.get("url")
        #: Whether a client without any state is wanted.
        self.fresh = fields.get("fresh", True)

    @property
    def name(self):
        return self.path.name


def serve(open_client):
    asyncio.run(_serve(open_client))


async def _serve(open_client):
    client = None
    while True:
        line = await asyncio.to_thread(sys.stdin.readline)
        if not line:
            break
        order = Order(json.loads(line))
        try:
            if client is not None and order.fresh:
                await client.close()
                client = None
            if client is None:
                client = await open_client()
            await client.send(order)
            answer = {"error": None}
        except Exception as error:
            answer = {"error": type(error).__name__, "text": str(error)}
        print(json.dumps(answer), file=_answers, flush=True)
    if client is not None:
        await client.close()


def redirect_aiohttp():
    """Lead the aiohttp clients whose hosts are written into their functions to the emulator."""
    import aiohttp
    from yarl import URL

    plain = aiohttp.ClientSession._request

    async def request(self, method, url, **options):
        url = URL(url)
        if url.host in ("bots.qq.com", "api.bot.qq.com", "api.sgroup.qq.com"):
            here = URL(API_URL)
            url = url.with_scheme(here.scheme).with_host(here.host).with_port(here.port)
        return await plain(self, method, url, **options)

    aiohttp.ClientSession._request = request
