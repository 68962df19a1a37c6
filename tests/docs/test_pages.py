"""The pages themselves: both languages say the same, nothing twice, and every link leads there."""

from __future__ import annotations

import ast
import fnmatch
import os
import posixpath
import re
from collections import Counter
from typing import List, Tuple

import pytest
from docutils import nodes

from tests.docs.pages import (
    LANGUAGES,
    PATHS,
    ROOT,
    Block,
    blocks,
    document,
    first_column,
    parse,
    paths,
    read_commands,
    read_examples,
    section,
    targets,
)

ENGLISH, CHINESE = paths("en"), paths("zh")
BOTH = [(ENGLISH[name], CHINESE[name]) for name in ENGLISH if name in CHINESE]


def test_every_page_is_there_in_both_languages() -> None:
    assert sorted(ENGLISH) == sorted(CHINESE)


@pytest.mark.parametrize("path", PATHS)
def test_page_renders_without_a_warning(path: str) -> None:
    assert parse(path)[1] == ""


def as_docutils_reads(block: nodes.literal_block) -> Block:
    siblings = block.parent.children
    before = siblings[max(siblings.index(block) - 1, 0)]
    comment = before.astext() if isinstance(before, nodes.comment) else ""
    (language,) = [name for name in block["classes"] if name != "code"]
    return Block(language, comment.partition("example: ")[2], block.astext())


@pytest.mark.parametrize("path", PATHS)
def test_blocks_are_those_that_docutils_finds(path: str) -> None:
    found = [b for b in document(path).findall(nodes.literal_block) if "code" in b["classes"]]
    assert [as_docutils_reads(block) for block in found] == blocks(path)


@pytest.mark.parametrize("language", LANGUAGES)
def test_readme_can_be_read_at_one_sitting(language: str) -> None:
    text = (ROOT / paths(language)["README"]).read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 250


@pytest.mark.parametrize("path", PATHS)
def test_page_begins_with_what_it_answers(path: str) -> None:
    page = document(path)
    (title,) = [child for child in page.children if isinstance(child, nodes.title)]
    assert isinstance(page.children[page.children.index(title) + 1], nodes.paragraph)


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_is_said_twice(language: str) -> None:
    said = Counter(
        paragraph.astext()
        for path in paths(language).values()
        for paragraph in document(path).findall(nodes.paragraph)
    )
    assert [text for text, times in said.items() if times > 1 and len(text) > 60] == []


# -------------------------------------------------------------------- the same in both languages


@pytest.mark.parametrize("english, chinese", BOTH)
def test_both_pages_have_the_same_examples(english: str, chinese: str) -> None:
    first, second = (
        [(e.name, e.options, ast.dump(ast.parse(e.code))) for e in read_examples(path)]
        for path in (english, chinese)
    )
    assert first == second


@pytest.mark.parametrize("english, chinese", BOTH)
def test_both_pages_have_the_same_commands(english: str, chinese: str) -> None:
    assert read_commands(english) == read_commands(chinese)


@pytest.mark.parametrize("english, chinese", BOTH)
def test_both_pages_have_the_same_sections_and_rows(english: str, chinese: str) -> None:
    first, second = (
        [(target, sorted(first_column(section(path, target)))) for target in targets(path)]
        for path in (english, chinese)
    )
    assert first and first == second


@pytest.mark.parametrize("english, chinese", BOTH)
def test_both_pages_have_every_section_named(english: str, chinese: str) -> None:
    for path in (english, chinese):
        sections = list(document(path).findall(nodes.section))
        assert len(targets(path)) == len(sections), path


# ----------------------------------------------------------------------------------- the links


def links(path: str) -> List[str]:
    page = document(path)
    references = [node["refuri"] for node in page.findall(nodes.reference) if "refuri" in node]
    return references + [node["uri"] for node in page.findall(nodes.image)]


def local_links(path: str) -> List[Tuple[str, str]]:
    """The links to files of the project: the file, from the root, and the place in it."""
    found = []
    for link in links(path):
        if not re.match("[a-z]+:", link):
            file, _, place = link.partition("#")
            target = posixpath.normpath(posixpath.join(posixpath.dirname(path), file))
            found.append((target if file else path, place))
    return found


@pytest.mark.parametrize("path", PATHS)
def test_links_lead_to_a_file_and_a_place_in_it(path: str) -> None:
    assert local_links(path)
    for file, place in local_links(path):
        assert os.path.isfile(ROOT / file), file
        if place:
            assert place in document(file).ids, f"{file}#{place}"


def packed(file: str) -> bool:
    """Say whether MANIFEST.in puts the file into the source distribution."""
    for line in (ROOT / "MANIFEST.in").read_text(encoding="utf-8").splitlines():
        command, *words = line.split()
        if command == "include" and file in words:
            return True
        if command == "recursive-include" and file.startswith(words[0] + "/"):
            if any(fnmatch.fnmatch(posixpath.basename(file), word) for word in words[1:]):
                return True
    return False


def test_links_lead_somewhere_in_the_source_distribution_as_well() -> None:
    files = {file for path in PATHS for file, _ in local_links(path)} | set(PATHS)
    assert [file for file in sorted(files) if not packed(file)] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_page_can_be_reached_from_the_readme(language: str) -> None:
    linked = {file for file, _ in local_links(paths(language)["README"])}
    assert set(paths(language).values()) - linked - {paths(language)["README"]} == set()


@pytest.mark.parametrize("english, chinese", BOTH)
def test_each_page_leads_to_its_twin(english: str, chinese: str) -> None:
    assert (chinese, "") in local_links(english)
    assert (english, "") in local_links(chinese)
