"""The close as programs ask for it: what keeps a facility's period from being final, and the records behind each number."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated

from pydantic import Field

from hilum.authoring import Api, Contract, Example, Financial, Page, PageRequest, Problem
from hilum.authoring.platform import Platform
from hilum.model.where import Where
from hilum.runtime import closing
from hilum.runtime.closing import NoSuchLine, NoSuchPeriod, Period

close = Api("close")


class CloseLine(Contract, version=1, owner="finance"):
    """One number of the checklist. `blocks`: while it is above zero the period is not final."""

    name: str
    title: str
    blocks: bool
    count: int
    amount_usd: Annotated[Decimal, Financial]
    oldest: date | None = None
    remedy: str


class CloseChecklist(Contract, version=1, owner="finance"):
    """How the close of one facility's period stands at this moment. No patient is named."""

    facility: str
    period: str
    final: bool
    at: datetime
    lines: tuple[CloseLine, ...]


class CloseRecord(Contract, version=1, owner="finance"):
    """One record behind a number; `record` is its address in the platform, such as `remittance/HHP01/EFT-7`."""

    facility: str
    line: str
    day: date | None = None
    record: str
    amount_usd: Annotated[Decimal, Financial]
    detail: str


class RecordsAsked(Contract, version=1, owner="finance"):
    """Which list."""

    facility: str
    period: str = Field(description="A month: 2026-03.")
    line: str = Field(description="A line's name: journals-delayed.")


@close.get(
    "/facilities/{facility}/periods/{period}",
    resource="Dashboard",
    attributes={"facility": "facility"},
    examples=(
        Example(
            "March at St. Mary, with one journal that the ledger does not have",
            path={"facility": "ST-MARY", "period": "2026-03"},
            answer=CloseChecklist(
                facility="ST-MARY", period="2026-03", final=False, at=datetime.fromisoformat("2026-04-01T12:00:00+00:00"),
                lines=(
                    CloseLine(
                        name="journals-delayed", title="Journals that the ledger does not have", blocks=True, count=1,
                        amount_usd=Decimal("1500.00"), oldest=date(2026, 3, 30), remedy="Work the item in which the case waits.",
                    ),
                ),
            ),
        ),
    ),
)  # fmt: skip
async def close_checklist(facility: str, period: str, platform: Platform) -> CloseChecklist | None:
    """Read what keeps a facility's fiscal period from being final."""
    if facility not in platform.estate.facilities:
        return None
    async with platform.pool.acquire() as connection:
        found = await closing.checklist(connection, facility, _period(period), now=platform.now())
    return CloseChecklist(
        facility=found.facility,
        period=found.period,
        final=found.final,
        at=found.at,
        lines=tuple(
            CloseLine(
                name=line.name, title=line.title, blocks=line.blocks, count=line.count, amount_usd=line.amount_usd,
                oldest=line.oldest, remedy=line.remedy,
            )
            for line in found.lines
        ),
    )  # fmt: skip


@close.list(
    "/records",
    resource="Posting",
    attributes={"facility": "facility"},
    examples=(
        CloseRecord(
            facility="ST-MARY", line="journals-delayed", day=date(2026, 3, 30), record="remittance/HHP01/EFT-7",
            amount_usd=Decimal("1500.00"), detail="Period not open: 2026-03 and after",
        ),
    ),
)  # fmt: skip
async def close_records(query: RecordsAsked, where: Where, page: PageRequest, platform: Platform) -> Page[CloseRecord]:
    """List the records behind one number of the checklist, oldest first."""
    if not where.matches({"facility": query.facility}):
        return Page(())
    after = _after(page)
    try:
        async with platform.pool.acquire() as connection:
            rows = await closing.records(
                connection, query.line, query.facility, _period(query.period), now=platform.now(), after=after,
                limit=page.limit + 1,
            )  # fmt: skip
    except NoSuchLine as unknown:
        raise Problem(404, "no-such-line", str(unknown)) from None
    items = tuple(
        CloseRecord(
            facility=query.facility,
            line=query.line,
            day=row.day,
            record=row.record,
            amount_usd=row.amount_usd,
            detail=row.detail,
        )
        for row in rows[: page.limit]
    )
    return Page(items, str(after + page.limit) if len(rows) > page.limit else None)


def _period(name: str) -> Period:
    try:
        return Period.named(name)
    except NoSuchPeriod as unclear:
        raise Problem(400, "no-such-period", str(unclear)) from None


def _after(page: PageRequest) -> int:
    """How many records the pages before showed; the gateway has made sure that the cursor is one of ours."""
    if page.cursor is None:
        return 0
    if not page.cursor.isdecimal() or len(page.cursor) > 9:
        raise Problem(400, "bad-cursor", "the cursor belongs to another list")
    return int(page.cursor)
