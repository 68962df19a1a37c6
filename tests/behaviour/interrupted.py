"""A bot that uploads in its main thread, for the tests that press Ctrl-C on it.

Run as ``python -m tests.behaviour.interrupted OPTIONS`` with a JSON object: ``url``, ``secret``,
``file`` and
``backoff``. It says ``ready``, and once ``upload()`` is out what is left of it, as JSON.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import threading
import time
from typing import Any, Dict, List

from qqchunk import Uploader


def own_threads() -> List[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("qqchunk")]


def main(options: Dict[str, Any]) -> None:
    with Uploader(
        "102000001", options["secret"], api_url=options["url"],
        token_url=options["url"] + "/app/getAppAccessToken", backoff=options["backoff"],
    ) as uploader:
        before = os.listdir("/proc/self/fd")
        print("ready", flush=True)
        try:
            uploader.upload("c2c", "U1", options["file"])
        except KeyboardInterrupt:
            out = time.monotonic()
            # A thread that was being started at that moment is joined by nobody; it ends by itself.
            while own_threads() and time.monotonic() < out + 0.2:
                time.sleep(0.005)
            threads = own_threads()
    # The uploader is closed by now, so that nothing idle counts. And what CPython leaves to the
    # collector: a socket that was shut between its connect and its handshake.
    gc.collect()
    left = len(os.listdir("/proc/self/fd")) - len(before)
    print(json.dumps({"out": out, "threads": threads, "descriptors": left}), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
