"""The public names of the package, each of which is imported when it is first asked for."""

from __future__ import annotations

from typing import Dict

import pytest

import qqchunk

# Asked before the tests are run, which refuse sockets: urllib3 opens one as it is imported.
LISTED = {name: hasattr(qqchunk, name) for name in dir(qqchunk)}


@pytest.mark.parametrize("module, name", [("emulator", "Emulator"), ("errors", "UploadError")])
def test_public_module_is_there_without_an_import_of_its_own(
    module: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(qqchunk, module, raising=False)  # as nobody has imported it
    assert hasattr(getattr(qqchunk, module), name)


def test_names_listed_are_the_public_ones_and_can_be_had() -> None:
    assert [*LISTED] == sorted([*qqchunk.__all__, "emulator", "errors"])
    assert [name for name, there in LISTED.items() if not there] == []


def test_star_gives_the_public_names_alone() -> None:
    given: Dict[str, object] = {}
    exec("from qqchunk import *", given)
    assert {*given} - {"__builtins__"} == {*qqchunk.__all__}


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'qqchunk' has no attribute 'uploda'"):
        getattr(qqchunk, "uploda")
