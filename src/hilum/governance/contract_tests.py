"""Contract tests against vendors: each system is looked at now and then, and what changed is a person's before users notice.

What is found is one work item for each change, in the queue ``integration``; it is closed when the change is gone, because
the vendor took it back or somebody recorded the new description. Additive changes are shown, and open nothing.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol

import asyncpg
import orjson
from pydantic import ValidationError

from hilum.audit.entry import Entry
from hilum.audit.writer import append
from hilum.authoring.estate import Estate
from hilum.authoring.failures import Rejected, Unavailable
from hilum.governance.drift import Change, Description, DescriptionUnusable, compare, described, read_recorded, verdict
from hilum.runtime import work_items

log = logging.getLogger(__name__)

QUEUE = "integration"
ACTOR = "system:contract-tests"
SYSTEM_AWAY = "unavailable"
UNRECORDED = "unrecorded"
REMEMBERED_DAYS = 30

Describe = Callable[[], Awaitable[Mapping[str, Any]]]


class Announced(Protocol):
    """A route that a vendor announced to deprecate or to switch off."""

    @property
    def route(self) -> str: ...
    @property
    def deprecation(self) -> str: ...
    @property
    def sunset(self) -> str: ...
    @property
    def link(self) -> str: ...


@dataclass(frozen=True)
class Subject:
    """One system to be tested: how it is looked at, and what it announced since that was asked last."""

    describe: Describe
    announced: Callable[[], Iterable[Announced]] = tuple


@dataclass(frozen=True)
class Report:
    """What a contract test found. ``verdict``: same, additive, deprecated, breaking, unrecorded or unavailable."""

    system: str
    verdict: str
    changes: tuple[Change, ...] = ()
    detail: str = ""
    now: Description | None = field(default=None, repr=False)


class ContractTests:
    """Tests the systems of an estate. Any number of workers: each test is claimed in the database by one of them."""

    def __init__(
        self, pool: asyncpg.Pool, estate: Estate, subjects: Mapping[str, Subject], *, clock: Callable[[], datetime]
    ) -> None:
        self._pool = pool
        self._estate = estate
        self._subjects = subjects
        self._clock = clock

    async def run_due(self) -> int:
        """Test every system whose time has come; how many were tested."""
        tested = 0
        for name, subject in self._subjects.items():
            await self._note(name, subject)
            spec = self._estate.systems[name].contract_test
            if spec is not None and await self._claim(name, timedelta(hours=spec.every_hours)):
                report = await self.test(name)
                tested += 1
                log.info("contract test of %s: %s", name, report.verdict)
        return tested

    async def test(self, system: str) -> Report:
        """Look at one system, write down what was found, and open and close work items. Raises for nothing of the system's."""
        await self._note(system, self._subjects[system])
        report = await look_at(self._estate, system, self._subjects[system])
        now = self._clock()
        async with self._pool.acquire() as connection, connection.transaction():
            announced = [_deprecation(row) for row in await _notices(connection, system, now)]
            report = Report(
                system, _worst(report.verdict, announced), (*report.changes, *announced), report.detail, report.now
            )
            await connection.execute(
                """INSERT INTO contract_test (system, tested_at, verdict, changes, detail) VALUES ($1, $2, $3, $4, $5)
                   ON CONFLICT (system) DO UPDATE SET tested_at = $2, verdict = $3, changes = $4, detail = $5""",
                system, now, report.verdict, orjson.dumps([vars(change) for change in report.changes]).decode(),
                report.detail,
            )  # fmt: skip
            if report.verdict != SYSTEM_AWAY:
                await self._open_and_close(connection, report, now)
            await append(
                connection,
                [Entry(now, ACTOR, "contract.tested", f"s/{system}", {"verdict": report.verdict, "changes": len(report.changes)})],
            )  # fmt: skip
        return report

    # -- inside

    async def _claim(self, system: str, every: timedelta) -> bool:
        now = self._clock()
        claimed = await self._pool.fetchval(
            """INSERT INTO contract_test AS t (system, tested_at, verdict, changes) VALUES ($1, $2, 'unrecorded', '[]')
               ON CONFLICT (system) DO UPDATE SET tested_at = $2 WHERE t.tested_at <= $3 RETURNING 1""",
            system, now, now - every,
        )  # fmt: skip
        return bool(claimed)

    async def _note(self, system: str, subject: Subject) -> None:
        """Keep what the vendor announced: it says it on an answer to anybody, and the page is not open then."""
        now = self._clock()
        for announced in subject.announced():
            await self._pool.execute(
                """INSERT INTO vendor_notice (system, route, deprecation, sunset, link, first_at, last_at)
                   VALUES ($1, $2, $3, $4, $5, $6, $6)
                   ON CONFLICT (system, route) DO UPDATE SET deprecation = $3, sunset = $4, link = $5, last_at = $6""",
                system, announced.route, announced.deprecation, announced.sunset, announced.link, now,
            )  # fmt: skip

    async def _open_and_close(self, connection: asyncpg.Connection, report: Report, now: datetime) -> None:
        told = {
            _cause(report.system, change): change
            for change in report.changes
            if change.kind in ("breaking", "deprecated")
        }
        for cause, change in told.items():
            await work_items.join(
                connection,
                work_items.Exceptional(
                    queue=QUEUE,
                    cause=cause,
                    title=f"{report.system} changed: {change.part} {change.what}",
                    remedy="Adapt the connector or the mapping, then accept the new description: "
                    f"hilum contract-test {report.system} --record",
                    due_hours=24 if change.kind == "breaking" else 24 * 14,
                    subject=f"s/{report.system}",
                    at_risk_usd=Decimal(0),
                    detail=str(change),
                    owner=self._estate.queues.get(QUEUE, self._estate.systems[report.system].owner),
                ),
                now=now,
                actor=ACTOR,
            )
        over = await connection.fetch(
            "SELECT id, cause FROM work_item WHERE state = 'open' AND queue = $1 AND starts_with(cause, $2)",
            QUEUE, _cause_prefix(report.system),
        )  # fmt: skip
        for row in over:
            if row["cause"] not in told:
                await work_items.resolve(connection, row["id"], now=now, actor=ACTOR)


