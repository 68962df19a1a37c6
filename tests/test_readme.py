"""The READMEs: what they print runs, what they list is all there is, and both say the same."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import dataclasses
import functools
import getpass
import gzip
import importlib.metadata
import inspect
import io
import json
import logging
import os
import pathlib
import re
import shlex
import signal
import subprocess
import sys
import types
from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

import django
import docutils.core
import pytest
from django.apps import apps
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import RequestFactory
from docutils import nodes

import qqchunk
from qqchunk import Uploader, cli
from qqchunk.codes import RULES
from qqchunk.emulator import Emulator
from qqchunk.emulator.downloads import DownloadDesk
from qqchunk.emulator.faults import KINDS
from qqchunk.emulator.journal import STAGES

PACKAGE = pathlib.Path(qqchunk.__file__).parent
ROOT = PACKAGE.parent
READMES = ["README.rst", "README.zh.rst"]

OPENID = "0123456789ABCDEF0123456789ABCDEF"
GROUP_OPENID = "FEDCBA9876543210FEDCBA9876543210"
HOLIDAY = os.urandom(3 << 20)

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
def platform(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """An emulator in the place of the platform, and the reader's files in the directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "holiday.mp4").write_bytes(HOLIDAY)
    (tmp_path / "report.pdf").write_bytes(b"%PDF" + os.urandom(5000))
    (tmp_path / "photo.jpg").write_bytes(os.urandom(5000))
    (tmp_path / "photos").mkdir()
    with gzip.open(tmp_path / "log.txt.gz", "wb") as file:
        file.write(b"all is well\n" * 100)
    with Emulator(app_id="app id", client_secret="client secret") as emulator:
        defaults = Uploader.__init__.__kwdefaults__
        monkeypatch.setitem(defaults, "api_url", emulator.api_url)
        monkeypatch.setitem(defaults, "token_url", emulator.token_url)
        for name in ("app_id", "client_secret", "api_url", "token_url"):
            monkeypatch.setenv("QQ_BOT_" + name.upper(), getattr(emulator, name))
        yield emulator


@pytest.fixture(autouse=True)
def same_logging() -> Iterator[None]:
    """Undo what the logging examples set up."""
    loggers = [logging.getLogger(name) for name in (None, "qqchunk", "bot.files")]
    before = [(logger.level, logger.handlers[:]) for logger in loggers]
    yield
    for logger, (level, handlers) in zip(loggers, before):
        logger.setLevel(level)
        logger.handlers[:] = handlers


class Seen:
    """What an example left: its names and its output."""

    def __init__(self) -> None:
        self.names: Dict[str, Any] = {}
        self.output = ""


# What an example needs beside the platform, and what must be seen after it: each is a context
# manager, entered before and left after.
Surroundings = Callable[[Emulator, pytest.MonkeyPatch, Seen], Iterator[None]]
SURROUNDINGS: Dict[str, Surroundings] = {}


def around(name: str) -> Callable[[Surroundings], Surroundings]:
    def register(function: Surroundings) -> Surroundings:
        SURROUNDINGS[name] = function
        return function

    return register


@around("send")
def _(platform: Emulator, monkeypatch: pytest.MonkeyPatch, seen: Seen) -> Iterator[None]:
    yield
    (message,) = platform.messages
    assert message["content"] == "Our holiday"
    assert message["target"] == OPENID
    assert content_of(platform, message) == HOLIDAY
    assert seen.output.startswith("sent: ROBOT")


@around("reply")
def _(platform: Emulator, monkeypatch: pytest.MonkeyPatch, seen: Seen) -> Iterator[None]:
    yield
    assert platform.messages[0]["msg_id"] == "ROBOT1.0_abc"


@around("upload")
def _(platform: Emulator, monkeypatch: pytest.MonkeyPatch, seen: Seen) -> Iterator[None]:
    yield
    assert content_of(platform, seen.names["message"]) == read("report.pdf")


