"""The benchmark's own processes: parts that measure, and servers that are measured."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def child(module: str, *arguments: str) -> dict[str, Any]:
    """Run a part of the benchmark as its own process and read its one JSON line."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], capture_output=True, text=True, check=True, cwd=HERE.parent
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@contextlib.contextmanager
def serving(module: str, *arguments: str) -> Iterator[int]:
    """A server of the benchmark while the block runs; its port."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments], stdout=subprocess.PIPE, text=True, cwd=HERE.parent
    )
    assert process.stdout is not None
    try:
        yield int(json.loads(process.stdout.readline())["port"])
    finally:
        process.terminate()
        process.wait()
