"""Changes that come together share commits: each has its own lease, its own answer and its own record all the same."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from hilum.audit.access import CHANGE, READ, Access, AccessLog, NotRecorded
from hilum.authoring.caller import Caller
from hilum.gateway.decisions import Decisions
from hilum.gateway.idempotency import Begun, IdempotencyKeys, Replayed
from hilum.gateway.problems import Refusal
from hilum.model.where import EVERYTHING
from hilum.security.decisions import Decision, Resource
from hilum.store.migrations import migrate
from hilum.store.pool import open_pool

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
BOT = Caller("service", "ap-bot", issuer="sso")
OPERATION = "erp.place@v1"
JSON = b"application/json"


class Desk:
    """The keys and the access log of one process, on a clock that a test moves."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self.now = NOW
        self.pool = pool
        self.keys = IdempotencyKeys(pool, clock=lambda: self.now)
        self.log = AccessLog(pool, "gateway", clock=lambda: self.now)

    async def begin(self, key: str, *, caller: str = "service:ap-bot@sso", asked: bytes = b"f") -> Begun | Replayed:
        return await self.keys.begin(caller, OPERATION, key, asked, timeout_seconds=10)

    async def begun(self, key: str) -> Begun:
        begun = await self.begin(key)
        assert isinstance(begun, Begun)
        return begun

    async def answer(self, begun: Begun, body: bytes) -> None:
        kept = await self.keys.answered(begun, 200, JSON, [], body)
        await self.log.record(Access(BOT, CHANGE, OPERATION, "Order", (f"Order/{body.decode()}",)), beside=kept)

    async def recorded(self) -> list[str]:
        rows = await self.pool.fetch("SELECT subject FROM audit_entry WHERE shard >= 1000000 ORDER BY seq")
        return [row["subject"] for row in rows]


def tell(url: str, story: Callable[[Desk], Awaitable[None]]) -> None:
    async def telling() -> None:
        await migrate(url)
        pool = await open_pool(url, min_size=2, max_size=6)
        desk = Desk(pool)
        try:
            await story(desk)
        finally:
            await desk.keys.close()
            await desk.log.close()
            await pool.close()

    asyncio.run(telling())


def test_each_of_many_has_its_own_answer(database_url: str):
    async def story(desk: Desk) -> None:
        begun = await asyncio.gather(*(desk.begun(f"K-{n}") for n in range(20)))
        assert len({b.name for b in begun}) == 20
        await asyncio.gather(*(desk.answer(b, b"PO-%d" % n) for n, b in enumerate(begun)))
        for n in range(20):
            again = await desk.begin(f"K-{n}")
            assert isinstance(again, Replayed) and again.body == b"PO-%d" % n
        assert sorted(await desk.recorded()) == sorted(f"Order/PO-{n}" for n in range(20))

    tell(database_url, story)


def test_of_one_key_that_comes_many_times_at_once_one_runs(database_url: str):
    async def story(desk: Desk) -> None:
        first = asyncio.create_task(desk.begin("K-0"))  # While this one is committed, the others gather.
        await asyncio.sleep(0)
        told = await asyncio.gather(*(desk.begin("K-1") for _ in range(8)), return_exceptions=True)
        assert [type(t) for t in told].count(Begun) == 1
        assert [t.kind for t in told if isinstance(t, Refusal)] == ["still-running"] * 7
        assert isinstance(await first, Begun)

    tell(database_url, story)


def test_another_request_with_the_key_is_refused_though_it_comes_in_the_same_instant(database_url: str):
    async def story(desk: Desk) -> None:
        first = asyncio.create_task(desk.begin("K-0"))
        await asyncio.sleep(0)
        told = await asyncio.gather(
            desk.begin("K-1", asked=b"one"), desk.begin("K-1", asked=b"two"), return_exceptions=True
        )
        assert isinstance(told[0], Begun) and isinstance(told[1], Refusal) and told[1].kind == "key-reused"
        await first

    tell(database_url, story)