@around("many-chats")
def _(platform: Emulator, monkeypatch: pytest.MonkeyPatch, seen: Seen) -> Iterator[None]:
    yield
    assert platform.count("complete") == 1
    assert len({message["target"] for message in platform.messages}) == 2


@around("upload-url")
def _(platform: Emulator, monkeypatch: pytest.MonkeyPatch, seen: Seen) -> Iterator[None]:
    monkeypatch.setattr(DownloadDesk, "_download", lambda desk, body: body["url"].encode())
    yield
    assert content_of(platform, platform.messages[0]) == b"https://example.com/photo.jpg"


@around("inputs")
def _(platform: Emulator, monkeypatch: pytest.MonkeyPatch, seen: Seen) -> Iterator[None]:
    yield
    assert uploaded_names(platform) == [
        "photo.jpg", "visitors.csv", "drawing.txt", "holiday.mp4", "log.txt"]


@around("progress")
def _(platform: Emulator, monkeypatch: pytest.MonkeyPatch, seen: Seen) -> Iterator[None]:
    yield
    assert seen.output.splitlines()[-1] == "done 100 %, 1 of 1 parts"


@around("rich")
def _(platform: Emulator, monkeypatch: pytest.MonkeyPatch, seen: Seen) -> Iterator[None]:
    yield
    (task,) = seen.names["bars"].tasks
    assert (task.completed, task.total) == (len(HOLIDAY), len(HOLIDAY))


@around("errors")
def _(platform: Emulator, monkeypatch: pytest.MonkeyPatch, seen: Seen) -> Iterator[None]:
    yield
    assert seen.output == "sent\n"
    send_video = seen.names["send_video"]
    with Uploader("app id", "client secret", backoff=0) as seen.names["uploader"]:
        platform.fail("prepare", "code", code=40093002)
        assert send_video("holiday.mp4") == "the bot may not send more files today"
        platform.fail("prepare", "code", code=850012, times=3)
        assert send_video("holiday.mp4") == "QQ is busy, please try again in a minute"
        platform.fail("prepare", "code", code=11255)
        assert send_video("holiday.mp4").startswith("this did not work: holiday.mp4, prepare: ")
    with Uploader("app id", "client secret", max_file_size=1024) as seen.names["uploader"]:
        assert send_video("holiday.mp4") == "holiday.mp4 is too large (3.0 MB, limit 1.0 KB)"


@around("stopping")
def _(platform: Emulator, monkeypatch: pytest.MonkeyPatch, seen: Seen) -> Iterator[None]:
    platform.fail("put", "slow", bandwidth=100_000)
    yield
    assert seen.output == "stopped\n"


@around("helpers")
def _(platform: Emulator, monkeypatch: pytest.MonkeyPatch, seen: Seen) -> Iterator[None]:
    yield
    assert seen.output.splitlines()[1:] == ["3.0 MB", "group 2"]


@around("faults")
def _(platform: Emulator, monkeypatch: pytest.MonkeyPatch, seen: Seen) -> Iterator[None]:
    yield
    assert seen.output == "3145728 bytes in 4 requests\n"


@around("flask")
def _(platform: Emulator, monkeypatch: pytest.MonkeyPatch, seen: Seen) -> Iterator[None]:
    yield
    client = seen.names["app"].test_client()
    files = f"/chats/group/{GROUP_OPENID}/files"
    answer = client.post(files, data={"file": (io.BytesIO(b"a photo"), "photo.jpg")})
    assert answer.get_json()["message_id"].startswith("ROBOT")
    assert content_of(platform, platform.messages[0]) == b"a photo"
    platform.fail("prepare", "code", code=40093002)
    answer = client.post(files, data={"file": (io.BytesIO(b"a photo"), "photo.jpg")})
    assert answer.status_code == 429


