"""Lakeshore's process and experience APIs over HTTP, with its own policies: who may do what, and what comes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.connectors.test_payer_x12 import ANNA, OTTO
from tests.connectors.test_payer_x12 import TOKEN as PAYER_TOKEN
from tests.connectors.test_payer_x12 import connector as payer_at
from tests.gateway.lakeshore_door import lakeshore, lakeshore_door
from tests.gateway.supply_door import SupplyDoor
from tests.sealing_parts import protection_for

from hilum.runtime.dispatch import Dispatcher
from hilum.testing.neighbours.launch import simulated_payer
from hilum.testing.neighbours.process import Neighbour

Story = Callable[[SupplyDoor], Coroutine[Any, Any, None]]
DIGEST = "sha256:" + "ab" * 32


@pytest.fixture(scope="module")
def payer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Neighbour]:
    directory = tmp_path_factory.mktemp("payer")
    token = directory / "token"
    token.write_text(PAYER_TOKEN)
    with simulated_payer(directory, token_file=token, members=[ANNA, OTTO]) as neighbour:
        yield neighbour


@pytest.fixture
def tell(database_url: str, tmp_path: Path, payer: Neighbour) -> Callable[[Story], None]:
    payer.fault("ok")

    def telling(story: Story) -> None:
        async def told() -> None:
            plan = payer_at(f"{payer.url}/270", timeout_seconds=1.0)
            async with lakeshore_door(database_url, tmp_path / "w.json", connectors={"payer": plan}) as door:
                await story(door)
            await plan.close()

        asyncio.run(told())

    return telling


async def dispatch(door: SupplyDoor) -> None:
    """Open the cases of what was taken in, as a worker would."""
    estate = lakeshore()
    protection = await protection_for(door.pool, estate, door.clock)
    await Dispatcher(door.pool, estate, protection, clock=door.clock).run_once()


# --- eligibility


def asked(**changes: Any) -> dict[str, Any]:
    return {"facility": "ST-MARY", "payer": "HHP01", "member_number": "W-1001", "on": "2026-11-21", **changes}


def test_a_revenue_analyst_learns_who_is_covered_but_not_what_the_plan_says_without_a_purpose(tell) -> None:
    async def story(door: SupplyDoor) -> None:
        answer = await door.ask("rita", "POST", "/eligibility/v1/inquiries", body=asked())
        told = answer.json()
        assert (answer.status_code, told["status"], told["facility"]) == (200, "active", "ST-MARY")
        assert told["benefits"] is None
        assert told["plan"] in (None, "***LD")

    tell(story)


def test_the_same_key_asks_the_payer_once(tell, payer: Neighbour) -> None:
    async def story(door: SupplyDoor) -> None:
        before = payer.ask("GET", "/asked")["asked"]
        key = {"idempotency-key": "K-1"}
        first = await door.ask("rita", "POST", "/eligibility/v1/inquiries", body=asked(), headers=key)
        again = await door.ask("rita", "POST", "/eligibility/v1/inquiries", body=asked(), headers=key)
        assert first.json() == again.json()
        assert payer.ask("GET", "/asked")["asked"] == before + 1

    tell(story)


@pytest.mark.parametrize(("mode", "seconds"), [("down", 0), ("busy", 0), ("slow", 3)])
def test_a_payer_that_does_not_answer_makes_it_not_verified(tell, payer: Neighbour, mode: str, seconds: int) -> None:
    payer.fault(mode, seconds=seconds)

    async def story(door: SupplyDoor) -> None:
        answer = await door.ask("rita", "POST", "/eligibility/v1/inquiries", body=asked())
        assert (answer.status_code, answer.json()["status"]) == (200, "not-verified")

    tell(story)


@pytest.mark.parametrize(
    ("who", "facility", "status"),
    [("rita", "ST-MARY", 200), ("rita", "HARBOR-VIEW", 403), ("eve", "ST-MARY", 403), ("sam", "ST-MARY", 403), ("mia", "ST-MARY", 403)],
)  # fmt: skip
def test_a_payer_is_asked_for_whom_it_concerns_and_nobody_else(
    tell, payer: Neighbour, who: str, facility: str, status: int
) -> None:
    async def story(door: SupplyDoor) -> None:
        before = payer.ask("GET", "/asked")["asked"]
        answer = await door.ask(who, "POST", "/eligibility/v1/inquiries", body=asked(facility=facility))
        assert answer.status_code == status
        assert payer.ask("GET", "/asked")["asked"] == before + (status == 200)

    tell(story)


def test_an_inquiry_about_nobody_is_against_the_contract(tell) -> None:
    async def story(door: SupplyDoor) -> None:
        answer = await door.ask("rita", "POST", "/eligibility/v1/inquiries", body=asked(member_number=None))
        assert answer.status_code in (400, 422)
        assert answer.headers["content-type"] == "application/problem+json"

    tell(story)


# --- mobile


def scan(usage: str = "U-1", **changes: Any) -> dict[str, Any]:
    return {
        "usage_id": usage, "label": "(01)00851234500015(10)L7(21)S-99", "account": "SYN-A-1", "department": "OR",
        "facility": "ST-MARY", "used_at": "2026-03-02T09:15:00-06:00", **changes,
    }  # fmt: skip


def test_a_scan_is_taken_in_once_and_its_outcome_can_be_asked(tell) -> None:
    async def story(door: SupplyDoor) -> None:
        first = await door.ask("nora", "POST", "/mobile/v1/scans", body=scan())
        again = await door.ask("nora", "POST", "/mobile/v1/scans", body=scan())
        assert (first.status_code, first.json()["known"]) == (202, False)
        assert (again.status_code, again.json()["known"]) == (202, True)
        assert await door.pool.fetchval("SELECT count(*) FROM event WHERE type = 'ImplantUsed'") == 1
        await dispatch(door)
        outcome = await door.ask("nora", "GET", first.headers["location"])
        assert (outcome.status_code, outcome.json()["state"]) == (200, "ready")
        assert "SYN-A-1" not in outcome.text
        assert (await door.ask("hugo", "GET", first.headers["location"])).status_code == 404

    tell(story)


@pytest.mark.parametrize(
    ("who", "changes", "status"),
    [
        ("nora", {"facility": "HARBOR-VIEW"}, 403),
        ("hugo", {}, 403),
        ("eve", {}, 403),
        ("nora", {"label": "not a label"}, 422),
        ("nora", {"label": None}, 422),
        ("nora", {"quantity": 0}, 422),
        ("nora", {"used_at": "2026-03-02T09:15:00"}, 422),
    ],
)
def test_what_may_not_or_cannot_be_scanned_leaves_nothing_behind(
    tell, who: str, changes: dict[str, Any], status: int
) -> None:
    async def story(door: SupplyDoor) -> None:
        answer = await door.ask(who, "POST", "/mobile/v1/scans", body=scan(**changes))
        assert answer.status_code in ({400, 422} if status == 422 else {status})
        assert await door.pool.fetchval("SELECT count(*) FROM message") == 0

    tell(story)


def test_a_charge_is_reconciled_in_words_for_each_book(tell) -> None:
    async def story(door: SupplyDoor) -> None:
        await door.ask("nora", "POST", "/mobile/v1/scans", body=scan())
        await dispatch(door)
        answer = await door.ask("rita", "GET", "/charge-reconciliation/v1/usages/U-1")
        told = answer.json()
        assert (answer.status_code, told["reconciled"], told["state"]) == (200, False, "ready")
        assert [(w["book"], w["state"]) for w in told["witnesses"]] == [
            (b, "missing") for b in ("shelf", "ledger", "billing")
        ]
        assert (await door.ask("rita", "GET", "/charge-reconciliation/v1/usages/U-9")).status_code == 404
        assert (await door.ask("hugo", "GET", "/charge-reconciliation/v1/usages/U-1")).status_code in (403, 404)

    tell(story)


# --- dashboards


def test_dashboards_count_each_facility_for_whom_it_is(tell) -> None:
    async def story(door: SupplyDoor) -> None:
        await door.ask("nora", "POST", "/mobile/v1/scans", body=scan())
        await door.ask(
            "hugo",
            "POST",
            "/mobile/v1/scans",
            body=scan("U-2", facility="HARBOR-VIEW", label="(01)00851234500022(21)S-1"),
        )
        await dispatch(door)
        whole = (await door.ask("eve", "GET", "/dashboards/v1/facilities")).json()
        assert [(line["facility"], line["moving"]) for line in whole["items"]] == [("HARBOR-VIEW", 1), ("ST-MARY", 1)]
        page = (await door.ask("eve", "GET", "/dashboards/v1/facilities?limit=1")).json()
        assert [line["facility"] for line in page["items"]] == ["HARBOR-VIEW"]
        rest = (await door.ask("eve", "GET", f"/dashboards/v1/facilities?limit=1&cursor={page['next']}")).json()
        assert ([line["facility"] for line in rest["items"]], rest["next"]) == (["ST-MARY"], None)
        own = (await door.ask("rita", "GET", "/dashboards/v1/facilities")).json()
        assert [line["facility"] for line in own["items"]] == ["ST-MARY"]
        assert (await door.ask("mia", "GET", "/dashboards/v1/facilities")).status_code == 403
        assert (await door.ask("eve", "GET", "/dashboards/v1/exceptions")).json() == {"items": [], "next": None}

    tell(story)


# --- approvals


def request(**changes: Any) -> dict[str, Any]:
    return {
        "kind": "Invoice",
        "subject": "INV-7",
        "digest": DIGEST,
        "facility": "ST-MARY",
        "amount_usd": 12000,
        **changes,
    }


def test_nobody_decides_what_they_asked_for_and_somebody_else_may(tell) -> None:
    async def story(door: SupplyDoor) -> None:
        made = await door.ask("ana", "POST", "/approvals/v1/approvals", body=request())
        assert (made.status_code, made.json()["state"], made.json()["requested_by"]) == (201, "open", "person:ana")
        place = made.headers["location"] + "/decisions"
        decision = {"decision": "approve", "digest": DIGEST}
        assert (await door.ask("ana", "POST", place, body=decision)).status_code in (403, 409)
        assert (await door.ask("rita", "POST", place, body=decision)).status_code in (403, 404)
        changed = {"decision": "approve", "digest": "sha256:" + "00" * 32}
        assert (await door.ask("eve", "POST", place, body=changed)).status_code == 409
        assert (await door.ask("ana", "GET", made.headers["location"])).json()["state"] == "open"
        assert (await door.ask("eve", "POST", place, body=decision)).json()["state"] == "approved"
        waiting = (await door.ask("ana", "GET", "/approvals/v1/approvals")).json()["items"]
        assert waiting == []

    tell(story)


def test_nobody_withdraws_or_belittles_what_somebody_else_asked_for(tell) -> None:
    async def story(door: SupplyDoor) -> None:
        made = await door.ask("ana", "POST", "/approvals/v1/approvals", body=request())
        for changes in ({"digest": "sha256:" + "00" * 32}, {"amount_usd": 1}):
            refused = await door.ask("ben", "POST", "/approvals/v1/approvals", body=request(**changes))
            assert refused.status_code == 409 and "waits as person:ana asked for it" in refused.json()["detail"]
        joined = await door.ask("ben", "POST", "/approvals/v1/approvals", body=request(quorum=2))
        assert (joined.json()["id"], joined.json()["quorum"]) == (made.json()["id"], 2)
        again = await door.ask("ana", "POST", "/approvals/v1/approvals", body=request(amount_usd=13000))
        assert again.status_code == 201 and again.json()["id"] != made.json()["id"]
        assert (await door.ask("ana", "GET", made.headers["location"])).json()["state"] == "withdrawn"

    tell(story)


def test_an_analyst_decides_up_to_the_limit_and_an_executive_beyond_it(tell) -> None:
    async def story(door: SupplyDoor) -> None:
        decision = {"decision": "approve", "digest": DIGEST}
        for subject, amount, status in (("INV-1", 10000, 201), ("INV-2", 10001, 403)):
            made = await door.ask(
                "ana", "POST", "/approvals/v1/approvals", body=request(subject=subject, amount_usd=amount)
            )
            place = made.headers["location"] + "/decisions"
            assert (await door.ask("ben", "POST", place, body=decision)).status_code == status
        assert (await door.ask("eve", "POST", place, body=decision)).status_code == 201

    tell(story)


def test_a_new_supplier_is_approved_by_a_steward_who_did_not_apply(tell) -> None:
    async def story(door: SupplyDoor) -> None:
        body = request(kind="SupplierApplication", subject="SA-1", supplier="ORTHOVIA", facility=None, amount_usd=None)
        made = await door.ask("ana", "POST", "/approvals/v1/approvals", body=body)
        assert made.status_code == 201, made.text
        place = made.headers["location"] + "/decisions"
        waiting = (await door.ask("dora", "GET", "/approvals/v1/approvals")).json()["items"]
        assert [line["subject"] for line in waiting] == ["SA-1"]
        agreed = await door.ask(
            "dora", "POST", place, body={"decision": "approve", "digest": DIGEST, "reason": "W-9 seen"}
        )
        assert agreed.status_code == 201, agreed.text
        assert (agreed.json()["state"], agreed.json()["approved_by"]) == ("approved", ["person:dora"])
        again = await door.ask("dora", "POST", place, body={"decision": "reject", "digest": DIGEST})
        assert again.status_code == 409

    tell(story)
