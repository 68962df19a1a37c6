"""The command line: its arguments, and what becomes of errors."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import sys
from typing import Any, Callable, Iterator, Optional, Sequence

from .. import (
    AuthenticationError,
    FileType,
    UploadDailyLimitExceededError,
    UploadError,
    UploadFileTooLargeError,
    __version__,
)
from . import commands

EXIT_FAILED, EXIT_USAGE, EXIT_TOO_MUCH, EXIT_CREDENTIALS, EXIT_INTERRUPTED = 1, 2, 3, 4, 130

_EPILOG = """\
The bot's credentials come from the environment: QQ_BOT_APP_ID, QQ_BOT_CLIENT_SECRET.

exit status: 0 done, 1 failed, 2 wrong usage, 3 over the quota or a size limit,
4 credentials missing or refused, 130 interrupted
"""


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run the command line.

    :param argv: the arguments without the program's name; default: those of the process
    :return: the exit status
    :raises SystemExit: for ``--help``, ``--version`` and wrong usage
    """
    arguments = _parser().parse_args(argv)
    try:
        with _warnings_shown(arguments):
            status: int = arguments.run(arguments)
        sys.stdout.flush()
        return status
    except UploadError as error:  # before its second parents: OSError, ValueError
        return _fail(error, _exit_status(error))
    except KeyboardInterrupt:
        return _fail("interrupted", EXIT_INTERRUPTED)
    except BrokenPipeError:
        # Whoever read our output has left. What is still buffered must not be flushed at exit.
        with open(os.devnull, "w") as nowhere:
            for stream in (sys.stdout, sys.stderr):
                os.dup2(nowhere.fileno(), stream.fileno())
        return EXIT_FAILED
    except OSError as error:
        return _fail(error, EXIT_FAILED)
    except ValueError as error:
        return _fail(error, EXIT_USAGE)


@contextlib.contextmanager
def _warnings_shown(arguments: argparse.Namespace) -> Iterator[None]:
    """Let the library's warnings, its retries above all, appear on standard error."""
    handler = logging.StreamHandler()
    handler.setLevel(logging.WARNING)
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
    with contextlib.suppress(OSError):
        print(f"qqchunk: {what}", file=sys.stderr, flush=True)
    return status


def _exit_status(error: UploadError) -> int:
    if isinstance(error, (UploadDailyLimitExceededError, UploadFileTooLargeError)):
        return EXIT_TOO_MUCH
    return EXIT_CREDENTIALS if isinstance(error, AuthenticationError) else EXIT_FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
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
    emulator = add("emulator", commands.run_emulator, "serve an emulator of the platform")
    demo = add("demo", commands.run_demo, "upload a file to an emulator, check what arrived")

    for command in (upload, send):
        _add_upload_arguments(command)
    for command in (upload, send, hashes, demo):
        command.add_argument("--json", action="store_true", help="print the result as JSON")
    send.add_argument("--text", help="words to go with the file")
    send.add_argument("--reply-to", metavar="MSG_ID", help="the message that this one answers")
    hashes.add_argument("file", metavar="FILE", help="a path, or - for standard input")
    emulator.add_argument("--port", type=_port, default=0, help="default: any free one")
    demo.add_argument("file", metavar="FILE", nargs="?", help="default: one made up")
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


def _port(text: str) -> int:
    if not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: 0 (any free one) to 65535")
    return int(text)
