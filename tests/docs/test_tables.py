"""What the pages list is all there is: options, attributes, errors, codes, modules."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
from typing import Any, Set

import pytest
from docutils import nodes

import qqchunk
from qqchunk import Uploader
from qqchunk.cli import main as cli
from qqchunk.emulator import Emulator
from qqchunk.emulator.faults import KINDS
from qqchunk.emulator.journal import STAGES
from qqchunk.errors import Again
from qqchunk.protocol.codes import RULES, UNDER_REVIEW

from tests.docs.pages import LANGUAGES, PACKAGE, PATHS, document, first_column, paths, section


@pytest.fixture(params=LANGUAGES)
def language(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def part(language: str, page: str, target: str) -> nodes.section:
    return section(paths(language)[page], target)


def test_every_public_name_is_mentioned(language: str) -> None:
    text = "\n".join(document(path).astext() for path in paths(language).values())
    names = {name for name in qqchunk.__all__ if name[0] != "_"}
    assert len(names) > 15
    assert [name for name in sorted(names) if name not in text] == []


def test_error_table_names_every_exception(language: str) -> None:
    errors = {
        name for name in qqchunk.__all__
        if isinstance(getattr(qqchunk, name), type)
        and issubclass(getattr(qqchunk, name), Exception)
    }
    assert len(errors) == 12
    assert errors == set(first_column(part(language, "README", "errors")))


def test_attribute_table_names_every_attribute(language: str) -> None:
    assert set(vars(qqchunk.UploadError())) <= set(first_column(part(language, "guide", "errors")))


@pytest.mark.parametrize("function", [
    Uploader, Uploader.upload, Uploader.send, Uploader.upload_url], ids=lambda f: f.__name__)
def test_argument_table_has_every_argument_and_its_default(function: Any, language: str) -> None:
    (table,) = part(language, "guide", "arguments").findall(nodes.table)
    listed = {}
    for row in list(table.findall(nodes.row))[1:]:
        name, functions, default, _ = (cell.astext() for cell in row.children)
        if function.__name__ in re.findall(r"\w+", functions):
            listed[name] = ast.literal_eval(default) if default else inspect.Parameter.empty
    arguments = inspect.signature(function).parameters.values()
    # The platform has its place in every other test: Uploader's defaults are today's.
    assert listed == {a.name: a.default for a in arguments if a.name != "self"}


def test_result_table_names_every_attribute(language: str) -> None:
    fields = [field.name for field in dataclasses.fields(qqchunk.UploadResult)]
    assert sorted(first_column(part(language, "guide", "sending"))) == sorted(fields)


def test_progress_table_names_every_attribute(language: str) -> None:
    fields = {field.name for field in dataclasses.fields(qqchunk.Progress)}
    assert fields <= set(first_column(part(language, "guide", "progress")))


def test_exit_codes_are_those_of_the_command_line(language: str) -> None:
    (table,) = part(language, "guide", "command-line").findall(nodes.table)
    listed = [int(row.children[0].astext()) for row in list(table.findall(nodes.row))[1:]]
    codes = [value for name, value in vars(cli).items() if name.startswith("EXIT_")]
    assert sorted(listed) == sorted([0, *codes])


def test_emulator_tables_have_every_option_and_no_other_name(language: str) -> None:
    column = first_column(part(language, "testing", "emulator"))
    listed = {re.sub(r"\(.*", "", name) for name in column}
    options = set(inspect.signature(Emulator).parameters)
    assert len(listed) == len(column)
    assert options <= listed
    assert [name for name in listed - options if not hasattr(Emulator(), name)] == []


def test_fault_kinds_exist(language: str) -> None:
    (paragraph,) = [
        p for p in part(language, "testing", "emulator").findall(nodes.paragraph)
        if "reset_midway" in p.astext()
    ]
    named = [literal.astext() for literal in paragraph.findall(nodes.literal)]
    known = {*KINDS, *STAGES, "any", "part", "times", "after", "chance"}
    assert [name for name in named if name not in known and "(" not in name] == []
    assert set(STAGES) <= set(named)


@pytest.mark.parametrize("path", PATHS)
def test_platform_codes_are_in_the_table_of_codes(path: str) -> None:
    found: Set[int] = set()
    for kind in (nodes.paragraph, nodes.title):
        for node in document(path).findall(kind):
            found |= {int(number) for number in re.findall(r"\b\d{5,8}\b", node.astext())}
    assert found <= {*RULES, *UNDER_REVIEW}


def test_table_of_retries_has_every_code_that_is_tried_again(language: str) -> None:
    (table,) = part(language, "guide", "timeouts").findall(nodes.table)
    listed = {
        int(number)
        for row in list(table.findall(nodes.row))[1:]
        for number in re.findall(r"\b\d{5,8}\b", row.children[0].astext())
    }
    assert listed == {code for code, rule in RULES.items() if rule.again is not Again.NEVER}


def test_symptoms_and_what_is_tried_again_name_codes(language: str) -> None:
    places = ("README", "symptoms"), ("guide", "timeouts"), ("troubleshooting", "troubleshooting")
    for page, target in places:
        assert re.search(r"\b\d{5,8}\b", part(language, page, target).astext())


def test_quoted_messages_are_those_of_the_package(language: str) -> None:
    said = "\n".join(
        node.value.lower()
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
    symptoms = part(language, "troubleshooting", "troubleshooting")
    texts = [row.children[0].astext() for row in symptoms.findall(nodes.row)]
    texts.append(part(language, "recipes", "proxy").astext())
    quoted = {quote for text in texts for quote in re.findall('"([a-zA-Z \',]{12,})"', text)}
    assert len(quoted) > 8
    assert [quote for quote in sorted(quoted) if quote.lower() not in said] == []


def test_module_map_names_every_module(language: str) -> None:
    (table,) = part(language, "internals", "modules").findall(nodes.table)
    listed = {}
    for row in list(table.findall(nodes.row))[1:]:
        room, _, modules = row.children
        listed[room.astext()] = [literal.astext() for literal in modules.findall(nodes.literal)]
    rooms = {
        path.stem: sorted(file.stem for file in path.glob("*.py") if file.stem != "__init__")
        for path in PACKAGE.iterdir()
        if path.suffix in ("", ".py") and not path.stem.startswith("__")
    }
    assert listed == rooms


def test_files_named_for_a_change_are_there(language: str) -> None:
    (table,) = part(language, "internals", "changing").findall(nodes.table)
    named = {
        literal.astext() for literal in table.findall(nodes.literal)
        if literal.astext().endswith(".py")
    }
    tests = PACKAGE.parent / "tests"
    assert len(named) > 10
    assert [n for n in sorted(named) if not ((PACKAGE / n).exists() or (tests / n).exists())] == []
