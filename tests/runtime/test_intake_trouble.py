"""Intake when something goes wrong around it: a commit in doubt, a database that is away, a message no column can hold."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from hashlib import sha256
from typing import Any

import asyncpg
import pytest
from tests.sealing_parts import protection_for, raw_messages, sealer_for

from hilum.runtime.intake import Intake, Receipt
from hilum.runtime.reception import PreparedEvent, Reception
from hilum.store.partitions import ensure_partitions
from hilum.store.pool import open_pool
from hilum.store.postgres_server import EmbeddedPostgres
from hilum.testing.clock import StoppedClock
from hilum.testing.faults import Injected, failing


def report(number: str, *identities: str, search: str | None = None, control_id: str | None = None) -> Reception:
    raw = f"report {number}".encode()
    reception = Reception("ehr", "mllp", "peer", raw, sha256(raw).digest(), "DFT^P03", control_id or f"C-{number}")
    made = [sha256(i.encode()).digest()[:16] for i in identities or (number,)]
    keys = [(search if search is not None else number, "usage")]
    reception.events = [PreparedEvent("ImplantUsed", 1, number, "ST-MARY", "charged@1", b"{}", made, None, keys)]
    return reception


async def take(intake: Intake, *receptions: Reception) -> list[Receipt]:
    return list(await asyncio.gather(*(intake.submit(r, lambda receipt: receipt) for r in receptions)))


async def opened(url: str, *names: str) -> tuple[asyncpg.Pool, list[Intake]]:
    clock = StoppedClock()
    pool = await open_pool(url, min_size=1, max_size=4 + 2 * len(names), application_name="test")
    async with pool.acquire() as connection:
        await ensure_partitions(connection, clock().date())
    protection = await protection_for(pool, None, clock)
    intakes = [Intake(pool, protection, name=name, clock=clock) for name in names]
    await asyncio.gather(*(intake.start() for intake in intakes))
    return pool, intakes


def story(url: str, *names: str) -> Callable[[Callable[..., Coroutine[Any, Any, None]]], None]:
    def run(told: Callable[..., Coroutine[Any, Any, None]]) -> None:
        async def whole() -> None:
            pool, intakes = await opened(url, *(names or ("intake-1",)))
            try:
                await told(pool, *intakes)
            finally:
                await asyncio.gather(*(intake.stop() for intake in intakes))
                pool.terminate()

        asyncio.run(asyncio.wait_for(whole(), 60))

    return run


async def numbers(pool: asyncpg.Pool, table: str) -> list[int]:
    return [r["seq"] for r in await pool.fetch(f"SELECT seq FROM {table} ORDER BY seq")]


def test_a_commit_whose_answer_was_lost_is_not_numbered_a_second_time(database_url: str) -> None:
    """Two events under one number: the second would lie behind every reader's cursor, acknowledged and never acted on."""

    @story(database_url)
    async def _(pool: asyncpg.Pool, intake: Intake) -> None:
        with failing("intake.after_commit"), pytest.raises(Injected):
            await take(intake, report("U-1"))
        await take(intake, report("U-2"), report("U-3"))
        [again] = await take(intake, report("U-1"))
        assert again.status == "duplicate"
        assert await numbers(pool, "event") == [1, 2, 3]
        assert await numbers(pool, "message") == [1, 2, 3, 4]
        assert await pool.fetchval("SELECT event_seq FROM intake_shard") == 3


def test_a_cut_connection_costs_its_batch_and_nothing_else(database_url: str) -> None:
    @story(database_url)
    async def _(pool: asyncpg.Pool, intake: Intake) -> None:
        await take(intake, report("U-1"))
        # A lock holds the batch inside its transaction until its connection is cut: there is no later moment to miss it.
        async with pool.acquire() as other, other.transaction():
            await other.execute("LOCK TABLE event IN EXCLUSIVE MODE")
            batch = asyncio.gather(*(take(intake, report(f"U-{n}")) for n in (2, 3)), return_exceptions=True)
            cut = 0
            while not cut:
                await asyncio.sleep(0.01)
                cut = await other.fetchval(
                    """SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                        WHERE datname = current_database() AND wait_event_type = 'Lock'"""
                )
            outcomes = await batch
        assert all(isinstance(o, Exception) for o in outcomes), "what was not committed is not acknowledged"
        await take(intake, report("U-2"), report("U-3"))
        assert await numbers(pool, "event") == [1, 2, 3]


