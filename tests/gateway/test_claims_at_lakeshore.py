"""Claims and denials at the door: who sees which, who decides, and what asking a payer leaves in the books."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.connectors.test_payer_x12 import TOKEN as PAYER_TOKEN
from tests.connectors.test_payer_x12 import connector as payer_at
from tests.gateway.lakeshore_door import lakeshore_door
from tests.gateway.supply_door import SupplyDoor
from tests.runtime.claim_parts import LAKESHORE, AtDesk, Clock, decision, remitted, sent
from tests.sealing_parts import sealer_for

from hilum.authoring.estate import Estate
from hilum.runtime.claims_desk import ClaimsDesk
from hilum.testing.neighbours.launch import simulated_payer
from hilum.testing.neighbours.process import Neighbour

Story = Callable[[SupplyDoor, AtDesk], Awaitable[None]]


@pytest.fixture(scope="module")
def payer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Neighbour]:
    directory = tmp_path_factory.mktemp("payer")
    token = directory / "token"
    token.write_text(PAYER_TOKEN)
    with simulated_payer(directory, token_file=token) as neighbour:
        held = {"claim": "KNEE-99", "status": "P3:317", "payer_claim": "HH-1", "charge": "500.00"}
        neighbour.ask("POST", "/claims", [held], token=PAYER_TOKEN)
        yield neighbour


@pytest.fixture
def tell(database_url: str, tmp_path: Path, payer: Neighbour) -> Callable[[Story], None]:
    payer.fault("ok")

    def telling(story: Story) -> None:
        async def told() -> None:
            plan = payer_at(f"{payer.url}/276", timeout_seconds=1.0)
            async with lakeshore_door(database_url, tmp_path / "w.json", connectors={"payer": plan}) as door:
                clock = Clock()
                estate = Estate(LAKESHORE, "lakeshore", time_zone="America/Chicago")
                desk = ClaimsDesk(door.pool, estate, await sealer_for(door.pool, clock), clock=clock)
                await story(door, AtDesk(desk, door.pool, clock))
            await plan.close()

        asyncio.run(told())

    return telling


async def denied(desk: AtDesk) -> None:
    """Two denials at St. Mary, one at Harbor View."""
    await desk.takes(
        sent(("KNEE-99", "500.00"), ("HIP-40", "90.00")),
        remitted(
            decision("KNEE-99", "500.00", "0", ("CO", "197", "500.00"), status="4"),
            decision("HIP-40", "90.00", "40.00", ("CO", "29", "50.00")),
        ),
        sent(("LENS-7", "70.00"), batch="B2", group="906", file="F2", facility="HARBOR-VIEW", provider="1245319599"),
        remitted(
            decision("LENS-7", "70.00", "0", ("CO", "50", "70.00"), status="4"),
            source="remittance/HHP01/EFT-2", facility="HARBOR-VIEW",
        ),
    )  # fmt: skip


def test_an_analyst_sees_the_denials_of_her_hospital_and_filters_them(tell: Callable[[Story], None]) -> None:
    async def story(door: SupplyDoor, desk: AtDesk) -> None:
        await denied(desk)
        answer = await door.ask("rita", "GET", "/denials/v1/denials")
        found = answer.json()["items"]
        assert [(each["reason"], each["facility"]) for each in found] == [("197", "ST-MARY"), ("29", "ST-MARY")]
        assert found[0]["cause"] == "Authorisation is missing" and found[0]["due_on"] == "2026-07-14"
        late = await door.ask("rita", "GET", "/denials/v1/denials?reason=29&due_by=2026-07-14")
        assert [each["number"] for each in late.json()["items"]] == [found[1]["number"]]
        none = await door.ask("rita", "GET", "/denials/v1/denials?due_by=2026-07-13")
        assert none.json()["items"] == []
        for who in ("ana", "nora", "nobody"):
            refused = await door.ask(who, "GET", "/denials/v1/denials")
            assert refused.status_code == 403 or refused.json()["items"] == []

    tell(story)


def test_a_decision_is_taken_once_and_only_where_somebody_works(tell: Callable[[Story], None]) -> None:
    async def story(door: SupplyDoor, desk: AtDesk) -> None:
        await denied(desk)
        own, _, other = [each["number"] for each in sorted(await desk.denials(), key=lambda each: each["number"])]
        body = {"decision": "write_off", "reason": "No appeal left"}
        made = await door.ask("rita", "POST", f"/denials/v1/denials/{own}/decisions", body=body)
        assert (made.status_code, made.json()["reference"]) == (201, f"{own}-1")
        again = await door.ask("rita", "POST", f"/denials/v1/denials/{own}/decisions", body=body)
        assert again.status_code == 409
        elsewhere = await door.ask("rita", "POST", f"/denials/v1/denials/{other}/decisions", body=body)
        assert elsewhere.status_code in (403, 404)
        decided = await door.pool.fetch("SELECT denial, kind, actor FROM denial_decision")
        assert [(row["denial"], row["kind"]) for row in decided] == [(own, "write_off")]
        assert decided[0]["actor"].startswith("person:rita")

    tell(story)


def question(**changes: Any) -> dict[str, Any]:
    return {
        "facility": "ST-MARY", "payer": "HHP01", "claim_number": "KNEE-99", "member_number": "W-1001", "family_name": "DOE",
        "given_name": "ANNA", "birth_date": "1961-02-03", "service_from": "2026-01-15", **changes,
    }  # fmt: skip


def test_asking_a_payer_tells_where_the_claim_stands_and_leaves_a_fact(tell: Callable[[Story], None]) -> None:
    async def story(door: SupplyDoor, desk: AtDesk) -> None:
        answer = await door.ask("rita", "POST", "/claims/v1/status-inquiries", body=question())
        told = answer.json()
        assert (answer.status_code, told["state"], told["category"]) == (200, "answered", "P3")
        assert told["reasons"] == [
            "pending: the provider was asked for information (P3): the patient's medical records are asked for (317)"
        ]
        events = await door.pool.fetch("SELECT type FROM event")
        assert [row["type"] for row in events] == ["ClaimStatusTold"]
        kept = await door.pool.fetchval("SELECT string_agg(e::text, ' ') FROM event e")
        assert "KNEE-99" not in kept and "DOE" not in kept

    tell(story)


def test_a_payer_that_does_not_answer_changes_nothing(tell: Callable[[Story], None], payer: Neighbour) -> None:
    payer.fault("down", seconds=30)

    async def story(door: SupplyDoor, desk: AtDesk) -> None:
        payer.fault("down", seconds=30)
        answer = await door.ask("rita", "POST", "/claims/v1/status-inquiries", body=question())
        assert (answer.status_code, answer.json()["state"]) == (200, "not-answered")
        assert await door.pool.fetchval("SELECT count(*) FROM event") == 0
        refused = await door.ask("nora", "POST", "/claims/v1/status-inquiries", body=question())
        assert refused.status_code == 403

    tell(story)
