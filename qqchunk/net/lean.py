"""Requests as requests prepares them, where nobody but this package has a say in them.

What a user may have put into a session, an environment or a URL costs requests more to look for
than everything else it does for a call. Ours are known, so most of it need not be looked for.
"""

from __future__ import annotations

import json
import os
from typing import Any, Callable, Mapping, Optional
from urllib.request import getproxies, getproxies_environment

import requests
from requests.hooks import dispatch_hook
from requests.structures import CaseInsensitiveDict

# requests has no types for it
_called_hooks: Callable[..., requests.Response] = dispatch_hook


class LeanSession(requests.Session):
    """A session with no parameters, hooks or credentials of its own."""

    def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
        """Return what the base class would, for a request with JSON and auth."""
        body = json.dumps(request.json).encode()
        prepared = lean_request("POST", request.url, body, {**self.headers, **request.headers})
        prepared.prepare_cookies(self.cookies)
        prepared.prepare_auth(request.auth, request.url)
        return prepared

    def merge_environment_settings(
        self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any
    ) -> Any:
        """Return what the base class does, at once where the environment has no proxies."""
        if self.trust_env and _may_have_proxies():
            return super().merge_environment_settings(url, proxies, stream, verify, cert)
        bundle: Optional[str] = None
        if self.trust_env:
            bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
        return {
            "proxies": {k: v for k, v in (self.proxies or {}).items() if v is not None},
            "stream": stream,
            "verify": bundle or self.verify,
            "cert": self.cert,
        }

    def send(self, request: requests.PreparedRequest, **settings: Any) -> requests.Response:
        """Do what the base class does for a request that is not to be redirected."""
        settings.pop("allow_redirects")
        response = self.get_adapter(request.url or "").send(request, **settings)
        response = _called_hooks("response", request.hooks, response, **settings)  # auth has some
        if response.cookies:
            self.cookies.update(response.cookies)
        return response


def lean_request(
    method: str, url: str, body: Any, headers: Mapping[str, Any]
) -> requests.PreparedRequest:
    """Return a request that is ready to be sent; *body* has a length."""
    request = requests.PreparedRequest()
    request.method, request.body = method, body
    request.headers = CaseInsensitiveDict(headers)
    request.headers["Content-Length"] = str(len(body))
    if url.isascii():  # urllib3 quotes what is still to be quoted
        request.url = url
    else:
        request.prepare_url(url, None)
    return request


def _may_have_proxies() -> bool:
    if getproxies is not getproxies_environment:
        return True  # Windows and macOS have them elsewhere as well
    return any(name[-6:].lower() == "_proxy" for name in os.environ)
