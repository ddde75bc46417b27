"""A claims desk on a real database, and documents as flows hand them over."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
from tests.sealing_parts import sealer_for

from hilum.authoring.claims import (
    BookedAdjustment,
    BookedAnswer,
    BookedAnswers,
    BookedBatch,
    BookedClaim,
    BookedDecision,
    BookedFileAnswer,
    BookedRemittance,
)
from hilum.authoring.estate import Estate
from hilum.runtime.claims_desk import ClaimsDesk
from hilum.store.pool import open_pool

LAKESHORE = Path(__file__).parents[2] / "estates" / "lakeshore"
DAY = date(2026, 3, 2)
NOON = datetime(2026, 3, 2, 18, tzinfo=UTC)


def usd(text: str) -> Decimal:
    return Decimal(text)


@dataclass
class Clock:
    """A clock that stands until it is moved."""

    at: datetime = NOON

    def __call__(self) -> datetime:
        return self.at

    def passes(self, **by: float) -> None:
        self.at += timedelta(**by)


@dataclass
class AtDesk:
    """A desk with its database, and what is asked of both."""

    desk: ClaimsDesk
    pool: asyncpg.Pool
    clock: Clock
    keys: list[int] = field(default_factory=lambda: [0])

    async def takes(self, *documents: BookedBatch | BookedAnswers | BookedRemittance) -> None:
        for document in documents:
            self.keys[0] += 1
            key = f"k{self.keys[0]}"
            if isinstance(document, BookedBatch):
                await self.desk.submitted(document, key=key)
            elif isinstance(document, BookedAnswers):
                await self.desk.answered(document, key=key)
            else:
                await self.desk.adjudicated(document, key=key)

    async def ages(self, **by: float) -> int:
        self.clock.passes(**by)
        self.keys[0] += 1
        return await self.desk.aged(self.clock.at.date(), key=f"k{self.keys[0]}")

    async def claims(self) -> list[dict[str, Any]]:
        return [dict(row) for row in await self.pool.fetch("SELECT * FROM claim ORDER BY number")]

    async def states(self) -> list[str]:
        return sorted(row["state"] for row in await self.claims())  # Which of two was first numbered says nothing.

    async def denials(self) -> list[dict[str, Any]]:
        return [dict(row) for row in await self.pool.fetch("SELECT * FROM denial ORDER BY number")]

    async def items(self, state: str = "open") -> dict[str, dict[str, Any]]:
        rows = await self.pool.fetch(
            """SELECT w.*, (SELECT string_agg(c.subject || ' ' || c.detail, ' | ' ORDER BY c.subject)
                              FROM work_item_case c WHERE c.work_item = w.id) AS waiting
                 FROM work_item w WHERE queue = 'claims' AND w.state = $1 ORDER BY id""",
            state,
        )
        return {row["cause"]: dict(row) for row in rows}


def at_desk(database_url: str, work: Callable[[AtDesk], Awaitable[Any]]) -> Any:
    """Run work with a desk of its own."""

    async def run() -> Any:
        async with await open_pool(database_url) as pool:
            clock = Clock()
            sealer = await sealer_for(pool, clock)
            estate = Estate(LAKESHORE, "lakeshore", time_zone="America/Chicago")
            return await work(AtDesk(ClaimsDesk(pool, estate, sealer, clock=clock), pool, clock))

    return asyncio.run(run())


def sent(
    *claims: tuple[str, str], batch: str = "B1", on: date = DAY, group: str = "905", file: str = "F1", **more: Any
) -> BookedBatch:
    """A file of claims, each its number and its charge."""
    told: dict[str, Any] = {
        "facility": "ST-MARY",
        "provider": "1234567893",
        "payer": "HHP01",
        "payer_class": "commercial",
    }
    return BookedBatch(
        batch=batch, partner="HARBOR", interchange="905", group=group, number="1", file=file, on=on,
        claims=tuple(
            BookedClaim(
                line=f"c{at}", claim=claim, charge=usd(charge), service_from=date(2026, 1, 15), service_to=date(2026, 1, 15),
                **(told | more),
            )
            for at, (claim, charge) in enumerate(claims, 1)
        ),
    )  # fmt: skip


def acknowledged(
    code: str = "A", *codes: str, source: str = "999-1", on: date = DAY, group: str = "905"
) -> BookedAnswers:
    answer = BookedFileAnswer(line="t1", accepted=code in "AE", code=code, codes=codes, group=group, number="1")
    return BookedAnswers(source=source, partner="HARBOR", on=on, files=(answer,))


def answered(
    *claims: tuple[str, str], source: str = "CA-1", on: date = DAY, file: str = "F1", payer_claim: str | None = None
) -> BookedAnswers:
    """A 277CA: each claim and its status, such as A7:562:85."""
    return BookedAnswers(
        source=source, partner="HARBOR", on=on,
        claims=tuple(
            BookedAnswer(
                line=f"a{at}", claim=claim, category=status[:2], accepted=status[:2] not in ("A3", "A6", "A7", "A8"), file=file,
                codes=(status,), payer_claim=payer_claim,
            )
            for at, (claim, status) in enumerate(claims, 1)
        ),
    )  # fmt: skip


def decision(
    claim: str,
    charge: str,
    paid: str,
    *adjustments: tuple[str, str, str],
    status: str = "1",
    payer_claim: str | None = None,
) -> BookedDecision:
    return BookedDecision(
        line="c1", claim=claim, status=status, charge=usd(charge), paid=usd(paid), payer_claim=payer_claim,
        adjustments=tuple(
            BookedAdjustment(group=group, reason=reason, amount=usd(amount), remarks=("N130",)) for group, reason, amount in adjustments
        ),
    )  # fmt: skip


def remitted(
    *decisions: BookedDecision, source: str = "remittance/HHP01/EFT-1", on: date = date(2026, 3, 10), **more: Any
) -> BookedRemittance:
    told: dict[str, Any] = {"payer": "HHP01", "payer_class": "commercial", "facility": "ST-MARY"}
    return BookedRemittance(
        source=source, on=on, decisions=tuple(each.model_copy(update={"line": f"c{at}"}) for at, each in enumerate(decisions, 1)),
        **(told | more),
    )  # fmt: skip
