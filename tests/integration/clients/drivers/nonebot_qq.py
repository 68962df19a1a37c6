"""Drives nonebot-adapter-qq: a bot of it, without its gateway."""

import nonebot
import orders
from nonebot.adapters.qq import Adapter, Bot, MessageSegment
from nonebot.adapters.qq.config import BotInfo

nonebot.init(
    driver="~none+~httpx",
    log_level="CRITICAL",
    qq_api_base=orders.API_URL,
    qq_auth_base=orders.TOKEN_URL,
)
adapter = Adapter(nonebot.get_driver())


class Client:
    def __init__(self):
        self.bot = Bot(adapter, orders.APP_ID, BotInfo(id=orders.APP_ID, secret=orders.SECRET))

    async def send(self, order):
        if order.url:
            message = MessageSegment.file(order.url)
        else:
            message = MessageSegment.file_file(order.path)
        if order.chat_type == "c2c":
            await self.bot.send_to_c2c(order.target, message)
        else:
            await self.bot.send_to_group(order.target, message)

    async def close(self):
        pass


async def open_client():
    return Client()


orders.serve(open_client)
