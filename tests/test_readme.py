"""The READMEs: what they print runs, what they list is all there is, and both say the same."""

from __future__ import annotations

import ast
import contextlib
import importlib.metadata
import inspect
import io
import os
import pathlib
import re
import shlex
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterator, List, Optional, Set, Tuple

import docutils.core
import pytest
from docutils import nodes

import qqchunk
from qqchunk import Uploader, cli
from qqchunk.emulator import Emulator
from qqchunk.emulator.faults import KINDS

PACKAGE = pathlib.Path(qqchunk.__file__).parent
ROOT = PACKAGE.parent
READMES = ["README.rst", "README.zh.rst"]

OPENID = "0123456789ABCDEF0123456789ABCDEF"
GROUP_OPENID = "FEDCBA9876543210FEDCBA9876543210"

# ------------------------------------------------------------------------- reading a README


def parse(name: str) -> Tuple[nodes.document, str]:
    """The document, and what docutils had to say about it."""
    complaints = io.StringIO()
    document = docutils.core.publish_doctree(
        (ROOT / name).read_text(encoding="utf-8"),
        source_path=name,
        settings_overrides={
            "warning_stream": complaints,
            "syntax_highlight": "none",
            "input_encoding": "unicode",
            "_disable_config": True,
        },
    )
    return document, complaints.getvalue()


@dataclass(frozen=True)
class Example:
    """A Python block and the comment before it: ``.. example: name, option, option``."""

    readme: str
    name: str
    options: Tuple[str, ...]
    code: str
    line: int


def language(block: nodes.literal_block) -> Optional[str]:
    classes = [name for name in block["classes"] if name != "code"]
    return classes[0] if classes else None


def before(block: nodes.Node) -> str:
    siblings = block.parent.children
    position = siblings.index(block)
    previous = siblings[position - 1] if position else None
    return previous.astext() if isinstance(previous, nodes.comment) else ""


def literal_blocks(document: nodes.document, wanted: str) -> List[nodes.literal_block]:
    return [b for b in document.findall(nodes.literal_block) if language(b) == wanted]


def read_examples(readme: str) -> List[Example]:
    found = []
    for block in literal_blocks(DOCUMENTS[readme], "python"):
        label = before(block).partition("example: ")[2] or f"(no name) line {block.line}"
        name, *options = label.split(", ")
        found.append(Example(readme, name, tuple(options), block.astext(), block.line or 0))
    return found


def read_commands(readme: str) -> List[str]:
    lines = [
        line
        for block in literal_blocks(DOCUMENTS[readme], "console")
        for line in block.astext().splitlines()
    ]
    return [line[2:] for line in lines if line.startswith("$ ")]


def section(document: nodes.document, target: str) -> nodes.section:
    (found,) = [s for s in document.findall(nodes.section) if target in s["names"]]
    return found


def first_column(document: nodes.document, target: str) -> List[str]:
    """The literals in the first column of a section's tables, in order."""
    return [
        literal.astext()
        for row in section(document, target).findall(nodes.row)
        for literal in row.children[0].findall(nodes.literal)
    ]


PARSED = {readme: parse(readme) for readme in READMES}
DOCUMENTS = {readme: document for readme, (document, _) in PARSED.items()}
EXAMPLES = [example for readme in READMES for example in read_examples(readme)]
COMMANDS = read_commands("README.rst")


@pytest.fixture(params=READMES)
def document(request: pytest.FixtureRequest) -> nodes.document:
    return DOCUMENTS[request.param]


# ---------------------------------------------------------------------- where the examples run


@pytest.fixture
def platform(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Emulator]:
    """An emulator in the place of the platform, and the reader's files in the directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    write_files(tmp_path)
    with Emulator(app_id="app id", client_secret="client secret") as emulator:
        defaults = Uploader.__init__.__kwdefaults__
        monkeypatch.setitem(defaults, "api_url", emulator.api_url)
        monkeypatch.setitem(defaults, "token_url", emulator.token_url)
        monkeypatch.setenv("QQ_BOT_APP_ID", emulator.app_id)
        monkeypatch.setenv("QQ_BOT_CLIENT_SECRET", emulator.client_secret)
        monkeypatch.setenv("QQ_BOT_API_URL", emulator.api_url)
        monkeypatch.setattr("getpass.getpass", lambda prompt="": emulator.client_secret)
        yield emulator


def write_files(directory: pathlib.Path) -> None:
    import gzip

    (directory / "holiday.mp4").write_bytes(os.urandom(300_000))
    for name in ("report.pdf", "photo.jpg"):
        (directory / name).write_bytes(os.urandom(5000))
    (directory / "notes.txt").write_text("milk\n")
    with gzip.open(directory / "log.txt.gz", "wb") as file:
        file.write(b"all is well\n" * 100)
