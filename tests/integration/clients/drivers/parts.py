"""The steps of an upload as a program writes them whose client has the calls alone."""

import hashlib

MD5_10M_SIZE = 10_002_432


def digests(content):
    return {
        "md5": hashlib.md5(content).hexdigest(),
        "sha1": hashlib.sha1(content).hexdigest(),
        "md5_10m": hashlib.md5(content[:MD5_10M_SIZE]).hexdigest(),
    }


async def upload(content, prepare, put, finish):
    """Send all parts one after the other, give the upload's id."""
    plan = await prepare(file_size=str(len(content)), **digests(content))
    start = 0
    for part in plan["parts"]:
        block = content[start:start + int(part.get("block_size") or plan["block_size"])]
        start += len(block)
        await put(part["presigned_url"], block)
        await finish(
            upload_id=plan["upload_id"],
            part_index=part["index"],
            block_size=str(len(block)),
            md5=hashlib.md5(block).hexdigest(),
        )
    return plan["upload_id"]
