"""Who looks for a thing finds who changed it and who was refused, not only who saw something protected of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.gateway.supply_door import SupplyDoor
from tests.gateway.supply_estate import supply_estate

from hilum.audit.who_saw import subject_marks, who_saw
from hilum.gateway.endpoints import routes_of

PO_1 = "/supply/v1/orders/PO-1"
REQUEST = {"facility": "ST-MARY", "supplier": "ORTHO", "amount": 12.5}
Story = Callable[..., None]


async def found(one: SupplyDoor, *subjects: str) -> list[tuple[str, str, str]]:
    async with one.pool.acquire() as connection:
        accesses = await who_saw(connection, marks=subject_marks(subjects))
    return [(a.actor, a.kind, a.operation) for a in accesses]


def test_who_changed_a_thing_is_found_by_it_though_nothing_protected_was_shown(door: Story) -> None:
    async def story(one: SupplyDoor) -> None:
        await one.ask("ana", "PUT", PO_1, body={"text": "call first"}, headers={"if-match": '"1"'})
        await one.ask("ana", "POST", PO_1 + "/approvals")
        await one.ask("ana", "DELETE", PO_1)
        assert await found(one, "Order/PO-1") == [
            ("person:ana", "change", "supply.annotate@v1"),
            ("person:ana", "change", "supply.approve@v1"),
            ("person:ana", "change", "supply.cancel@v1"),
        ]

    door(story)


def test_what_was_made_is_named_by_its_answer(door: Story) -> None:
    async def story(one: SupplyDoor) -> None:
        for _ in range(2):
            await one.ask("ana", "POST", "/supply/v1/orders", body=REQUEST, headers={"idempotency-key": "K-1"})
        assert await found(one, "Order/PO-4") == [
            ("person:ana", "change", "supply.place@v1"), ("person:ana", "read", "supply.place@v1"),
        ]  # fmt: skip

    door(story)


def test_who_was_refused_a_thing_is_found_by_it(door: Story) -> None:
    async def story(one: SupplyDoor) -> None:
        refused = [
            await one.ask("ben", "PUT", PO_1, body={"text": "x"}, headers={"if-match": '"1"'}),
            await one.ask("nobody-special", "GET", PO_1),
            await one.ask("ben", "DELETE", "/supply/v1/suppliers/ORTHO/orders/PO-1"),
        ]
        assert [answer.status_code for answer in refused] == [404, 403, 404]
        assert await found(one, "Order/PO-1") == [
            ("person:ben", "denial", "supply.annotate@v1"),
            ("person:nobody-special", "denial", "supply.order@v1"),
            ("person:ben", "denial", "supply.cancel_of@v1"),
        ]
        assert await found(one, "Order/PO-2") == []

    door(story)


def test_a_patients_number_stands_in_a_denial_as_its_token_alone(door: Story) -> None:
    async def story(one: SupplyDoor) -> None:
        refused = await one.ask("nobody-special", "GET", "/billing/v1/accounts/A-1001")
        seen = await one.ask("dora", "GET", "/billing/v1/accounts/A-1001")
        assert (refused.status_code, seen.status_code) == (403, 200)
        assert one.stages.tokens is not None
        token = one.stages.tokens.search_token("account", "A-1001")
        assert await found(one, f"PatientAccount/{token}") == [
            ("person:nobody-special", "denial", "billing.account@v1"), ("person:dora", "read", "billing.account@v1"),
        ]  # fmt: skip
        rows = await one.pool.fetch("SELECT entry FROM audit_entry UNION ALL SELECT mark::bytea FROM access_mark")
        assert "A-1001" not in str([bytes(row["entry"]) for row in rows]) and "A-1001" not in str(await one.accesses())

    door(story)


@pytest.mark.parametrize("shape", ["own", "other"])
def test_a_number_that_is_protected_somewhere_is_protected_in_every_path(shape: str) -> None:
    estate: Any = supply_estate()
    _, endpoints = routes_of(estate)
    by_name = {endpoint.name: endpoint for endpoint in endpoints}
    if shape == "own":
        assert by_name["billing.account@v1"].guarded["PatientAccount"] == "account"
    else:
        # An approval may be about an account: its id is then guarded wherever the operation stands.
        assert by_name["supply.approve@v1"].guarded["PatientAccount"] == "account"
        assert "Order" not in by_name["supply.approve@v1"].guarded
