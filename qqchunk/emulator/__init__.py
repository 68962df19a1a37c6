"""A local QQ Bot API and object storage for tests and trials, standard library only."""

from importlib import import_module
from typing import TYPE_CHECKING, Any, List

if TYPE_CHECKING:
    from .behaviour import Behaviour as Behaviour
    from .core import Emulator as Emulator
    from .faults import Fault as Fault
    from .files import StoredFile as StoredFile
    from .journal import Request as Request
    from .storage import Storage as Storage
    from .storage import StorageError as StorageError
    from .storage import StoragePart as StoragePart

# Imported when they are first asked for: pytest imports this package to know of its fixture.
_HOMES = {
    "Behaviour": "behaviour",
    "Emulator": "core",
    "Fault": "faults",
    "Request": "journal",
    "Storage": "storage",
    "StorageError": "storage",
    "StoragePart": "storage",
    "StoredFile": "files",
}
__all__ = [
    "Behaviour", "Emulator", "Fault", "Request", "Storage", "StorageError", "StoragePart",
    "StoredFile",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return value


def __dir__() -> List[str]:
    return sorted({*globals(), *_HOMES})
