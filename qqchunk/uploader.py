"""``Uploader``: prepare, parts, complete; and the message that carries the file."""

from __future__ import annotations

import logging
from datetime import datetime, timezone
from typing import Any, Dict, Optional, Type, TypeVar, Union

import requests

from .net.sessions import Timeout
from .protocol.calls import Upload
from .protocol.ladder import PartState, Step
from .protocol.plan import UploadPlan, read_plan
from .protocol.results import UploadResult, read_result
from .protocol.values import ChatType, FileType, Secret
from .source.hashing import FileHashes, verify_unchanged
from .source.ranges import Source
from .transfer.arguments import Cancel, check_chat_type, masked, masked_auth
from .transfer.cache import Cache
from .transfer.messages import Message
from .transfer.operation import Operation, RunningCalls
from .transfer.parts import Parts
from .transfer.progress import Callback
from .transfer.settings import Settings, fill_from_environment
from .transfer.uploads import checked_url_call, mask_file_info, opened_upload, reuse_or_transfer

log = logging.getLogger(__name__)

_Uploader = TypeVar("_Uploader", bound="Uploader")


class Uploader:
    """Sends files to QQ chats. One serves many threads, and child processes after a fork.

    :param app_id, client_secret: the bot's, from the QQ open platform console
    :param auth: instead of a secret: what requests takes as ``auth``; a refused token then raises
    :param session: your session for API calls, with its proxies, CA bundle, adapters and headers
    :param storage_session: the same for the PUTs to storage; by default one of our own with the
        ``proxies``, ``verify``, ``cert`` and ``trust_env`` of *session*, and nothing else of it
    :param api_url, token_url: the platform's API, and where access tokens come from
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
    :raises ValueError, TypeError: a wrong argument, or no credentials
    """

    def __init__(
        self, app_id: Union[None, str, int] = None, client_secret: Optional[str] = None, *,
        auth: Any = None, session: Optional[requests.Session] = None,
        storage_session: Optional[requests.Session] = None,
        api_url: str = "https://api.sgroup.qq.com",
        token_url: str = "https://bots.qq.com/app/getAppAccessToken",
        timeout: Union[None, float, Timeout] = (10.0, 60.0), retries: int = 2, backoff: float = 1.0,
        max_concurrency: int = 10, max_file_size: int = 200 << 20, cache: Optional[Cache] = None,
    ) -> None:
        # Masked first: if a check fails, error trackers print this frame's variables.
        client_secret, auth = masked(client_secret), masked_auth(auth)
        settings = Settings.checked(
            app_id, client_secret, auth=auth, session=session, storage_session=storage_session,
            api_url=api_url, token_url=token_url, timeout=timeout, retries=retries,
            backoff=backoff, max_concurrency=max_concurrency, max_file_size=max_file_size,
            cache=cache)
        self._settings, self._transport = settings, settings.transport
        self._calls = RunningCalls(self, settings.sessions, settings.transport)

    @classmethod
    def from_env(cls: Type[_Uploader], **options: Any) -> _Uploader:
        """Make one with what the environment has of QQ_BOT_APP_ID, QQ_BOT_CLIENT_SECRET,
        QQ_BOT_API_URL and QQ_BOT_TOKEN_URL.

        :param options: those of the class; they win
        :raises ValueError, TypeError: if credentials are missing, or as the class does
        """
        fill_from_environment(options)
        return cls(**options)

    def __repr__(self) -> str:
        # A traceback may show one whose constructor failed half-way.
        if "_calls" not in vars(self):
            return "<Uploader, not made>"
        closed = ", closed" if self._calls.closed else ""
        return f"<Uploader app_id={self._settings.app_id or None}{closed}>"

    def __getstate__(self) -> object:
        raise TypeError("an Uploader cannot be pickled: make one in each process")

    def __enter__(self: _Uploader) -> _Uploader:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop what other threads are uploading, and close the connections. May be repeated."""
        self._calls.close()

    def upload(
        self, chat_type: Union[str, ChatType], target_id: str, file: Any,
        file_type: Union[None, int, FileType] = None, file_name: Optional[str] = None, *,
        progress: Union[None, bool, Callback] = None, cancel: Optional[Cancel] = None,
        deadline: Optional[float] = None,
    ) -> UploadResult:
        """Upload a file for one chat, or for all of the same type; block until it is there.

        :param chat_type: ``"c2c"`` or ``"group"``
        :param target_id: the openid of the user or the group
        :param file: a path, bytes, bytearray, memoryview, or anything with a ``read()`` that
            gives bytes; the whole of it goes up, wherever it stands, and it stays open
        :param file_type: a :class:`FileType` or 1 to 4; None guesses it from the name
        :param file_name: None takes it from *file*; characters that the platform does not take
            are replaced, and it is cut to 180 characters
        :param progress: True for a tqdm bar, or a callable that takes a :class:`Progress`, called
            on this thread
        :param cancel: anything with ``is_set()``; ends the upload once that is true
        :param deadline: seconds for the whole call. Neither this nor *cancel* ends a ``read()``
            of yours that blocks, or the look-up of a host name
        :returns: the result, whose ``file_info`` goes into a message
        :raises UploadError: see :mod:`qqchunk.errors`
        :raises OSError: the file cannot be read
        :raises ValueError, TypeError: a wrong argument
        :raises ImportError: ``progress=True`` without tqdm
        :raises RuntimeError: the uploader is closed
        """
        file, settings = mask_file_info(file), self._settings
        with self._calls.operation(cancel, deadline) as operation:
            with opened_upload(
                operation, settings, chat_type, target_id, file, file_type, file_name, progress
            ) as (upload, source):
                result = self._upload(operation, upload, source)
                operation.reporter.tell(final=True)
                return result

    def upload_url(
        self, chat_type: Union[str, ChatType], target_id: str, url: str,
        file_type: Union[None, int, FileType] = None, file_name: Optional[str] = None, *,
        cancel: Optional[Cancel] = None, deadline: Optional[float] = None,
    ) -> UploadResult:
        """Let the platform download a file from *url*; block until it has it.

        The arguments are those of :meth:`upload`. The platform must be able to reach *url*; it
        takes a name for type ``FILE`` only. No cache is asked.

        :raises UploadError, ValueError, TypeError, RuntimeError: as :meth:`upload`
        """
        if isinstance(url, str):
            url = Secret(url)  # it may be signed
        call = checked_url_call(chat_type, target_id, url, file_type, file_name)
        with self._calls.operation(cancel, deadline) as operation:
            operation.enter("url")
            operation.file_name = call.file_name
            outcome = operation.run(self._transport.call, call, operation.stop_signal)
            return read_result(outcome.get(), _now(), stage="url")

    def send(
        self, chat_type: Union[str, ChatType], target_id: str, file: Any,
        file_type: Union[None, int, FileType] = None, file_name: Optional[str] = None, *,
        content: Optional[str] = None, msg_id: Optional[str] = None,
        event_id: Optional[str] = None, msg_seq: Optional[int] = None,
        progress: Union[None, bool, Callback] = None, cancel: Optional[Cancel] = None,
        deadline: Optional[float] = None,
    ) -> Dict[str, Any]:
        """Upload a file and send it to the chat; block until the message is accepted.

        Beside the arguments of :meth:`upload`:

        :param file: may also be the :class:`UploadResult` of an earlier upload for a chat
            of this type, which needs no progress
        :param content: text beside the file
        :param msg_id, event_id: the message, or the event, that this is a reply to
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
                operation, self._settings, chat, target_id, file, file_type, file_name, progress
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
        return reuse_or_transfer(
            operation, self._settings, upload, source, self._transfer, use_cache=use_cache)

    def _transfer(
        self, operation: Operation, upload: Upload, source: Source, hashes: FileHashes
    ) -> UploadResult:
        spent: Dict[int, PartState] = {}
        last = False
        while True:
            plan = self._prepare(operation, upload, hashes)
            if plan.result is not None:
                return plan.result
            operation.enter("put")
            parts = Parts(
                operation, self._transport, upload, source, plan, md5=hashes.md5, spent=spent,
                last=last)
            stale = parts.send()
            if stale is None:
                verify_unchanged(source, hashes, operation.stop_signal.check)
                operation.enter("complete")
                outcome = self._transport.call(
                    upload.complete(plan), operation.stop_signal, last=last,
                    doubtful=parts.doubtful)
                if outcome.error is None or outcome.step is not Step.PREPARE:
                    return read_result(outcome.get(), _now(), reused=not plan.parts)
                stale = outcome.error
            log.warning("%s; preparing the upload anew", stale.brief)
            parts.stop()
            last = True  # the ladder wants no third plan

    def _prepare(self, operation: Operation, upload: Upload, hashes: FileHashes) -> UploadPlan:
        operation.enter("prepare")
        call = upload.prepare(hashes.md5, hashes.sha1, hashes.md5_10m)
        outcome = self._transport.call(call, operation.stop_signal)
        plan = read_plan(
            outcome.get(), upload.file_size, max_concurrency=self._settings.max_concurrency,
            https_only=self._settings.https_only, now=_now())
        parts = len(plan.parts)
        log.info("%s: %d part(s), %d at a time", upload.file_name, parts, plan.concurrency)
        return plan


def _now() -> datetime:
    return datetime.now(timezone.utc)
