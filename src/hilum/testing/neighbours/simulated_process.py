"""What every simulated neighbour's process does alike: say that it is ready, live no longer than its parent, stop."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
from collections.abc import Mapping


def announce(name: str, ports: Mapping[str, int]) -> None:
    """One JSON line on standard output once everything is bound. ``ports`` by the option that asks for each."""
    sys.stdout.write(json.dumps({"ready": name, "pid": os.getpid(), "ports": dict(ports)}) + "\n")
    sys.stdout.flush()


def live_with_parent() -> None:
    """End this process when standard input closes.

    The parent holds the other end of that pipe, so the system closes it however the parent ends, kill -9 included.
    """

    def watch() -> None:
        while os.read(0, 4096):
            pass
        os._exit(0)  # Everything answered is on disk; there is nothing to tidy up.

    threading.Thread(target=watch, name="live-with-parent", daemon=True).start()


async def run_until_told() -> None:
    """Return on SIGTERM or SIGINT."""
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    await told.wait()
