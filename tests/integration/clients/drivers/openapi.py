"""Drives qqbot-openapi: it has the calls of an upload, the PUTs are its user's own."""

import httpx
import orders
import parts
from qqbot_openapi import auth
from qqbot_openapi.api import API
from qqbot_openapi.http import HTTPClient

auth.TOKEN_URL = orders.TOKEN_URL


async def put(url, block):
    async with httpx.AsyncClient(timeout=orders.TIMEOUT) as session:
        (await session.put(url, content=block)).raise_for_status()


class Client:
    def __init__(self):
        self.tokens = auth.AccessTokenManager(orders.APP_ID, orders.SECRET, orders.API_URL)
        self.http = HTTPClient(orders.API_URL, self.tokens)
        self.api = API(self.http)

    async def send(self, order):
        api, target = self.api, order.target
        if order.chat_type == "c2c":
            prepare, finish = api.post_c2c_upload_prepare, api.post_c2c_upload_part_finish
            files, message = api.post_c2c_file, api.post_c2c_message
        else:
            prepare, finish = api.post_group_upload_prepare, api.post_group_upload_part_finish
            files, message = api.post_group_file, api.post_group_message
        if order.url:
            # As it is called without a word about it: the platform posts the message itself.
            await files(target, 4, url=order.url, file_name=order.name)
            return
        upload_id = await parts.upload(
            order.path.read_bytes(),
            lambda **fields: prepare(target, 4, file_name=order.name, **fields),
            put,
            lambda **fields: finish(target, **fields),
        )
        media = await files(
            target, 4, srv_send_msg=False, file_name=order.name, upload_id=upload_id
        )
        await message(target, msg_type=7, media={"file_info": media["file_info"]})

    async def close(self):
        await self.http.close()
        await self.tokens.close()


async def open_client():
    return Client()


orders.serve(open_client)