@around("django")
def _(platform: Emulator, monkeypatch: pytest.MonkeyPatch, seen: Seen) -> Iterator[None]:
    configure_django()
    yield
    monkeypatch.setattr(settings, "QQ_BOT_APP_ID", "app id", raising=False)
    monkeypatch.setattr(settings, "QQ_BOT_CLIENT_SECRET", "client secret", raising=False)
    config = seen.names["BotConfig"]("bot", sys.modules[__name__])
    config.ready()
    with config.uploader:
        config.uploader.upload("c2c", OPENID, "report.pdf")


@around("django-views")
def _(platform: Emulator, monkeypatch: pytest.MonkeyPatch, seen: Seen) -> Iterator[None]:
    configure_django()
    yield

    def post(content: bytes) -> Any:
        upload = SimpleUploadedFile("photo.jpg", content)
        request = RequestFactory().post("/", {"file": upload, "text": "A photo"})
        return seen.names["send_file"](request, GROUP_OPENID)

    with Uploader("app id", "client secret") as uploader:
        config = types.SimpleNamespace(uploader=uploader)
        monkeypatch.setattr(apps, "get_app_config", lambda label: config)
        assert json.loads(post(b"a photo").content)["message_id"].startswith("ROBOT")
        assert content_of(platform, platform.messages[0]) == b"a photo"
        assert post(b"").status_code == 400
        platform.fail("prepare", "code", code=40093002)
        assert post(b"another photo").status_code == 429


@around("django-cache")
def _(platform: Emulator, monkeypatch: pytest.MonkeyPatch, seen: Seen) -> Iterator[None]:
    configure_django()
    yield
    uploads = [seen.names["uploader"].upload("c2c", OPENID, "report.pdf") for _ in range(2)]
    assert [result.reused for result in uploads] == [False, True]


@around("celery")
def _(platform: Emulator, monkeypatch: pytest.MonkeyPatch, seen: Seen) -> Iterator[None]:
    yield
    task = seen.names["send_file"]
    sent = task.apply(("group", GROUP_OPENID, "report.pdf", "ROBOT1.0_abc"), task_id="first")
    assert sent.get().startswith("ROBOT")
    again = task.apply(("group", GROUP_OPENID, "report.pdf", "ROBOT1.0_abc"), task_id="first")
    assert again.get() is None
    assert len(platform.messages) == 1


