"""How each shell sets an environment variable."""

from __future__ import annotations

import os
import shlex
from typing import Callable, Dict, Mapping

Spelling = Callable[[str, str], str]


def _fish(name: str, value: str) -> str:
    quoted = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"set -gx {name} '{quoted}'"


def _powershell(name: str, value: str) -> str:
    quoted = value.replace("'", "''")
    return f"$env:{name} = '{quoted}'"


SHELLS: Dict[str, Spelling] = {
    "sh": lambda name, value: f"export {name}={shlex.quote(value)}",
    "fish": _fish,
    "powershell": _powershell,
    "cmd": lambda name, value: f'set "{name}={value}"',
}


def guess_shell(environ: Mapping[str, str], system: str = os.name) -> str:
    """Return the shell in use, as far as its environment shows."""
    if system == "nt":
        return "cmd" if "PROMPT" in environ else "powershell"
    if os.path.basename(environ.get("SHELL", "")) == "fish":
        return "fish"
    return "powershell" if "PSModulePath" in environ else "sh"


def comment(shell: str, text: str) -> str:
    """Return *text* as a line that the shell does not run."""
    return f"{'rem' if shell == 'cmd' else '#'} {text}"
