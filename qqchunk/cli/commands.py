"""What each command does: its result on standard output, all else on standard error."""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import json
import os
import sys
from typing import Any, Callable, Dict, Union

from .. import (
    AuthenticationError,
    ChatType,
    FileType,
    Progress,
    Uploader,
    UploadResult,
    format_size,
    hash_file,
)
from . import streams


def run_upload(arguments: argparse.Namespace) -> int:
    """Upload a file and print its ``file_info``."""
    with _uploader(arguments) as uploader:
        result = uploader.upload(**_file_and_chat(arguments))
    return give_result(result, arguments)


def run_send(arguments: argparse.Namespace) -> int:
    """Upload a file, send it as a message and print the message id."""
    with _uploader(arguments) as uploader:
        reply = uploader.send(
            **_file_and_chat(arguments), content=arguments.text, msg_id=arguments.reply_to
        )
    message_id = reply.get("id")
    if not arguments.json and not message_id:
        say(arguments, "sent; the platform gave no message id")
        return 0
    text = json.dumps(reply) if arguments.json else str(message_id)
    return _give(text, "the message is sent, do not send it again")


def run_hash(arguments: argparse.Namespace) -> int:
    """Print the digests of a file."""
    hashes = dataclasses.asdict(hash_file(_file(arguments)))
    if arguments.json:
        streams.write(json.dumps(hashes))
    else:
        streams.write("\n".join(f"{name:<8}{value}" for name, value in hashes.items()))
    return 0


def _uploader(arguments: argparse.Namespace) -> Uploader:
    try:
        return Uploader.from_env(api_url=arguments.api_url, token_url=arguments.token_url)
    except ValueError as error:
        if all(os.environ.get(name) for name in ("QQ_BOT_APP_ID", "QQ_BOT_CLIENT_SECRET")):
            raise
        missing = AuthenticationError(str(error))
    raise missing


def _file_and_chat(arguments: argparse.Namespace) -> Dict[str, Any]:
    """The arguments that ``upload`` and ``send`` have in common."""
    if arguments.file == "-" and not arguments.name:
        raise ValueError("give standard input a name: --name holiday.mp4")
    return {
        "chat_type": ChatType.GROUP if arguments.user is None else ChatType.C2C,
        "target_id": arguments.group if arguments.user is None else arguments.user,
        "file": _file(arguments),
        "file_type": FileType[arguments.type.upper()] if arguments.type else None,
        "file_name": arguments.name,
        "progress": progress_for(arguments),
        "deadline": arguments.deadline,
    }


def _file(arguments: argparse.Namespace) -> Any:
    if arguments.file != "-":
        return arguments.file
    if sys.stdin is None:
        raise ValueError("standard input is closed - give a path in place of -")
    return sys.stdin.buffer


def progress_for(arguments: argparse.Namespace) -> Union[None, bool, Callable[[Progress], None]]:
    """Return what ``upload`` takes as *progress*."""
    if has_bar(arguments):
        return True
    return None if arguments.quiet else _Lines(arguments)


def has_bar(arguments: argparse.Namespace) -> bool:
    """Say whether progress is shown by tqdm's bar."""
    return not arguments.quiet and importlib.util.find_spec("tqdm") is not None


class _Lines:
    """Progress as plain lines: one for each stage, and one for each quarter of the bytes."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments = arguments
        self._last = ""

    def __call__(self, progress: Progress) -> None:
        line = progress.stage
        if progress.uploaded_bytes and progress.total_bytes:
            quarter = 4 * progress.uploaded_bytes // progress.total_bytes
            line += f": {25 * quarter} % of {format_size(progress.total_bytes)}"
        if line != self._last:
            self._last = line
            say(self._arguments, line)


def give_result(result: UploadResult, arguments: argparse.Namespace) -> int:
    """Print what an upload brought; the exit status."""
    expires_at = result.expires_at.isoformat(timespec="seconds") if result.expires_at else None
    text = result.file_info
    if arguments.json:
        names = ("file_info", "file_uuid", "ttl", "reused")
        fields = {name: getattr(result, name) for name in names}
        text = json.dumps({**fields, "expires_at": expires_at})
    else:
        say(arguments, f"file_info, valid until {expires_at}:" if expires_at else "file_info:")
    return _give(text, "the file is uploaded, but its file_info is lost")


def _give(text: str, done: str) -> int:
    """Print a result; what is done stays done if nobody takes its result."""
    try:
        streams.write(text)
    except streams.OutputLost as lost:
        streams.say(f"{done} - {str(lost) or 'nobody reads standard output'}")
    return 0


def say(arguments: argparse.Namespace, text: str) -> None:
    """Write a message to standard error, unless it is to be quiet there."""
    if not arguments.quiet:
        streams.say(text)
