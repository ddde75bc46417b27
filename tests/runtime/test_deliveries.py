"""Deliveries: whatever happens between asking and hearing, the system does it once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from tests.runtime.platform_parts import POLICY, journal_command, parts

from hilum.authoring.failures import Rejected, Unavailable
from hilum.model import CostCentre, Journal, JournalLine
from hilum.runtime.deliveries import DeliveryDead
from hilum.runtime.recovery import Recovery
from hilum.testing.faults import Injected, failing

JOURNAL = Journal(
    date=date(2026, 3, 2),
    description="Implant usage U-1",
    lines=(
        JournalLine(account="5100", debit=Decimal("4810.00"), cost_centre=CostCentre("CC-ORTHO")),
        JournalLine(account="1300", credit=Decimal("4810.00")),
    ),
)


def run(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(story())


def test_a_command_is_delivered_once_and_its_answer_is_kept(database_url: str) -> None:
    async def story() -> None:
        async with parts(database_url) as p:
            first = await p.deliveries().command(journal_command(JOURNAL))
            again = await p.deliveries("worker-2").command(journal_command(JOURNAL))
            assert (first.number, again.number) == ("J-1", "J-1")
            assert p.ledger.booked == ["implant_usage/U-1/attribute_cost"]

    run(story)


def test_a_lost_answer_is_searched_for_before_the_command_is_sent_again(database_url: str) -> None:
    async def story() -> None:
        async with parts(database_url, "answer lost") as p:
            found = await p.deliveries().command(journal_command(JOURNAL))
            assert found.number == "J-1"
            assert len(p.ledger.booked) == 1
            assert p.ledger.searched == ["implant_usage/U-1/attribute_cost"]
            assert await p.pool.fetchval("SELECT found FROM delivery") is True

    run(story)


@pytest.mark.parametrize(
    "place", ["delivery.begun:post_journal", "delivery.sent:post_journal", "delivery.done:post_journal"]
)
def test_a_runner_that_dies_inside_a_delivery_is_followed_by_one_that_books_no_second_time(
    database_url: str, place: str
) -> None:
    async def story() -> None:
        async with parts(database_url) as p:
            with failing(place), pytest.raises(Injected):
                await p.deliveries().command(journal_command(JOURNAL))
            p.clock.passes(minutes=5)  # The dead runner's lease ends.
            result = await p.deliveries("worker-2").command(journal_command(JOURNAL))
            assert result.number == "J-1"
            assert len(p.ledger.booked) == 1

    run(story)


def test_two_runners_with_one_key_make_one_document(database_url: str) -> None:
    async def story() -> None:
        async with parts(database_url) as p:
            results = await asyncio.gather(
                *(
                    p.deliveries(f"worker-{n}").command(journal_command(JOURNAL, case=f"implant_usage/U-{n}"))
                    for n in range(5)
                )
            )
            assert {r.number for r in results} == {"J-1"}
            assert len(p.ledger.booked) == 1
            assert await p.pool.fetchval("SELECT count(*) FROM delivery_case") == 5

    run(story)


def test_a_refusal_is_for_a_person_and_leaves_the_circuit_closed(database_url: str) -> None:
    async def story() -> None:
        async with parts(database_url, "no") as p:
            with pytest.raises(Rejected, match="period closed"):
                await p.deliveries().command(journal_command(JOURNAL))
            assert await p.pool.fetchval("SELECT state FROM delivery") == "rejected"
            assert (await p.breakers.of("erp")).state == "closed"

    run(story)


def test_no_answer_in_time_is_doubt_not_failure(database_url: str) -> None:
    async def story() -> None:
        async with parts(database_url, "slow") as p:
            assert (await p.deliveries().command(journal_command(JOURNAL))).number == "J-1"
            outcomes = await p.pool.fetch("SELECT outcome FROM delivery_attempt ORDER BY attempt")
            assert [r["outcome"] for r in outcomes] == ["unavailable", "done"]

    run(story)


def test_the_circuit_opens_and_later_deliveries_do_not_even_knock(database_url: str) -> None:
    async def story() -> None:
        async with parts(database_url, *["away"] * 20) as p:
            for number in range(2):
                with pytest.raises(Unavailable):
                    await p.deliveries().command(journal_command(JOURNAL, key=f"K-{number}"))
            knocks = len(p.ledger.plan)
            with pytest.raises(Unavailable, match="circuit open"):
                await p.deliveries().command(journal_command(JOURNAL, key="K-9"))
            assert len(p.ledger.plan) == knocks
            assert await p.pool.fetchval("SELECT state FROM delivery WHERE key = 'K-9'") == "pending"

    run(story)


def test_an_open_circuit_is_probed_when_its_time_has_come_and_closes_when_the_system_answers(database_url: str) -> None:
    async def story() -> None:
        async with parts(database_url, *["away"] * 6) as p:
            recovery = Recovery(p.pool, p.connections, p.breakers, clock=p.clock)
            for number in range(2):
                with pytest.raises(Unavailable):
                    await p.deliveries().command(journal_command(JOURNAL, key=f"K-{number}"))
            await recovery.run_once()
            assert (await p.breakers.refresh())["erp"].state == "open"
            p.clock.passes(seconds=15)
            await recovery.run_once()
            assert (await p.breakers.refresh())["erp"].state == "open", "the probe found the system still away"
            p.ledger.plan.clear()
            p.clock.passes(seconds=60)
            await recovery.run_once()
            assert (await p.breakers.refresh())["erp"].state == "closed"
            assert (await p.deliveries().command(journal_command(JOURNAL, key="K-0"))).number == "J-1"

    run(story)


def test_a_held_system_gets_nothing_until_a_person_resumes_it(database_url: str) -> None:
    async def story() -> None:
        async with parts(database_url) as p:
            await p.breakers.hold("erp", True, actor="person:operator")
            with pytest.raises(Unavailable, match="held by a person"):
                await p.deliveries().command(journal_command(JOURNAL))
            await p.breakers.hold("erp", False, actor="person:operator")
            assert (await p.deliveries().command(journal_command(JOURNAL))).number == "J-1"
            entries = await p.pool.fetch(
                "SELECT convert_from(entry, 'UTF8') AS e FROM audit_entry WHERE subject = 's/erp' ORDER BY seq"
            )
            assert ["system.held" in entries[0]["e"], "system.resumed" in entries[1]["e"]] == [True, True]

    run(story)


def test_a_delivery_that_no_system_took_for_too_long_is_dead_and_a_person_hears_of_it(database_url: str) -> None:
    async def story() -> None:
        policy = POLICY.model_copy(update={"breaker_failures": 100, "dead_after_hours": 1})
        async with parts(database_url, *["away"] * 20, policy=policy) as p:
            with pytest.raises(Unavailable):
                await p.deliveries().command(journal_command(JOURNAL))
            p.clock.passes(hours=2)
            with pytest.raises(DeliveryDead):
                await p.deliveries().command(journal_command(JOURNAL))
            assert await p.pool.fetchval("SELECT state FROM delivery") == "dead"

    run(story)


def test_a_delivery_behind_a_circuit_that_never_closes_is_a_persons_in_the_end(database_url: str) -> None:
    async def story() -> None:
        policy = POLICY.model_copy(update={"breaker_failures": 1, "breaker_open_seconds": 10**6, "dead_after_hours": 1})
        async with parts(database_url, *["away"] * 20, policy=policy) as p:
            with pytest.raises(Unavailable):
                await p.deliveries().command(journal_command(JOURNAL))
            p.clock.passes(hours=2)
            with pytest.raises(DeliveryDead):
                await p.deliveries().command(journal_command(JOURNAL))
            assert await p.pool.fetchval("SELECT state FROM delivery") == "dead"

    run(story)


def test_what_a_dead_delivery_did_after_all_is_found_by_whoever_asks_for_it_next(database_url: str) -> None:
    async def story() -> None:
        policy = POLICY.model_copy(update={"attempts": 1, "dead_after_hours": 1})
        async with parts(database_url, "away", "answer lost", policy=policy) as p:
            with pytest.raises(Unavailable):
                await p.deliveries().command(journal_command(JOURNAL))
            p.clock.passes(hours=2)
            with pytest.raises(DeliveryDead):
                await p.deliveries().command(journal_command(JOURNAL))
            other = journal_command(JOURNAL, case="implant_usage/U-2")
            assert (await p.deliveries().command(other)).number == "J-1"
            assert len(p.ledger.booked) == 1

    run(story)


def test_nothing_is_sent_under_a_lease_that_ended_while_it_waited_for_room(database_url: str) -> None:
    async def story() -> None:
        async with parts(database_url) as p:
            room = p.connections.to("erp").room
            while not room.locked():
                await room.acquire()
            first = asyncio.ensure_future(p.deliveries("worker-1").command(journal_command(JOURNAL)))
            while await p.pool.fetchval("SELECT count(*) FROM delivery WHERE state = 'attempting'") == 0:  # noqa: ASYNC110 - Only the database knows.
                await asyncio.sleep(0.01)
            p.clock.passes(hours=1)
            second = asyncio.ensure_future(p.deliveries("worker-2").command(journal_command(JOURNAL)))
            while await p.pool.fetchval("SELECT owner FROM delivery") != "worker-2":  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            for _ in range(p.connections.to("erp").policy.concurrency):
                room.release()
            assert {(await first).number, (await second).number} == {"J-1"}
            assert len(p.ledger.booked) == 1

    run(story)


def test_a_defect_in_a_connector_leaves_doubt_behind_not_a_second_booking(database_url: str) -> None:
    async def story() -> None:
        async with parts(database_url, "bug") as p:
            with pytest.raises(ZeroDivisionError):
                await p.deliveries().command(journal_command(JOURNAL))
            assert await p.pool.fetchval("SELECT state FROM delivery") == "in_doubt"
            assert (await p.deliveries().command(journal_command(JOURNAL))).number == "J-1"
            assert len(p.ledger.booked) == 1

    run(story)
