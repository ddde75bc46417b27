"""kill -9 at any instant: what was committed stays, and the log goes on whole."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

PLATFORM = Path(__file__).with_name("writing_platform.py")


def acknowledged_by_a_platform_killed_after(office: Any, seconds: float) -> set[tuple[int, int]]:
    """Every (shard, seq) that the platform said it had committed before it died."""
    child = subprocess.Popen(
        [sys.executable, str(PLATFORM), office.url, str(office.directory)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    first = child.stdout.readline()
    time.sleep(seconds)
    child.kill()
    said, _ = child.communicate()
    # The last line may be cut short by the kill.
    lines = [first, *said.splitlines(keepends=True)]
    runs = [tuple(map(int, line.split())) for line in lines if line.endswith("\n")]
    return {(shard, seq) for shard, low, high in runs for seq in range(low, high + 1)}


def test_a_platform_killed_again_and_again_keeps_a_whole_log(office: Any) -> None:
    acknowledged: set[tuple[int, int]] = set()
    for seconds in (0.11, 0.23, 0.05, 0.17):
        acknowledged |= acknowledged_by_a_platform_killed_after(office, seconds)
        assert office.verifies().whole
    for _ in range(100):
        # The server may take a moment to notice that the killed one no longer holds the sequencer's lock.
        office.sequences()
        if office.verifies().pending == 0:
            break
        time.sleep(0.05)
    stored = {(row["shard"], row["seq"]) for row in office.rows("SELECT shard, seq FROM hilum.audit_entry")}
    assert len(acknowledged) > 100
    assert acknowledged <= stored
    report = office.verifies()
    assert report.whole, report.first
    assert (report.leaves, report.pending, report.unpublished_heads) == (len(stored), 0, 0)
    assert report.heads > 8
