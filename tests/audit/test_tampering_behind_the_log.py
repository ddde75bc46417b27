"""The superuser changes what the log speaks of, or sets all of it back: each is found, and the right thing is named."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from tests.sealing_parts import protection_for
from tests.tower.lakeshore_day import lakeshore, wall
from tests.tower.morning_fixtures import morning_template, morning_url

from hilum.audit.heads import HeadsFile
from hilum.audit.sequencer import AuditDamaged, Sequencer
from hilum.audit.signing import Signer
from hilum.audit.verifier import VerifyReport
from hilum.audit.verify import verify_database

__all__ = ["morning_template", "morning_url"]


class Superuser:
    """A played morning, a hand that may do anything in the database, and an auditor who verifies afterwards."""

    def __init__(self, url: str, keys: Path) -> None:
        self.url = url
        self.signer = Signer.open(keys)
        self.heads = keys / "heads.jsonl"

    def does(self, *statements: str) -> None:
        async def work() -> None:
            connection = await asyncpg.connect(self.url)
            try:
                for statement in statements:
                    await connection.execute(statement)
            finally:
                await connection.close()

        asyncio.run(work())

    def asks(self, query: str) -> list[Any]:
        async def work() -> list[Any]:
            connection = await asyncpg.connect(self.url)
            try:
                found: list[Any] = await connection.fetch(query)
                return found
            finally:
                await connection.close()

        return asyncio.run(work())

    def verifies(self, *, with_keys: bool = True) -> VerifyReport:
        async def work() -> VerifyReport:
            async with asyncpg.create_pool(self.url, min_size=1, max_size=3) as pool:
                protection = await protection_for(pool, lakeshore(), wall) if with_keys else None
                return await verify_database(
                    pool, public_key=self.signer.public_key, heads_file=self.heads, protection=protection
                )

        return asyncio.run(work())

    def sequences(self) -> None:
        async def work() -> None:
            async with asyncpg.create_pool(self.url, min_size=1, max_size=3) as pool:
                await Sequencer(pool, self.signer, wall, heads_file=self.heads).run_once()

        asyncio.run(work())


@pytest.fixture
def superuser(morning_url: str, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Superuser:
    (original,) = tmp_path_factory.getbasetemp().glob("morning-audit[0-9]")
    keys = tmp_path / "audit"
    keys.mkdir(mode=0o700)
    for name in ("signing-key.pem", "public-key.pem", "heads.jsonl"):
        (keys / name).write_bytes((original / name).read_bytes())
        (keys / name).chmod(0o600)
    return Superuser(morning_url, keys)


UNGUARDED = [f"DROP TRIGGER append_only ON hilum.audit_{table}" for table in ("entry", "range", "head")]


def test_a_whole_morning_is_whole(superuser: Superuser) -> None:
    report = superuser.verifies()
    assert report.whole, report.damages
    assert report.events_checked >= 8 and report.events_sealed == 0
    without = superuser.verifies(with_keys=False)
    assert without.whole and without.events_checked == 0 and without.events_sealed >= 8


@pytest.mark.parametrize(
    ("statements", "kind", "named"),
    [
        (["UPDATE hilum.event SET payload = '{}' WHERE seq = 3"], "event-changed", "e/1/3"),
        (["UPDATE hilum.event SET payload = set_byte(payload, 40, 7) WHERE seq = 3"], "event-changed", "e/1/3"),
        (["UPDATE hilum.event AS e SET payload = o.payload FROM hilum.event AS o WHERE e.seq = 3 AND o.seq = 4"],
         "event-changed", "e/1/3"),
        (["DELETE FROM hilum.event WHERE seq = 3"], "event-missing", "m/1/3"),
        (["INSERT INTO hilum.event SELECT shard, 9000, at, type, version, key, facility, message_seq, mapping, copy_of, payload "
          "FROM hilum.event WHERE seq = 3"], "event-added", "e/1/9000"),
        (["INSERT INTO hilum.event SELECT shard, 9000, at, type, version, key, facility, 9000, mapping, copy_of, payload "
          "FROM hilum.event WHERE seq = 3"], "event-added", "e/1/9000"),
        (["TRUNCATE hilum.event"], "event-missing", "m/1/1"),
        (["UPDATE hilum.message SET raw = set_byte(raw, 40, 7) WHERE seq = 3"], "message-changed", "m/1/3"),
        (["UPDATE hilum.message AS m SET raw = o.raw FROM hilum.message AS o WHERE m.seq = 3 AND o.seq = 5"],
         "message-changed", "m/1/3"),
        (["UPDATE hilum.message SET raw = 'MSH|forged in clear' WHERE seq = 3"], "message-changed", "m/1/3"),
        (["DELETE FROM hilum.message WHERE seq = 3"], "message-missing", "m/1/3"),
        (["TRUNCATE hilum.message"], "message-missing", "m/1/1"),
        (["UPDATE hilum.message SET seq = seq + 100"], "message-missing", "m/1/1"),
    ],
)  # fmt: skip
def test_what_the_log_speaks_of_was_changed(superuser: Superuser, statements: list[str], kind: str, named: str) -> None:
    superuser.does(*statements)
    report = superuser.verifies()
    assert kind in {damage.kind for damage in report.damages}
    assert any(named in damage.text and damage.kind == kind for damage in report.damages), report.damages


@pytest.mark.parametrize(
    ("statements", "kinds"),
    [
        (["UPDATE hilum.audit_entry SET entry = set_byte(entry, 60, 65) WHERE shard = 1 AND seq = 4"], {"entry-changed"}),
        (["DELETE FROM hilum.audit_entry WHERE shard = 1 AND seq = 4"], {"entry-missing"}),
        (["UPDATE hilum.audit_entry SET seq = -seq WHERE shard = 1 AND seq IN (4, 5)",
          "UPDATE hilum.audit_entry SET seq = 9 + seq WHERE shard = 1 AND seq < 0"], {"entry-changed"}),
        (["UPDATE hilum.audit_entry SET seq = seq + 1000 WHERE shard = 1"], {"entry-missing", "entry-extra"}),
        (["INSERT INTO hilum.audit_entry SELECT shard, max(seq) OVER () + 1, subject, entry FROM hilum.audit_entry "
          "WHERE shard = 1 LIMIT 1"], {"entry-extra"}),
        (["TRUNCATE hilum.audit_entry"], {"entry-missing"}),
        (["TRUNCATE hilum.audit_range"], {"range-changed"}),
        (["TRUNCATE hilum.audit_tile"], {"range-changed"}),
        (["TRUNCATE hilum.audit_head"], {"head-missing"}),
        (["TRUNCATE hilum.audit_shard"], {"shard-changed"}),
        (["DELETE FROM hilum.audit_head WHERE size = (SELECT max(size) FROM hilum.audit_head)"], {"head-missing"}),
        (["UPDATE hilum.audit_head SET signature = set_byte(signature, 3, 9) WHERE size = (SELECT min(size) FROM hilum.audit_head)"],
         {"head-forged"}),
    ],
)  # fmt: skip
def test_rows_of_the_log_itself_with_the_guards_dropped_first(
    superuser: Superuser, statements: list[str], kinds: set[str]
) -> None:
    superuser.does(*UNGUARDED, *statements)
    report = superuser.verifies()
    found = {damage.kind for damage in report.damages}
    assert kinds <= found and report.first is not None
    if kinds & {"entry-changed", "entry-missing"}:
        assert report.first.leaf is not None and report.first.shard is not None


def test_a_forged_tail_that_the_sequencer_would_take_is_under_no_head_yet(superuser: Superuser) -> None:
    superuser.does(
        "INSERT INTO hilum.audit_entry SELECT 1, max(seq) + 2, 'm/1/99', 'forged' FROM hilum.audit_entry WHERE shard = 1"
    )
    report = superuser.verifies()
    assert [damage.kind for damage in report.damages] == ["entry-extra"] and report.first.subject == "m/1/99"


def test_the_whole_log_set_back_to_an_older_dump_is_found_and_nothing_is_built_on_it(superuser: Superuser) -> None:
    """As a restored backup looks: everything inside agrees, only what was published outside does not."""
    (row,) = superuser.asks(
        "SELECT size FROM hilum.audit_head ORDER BY size DESC OFFSET (SELECT count(*) / 2 FROM hilum.audit_head) LIMIT 1"
    )
    size = row["size"]
    superuser.does(
        *UNGUARDED,
        f"DELETE FROM hilum.audit_head WHERE size > {size}",
        f"""DELETE FROM hilum.audit_entry AS e USING hilum.audit_range AS r
            WHERE r.shard = e.shard AND e.seq >= r.first_seq AND r.first_leaf >= {size}""",
        f"DELETE FROM hilum.audit_range WHERE first_leaf >= {size}",
        f"UPDATE hilum.audit_tile SET hashes = substring(hashes FROM 1 FOR {size} * 32) WHERE level = 0",
        """UPDATE hilum.audit_shard AS s SET next_seq = coalesce(
               (SELECT max(first_seq + count) FROM hilum.audit_range AS r WHERE r.shard = s.shard), 1)""",
        "DELETE FROM hilum.event WHERE NOT EXISTS (SELECT FROM hilum.audit_entry WHERE subject = 'm/' || shard || '/' || message_seq)",
        "DELETE FROM hilum.message WHERE NOT EXISTS (SELECT FROM hilum.audit_entry WHERE subject = 'm/' || shard || '/' || seq)",
    )
    heads = superuser.heads.read_bytes()
    superuser.heads.unlink()
    alone = superuser.verifies()
    assert {damage.kind for damage in alone.damages} == {"heads-file"}  # Nothing else tells.
    superuser.heads.write_bytes(heads)
    report = superuser.verifies()
    assert "head-missing" in {damage.kind for damage in report.damages}
    assert f"are not in the log of {size} leaves: its end was cut off or it was set back" in report.damages[-1].text
    with pytest.raises(AuditDamaged, match="was set back"):
        superuser.sequences()
    last = HeadsFile(superuser.heads).last()
    assert last is not None and last.size > size
