"""Charges become lines of the books: each once, whoever tells it how often, and what cannot be placed waits for its cause."""

from __future__ import annotations

import asyncio

import pytest
from tests.runtime.charge_parts import Office, line, play, usd

from hilum.testing.faults import Injected, failing


def test_a_charge_and_its_credit_stand_in_the_books_each_once(database_url: str) -> None:
    async def story(o: Office) -> None:
        # A credit carries the number of its charge, as most senders have it, and comes first.
        assert await o.charges(line("C-1", "100.00", kind="CR")) == "accepted"
        assert await o.charges(line("C-1", "100.00"), line("C-2", "0.00", code="PH-2500")) == "accepted"
        assert await o.charges(line("C-1", "100.00")) == "duplicate"
        await o.collects()
        rows = await o.pool.fetch("SELECT charge, amount, takes_back, account FROM charge ORDER BY charge")
        assert [tuple(row)[:3] for row in rows] == [
            ("ehr/C-1", usd("100.00"), ""), ("ehr/C-1/credit", usd("-100.00"), "ehr/C-1"), ("ehr/C-2", usd("0.00"), ""),
        ]  # fmt: skip
        assert {row["account"][0] for row in rows} == {"~"}, "accounts stand as tokens"
        assert set((await o.states()).values()) == {"open"}
        places = await o.pool.fetch("SELECT place_class, cost_centre FROM charge_state WHERE charge = 'ehr/C-2'")
        assert [tuple(place) for place in places] == [("pharmacy", "CC-ORTHO")]

    play(database_url, story)


def test_an_implants_price_is_collected_from_its_usage_and_from_nothing_else(database_url: str) -> None:
    async def story(o: Office) -> None:
        await o.scans("U-1", "6200.00")
        await o.charges(line("U-1", "6200.00", code="IMP-1001"), line("C-1", "50.00"))
        await o.scans("U-2", None)
        await o.collects()
        rows = await o.pool.fetch("SELECT charge, charge_class, amount FROM charge ORDER BY charge")
        assert [tuple(row) for row in rows] == [
            ("ehr/C-1", "", usd("50.00")), ("usage/U-1", "implant", usd("6200.00")),
        ]  # fmt: skip

    play(database_url, story)


def test_what_cannot_be_placed_is_one_work_item_for_each_cause_and_goes_on_when_it_is_released(
    database_url: str,
) -> None:
    async def story(o: Office) -> None:
        await o.charges(
            *(line(f"C-{n}", "10.00", code="NEW-1") for n in range(30)), line("C-99", "5.00", kind="CR", code="NEW-1")
        )
        await o.charges(line("C-H", "7.00", code="NEW-1"), facility="HARBOR-VIEW")
        await o.charges(
            line("C-100", "1.00", department="ROOF"), line("C-101", "2.00", payer="WHO"), line("C-102", "3.00")
        )
        await o.collects()
        assert await o.items() == [
            ("finance-master", "UnknownChargeCode:NEW-1", usd("312.00"), ["1 charges at HARBOR-VIEW wait", "31 charges at ST-MARY wait"]),
            ("finance-master", "UnknownDepartment:ROOF at ST-MARY", usd("1.00"), ["1 charges at ST-MARY wait"]),
            ("finance-master", "UnknownPayer:WHO", usd("2.00"), ["1 charges at ST-MARY wait"]),
        ]  # fmt: skip
        assert await o.pool.fetchval("SELECT count(*) FROM work_item_case") == 4
        await o.releases("UnknownChargeCode:NEW-1")
        await o.collects()
        assert len(await o.items()) == 3, "nothing was mapped, so it waits again"
        await o.maps("charge_code_to_class", "NEW-1", "supply")
        await o.releases("UnknownChargeCode:NEW-1")
        await o.collects()
        assert [cause for _, cause, _, _ in await o.items()] == [
            "UnknownDepartment:ROOF at ST-MARY",
            "UnknownPayer:WHO",
        ]
        states = list((await o.states()).values())
        assert (states.count("open"), states.count("held")) == (33, 2)
        await o.releases("UnknownPayer:WHO", skip=True)
        await o.collects()
        assert (await o.states())["ehr/C-101"] == "skipped"

    play(database_url, story)


