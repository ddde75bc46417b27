"""The claim books on a real database: facts are added once, and where claims stand does not depend on which came first."""

from __future__ import annotations

from datetime import date
from itertools import permutations
from time import perf_counter

import asyncpg
import pytest
from tests.runtime.claim_parts import AtDesk, acknowledged, answered, at_desk, decision, remitted, sent, usd

from hilum.authoring.claims import BookedOtherwise
from hilum.runtime import denials
from hilum.runtime.claim_work import reason_words
from hilum.runtime.denials import NotDecided

KNEE = ("KNEE-99", "500.00")
HIP = ("HIP-40", "300.00")


def test_a_claims_life_from_its_file_to_its_payment(database_url):
    async def work(at: AtDesk) -> list[list[str]]:
        seen = []
        for document in (
            sent(KNEE, HIP),
            acknowledged(),
            answered(("KNEE-99", "A2:20"), ("HIP-40", "A7:562:85")),
            remitted(decision("KNEE-99", "500.00", "400.00", ("CO", "45", "50.00"), ("PR", "1", "50.00"))),
        ):
            await at.takes(document)
            seen.append(await at.states())
        return seen

    assert at_desk(database_url, work) == [
        ["submitted", "submitted"], ["received", "received"], ["accepted", "rejected"], ["paid", "rejected"],
    ]  # fmt: skip


DOCUMENTS = (
    sent(KNEE),
    acknowledged(),
    answered(("KNEE-99", "A2:20"), payer_claim="HH-1"),
    remitted(decision("KNEE-99", "500.00", "0", ("CO", "197", "500.00"), status="4", payer_claim="HH-1")),
    remitted(
        decision("KNEE-99", "-500.00", "0", ("CO", "197", "-500.00"), status="22", payer_claim="HH-1"),
        decision("KNEE-99", "500.00", "450.00", ("PR", "1", "50.00"), payer_claim="HH-1"),
        source="remittance/HHP01/EFT-2", on=date(2026, 3, 20),
    ),
    sent(("KNEE-100", "520.00"), batch="B2", on=date(2026, 3, 25), group="906", file="F2", frequency="7", replaces="HH-1"),
)  # fmt: skip


@pytest.mark.parametrize("order", list(permutations(range(6)))[::48], ids=lambda order: "".join(map(str, order)))
def test_every_order_of_arrival_leads_to_the_same_books(database_url, order):
    async def work(at: AtDesk) -> object:
        await at.takes(*(DOCUMENTS[number] for number in order))
        claims = sorted(
            (row["state"], row["charge"], row["paid"], row["adjusted"], row["patient"], row["denied"], row["since"])
            for row in await at.claims()
        )
        return claims, [(row["state"], row["amount"], row["reason"]) for row in await at.denials()]

    claims, denials = at_desk(database_url, work)
    assert claims == [
        ("replaced", usd("500.00"), usd("450.00"), 0, usd("50.00"), 0, date(2026, 3, 25)),
        ("submitted", usd("520.00"), 0, 0, 0, 0, date(2026, 3, 25)),
    ]
    assert denials == [("reversed", usd("500.00"), "197")]


def test_a_document_that_comes_again_adds_nothing_and_one_that_says_something_else_is_refused(database_url):
    async def work(at: AtDesk) -> tuple[int, str]:
        await at.takes(*DOCUMENTS, *DOCUMENTS)
        with pytest.raises(BookedOtherwise) as refused:
            await at.takes(sent(KNEE, HIP))
        with pytest.raises(BookedOtherwise):
            await at.takes(answered(("KNEE-99", "A7:562:85")))
        return await at.pool.fetchval("SELECT count(*) FROM claim_fact"), refused.value.detail

    facts, detail = at_desk(database_url, work)
    assert facts == 6 and detail == "B1 was booked before and said something else"