async def look_at(estate: Estate, system: str, subject: Subject) -> Report:
    """The system now beside its recorded description; reads the system and the estate and writes nothing."""
    try:
        now = described(system, await subject.describe())
    except (Unavailable, Rejected) as away:
        return Report(system, SYSTEM_AWAY, detail=str(away))
    except (ValueError, ValidationError) as illegible:
        # What it says of itself cannot be read: as good as a break, and the words are ours and not its content.
        change = Change(
            "breaking", system, f"describes itself in a way that cannot be read ({type(illegible).__name__})"
        )
        return Report(system, "breaking", (change,))
    try:
        recorded = read_recorded(estate.root, system)
    except DescriptionUnusable as unusable:
        return Report(system, UNRECORDED, detail=str(unusable), now=now)
    if recorded is None:
        return Report(system, UNRECORDED, detail=f"record it with `hilum contract-test {system} --record`", now=now)
    changes = compare(recorded, now)
    return Report(system, verdict(changes), tuple(changes), now=now)


async def _notices(connection: asyncpg.Connection, system: str, now: datetime) -> list[asyncpg.Record]:
    """What the vendor announced and still said within a month: an announcement that stopped was taken back."""
    found: list[asyncpg.Record] = await connection.fetch(
        "SELECT * FROM vendor_notice WHERE system = $1 AND last_at > $2 ORDER BY route",
        system, now - timedelta(days=REMEMBERED_DAYS),
    )  # fmt: skip
    return found


def _deprecation(row: asyncpg.Record) -> Change:
    said = "is announced to be switched off on " + row["sunset"] if row["sunset"] else "is deprecated"
    if row["deprecation"] and row["sunset"]:
        said += f", deprecated since {row['deprecation']}"
    return Change("deprecated", row["route"], said + (f" ({row['link']})" if row["link"] else ""), (row["route"],))


def _worst(found: str, announced: list[Change]) -> str:
    return "deprecated" if announced and found in ("same", "additive") else found


def _cause_prefix(system: str) -> str:
    return f"VendorDrift:{system}:"


def _cause(system: str, change: Change) -> str:
    """One for each system and change: the same tomorrow, another when the part changes otherwise."""
    digest = hashlib.sha256(f"{change.kind} {change.what}".encode()).hexdigest()[:8]
    return f"{_cause_prefix(system)}{change.part}:{digest}"
