"""How a file is cut into parts, and how the plan is worded in the chosen dialect."""

from __future__ import annotations

import random
from typing import Dict, List, Sequence

from .behaviour import DEFAULT_BLOCK_SIZE, Behaviour, as_size
from .storage import StoragePart


def cut(size: int, behaviour: Behaviour) -> List[StoragePart]:
    """Cut a file of ``size`` bytes; the last part is the remainder.

    A ``block_size`` that is no positive number is still sent as it is, but the
    parts are then of the usual 10 485 760 bytes.
    """
    block_size = as_size(behaviour.block_size) or DEFAULT_BLOCK_SIZE
    offsets = range(0, size, block_size)
    return [
        StoragePart(number, behaviour.index_base + number - 1, min(block_size, size - offset))
        for number, offset in enumerate(offsets, 1)
    ]


def confirmed_at_once(behaviour: Behaviour) -> int:
    """How many parts a client that was given this plan may be confirming; 1 if none was said."""
    told = behaviour.concurrency
    if isinstance(told, float) and told.is_integer():
        told = int(told)
    return (as_size(told) if behaviour.config != "none" else None) or 1


def plan_fields(
    behaviour: Behaviour,
    upload_id: str,
    file_size: int,
    parts: List[StoragePart],
    urls: Sequence[str],
) -> Dict[str, object]:
    """Word the reply to prepare; ``urls`` has one for each part."""
    block_size = behaviour.block_size
    known_size = as_size(block_size)
    if known_size and known_size > file_size and isinstance(block_size, int):
        block_size = file_size  # the live platform gives the smaller of the two
    fields: Dict[str, object] = {
        "upload_id": upload_id,
        "block_size": behaviour.spell(block_size, live_text=True),
    }
    listed = [_part_fields(behaviour, part, url) for part, url in zip(parts, urls)]
    if behaviour.shuffled and len(listed) > 1:
        in_order = list(listed)
        random.Random(upload_id).shuffle(listed)
        if listed == in_order:
            listed.reverse()
    fields["part_list" if behaviour.aliases else "parts"] = listed
    config = {
        "concurrency": behaviour.spell(behaviour.concurrency),
        "retry_timeout": behaviour.spell(behaviour.retry_timeout),
        "retry_delay": behaviour.spell(behaviour.retry_delay),
    }
    if behaviour.config in ("nested", "both"):
        fields["upload_config"] = config
    if behaviour.config == "flat":
        fields.update(config)
    if behaviour.config == "both":
        # Worthless values: a client that prefers the top level is found out.
        fields.update({"concurrency": 99, "retry_timeout": 0, "retry_delay": 0})
    return fields


def _part_fields(behaviour: Behaviour, part: StoragePart, url: str) -> Dict[str, object]:
    fields: Dict[str, object] = {}
    if behaviour.part_indexes:
        index_name = "part_index" if behaviour.aliases else "index"
        fields[index_name] = behaviour.spell(part.index)
    fields["url" if behaviour.aliases else "presigned_url"] = url
    if behaviour.part_sizes:
        fields["block_size"] = behaviour.spell(part.size, live_text=True)
    return fields