def test_who_lost_the_key_meanwhile_does_not_write_over_the_answer_of_its_successor(database_url: str):
    async def story(desk: Desk) -> None:
        slow = await desk.begun("K-1")
        desk.now += timedelta(seconds=60)
        successor = await desk.begun("K-1")
        assert successor.fence == slow.fence + 1 and successor.name == slow.name
        await desk.answer(slow, b"PO-OLD")
        with pytest.raises(Refusal) as refused:
            await desk.begin("K-1")
        assert refused.value.kind == "still-running", "it is the successor's, and nothing was kept"
        await desk.answer(successor, b"PO-NEW")
        again = await desk.begin("K-1")
        assert isinstance(again, Replayed) and again.body == b"PO-NEW"
        assert await desk.recorded() == ["Order/PO-OLD", "Order/PO-NEW"], "what was done is recorded whoever did it"

    tell(database_url, story)


def test_reads_and_changes_of_one_instant_are_all_recorded(database_url: str):
    async def story(desk: Desk) -> None:
        begun = await asyncio.gather(*(desk.begun(f"K-{n}") for n in range(3)))

        async def read(n: int) -> None:
            await desk.log.record(Access(BOT, READ, OPERATION, "Order", (f"Order/READ-{n}",)))

        await asyncio.gather(read(0), *(desk.answer(b, b"PO-%d" % n) for n, b in enumerate(begun)), read(1), read(2))
        expected = [*(f"Order/PO-{n}" for n in range(3)), *(f"Order/READ-{n}" for n in range(3))]
        assert sorted(await desk.recorded()) == sorted(expected)

    tell(database_url, story)


def test_an_answer_is_not_kept_without_its_record_nor_the_record_without_the_answer(database_url: str):
    async def story(desk: Desk) -> None:
        begun = await desk.begun("K-1")
        await desk.pool.execute("ALTER TABLE api_idempotency ADD CONSTRAINT full_disk CHECK (state <> 'answered')")
        with pytest.raises(NotRecorded):
            await desk.answer(begun, b"PO-1")
        assert await desk.recorded() == []
        await desk.pool.execute("ALTER TABLE api_idempotency DROP CONSTRAINT full_disk")
        await desk.pool.execute("ALTER TABLE audit_entry ADD CONSTRAINT full_disk CHECK (shard < 1000000)")
        with pytest.raises(NotRecorded):
            await desk.answer(begun, b"PO-1")
        assert await desk.pool.fetchval("SELECT state FROM api_idempotency") == "running"

    tell(database_url, story)


def test_a_caller_whose_name_no_column_takes_is_refused_alone(database_url: str):
    async def story(desk: Desk) -> None:
        first = asyncio.create_task(desk.begin("K-0"))
        await asyncio.sleep(0)
        told = await asyncio.gather(
            desk.begin("K-1"), desk.begin("K-2", caller="person:\0@sso"), desk.begin("K-3"), return_exceptions=True
        )
        assert [type(t) for t in told] == [Begun, asyncpg.CharacterNotInRepertoireError, Begun]
        await first

    tell(database_url, story)


class Strict:
    """Policies that change under the door: first everything, then nothing."""

    version = "sha256:1"
    allowed = True

    def decide(self, caller: Caller, action: str, resource: Resource) -> Decision:
        return Decision(self.allowed)

    def where(self, caller: Caller, action: str, resource_type: str) -> object:
        return EVERYTHING if self.allowed else None

    def sees(self, caller: Caller, data_class: str, resource: Resource) -> bool:
        return self.allowed


def test_no_decision_outlives_the_version_of_the_policies_that_it_was_made_by():
    point = Strict()
    decisions = Decisions(point)  # type: ignore[arg-type]

    def asked() -> list[bool]:
        return [
            decisions.decide(BOT, "update", "Order", "PO-1", ()).allowed,
            decisions.where(BOT, "list", "Order") is EVERYTHING,
            decisions.sees(BOT, "financial", "Order", ()),
        ]

    assert asked() == [True, True, True]
    point.version, point.allowed = "sha256:2", False
    assert asked() == [False, False, False]
