"""The two requests sessions: the caller's or ours, for the API and for storage.

What is sent goes through requests' own code, so that whatever people hang onto requests and urllib3
has its share of it.
"""

from __future__ import annotations

import copy
from ipaddress import ip_address
from typing import Any, Dict, Iterator, List, Optional, Tuple
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.cookies import RequestsCookieJar
from requests.utils import select_proxy

from .auth import NoAuth
from .taps import close_idle, close_pools, tap

_API_HEADERS = {
    # A small answer gains nothing from compression, and could hide a huge one in it.
    "Accept-Encoding": "identity",
    "Content-Type": "application/json",  # whatever the session's headers say
}
_HOSTS = 10  # whose connections are kept
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
        """POST *body* as JSON to the API; the reply's body is to be read, if no hook has done so.

        One call of ``session.request()`` whatever happens: subclasses override it.
        """
        session = self.api
        tap(session)
        return session.request(
            "POST", url, json={**body}, auth=auth, timeout=timeout,
            headers={**_API_HEADERS},  # a copy, like the body: some add to what they are given
            stream=True, allow_redirects=False,
            verify=session.verify,  # if it was set, it is nearer than REQUESTS_CA_BUNDLE
            proxies=self._direct(session, url),
            hooks={"response": [*_hooks(session), _forget_location]})

    def put(self, url: str, body: Any, timeout: Timeout) -> requests.Response:
        """PUT *body* to storage with nothing but its length; the reply's body is to be read."""
        session = self.storage
        tap(session)
        # Prepared apart from the session: its headers, cookies, parameters, credentials and
        # those of netrc are none of storage's business.
        request = requests.Request(
            "PUT", url, data=body, auth=NoAuth(), hooks={"response": [_forget_location]}).prepare()
        settings = session.merge_environment_settings(
            url, self._direct(session, url), True, session.verify, None)
        return session.send(request, timeout=timeout, allow_redirects=False, **settings)

    def connect_ahead(self, url: str, timeout: Timeout) -> None:
        """Open the connection that the first call to *url* will use, in the pool it will use.

        Only on a session of ours whose requests go there straight; else this does nothing.
        """
        session = self.api
        settings = session.merge_environment_settings(
            url, self._direct(session, url), True, session.verify, None)
        adapter = session.get_adapter(url)
        proxied = select_proxy(url, settings["proxies"])
        if self._given[0] is not None or proxied or type(adapter) is not HTTPAdapter:
            return
        tap(session)
        request = requests.Request("POST", url).prepare()
        verify, cert = settings["verify"], settings["cert"]
        if hasattr(adapter, "get_connection_with_tls_context"):  # requests 2.32
            pool = adapter.get_connection_with_tls_context(request, verify, cert=cert)
        else:
            pool = adapter.get_connection(url)
        # As its send() does before each request. Requests gives this method no types.
        adapter.cert_verify(pool, url, verify, cert)  # type: ignore[no-untyped-call]
        if hasattr(pool, "connect_ahead"):
            pool.connect_ahead(timeout[0])

    def give_back(self) -> None:
        """Close the connections that are idle, whose descriptors are needed elsewhere."""
        for session in (self.api, self.storage):
            for manager in _managers(session):
                close_idle(manager)

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
                for manager in _managers(session):
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

    def _direct(self, session: requests.Session, url: str) -> Dict[str, str]:
        """Return the proxies setting that keeps loopback from the environment's proxies.

        As browsers do; only a session that is the caller's own goes by its environment alone.
        """
        host = urlsplit(url).hostname or ""
        ours = not any(session is given for given in self._given)
        return {"no_proxy": host} if ours and _is_loopback(host) else {}


def _own_session() -> requests.Session:
    session = requests.Session()
    for adapter in session.adapters.values():
        if isinstance(adapter, HTTPAdapter):
            adapter.init_poolmanager(_HOSTS, _POOL_SIZE)
    return session


def _managers(session: requests.Session) -> Iterator[Any]:
    for adapter in session.adapters.values():
        if isinstance(adapter, HTTPAdapter):
            yield from (adapter.poolmanager, *adapter.proxy_manager.values())


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _hooks(session: requests.Session) -> List[Any]:
    # Given with the request, hooks stand in place of the session's.
    hooks = (session.hooks or {}).get("response") or []
    return [hooks] if callable(hooks) else list(hooks)


def _forget_location(response: requests.Response, **settings: Any) -> None:
    # requests reads the whole body of a redirect, even of one that it does not follow.
    response.headers.pop("Location", None)
