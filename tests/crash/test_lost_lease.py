"""Two runners at one delivery: the one that was thought dead takes the other's result, and never calls it a defect."""

from __future__ import annotations

import asyncio
from datetime import date
from decimal import Decimal
from typing import Any

from tests.runtime.platform_parts import journal_command, parts

from hilum.model import CostCentre, DocumentRef, Journal, JournalLine

JOURNAL = Journal(
    date=date(2026, 3, 2),
    description="Implant usage U-1",
    lines=(
        JournalLine(account="5100", debit=Decimal("4810.00"), cost_centre=CostCentre("CC-ORTHO")),
        JournalLine(account="1300", credit=Decimal("4810.00")),
    ),
)


def test_a_runner_whose_delivery_was_taken_over_meanwhile_takes_the_other_s_result(database_url: str) -> None:
    async def story() -> None:
        async with parts(database_url) as p:
            begun: list[str] = []
            booking = p.ledger.post_journal

            async def post_journal(journal: Journal, **given: Any) -> DocumentRef:
                result = await booking(journal, **given)
                if not begun:
                    # Before the answer arrives a peer takes over: it finds what we booked, and finishes.
                    begun.append("here")
                    await p.pool.execute("UPDATE delivery SET leased_until = NULL")
                    await p.deliveries("worker-2").command(journal_command(JOURNAL))
                return result

            p.ledger.post_journal = post_journal  # type: ignore[method-assign]
            result = await p.deliveries("worker-1").command(journal_command(JOURNAL))
            assert result.number == "J-1"
            assert p.ledger.booked == ["implant_usage/U-1/attribute_cost"]
            attempts = await p.pool.fetch("SELECT executor, outcome FROM delivery_attempt ORDER BY attempt")
            # What became of the first attempt is the second's to say: its own end was not believed.
            assert [(a["executor"], a["outcome"]) for a in attempts] == [("worker-1", None), ("worker-2", "found")]

    asyncio.run(story())


def test_a_second_case_asks_for_a_shared_effect_in_the_words_of_the_first(database_url: str) -> None:
    """Its own words may differ: it counted the shelf later. Two different requests under one key would be one too many."""

    async def story() -> None:
        asked: list[Journal] = []
        told = asyncio.Event()
        async with parts(database_url, "answer lost") as p:
            booking, finding = p.ledger.post_journal, p.ledger.find_post_journal

            async def post_journal(journal: Journal, **given: Any) -> DocumentRef:
                asked.append(journal)
                told.set()
                return await booking(journal, **given)

            async def find_post_journal(journal: Journal, **given: Any) -> DocumentRef | None:
                asked.append(journal)
                return await finding(journal, **given)

            p.ledger.post_journal = post_journal  # type: ignore[method-assign]
            p.ledger.find_post_journal = find_post_journal  # type: ignore[method-assign]
            later = JOURNAL.model_copy(update={"description": "Implant usage U-2"})
            first = journal_command(JOURNAL, key="shared", case="implant_usage/U-1")
            second = journal_command(later, key="shared", case="implant_usage/U-2")
            attempt = asyncio.create_task(p.deliveries("worker-1").command(first))
            await told.wait()
            attempt.cancel()
            await asyncio.gather(attempt, return_exceptions=True)
            await p.pool.execute("UPDATE delivery SET leased_until = NULL")
            assert (await p.deliveries("worker-2").command(second)).number == "J-1"
            assert len(asked) > 1
            assert {journal.description for journal in asked} == {"Implant usage U-1"}

    asyncio.run(story())
