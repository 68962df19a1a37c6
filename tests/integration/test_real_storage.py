"""Uploads whose parts go to a real S3 store, which judges signature, expiry and md5."""

from __future__ import annotations

import os
import re
import sys
from typing import Any, Iterable, Iterator, List, Sequence

import pytest
import requests
from requests.adapters import HTTPAdapter

from qqchunk import ApiError, PartUploadError
from qqchunk.emulator import Emulator, StoragePart

from tests.integration.object_store import (
    BUCKET, SMALLEST_PART, ObjectStore, S3Storage, object_store,
)
from tests.support import Pki, uploader_for, wait_until

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(sys.version_info < (3, 10), reason="boto3 needs Python 3.10"),
]

BLOCK = SMALLEST_PART
OPENID = "A" * 32


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, pki: Pki) -> Iterator[ObjectStore]:
    directory = tmp_path_factory.mktemp("store")
    with object_store(directory, pki.server_file, pki.ca_file) as running:
        yield running


def content_of(parts: int) -> bytes:
    """As many parts as that, the last of them a short one."""
    return os.urandom((parts - 1) * BLOCK + 300_001)


def upload(
    storage: S3Storage, content: bytes, concurrency: int = 1, **options: Any
) -> str:
    """Upload, see that the store has the same bytes; give the name of its object."""
    with Emulator(storage=storage, block_size=BLOCK, concurrency=concurrency) as emulator:
        with uploader_for(emulator, backoff=0.05, **options) as sender:
            result = sender.upload("c2c", OPENID, content, file_name="archive.zip")
        assert emulator.received(result.file_info) == content
        assert emulator.refusals + emulator.manners == []
        done = [r for r in emulator.requests if r.stage == "complete" and r.status == 200]
    (name,) = [request.upload_id for request in done]
    return str(name)


@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize("parts", [1, 3, 13])
def test_the_object_is_the_file_byte_for_byte(
    store: ObjectStore, parts: int, concurrency: int
) -> None:
    storage = S3Storage(store)
    content = content_of(parts)
    name = upload(storage, content, concurrency)
    (urls,) = storage.urls
    assert len(urls) == parts
    assert store.client.head_object(Bucket=BUCKET, Key=name)["ContentLength"] == len(content)


def test_the_object_is_the_file_over_tls(store: ObjectStore, pki: Pki) -> None:
    storage = S3Storage(store, tls=True)
    content = content_of(3)
    with requests.Session() as session, Emulator(
        storage=storage, ssl_context=pki.context, block_size=BLOCK, concurrency=4
    ) as emulator:
        session.verify = pki.ca_file
        with uploader_for(emulator, backoff=0.05, session=session) as sender:
            result = sender.upload("group", OPENID, content, file_name="archive.zip")
        assert emulator.received(result.file_info) == content
    assert all(url.startswith("https://") for url in storage.urls[0])


class Spoiling(S3Storage):
    """Spoils the URLs of the first uploads, from a part on."""

    def __init__(
        self, store: ObjectStore, *, first: int, uploads: int = 1, tls: bool = False
    ) -> None:
        super().__init__(store, tls=tls)
        self.first = first
        self.uploads = uploads

    def presigned_urls(
        self, upload_id: str, parts: Sequence[StoragePart], lifetime: float
    ) -> List[str]:
        urls = super().presigned_urls(upload_id, parts, lifetime)
        if len(self.urls) <= self.uploads:
            for place, part in enumerate(parts[self.first - 1:], self.first - 1):
                urls[place] = self.spoil(urls[place], upload_id, part)
            self.when_spoiled(urls)
        return urls

    def spoil(self, url: str, upload_id: str, part: StoragePart) -> str:
        raise NotImplementedError

    def when_spoiled(self, urls: List[str]) -> None:
        """All of them are spoiled."""


class Expiring(Spoiling):
    """Hands out URLs that have expired by the store's own clock."""

    def spoil(self, url: str, upload_id: str, part: StoragePart) -> str:
        return self.presign(upload_id, part, 1)

    def when_spoiled(self, urls: List[str]) -> None:
        def refused() -> bool:
            late = requests.put(urls[-1], data=b"late", timeout=5, verify=self.ca_file)
            return late.status_code == 403

        wait_until(refused)


class Altering(Spoiling):
    """Hands out URLs with a digit of the signature changed."""

    def spoil(self, url: str, upload_id: str, part: StoragePart) -> str:
        return re.sub("(?<=Signature=)(.)", lambda digit: "1" if digit[1] == "0" else "0", url)


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("first, concurrency", [(1, 1), (3, 1), (3, 4)])
def test_expired_urls_lead_to_one_fresh_prepare(
    store: ObjectStore, first: int, concurrency: int, tls: bool
) -> None:
    storage = Expiring(store, first=first, tls=tls)
    with requests.Session() as session:
        session.verify = storage.ca_file
        upload(storage, content_of(5), concurrency, storage_session=session)
    assert len(storage.urls) == 2


def test_altered_signature_leads_to_one_fresh_prepare(store: ObjectStore) -> None:
    storage = Altering(store, first=2)
    upload(storage, content_of(3))
    assert len(storage.urls) == 2


def test_signatures_that_stay_altered_end_the_upload(store: ObjectStore) -> None:
    storage = Altering(store, first=2, uploads=9)
    with pytest.raises(PartUploadError) as caught:
        upload(storage, content_of(3))
    assert (caught.value.part_index, caught.value.http_status) == (2, 403)
    assert len(storage.urls) == 2


class Damaging(HTTPAdapter):
    """Changes the first byte of each body behind the library's back."""

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        request.body = self.damaged(request.body)  # type: ignore[assignment]
        return super().send(request, **options)

    @staticmethod
    def damaged(body: Iterable[bytes]) -> Iterator[bytes]:
        blocks = iter(body)
        first = next(blocks)
        yield bytes([first[0] ^ 1]) + first[1:]
        yield from blocks


def test_bytes_damaged_on_the_way_are_refused_by_their_md5(store: ObjectStore) -> None:
    storage = S3Storage(store)
    with requests.Session() as session:
        session.mount("http://", Damaging())
        with pytest.raises(ApiError) as caught:
            upload(storage, content_of(3), storage_session=session)
    assert caught.value.code == 850019
    assert storage.errors == ["InvalidPart"]
