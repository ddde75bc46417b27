"""Intake against a real database: one effect for one fact, whoever reports it, however often."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Any

import asyncpg
import pytest
from tests.sealing_parts import protection_for, raw_messages, sealer_for

from hilum.runtime.intake import Intake, Receipt, ShardLost
from hilum.runtime.reception import PreparedEvent, Problem, Reception
from hilum.store.partitions import ensure_partitions
from hilum.store.pool import open_pool
from hilum.testing.clock import StoppedClock
from hilum.testing.faults import Injected, failing

CLOCK = StoppedClock()


def report(control_id: str, *identities: str, system: str = "ehr", agreed: str | None = None) -> Reception:
    """A message with one event that is known by ``identities``."""
    raw = f"{system} {control_id}".encode()
    reception = Reception(system, "mllp", "peer", raw, sha256(raw).digest(), type="DFT^P03", control_id=control_id)
    reception.events = [
        PreparedEvent(
            "ImplantUsed", 1, identities[0], "ST-MARY", "implants_charged@1", b'{"usage_id":"U-1"}',
            [sha256(i.encode()).digest()[:16] for i in identities],
            agreed.encode() if agreed is not None else None, [(identities[0], "usage")],
        )
    ]  # fmt: skip
    return reception


@asynccontextmanager
async def intake(url: str, name: str = "intake-1") -> AsyncIterator[tuple[Intake, asyncpg.Pool]]:
    pool = await open_pool(url, min_size=1, max_size=4, application_name="test")
    async with pool.acquire() as connection:
        await ensure_partitions(connection, CLOCK().date())
    taker = Intake(pool, await protection_for(pool, None, CLOCK), name=name, clock=CLOCK)
    await taker.start()
    try:
        yield taker, pool
    finally:
        await taker.stop()
        await pool.close()


async def take(taker: Intake, *receptions: Reception) -> list[str]:
    receipts: list[Receipt] = await asyncio.gather(*(taker.submit(r, lambda receipt: receipt) for r in receptions))
    return [r.status for r in receipts]


def run(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(story())


def test_a_resend_is_stored_and_answered_but_makes_no_second_event(database_url: str) -> None:
    async def story() -> None:
        async with intake(database_url) as (taker, pool):
            assert await take(taker, report("C-1", "U-1")) == ["accepted"]
            assert await take(taker, report("C-1", "U-1")) == ["duplicate"]
            assert await pool.fetchval("SELECT count(*) FROM message") == 2
            assert await pool.fetchval("SELECT count(*) FROM event") == 1
            assert await pool.fetchval("SELECT copy_of FROM message WHERE status = 'duplicate'") == "e/1/1"

    run(story)


def test_two_reports_in_one_batch_are_one_fact(database_url: str) -> None:
    async def story() -> None:
        async with intake(database_url) as (taker, pool):
            statuses = await take(
                taker, report("C-0", "U-0"), report("C-1", "U-1"), report("C-2", "U-1", system="stock")
            )
            assert statuses == ["accepted", "accepted", "duplicate"]
            assert await pool.fetchval("SELECT count(*) FROM event") == 2

    run(story)


def test_what_came_in_one_batch_is_told_apart_column_by_column(database_url: str) -> None:
    """Values that all rows share are sent once, numbers are made by the database: each row still has its own."""

    async def story() -> None:
        async with intake(database_url) as (taker, pool):
            first = [report(f"C-{n}", f"U-{n}", system="stock" if n == 5 else "ehr") for n in range(8)]
            assert await take(taker, *first) == ["accepted"] * 8
            assert await take(taker, *(report(f"R-{n}", f"U-{n}") for n in range(8))) == ["duplicate"] * 8
            rows = await pool.fetch("SELECT seq, system, control_id, copy_of FROM message ORDER BY seq")
            assert [tuple(r) for r in rows[:8]] == [
                (n + 1, "stock" if n == 5 else "ehr", f"C-{n}", None) for n in range(8)
            ]
            assert [tuple(r) for r in rows[8:]] == [(n + 9, "ehr", f"R-{n}", f"e/1/{n + 1}") for n in range(8)]
            events = await pool.fetch("SELECT seq, message_seq FROM event ORDER BY seq")
            assert [tuple(e) for e in events] == [(n + 1, n + 1) for n in range(8)]

    run(story)


def test_a_repeat_teaches_its_other_identity(database_url: str) -> None:
    """Scan knows usage and serial, the charge only the usage, a late scan only the serial: still one device."""

    async def story() -> None:
        async with intake(database_url) as (taker, pool):
            assert await take(taker, report("C-1", "usage U-1")) == ["accepted"]
            assert await take(taker, report("C-2", "usage U-1", "serial S-1")) == ["duplicate"]
            assert await take(taker, report("C-3", "serial S-1")) == ["duplicate"]
            assert await pool.fetchval("SELECT count(*) FROM event") == 1

    run(story)


def test_reports_that_disagree_leave_the_first_standing_and_ask_a_person(database_url: str) -> None:
    async def story() -> None:
        async with intake(database_url) as (taker, pool):
            await take(taker, report("C-1", "U-1", agreed="quantity 1"))
            await take(taker, report("C-2", "U-1", agreed="quantity 2", system="stock"))
            assert await pool.fetchval("SELECT count(*) FROM event") == 1
            item = await pool.fetchrow("SELECT * FROM work_item")
            assert (item["queue"], item["state"]) == ("conflicts", "open")
            assert await pool.fetchval("SELECT subject FROM work_item_case") == "m/1/2"

    run(story)


def test_facts_outlive_their_messages(database_url: str) -> None:
    async def story() -> None:
        async with intake(database_url) as (taker, pool):
            await take(taker, report("C-1", "U-1"))
            await pool.execute("TRUNCATE message, event")
            assert await take(taker, report("C-1", "U-1")) == ["duplicate"]
            assert await pool.fetchval("SELECT count(*) FROM event") == 0

    run(story)


def test_a_refused_message_is_kept_with_its_reason(database_url: str) -> None:
    async def story() -> None:
        async with intake(database_url) as (taker, pool):
            nonsense = Reception.refused("ehr", "mllp", "peer", b"not HL7", Problem("100", "no MSH segment"))
            assert await take(taker, nonsense) == ["refused"]
            assert await raw_messages(pool, await sealer_for(pool, CLOCK)) == [b"not HL7"]
            assert await pool.fetchval("SELECT error FROM message") == "100: no MSH segment"

    run(story)


def test_nobody_is_acknowledged_when_the_commit_fails(database_url: str) -> None:
    async def story() -> None:
        async with intake(database_url) as (taker, pool):
            with failing("intake.before_commit"), pytest.raises(Injected):
                await take(taker, report("C-1", "U-1"))
            assert await pool.fetchval("SELECT count(*) FROM message") == 0
            assert await take(taker, report("C-1", "U-1")) == ["accepted"]

    run(story)


def test_a_process_that_was_thought_dead_cannot_write_its_shard(database_url: str) -> None:
    async def story() -> None:
        async with intake(database_url) as (old, pool), intake(database_url) as (new, _):
            assert await take(new, report("C-1", "U-1")) == ["accepted"]
            with pytest.raises(ShardLost):
                await take(old, report("C-2", "U-2"))
            with pytest.raises(ShardLost):
                await take(old, report("C-2", "U-2"))
            assert await pool.fetchval("SELECT count(*) FROM message") == 1

    run(story)


def test_sequence_numbers_go_on_without_a_gap_after_a_restart(database_url: str) -> None:
    async def story() -> None:
        for number in range(3):
            async with intake(database_url) as (taker, pool):
                await take(taker, report(f"C-{number}", f"U-{number}"))
                rows = await pool.fetch("SELECT seq FROM event ORDER BY seq")
                assert [r["seq"] for r in rows] == list(range(1, number + 2))

    run(story)


def test_every_message_has_its_audit_entry_with_the_digest_of_its_bytes(database_url: str) -> None:
    async def story() -> None:
        async with intake(database_url) as (taker, pool):
            await take(taker, report("C-1", "U-1"), report("C-2", "U-2"))
            rows = await pool.fetch(
                """SELECT m.digest, convert_from(a.entry, 'UTF8')::json->'detail'->>'sha256' AS written
                     FROM message m JOIN audit_entry a ON a.subject = 'm/' || m.shard || '/' || m.seq"""
            )
            assert [r["digest"].hex() for r in rows] == [r["written"] for r in rows]
            assert len(rows) == 2

    run(story)
