"""The bot's access token: fetched once for all threads, kept while it is good."""

from __future__ import annotations

import copy
import threading
from typing import Callable, Optional, Tuple

import requests
from requests.auth import AuthBase

from ..errors import UploadError
from ..protocol.values import Secret
from .stopping import StopSignal, monotonic

_MARGIN = 60.0  # seconds: the platform lets an old token live that long beside a new one
_TURN = 0.05  # seconds between two looks of a waiting thread at its own stop signal


class BearerAuth(AuthBase):
    """Puts ``Authorization: QQBot <token>`` on a request."""

    def __init__(self, token: Secret) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"QQBot {self._token}"
        return request


class NoAuth(AuthBase):
    """Keeps requests from adding the session's or netrc's credentials."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


class TokenKeeper:
    """Keeps one token for many threads; of those that need a new one, one fetches it.

    :param clock: monotonic seconds
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._token: Optional[Secret] = None
        self._good_until = 0.0
        self.after_fork()

    def after_fork(self) -> None:
        """Start with fresh locks: the parent's may be held by a thread that is not here."""
        self._changed = threading.Condition()
        self._fetching = False
        self._failure: Optional[UploadError] = None

    @property
    def good(self) -> bool:
        """Say whether there is a token that is good now."""
        return self._token is not None and self._clock() < self._good_until

    def get(self, fetch: Callable[[], Tuple[Secret, float]], stop: StopSignal) -> Secret:
        """Return a token that is good now, fetching one if need be.

        :param fetch: gets a token and its life in seconds; called on this thread, or on another
            one that is here for the same reason, never on two at a time
        :param stop: ends the wait for another thread's fetch; if that thread is stopped
            instead, one of those that wait takes over
        :raises UploadError: if the fetch failed, to all that waited for it
        """
        with self._changed:
            waited = self._fetching
            while True:
                stop.check()
                token = self._token
                if token is not None and self.good:
                    return token
                if not self._fetching:
                    if waited and self._failure is not None:
                        raise copy.copy(self._failure)
                    self._fetching = True
                    self._failure = None
                    break
                self._changed.wait(_TURN)
        return self._fetch(fetch)

    def drop(self, token: Secret) -> None:
        """Forget *token*: it was refused. A newer one stays."""
        with self._changed:
            if self._token == token:
                self._token = None

    def _fetch(self, fetch: Callable[[], Tuple[Secret, float]]) -> Secret:
        began = self._clock()
        failure: Optional[UploadError] = None
        try:
            token, life = fetch()
            with self._changed:
                self._token = token
                self._good_until = began + max(life - _MARGIN, min(life / 2, _MARGIN))
            return token
        except UploadError as error:
            failure = copy.copy(error)  # its traceback would keep the caller's frames alive
            raise
        finally:
            with self._changed:
                self._fetching = False
                self._failure = failure
                self._changed.notify_all()
