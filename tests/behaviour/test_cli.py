"""The command line: streams, exit statuses, and nothing of Python in its messages."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import logging
import os
import pathlib
import re
import runpy
import signal
import subprocess
import sys
import time
import urllib.request
import webbrowser
from typing import Any, Callable, Dict, Iterator, List, Tuple

import pytest

import qqchunk
from qqchunk.cli import main as cli, commands, emulating
from qqchunk.emulator import Emulator

OPENID = "A" * 32
GROUP = "B" * 32
PACKAGE = pathlib.Path(qqchunk.__file__).parent
ROOT = PACKAGE.parent

Run = Callable[..., Tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """`run(*arguments)` gives the exit status, standard output and standard error."""

    def call(*arguments: object) -> Tuple[int, str, str]:
        try:
            status: Any = cli.main([str(argument) for argument in arguments])
        except SystemExit as end:
            status = end.code
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return status, out, err

    return call


@pytest.fixture
def bot(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """An emulator whose credentials are in the environment."""
    point_at(emulator, monkeypatch)
    return emulator


def point_at(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QQ_BOT_APP_ID", emulator.app_id)
    monkeypatch.setenv("QQ_BOT_CLIENT_SECRET", emulator.client_secret)


def to(emulator: Emulator) -> List[str]:
    return ["--user", OPENID, "--api-url", emulator.api_url, "--token-url", emulator.token_url]


@pytest.fixture
def photo(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "photo.png"
    path.write_bytes(b"\x89PNG" + os.urandom(2000))
    return path


def give_stdin(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))


# ---------------------------------------------------------------------------------- upload


def test_upload_prints_nothing_but_the_file_info(
    run: Run, bot: Emulator, photo: pathlib.Path
) -> None:
    status, out, _ = run("upload", photo, *to(bot))
    assert status == 0
    assert bot.received(out.strip()) == photo.read_bytes()


def test_upload_says_on_standard_error_until_when_the_file_info_is_valid(
    run: Run, bot: Emulator, photo: pathlib.Path
) -> None:
    _, _, err = run("upload", photo, *to(bot))
    assert re.search(r"^qqchunk: file_info, valid until \d{4}-\d\d-\d\dT.*:$", err, re.MULTILINE)


def test_json_result_has_every_field_that_may_be_shown(
    run: Run, bot: Emulator, photo: pathlib.Path
) -> None:
    _, out, _ = run("upload", photo, "--json", *to(bot))
    result = json.loads(out)
    assert set(result) == {"file_info", "file_uuid", "ttl", "expires_at", "reused"}
    assert bot.received(result["file_info"]) == photo.read_bytes()


def test_quiet_upload_says_nothing_on_standard_error(
    run: Run, bot: Emulator, photo: pathlib.Path
) -> None:
    _, out, err = run("upload", photo, "--quiet", *to(bot))
    assert bot.received(out.strip()) == photo.read_bytes()
    assert err == ""


def test_group_is_uploaded_to_as_a_group(run: Run, bot: Emulator, photo: pathlib.Path) -> None:
    where = ["--api-url", bot.api_url, "--token-url", bot.token_url]
    assert run("upload", photo, "--group", GROUP, *where)[0] == 0
    assert f"/v2/groups/{GROUP}/upload_prepare" in [request.path for request in bot.requests]


def test_type_and_name_reach_the_platform(run: Run, bot: Emulator, photo: pathlib.Path) -> None:
    assert run("upload", photo, "--type", "file", "--name", "other.dat", *to(bot))[0] == 0
    (body,) = [request.body for request in bot.requests if request.stage == "prepare"]
    assert isinstance(body, dict)
    assert (body["file_type"], body["file_name"]) == (4, "other.dat")


def test_standard_input_is_uploaded_under_the_name_given(
    run: Run, bot: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_stdin(monkeypatch, b"from a pipe")
    status, out, _ = run("upload", "-", "--name", "notes.txt", *to(bot))
    assert status == 0
    assert bot.received(out.strip()) == b"from a pipe"


def test_standard_input_without_a_name_is_wrong_usage(run: Run, bot: Emulator) -> None:
    status, _, err = run("upload", "-", *to(bot))
    assert status == 2
    assert "--name" in err


def test_bar_on_a_pipe_has_no_escape_codes(run: Run, bot: Emulator, photo: pathlib.Path) -> None:
    _, _, err = run("upload", photo, *to(bot))
    assert "100%" in err
    assert "\x1b" not in err


def test_without_tqdm_progress_comes_in_lines(
    run: Run, bot: Emulator, photo: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "tqdm" else find_spec(name)
    )
    status, _, err = run("upload", photo, *to(bot))
    assert status == 0
    assert "100 % of 2.0 KB" in err
    assert all(line.startswith("qqchunk: ") for line in err.splitlines())


# ------------------------------------------------------------------------------------ send


def test_send_posts_the_file_and_prints_the_message_id(
    run: Run, bot: Emulator, photo: pathlib.Path
) -> None:
    status, out, _ = run("send", photo, "--text", "look", "--reply-to", "MSG1", *to(bot))
    (message,) = bot.messages
    assert (message["target"], message["content"], message["msg_id"]) == (OPENID, "look", "MSG1")
    assert status == 0
    assert re.fullmatch(r"\S+\n", out)


def test_send_prints_the_whole_reply_as_json(
    run: Run, bot: Emulator, photo: pathlib.Path
) -> None:
    _, out, _ = run("send", photo, "--json", *to(bot))
    assert {"id", "timestamp"} <= set(json.loads(out))


def test_message_under_review_has_been_sent(run: Run, bot: Emulator, photo: pathlib.Path) -> None:
    bot.fail("message", "audit")
    status, out, err = run("send", photo, *to(bot))
    assert (status, out) == (0, "")
    assert "no message id" in err


# -------------------------------------------------------------------------- exit statuses


def test_missing_credentials_end_with_4_and_name_the_variables(
    run: Run, emulator: Emulator, photo: pathlib.Path
) -> None:
    status, out, err = run("upload", photo, *to(emulator))
    assert (status, out) == (4, "")
    assert "QQ_BOT_APP_ID" in err and "QQ_BOT_CLIENT_SECRET" in err


def test_refused_credentials_end_with_4(
    run: Run, bot: Emulator, photo: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QQ_BOT_CLIENT_SECRET", "a wrong secret")
    status, out, err = run("upload", photo, *to(bot))
    assert (status, out) == (4, "")
    assert "a wrong secret" not in err


@pytest.mark.parametrize("limit", [{"daily_quota": 1000}, {"max_file_size": 1000}])
def test_quota_and_size_limit_end_with_3(
    run: Run, photo: pathlib.Path, monkeypatch: pytest.MonkeyPatch, limit: Dict[str, int]
) -> None:
    with Emulator(**limit) as emulator:
        point_at(emulator, monkeypatch)
        status, out, err = run("upload", photo, *to(emulator))
    assert (status, out) == (3, "")
    assert "photo.png" in err


def test_refusal_by_the_platform_ends_with_1(
    run: Run, bot: Emulator, photo: pathlib.Path
) -> None:
    bot.fail("prepare", "code", code=850019)
    status, out, err = run("upload", photo, *to(bot))
    assert (status, out) == (1, "")
    assert "850019" in err


def test_missing_file_ends_with_1(run: Run, bot: Emulator, tmp_path: pathlib.Path) -> None:
    status, out, err = run("upload", tmp_path / "missing.png", *to(bot))
    assert (status, out) == (1, "")
    assert "missing.png: No such file or directory - check the path" in err


def test_deadline_that_passes_ends_with_1(run: Run, bot: Emulator, photo: pathlib.Path) -> None:
    bot.fail("put", "silence", times=None)
    status, out, err = run("upload", photo, "--deadline", "0.2", *to(bot))
    assert (status, out) == (1, "")
    assert "deadline of 0.2 s" in err


def test_empty_openid_is_wrong_usage(run: Run, bot: Emulator, photo: pathlib.Path) -> None:
    where = ["--api-url", bot.api_url, "--token-url", bot.token_url]
    assert run("upload", photo, "--user", "", *where)[0] == 2
    assert bot.requests == []


def test_closed_standard_input_is_wrong_usage(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert run("hash", "-") == (
        2, "", "qqchunk: standard input is closed - give a path in place of -\n")


def test_url_instead_of_a_file_is_wrong_usage(run: Run, bot: Emulator) -> None:
    assert run("upload", "https://example.com/photo.png", *to(bot))[0] == 2


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nonsense"],
        ["upload"],
        ["upload", "photo.png"],
        ["upload", "photo.png", "--user", OPENID, "--group", GROUP],
        ["upload", "photo.png", "--user", OPENID, "--type", "gif"],
        ["upload", "photo.png", "--user", OPENID, "--deadline", "nan"],
        ["upload", "photo.png", "--user", OPENID, "--deadline", "0"],
        ["emulator", "--port", "http"],
        ["emulator", "--port", "65536"],
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_2_and_shows_the_usage(run: Run, arguments: List[str]) -> None:
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert err.startswith("usage: qqchunk")


def test_interrupted_command_ends_with_130(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "run_hash", interrupted)
    status, out, err = run("hash", "x")
    assert (status, out) == (130, "")
    assert err.startswith("qqchunk: interrupted - ")


def test_defect_of_the_program_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> int:
        raise RuntimeError("a defect")

    monkeypatch.setattr(commands, "run_hash", broken)
    with pytest.raises(RuntimeError, match="a defect"):
        cli.main(["hash", "x"])


# --------------------------------------------------------------------------- other commands


def test_warning_of_the_library_appears_on_standard_error(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def retry(_: object) -> int:
        logging.getLogger("qqchunk.transport").warning("part 3 of 7: once more in %d s", 2)
        return 0

    monkeypatch.setattr(commands, "run_hash", retry)
    assert run("hash", "x") == (0, "", "\nqqchunk: part 3 of 7: once more in 2 s\n")
    assert run("hash", "x", "--quiet") == (0, "", "")


def test_warning_takes_the_place_of_the_bar_on_a_terminal(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    def retry(_: object) -> int:
        logging.getLogger("qqchunk.transport").warning("once more")
        return 0

    monkeypatch.setattr(commands, "run_hash", retry)
    with monkeypatch.context() as patch:
        terminal = Terminal()
        patch.setattr(sys, "stderr", terminal)
        run("hash", "x")
    assert terminal.getvalue() == "\r\x1b[Kqqchunk: once more\n"


def test_hash_prints_the_four_facts_in_columns(run: Run, tmp_path: pathlib.Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    status, out, err = run("hash", tmp_path / "abc")
    assert (status, err) == (0, "")
    assert out == (
        "size    3\n"
        "md5     900150983cd24fb0d6963f7d28e17f72\n"
        "sha1    a9993e364706816aba3e25717850c26c9cd0d89d\n"
        "md5_10m 900150983cd24fb0d6963f7d28e17f72\n"
    )


def test_hash_reads_standard_input_and_prints_json(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_stdin(monkeypatch, b"abc")
    hashes = json.loads(run("hash", "-", "--json")[1])
    assert (hashes["size"], hashes["md5"]) == (3, "900150983cd24fb0d6963f7d28e17f72")


def test_version_is_printed(run: Run) -> None:
    assert run("--version") == (0, f"qqchunk {qqchunk.__version__}\n", "")


def test_demo_uploads_a_file_of_its_own_and_compares(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emulating, "_DEMO_SIZE", 2 << 20)
    status, out, err = run("demo")
    assert status == 0
    assert len(out.splitlines()) == 1
    assert "received demo.bin whole: 2.0 MB" in err


def test_demo_uploads_the_file_named(run: Run, photo: pathlib.Path) -> None:
    status, _, err = run("demo", photo)
    assert status == 0
    assert "received photo.png whole: 2.0 KB" in err


def test_demo_names_the_way_to_see_it_arrive(run: Run, photo: pathlib.Path) -> None:
    assert "see it arrive in a browser with: qqchunk demo --open" in run("demo", photo)[2]


def test_demo_in_a_browser_stays_until_ctrl_c(
    run: Run, photo: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: List[str] = []

    def look(url: str) -> bool:
        with urllib.request.urlopen(url, timeout=5) as page:
            shown.append(page.read().decode())
        return True

    def ctrl_c() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(webbrowser, "open", look)
    monkeypatch.setattr(emulating, "_PAGE_TIME", 0.1)
    monkeypatch.setattr(emulating, "_wait_for_ctrl_c", ctrl_c)
    status, out, err = run("demo", photo, "--open")
    assert (status, len(out.splitlines())) == (0, 1)
    assert "<title>qqchunk inbox</title>" in shown[0]
    assert re.search(r"see it at http://127\.0\.0\.1:\d+/ until Ctrl-C", err)


def test_demo_without_a_browser_says_where_the_page_is(
    run: Run, photo: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ctrl_c() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(webbrowser, "open", lambda url: False)
    monkeypatch.setattr(emulating, "_PAGE_TIME", 0.1)
    monkeypatch.setattr(emulating, "_wait_for_ctrl_c", ctrl_c)
    status, _, err = run("demo", photo, "--open", "--quiet")
    assert status == 0
    assert "there is no browser to open: go to http://127.0.0.1:" in err


def test_demo_fails_if_something_else_arrived(
    run: Run, photo: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Emulator, "received", lambda *_: b"something else")
    status, out, err = run("demo", photo)
    assert (status, out) == (1, "")
    assert "something else than photo.png" in err


# ------------------------------------------------------------------------- as a process


@contextlib.contextmanager
def process(*arguments: object, **options: Any) -> Iterator["subprocess.Popen[str]"]:
    """A running `python -m qqchunk`, killed if the test leaves it running."""
    command = [sys.executable, "-W", "error", "-m", "qqchunk", *map(str, arguments)]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=str(ROOT), stdout=pipe, stderr=pipe, universal_newlines=True, **options
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def test_main_module_runs_the_command_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["qqchunk", "--version"])
    with pytest.raises(SystemExit) as end:
        # By path: pytest rewrites installed plugins, and runpy cannot load a rewritten module.
        runpy.run_path(str(PACKAGE / "__main__.py"), run_name="__main__")
    assert end.value.code == 0
    assert capsys.readouterr().out == f"qqchunk {qqchunk.__version__}\n"


def test_ctrl_c_during_an_upload_ends_with_130(bot: Emulator, photo: pathlib.Path) -> None:
    bot.fail("put", "silence", times=None)
    with process("upload", photo, *to(bot)) as upload:
        while not bot.count("put"):
            assert upload.poll() is None
            time.sleep(0.01)
        upload.send_signal(signal.SIGINT)
        out, err = upload.communicate(timeout=10)
    assert (upload.returncode, out) == (130, "")
    assert "Traceback" not in err
