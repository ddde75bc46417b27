"""The record office: a log in a real database, with a hand that changes it behind its back."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from hilum.audit.entry import Entry
from hilum.audit.sequencer import Sequencer
from hilum.audit.signing import Signer
from hilum.audit.verifier import VerifyReport
from hilum.audit.verify import verify_database
from hilum.audit.writer import append

EIGHT = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)


class RecordOffice:
    """A migrated database, a key pair, a heads file and a clock that a test moves."""

    def __init__(self, url: str, directory: Path, runner: asyncio.Runner) -> None:
        self.url = url
        self.directory = directory
        self.heads_file = directory / "heads.jsonl"
        self.signer = Signer.open(directory)
        self.now = EIGHT
        self._runner = runner
        self.pool: asyncpg.Pool = self.run(asyncpg.create_pool(url, min_size=1, max_size=8))
        self.sequencer = Sequencer(self.pool, self.signer, self.clock, heads_file=self.heads_file)

    def clock(self) -> datetime:
        return self.now

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        async def awaited() -> Any:
            return await work

        return self._runner.run(awaited())

    def close(self) -> None:
        self.run(self.pool.close())

    def entry(self, subject: str, action: str = "work_item.released", **detail: Any) -> Entry:
        return Entry(self.now, "person:jdoe", action, subject, detail)

    def records(self, *subjects: str, shard: int = 0) -> list[int]:
        """Append an entry about each subject, in one transaction."""
        return self.appends([self.entry(subject) for subject in subjects], shard=shard)

    def appends(self, entries: list[Entry], shard: int = 0) -> list[int]:
        async def work() -> list[int]:
            async with self.pool.acquire() as connection, connection.transaction():
                return await append(connection, entries, shard=shard)

        numbers: list[int] = self.run(work())
        return numbers

    def receives(self, seq: int, raw: bytes) -> None:
        """Store a message and the entry that it was accepted, as intake does."""

        async def work() -> None:
            async with self.pool.acquire() as connection, connection.transaction():
                await connection.execute(
                    "INSERT INTO hilum.message (shard, seq, received_at, system, transport, peer, type, control_id, status, "
                    "digest, raw) VALUES (1, $1, $2, 'ehr', 'mllp', '', 'DFT^P03', $3, 'accepted', $4, $5)",
                    seq,
                    self.now,
                    f"MSG-{seq}",
                    sha256(raw).digest(),
                    raw,
                )
                accepted = self.entry(f"m/1/{seq}", "message.accepted", sha256=sha256(raw).hexdigest())
                await append(connection, [accepted], shard=1)

        self.run(work())

    def sequences(self, seconds: float = 1) -> int:
        self.now += timedelta(seconds=seconds)
        count: int = self.run(self.sequencer.run_once())
        return count

    def tampers(self, statement: str, *values: Any) -> None:
        """Change rows as one who may switch the guard off."""

        async def work() -> None:
            async with self.pool.acquire() as connection, connection.transaction():
                await connection.execute("SET LOCAL session_replication_role = replica")
                status = await connection.execute(statement, *values)
                assert not status.endswith(" 0"), f"nothing was tampered with: {status}"

        self.run(work())

    def rows(self, query: str, *values: Any) -> list[Any]:
        found: list[Any] = self.run(self.pool.fetch(query, *values))
        return found

    def verifies(self, *, with_heads_file: bool = True) -> VerifyReport:
        heads_file = self.heads_file if with_heads_file else None
        report: VerifyReport = self.run(
            verify_database(self.pool, public_key=self.signer.public_key, heads_file=heads_file)
        )
        return report


@pytest.fixture
def office(database_url: str, tmp_path: Path) -> Iterator[RecordOffice]:
    with asyncio.Runner() as runner:
        office = RecordOffice(database_url, tmp_path / "audit", runner)
        yield office
        office.close()


Kinds = Callable[[VerifyReport], list[str]]


@pytest.fixture
def kinds() -> Kinds:
    """The kinds of damage in a report."""
    return lambda report: [damage.kind for damage in report.damages]
