"""The clients as they lie in the registries, each where its requirements do not collide."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import venv
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Mapping, Optional, Sequence

DRIVERS = Path(__file__).parent / "drivers"
ROOT = Path(__file__).parents[3]
INSTALL_TIMEOUT = 300  # seconds

#: Three of them call their package ``botpy``, and two want a cryptography that the other forbids.
ENVIRONMENTS: Mapping[str, Sequence[str]] = {
    "several": (
        "qqbot-agent-sdk==1.2.2",
        "qq-botpy==1.2.1",
        "qqbot-openapi==0.1.1",
        "nonebot-adapter-qq==1.7.3",
        "httpx",  # one of the drivers that nonebot offers
    ),
    "botpy-sdk": ("qq-botpy-sdk==2.2.1",),
    "botpy-v2": ("qq-botpy-v2==1.0.2",),
}
NODE_PACKAGE = "@openclaw/qqbot@2026.7.35"


@dataclass(frozen=True)
class Client:
    """Somebody else's client, or ours."""

    name: str
    version: str
    driver: str
    #: None: the tests' own interpreter, or node.
    environment: Optional[str] = None
    #: The name of the files it is given: one of the types it sends.
    file_name: str = "archive.zip"
    only_by_url: bool = False

    def command(self, home: Path) -> List[str]:
        if self.driver.endswith(".mjs"):
            return ["node", str(DRIVERS / self.driver)]
        python = sys.executable
        if self.environment:
            python = str(home / self.environment / "bin" / "python")
        return [python, str(DRIVERS / self.driver)]


CLIENTS = (
    Client("qqchunk", "", "qqchunk_itself.py"),
    Client("qqbot-agent-sdk", "1.2.2", "agent_sdk.py", "several"),
    Client("qq-botpy-sdk", "2.2.1", "botpy_sdk.py", "botpy-sdk"),
    Client("qq-botpy", "1.2.1", "official_botpy.py", "several", "picture.png", only_by_url=True),
    Client("qqbot-openapi", "0.1.1", "openapi.py", "several"),
    Client("qq-botpy-v2", "1.0.2", "botpy_v2.py", "botpy-v2"),
    Client("nonebot-adapter-qq", "1.7.3", "nonebot_qq.py", "several"),
    Client("@openclaw/qqbot", "2026.7.35", "openclaw.mjs"),
)


def cache_directory() -> Path:
    """Where the clients stay from one run to the next, outside the tree."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(cache) / "qqchunk-tests" / "clients"


def install(home: Path) -> None:
    """Put all clients under a directory; what is there already stays as it is."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("w") as lock, ThreadPoolExecutor(len(ENVIRONMENTS) + 1) as pool:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another run may be at it
        jobs = [pool.submit(_install_python, home / n, r) for n, r in ENVIRONMENTS.items()]
        jobs.append(pool.submit(_install_node, home / "node"))
        for job in jobs:
            job.result()


def _install_python(directory: Path, requirements: Sequence[str]) -> None:
    if _complete(directory, requirements):
        return
    venv.create(directory, clear=True, symlinks=True)
    python = str(directory / "bin" / "python")
    # Most of what would be compiled is never imported.
    _run([sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-compile",
          *requirements])
    _mark(directory, requirements)


def _install_node(directory: Path) -> None:
    if _complete(directory, [NODE_PACKAGE]):
        return
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    _run(["npm", "install", "--prefix", str(directory), "--ignore-scripts", "--no-audit",
          "--no-fund", "--loglevel=error", NODE_PACKAGE])
    _mark(directory, [NODE_PACKAGE])


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=INSTALL_TIMEOUT,
    )
    assert done.returncode == 0, done.stdout


def _stamp(requirements: Sequence[str]) -> str:
    return "\n".join([sys.version, sys.base_prefix, *requirements])


def _mark(directory: Path, requirements: Sequence[str]) -> None:
    (directory / "complete").write_text(_stamp(requirements), "utf-8")


def _complete(directory: Path, requirements: Sequence[str]) -> bool:
    mark = directory / "complete"
    return mark.is_file() and mark.read_text("utf-8") == _stamp(requirements)


def variables(home: Path, ca_file: str) -> Dict[str, str]:
    """What a driver finds in its environment, the emulator's address apart."""
    given = {
        name: value for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "VIRTUAL_ENV", "COV_"))
    }
    return {
        **given,
        "PYTHONPATH": "",
        "SSL_CERT_FILE": ca_file,  # httpx and aiohttp
        "REQUESTS_CA_BUNDLE": ca_file,
        "NODE_EXTRA_CA_CERTS": ca_file,
        "OPENCLAW_QQBOT": str(home / "node" / "node_modules" / "@openclaw" / "qqbot"),
    }
