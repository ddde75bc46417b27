"""A trace from anything that people have a number for, on a morning that really ran."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import asyncpg
import orjson
import pytest
from tests.sealing_parts import protection_for
from tests.tower.lakeshore_day import PATIENT, dft, lakeshore, wall

from hilum.audit.lineage import search, trace
from hilum.audit.thread import Found, Thread
from hilum.runtime.intake import Intake
from hilum.runtime.reception import Reader
from hilum.store.pool import open_pool


def asked(url: str, work: Callable[[asyncpg.Connection], Coroutine[Any, Any, Any]]) -> Any:
    async def connected() -> Any:
        connection = await asyncpg.connect(url)
        try:
            return await work(connection)
        finally:
            await connection.close()

    return asyncio.run(connected())


def found_by(url: str, key: str, *, keys: bool = True, **how: Any) -> Found:
    async def connected() -> Found:
        pool = await open_pool(url, min_size=1, max_size=3)
        protection = await protection_for(pool, lakeshore(), wall) if keys else None
        try:
            async with pool.acquire() as connection:
                return await search(connection, key, estate=lakeshore(), protection=protection, **how)
        finally:
            await pool.close()

    return asyncio.run(connected())


def thread_of(url: str, key: str, **how: Any) -> Thread:
    found = found_by(url, key, **how)
    assert len(found.threads) == 1, f"{key} leads to {found.total} threads"
    return found.threads[0]


@pytest.mark.parametrize(
    ("called", "key"),
    [
        ("usage", "U-1"),
        ("usage in other letters", "u-1"),
        ("message control id", "MSG-3"),
        ("stock movement", "MV-U-1"),
        ("journal", "2026/118"),
        ("charge", "CH-U-1"),
        ("case", "implant_usage/U-1"),
        ("case address", "c/implant_usage/U-1"),
        ("message address", "m/1/3"),
        ("second report's address", "m/1/4"),
        ("delivery", "d/implant_usage/U-1/attribute_cost"),
    ],
)
def test_whatever_the_usage_is_called_by_leads_to_its_one_thread(morning_url: str, called: str, key: str) -> None:
    assert thread_of(morning_url, key).title == "implant_usage/U-1", called


@pytest.mark.parametrize("key", ["SN-4711", "MV-U-8"])
def test_a_device_is_found_by_its_serial_and_its_movement(morning_url: str, key: str) -> None:
    assert thread_of(morning_url, key).title == "implant_usage/U-8"


def test_an_order_that_two_usages_share_leads_to_both(morning_url: str) -> None:
    found = found_by(morning_url, "PO-5001")
    assert [t.title for t in found.threads] == ["implant_usage/U-1", "implant_usage/U-8"]
    shared = found.threads[1].deliveries[1]
    assert (shared.document, shared.cases) == ("purchase order PO-5001", 2)


def test_the_thread_goes_from_source_bytes_to_documents_in_the_order_of_time(morning_url: str) -> None:
    thread = thread_of(morning_url, "U-1")
    assert thread.state == "done"
    assert [(m.part, m.system) for m in thread.messages] == [
        ("source", "ehr"),
        ("second report", "stock"),
        ("resend", "ehr"),
    ]
    assert [s.name for s in thread.steps] == [
        "known_item",
        "take_from_stock",
        "contract_price",
        "replenish",
        "attribute_cost",
        "tell_billing",
    ]
    assert all(s.outcome == "ok" for s in thread.steps)
    assert thread.documents == [
        ("stock", "stock movement MV-U-1"), ("erp", "purchase order PO-5001"), ("erp", "journal 2026/118"), ("billing", "charge CH-U-1"),
    ]  # fmt: skip
    moments = [h.at for h in thread.hops]
    assert moments == sorted(moments)
    kinds = [h.kind for h in thread.hops]
    assert kinds.index("message") < kinds.index("event") < kinds.index("step") < kinds.index("delivery")
    assert {h.actor for h in thread.hops} >= {"system:intake", "system:dispatch", "system:deliveries", "system:flows"}


def test_a_lost_answer_shows_both_attempts_and_that_the_first_was_found(morning_url: str) -> None:
    thread = thread_of(morning_url, "U-5")
    journal = next(d for d in thread.deliveries if d.operation == "post_journal")
    assert [a.outcome for a in journal.attempts] == ["unavailable", "found"]
    assert journal.found
    told = [h.detail for h in thread.hops if h.subject == f"d/{journal.key}"]
    assert "no answer" in told[0] and "an earlier effect was found" in told[1]


def test_a_case_that_waits_for_a_person_shows_where_why_and_what_to_do(morning_url: str) -> None:
    thread = thread_of(morning_url, "U-2")
    assert (thread.state, thread.work_items[0].queue, thread.work_items[0].cases) == ("waiting", "item-master", 2)
    assert "crosswalk" in thread.work_items[0].remedy
    assert any(h.title.startswith("Joined work item") for h in thread.hops)


def test_a_refused_message_is_a_thread_of_its_own(morning_url: str) -> None:
    thread = thread_of(morning_url, "m/1/11")
    assert (thread.state, thread.events, thread.case) == ("refused", (), None)
    assert "no HL7 v2 message" in thread.hops[0].detail


def test_a_refused_message_that_was_replayed_leads_to_what_the_replay_made(morning_url: str) -> None:
    async def replayed() -> None:
        pool = await open_pool(morning_url, min_size=1, max_size=2)
        protection = await protection_for(pool, lakeshore(), wall)
        intake = Intake(pool, protection, name="replay:worker-1", clock=wall, actor="system:replay")
        await intake.start()
        reception = Reader(lakeshore()).hl7("ehr", "replay", "", dft("MSG-12", "U-7", "IMP-1005", "62.00"))[0]
        reception.copy_of = "m/1/12"
        await intake.submit(reception, lambda r: r)
        await intake.stop()
        await pool.close()

    assert thread_of(morning_url, "m/1/12").state == "refused"
    asyncio.run(replayed())
    thread = thread_of(morning_url, "m/1/12")
    assert thread.events[0].payload["usage_id"] == "U-7"
    assert [(m.part, m.address, m.status) for m in thread.messages] == [
        ("replay", thread.events[0].message, "accepted"),
        ("replayed", "m/1/12", "refused"),
    ]
    assert thread_of(morning_url, "U-7") == thread


def test_a_fed_event_shows_the_receipt_and_a_refused_one_its_work_item(morning_url: str) -> None:
    fed = thread_of(morning_url, "MSG-1")
    assert (fed.state, fed.feeds[0].system, fed.feeds[0].receipt) == ("delivered", "billing", "AA 1")
    parked = thread_of(morning_url, "MSG-2")
    assert (parked.state, parked.feeds[0].error) == ("dead", "account is closed")
    assert parked.work_items[0].title == "billing refused an event of feed accounts_to_billing: account is closed"


def test_an_account_leads_to_everything_of_the_patient(morning_url: str) -> None:
    found = found_by(morning_url, PATIENT["account"], limit=10)
    assert found.kinds == ("account",)
    assert [t.title.split(" ")[0] for t in found.threads] == [
        "PatientRegistered", "implant_usage/U-1", "implant_usage/U-8", "implant_usage/U-2", "implant_usage/U-3", "implant_usage/U-4", "implant_usage/U-5", "implant_usage/U-6",
    ]  # fmt: skip


def test_an_item_is_found_through_the_crosswalk_of_its_codes(morning_url: str) -> None:
    found = found_by(morning_url, "STENT-12")
    assert found.kinds[0] == "item"
    assert [t.title for t in found.threads] == ["implant_usage/U-5"]


def test_too_many_threads_are_listed_instead_of_told(morning_url: str) -> None:
    found = found_by(morning_url, PATIENT["account"], limit=3)
    assert (found.threads, found.total, len(found.summaries)) == ([], 8, 8)
    assert {s.state for s in found.summaries} >= {"done", "waiting", "parked", "recorded"}


def test_what_nobody_knows_is_not_found(morning_url: str) -> None:
    assert found_by(morning_url, "U-4040").total == 0
    assert found_by(morning_url, "w/999").total == 0
    assert asked(morning_url, lambda c: trace(c, "m/9/9")) == []


def told(thread: Thread) -> str:
    return orjson.dumps(thread, default=str).decode()


@pytest.mark.parametrize("key", ["U-1", "U-5", "MSG-1", "MSG-2"])
def test_protected_values_are_masked_everywhere_in_the_thread(morning_url: str, key: str) -> None:
    text = told(thread_of(morning_url, key))
    for secret in (PATIENT["account"], PATIENT["mrn"], "RIVERA", "ACC-666000"):
        assert secret not in text
    assert "***" in text


def test_protected_values_are_shown_to_who_asks_for_them(morning_url: str) -> None:
    thread = thread_of(morning_url, "U-1", show_phi=True)
    assert thread.events[0].payload["account"]["value"] == PATIENT["account"]
    assert PATIENT["account"] in told(thread)


def test_without_contracts_nothing_is_taken_for_harmless(morning_url: str) -> None:
    thread = asked(morning_url, lambda c: trace(c, "U-1"))[0]
    assert PATIENT["account"] not in told(thread) and "Knee system" not in told(thread)
    assert all(d.request.startswith("withheld") for d in thread.deliveries)


def test_the_account_looked_for_is_not_repeated(morning_url: str) -> None:
    assert found_by(morning_url, PATIENT["account"]).key == "***00"
