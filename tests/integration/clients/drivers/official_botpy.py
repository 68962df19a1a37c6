"""Drives the official qq-botpy, which knows files by URL only: that call, then its message."""

import orders
from botpy.api import BotAPI
from botpy.http import BotHttp, Route

Route.DOMAIN = orders.HOST
orders.redirect_aiohttp()


class Client:
    def __init__(self):
        self.http = BotHttp(orders.TIMEOUT, app_id=orders.APP_ID, secret=orders.SECRET)
        self.api = BotAPI(self.http)

    async def send(self, order):
        # The types 1 to 3 are all its document offers.
        if order.chat_type == "c2c":
            media = await self.api.post_c2c_file(order.target, 1, order.url)
            await self.api.post_c2c_message(order.target, msg_type=7, media=media)
        else:
            media = await self.api.post_group_file(order.target, 1, order.url)
            await self.api.post_group_message(order.target, msg_type=7, media=media)

    async def close(self):
        await self.http.close()


async def open_client():
    return Client()


orders.serve(open_client)