def test_while_the_database_is_away_everybody_is_told_no_and_afterwards_all_goes_on(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    place = tmp_path_factory.mktemp("own-server") / "server"
    with EmbeddedPostgres(place) as server:
        url = server.create_database("hilum")

        async def whole() -> None:
            from hilum.store.migrations import migrate

            await migrate(url)
            pool, [intake] = await opened(url, "intake-1")
            await take(intake, report("U-1"))
            await asyncio.to_thread(server.stop)
            for _ in range(3):
                told = await asyncio.gather(
                    *(intake.submit(report(f"U-{n}"), lambda r: r) for n in range(2, 40)), return_exceptions=True
                )
                assert all(isinstance(t, Exception) for t in told)
            await asyncio.to_thread(server.start)
            receipts = await take(intake, *(report(f"U-{n}") for n in range(2, 40)))
            assert {r.status for r in receipts} == {"accepted"}
            assert await numbers(pool, "event") == list(range(1, 40))
            await intake.stop()
            await pool.close()

        asyncio.run(asyncio.wait_for(whole(), 60))


@pytest.mark.parametrize(
    "poison",
    [
        report("U-2", search="U\0002"),
        report("U-2", control_id="C\0002"),
        report("U-2", search="".join(sha256(str(n).encode()).hexdigest() for n in range(200))),
    ],
    ids=["a NUL in a business key", "a NUL in the control id", "a business key too long for its index"],
)
def test_a_message_that_no_column_can_hold_is_refused_alone(database_url: str, poison: Reception) -> None:
    @story(database_url)
    async def _(pool: asyncpg.Pool, intake: Intake) -> None:
        receipts = await take(intake, report("U-1"), poison, report("U-3"))
        assert [r.status for r in receipts] == ["accepted", "refused", "accepted"]
        assert await pool.fetchval("SELECT count(*) FROM event") == 2
        sealer = await sealer_for(pool, StoppedClock())
        assert await raw_messages(pool, sealer, "status = 'refused'") == [poison.raw]
        assert (await pool.fetchval("SELECT error FROM message WHERE status = 'refused'")).startswith("102: ")


def test_two_shards_that_meet_in_reverse_order_do_not_fail_each_other(database_url: str) -> None:
    """Facts are locked in one order, whatever order they arrived in; without it PostgreSQL ends one of the two."""

    @story(database_url, "intake-1", "intake-2")
    async def _(pool: asyncpg.Pool, one: Intake, two: Intake) -> None:
        facts = [f"U-{n}" for n in range(300)]
        for turn in range(5):
            there = [report(f"{turn}/{f}") for f in facts]
            back = [report(f"{turn}/{f}") for f in reversed(facts)]
            first, second = await asyncio.gather(take(one, *there), take(two, *back))
            statuses = [r.status for r in (*first, *second)]
            assert statuses.count("accepted") == statuses.count("duplicate") == len(facts)
        assert await pool.fetchval("SELECT count(*) FROM event") == 5 * len(facts)


def test_shards_that_start_together_get_different_numbers(database_url: str) -> None:
    names = [f"intake-{n}" for n in range(8)]

    @story(database_url, *names)
    async def _(pool: asyncpg.Pool, *intakes: Intake) -> None:
        assert sorted(i.shard for i in intakes) == list(range(1, 9))


def test_a_report_that_ties_two_facts_together_asks_a_person(database_url: str) -> None:
    """The charge knew the usage, a scan the serial, and only a later scan both: one implant was counted twice."""

    @story(database_url)
    async def _(pool: asyncpg.Pool, intake: Intake) -> None:
        await take(intake, report("C-1", "usage U-1"), report("C-2", "serial S-1"))
        [late] = await take(intake, report("C-3", "usage U-1", "serial S-1"))
        assert late.status == "duplicate"
        item = await pool.fetchrow("SELECT queue, cause, state FROM work_item")
        assert item is not None, "nobody was told that one implant was taken for two"
        assert (item["queue"], item["cause"], item["state"]) == ("conflicts", "OneFactTwice:e/1/1+e/1/2", "open")
