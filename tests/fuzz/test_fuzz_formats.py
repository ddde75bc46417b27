"""Coverage-guided fuzzing of the formats that strangers send, for a few seconds a run (see tests/fuzz/__main__.py for hours)."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from tests.fuzz.checks import FORMATS, check
from tests.fuzz.seeds import seeds

ROOT = Path(__file__).parents[2]
FOUND = Path(__file__).parent / "found"
RUNS, SECONDS = 20_000, 8
# Linux counts the peak memory of whoever calls exec, here the test suite, as the program's own, and libFuzzer's bound would
# judge that. A shell between them forks once more, which starts the count anew.
IN_A_PROCESS_OF_ITS_OWN = ("/bin/sh", "-c", '"$0" "$@"; exit $?')


@pytest.mark.parametrize("name", FORMATS)
def test_the_seeds_hold_before_they_are_changed(name):
    one = check(name)
    for seed in seeds(name):
        one(seed)


@pytest.mark.parametrize("path", sorted(FOUND.rglob("*.bin")), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_what_once_was_found_stays_mended(path):
    check(path.parent.name)(path.read_bytes())


@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris is not installed for this Python")
@pytest.mark.parametrize("name", FORMATS)
def test_only_typed_findings_come_out_in_bounded_time_and_memory(name, tmp_path):
    command = [sys.executable, "-m", "tests.fuzz", name, f"-runs={RUNS}", f"-max_total_time={SECONDS}", "-seed=7"]
    done = subprocess.run(
        [*IN_A_PROCESS_OF_ITS_OWN, *command, f"-artifact_prefix={tmp_path}/"],
        cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        errors="replace",
        timeout=300,
        check=False,
    )
    artifacts = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert done.returncode == 0 and not artifacts, f"{artifacts}\n{done.stderr[-6000:]}"
    assert "stat::number_of_executed_units" in done.stderr
