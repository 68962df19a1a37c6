"""Other people's clients, as they come from the registries, against the emulator over https."""

from __future__ import annotations

import sys

import pytest

from . import table
from .environments import CLIENTS
from .situations import SITUATIONS
from .table import Observations

pytestmark = [
    pytest.mark.clients,
    pytest.mark.timeout(600),  # the first test waits for all installations and all uploads
    pytest.mark.skipif(sys.version_info < (3, 10), reason="the clients need Python 3.10"),
]

PLAIN = [situation.name for situation in SITUATIONS if not situation.troubled]
NAMES = [client.name for client in CLIENTS]


@pytest.mark.parametrize("situation", PLAIN)
@pytest.mark.parametrize("client", NAMES)
def test_what_works_with_the_platform_works_here(
    observations: Observations, client: str, situation: str
) -> None:
    outcome = observations[client][situation]
    assert (outcome.arrived, outcome.error, outcome.text) == (True, None, "")
    assert outcome.refusals == []


def test_ours_has_the_best_of_manners(observations: Observations) -> None:
    outcomes = observations["qqchunk"].values()
    assert [note for outcome in outcomes for note in outcome.refusals + outcome.manners] == []


@pytest.mark.parametrize("client", NAMES)
def test_no_fault_ends_without_an_error_or_the_file(
    observations: Observations, client: str
) -> None:
    outcomes = observations[client].values()
    assert [outcome for outcome in outcomes if outcome.arrived != (outcome.error is None)] == []


@pytest.mark.parametrize("page", table.PAGES)
def test_table_in_the_docs_shows_what_the_clients_do(
    observations: Observations, page: str, pytestconfig: pytest.Config
) -> None:
    made = table.render(observations)
    if pytestconfig.getoption("--write-tables"):
        table.write(page, made)
    assert table.read(page) == made
