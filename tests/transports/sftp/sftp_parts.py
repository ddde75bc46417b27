"""An installation whose clearinghouse is a real OpenSSH server, and its intake as a process that can be killed."""

from __future__ import annotations

import asyncio
import base64
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path

import asyncpg

from hilum.security.sealing.choice import FILE
from hilum.security.sealing.key_file import LocalKeyFile
from hilum.testing.neighbours.openssh import OpenSsh
from hilum.testing.remittances import PaidClaim, PayerRemittance, interchange

LAKESHORE = Path(__file__).parents[3] / "estates" / "lakeshore"


ESTATE = """
[estate]
name = "lakeshore"
time_zone = "America/Chicago"
[facilities.ST-MARY]
name = "St. Mary Medical Center"
[owners]
integration = "Integration team"
revenue-cycle = "Revenue cycle"
[queues.integration]
owner = "integration"
[queues.cash-posting]
owner = "revenue-cycle"
"""
WEBHOOK_SECRET = "whsec_" + base64.b64encode(b"the-secret-of-the-webhook").decode()


def remittance(trace: str, *, number: int = 1, claims: int = 1) -> bytes:
    """One 835 of HHP01 in an interchange of its own."""
    paid = [PaidClaim(f"CLM-{n}", Decimal("100.00"), Decimal("100.00"), []) for n in range(claims)]
    return interchange([PayerRemittance(trace, paid, paid_on=date(2026, 11, 20))], control_number=number)


@dataclass
class Installation:
    """An estate, its data and database, and the processes made of them."""

    estate: Path
    data: Path
    url: str

    def clearinghouse(self, text: str) -> None:
        """How the clearinghouse is reached, in place of the reference estate's folder."""
        file = self.estate / "systems" / "clearinghouse.toml"
        head = file.read_text().partition("\n[listen")[0] + "\n"
        file.write_text(head + text)

    @contextmanager
    def running(self, role: str = "intake", **environment: str) -> Iterator[subprocess.Popen[bytes]]:
        command = [
            sys.executable,
            "-m",
            "hilum.app",
            "serve",
            role,
            "--estate",
            str(self.estate),
            "--data",
            str(self.data),
        ]
        command += ["--name", f"{role}-1"]
        with (self.data / f"{role}.log").open("ab") as log:
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

    def log(self) -> str:
        return "\n".join(file.read_text(errors="replace") for file in sorted(self.data.glob("*.log")))

    def ask(self, sql: str, *arguments: object) -> list[asyncpg.Record]:
        async def work() -> list[asyncpg.Record]:
            connection = await asyncpg.connect(self.url, server_settings={"search_path": "hilum, public"})
            try:
                found: list[asyncpg.Record] = await connection.fetch(sql, *arguments)
                return found
            finally:
                await connection.close()

        return asyncio.run(work())

    def until(self, what: Callable[[], object], *, seconds: float = 60.0) -> None:
        deadline = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < deadline, self.log()[-4000:]
            time.sleep(0.02)

    def files(self) -> list[str]:
        """The states of all files that were fetched, oldest first."""
        return [row["state"] for row in self.ask("SELECT state FROM fetched_file ORDER BY found_at")]

    def messages(self) -> list[str]:
        return [row["status"] for row in self.ask("SELECT status FROM message ORDER BY shard, seq")]

    def facts(self) -> int:
        [row] = self.ask("SELECT count(*) AS n FROM event")
        return int(row["n"])

    def work(self) -> list[tuple[str, str]]:
        """Cause and state of every work item."""
        return [(r["cause"], r["state"]) for r in self.ask("SELECT cause, state FROM work_item ORDER BY id")]


def install(place: Path, url: str) -> Installation:
    estate, data = place / "lakeshore", place / "data"
    for part in ("systems/clearinghouse.toml", "integrations/revenue.py", "tables/payee_to_facility.csv"):
        (estate / part).parent.mkdir(parents=True)
        shutil.copy(LAKESHORE / part, estate / part)
    (estate / "estate.toml").write_text(ESTATE)
    (data / "secrets").mkdir(parents=True, mode=0o700)
    secret = data / "secrets" / "clearinghouse-webhook"
    secret.touch(mode=0o600)
    secret.write_text(WEBHOOK_SECRET)
    LocalKeyFile.make(data / FILE)
    return Installation(estate, data, url)


def by_sftp(server: OpenSsh, **more: object) -> str:
    """``[listen.sftp]`` for a partner's server, visited often."""
    settings: dict[str, object] = {
        "host": "127.0.0.1", "port": server.port, "user": server.user, "key": "file:secrets/clearinghouse",
        "host_keys": [server.host_key], "path": str(server.files), "poll_seconds": 0.05, "settle_seconds": 0.02,
        "timeout_seconds": 5, **more,
    }  # fmt: skip
    lines = [f"{name} = {_toml(value)}" for name, value in settings.items()]
    return "[listen.sftp]\n" + "\n".join(lines) + '\n[egress]\nnetworks = ["127.0.0.0/8"]\n'


def _toml(value: object) -> str:
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(each) for each in value) + "]"
    return f'"{value}"' if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