def test_more_of_a_cause_joins_its_item_and_is_counted_once(database_url: str) -> None:
    async def story(o: Office) -> None:
        for number in range(3):
            await o.charges(line(f"C-{number}", "10.00", code="NEW-1"))
            await o.collects()
        await o.pool.execute("UPDATE consumer_cursor SET seq = 0")
        await o.collects()
        assert await o.items() == [
            ("finance-master", "UnknownChargeCode:NEW-1", usd("30.00"), ["3 charges at ST-MARY wait"])
        ]  # fmt: skip

    play(database_url, story)


def test_the_dollars_of_an_implant_are_its_own_cases_and_counted_once(database_url: str) -> None:
    async def story(o: Office) -> None:
        await o.scans("U-1", "6200.00", department="ROOF")
        await o.charges(line("C-1", "5.00", department="ROOF"))
        await o.collects()
        assert await o.items() == [
            ("finance-master", "UnknownDepartment:ROOF at ST-MARY", usd("5.00"), ["2 charges at ST-MARY wait"])
        ]
        await o.maps("department_to_cost_centre", "ROOF", "CC-GEN")
        await o.releases("UnknownDepartment:ROOF at ST-MARY")
        await o.collects()
        assert set((await o.states()).values()) == {"open"}

    play(database_url, story)


def test_a_class_without_a_posting_rule_waits_before_the_night(database_url: str) -> None:
    async def story(o: Office) -> None:
        await o.maps("charge_code_to_class", "NEW-1", "moon-dust")
        await o.charges(line("C-1", "10.00", code="NEW-1"))
        await o.collects()
        [(queue, cause, at_risk, _)] = await o.items()
        assert (queue, at_risk) == ("finance-master", usd("10.00")) and "moon-dust" in cause

    play(database_url, story)


def test_a_crash_before_the_commit_repeats_nothing_and_loses_nothing(database_url: str) -> None:
    async def story(o: Office) -> None:
        await o.charges(*(line(f"C-{n}", "1.00") for n in range(50)))
        with failing("collect.before_commit"), pytest.raises(Injected):
            await o.collects()
        assert await o.states() == {}
        await o.collects()
        await o.pool.execute("UPDATE consumer_cursor SET seq = 0")
        await o.collects()
        assert await o.pool.fetchval("SELECT sum(amount) FROM charge") == 50

    play(database_url, story)


def test_racing_collectors_collect_each_charge_once(database_url: str) -> None:
    async def story(o: Office) -> None:
        await o.charges(*(line(f"C-{n}", "1.00") for n in range(200)))
        await asyncio.gather(*(o.collects() for _ in range(5)))
        assert len(await o.states()) == 200
        noted = (
            "SELECT count(*) FROM audit_entry WHERE position('charges.collected' in convert_from(entry, 'UTF8')) > 0"
        )
        assert await o.pool.fetchval(noted) == 1

    play(database_url, story)


def test_an_event_that_cannot_be_read_waits_and_is_collected_when_it_can(database_url: str) -> None:
    async def story(o: Office) -> None:
        await o.charges(line("C-1", "1.00"), line("C-2", "2.00"))
        whole = await o.pool.fetchval("SELECT payload FROM event WHERE seq = 1")
        await o.pool.execute("UPDATE event SET payload = '{}' WHERE seq = 1")
        await o.collects()
        assert await o.states() == {"ehr/C-2": "open"}
        [(queue, cause, _, _)] = await o.items()
        assert (queue, cause) == ("integration", "UnreadableCharge:charges/ValidationError")
        await o.pool.execute("UPDATE event SET payload = $1 WHERE seq = 1", whole)
        await o.releases(cause)
        await o.collects()
        assert await o.states() == {"ehr/C-1": "open", "ehr/C-2": "open"} and await o.items() == []

    play(database_url, story)


@pytest.mark.parametrize("change", ["UPDATE charge SET amount = 1", "DELETE FROM charge", "TRUNCATE charge CASCADE"])
def test_charges_are_not_rewritten_by_whatever_program(database_url: str, change: str) -> None:
    async def story(o: Office) -> None:
        await o.charges(line("C-1", "1.00"))
        await o.collects()
        with pytest.raises(Exception, match="record its credit"):
            await o.pool.execute(change)

    play(database_url, story)