@around("asyncio")
def _(platform: Emulator, monkeypatch: pytest.MonkeyPatch, seen: Seen) -> Iterator[None]:
    async def to_thread(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        call = functools.partial(function, *args, **options)
        return await asyncio.get_running_loop().run_in_executor(None, call)

    monkeypatch.setattr(asyncio, "to_thread", to_thread, raising=False)  # Python 3.8 has none
    yield
    assert content_of(platform, platform.messages[0]) == HOLIDAY


@around("notebook")
def _(platform: Emulator, monkeypatch: pytest.MonkeyPatch, seen: Seen) -> Iterator[None]:
    monkeypatch.setattr(getpass, "getpass", lambda prompt: platform.client_secret)
    yield
    assert platform.received(seen.names["result"].file_info) == HOLIDAY


@around("script")
def _(platform: Emulator, monkeypatch: pytest.MonkeyPatch, seen: Seen) -> Iterator[None]:
    yield
    assert seen.output.startswith("ROBOT")


@around("stdin")
def _(platform: Emulator, monkeypatch: pytest.MonkeyPatch, seen: Seen) -> Iterator[None]:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a backup")))
    yield
    assert uploaded_names(platform) == ["photos.tar.gz"]


@around("cache")
def _(platform: Emulator, monkeypatch: pytest.MonkeyPatch, seen: Seen) -> Iterator[None]:
    yield
    assert seen.output == "False True\n"
    assert platform.count("prepare") == 1


@around("logging")
def _(platform: Emulator, monkeypatch: pytest.MonkeyPatch, seen: Seen) -> Iterator[None]:
    lines: List[str] = []
    handler = logging.Handler()
    monkeypatch.setattr(handler, "emit", lambda record: lines.append(record.getMessage()))
    logger = logging.getLogger("bot.files")
    logger.setLevel(logging.INFO)  # pytest has set up logging already: basicConfig() does nothing
    logger.addHandler(handler)
    yield
    (line,) = lines
    assert re.match(rf"holiday\.mp4 sent to c2c {OPENID} in \d\.\d s", line)


@around("porting")
def _(platform: Emulator, monkeypatch: pytest.MonkeyPatch, seen: Seen) -> Iterator[None]:
    yield
    assert platform.received(seen.names["file_info"]) == HOLIDAY


def configure_django() -> None:
    if not settings.configured:
        settings.configure()
    django.setup()


def content_of(platform: Emulator, message: Any) -> bytes:
    return platform.received(message["media"]["file_info"])


def uploaded_names(platform: Emulator) -> List[str]:
    return [r.body["file_name"] for r in platform.requests if r.stage == "complete"]


def read(name: str) -> bytes:
    return pathlib.Path(name).read_bytes()


# ------------------------------------------------------------------------------- the examples


def is_test_file(example: Example) -> bool:
    return example.code.startswith("# test_")


CASES = [
    pytest.param(
        example,
        id=f"{example.readme}-{example.name}",
        marks=[pytest.mark.integration] if "integration" in example.options else [],
    )
    for example in EXAMPLES
    if not is_test_file(example)
]


def execute(example: Example, names: Dict[str, Any]) -> None:
    names["__name__"] = "example"
    with contextlib.ExitStack() as stack:
        if "with uploader" in example.options:
            uploader = stack.enter_context(Uploader("app id", "client secret"))
            names.update(uploader=uploader, openid=OPENID, group_openid=GROUP_OPENID)
        exec(compile(example.code, f"{example.readme}, {example.name}", "exec"), names)


@pytest.mark.parametrize("example", CASES)
def test_example_runs(
    example: Example,
    platform: Emulator,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    seen = Seen()
    surroundings = SURROUNDINGS.get(example.name, lambda *_: iter([None]))
    with contextlib.ExitStack() as stack:
        stack.callback(close_uploaders, seen.names)
        stack.enter_context(contextlib.contextmanager(surroundings)(platform, monkeypatch, seen))
        execute(example, seen.names)
        seen.output = capsys.readouterr().out
    assert platform.refusals == []


def close_uploaders(names: Dict[str, Any]) -> None:
    for value in names.values():
        if isinstance(value, Uploader):
            value.close()


def test_examples_of_tests_pass(platform: Emulator) -> None:
    codes = {example.code for example in EXAMPLES if is_test_file(example)}
    for number, code in enumerate(codes):
        pathlib.Path(f"test_{number}.py").write_text(code, encoding="utf-8")
    # Where the package is only on the path, pytest cannot find the fixture by itself.
    installed = any(entry.value.startswith("qqchunk.") for entry in pytest_entry_points())
    plugin = [] if installed else ["-p", "qqchunk.emulator.pytest_plugin"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *plugin],
        env=dict(os.environ, PYTHONPATH=str(ROOT)), stdout=subprocess.PIPE, timeout=50)
    assert f"{2 * len(codes)} passed" in done.stdout.decode(), done.stdout.decode()


def pytest_entry_points() -> List[importlib.metadata.EntryPoint]:
    return [
        entry
        for distribution in importlib.metadata.distributions()
        for entry in distribution.entry_points
        if entry.group == "pytest11"
    ]


def test_every_surrounding_belongs_to_an_example() -> None:
    assert set(SURROUNDINGS) <= {example.name for example in EXAMPLES}


# ------------------------------------------------------------------------------- the commands


@pytest.fixture
def shell(platform: Emulator, tmp_path: pathlib.Path) -> Dict[str, str]:
    """The environment of a reader's shell, whose qqchunk talks to the emulator."""
    site, programs = tmp_path / "site", tmp_path / "programs"
    site.mkdir()
    programs.mkdir()
    (site / "sitecustomize.py").write_text(
        "import os\n"
        "from qqchunk import Uploader\n"
        "Uploader.__init__.__kwdefaults__.update(\n"
        "    api_url=os.environ['QQ_BOT_API_URL'], token_url=os.environ['QQ_BOT_TOKEN_URL'])\n")
    python = shlex.quote(sys.executable)
    programs_and_lines = {
        "python": f'exec {python} "$@"',
        "qqchunk": f'exec {python} -m qqchunk "$@"',
        # Only as much of jq as the README needs: not everybody has it.
        "jq": f'{python} -c "import json, sys; print(json.load(sys.stdin)[sys.argv[2][1:]])" "$@"',
    }
    for name, line in programs_and_lines.items():
        (programs / name).write_text(f"#!/bin/sh\n{line}\n")
        (programs / name).chmod(0o755)
    return dict(
        os.environ,
        PATH=os.pathsep.join([str(programs), os.environ["PATH"]]),
        PYTHONPATH=os.pathsep.join([str(site), str(ROOT)]),
        PYTHONIOENCODING="utf-8",
        OPENID=OPENID,
        GROUP=GROUP_OPENID,
    )


EXPORTS = [command for command in COMMANDS if command.startswith("export ")]
SERVERS = ["qqchunk emulator"]


@pytest.mark.parametrize("command", [
    command for command in COMMANDS
    # The programs of others are run elsewhere, in the tests of their recipes.
    if "qqchunk " in command and command not in SERVERS and "pip install" not in command
])
def test_command_succeeds(command: str, platform: Emulator, shell: Dict[str, str]) -> None:
    done = subprocess.run(
        "\n".join(EXPORTS + [command]), shell=True, env=shell, timeout=50,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.strip() and b"not sent" not in done.stdout
    assert platform.refusals == []


@pytest.mark.parametrize("command", SERVERS)
def test_emulator_serves_until_it_is_interrupted(command: str, shell: Dict[str, str]) -> None:
    assert command in COMMANDS
    with subprocess.Popen(["sh", "-c", f"exec {command}"], env=shell, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL) as server:
        assert server.stdout is not None
        lines = [server.stdout.readline() for _ in range(3)]
        server.send_signal(signal.SIGINT)
        assert server.wait(10) == cli.EXIT_INTERRUPTED
    assert lines[0].startswith(b"export QQ_BOT_APP_ID=")


# ----------------------------------------------------------------- the pages, and what they list


@pytest.mark.parametrize("readme", READMES)
def test_page_renders_without_a_warning(readme: str) -> None:
    assert PARSED[readme][1] == ""


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: f"{e.readme}-{e.name}")
def test_example_is_python_3_8(example: Example) -> None:
    assert not example.name.startswith("(")
    ast.parse(example.code, feature_version=(3, 8))


def test_both_pages_have_the_same_examples() -> None:
    english, chinese = (
        [(e.name, e.options, ast.dump(ast.parse(e.code))) for e in EXAMPLES if e.readme == readme]
        for readme in READMES
    )
    assert english == chinese


def test_both_pages_have_the_same_commands() -> None:
    assert COMMANDS == read_commands("README.zh.rst")


def test_both_pages_have_the_same_sections_and_rows() -> None:
    english, chinese = (
        [(target, sorted(first_column(DOCUMENTS[readme], target))) for target in targets(readme)]
        for readme in READMES
    )
    assert len(english) > 15
    assert english == chinese


def targets(readme: str) -> List[str]:
    """The names of the sections that have one in both languages, in order."""
    document = DOCUMENTS[readme]
    return [
        name
        for section in document.findall(nodes.section)
        for name in section["names"]
        if document.nametypes[name]
    ]


def test_module_map_names_every_module(document: nodes.document) -> None:
    modules = [path.stem for path in PACKAGE.glob("*.py") if not path.stem.startswith("__")]
    parts = [path.stem for path in PACKAGE.glob("emulator/*.py") if path.stem != "__init__"]
    library, emulator = (
        [
            literal.astext()
            for row in table.findall(nodes.row)
            for literal in row.children[0].findall(nodes.literal)
        ]
        for table in section(document, "modules").findall(nodes.table)
    )
    assert sorted(library) == sorted([*modules, "emulator"])
    assert sorted(emulator) == sorted(parts)


def test_error_table_names_every_exception(document: nodes.document) -> None:
    errors = {
        name for name, value in vars(qqchunk).items()
        if isinstance(value, type) and issubclass(value, Exception)
    }
    assert len(errors) == 12
    assert errors <= set(first_column(document, "errors"))


def test_every_public_name_is_mentioned(document: nodes.document) -> None:
    text = document.astext()
    modules = {path.stem for path in PACKAGE.iterdir()}
    names = {n for n in vars(qqchunk) if not n.startswith("_")} - modules - {"logging"}
    assert len(names) > 15
    assert [name for name in sorted(names) if name not in text] == []


def test_error_section_names_every_attribute(document: nodes.document) -> None:
    assert set(vars(qqchunk.UploadError())) <= set(first_column(document, "errors"))


def test_option_table_has_every_option_and_its_default(document: nodes.document) -> None:
    (table,) = [
        table for table in section(document, "timeouts").findall(nodes.table)
        if "Uploader(" in table.astext()
    ]
    cells = [[cell.astext() for cell in row.children[:2]] for row in table.findall(nodes.row)][1:]
    listed = {name: ast.literal_eval(default) for name, default in cells}
    options = inspect.signature(Uploader).parameters.values()
    # The credentials are in the first example; the platform has its place in every other test.
    assert listed == {o.name: o.default for o in options if o.kind is o.KEYWORD_ONLY}


def test_result_table_names_every_attribute(document: nodes.document) -> None:
    fields = [field.name for field in dataclasses.fields(qqchunk.UploadResult)]
    assert sorted(first_column(document, "example")) == sorted(fields)


def test_progress_table_names_every_attribute(document: nodes.document) -> None:
    fields = {field.name for field in dataclasses.fields(qqchunk.Progress)}
    assert fields <= set(first_column(document, "progress"))


def test_exit_codes_are_those_of_the_command_line(document: nodes.document) -> None:
    (table,) = section(document, "command-line").findall(nodes.table)
    listed = [int(row.children[0].astext()) for row in list(table.findall(nodes.row))[1:]]
    codes = [value for name, value in vars(cli).items() if name.startswith("EXIT_")]
    assert sorted(listed) == sorted([0, *codes])


def test_emulator_tables_have_every_option_and_no_other_name(document: nodes.document) -> None:
    listed = {re.sub(r"\(.*", "", name) for name in first_column(document, "emulator")}
    options = set(inspect.signature(Emulator).parameters)
    assert options <= listed
    assert [name for name in listed - options if not hasattr(Emulator(), name)] == []


def test_fault_kinds_exist(document: nodes.document) -> None:
    (paragraph,) = [
        p for p in section(document, "emulator").findall(nodes.paragraph)
        if "reset_midway" in p.astext()
    ]
    named = [literal.astext() for literal in paragraph.findall(nodes.literal)]
    known = {*KINDS, *STAGES, "any", "part", "times", "after", "chance"}
    assert [name for name in named if name not in known and "(" not in name] == []
    assert set(STAGES) <= set(named)


def test_platform_codes_are_in_the_table_of_codes(document: nodes.document) -> None:
    numbers = set()
    for target in ("symptoms", "errors", "timeouts", "troubleshooting"):
        text = section(document, target).astext()
        numbers |= {int(n) for n in re.findall(r"\b\d{5,8}\b", text)}
    assert numbers
    assert numbers <= set(RULES)
