"""``Uploader.from_env``: what the environment gives, what options win, what is missing."""

from __future__ import annotations

from typing import Any, Dict

import pytest

from qqchunk import Uploader
from qqchunk.transfer.settings import fill_from_environment

BOT = {"QQ_BOT_APP_ID": "1", "QQ_BOT_CLIENT_SECRET": "s"}
HOSTS = {"QQ_BOT_API_URL": "http://api", "QQ_BOT_TOKEN_URL": "http://token/t"}


def filled(environ: Dict[str, str], **options: Any) -> Dict[str, Any]:
    fill_from_environment(options, environ)
    return options


def test_all_four_come_from_the_environment() -> None:
    assert filled({**BOT, **HOSTS}) == {
        "app_id": "1", "client_secret": "s", "api_url": "http://api", "token_url": "http://token/t"}


def test_hosts_are_left_to_the_default_where_none_is_set() -> None:
    assert filled({**BOT, "QQ_BOT_API_URL": ""}) == {"app_id": "1", "client_secret": "s"}


def test_options_win_and_others_pass_through() -> None:
    given = {"app_id": 2, "client_secret": "t", "api_url": "http://mine", "retries": 5}
    assert filled({**BOT, **HOSTS}, **given) == {**given, "token_url": "http://token/t"}


def test_option_that_is_none_was_not_given() -> None:
    assert filled(BOT, app_id=None, token_url=None) == {"app_id": "1", "client_secret": "s"}


@pytest.mark.parametrize("environ, names", [
    ({}, "QQ_BOT_APP_ID and QQ_BOT_CLIENT_SECRET"),
    ({"QQ_BOT_APP_ID": "1", "QQ_BOT_CLIENT_SECRET": ""}, "QQ_BOT_CLIENT_SECRET"),
    ({"QQ_BOT_CLIENT_SECRET": "s"}, "QQ_BOT_APP_ID"),
])
def test_error_names_what_is_missing(environ: Dict[str, str], names: str) -> None:
    with pytest.raises(ValueError, match=f"^{names} not set: "):
        filled(environ)


def test_auth_stands_for_the_secret() -> None:
    assert filled(BOT, auth=print) == {"app_id": "1", "auth": print}
    assert filled({}, auth=print) == {"auth": print}


def test_secret_does_not_show_in_the_options() -> None:
    assert "geheim" not in repr(filled({**BOT, "QQ_BOT_CLIENT_SECRET": "geheim"}))
    assert "geheim" not in repr(filled(BOT, client_secret="geheim"))


@pytest.mark.parametrize("auth", ["geheim", b"geheim", ["1", "geheim"], ("1", "geheim")])
def test_auth_does_not_show_in_the_options_whatever_it_is(auth: Any) -> None:
    assert "geheim" not in repr(filled(BOT, auth=auth))


@pytest.mark.parametrize("api_url, https_only", [
    ("https://h", True), ("HTTPS://h", True), ("Https://h", True), ("http://https.example", False),
    ("HTTP://h", False),
])
def test_parts_go_over_tls_where_the_api_is_spoken_to_over_tls(
    api_url: str, https_only: bool
) -> None:
    with Uploader("1", "s", api_url=api_url) as uploader:
        assert uploader._settings.https_only is https_only
