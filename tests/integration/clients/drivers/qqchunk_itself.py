"""Drives qqchunk, for the comparison."""

import asyncio

import orders
from qqchunk import Uploader


class Client:
    def __init__(self):
        self.uploader = Uploader(
            orders.APP_ID, orders.SECRET, api_url=orders.API_URL, token_url=orders.TOKEN_URL
        )

    async def send(self, order):
        await asyncio.to_thread(self._send, order)

    def _send(self, order):
        file = order.path
        if order.url:
            file = self.uploader.upload_url(
                order.chat_type, order.target, order.url, file_name=order.name
            )
        self.uploader.send(order.chat_type, order.target, file)

    async def close(self):
        self.uploader.close()


async def open_client():
    return Client()


orders.serve(open_client)
