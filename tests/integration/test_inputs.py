"""What other libraries call a file: sent if it can be read, and else refused in words."""

from __future__ import annotations

import asyncio
import io
import pathlib
from importlib import import_module
from typing import Any

import pytest

from qqchunk import UploadError
from qqchunk.source.opening import open_source

pytestmark = pytest.mark.integration

CONTENT = b"0123456789" * 50_000


def refused(file: Any, name: Any = "a.bin") -> str:
    with pytest.raises(TypeError) as caught:
        open_source(file, name).close()
    return str(caught.value)


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "a.bin"
    path.write_bytes(CONTENT)
    return path


def test_httpx_response_is_refused_for_its_content() -> None:
    import httpx

    response = httpx.Response(200, content=CONTENT)
    words = "cannot upload Response, whose read() takes no number of bytes: give its .content"
    assert refused(response) == refused(response, None) == words


def test_starlette_upload_is_refused_for_its_file() -> None:
    from starlette.datastructures import UploadFile

    upload = UploadFile(io.BytesIO(CONTENT), filename="a.bin")
    assert refused(upload, None) == (
        "cannot upload UploadFile, whose read() is asynchronous: give its .file")
    with open_source(upload.file, upload.filename) as source:
        assert source.size == len(CONTENT)


def test_asynchronous_files_are_refused(path: pathlib.Path) -> None:
    import aiofiles
    import anyio

    async def look() -> None:
        async with aiofiles.open(path, "rb") as file:
            assert refused(file) == (
                "cannot upload AsyncBufferedReader, whose read() is asynchronous: give the bytes "
                "that awaiting it gives, or the path")
        async with await anyio.open_file(path, "rb") as wrapper:
            assert refused(wrapper).endswith("is asynchronous: give its .wrapped")
            with open_source(wrapper.wrapped) as source:
                assert source.size == len(CONTENT)
        assert "StreamReader, whose read() is asynchronous" in refused(asyncio.StreamReader())

    asyncio.run(look())


def test_object_of_s3_goes_up_whole_or_not_at_all() -> None:
    body_of = import_module("botocore.response").StreamingBody
    body = body_of(io.BytesIO(CONTENT), len(CONTENT))
    with open_source(body, "a.bin") as source:
        assert source.read_at(0, source.size) == CONTENT
    with pytest.raises(UploadError, match=r"^a\.bin, open: StreamingBody broke off .Incomplete"):
        open_source(body_of(io.BytesIO(CONTENT[:-1]), len(CONTENT)), "a.bin")
