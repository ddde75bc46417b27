"""On a machine with nothing but the program, a file and the public key: no database, no data directory, no environment."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hilum.audit.export import export_log
from hilum.audit.places import FilePlace
from hilum.audit.publishing import HeadPublisher


@pytest.fixture
def elsewhere(tmp_path: Path) -> Any:
    """Run hilum on another machine, as nearly as one machine can be two: an empty folder and an empty environment."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", "from hilum.app import main; main()", *arguments],
            cwd=folder, capture_output=True, text=True, check=False, timeout=120,
            env={"PATH": os.defpath, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "COLUMNS": "300"},
        )  # fmt: skip

    run.folder = folder  # type: ignore[attr-defined]
    return run


def test_an_export_is_verified_with_the_public_key_alone_and_its_truncation_with_published_heads(
    office: Any, elsewhere: Any
) -> None:
    async def no_alarm(place: str, text: str) -> None:
        raise AssertionError(text)

    async def export(name: str) -> None:
        async with office.pool.acquire() as connection:
            await export_log(connection, elsewhere.folder / name, public_key=office.signer.public_key, at=office.now)

    place = FilePlace(elsewhere.folder / "published.jsonl")
    publisher = HeadPublisher(office.pool, [place], office.signer.public_key, office.clock, alarm=no_alarm)
    for number in range(3):
        office.records(f"w/{number}")
        office.sequences()
        office.run(publisher.run_once())
        if number == 1:
            office.run(export("older.jsonl.gz"))
    office.run(export("whole.jsonl.gz"))
    shutil.copy(office.directory / "public-key.pem", elsewhere.folder / "key.pem")

    whole = elsewhere("audit", "verify", "whole.jsonl.gz", "--public-key", "key.pem", "--heads", "published.jsonl")
    assert whole.returncode == 0, whole.stderr
    assert "Whole: 3 entries under 3 signed heads" in whole.stdout and "Compared with 3 published heads" in whole.stdout

    # An export that ends at an older head is whole by itself; what was published since tells.
    alone = elsewhere("audit", "verify", "older.jsonl.gz", "--public-key", "key.pem")
    assert alone.returncode == 0 and "Not compared with published heads" in alone.stdout
    cut = elsewhere(
        "audit", "verify", "older.jsonl.gz", "--public-key", "key.pem", "--heads", "published.jsonl", "--json"
    )
    assert cut.returncode == 1
    assert "its end was cut off or it was set back" in json.loads(cut.stdout)["first_damage"]["text"]

    text = gzip.decompress((elsewhere.folder / "whole.jsonl.gz").read_bytes()).replace(b"jdoe", b"jroe", 1)
    (elsewhere.folder / "forged.jsonl").write_bytes(text)
    forged = elsewhere("audit", "verify", "forged.jsonl", "--public-key", "key.pem")
    assert forged.returncode == 1 and "leaf 0, entry 1 of shard 0 (subject w/0) was changed" in forged.stdout
    assert not (elsewhere.folder / ".hilum").exists()


def test_what_is_no_package_or_no_key_is_told_in_words(elsewhere: Any) -> None:
    (elsewhere.folder / "package.zip").write_bytes(b"PK nothing")
    refused = elsewhere("evidence", "verify", "package.zip")
    assert refused.returncode == 2 and "is not a whole ZIP file" in refused.stderr
    assert "Traceback" not in refused.stderr
