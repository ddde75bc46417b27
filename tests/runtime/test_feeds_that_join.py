"""A merge is about two accounts: it goes after both accounts' own events, before what comes later, and waits behind either."""

from __future__ import annotations

import asyncio
import random
from hashlib import sha256
from pathlib import Path

import pytest
from tests.runtime.feed_parts import AccountMoved, World, feeding, written

from hilum.authoring import Contract
from hilum.authoring.estate import Estate
from hilum.authoring.flow import Feed
from hilum.runtime import work_items
from hilum.runtime.feeds import FeedLanes
from hilum.runtime.reception import PreparedEvent, Reception


class AccountsJoined(Contract, version=1, identities=["move"], owner="patient-access"):
    """One account is another's from now on."""

    move: str
    account: str
    gone: str | None = None


def said(event: AccountMoved | AccountsJoined) -> bytes:
    return written(event) if isinstance(event, AccountMoved) else f"{event.account} {event.move}".encode()


def joining(w: World) -> FeedLanes:
    system = next(iter(w.estate.feeds.values())).to
    feed = Feed(
        said, (AccountMoved, AccountsJoined), system, "accounts", "account", "normal", "patient-access", joins="gone"
    )
    estate = Estate(
        Path("estate"), "test", feeds={"accounts": feed}, queues={"integration": "integration"},
        contracts={"AccountMoved": AccountMoved, "AccountsJoined": AccountsJoined},
    )  # fmt: skip
    return FeedLanes(
        w.pool, estate, w.connections, w.breakers, w.protection, executor="worker-1", clock=w.clock, rng=random.Random(7)
    )  # fmt: skip


async def joins(w: World, move: str, account: str, gone: str | None) -> None:
    event = AccountsJoined(move=move, account=account, gone=gone)
    raw = move.encode()
    reception = Reception("ehr", "mllp", "peer", raw, sha256(raw).digest(), "ADT^A40", f"C-{move}")
    payload = event.model_dump_json().encode()
    reception.events = [
        PreparedEvent("AccountsJoined", 1, account, "", "joined@1", payload, [sha256(raw).digest()[:16]], None, [])
    ]
    await w.intake.submit(reception, lambda receipt: receipt)


@pytest.mark.parametrize("gone", ["A", None])
def test_a_merge_goes_when_everything_before_it_went_and_before_everything_after_it(
    database_url: str, gone: str | None
) -> None:
    async def story() -> None:
        async with feeding(database_url) as w:
            w.billing.seconds = 0.01
            await w.moves("A1", "A2", "A3", "B1")
            await joins(w, "B2", "B", gone)
            await w.moves("A4", "B3")
            lanes = joining(w)
            while await lanes.run_once():
                pass
            taken = w.billing.taken
            assert set(taken[:4]) == {"A1", "A2", "A3", "B1"} and taken[4] == "B2"
            assert w.billing.of("A") == ["A1", "A2", "A3", "A4"]

    asyncio.run(asyncio.wait_for(story(), 60))


@pytest.mark.parametrize("refused", ["A2", "B1"])
def test_a_merge_waits_behind_either_account_and_goes_in_its_turn(database_url: str, refused: str) -> None:
    async def story() -> None:
        async with feeding(database_url) as w:
            w.billing.refuses = {refused}
            await w.moves("A1", "A2", "A3", "B1")
            await joins(w, "B2", "B", "A")
            await w.moves("C1")
            lanes = joining(w)
            while await lanes.run_once():
                pass
            assert "B2" not in w.billing.taken and "C1" in w.billing.taken
            assert await merge_state(w) == "behind"
            w.billing.refuses = set()
            async with w.pool.acquire() as connection, connection.transaction():
                item = await connection.fetchval("SELECT id FROM work_item WHERE state = 'open'")
                await work_items.release(connection, item, now=w.clock(), actor="person:ann")
            while await lanes.run_once():
                pass
            taken = w.billing.taken
            assert taken.index("B2") > max(taken.index(each) for each in ("A2", "A3", "B1"))
            assert await merge_state(w) is None

    asyncio.run(asyncio.wait_for(story(), 60))


def test_a_merge_that_meets_an_outage_is_sent_once_when_billing_answers_again(database_url: str) -> None:
    async def story() -> None:
        async with feeding(database_url) as w:
            w.billing.away = {"B2"}
            await w.moves("A1", "B1")
            await joins(w, "B2", "B", "A")
            await w.moves("A2")
            lanes = joining(w)
            await lanes.run_once()
            assert set(w.billing.taken) == {"A1", "B1"}
            w.billing.away = set()
            while await lanes.run_once():
                pass
            assert w.billing.taken[2:] == ["B2", "A2"]

    asyncio.run(asyncio.wait_for(story(), 60))


async def merge_state(w: World) -> str | None:
    """How the merge is parked."""
    state: str | None = await w.pool.fetchval(
        """SELECT p.state FROM feed_parked p JOIN event e ON e.shard = p.shard AND e.seq = p.event_seq
            WHERE e.type = 'AccountsJoined'"""
    )
    return state
