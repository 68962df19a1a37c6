"""Presigned storage URLs: signed over their meaning, so that only an equivalent spelling passes."""

from __future__ import annotations

import base64
import hmac
import os
import time
from typing import List, Tuple
from urllib.parse import quote, unquote, unquote_plus

from .digests import new_sha1


class Signer:
    """Signs storage URLs and checks the ones that come back."""

    def __init__(self) -> None:
        self._key = os.urandom(32)
        # Characters which a careless client spoils: it re-quotes the percent signs or lets a plus
        # become a space. The tilde is escaped though it need not be, as some signers do.
        token = base64.b64encode(os.urandom(48)).decode() + "+/~%="
        self._security_token = token

    def sign(self, method: str, base_url: str, path: str, lifetime: float) -> str:
        """Give the full URL for one object.

        :param path: percent-encoded path of the object.
        :param lifetime: seconds, written into the URL; whoever serves the URL keeps the clock.
        """
        start = int(time.time())
        period = f"{start};{start + max(1, int(lifetime))}"
        pairs = [
            ("x-cos-security-token", self._security_token),
            ("q-sign-algorithm", "sha1"),
            ("q-ak", "AKIDemulatoremulatoremulatoremu"),
            ("q-sign-time", period),
            ("q-key-time", period),
            ("q-header-list", "host"),
            ("q-url-param-list", ""),
        ]
        signature = self._signature(method, path, pairs)
        query = "&".join(f"{name}={_escape(value)}" for name, value in pairs)
        return f"{base_url}{path}?{query}&q-signature={signature}"

    def check(self, method: str, target: str) -> bool:
        """Say whether a request target carries the signature made for exactly this URL."""
        path, _, query = target.partition("?")
        pairs: List[Tuple[str, str]] = []
        signatures: List[str] = []
        for field in query.split("&"):
            name, _, value = field.partition("=")
            # A raw plus is a space here, as it is for the real storage.
            name, value = unquote_plus(name), unquote_plus(value)
            if name == "q-signature":
                signatures.append(value)
            else:
                pairs.append((name, value))
        if len(signatures) != 1:
            return False
        expected = self._signature(method, path, pairs)
        return hmac.compare_digest(signatures[0].encode("utf-8", "replace"), expected.encode())

    def _signature(self, method: str, path: str, pairs: List[Tuple[str, str]]) -> str:
        lines = [method, unquote(path), *(f"{name}={value}" for name, value in sorted(pairs))]
        text = "\n".join(lines).encode("utf-8", "surrogatepass")
        return hmac.new(self._key, text, new_sha1).hexdigest()


def _escape(value: str) -> str:
    return quote(value, safe="").replace("~", "%7E")
