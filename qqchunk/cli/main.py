"""The command line: its arguments, and what becomes of errors."""

from __future__ import annotations

import argparse
import contextlib
import logging
import sys
from typing import Any, Callable, Iterator, NoReturn, Optional, Sequence

from .. import (
    AuthenticationError,
    FileType,
    UploadDailyLimitExceededError,
    UploadError,
    UploadFileTooLargeError,
    __version__,
)
from . import commands, emulating
from .shells import SHELLS
from .streams import OutputLost, flush, put, say, usable

EXIT_FAILED, EXIT_USAGE, EXIT_TOO_MUCH, EXIT_CREDENTIALS, EXIT_INTERRUPTED = 1, 2, 3, 4, 130

_EPILOG = """\
The bot's credentials come from the environment: QQ_BOT_APP_ID, QQ_BOT_CLIENT_SECRET;
other hosts than the platform's likewise: QQ_BOT_API_URL, QQ_BOT_TOKEN_URL.

exit status: 0 done, 1 failed, 2 wrong usage, 3 over the quota or a size limit,
4 credentials missing or refused, 130 interrupted
"""


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run the command line.

    :param argv: the arguments without the program's name; default: those of the process
    :return: the exit status
    :raises SystemExit: for ``--help``, ``--version`` and wrong usage
    """
    with usable():
        try:
            arguments = _arguments(argv)
            with _warnings_shown(arguments):
                status: int = arguments.run(arguments)
            return status
        except UploadError as error:  # before its second parents: OSError, ValueError
            return _fail(error, _exit_status(error))
        except KeyboardInterrupt:
            advice = _INTERRUPTED.get(arguments.run, "run it again to start over")
            return _fail(f"interrupted - {advice}", EXIT_INTERRUPTED)
        except OutputLost as lost:
            return _fail(lost, EXIT_FAILED)
        except OSError as error:
            return _fail(_in_words(error), EXIT_FAILED)
        except ImportError as error:  # a tqdm that is there and broken
            return _fail(f"{error}; or --quiet", EXIT_FAILED)
        except ValueError as error:
            return _fail(error, EXIT_USAGE)


_INTERRUPTED = {
    commands.run_send: "look whether the message has arrived before you send it again",
    emulating.run_emulator: "the emulator has ended, and what it held is gone",
}


def _arguments(argv: Optional[Sequence[str]]) -> argparse.Namespace:
    try:
        return _parser().parse_args(argv)
    except SystemExit:
        flush()  # the help may be lost as any output
        raise


class _Warnings(logging.Handler):
    """Shows log records on standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        put(self.format(record))


@contextlib.contextmanager
def _warnings_shown(arguments: argparse.Namespace) -> Iterator[None]:
    """Let the library's warnings, its retries above all, appear on standard error."""
    handler = _Warnings(logging.WARNING)
    handler.setFormatter(logging.Formatter(_after_bar(arguments) + "qqchunk: %(message)s"))
    logger = logging.getLogger("qqchunk")
    if not arguments.quiet:
        logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def _after_bar(arguments: argparse.Namespace) -> str:
    """What leads from the bar, which stays on its line, to an empty line."""
    if not commands.has_bar(arguments):
        return ""
    return "\r\x1b[K" if sys.stderr.isatty() else "\n"


def _fail(what: object, status: int) -> int:
    if str(what):
        say(what)
    return status


_ADVICE = {
    FileNotFoundError: "check the path",
    IsADirectoryError: "pack it first, with tar or zip, and give that file",
    PermissionError: "let this user read it, or give a copy",
}


def _in_words(error: OSError) -> str:
    if error.filename is None:
        return str(error)
    what = f"{error.filename or 'no name'}: {error.strerror}"
    advice = _ADVICE.get(type(error))
    return f"{what} - {advice}" if advice else what


def _exit_status(error: UploadError) -> int:
    if isinstance(error, (UploadDailyLimitExceededError, UploadFileTooLargeError)):
        return EXIT_TOO_MUCH
    return EXIT_CREDENTIALS if isinstance(error, AuthenticationError) else EXIT_FAILED


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """End with status 2 also where standard error takes nothing."""
        put(f"{self.format_usage()}{self.prog}: {message} - see {self.prog} --help")
        raise SystemExit(EXIT_USAGE)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="qqchunk",
        description="Upload files to QQ chats as a bot.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"qqchunk {__version__}")
    subparsers = parser.add_subparsers(metavar="COMMAND", dest="command", required=True)

    def add(name: str, run: Callable[[argparse.Namespace], int], text: str) -> Any:
        command = subparsers.add_parser(
            name,
            help=text,
            description=text.capitalize() + ".",
            epilog=_EPILOG,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.set_defaults(run=run)
        command.add_argument("--quiet", action="store_true", help="no bar; messages on errors only")
        return command

    upload = add("upload", commands.run_upload, "upload a file and print its file_info")
    send = add("send", commands.run_send, "upload a file, send it, print the message's id")
    hashes = add("hash", commands.run_hash, "print the digests that the platform asks for")
    emulator = add("emulator", emulating.run_emulator, "serve an emulator of the platform")
    demo = add("demo", emulating.run_demo, "upload a file to an emulator, check what arrived")

    for command in (upload, send):
        _add_upload_arguments(command)
    for command in (upload, send, hashes, demo):
        command.add_argument("--json", action="store_true", help="print the result as JSON")
    send.add_argument("--text", help="words to go with the file")
    send.add_argument("--reply-to", metavar="MSG_ID", help="the message that this one answers")
    hashes.add_argument("file", metavar="FILE", help="a path, or - for standard input")
    _add_emulator_arguments(emulator)
    demo.add_argument("file", metavar="FILE", nargs="?", help="default: one made up")
    demo.add_argument(
        "--open", action="store_true", help="show it in a browser, until Ctrl-C")
    return parser


def _add_upload_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("file", metavar="FILE", help="a path, or - for standard input")
    chat = command.add_mutually_exclusive_group(required=True)
    chat.add_argument("--user", metavar="OPENID", help="the user to send to")
    chat.add_argument("--group", metavar="OPENID", help="the group to send to")
    types = [file_type.name.lower() for file_type in FileType]
    command.add_argument("--type", choices=types, help="default: guessed from the name")
    command.add_argument("--name", help="the name to show in the chat")
    command.add_argument("--api-url", metavar="URL", help="another API host")
    command.add_argument("--token-url", metavar="URL", help="another place to get tokens from")
    command.add_argument(
        "--deadline", type=_seconds, metavar="SECONDS", help="for all of it; then it fails")


def _add_emulator_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("--port", type=_port, default=0, help="default: any free one")
    command.add_argument(
        "--host", default="127.0.0.1", help="where to listen; default: this machine only")
    command.add_argument(
        "--shell", choices=list(SHELLS), help="whose exports to print; default: guessed")
    command.add_argument(
        "--fail", type=emulating.fault, action="append", default=[], dest="faults",
        metavar="STAGE=KIND[,TIMES]",
        help="a fault, once or TIMES times, as in --fail finish=busy,3; may be repeated")


def _seconds(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 < float(text) <= 1e9:
            return float(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds over 0")


def _port(text: str) -> int:
    if not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: 0 (any free one) to 65535")
    return int(text)
