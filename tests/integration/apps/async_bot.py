"""Uploads from an async program: each in a thread of its own, stopped when its task is."""

from __future__ import annotations

import asyncio
import functools
import threading
from typing import Any, Dict

from qqchunk import Uploader


async def send_file(uploader: Uploader, openid: str, path: str) -> Dict[str, Any]:
    """Send a file to a user without holding up the event loop."""
    stop = threading.Event()
    send = functools.partial(uploader.send, "c2c", openid, path, cancel=stop)
    try:
        # From Python 3.9 on: await asyncio.to_thread(send)
        return await asyncio.get_running_loop().run_in_executor(None, send)
    finally:
        stop.set()  # a cancelled task leaves its thread behind: this ends it
