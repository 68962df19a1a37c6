"""The emulator itself: options, start and stop, and what a test asks it afterwards."""

from __future__ import annotations

import ssl
from typing import Callable, Dict, Iterable, List, Optional, Tuple, Union

from .behaviour import BEHAVIOUR_NAMES, Behaviour
from .connections import Connection, Listener, bound_address
from .faults import Fault, FaultScript
from .files import StoredFile
from .handler import Handler
from .inbox import Inbox
from .journal import Journal, Request
from .service import Service
from .storage import Storage


class Emulator:
    """A local QQ Bot API and object storage, as strict as the platform, or stricter on request.

    It listens on loopback from :meth:`start` (or ``with``) to :meth:`stop`::

        with Emulator() as emulator:
            uploader = Uploader(
                emulator.app_id, emulator.client_secret,
                api_url=emulator.api_url, token_url=emulator.token_url,
            )
            result = uploader.upload("c2c", "OPENID", "holiday.mp4")
            assert emulator.received(result.file_info) == pathlib.Path("holiday.mp4").read_bytes()

    Any openid is a known user and a known group. All options can be changed while it runs,
    through :attr:`behaviour`.

    :param strict … storage_host: how it behaves, see :class:`Behaviour`.
    :param storage: where the bytes go, see :class:`Storage`; by default the emulator takes them.
    :param ssl_context: a server-side context, for https.
    :param host, port: where to listen (IPv4); port 0 takes a free one.
    :param faults: faults from the start, see :class:`Fault`.
    :param seed: for the draws of faults with a ``chance``.
    :raises ValueError: for an option that has no such value.
    """

    def __init__(
        self,
        *,
        strict: bool = False,
        app_id: str = "102000001",
        client_secret: str = "emulator-secret",
        index_base: int = 1,
        numbers: str = "mixed",
        config: str = "nested",
        wrapped: bool = False,
        shuffled: bool = False,
        aliases: bool = False,
        part_sizes: bool = True,
        part_indexes: bool = True,
        block_size: object = 10_485_760,
        concurrency: object = 1,
        retry_timeout: object = 300,
        retry_delay: object = 1,
        token_ttl: object = 7200,
        token_reissued: bool = True,
        url_ttl: float = 3600.0,
        upload_ttl: float = 3600.0,
        daily_quota: int = 2 << 30,
        max_file_size: int = 200 << 20,
        quota_stage: str = "prepare",
        file_info_ttl: object = 86400,
        part_md5_checked_at: str = "finish",
        media_checked: bool = True,
        finish_repeatable: bool = True,
        complete_repeatable: bool = False,
        ordered_finishes: bool = False,
        instant: Union[bool, str] = False,
        content_required: bool = False,
        error_codes: str = "both",
        busy_finishes: int = 0,
        latency: float = 0.0,
        rate_limits: bool = False,
        keep_bodies: bool = True,
        storage: Optional[Storage] = None,
        ssl_context: Optional[ssl.SSLContext] = None,
        host: str = "127.0.0.1",
        port: int = 0,
        storage_host: Optional[str] = None,
        faults: Iterable[Fault] = (),
        seed: int = 0,
    ) -> None:
        given = dict(locals())
        self.app_id = app_id
        self.client_secret = client_secret
        self.behaviour = Behaviour(**{name: given[name] for name in BEHAVIOUR_NAMES})
        self._journal = Journal()
        self._service = Service(self.behaviour, self._journal, storage)
        self._script = FaultScript(faults, seed)
        self._inbox = Inbox(self._service, self._journal, self._script, host)
        self._ssl_context = ssl_context
        self._address: Tuple[str, int] = (host, port)
        self._listener: Optional[Listener] = None
        self._accepted_before = 0
        #: Every request in order of arrival; may be cleared.
        self.requests: List[Request] = self._journal.requests
        #: One line for each thing a client did that the platform's contract forbids.
        self.refusals: List[str] = self._journal.refusals
        #: One line for each thing it did that nothing shows the platform to refuse, but should not.
        self.manners: List[str] = self._journal.manners
        #: Bodies of the messages taken, with ``scene`` and ``target`` added.
        self.messages: List[Dict[str, object]] = self._service.messages.bodies

    def start(self) -> "Emulator":
        """Begin to listen. After :meth:`stop` it starts again on the same port, knowing all.

        :raises OSError: if the port is taken.
        """
        if self._listener is None:
            listener = Listener(self._address, self._serve)
            self._address = bound_address(listener)
            storage_host = self.behaviour.storage_host or self._address[0]
            self._service.local_storage.url = self._url(storage_host)
            self._listener = listener
            try:
                listener.run()
            except RuntimeError:
                self.stop()
                raise
        return self

    def stop(self) -> None:
        """Stop listening, cut every connection, end every thread."""
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.stop()
            self._accepted_before += listener.accepted

    def __enter__(self) -> "Emulator":
        return self.start()

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def _url(self, host: str) -> str:
        if not self._address[1]:
            raise RuntimeError("the emulator has no address before start()")
        scheme = "https" if self._ssl_context else "http"
        return f"{scheme}://{host}:{self._address[1]}"

    @property
    def api_url(self) -> str:
        """Scheme, host and port, as in ``http://127.0.0.1:40123``."""
        return self._url(self._address[0])

    @property
    def token_url(self) -> str:
        """Where the bot gets its access token."""
        return f"{self.api_url}/app/getAppAccessToken"

    @property
    def inbox_url(self) -> str:
        """The page that shows what arrived, for a browser."""
        return f"{self.api_url}/"

    @property
    def connections(self) -> int:
        """Connections accepted so far."""
        listener = self._listener
        return self._accepted_before + (listener.accepted if listener else 0)

    @property
    def open_connections(self) -> int:
        """Connections open right now."""
        listener = self._listener
        return listener.open_connections if listener else 0

    def received(self, file_info: str) -> bytes:
        """Give the bytes of an uploaded file.

        :raises KeyError: if no upload was given this ``file_info``.
        :raises RuntimeError: with ``keep_bodies=False``.
        """
        chunks = self.stored(file_info).chunks
        if chunks is None:
            raise RuntimeError("keep_bodies=False: only the digests are left, see stored()")
        return b"".join(chunks)

    def stored(self, file_info: str) -> StoredFile:
        """Give name, type, scene and digests of an uploaded file.

        :raises KeyError: if no upload was given this ``file_info``.
        """
        return self._service.files.get(file_info)

    def forget(self, file_info: str) -> None:
        """Drop an uploaded file, for long runs that must not grow."""
        self._service.files.forget(file_info)

    def fail(
        self,
        stage: str,
        kind: str,
        *,
        part: Optional[int] = None,
        times: Optional[int] = 1,
        after: int = 0,
        chance: float = 1.0,
        **options: object,
    ) -> Fault:
        """Add a fault to the script; the arguments are those of :class:`Fault`."""
        fault = Fault(stage, kind, part=part, times=times, after=after, chance=chance, **options)
        self._script.add(fault)
        return fault

    def clear_faults(self) -> None:
        """Forget every fault that has not struck yet."""
        self._script.clear()

    def count(self, stage: str) -> int:
        """How many requests of a stage have come, those under way included."""
        return self._journal.count(stage)

    def peak(self, stage: str) -> int:
        """The most requests of a stage that were under way at the same time."""
        return self._journal.peak(stage)

    def watch(self, watcher: Callable[[Request], None]) -> None:
        """Call *watcher* with each request: when it has come, and again with its outcome.

        It is called on the request's own thread, before the client has the last byte of the reply.
        """
        self._journal.watchers.append(watcher)

    def expire_tokens(self) -> None:
        """End every access token now."""
        self._service.tokens.expire()

    def expire_urls(self) -> None:
        """End every presigned URL handed out so far."""
        self._service.local_storage.expire_urls()

    def expire_files(self) -> None:
        """End every ``file_info`` handed out so far."""
        self._service.files.expire()

    def _serve(self, connection: Connection) -> None:
        if self._ssl_context is not None:
            connection.secure(self._ssl_context)
        listener = self._listener
        if listener is not None:  # else stop() was quicker
            Handler(
                connection, listener, self._service, self._journal, self._script, self._inbox)
