"""Calls to the API and PUTs to storage, and the repeats that the ladder wants of a call."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any, Callable, Optional, Tuple, Union
from urllib.parse import urlsplit

import requests

from ..errors import Again, TransportError, UploadError
from ..protocol.calls import Upload, read_token, token_call
from ..protocol.ladder import CallState, Step
from ..protocol.replies import read_reply, subject
from ..protocol.retry import Policy
from ..protocol.values import Call, Reply, Secret
from . import connecting
from .auth import BearerAuth, NoAuth, TokenKeeper
from .diagnosis import Diagnosis
from .exchange import NETWORK_ERRORS, Answer, exchange
from .outcome import Doubt, Outcome
from .sessions import Sessions, Timeout
from .stopping import StopSignal, monotonic

SLOW_READ_TIMEOUT = 120.0  # seconds: the platform merges or downloads before it answers

log = logging.getLogger(__name__)


class Transport:
    """The way to the platform.

    :param sessions: what requests go through
    :param credentials: app id and client secret, unused with *auth*
    :param auth: what requests takes as auth, instead of a token of ours; or None
    :param timeout: (connect, read) seconds without progress, each may be None
    :param clock: monotonic seconds
    """

    def __init__(
        self,
        sessions: Sessions,
        *,
        api_url: str,
        token_url: str,
        credentials: Tuple[str, Secret],
        auth: Any,
        timeout: Timeout,
        policy: Policy,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._sessions = sessions
        self._api_url = api_url.rstrip("/")
        self._token_url = token_url
        self._credentials = credentials
        self._auth = auth
        self._timeout = timeout
        self.policy = policy
        self._clock = clock
        self._keeper = TokenKeeper()

    def call(
        self, call: Call, stop: StopSignal, *, last: bool = False, doubtful: bool = False,
        doubt: Optional[Doubt] = None,
    ) -> Outcome[Reply]:
        """Make *call*, with the repeats it allows. Blocks; raises Aborted.

        :param last: True if no fresh prepare is left
        :param doubtful: True if a part counts as confirmed though the platform did not say so
        :param doubt: is kept up to date while the call is made
        """
        state = replace(self.first_state(call, last=last), replayed=doubtful)
        doubt = doubt or Doubt()
        return self._repeat(state, lambda: self.attempt(call, stop, doubt), stop, doubt)

    def first_state(self, call: Call, *, last: bool = False) -> CallState:
        """Return the state of a call that has not been tried."""
        return CallState(
            call.stage, self.policy, repeatable=call.repeatable, renewable=self._auth is None,
            last=last)

    def attempt(
        self, call: Call, stop: StopSignal, doubt: Optional[Doubt] = None
    ) -> Outcome[Reply]:
        """Make *call* once; a token that is refused is forgotten. Raises Aborted."""
        url = self._api_url + call.path
        doubt = doubt or Doubt()
        if self._auth is not None:
            doubt.raised = True
            return self._post(call, url, self._auth, stop)
        try:
            token = self.token(stop)
        except UploadError as error:
            return Outcome(error=error.with_traceback(None))
        doubt.raised = True
        outcome = self._post(call, url, BearerAuth(token), stop)
        if outcome.error is not None and outcome.error.again is Again.TOKEN:
            self._keeper.drop(token)
        return outcome

    def token(
        self, stop: StopSignal, on_connect: Optional[Callable[[], object]] = None
    ) -> Secret:
        """Return a good access token. Raises Aborted.

        :param on_connect: called if the token service is another host than the API and has to be
            connected to, which is the time to connect to the API as well
        """
        def fetch() -> Tuple[Secret, float]:
            if on_connect is None or _origin(self._token_url) == _origin(self._api_url):
                return self._fetch_token(stop)
            with connecting.on_connect(on_connect):
                return self._fetch_token(stop)

        return self._keeper.get(fetch, stop)

    def connect_ahead(self, stop: StopSignal) -> None:
        """Connect to the API for the first call to come; a failure is left for that to meet."""
        with suppress(*NETWORK_ERRORS), stop.exchange(self._timeout[0]):
            self._sessions.connect_ahead(self._api_url, self._timeout)

    def put(
        self, url: Secret, body: Any, stop: StopSignal, *, about: Upload, name: str
    ) -> Outcome[Answer]:
        """PUT *body* (blocks with a length) to storage once. Raises Aborted.

        :param name: what texts call the part
        """
        answer = self._exchange(lambda: self._sessions.put(url, body, self._timeout), stop)
        if isinstance(answer, Diagnosis):
            return Outcome(error=transport_error("put", url, answer, about, f"{name}: "))
        return Outcome(answer)

    @property
    def needs_token(self) -> bool:
        """Say whether an access token has to be fetched: not so with ``auth``."""
        return self._auth is None and not self._keeper.good

    def after_fork(self) -> None:
        """Make this transport usable in a child process."""
        self._keeper.after_fork()
        self._sessions.after_fork()

    def reply_limit(self, call: Optional[Call] = None) -> Optional[float]:
        """Return the seconds after which an answer that still drips in is given up."""
        connect, read = self._timeouts(call)
        # one read timeout for the answer to begin, as in requests, and one for it to end
        return None if connect is None or read is None else connect + 2 * read

    def _repeat(
        self, state: CallState, attempt: Callable[[], Outcome[Reply]], stop: StopSignal,
        doubt: Doubt,
    ) -> Outcome[Reply]:
        while True:
            outcome = attempt()
            error = outcome.error
            if error is None:
                return outcome
            now = self._clock()
            after = state.failed(error, now)
            state = after.state
            doubt.raised = state.replayed or error.ambiguous
            if after.step is not Step.CALL:
                return Outcome(error=error, step=after.step)
            if after.due > now:
                log.warning("%s; again in %.1f s", error.brief, after.due - now)
                stop.wait(after.due - now)

    def _fetch_token(self, stop: StopSignal) -> Tuple[Secret, float]:
        call = token_call(*self._credentials)
        outcome = self._repeat(
            replace(self.first_state(call), renewable=False),
            lambda: self._post(call, self._token_url, NoAuth(), stop), stop, Doubt())
        return read_token(outcome.get())

    def _post(self, call: Call, url: str, auth: Any, stop: StopSignal) -> Outcome[Reply]:
        timeout = self._timeouts(call)
        answer = self._exchange(
            lambda: self._sessions.post(url, call.body, auth, timeout), stop,
            self.reply_limit(call))
        if isinstance(answer, Diagnosis):
            return Outcome(error=transport_error(call.stage, url, answer, call))
        try:
            now = datetime.now(timezone.utc)
            return Outcome(read_reply(call, answer.status, answer.headers, answer.body, now))
        except UploadError as error:
            return Outcome(error=error.with_traceback(None))

    def _exchange(
        self,
        send: Callable[[], requests.Response],
        stop: StopSignal,
        limit: Optional[float] = None,
    ) -> Union[Answer, Diagnosis]:
        answer = exchange(send, stop, limit)
        if isinstance(answer, Diagnosis) and answer.starved:
            self._sessions.give_back()
            answer = exchange(send, stop, limit)  # nothing was sent so far
        return answer

    def _timeouts(self, call: Optional[Call]) -> Timeout:
        connect, read = self._timeout
        if call is not None and call.slow and read is not None:
            read = max(read, SLOW_READ_TIMEOUT)
        return connect, read


def transport_error(
    stage: str, url: str, diagnosis: Diagnosis, about: Any, detail: str = ""
) -> TransportError:
    """Make the exception for an exchange that broke; *about* has ``file_name``, ``file_size``."""
    return TransportError(
        f"{subject(about.file_name, stage)}: {detail}{urlsplit(url).hostname}: {diagnosis.text}",
        advice=diagnosis.advice,
        again=Again.NEVER if diagnosis.final else Again.BACKOFF,
        ambiguous=stage != "token" and not diagnosis.unsent,
        stage=stage, file_name=about.file_name, file_size=about.file_size)


def _origin(url: str) -> Tuple[str, Optional[str], int]:
    """Return what of *url* tells one pool of connections from another."""
    split = urlsplit(url)
    return split.scheme, split.hostname, split.port or (443 if split.scheme == "https" else 80)
