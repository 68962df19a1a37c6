"""One line in the log for each file: sent or not, to whom, how large, how long it took."""

from __future__ import annotations

import logging
import os
import time
from typing import Any, Dict

from qqchunk import Uploader, UploadError, format_size

log = logging.getLogger("bot.files")


def set_up_logging() -> None:
    """Write this module's lines, and the retries of qqchunk, with the time before them."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("qqchunk").setLevel(logging.WARNING)
    logging.getLogger("urllib3").setLevel(logging.INFO)  # its DEBUG lines hold signed URLs


def send_file(
    uploader: Uploader, chat_type: str, openid: str, path: str, **options: Any
) -> Dict[str, Any]:
    """Send the file at *path*, and say in one line what became of it."""
    began = time.monotonic()
    try:
        reply = uploader.send(chat_type, openid, path, **options)
    except UploadError as error:
        log.error("not sent to %s %s: %s", chat_type, openid, error)
        raise
    log.info(
        "%s (%s) sent to %s %s in %.1f s", os.path.basename(path),
        format_size(os.path.getsize(path)), chat_type, openid, time.monotonic() - began)
    return reply
