"""The libraries under test, each behind the same two methods.

Every client is used as its documentation shows it, with its own default connections. Where a
setting would slow a peer down without need, the kinder value is taken: no rate limiter for
qq-botpy-sdk, logging silenced in all of them.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.metadata
import os
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Type

OPENID = "0123456789ABCDEF0123456789ABCDEF"
APP_ID = "102000001"
SECRET = "benchmark-secret"
FILE_TYPE = 4  # any file
MAX_FILE_SIZE = 2 << 30  # bytes


@dataclass(frozen=True)
class Settings:
    """Where the server is; the certificates come through the environment."""

    client: str
    api_url: str
    token_host: str  # scheme, host and port; outside it is another host than the API's

    @property
    def token_url(self) -> str:
        return self.token_host + "/app/getAppAccessToken"


class Client:
    """One library, set up once and used for many uploads."""

    distribution = ""

    def __init__(self, settings: Settings) -> None:
        """Imports the library (ImportError if it is not there) and connects to nothing yet."""
        raise NotImplementedError

    def upload(self, path: str, times: int) -> None:
        """Uploads the file `times` times, one after the other, or raises."""
        raise NotImplementedError

    def close(self) -> None:
        """Gives the connections back."""
        raise NotImplementedError

    def version(self) -> str:
        try:
            return importlib.metadata.version(self.distribution)
        except importlib.metadata.PackageNotFoundError:
            return "source tree"


class Qqchunk(Client):
    """This library."""

    distribution = "qqchunk"

    def __init__(self, settings: Settings) -> None:
        qqchunk = importlib.import_module("qqchunk")
        if not hasattr(qqchunk, "Uploader"):
            raise ImportError("qqchunk has no Uploader yet")
        self._uploader: Any = qqchunk.Uploader(
            APP_ID,
            SECRET,
            api_url=settings.api_url,
            token_url=settings.token_url,
            max_file_size=MAX_FILE_SIZE,
        )

    def upload(self, path: str, times: int) -> None:
        for _ in range(times):
            result = self._uploader.upload("c2c", OPENID, path, FILE_TYPE)
            if not result.file_info:
                raise RuntimeError("no file_info")

    def close(self) -> None:
        self._uploader.close()


class LeanPrototype(Client):
    """What requests and the md5s cost at the least; measured if it is asked for."""

    def __init__(self, settings: Settings) -> None:
        prototype = importlib.import_module("tests.benchmarks.prototype")
        chat_url = f"{settings.api_url}/v2/users/{OPENID}"
        self._prototype: Any = prototype.Prototype(chat_url, settings.token_url)

    def upload(self, path: str, times: int) -> None:
        for _ in range(times):
            if not self._prototype.upload(path, FILE_TYPE):
                raise RuntimeError("no file_info")

    def close(self) -> None:
        self._prototype.session.close()

    def version(self) -> str:
        return "of this tree"


class AsyncClient(Client):
    """A peer; its event loop lives as long as the client, so that connections stay warm."""

    def __init__(self, settings: Settings) -> None:
        self._loop = asyncio.new_event_loop()
        self._loop.run_until_complete(self.open(settings))

    async def open(self, settings: Settings) -> None:
        raise NotImplementedError

    async def one(self, path: str) -> Any:
        raise NotImplementedError

    async def aclose(self) -> None:
        raise NotImplementedError

    def upload(self, path: str, times: int) -> None:
        self._loop.run_until_complete(self._all(path, times))

    def close(self) -> None:
        self._loop.run_until_complete(self.aclose())
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()

    async def _all(self, path: str, times: int) -> None:
        for _ in range(times):
            if not await self.one(path):
                raise RuntimeError("no file_info")


class AgentSdk(AsyncClient):
    """qqbot-agent-sdk's ChunkedUploader on one httpx client, as its MediaUploader wires it."""

    distribution = "qqbot-agent-sdk"

    async def open(self, settings: Settings) -> None:
        os.environ["QQ_API_BASE"] = settings.api_url
        os.environ["QQ_TOKEN_URL"] = settings.token_url
        httpx = importlib.import_module("httpx")
        loader = importlib.import_module("qqbot_agent_sdk.media_loader")
        api_client = importlib.import_module("qqbot_agent_sdk.api_client")
        self._http: Any = httpx.AsyncClient()
        api = api_client.QQApiClient(APP_ID, SECRET)
        api.setup(self._http)
        self._uploader: Any = loader.ChunkedUploader(api, self._http)

    async def one(self, path: str) -> Any:
        name = os.path.basename(path)
        done = await self._uploader.upload("c2c", OPENID, path, FILE_TYPE, name)
        return done.token

    async def aclose(self) -> None:
        await self._http.aclose()


class BotpySdk(AsyncClient):
    """qq-botpy-sdk's ChunkedMediaUploader.

    It refuses part URLs that are not https. In the workloads without TLS it is shown https ones,
    and the scheme is put right again on the way out, which costs it nothing.
    """

    distribution = "qq-botpy-sdk"

    async def open(self, settings: Settings) -> None:
        bot_http = importlib.import_module("botpy.http")
        bot_api = importlib.import_module("botpy.api")
        media = importlib.import_module("botpy.protocol.media")
        self._http: Any = bot_http.BotHttp(
            20,
            app_id=APP_ID,
            secret=SECRET,
            base_url=settings.api_url,
            token_base_url=settings.token_host,
            rate_limit=False,
        )
        api = bot_api.BotAPI(self._http)
        if settings.api_url.startswith("http:"):
            _dress_urls(api)
        self._uploader: Any = media.ChunkedMediaUploader(api)

    async def one(self, path: str) -> Any:
        done: Mapping[str, Any] = await self._uploader.upload(
            "c2c", OPENID, FILE_TYPE, local_path=path
        )
        return done["file_info"]

    async def aclose(self) -> None:
        await self._http.close()


def _dress_urls(api: Any) -> None:
    prepare, put = api.post_upload_prepare, api.put_upload_part

    async def dressed_prepare(*args: Any, **options: Any) -> Dict[str, Any]:
        reply: Dict[str, Any] = await prepare(*args, **options)
        parts: List[Dict[str, Any]] = reply["parts"]
        for part in parts:
            part["presigned_url"] = part["presigned_url"].replace("http:", "https:", 1)
        return reply

    async def undressed_put(url: str, data: bytes, **options: Any) -> Any:
        return await put(url.replace("https:", "http:", 1), data, **options)

    api.post_upload_prepare, api.put_upload_part = dressed_prepare, undressed_put


LIBRARY = "qqchunk"
PEERS: Dict[str, Type[Client]] = {"qqbot-agent-sdk": AgentSdk, "qq-botpy-sdk": BotpySdk}
CLIENTS: Dict[str, Type[Client]] = {LIBRARY: Qqchunk, **PEERS, "prototype": LeanPrototype}
