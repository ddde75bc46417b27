"""Any interleaving of senders over several intake shards yields each fact once, and every reader reads it once.

Reports know a usage by its number, by the device's serial number, or by both; senders repeat what was not answered.
Two facts for one usage are possible only when nobody had tied the two numbers together in time; then a person is told.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.sealing_parts import protection_for

from hilum.authoring import Contract, System
from hilum.authoring.estate import Estate, Policy
from hilum.authoring.flow import Feed, Flow
from hilum.runtime import fault_points
from hilum.runtime.breakers import Breakers
from hilum.runtime.connections import Connection, Connections
from hilum.runtime.dispatch import Dispatcher
from hilum.runtime.feeds import FeedLanes
from hilum.runtime.intake import Intake, Receipt
from hilum.runtime.reception import PreparedEvent, Reception
from hilum.store.partitions import ensure_partitions
from hilum.store.pool import open_pool
from hilum.store.sealed_places import message_raw
from hilum.testing.clock import StoppedClock
from hilum.testing.faults import Injected

SHARDS = 3


class Used(Contract, version=1, identities=["fact"], owner="supply-chain"):
    """What one report says."""

    fact: str
    account: str


def nothing(used: Used) -> None:
    """A flow that is only opened here."""


def written(used: Used) -> bytes:
    return f"{used.account} {used.fact}".encode()


@dataclass
class Receiver:
    """A system that writes down what it is sent, in order."""

    idempotent_commands: frozenset[str] = frozenset()
    heard: list[str] = field(default_factory=list)

    async def send(self, body: bytes, *, key: str, content_type: str = "") -> str:
        self.heard.append(key.partition("/")[2])
        return "ok"

    async def close(self) -> None:
        return None


@dataclass(frozen=True)
class Report:
    """One usage as somebody knows it."""

    usage: int
    by_number: bool
    by_serial: bool

    def identities(self, example: int) -> list[str]:
        names = [f"{example}/usage/{self.usage}"] if self.by_number else []
        return names + ([f"{example}/serial/{self.usage}"] if self.by_serial else [])


reports = st.builds(
    lambda usage, known: Report(usage, known in ("number", "both"), known in ("serial", "both")),
    st.integers(1, 6),
    st.sampled_from(["number", "number", "serial", "both"]),
)
batches = st.lists(st.lists(reports, min_size=1, max_size=6), max_size=4)
# Where a batch fails: before its commit, or after it when only the answer is lost. At most one such point in an example.
accidents = st.sampled_from([None, None, "intake.before_commit", "intake.after_commit"])


class Platform:
    """Three intakes, two dispatchers and two feed workers on one database, for all examples."""

    def __init__(self, url: str) -> None:
        self.runner = asyncio.Runner()
        self.example = 0
        self.runner.run(self._open(url))

    async def _open(self, url: str) -> None:
        clock = StoppedClock()
        self.pool: asyncpg.Pool = await open_pool(url, min_size=4, max_size=16, application_name="property")
        async with self.pool.acquire() as connection:
            await ensure_partitions(connection, clock().date())
        receiver = System("receiver")
        flow = Flow(nothing, Used, "counted", "fact", "normal", "o", "r", "fact")
        feed = Feed(written, (Used,), receiver, "told", "account", "normal", "o")
        estate = Estate(
            Path("estate"), "property", flows={"counted": flow}, feeds={"told": feed}, contracts={"Used": Used}
        )
        protection = await protection_for(self.pool, estate, clock)
        self.sealer = protection.sealer
        self.intakes = [Intake(self.pool, protection, name=f"intake-{n}", clock=clock) for n in range(SHARDS)]
        for intake in self.intakes:
            await intake.start()
        self.receiver = Receiver()
        policy = Policy(rate_per_second=500, concurrency=4)
        connections = Connections({"receiver": Connection("receiver", self.receiver, policy, lambda: asyncio.sleep(0))})
        breakers = Breakers(self.pool, clock=clock, rng=random.Random(7))
        self.readers: list[Any] = [Dispatcher(self.pool, estate, protection, clock=clock) for _ in range(2)]
        self.readers += [
            FeedLanes(
                self.pool,
                estate,
                connections,
                breakers,
                protection,
                executor=f"w-{n}",
                clock=clock,
                rng=random.Random(7),
            )
            for n in range(2)
        ]

    def close(self) -> None:
        async def all_of_it() -> None:
            for intake in self.intakes:
                await intake.stop()
            await self.pool.close()

        self.runner.run(all_of_it())
        self.runner.close()

    async def sends(self, shard: int, sent: list[list[Report]]) -> list[tuple[Report, Receipt]]:
        """One sender: batch after batch, and again whatever was not answered."""
        answered: list[tuple[Report, Receipt]] = []
        for batch in sent:
            waiting = batch
            while waiting:
                futures = [self.intakes[shard].submit(self._reception(r), lambda receipt: receipt) for r in waiting]
                answers = await asyncio.gather(*futures, return_exceptions=True)
                pairs = list(zip(waiting, answers, strict=True))
                answered += [(r, a) for r, a in pairs if isinstance(a, Receipt)]
                assert all(isinstance(a, Receipt | Injected) for a in answers), answers
                waiting = [r for r, a in pairs if not isinstance(a, Receipt)]
        return answered

    def _reception(self, report: Report) -> Reception:
        names = report.identities(self.example)
        raw = ",".join(names).encode()
        reception = Reception("ehr", "mllp", "peer", raw, sha256(raw).digest(), "DFT^P03", "")
        # The payload's fact is the report's own, so that each event can be told from every other.
        made = [sha256(name.encode()).digest()[:16] for name in names]
        reception.events = [
            PreparedEvent("Used", 1, f"A{report.usage % 2}", "", "m@1", b"", made, None, [(names[0], "usage")])
        ]
        number = next(_numbers)
        reception.events[0].payload = (
            Used(fact=f"{self.example}/{number}", account=f"A{report.usage % 2}").model_dump_json().encode()
        )
        return reception

    async def reads(self, until_done: asyncio.Event) -> None:
        while not until_done.is_set():
            await asyncio.gather(*(reader.run_once() for reader in self.readers))
            await asyncio.sleep(0)
        while any(await asyncio.gather(*(reader.run_once() for reader in self.readers))):
            pass


_numbers = iter(range(1, 1_000_000_000))


@pytest.fixture
def platform(database_url: str) -> Iterator[Platform]:
    opened = Platform(database_url)
    yield opened
    opened.close()


def once(name: str | None) -> None:
    """Let the next batch that passes the point fail there."""
    fault_points.disarm()
    if name is None:
        return

    def act() -> None:
        fault_points.disarm()
        raise Injected(name)

    fault_points.arm(name, act)


@settings(
    max_examples=80,
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(sent=st.lists(batches, min_size=SHARDS, max_size=SHARDS), accident=accidents)
def test_each_fact_is_taken_once_whoever_reports_it_where(
    platform: Platform, sent: list[list[list[Report]]], accident: str | None
) -> None:
    platform.example += 1
    platform.receiver.heard.clear()

    async def story() -> None:
        pool = platform.pool
        before = {r["shard"]: r["event_seq"] for r in await pool.fetch("SELECT shard, event_seq FROM intake_shard")}
        done = asyncio.Event()
        once(accident)
        reading = asyncio.create_task(platform.reads(done))
        try:
            results = await asyncio.gather(*(platform.sends(n, batches) for n, batches in enumerate(sent)))
        finally:
            fault_points.disarm()
            done.set()
            await reading
        answered = [pair for result in results for pair in result]
        await _each_fact_once(platform, answered)
        await _read_once_in_order(platform, before)

    platform.runner.run(asyncio.wait_for(story(), 60))


async def _each_fact_once(platform: Platform, answered: list[tuple[Report, Receipt]]) -> None:
    # What each event was first reported by: two events never share an identity.
    rows = await platform.pool.fetch(
        """SELECT e.shard, e.seq, m.seq AS message_seq, m.raw FROM event e
             JOIN message m ON m.shard = e.shard AND m.seq = e.message_seq WHERE m.seq > $1""",
        0,
    )
    await platform.sealer.load(*(r["raw"] for r in rows))
    opened = {
        (r["shard"], r["seq"]): platform.sealer.open(r["raw"], message_raw(r["shard"], r["message_seq"])).decode()
        for r in rows
    }
    ours = f"{platform.example}/"
    events = {place: set(raw.split(",")) for place, raw in opened.items() if raw.startswith(ours)}
    owners = Counter(name for names in events.values() for name in names)
    assert max(owners.values(), default=1) == 1, f"two events for {owners.most_common(1)}"
    # Every identity that was ever reported leads to one of these events.
    reported = {name for report, _ in answered for name in report.identities(platform.example)}
    facts = await platform.pool.fetch(
        "SELECT identity, shard, event_seq FROM fact WHERE identity = ANY($1)",
        [platform.sealer.fact(sha256(name.encode()).digest()[:16]) for name in reported],
    )
    assert len(facts) == len(reported)
    assert {(f["shard"], f["event_seq"]) for f in facts} == set(events)
    # As many were told that theirs was the first as there are events, but for one whose answer was lost.
    accepted = sum(receipt.status == "accepted" for _, receipt in answered)
    assert accepted <= len(events)
    # One usage is two facts only if nobody tied its numbers in time, and whoever tied them later told a person.
    usages: dict[str, set[tuple[int, int]]] = {}
    for place, names in events.items():
        usages.setdefault(next(iter(names)).rpartition("/")[2], set()).add(place)
    for usage, places in usages.items():
        tied = any(str(r.usage) == usage and r.by_number and r.by_serial for r, _ in answered)
        if len(places) > 1 and tied:
            first, second = (f"e/{shard}/{seq}" for shard, seq in sorted(places))
            told = await platform.pool.fetchval(
                "SELECT count(*) FROM work_item WHERE cause = $1", f"OneFactTwice:{first}+{second}"
            )
            assert told == 1, f"usage {usage} was counted twice and nobody was told"
        assert len(places) <= 2


async def _read_once_in_order(platform: Platform, before: dict[int, int]) -> None:
    now = {r["shard"]: r["event_seq"] for r in await platform.pool.fetch("SELECT shard, event_seq FROM intake_shard")}
    cases = await platform.pool.fetch("SELECT event_shard, event_seq FROM flow_case ORDER BY position")
    for shard, last in now.items():
        expected = list(range(before.get(shard, 0) + 1, last + 1))
        opened = [c["event_seq"] for c in cases if c["event_shard"] == shard and c["event_seq"] > before.get(shard, 0)]
        assert opened == expected, f"cases of shard {shard}"
        heard = [int(key.partition("/")[2]) for key in platform.receiver.heard if key.startswith(f"{shard}/")]
        assert sorted(heard) == expected, f"events of shard {shard} that the feed handed over"
        rows = await platform.pool.fetch(
            "SELECT seq, key FROM event WHERE shard = $1 AND seq > $2 ORDER BY seq", shard, before.get(shard, 0)
        )
        for account in ("A0", "A1"):
            own = {r["seq"] for r in rows if r["key"] == account}
            assert [seq for seq in heard if seq in own] == sorted(own), f"order of account {account}"
