"""Exports in the words of each shell."""

from __future__ import annotations

import subprocess

import pytest

from qqchunk.cli.shells import SHELLS, comment, guess_shell

VALUE = "it's \\ a $HOME `x` \"q\""


def test_what_sh_reads_is_the_value() -> None:
    script = SHELLS["sh"]("QQ", VALUE) + '\n' + comment("sh", "echo no") + '\nprintf %s "$QQ"'
    assert subprocess.run(["sh", "-c", script], stdout=subprocess.PIPE).stdout == VALUE.encode()


@pytest.mark.integration
def test_what_fish_reads_is_the_value() -> None:
    script = SHELLS["fish"]("QQ", VALUE) + "\nprintf %s $QQ"
    assert subprocess.run(["fish", "-c", script], stdout=subprocess.PIPE).stdout == VALUE.encode()


@pytest.mark.parametrize("shell, line", [
    ("sh", "export QQ='it'\"'\"'s'"),
    ("fish", "set -gx QQ 'it\\'s'"),
    ("powershell", "$env:QQ = 'it''s'"),
    ("cmd", "set \"QQ=it's\""),
])
def test_each_shell_has_its_words(shell: str, line: str) -> None:
    assert SHELLS[shell]("QQ", "it's") == line


@pytest.mark.parametrize("environ, system, shell", [
    ({}, "posix", "sh"),
    ({"SHELL": "/bin/bash"}, "posix", "sh"),
    ({"SHELL": "/usr/bin/fish"}, "posix", "fish"),
    ({"SHELL": "/bin/bash", "PSModulePath": "/x"}, "posix", "powershell"),
    ({"PSModulePath": "C:\\x"}, "nt", "powershell"),
    ({"PSModulePath": "C:\\x", "PROMPT": "$P$G"}, "nt", "cmd"),
])
def test_shell_is_guessed_from_the_environment(
    environ: "dict[str, str]", system: str, shell: str
) -> None:
    assert guess_shell(environ, system) == shell


def test_comment_of_cmd_is_rem() -> None:
    assert comment("cmd", "x") == "rem x"
