"""Work items: one decision for one cause, however many wait for it, and a record of who decided."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import orjson
import pytest

from hilum.runtime import work_items, work_queue
from hilum.runtime.work_items import Exceptional, NotOpen, join
from hilum.store.pool import open_pool
from hilum.testing.clock import StoppedClock

CLOCK = StoppedClock()
UNKNOWN = "UnknownItem:IMP-9"


def unknown_item(
    usage: str, *, cause: str = UNKNOWN, queue: str = "item-master", worth: str = "1000.00"
) -> Exceptional:
    return Exceptional(
        queue=queue, cause=cause, title="Unknown item: IMP-9", remedy="Add it to the crosswalk, then release.",
        due_hours=8, subject=f"c/implant_usage/{usage}", at_risk_usd=Decimal(worth), owner="supply-chain",
    )  # fmt: skip


def play(url: str, story: Callable[[asyncpg.Connection], Awaitable[None]]) -> None:
    async def whole() -> None:
        pool = await open_pool(url, min_size=1, max_size=8, application_name="test")
        try:
            async with pool.acquire() as connection:
                await story(connection)
        finally:
            await pool.close()

    asyncio.run(whole())


async def release(connection: asyncpg.Connection, item: int, *, actor: str = "person:ann", **what: Any) -> list[str]:
    async with connection.transaction():
        return await work_items.release(connection, item, now=CLOCK(), actor=actor, **what)


async def skip(connection: asyncpg.Connection, item: int, *, reason: str, actor: str = "person:ann") -> list[str]:
    async with connection.transaction():
        return await work_items.skip(connection, item, now=CLOCK(), actor=actor, reason=reason)


async def assign(connection: asyncpg.Connection, item: int, *, assignee: str, actor: str = "person:ann") -> None:
    async with connection.transaction():
        await work_items.assign(connection, item, assignee=assignee, now=CLOCK(), actor=actor)


async def case(connection: asyncpg.Connection, usage: str, state: str = "waiting") -> None:
    await connection.execute(
        """INSERT INTO flow_case (id, flow, flow_version, ordering_key, criticality, facility, event_shard, event_seq,
                                  event_at, state, error, created_at, updated_at)
           VALUES ($1, 'implant_usage', 1, $1, 1, 'ST-MARY', 1, 1, $2, $3, 'Unknown item', $2, $2)""",
        f"implant_usage/{usage}", CLOCK(), state,
    )  # fmt: skip


async def waits(connection: asyncpg.Connection, *usages: str, **what: Any) -> int:
    item = 0
    for usage in usages:
        await case(connection, usage)
        async with connection.transaction():
            item = await join(connection, unknown_item(usage, **what), now=CLOCK(), actor="system:flows")
    return item


async def states(connection: asyncpg.Connection) -> dict[str, str]:
    rows = await connection.fetch("SELECT id, state FROM flow_case ORDER BY id")
    return {r["id"].partition("/")[2]: r["state"] for r in rows}


async def entries(connection: asyncpg.Connection, subject: str) -> list[dict[str, Any]]:
    rows = await connection.fetch("SELECT entry FROM audit_entry WHERE subject = $1 ORDER BY seq", subject)
    return [orjson.loads(r["entry"]) for r in rows]


def test_fifty_usages_of_one_unknown_item_are_one_decision(database_url: str) -> None:
    async def story(connection: asyncpg.Connection) -> None:
        item = await waits(connection, *(f"U-{n}" for n in range(50)), worth="12.34")
        [line] = await work_queue.list_items(connection, now=CLOCK())
        assert (line.id, line.cases, line.at_risk_usd) == (item, 50, Decimal("617.00"))
        assert line.due_at == CLOCK() + timedelta(hours=8)
        released = await release(connection, item, actor="person:ann")
        assert len(released) == 50
        assert set((await states(connection)).values()) == {"ready"}

    play(database_url, story)


def test_another_cause_and_another_queue_are_other_decisions(database_url: str) -> None:
    async def story(connection: asyncpg.Connection) -> None:
        items = {
            await waits(connection, "U-1"),
            await waits(connection, "U-2", cause="UnknownItem:IMP-8"),
            await waits(connection, "U-3", queue="purchasing"),
        }
        assert len(items) == 3

    play(database_url, story)


def test_who_joins_twice_waits_once(database_url: str) -> None:
    async def story(connection: asyncpg.Connection) -> None:
        item = await waits(connection, "U-1")
        async with connection.transaction():
            again = await join(connection, unknown_item("U-1"), now=CLOCK(), actor="system:flows")
        [line] = await work_queue.list_items(connection, now=CLOCK())
        assert (again, line.cases, line.at_risk_usd) == (item, 1, Decimal("1000.00"))
        assert len(await entries(connection, "c/implant_usage/U-1")) == 1

    play(database_url, story)


def test_many_that_join_at_once_join_one_item(database_url: str) -> None:
    async def story(connection: asyncpg.Connection) -> None:
        pool = await open_pool(database_url, min_size=8, max_size=8, application_name="test")

        async def one(number: int) -> int:
            async with pool.acquire() as own, own.transaction():
                return await join(own, unknown_item(f"U-{number}"), now=CLOCK(), actor="system:flows")

        items = await asyncio.gather(*(one(n) for n in range(40)))
        await pool.close()
        [line] = await work_queue.list_items(connection, now=CLOCK())
        assert set(items) == {line.id}
        assert (line.cases, line.at_risk_usd) == (40, Decimal("40000.00"))

    play(database_url, story)


def test_one_usage_can_be_released_while_the_others_go_on_waiting(database_url: str) -> None:
    async def story(connection: asyncpg.Connection) -> None:
        item = await waits(connection, "U-1", "U-2", "U-3")
        assert await release(connection, item, actor="person:ann", subject="c/implant_usage/U-2") == [
            "c/implant_usage/U-2"
        ]
        [line] = await work_queue.list_items(connection, now=CLOCK())
        assert (line.state, line.cases, line.at_risk_usd) == ("open", 2, Decimal("2000.00"))
        assert await states(connection) == {"U-1": "waiting", "U-2": "ready", "U-3": "waiting"}
        with pytest.raises(NotOpen, match="does not wait in work item"):
            await release(connection, item, actor="person:ann", subject="c/implant_usage/U-2")

    play(database_url, story)


def test_the_last_one_released_closes_the_item(database_url: str) -> None:
    async def story(connection: asyncpg.Connection) -> None:
        item = await waits(connection, "U-1", "U-2")
        for usage in ("U-1", "U-2"):
            await release(connection, item, actor="person:ann", subject=f"c/implant_usage/{usage}")
        assert await work_queue.list_items(connection, now=CLOCK()) == []
        [line] = await work_queue.list_items(connection, now=CLOCK(), closed=True)
        assert (line.state, line.closed_by) == ("released", "person:ann")

    play(database_url, story)


def test_a_cause_that_comes_back_is_a_new_decision(database_url: str) -> None:
    async def story(connection: asyncpg.Connection) -> None:
        first = await waits(connection, "U-1")
        await release(connection, first, actor="person:ann")
        second = await waits(connection, "U-2")
        assert second != first
        assert [line.state for line in await work_queue.list_items(connection, now=CLOCK(), closed=True)] == [
            "open",
            "released",
        ]

    play(database_url, story)


@pytest.mark.parametrize("reason", ["", "   ", "\n"])
def test_skipping_needs_a_reason(database_url: str, reason: str) -> None:
    async def story(connection: asyncpg.Connection) -> None:
        item = await waits(connection, "U-1")
        with pytest.raises(ValueError, match="needs a reason"):
            await skip(connection, item, actor="person:ann", reason=reason)
        assert await states(connection) == {"U-1": "waiting"}

    play(database_url, story)


def test_what_was_skipped_has_ended_and_says_why(database_url: str) -> None:
    async def story(connection: asyncpg.Connection) -> None:
        item = await waits(connection, "U-1")
        await skip(connection, item, actor="person:ann", reason="training patient")
        row = await connection.fetchrow("SELECT state, done_at, error FROM flow_case")
        assert tuple(row) == ("skipped", CLOCK(), "Unknown item")
        [_, decided] = await entries(connection, "c/implant_usage/U-1")
        assert (decided["action"], decided["actor"], decided["detail"]["reason"]) == (
            "work.skipped", "person:ann", "training patient",
        )  # fmt: skip

    play(database_url, story)


def test_a_closed_item_says_who_closed_it_and_when(database_url: str) -> None:
    async def story(connection: asyncpg.Connection) -> None:
        item = await waits(connection, "U-1")
        await release(connection, item, actor="person:ann")
        for decide in (
            release(connection, item, actor="person:bo"),
            skip(connection, item, actor="person:bo", reason="late"),
            assign(connection, item, assignee="person:bo", actor="person:bo"),
        ):
            with pytest.raises(NotOpen, match=r"was released by person:ann at 2026-03-02 07:30 UTC"):
                await decide
        with pytest.raises(NotOpen, match="There is no work item 999"):
            await release(connection, 999, actor="person:bo")

    play(database_url, story)


def test_two_people_who_decide_at_once_make_one_decision(database_url: str) -> None:
    async def story(connection: asyncpg.Connection) -> None:
        item = await waits(connection, *(f"U-{n}" for n in range(10)))
        pool = await open_pool(database_url, min_size=4, max_size=4, application_name="test")

        async def decide(who: str) -> int:
            async with pool.acquire() as own, own.transaction():
                return len(await work_items.release(own, item, now=CLOCK(), actor=who))

        outcomes = await asyncio.gather(*(decide(f"person:{n}") for n in range(4)), return_exceptions=True)
        await pool.close()
        assert sorted(type(o).__name__ for o in outcomes) == ["NotOpen", "NotOpen", "NotOpen", "int"]
        assert len(await entries(connection, f"w/{item}")) == 1

    play(database_url, story)


def test_who_works_on_it_is_written_down(database_url: str) -> None:
    async def story(connection: asyncpg.Connection) -> None:
        item = await waits(connection, "U-1")
        await assign(connection, item, assignee="person:bo", actor="person:ann")
        [line] = await work_queue.list_items(connection, now=CLOCK())
        assert line.assignee == "person:bo"
        [entry] = await entries(connection, f"w/{item}")
        assert (entry["action"], entry["actor"], entry["detail"]) == (
            "work.assigned",
            "person:ann",
            {"assignee": "person:bo"},
        )

    play(database_url, story)


def test_only_what_waits_is_moved_by_a_decision(database_url: str) -> None:
    """A case that was replayed or finished meanwhile is not started again by an old item."""

    async def story(connection: asyncpg.Connection) -> None:
        item = await waits(connection, "U-1", "U-2")
        await connection.execute("UPDATE flow_case SET state = 'done' WHERE id = 'implant_usage/U-1'")
        await release(connection, item, actor="person:ann")
        assert await states(connection) == {"U-1": "done", "U-2": "ready"}

    play(database_url, story)


def test_a_refused_delivery_starts_again_with_its_case(database_url: str) -> None:
    async def story(connection: asyncpg.Connection) -> None:
        item = await waits(connection, "U-1")
        for key, state in (("U-1/post", "rejected"), ("U-1/take", "done"), ("U-2/post", "rejected")):
            await connection.execute(
                "INSERT INTO delivery (key, system, operation, state, request, created_at, updated_at) VALUES ($1, 'erp', 'post', $2, '', $3, $3)",
                key, state, CLOCK(),
            )  # fmt: skip
            await connection.execute(
                "INSERT INTO delivery_case VALUES ($1, $2, 'post', $3)",
                key,
                f"implant_usage/{key.partition('/')[0]}",
                CLOCK(),
            )
        await release(connection, item, actor="person:ann")
        rows = await connection.fetch("SELECT key, state FROM delivery ORDER BY key")
        assert {r["key"]: r["state"] for r in rows} == {
            "U-1/post": "in_doubt",
            "U-1/take": "done",
            "U-2/post": "rejected",
        }

    play(database_url, story)
