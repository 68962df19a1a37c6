"""The commands that start an emulator: to serve a bot, and to show what the library does."""

from __future__ import annotations

import argparse
import contextlib
import ipaddress
import json
import os
import socket
import tempfile
import time
from typing import TYPE_CHECKING, Any, Dict, Iterator, NoReturn, Optional

from .. import ChatType, Uploader, format_size, hash_file
from . import streams
from .commands import give_result, progress_for, say
from .shells import SHELLS, comment, guess_shell

if TYPE_CHECKING:
    from ..emulator import Emulator, Fault

_DEMO_SIZE = 8 << 20  # bytes of the file that the demo makes up
_DEMO_BLOCK_SIZE = 1 << 20  # bytes; small, so that there are several parts to show
_PAGE_TIME = 10.0  # seconds for the browser to come
_OPENID = "0123456789ABCDEF0123456789ABCDEF"


def run_emulator(arguments: argparse.Namespace) -> int:
    """Serve an emulator until Ctrl-C; print what points a bot at it, then a line for each call."""
    from ..emulator import Emulator
    from .watching import CallLog

    if not _is_loopback(arguments.host):
        streams.say(
            f"anyone who reaches {arguments.host} may use this emulator and read what is sent to "
            "it - keep real files and secrets away from it")
    every_address = arguments.host in ("", "0.0.0.0")
    name = socket.gethostname() if every_address else None  # what the others call this machine
    emulator = Emulator(
        host=arguments.host, port=arguments.port, storage_host=name, faults=arguments.faults)
    try:
        emulator.start()
    except OSError as error:
        where = f"{arguments.host} port {arguments.port}"
        reason = error.strerror or error
        raise OSError(f"{where}: {reason} - give another --host or --port") from None
    with emulator:
        if not arguments.quiet:
            emulator.watch(CallLog(streams.put))
        try:
            streams.write("\n".join(_exports(emulator, arguments.shell, name)))
        except streams.OutputLost as lost:
            streams.say(f"the exports are lost - {str(lost) or 'nobody reads standard output'}")
        url = emulator.inbox_url.replace("//0.0.0.0:", f"//{name}:", 1)
        say(arguments, f"the emulator serves until Ctrl-C; see what arrives at {url}")
        _wait_for_ctrl_c()


def _wait_for_ctrl_c() -> NoReturn:
    while True:
        time.sleep(1)  # in turns: a signal may come just before it


def _exports(emulator: Emulator, shell: Optional[str], host: Optional[str]) -> Iterator[str]:
    shell = shell or guess_shell(os.environ)
    for name in ("app_id", "client_secret", "api_url", "token_url"):
        value = getattr(emulator, name)
        if host is not None:
            value = value.replace("//0.0.0.0:", f"//{host}:", 1)
        yield SHELLS[shell](f"QQ_BOT_{name.upper()}", value)
    yield comment(shell, f"qqchunk upload FILE --user {_OPENID}")


def fault(text: str) -> Fault:
    """Read ``STAGE=KIND[,TIMES][,OPTION=VALUE…]``, the arguments of a :class:`Fault`.

    :raises argparse.ArgumentTypeError: if it is none; says why
    """
    from ..emulator import Fault

    stage, equals, rest = text.partition("=")
    kind, *more = rest.split(",")
    options: Dict[str, Any] = {}
    for item in more:
        name, _, value = item.rpartition("=")
        options[name or "times"] = _value(value)
    try:
        if not equals:
            raise ValueError(f"{text!r} is not STAGE=KIND, as in finish=busy,3")
        return Fault(stage, kind, **options)
    except ValueError as error:
        reason = str(error)
    except TypeError:
        reason = f"{text!r} has a word where a number belongs"
    raise argparse.ArgumentTypeError(reason)


def _value(text: str) -> object:
    if text in ("always", "none"):
        return None
    try:
        value: object = json.loads(text)
    except ValueError:
        return text
    return value


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


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
        if arguments.open:
            _open_page(emulator)
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
            ChatType.C2C, _OPENID, file, file_name=file_name, progress=progress_for(arguments)
        )
        sent, received = hash_file(file), hash_file(emulator.received(result.file_info))
        if received != sent:
            streams.say(f"the emulator received something else than {file_name}")
            return 1
        size_in_words = format_size(sent.size)
        say(arguments, f"the emulator received {file_name} whole: {size_in_words}, md5 {sent.md5}")
        status = give_result(result, arguments)
        if arguments.open:
            uploader.send(ChatType.C2C, _OPENID, result, content="the demo's file")
            streams.say(f"see it at {emulator.inbox_url} until Ctrl-C")
            with contextlib.suppress(KeyboardInterrupt):
                _wait_for_ctrl_c()
        else:
            say(arguments, "see it arrive in a browser with: qqchunk demo --open")
        return status


def _open_page(emulator: Emulator) -> None:
    """Open the inbox, and give the browser a moment to be there before the file is."""
    import webbrowser  # slow, and of use here alone

    if not webbrowser.open(emulator.inbox_url):
        streams.say(f"there is no browser to open: go to {emulator.inbox_url}")
    give_up = time.monotonic() + _PAGE_TIME
    while not emulator.open_connections and time.monotonic() < give_up:
        time.sleep(0.1)


@contextlib.contextmanager
def _made_up_file() -> Iterator[Any]:
    with tempfile.TemporaryFile() as file:
        file.write(os.urandom(_DEMO_SIZE))
        yield file
