"""Writers that share a commit and keep their connection: nobody is answered early, and nothing is left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import asyncpg
import pytest

from hilum.store.given_rows import GivenRows
from hilum.store.group_commit import GroupCommit
from hilum.store.kept_connection import KeptConnection
from hilum.store.pool import open_pool


def run(url: str, story: Callable[[asyncpg.Pool], Awaitable[None]], connections: int = 2) -> None:
    async def work() -> None:
        pool = await open_pool(url, min_size=1, max_size=connections)
        try:
            await story(pool)
        finally:
            await asyncio.wait_for(pool.close(), 10)

    asyncio.run(work())


def test_whoever_comes_while_a_commit_runs_shares_the_next_one_in_order():
    batches: list[list[int]] = []
    gate = asyncio.Event()

    async def commit(batch: Sequence[int]) -> list[str]:
        batches.append(list(batch))
        await gate.wait()
        return [f"kept {n}" for n in batch]

    async def story() -> None:
        group = GroupCommit(commit, most=3)
        asked = [asyncio.create_task(group.ask(0))]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        asked += [asyncio.create_task(group.ask(n)) for n in range(1, 6)]
        await asyncio.sleep(0)
        assert not any(task.done() for task in asked), "answered before its commit"
        gate.set()
        assert await asyncio.gather(*asked) == [f"kept {n}" for n in range(6)]
        assert batches == [[0], [1, 2, 3], [4, 5]]

    asyncio.run(story())


def test_a_commit_that_fails_answers_nobody_of_it_and_the_next_one_goes_on():
    async def commit(batch: Sequence[str]) -> list[str]:
        if "bad" in batch:
            raise OSError("the disk is full")
        return list(batch)

    async def story() -> None:
        group = GroupCommit(commit, most=2)
        told = await asyncio.gather(*(group.ask(n) for n in ("a", "bad", "c")), return_exceptions=True)
        assert [type(t).__name__ for t in told] == ["OSError", "OSError", "str"]
        assert await group.ask("later") == "later"

    asyncio.run(story())


def test_who_stops_waiting_takes_nothing_from_the_others():
    async def story() -> None:
        began, gate = asyncio.Event(), asyncio.Event()
        stored: list[str] = []

        async def commit(batch: Sequence[str]) -> list[str]:
            began.set()
            await gate.wait()
            stored.extend(batch)
            return list(batch)

        group = GroupCommit(commit, most=8)
        gone, stays = asyncio.create_task(group.ask("gone")), asyncio.create_task(group.ask("stays"))
        await began.wait()
        gone.cancel()
        await asyncio.sleep(0)
        gate.set()
        assert await stays == "stays" and gone.cancelled() and stored == ["gone", "stays"]
        await group.close()

    asyncio.run(story())


def test_a_kept_connection_is_the_same_one_until_it_rests_and_then_the_pool_has_it(database_url: str):
    async def story(pool: asyncpg.Pool) -> None:
        kept = KeptConnection(pool, idle_seconds=0.02)
        async with kept as first:
            number = await first.fetchval("SELECT pg_backend_pid()")
        async with kept as again:
            assert await again.fetchval("SELECT pg_backend_pid()") == number
            assert pool.get_idle_size() == 0
        async with pool.acquire(timeout=5) as other:
            assert await other.fetchval("SELECT pg_backend_pid()") == number
        async with kept as later:
            assert await later.fetchval("SELECT 1") == 1

    run(database_url, story, connections=1)


def test_a_connection_that_comes_to_rest_is_never_used_and_given_back_at_once(database_url: str):
    """Used again and again just when its rest is over: the one that goes back is not the one that is used."""

    async def story(pool: asyncpg.Pool) -> None:
        kept = KeptConnection(pool, idle_seconds=0.0)
        for n in range(100):
            async with kept as connection:
                assert await connection.fetchval("SELECT 7") == 7
            for _ in range(n % 5):
                await asyncio.sleep(0)
        await kept.close()

    run(database_url, story)


def test_after_an_error_or_a_cut_connection_the_next_use_has_a_good_one(database_url: str):
    async def story(pool: asyncpg.Pool) -> None:
        kept = KeptConnection(pool)
        with pytest.raises(asyncpg.DivisionByZeroError):
            async with kept as connection:
                await connection.execute("SET search_path = nowhere")
                await connection.fetchval("SELECT 1 / 0")
        async with kept as connection:
            assert "hilum" in await connection.fetchval("SHOW search_path"), "the pool has not reset it"
            number = await connection.fetchval("SELECT pg_backend_pid()")
        async with pool.acquire() as other:
            assert await other.fetchval("SELECT pg_terminate_backend($1, 5000)", number)
        async with asyncio.timeout(5):
            while True:
                try:
                    async with kept as connection:
                        assert await connection.fetchval("SELECT pg_backend_pid()") != number
                        break
                except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                    continue  # The cut is noticed by the statement that meets it.

    run(database_url, story)


def test_a_kept_connection_has_one_user_at_a_time(database_url: str):
    async def story(pool: asyncpg.Pool) -> None:
        kept = KeptConnection(pool)
        async with kept:
            with pytest.raises(RuntimeError, match="one user"):
                async with kept:
                    pass

    run(database_url, story)


@pytest.mark.parametrize("rows", [[("a", b"1")], [("a", b"1"), ("b", b"2")]])
def test_one_row_and_many_are_the_same_rows_to_a_statement(database_url: str, rows: list[tuple[str, bytes]]):
    async def story(pool: asyncpg.Pool) -> None:
        given = GivenRows("text", "bytea", first=2)
        sql = f"SELECT $1::int AS n, u.* FROM {given.source(len(rows))} AS u (name, data) ORDER BY name"
        found = await pool.fetch(sql, 5, *given.arguments(rows))
        assert [tuple(r) for r in found] == [(5, *row) for row in rows]

    run(database_url, story)
