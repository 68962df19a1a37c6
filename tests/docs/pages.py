"""The pages of both languages, read: their examples, their commands, their tables, their links."""

from __future__ import annotations

import functools
import io
import pathlib
import re
import textwrap
from dataclasses import dataclass
from typing import Dict, List, Optional, Tuple

import docutils.core
from docutils import nodes

import qqchunk

PACKAGE = pathlib.Path(qqchunk.__file__).parent
ROOT = PACKAGE.parent
LANGUAGES = ["en", "zh"]


def paths(language: str) -> Dict[str, str]:
    """Name → path of the pages in that language: the README, and what lies in docs."""
    readme, folder = {"en": ("README.rst", "docs"), "zh": ("README.zh.rst", "docs/zh")}[language]
    found = sorted((ROOT / folder).glob("*.rst"))
    return {"README": readme, **{path.stem: f"{folder}/{path.name}" for path in found}}


PATHS = [path for language in LANGUAGES for path in paths(language).values()]


@functools.lru_cache(maxsize=None)
def parse(path: str) -> Tuple[nodes.document, str]:
    """The document, and what docutils had to say about it."""
    complaints = io.StringIO()
    document = docutils.core.publish_doctree(
        (ROOT / path).read_text(encoding="utf-8"),
        source_path=path,
        settings_overrides={
            "warning_stream": complaints,
            "syntax_highlight": "none",
            "input_encoding": "unicode",
            "_disable_config": True,
        },
    )
    return document, complaints.getvalue()


def document(path: str) -> nodes.document:
    return parse(path)[0]


# -------------------------------------------------------------------------------- code blocks


@dataclass(frozen=True)
class Block:
    """A block of code, and what the comment ``.. example: …`` before it says; else empty."""

    language: str
    label: str
    code: str


@dataclass(frozen=True)
class Example:
    """A Python block and the comment before it: ``.. example: name, option, option``."""

    path: str
    name: str
    options: Tuple[str, ...]
    code: str

    def __str__(self) -> str:
        return f"{self.path}-{self.name}"

    @property
    def file_name(self) -> Optional[str]:
        """The file that the reader is to put it into, if its first line names one."""
        first = self.code.partition("\n")[0]
        return first[2:] if first.startswith("# ") and first.endswith(".py") else None

    @property
    def is_test(self) -> bool:
        return (self.file_name or "").startswith("test_")


# docutils would take a second for all pages, in every process that collects the tests.
# test_blocks_are_those_that_docutils_finds compares the two.
BLOCK = re.compile(
    r"(?:^\.\. example: (?P<label>.+)\n\n)?"
    r"^\.\. code-block:: (?P<language>\S+)\n\n(?P<code>(?:   .*\n|\n)+)", re.MULTILINE)


@functools.lru_cache(maxsize=None)
def blocks(path: str) -> List[Block]:
    text = (ROOT / path).read_text(encoding="utf-8")
    return [
        Block(found["language"], found["label"] or "", textwrap.dedent(found["code"]).rstrip())
        for found in BLOCK.finditer(text)]


def code_of(path: str, language: str) -> List[str]:
    return [block.code for block in blocks(path) if block.language == language]


def read_examples(path: str) -> List[Example]:
    found = []
    for block in blocks(path):
        if block.language == "python":
            label = block.label or "(no name) " + block.code.partition("\n")[0]
            name, *options = label.split(", ")
            found.append(Example(path, name, tuple(options), block.code))
    return found


def read_commands(path: str) -> List[str]:
    lines = [line for code in code_of(path, "console") for line in code.splitlines()]
    return [line[2:] for line in lines if line.startswith("$ ")]


EXAMPLES = [example for path in PATHS for example in read_examples(path)]
COMMANDS = [command for path in paths("en").values() for command in read_commands(path)]


# ------------------------------------------------------------------------- sections and tables


def section(path: str, target: str) -> nodes.section:
    (found,) = [s for s in document(path).findall(nodes.section) if target in s["names"]]
    return found


def first_column(part: nodes.Element) -> List[str]:
    """The literals in the first column of the tables in *part*, in order."""
    return [
        literal.astext()
        for row in part.findall(nodes.row)
        for literal in row.children[0].findall(nodes.literal)
    ]


def targets(path: str) -> List[str]:
    """The names of the sections that have one in both languages, in order."""
    page = document(path)
    return [
        name
        for found in page.findall(nodes.section)
        for name in found["names"]
        if page.nametypes[name]
    ]
