"""HTTP: JSON calls to the API and PUTs to storage, one exchange at a time, each one abortable."""

from __future__ import annotations

import copy
import logging
from datetime import datetime, timezone
from typing import Any, Callable, NamedTuple, Optional, Tuple, Union
from urllib.parse import urlsplit

import requests

from ..errors import ADVICE, TransportError, UploadError
from ..protocol.calls import read_token, token_call
from ..protocol.codes import Again, again, is_unclear
from ..protocol.replies import read_reply
from ..protocol.retry import Attempts, Policy
from ..protocol.values import Call, Json, Secret
from .auth import BearerAuth, NoAuth, TokenKeeper
from .diagnosis import Diagnosis
from .exchange import Answer, exchange
from .sessions import Sessions, Timeout
from .stopping import StopSignal

SLOW_READ_TIMEOUT = 120.0  # seconds: the platform merges or downloads before it answers

log = logging.getLogger(__name__)


class Outcome(NamedTuple):
    """How a call ended.

    :ivar reply: the JSON object of a success
    :ivar error: otherwise, what went wrong; not raised yet, so that nothing hangs in its context
    :ivar replayed: True if an earlier attempt of the call got no clear answer
    """

    reply: Optional[Json] = None
    error: Optional[UploadError] = None
    replayed: bool = False

    def get(self) -> Json:
        """Return the reply, or raise the error."""
        if self.error is not None:
            raise copy.copy(self.error)  # itself would refer to this frame, and this frame to it
        return self.reply or {}


class Transport:
    """The way to the platform.

    :param sessions: what requests go through
    :param credentials: app id and client secret, unused with *auth*
    :param auth: what requests takes as auth, instead of a token of ours; or None
    :param timeout: (connect, read) seconds without progress, each may be None
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
    ) -> None:
        self._sessions = sessions
        self._api_url = api_url.rstrip("/")
        self._token_url = token_url
        self._credentials = credentials
        self._auth = auth
        self._timeout = timeout
        self.policy = policy
        self._keeper = TokenKeeper()

    def call(self, call: Call, stop: StopSignal) -> Outcome:
        """Make *call*, with the retries it allows. Blocks; raises Aborted."""
        return self._repeat(call, lambda: self.attempt(call, stop), stop)

    def attempt(self, call: Call, stop: StopSignal) -> Outcome:
        """Make *call* once, and at once again if its token was refused. Raises Aborted."""
        url = self._api_url + call.path
        if self._auth is not None:
            return self._post(call, url, self._auth, stop)
        for _ in range(2):  # the second time with a new token
            try:
                token = self.token(stop)
            except UploadError as error:
                return Outcome(error=error.with_traceback(None))
            outcome = self._post(call, url, BearerAuth(token), stop)
            if outcome.error is None or again(outcome.error) is not Again.TOKEN:
                break
            self._keeper.drop(token)
        return outcome

    def token(self, stop: StopSignal) -> Secret:
        """Return a good access token. Raises Aborted."""
        return self._keeper.get(lambda: self._fetch_token(stop), stop)

    def put(self, url: Secret, body: Any, stop: StopSignal) -> Union[Answer, Diagnosis]:
        """PUT *body* (blocks with a length) to storage once. Raises Aborted."""
        return self._exchange(lambda: self._sessions.put(url, body, self._timeout), stop)

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
        self, call: Call, attempt: Callable[[], Outcome], stop: StopSignal
    ) -> Outcome:
        attempts = Attempts(self.policy)
        replayed = False
        while True:
            outcome = attempt()
            error = outcome.error
            if error is None:
                return Outcome(outcome.reply, replayed=replayed)
            delay, attempts = attempts.after(error, call.repeatable)
            if delay is None or error.stage != call.stage:  # a token has its own attempts
                return Outcome(error=error, replayed=replayed)
            replayed = replayed or is_unclear(error)
            log.warning("%s; again in %.1f s", error.brief, delay)
            stop.wait(delay)

    def _fetch_token(self, stop: StopSignal) -> Tuple[Secret, float]:
        call = token_call(*self._credentials)
        outcome = self._repeat(
            call, lambda: self._post(call, self._token_url, NoAuth(), stop), stop)
        return read_token(outcome.get())

    def _post(self, call: Call, url: str, auth: Any, stop: StopSignal) -> Outcome:
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
    subject = f"{about.file_name}, {stage}" if about.file_name else stage
    advice = "" if diagnosis.final else ADVICE + "check the network and the proxy settings"
    return TransportError(
        f"{subject}: {detail}{urlsplit(url).hostname}: {diagnosis.text}{advice}",
        stage=stage, file_name=about.file_name, file_size=about.file_size,
        retryable=not diagnosis.final)
