"""The two requests sessions: the caller's or ours, for the API and for storage."""

from __future__ import annotations

import copy
from typing import Any, Callable, List, Optional, Tuple

import requests
from requests.adapters import HTTPAdapter
from requests.cookies import RequestsCookieJar
from requests.utils import prepend_scheme_if_needed, select_proxy

from ..protocol.values import Secret
from .lean import LeanSession, lean_request
from .taps import close_pools, tap, tapping

# requests has no types for it
_with_scheme: Callable[[str, str], str] = prepend_scheme_if_needed

_API_HEADERS = {
    # A small answer gains nothing from compression, and could hide a huge one in it.
    "Accept-Encoding": "identity",
    "Content-Type": "application/json",  # whatever the session's headers say
}
_POOL_SIZE = 1000  # idle connections kept per host: as many as were ever needed at a time

Timeout = Tuple[Optional[float], Optional[float]]


class Sessions:
    """The sessions of one uploader.

    :param session: the caller's for API calls, used as it is; None: one of our own
    :param storage_session: the caller's for PUTs; None: one of our own with the proxies and the
        TLS settings of *session*, and nothing else of it
    """

    def __init__(
        self, session: Optional[requests.Session], storage_session: Optional[requests.Session]
    ) -> None:
        self._given = session, storage_session
        self._abandoned: List[object] = []
        self._open()

    def _open(self) -> None:
        session, storage_session = self._given
        self.api = session if session is not None else _own_session()
        self.storage = storage_session if storage_session is not None else _own_session()
        if storage_session is None and session is not None:
            for setting in ("proxies", "verify", "cert", "trust_env"):
                setattr(self.storage, setting, getattr(session, setting))

    def post(self, url: str, body: Any, auth: Any, timeout: Timeout) -> requests.Response:
        """POST *body* as JSON to the API; the reply's body is still to be read."""
        request = requests.Request("POST", url, json=body, auth=auth, headers=_API_HEADERS)
        return _send(self.api, self.api.prepare_request(request), timeout)

    def put(self, url: str, body: Any, timeout: Timeout) -> requests.Response:
        """PUT *body* to storage with nothing but its length; the reply's body is to be read."""
        # Prepared apart from the session: its headers, cookies, parameters, credentials and
        # those of netrc are none of storage's business.
        return _send(self.storage, lean_request("PUT", url, body, {}), timeout)

    def after_fork(self) -> None:
        """Leave the parent's connections alone and open others when they are needed."""
        for session in (self.api, self.storage):
            if isinstance(session.cookies, RequestsCookieJar):
                session.cookies = copy.copy(session.cookies)  # with a lock of its own
            for adapter in session.adapters.values():
                if isinstance(adapter, HTTPAdapter):
                    self._renew(adapter)

    def close(self) -> None:
        """Close the sessions that are ours."""
        for session, given in zip((self.api, self.storage), self._given):
            if given is None:
                for adapter in session.adapters.values():
                    if isinstance(adapter, HTTPAdapter):
                        for manager in (adapter.poolmanager, *adapter.proxy_manager.values()):
                            close_pools(manager)
                session.close()

    def _renew(self, adapter: HTTPAdapter) -> None:
        # The old pools' locks may be held for ever: they are kept from being collected, because
        # collecting them takes those locks.
        self._abandoned += [adapter.poolmanager, dict(adapter.proxy_manager)]
        adapter.proxy_manager = {}
        connections, maxsize, block = (
            getattr(adapter, f"_pool_{name}") for name in ("connections", "maxsize", "block"))
        adapter.init_poolmanager(connections, maxsize, block=block)


def _own_session() -> requests.Session:
    session = LeanSession()
    for scheme in ("https://", "http://"):
        session.mount(scheme, HTTPAdapter(pool_connections=10, pool_maxsize=_POOL_SIZE))
    return session


def _send(
    session: requests.Session, request: requests.PreparedRequest, timeout: Timeout
) -> requests.Response:
    url = Secret(request.url or "")
    settings = session.merge_environment_settings(url, {}, True, None, None)
    adapter = session.get_adapter(url)
    if isinstance(adapter, HTTPAdapter):
        proxy = select_proxy(url, settings["proxies"])
        with tapping:
            tap(adapter.poolmanager)
            if proxy:
                tap(adapter.proxy_manager_for(_with_scheme(proxy, "http")))
    request.hooks["response"].append(_forget_location)
    return session.send(request, timeout=timeout, allow_redirects=False, **settings)


def _forget_location(response: requests.Response, **settings: Any) -> None:
    # requests reads the whole body of a redirect, even of one that it does not follow.
    response.headers.pop("Location", None)
