"""What an ``Uploader`` takes from the environment: the bot's credentials and the hosts."""

from __future__ import annotations

import os
from typing import Any, Dict, Mapping

from ..protocol.values import Secret

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
    for name, variable in _VARIABLES.items():
        value = options.pop(name, None)
        if value is None and not (name == "client_secret" and options.get("auth") is not None):
            value = environ.get(variable) or None
        if value is not None:
            # Masked, because error trackers print this frame's variables and the caller's.
            masked = name == "client_secret" and isinstance(value, str)
            options[name] = Secret(value) if masked else value
    if options.get("auth") is None:
        needed = ("app_id", "client_secret")
        missing = [_VARIABLES[name] for name in needed if options.get(name) in (None, "")]
        if missing:
            raise ValueError(
                f"{' and '.join(missing)} not set: put the bot's app id and client secret, from "
                "the QQ open platform console, into the environment")
