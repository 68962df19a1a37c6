"""A local QQ Bot API and object storage for tests and trials, standard library only."""

from __future__ import annotations

from .core import Emulator
from .faults import Fault
from .files import StoredFile
from .journal import Request

__all__ = ["Emulator", "Fault", "Request", "StoredFile"]