def test_facts_stay_as_they_were_whoever_asks(database_url):
    async def work(at: AtDesk) -> None:
        await at.takes(*DOCUMENTS)
        for table in ("claim_fact", "denied_amount", "claim_file_answer"):
            with pytest.raises(asyncpg.RestrictViolationError):
                await at.pool.execute(f"DELETE FROM {table}")

    at_desk(database_url, work)


def test_no_number_of_a_claim_stands_in_clear_anywhere(database_url):
    async def work(at: AtDesk) -> str:
        await at.takes(*DOCUMENTS)
        await at.ages(days=400)
        tables = ("claim", "claim_fact", "claim_batch", "denial", "denied_amount", "work_item", "work_item_case")
        rows = [await at.pool.fetchval(f"SELECT string_agg(t::text, ' ') FROM {table} t") for table in tables]
        rows.append(await at.pool.fetchval("SELECT string_agg(convert_from(entry, 'UTF8'), ' ') FROM audit_entry"))
        return " ".join(row for row in rows if row is not None)

    everything = at_desk(database_url, work)
    assert "KNEE-99" not in everything and "HH-1" not in everything.replace("HHP01", "")


def test_a_missing_acknowledgement_is_one_item_for_the_file_and_closes_when_it_comes(database_url):
    async def work(at: AtDesk) -> tuple[object, ...]:
        await at.takes(sent(KNEE, HIP))
        early = await at.ages(hours=20)
        late, items = await at.ages(hours=5), await at.items()
        await at.takes(acknowledged())
        return early, late, items, await at.items(), await at.items("resolved")

    early, late, items, after, resolved = at_desk(database_url, work)
    assert (early, late) == (0, 1)
    item = items["ClaimFileUnacknowledged:B1"]
    assert item["title"] == "No acknowledgement (999) of claims file B1 in 24 hours"
    assert (item["at_risk_usd"], item["waiting"]) == (usd("800.00"), "claims/ST-MARY 2 claims")
    assert after == {} and list(resolved) == ["ClaimFileUnacknowledged:B1"]


def test_claims_that_nobody_answers_or_decides_wait_payer_by_payer(database_url):
    async def work(at: AtDesk) -> list[list[str]]:
        await at.takes(sent(KNEE, HIP), acknowledged())
        seen = []
        await at.ages(days=4)
        seen.append(list(await at.items()))
        await at.takes(answered(("KNEE-99", "A2:20"), ("HIP-40", "A2:20"), on=date(2026, 3, 5)))
        seen.append(list(await at.items()))
        await at.ages(days=31)
        seen.append([f"{cause} {item['waiting']}" for cause, item in (await at.items()).items()])
        await at.takes(remitted(decision("KNEE-99", "500.00", "500.00"), on=date(2026, 4, 6)))
        seen.append([f"{cause} {item['waiting']} {item['at_risk_usd']}" for cause, item in (await at.items()).items()])
        return seen

    assert at_desk(database_url, work) == [
        ["ClaimsUnanswered:HHP01"],
        [],
        ["ClaimsUndecided:HHP01 claims/ST-MARY 2 claims"],
        ["ClaimsUndecided:HHP01 claims/ST-MARY 1 claim 300.00"],
    ]


def test_claims_that_came_back_wait_by_reason_in_words_until_they_are_sent_again(database_url):
    async def work(at: AtDesk) -> tuple[object, ...]:
        await at.takes(sent(KNEE, HIP), acknowledged(), answered(("KNEE-99", "A7:562:85"), ("HIP-40", "A7:562:85")))
        before = await at.items()
        await at.takes(sent(KNEE, HIP, batch="B2", group="906", file="F2", on=date(2026, 3, 4)))
        return before, await at.items()

    before, after = at_desk(database_url, work)
    item = before["ClaimsRejected:HHP01/A7:562:85"]
    assert item["title"] == (
        "Claims to HHP01 came back: rejected for invalid information (A7): the entity's NPI is wrong (562), billing provider (85)"
    )
    assert (item["at_risk_usd"], item["waiting"]) == (usd("800.00"), "claims/ST-MARY 2 claims")
    assert after == {}


