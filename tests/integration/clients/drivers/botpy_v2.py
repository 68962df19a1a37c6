"""Drives qq-botpy-v2: it has the calls of an upload, the PUTs are its user's own."""

import aiohttp
import orders
import parts
from botpy.api import BotAPI
from botpy.http import BotHttp, Route

Route.DOMAIN = orders.HOST
orders.redirect_aiohttp()


async def put(url, block):
    async with aiohttp.ClientSession() as session:
        async with session.put(url, data=block) as reply:
            reply.raise_for_status()


class Client:
    def __init__(self):
        self.http = BotHttp(orders.TIMEOUT, app_id=orders.APP_ID, secret=orders.SECRET)
        self.api = BotAPI(self.http)

    async def send(self, order):
        api, target = self.api, order.target
        if order.chat_type == "c2c":
            prepare, finish = api.post_c2c_upload_prepare, api.post_c2c_upload_part_finish
            files, message = api.post_c2c_file, api.post_c2c_message
        else:
            prepare, finish = api.post_group_upload_prepare, api.post_group_upload_part_finish
            files, message = api.post_group_file, api.post_group_message
        if order.url:
            media = await files(target, 4, url=order.url, file_name=order.name)
        else:
            upload_id = await parts.upload(
                order.path.read_bytes(),
                lambda **fields: prepare(target, 4, file_name=order.name, **fields),
                put,
                lambda **fields: finish(target, **fields),
            )
            media = await files(target, 4, file_name=order.name, upload_id=upload_id)
        await message(target, msg_type=7, media=media)

    async def close(self):
        await self.http.close()


async def open_client():
    return Client()


orders.serve(open_client)
