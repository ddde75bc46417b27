"""The intake process is killed with a dropped file in its hands; nothing is lost, repeated or written where it should not be."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from hilum.security.sealing.choice import FILE
from hilum.security.sealing.key_file import LocalKeyFile

LAKESHORE = Path(__file__).parents[3] / "estates" / "lakeshore"
SECRETS = {
    "ehr-webhook": "whsec_" + base64.b64encode(b"the-secret-of-the-notices").decode(),
    "stock-webhook": "whsec_" + base64.b64encode(b"the-secret-of-the-webhook").decode(),
    "stock-webhook-old": "whsec_" + base64.b64encode(b"the-secret-before-that-one").decode(),
}
FOLDER = '\n[listen.folder]\npath = "drops/ehr"\npattern = "*.hl7"\nsettle_seconds = 0\npoll_seconds = 0.05\n'


def registration(number: int) -> bytes:
    account = f"SYN-A-{number}"
    return (
        f"MSH|^~\\&|EHR|ST-MARY|HILUM|LAKESHORE|20260302073000||ADT^A04|D-{number}|P|2.5.1\r"
        f"EVN|A04|20260302073000\rPID|1||{number}^^^ST-MARY^MR||KANARI^ANA|||||||||||||{account}^^^ST-MARY^AN\rPV1|1|I|4W\r"
    ).encode()


@dataclass
class Place:
    """An installation whose EHR drops files."""

    estate: Path
    data: Path
    url: str

    @contextmanager
    def running(self, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
        command = [
            sys.executable,
            "-m",
            "hilum.app",
            "serve",
            "intake",
            "--estate",
            str(self.estate),
            "--data",
            str(self.data),
            "--name",
            "intake-1",
        ]
        with (self.data / "intake.log").open("ab") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=log, stderr=log,
                env={**os.environ, "HILUM_DATABASE_URL": self.url, **environment},
            )  # fmt: skip
        try:
            yield process
        finally:
            process.kill()
            process.wait()
            if process.stdin is not None:
                process.stdin.close()

    def drops(self, name: str, content: bytes) -> None:
        inbox = self.data / "drops" / "ehr"
        inbox.mkdir(parents=True, exist_ok=True)
        (inbox / f".{name}").write_bytes(content)
        (inbox / f".{name}").rename(inbox / name)

    def log(self) -> str:
        return (self.data / "intake.log").read_text(errors="replace")

    def receipts(self) -> list[dict[str, Any]]:
        return [json.loads(p.read_bytes()) for p in sorted((self.data / "drops").glob("ehr.done/*.json"))]

    def ask(self, sql: str) -> list[asyncpg.Record]:
        async def work() -> list[asyncpg.Record]:
            connection = await asyncpg.connect(self.url, server_settings={"search_path": "hilum, public"})
            try:
                found: list[asyncpg.Record] = await connection.fetch(sql)
                return found
            finally:
                await connection.close()

        return asyncio.run(work())


@pytest.fixture
def place(tmp_path: Path, database_url: str) -> Place:
    estate, data = tmp_path / "lakeshore", tmp_path / "data"
    shutil.copytree(LAKESHORE, estate, ignore=shutil.ignore_patterns("__pycache__"))
    ehr, stock = estate / "systems" / "ehr.toml", estate / "systems" / "stock.toml"
    ehr.write_text(ehr.read_text().replace("port = 6661", "port = 0") + FOLDER)
    stock.write_text(
        stock.read_text().replace(
            'secret = "file:secrets/stock-webhook"',
            'secret = "file:secrets/stock-webhook"\nprevious_secret = "file:secrets/stock-webhook-old"',
        )
    )
    (data / "secrets").mkdir(parents=True, mode=0o700)
    for name, value in SECRETS.items():
        (data / "secrets" / name).touch(mode=0o600)
        (data / "secrets" / name).write_text(value)
    LocalKeyFile.make(data / FILE)
    return Place(estate, data, database_url)


def until(what: Any, place: Place, *, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, place.log()[-3000:]
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.parametrize("point", ["folder.claimed", "intake.after_commit", "folder.before_receipt"])
def test_a_file_whose_process_was_killed_is_taken_in_once(place, point):
    place.drops("monday.hl7", registration(1) + registration(2) + registration(3))
    with place.running(HILUM_FAULT=f"{point}=kill") as process:
        until(lambda: process.poll() is not None, place)
        assert process.returncode == -9, place.log()
    with place.running():
        place.drops("tuesday.hl7", registration(3) + registration(4))
        until(lambda: len(place.receipts()) == 2, place)

    monday, tuesday = place.receipts()
    assert (monday["file"], monday["counts"]) == ("monday.hl7", {"accepted": 3})
    assert (tuesday["file"], tuesday["counts"]) == ("tuesday.hl7", {"accepted": 1, "duplicate": 1})
    by_peer = place.ask("SELECT peer, count(*) AS n FROM message WHERE transport = 'folder' GROUP BY peer")
    assert len(by_peer) == 5 and {r["n"] for r in by_peer} == {1}, "each message is stored once"
    [events] = place.ask("SELECT count(*) AS n FROM event")
    assert events["n"] == 4, "and each fact has one event"
    assert list((place.data / "drops" / "ehr.work").iterdir()) == []


def test_no_secret_and_no_patient_is_written_anywhere_but_where_it_belongs(place):
    place.drops("monday.hl7", registration(1))
    with place.running() as process:
        until(lambda: place.receipts(), place)
        process.terminate()
        process.wait(20)
    tables = place.ask(
        "SELECT schemaname || '.' || tablename AS name FROM pg_tables WHERE schemaname IN ('hilum', 'dbos', 'public')"
    )
    dump = "\n".join(r["row"] for t in tables for r in place.ask(f"SELECT t::text AS row FROM {t['name']} t"))
    assert "ehr" in dump, "the dump holds what was written"
    written = {
        path: path.read_bytes()
        for path in place.data.rglob("*")
        if path.is_file()
        and path.parent.name != "secrets"
        and not path.name.endswith(".hl7")
        and "keys" not in path.parts
    }
    assert any(path.name == "intake.log" for path in written)
    for value in SECRETS.values():
        for form in (
            value,
            value.removeprefix("whsec_"),
            value.encode().hex(),
            base64.b64encode(value.encode()).decode(),
        ):
            assert form not in dump
            assert [path for path, content in written.items() if form.encode() in content] == []
    assert [path for path, content in written.items() if b"KANARI" in content] == []