def test_a_file_that_came_back_whole_is_one_item_with_its_errors_in_words(database_url):
    async def work(at: AtDesk) -> dict[str, dict[str, object]]:
        await at.takes(sent(KNEE, HIP), acknowledged("R", "IK5 5", "NM1 17: 1", "NM1 17 element 9: 7"))
        return await at.items()

    [item] = at_desk(database_url, work).values()
    assert item["cause"] == "ClaimFileRejected:B1"
    assert item["waiting"] == (
        "claims/ST-MARY 2 claims; one or more segments have errors (5); NM1, segment 17: the segment is not known (1); "
        "NM109, segment 17: the code is not of its list (7)"
    )


def test_what_somebody_skipped_is_not_asked_again_until_more_comes(database_url):
    async def work(at: AtDesk) -> list[list[str]]:
        await at.takes(sent(KNEE), acknowledged(), answered(("KNEE-99", "A7:562:85")))
        await at.pool.execute(
            "UPDATE work_item SET state = 'skipped', closed_at = now(), closed_by = 'person:ana', reason = 'x'"
        )
        await at.ages(hours=1)
        first = list(await at.items())
        await at.takes(
            sent(HIP, batch="B2", group="906", file="F2"), answered(("HIP-40", "A7:562:85"), source="CA-2", file="F2")
        )
        return [first, list(await at.items())]

    assert at_desk(database_url, work) == [[], ["ClaimsRejected:HHP01/A7:562:85"]]


def test_payments_for_claims_that_nobody_sent_and_reversals_alone_wait_after_some_days(database_url):
    async def work(at: AtDesk) -> tuple[object, ...]:
        await at.takes(
            remitted(
                decision("GHOST-1", "200.00", "150.00", ("CO", "45", "50.00")),
                decision("GHOST-2", "-90.00", "-90.00", status="22"),
                on=date(2026, 3, 2),
            )
        )
        early = await at.ages(days=10)
        late = await at.ages(days=1)
        items = {cause: item["at_risk_usd"] for cause, item in (await at.items()).items()}
        await at.takes(sent(("GHOST-1", "200.00"), ("GHOST-2", "90.00"), on=date(2026, 2, 20)))
        return early, late, items, list(await at.items()), await at.states()

    early, late, items, after, states = at_desk(database_url, work)
    assert (early, late) == (0, 2)
    assert items == {"ClaimsUnknown:HHP01": usd("150.00"), "ClaimReversalsAlone:HHP01": usd("90.00")}
    assert after == ["ClaimReversalsAlone:HHP01"] and states == ["paid", "reversed"]


def test_a_claim_that_is_paid_to_another_facility_is_shown_and_posts_where_the_payee_is(database_url):
    async def work(at: AtDesk) -> dict[str, dict[str, object]]:
        await at.takes(sent(KNEE), remitted(decision("KNEE-99", "500.00", "500.00"), facility="HARBOR-VIEW"))
        return await at.items()

    [item] = at_desk(database_url, work).values()
    assert item["title"] == "Claims of ST-MARY are paid to HARBOR-VIEW" and item["at_risk_usd"] == usd("500.00")


def test_denials_have_their_reason_remarks_due_day_and_cause(database_url):
    async def work(at: AtDesk) -> list[dict[str, object]]:
        await at.takes(
            sent(KNEE),
            remitted(
                decision(
                    "KNEE-99",
                    "500.00",
                    "100.00",
                    ("CO", "45", "50.00"),
                    ("CO", "197", "300.00"),
                    ("CO", "197", "50.00"),
                )
            ),
        )
        return await at.denials()

    [denial] = at_desk(database_url, work)
    assert (denial["group_code"], denial["reason"], denial["remarks"]) == ("CO", "197", ["N130"])
    assert (denial["amount"], denial["cause"], denial["state"]) == (usd("350.00"), "Authorisation is missing", "open")
    assert denial["due_on"] == date(2026, 7, 14)  # 180 days after the service.


