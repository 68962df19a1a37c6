"""Drives qq-botpy-sdk: a client that is logged in, without its gateway."""

import botpy
import orders
from botpy.protocol.models import ReplyTarget
from botpy.robot import Token


class Client:
    def __init__(self):
        self.bot = botpy.Client(
            botpy.Intents.none(),
            timeout=orders.TIMEOUT,
            base_url=orders.API_URL,
            token_base_url=orders.API_URL,
            ext_handlers=False,
        )
        self.bot.http._token = Token(orders.APP_ID, orders.SECRET, base_url=orders.API_URL)

    async def send(self, order):
        target = ReplyTarget(order.chat_type, order.target)
        if order.url:
            await self.bot.send_file(target, url=order.url, file_name=order.name)
        else:
            await self.bot.send_file(target, local_path=order.path)

    async def close(self):
        await self.bot.close()


async def open_client():
    return Client()


orders.serve(open_client)
