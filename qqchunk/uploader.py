"""``Uploader``: prepare, parts, complete; and the message that carries the file."""

from __future__ import annotations

import logging
import time
from datetime import datetime, timezone
from functools import partial
from typing import Any, Dict, Optional, Type, TypeVar, Union

import requests

from .errors import format_size
from .net.outcome import Outcome
from .net.sessions import Sessions
from .net.transport import Transport
from .protocol.calls import Upload
from .protocol.ladder import PartState, Step
from .protocol.plan import UploadPlan, read_plan
from .protocol.results import UploadResult, read_result
from .protocol.values import ChatType, FileType, Secret, check_chat_type
from .source.hashing import FileHashes, hash_source, verify_unchanged
from .source.ranges import Source
from .transfer import arguments as settings
from .transfer.arguments import checked_url_call, mask_file_info, opened_upload
from .transfer.cache import Cache, FileInfoCache
from .transfer.environment import fill_from_environment
from .transfer.messages import Message
from .transfer.operation import Cancel, Operation, RunningCalls
from .transfer.parts import Parts
from .transfer.progress import Callback

log = logging.getLogger(__name__)

_Uploader = TypeVar("_Uploader", bound="Uploader")


class Uploader:
    """Sends files to QQ chats. One serves many threads, and child processes after a fork.

    :param app_id: the bot's app id, from the QQ open platform console
    :param client_secret: its secret
    :param auth: instead of a secret: whatever requests takes as ``auth``. A refused token then
        raises at once
    :param session: your session for API calls, with its proxies, CA bundle, adapters and headers
    :param storage_session: the same for the PUTs to storage; by default one of our own with the
        ``proxies``, ``verify``, ``cert`` and ``trust_env`` of *session*, and nothing else of it
    :param api_url: the platform's API
    :param token_url: where access tokens come from
    :param timeout: (connect, read) seconds without progress, as in requests: one number stands for
        both, None for no limit; the calls during which the platform works (complete, by URL) may
        read for 120 s at least
    :param retries: further attempts of one call after a transient failure; 0 for none. Waiting
        for a rate limit or a busy platform goes by the clock instead
    :param backoff: seconds; the n-th delay is ``backoff * 2 ** n`` from n = 0 on, times 0.8 to 1.2
    :param max_concurrency: parts at a time at the most, whatever the server wishes
    :param max_file_size: bytes; a larger file is refused before it is hashed
    :param cache: keeps ``file_info`` for reuse: anything with ``get(key)``,
        ``set(key, value, timeout)`` and ``delete(key)``. Needs *app_id*
    :raises TypeError: an argument of a wrong type
    :raises ValueError: an argument of a wrong value, or no credentials
    """

    def __init__(
        self,
        app_id: Union[None, str, int] = None,
        client_secret: Optional[str] = None,
        *,
        auth: Any = None,
        session: Optional[requests.Session] = None,
        storage_session: Optional[requests.Session] = None,
        api_url: str = "https://api.sgroup.qq.com",
        token_url: str = "https://bots.qq.com/app/getAppAccessToken",
        timeout: Any = (10.0, 60.0),
        retries: int = 2,
        backoff: float = 1.0,
        max_concurrency: int = 10,
        max_file_size: int = 200 << 20,
        cache: Optional[Cache] = None,
    ) -> None:
        # Masked first: if a check fails, error trackers print this frame's variables.
        client_secret = settings.masked(client_secret)
        auth = settings.check_auth(auth)
        credentials = settings.check_credentials(app_id, client_secret, auth)
        self._app_id = credentials[0]
        self._max_concurrency = settings.check_count("max_concurrency", max_concurrency, 1)
        self._max_file_size = settings.check_count("max_file_size", max_file_size, 1)
        self._https_only = settings.check_url("api_url", api_url).startswith("https")
        self._cache = FileInfoCache(
            settings.check_cache(cache, self._app_id), f"{api_url.rstrip('/')} {self._app_id}")
        sessions = Sessions(
            settings.check_session("session", session),
            settings.check_session("storage_session", storage_session))
        self._transport = Transport(
            sessions,
            api_url=api_url,
            token_url=settings.check_url("token_url", token_url),
            credentials=credentials,
            auth=auth,
            timeout=settings.check_timeout(timeout),
            policy=settings.check_policy(retries, backoff),
        )
        self._calls = RunningCalls(self, sessions, self._transport)

    @classmethod
    def from_env(cls: Type[_Uploader], **options: Any) -> _Uploader:
        """Make one with the credentials and hosts of the environment.

        They are QQ_BOT_APP_ID, QQ_BOT_CLIENT_SECRET, QQ_BOT_API_URL and QQ_BOT_TOKEN_URL.

        :param options: those of the class; they win
        :raises ValueError: if credentials are missing, or as the class does
        :raises TypeError: as the class does
        """
        fill_from_environment(options)
        return cls(**options)

    def __repr__(self) -> str:
        # A traceback may show one whose constructor failed half-way.
        made = vars(self)
        closed = ", closed" if "_calls" in made and made["_calls"].closed else ""
        return f"<Uploader app_id={made.get('_app_id') or None}{closed}>"

    def __getstate__(self) -> object:
        raise TypeError("an Uploader cannot be pickled: make one in each process")

    def __enter__(self) -> Uploader:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop what other threads are uploading, and close the connections. May be repeated."""
        self._calls.close()

    def upload(
        self,
        chat_type: Union[str, ChatType],
        target_id: str,
        file: Any,
        file_type: Union[None, int, FileType] = None,
        file_name: Optional[str] = None,
        *,
        progress: Union[None, bool, Callback] = None,
        cancel: Optional[Cancel] = None,
        deadline: Optional[float] = None,
    ) -> UploadResult:
        """Upload a file for one chat, or for others of the same scene; block until it is there.

        :param chat_type: ``"c2c"`` or ``"group"``
        :param target_id: the openid of the user or the group
        :param file: a path, bytes, bytearray, memoryview, or anything with a ``read()`` that
            gives bytes; the whole of it goes up, wherever it stands, and it stays open
        :param file_type: a :class:`FileType` or 1 to 4; None guesses it from the name
        :param file_name: None takes it from *file*; characters that the platform does not take
            are replaced, and it is cut to 180
        :param progress: True for a tqdm bar, or a callable that takes a :class:`Progress`, called
            on this thread
        :param cancel: anything with ``is_set()``; ends the upload once that is true
        :param deadline: seconds for the whole call. Neither can end a ``read()`` of yours that
            blocks, nor a name resolution
        :returns: the result, whose ``file_info`` goes into a message
        :raises UploadError: see :mod:`qqchunk.errors`
        :raises OSError: the file cannot be read
        :raises ValueError: a wrong argument
        :raises TypeError: an argument of a wrong type
        :raises ImportError: ``progress=True`` without tqdm
        :raises RuntimeError: the uploader is closed
        """
        file = mask_file_info(file)
        with self._calls.operation(cancel, deadline) as operation:
            with opened_upload(
                operation, chat_type, target_id, file, file_type, file_name, progress,
                self._max_file_size,
            ) as (upload, source):
                result = self._upload(operation, upload, source)
                operation.reporter.tell(final=True)
                return result

    def upload_url(
        self,
        chat_type: Union[str, ChatType],
        target_id: str,
        url: str,
        file_type: Union[None, int, FileType] = None,
        file_name: Optional[str] = None,
        *,
        cancel: Optional[Cancel] = None,
        deadline: Optional[float] = None,
    ) -> UploadResult:
        """Let the platform download a file from *url*; block until it has it.

        The arguments are those of :meth:`upload`. The platform must be able to reach *url*; it
        takes a name for type ``FILE`` only. No cache is asked.

        :raises UploadError: see :mod:`qqchunk.errors`
        :raises ValueError: a wrong argument
        :raises TypeError: an argument of a wrong type
        :raises RuntimeError: the uploader is closed
        """
        if isinstance(url, str):
            url = Secret(url)  # a signed one is nobody's business
        call = checked_url_call(chat_type, target_id, url, file_type, file_name)
        with self._calls.operation(cancel, deadline) as operation:
            operation.enter("url")
            operation.file_name = call.file_name
            outcome = operation.run(self._transport.call, call, operation.stop_signal)
            return read_result(outcome.get(), _now(), stage="url")

    def send(
        self,
        chat_type: Union[str, ChatType],
        target_id: str,
        file: Any,
        file_type: Union[None, int, FileType] = None,
        file_name: Optional[str] = None,
        *,
        content: Optional[str] = None,
        msg_id: Optional[str] = None,
        event_id: Optional[str] = None,
        msg_seq: Optional[int] = None,
        progress: Union[None, bool, Callback] = None,
        cancel: Optional[Cancel] = None,
        deadline: Optional[float] = None,
    ) -> Dict[str, Any]:
        """Upload a file and send it to the chat; block until the message is accepted.

        Beside the arguments of :meth:`upload`:

        :param file: may also be the :class:`UploadResult` of an earlier upload in this scene,
            which needs no progress
        :param content: text beside the file
        :param msg_id: the message this is a reply to
        :param event_id: the event this is a reply to
        :param msg_seq: sets several replies to one message apart; None draws one
        :returns: the platform's reply; ``{"id": None, "deduplicated": True}`` if it says that it
            has the message already, after an attempt that it did not answer
        :raises UploadError: see :mod:`qqchunk.errors`; not ``retryable`` if the message may have
            been sent and a second call could post it twice
        :raises ValueError: a wrong argument, or both *msg_id* and *event_id*
        :raises TypeError, OSError, ImportError, RuntimeError: as :meth:`upload`
        """
        message = Message.checked(content, msg_id, event_id, msg_seq)
        chat = check_chat_type(chat_type)
        file = mask_file_info(file)
        with self._calls.operation(cancel, deadline) as operation:
            if isinstance(file, UploadResult):
                if file_type is not None or file_name is not None:
                    raise ValueError("an UploadResult has its file_type and file_name already")
                return message.send(operation, self._transport, chat, target_id, file)
            with opened_upload(
                operation, chat, target_id, file, file_type, file_name, progress,
                self._max_file_size,
            ) as (upload, source):
                result = self._upload(operation, upload, source)
                reply = message.send(
                    operation, self._transport, chat, target_id, result,
                    renew=lambda: self._upload(operation, upload, source, use_cache=False))
                operation.reporter.tell(final=True)
                return reply

    def _upload(
        self, operation: Operation, upload: Upload, source: Source, *, use_cache: bool = True
    ) -> UploadResult:
        began = time.monotonic()
        size = format_size(upload.file_size)
        log.info("%s: uploading %s for a %s chat", upload.file_name, size, upload.chat_type.value)
        operation.enter("hash")
        token = None
        if self._transport.needs_token:  # fetched meanwhile
            stop = operation.stop_signal
            token = operation.submit(
                self._transport.token, stop,
                lambda: operation.submit(self._transport.connect_ahead, stop))
        hashes = hash_source(source, partial(operation.check, token))
        key = self._cache.key(upload, hashes.md5, hashes.sha1)
        result = None
        if use_cache:
            result = self._cache.get(key, operation.run_for_cache)
        else:
            self._cache.delete(key, operation.run_for_cache)
        if result is None:
            if token is not None:
                operation.enter("prepare")
                operation.wait_for(token)
            result = operation.run(self._transfer, operation, upload, source, hashes)
            self._cache.set(key, result, operation.run_for_cache)
        log.info(
            "%s: %s %s in %.1f s", upload.file_name,
            "reused" if result.reused else "uploaded", size, time.monotonic() - began)
        return result

    # The three steps of the protocol

    def _transfer(
        self, operation: Operation, upload: Upload, source: Source, hashes: FileHashes
    ) -> UploadResult:
        spent: Dict[int, PartState] = {}
        outcome = self._follow_one_plan(operation, upload, source, hashes, spent, last=False)
        if outcome.error is not None and outcome.step is Step.PREPARE:
            log.warning("%s; preparing the upload anew", outcome.error.brief)
            outcome = self._follow_one_plan(operation, upload, source, hashes, spent, last=True)
        return outcome.get()

    def _follow_one_plan(
        self, operation: Operation, upload: Upload, source: Source, hashes: FileHashes,
        spent: Dict[int, PartState], *, last: bool,
    ) -> Outcome[UploadResult]:
        plan = self._prepare(operation, upload, hashes)
        if plan.result is not None:
            return Outcome(plan.result)
        operation.enter("put")
        parts = Parts(
            operation, self._transport, upload, source, plan,
            md5=hashes.md5, spent=spent, last=last)
        stale = parts.send()
        if stale is not None:
            parts.stop()
            return Outcome(error=stale, step=Step.PREPARE)
        verify_unchanged(source, hashes, operation.stop_signal.check)
        operation.enter("complete")
        completed = self._transport.call(
            upload.complete(plan), operation.stop_signal, last=last, doubtful=parts.doubtful)
        if completed.error is not None:
            return Outcome(error=completed.error, step=completed.step)
        return Outcome(read_result(completed.get(), _now(), reused=not plan.parts))

    def _prepare(self, operation: Operation, upload: Upload, hashes: FileHashes) -> UploadPlan:
        operation.enter("prepare")
        call = upload.prepare(hashes.md5, hashes.sha1, hashes.md5_10m)
        outcome = self._transport.call(call, operation.stop_signal)
        plan = read_plan(
            outcome.get(), upload.file_size, max_concurrency=self._max_concurrency,
            https_only=self._https_only, now=_now())
        log.info(
            "%s: %d part(s), %d at a time", upload.file_name, len(plan.parts), plan.concurrency)
        return plan


def _now() -> datetime:
    return datetime.now(timezone.utc)