def test_ten_thousand_claims_are_booked_in_seconds(database_url):
    many = [(f"SYN-{number}", "100.00") for number in range(10_000)]

    async def work(at: AtDesk) -> tuple[float, list[str]]:
        await at.takes(sent(*many), acknowledged())
        remittance = remitted(*(decision(claim, charge, "60.00", ("CO", "197", "40.00")) for claim, charge in many))
        begun = perf_counter()
        await at.takes(remittance)
        return perf_counter() - begun, await at.pool.fetch(
            "SELECT state, count(*) AS n, sum(denied) AS usd FROM claim GROUP BY state"
        )

    seconds, [row] = at_desk(database_url, work)
    assert (row["state"], row["n"], row["usd"]) == ("partly_denied", 10_000, usd("400000.00"))
    print(f"adjudicated in {seconds:.2f} s")  # Told with -s: machines differ, so nothing is asserted of it.


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("A3:116", "returned as unprocessable (A3): the claim was sent to the wrong payer (116)"),
        ("A8", "rejected for errors between data elements (A8)"),
        ("P3:99999:ZZ", "pending: the provider was asked for information (P3): code 99999 (99999), code ZZ (ZZ)"),
        ("AK9 1", "the functional group is not supported (1)"),
        ("IK5 6", "the transaction's identifier is missing or wrong (6)"),
        ("CLM 22: 8", "CLM, segment 22: the segment has errors in its elements (8)"),
    ],
)
def test_reasons_are_told_in_words(code, words):
    assert reason_words(code) == words


def test_a_write_off_closes_the_claim_and_is_written_down_once(database_url):
    async def work(at: AtDesk) -> tuple[object, ...]:
        await at.takes(sent(KNEE), remitted(decision("KNEE-99", "500.00", "0", ("CO", "197", "500.00"), status="4")))
        [denial] = await at.denials()
        async with at.pool.acquire() as connection, connection.transaction():
            made = await denials.decide(
                connection, denial["number"], "write_off", reason="no appeal", actor="person:rhea", now=at.clock()
            )
            with pytest.raises(NotDecided, match="write off asked"):
                await denials.decide(
                    connection, denial["number"], "resubmit", reason="x", actor="person:ana", now=at.clock()
                )
        waiting = await at.desk.denial(denial["number"])
        assert waiting is not None
        for key in ("k1", "k2"):
            await at.desk.written_off(denial["number"], made.reference, True, key=key)
        kinds = await at.pool.fetch("SELECT kind, actor FROM denial_decision ORDER BY decision")
        return (
            (waiting.state, waiting.limit_usd),
            [tuple(row) for row in kinds],
            await at.states(),
            (await at.denials())[0]["state"],
        )

    assert at_desk(database_url, work) == (
        ("write_off_asked", usd("250.00")),
        [("write_off", "person:rhea"), ("written_off", "system:claims")],
        ["closed"],
        "written_off",
    )


def test_what_is_denied_anew_after_a_write_off_is_open_and_the_write_off_is_shown(database_url):
    async def work(at: AtDesk) -> tuple[object, ...]:
        await at.takes(sent(KNEE), remitted(decision("KNEE-99", "500.00", "0", ("CO", "197", "500.00"), status="4")))
        [denial] = await at.denials()
        async with at.pool.acquire() as connection, connection.transaction():
            made = await denials.decide(
                connection, denial["number"], "write_off", reason="no appeal", actor="person:rhea", now=at.clock()
            )
        await at.desk.written_off(denial["number"], made.reference, True, key="k1")
        again = decision("KNEE-99", "500.00", "0", ("CO", "50", "500.00"), status="4")
        await at.takes(remitted(again, source="remittance/HHP01/EFT-2", on=date(2026, 3, 20)))
        return await at.states(), [(row["reason"], row["state"]) for row in await at.denials()], list(await at.items())

    assert at_desk(database_url, work) == (
        ["denied"], [("197", "overturned"), ("50", "open")], ["ClaimWriteOffOverturned:HHP01"],
    )  # fmt: skip
