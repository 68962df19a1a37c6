"""What an ``Uploader`` is told: its options, checked, and those that the environment gives."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Dict, Mapping
from urllib.parse import urlsplit

from ..net.sessions import Sessions
from ..net.transport import Transport
from ..protocol.values import Secret
from . import arguments
from .cache import FileInfoCache

_VARIABLES = {
    "app_id": "QQ_BOT_APP_ID",
    "client_secret": "QQ_BOT_CLIENT_SECRET",
    "api_url": "QQ_BOT_API_URL",
    "token_url": "QQ_BOT_TOKEN_URL",
}


def fill_from_environment(
    options: Dict[str, Any], environ: Mapping[str, str] = os.environ
) -> None:
    """Add to an ``Uploader``'s *options* what is set in the environment and not among them.

    A variable that is empty is not set, an option that is None not given. Where ``auth`` is given,
    it stands for the secret.

    :raises ValueError: if credentials are missing; names the variables
    """
    # Masked, because error trackers print this frame's variables and the caller's.
    options.update({"auth": arguments.masked_auth(options["auth"])} if "auth" in options else {})
    for name, variable in _VARIABLES.items():
        value = options.pop(name, None)
        if value is None and not (name == "client_secret" and options.get("auth") is not None):
            value = environ.get(variable) or None
        if value is not None:
            masked = name == "client_secret" and isinstance(value, str)
            options[name] = Secret(value) if masked else value
    if options.get("auth") is None:
        needed = ("app_id", "client_secret")
        missing = [_VARIABLES[name] for name in needed if options.get(name) in (None, "")]
        if missing:
            raise ValueError(
                f"{' and '.join(missing)} not set: put the bot's app id and client secret, from "
                "the QQ open platform console, into the environment")


@dataclass(frozen=True)
class Settings:
    """The options of an ``Uploader``, and what was made of them.

    :ivar app_id: ``""`` if *auth* stands for it
    :ivar max_concurrency: parts at a time at the most
    :ivar max_file_size: bytes
    :ivar https_only: part URLs must be https
    """

    app_id: str
    max_concurrency: int
    max_file_size: int
    https_only: bool
    cache: FileInfoCache
    sessions: Sessions
    transport: Transport

    @classmethod
    def checked(
        cls, app_id: Any, client_secret: Any, *, auth: Any, session: Any, storage_session: Any,
        api_url: Any, token_url: Any, timeout: Any, retries: Any, backoff: Any,
        max_concurrency: Any, max_file_size: Any, cache: Any,
    ) -> Settings:
        """Check what an ``Uploader`` was given.

        :param client_secret, auth: as ``masked`` and ``masked_auth`` of *arguments* give them
        :raises TypeError: an argument of a wrong type
        :raises ValueError: an argument of a wrong value, or no credentials
        """
        credentials = arguments.check_credentials(app_id, client_secret, auth)
        most = arguments.check_count("max_concurrency", max_concurrency, 1)
        largest = arguments.check_count("max_file_size", max_file_size, 1)
        api_url = arguments.check_url("api_url", api_url)
        cache = arguments.check_cache(cache, credentials[0])
        sessions = Sessions(
            arguments.check_session("session", session),
            arguments.check_session("storage_session", storage_session))
        transport = Transport(
            sessions, api_url=api_url, token_url=arguments.check_url("token_url", token_url),
            credentials=credentials, auth=auth, timeout=arguments.check_timeout(timeout),
            policy=arguments.check_policy(retries, backoff))
        return cls(
            credentials[0], most, largest, urlsplit(api_url).scheme == "https",
            FileInfoCache(cache, f"{api_url.rstrip('/')} {credentials[0]}"), sessions, transport)
