"""What each command does: its result on standard output, all else on standard error."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import importlib.util
import json
import os
import shlex
import sys
import tempfile
import time
from typing import Any, Callable, Dict, Iterator, Union

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

_DEMO_SIZE = 8 << 20  # bytes of the file that the demo makes up
_DEMO_BLOCK_SIZE = 1 << 20  # bytes; small, so that there are several parts to show
_DEMO_OPENID = "0123456789ABCDEF0123456789ABCDEF"


def run_upload(arguments: argparse.Namespace) -> int:
    """Upload a file and print its ``file_info``."""
    with _uploader(arguments) as uploader:
        result = uploader.upload(**_file_and_chat(arguments))
    _print_result(result, arguments)
    return 0


def run_send(arguments: argparse.Namespace) -> int:
    """Upload a file, send it as a message and print the message id."""
    with _uploader(arguments) as uploader:
        reply = uploader.send(
            **_file_and_chat(arguments), content=arguments.text, msg_id=arguments.reply_to
        )
    if arguments.json:
        print(json.dumps(reply))
    elif reply.get("id"):
        print(reply["id"])
    else:
        say(arguments, "sent; the platform gave no message id")
    return 0


def run_hash(arguments: argparse.Namespace) -> int:
    """Print the digests of a file."""
    hashes = dataclasses.asdict(hash_file(_file(arguments)))
    if arguments.json:
        print(json.dumps(hashes))
    else:
        for name, value in hashes.items():
            print(f"{name:<8}{value}")
    return 0


def run_emulator(arguments: argparse.Namespace) -> int:
    """Serve an emulator until Ctrl-C; print what points a bot at it."""
    from ..emulator import Emulator

    with Emulator(port=arguments.port) as emulator:
        print(f"export QQ_BOT_APP_ID={shlex.quote(emulator.app_id)}")
        print(f"export QQ_BOT_CLIENT_SECRET={shlex.quote(emulator.client_secret)}")
        print(
            f"# qqchunk upload FILE --user {_DEMO_OPENID} "
            f"--api-url {emulator.api_url} --token-url {emulator.token_url}",
            flush=True,
        )
        say(arguments, "the emulator serves until Ctrl-C")
        while True:
            time.sleep(3600)


def run_demo(arguments: argparse.Namespace) -> int:
    """Upload a file to an emulator and compare what arrived."""
    from ..emulator import Emulator, Fault

    size = os.path.getsize(arguments.file) if arguments.file else _DEMO_SIZE
    # Loopback is so fast that nobody would see the bar: let it take about two seconds.
    slow = Fault("put", "slow", times=None, bandwidth=max(size // 4, 2 * _DEMO_BLOCK_SIZE))
    with contextlib.ExitStack() as stack:
        emulator = stack.enter_context(
            Emulator(block_size=_DEMO_BLOCK_SIZE, concurrency=2, faults=[slow])
        )
        say(arguments, f"an emulator of the platform listens at {emulator.api_url}")
        file = arguments.file or stack.enter_context(_made_up_file())
        file_name = os.path.basename(arguments.file or "demo.bin")
        uploader = stack.enter_context(
            Uploader(
                emulator.app_id,
                emulator.client_secret,
                api_url=emulator.api_url,
                token_url=emulator.token_url,
            )
        )
        result = uploader.upload(
            ChatType.C2C, _DEMO_OPENID, file, file_name=file_name, progress=_progress(arguments)
        )
        sent, received = hash_file(file), hash_file(emulator.received(result.file_info))
    if received != sent:
        print(f"qqchunk: the emulator received something else than {file_name}", file=sys.stderr)
        return 1
    say(
        arguments,
        f"the emulator received {file_name} whole: {format_size(sent.size)}, md5 {sent.md5}",
    )
    _print_result(result, arguments)
    return 0


@contextlib.contextmanager
def _made_up_file() -> Iterator[Any]:
    with tempfile.TemporaryFile() as file:
        file.write(os.urandom(_DEMO_SIZE))
        yield file


def _uploader(arguments: argparse.Namespace) -> Uploader:
    app_id = os.environ.get("QQ_BOT_APP_ID")
    client_secret = os.environ.get("QQ_BOT_CLIENT_SECRET")
    if not app_id or not client_secret:
        raise AuthenticationError("set QQ_BOT_APP_ID and QQ_BOT_CLIENT_SECRET in the environment")
    urls = {"api_url": arguments.api_url, "token_url": arguments.token_url}
    return Uploader(app_id, client_secret, **{name: url for name, url in urls.items() if url})


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
        "progress": _progress(arguments),
    }


def _file(arguments: argparse.Namespace) -> Any:
    if arguments.file != "-":
        return arguments.file
    if sys.stdin is None:
        raise ValueError("standard input is closed")
    return sys.stdin.buffer


def _progress(arguments: argparse.Namespace) -> Union[None, bool, Callable[[Progress], None]]:
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


def _print_result(result: UploadResult, arguments: argparse.Namespace) -> None:
    expires_at = result.expires_at.isoformat(timespec="seconds") if result.expires_at else None
    if arguments.json:
        names = ("file_info", "file_uuid", "ttl", "reused")
        fields = {name: getattr(result, name) for name in names}
        print(json.dumps({**fields, "expires_at": expires_at}))
    else:
        say(arguments, f"file_info, valid until {expires_at}:" if expires_at else "file_info:")
        print(result.file_info)


def say(arguments: argparse.Namespace, text: str) -> None:
    if not arguments.quiet:
        print(f"qqchunk: {text}", file=sys.stderr, flush=True)
