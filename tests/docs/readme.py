"""The READMEs, read: their examples, their commands, their tables."""

from __future__ import annotations

import io
import pathlib
from dataclasses import dataclass
from typing import List, Optional, Tuple

import docutils.core
from docutils import nodes

import qqchunk

PACKAGE = pathlib.Path(qqchunk.__file__).parent
ROOT = PACKAGE.parent
READMES = ["README.rst", "README.zh.rst"]


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
