"""Drives qqbot-agent-sdk: its uploader, then its message."""

import os

import orders

os.environ["QQ_API_BASE"] = orders.API_URL
os.environ["QQ_TOKEN_URL"] = orders.TOKEN_URL

import httpx  # noqa: E402
from qqbot_agent_sdk import MediaUploader, QQApiClient  # noqa: E402
from qqbot_agent_sdk.dto import MediaInfo, MessageToCreate  # noqa: E402


class Client:
    def __init__(self):
        self.http = httpx.AsyncClient(timeout=orders.TIMEOUT)
        self.api = QQApiClient(orders.APP_ID, orders.SECRET)
        self.api.setup(self.http)
        self.uploader = MediaUploader(self.api, self.http)

    async def send(self, order):
        source = order.url or str(order.path)
        file_info = await self.uploader.upload(order.chat_type, order.target, source, 4, order.name)
        message = MessageToCreate(
            msg_type=7, msg_seq=self.api.next_msg_seq(), media=MediaInfo(file_info)
        )
        if order.chat_type == "c2c":
            await self.api.post_c2c_message(order.target, message)
        else:
            await self.api.post_group_message(order.target, message)

    async def close(self):
        await self.http.aclose()


async def open_client():
    return Client()


orders.serve(open_client)
