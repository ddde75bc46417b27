"""Lakeshore's system APIs over HTTP: the real ERP, billing and the inventory behind its own door, with its own policies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.connectors.benches import billing_at, noon, usage
from tests.gateway.lakeshore_door import lakeshore_door
from tests.gateway.supply_door import SupplyDoor

from hilum.connectors.billing_hl7v2 import BillingAccounts, BillingHl7
from hilum.connectors.inventory_rest import InventoryRest
from hilum.connectors.tryton import TrytonErp
from hilum.testing.neighbours.faulty_proxy import Fault, FaultyProxy
from hilum.testing.neighbours.launch import simulated_billing, simulated_inventory
from hilum.testing.neighbours.process import Neighbour
from hilum.testing.neighbours.tryton import Tryton

pytestmark = pytest.mark.erp

Story = Callable[[SupplyDoor], Coroutine[Any, Any, None]]
TOKEN = "api-token"
LAST_YEAR = datetime.now(UTC).date().year - 1
HERS = {"olga": ("supplier", "Orthovia"), "vera": ("supplier", "Visua")}


@pytest.fixture(scope="module")
def neighbours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Neighbour, Neighbour]]:
    place = tmp_path_factory.mktemp("neighbours")
    token = place / "token"
    token.write_text(TOKEN)
    shelves = [
        {"location": location, "item": "KNEE-99", "on_hand": n, "reorder_point": 2, "par": 6}
        for n, location in enumerate(("STM-OR1", "HBV-OR", "NPT-OR"), start=1)
    ]
    where = {"STM-OR1": "ST-MARY", "HBV-OR": "HARBOR-VIEW", "NPT-OR": "NORTH-POINT"}
    with (
        simulated_inventory(place, token_file=token, positions=shelves, locations=where) as inventory,
        simulated_billing(place, token_file=token) as billing,
    ):
        asyncio.run(charges(billing))
        yield inventory, billing


async def charges(billing: Neighbour) -> None:
    sender = billing_at(billing)
    await sender.charge_usage(usage("U-1", account="CANARY-A-1"), key="U-1/tell_billing")
    await sender.close()


@pytest.fixture
def tell(
    database_url: str, tmp_path: Path, erp: Tryton, erp_line: FaultyProxy, neighbours: tuple[Neighbour, Neighbour]
) -> Callable[[Story], None]:
    inventory, billing = neighbours

    def telling(story: Story) -> None:
        async def told() -> None:
            connectors = {
                "erp": TrytonErp(erp_line.url, erp.database, erp.api_key, timeout_seconds=10),
                "stock": InventoryRest(inventory.url, TOKEN),
                "billing": BillingHl7(nobody, clock=noon, accounts=BillingAccounts(billing.url, TOKEN)),
            }
            async with lakeshore_door(database_url, tmp_path / "w.json", connectors=connectors) as door:
                for who, (role, supplier) in HERS.items():
                    door.tokens[who] = door.sso.token(who, groups=[role], supplier=supplier)
                await story(door)
            for connector in connectors.values():
                await connector.close()

        asyncio.run(told())

    return telling


async def nobody(message: bytes) -> bytes:
    raise AssertionError("no message is sent in these stories")


async def all_of(door: SupplyDoor, who: str, path: str, limit: int = 2, **query: str) -> list[dict[str, Any]]:
    """A whole list, page by page."""
    found: list[dict[str, Any]] = []
    parameters: dict[str, Any] = {**query, "limit": limit}
    while True:
        answer = await door.ask(who, "GET", path, params=parameters)
        assert answer.status_code == 200, answer.text
        found += answer.json()["items"]
        if answer.json()["next"] is None:
            return found
        parameters["cursor"] = answer.json()["next"]


def test_a_supplier_sees_its_own_orders_and_nobody_elses(tell):
    async def story(door: SupplyDoor) -> None:
        hers = await all_of(door, "olga", "/erp/v2/orders")
        assert {order["supplier"] for order in hers} == {"Orthovia"}
        assert {"PO-000001", "PO-000002"} <= {order["number"] for order in hers}
        assert (await door.ask("olga", "GET", "/erp/v2/orders/PO-000001")).status_code == 200

        # Another's order is, to her, no order: by its number, by a filter, by an answer to it.
        assert (await door.ask("olga", "GET", "/erp/v2/orders/PO-000003")).status_code == 404
        assert (await door.ask("olga", "GET", "/erp/v2/orders/PO-999999")).status_code == 404
        assert await all_of(door, "olga", "/erp/v2/orders", supplier="Cardelis") == []
        accepted = {"state": "accepted"}
        refused = await door.ask("olga", "POST", "/erp/v2/orders/PO-000003/acknowledgements", body=accepted)
        assert refused.status_code in (403, 404)

    tell(story)


def test_an_analyst_sees_the_orders_of_their_hospitals_only(tell):
    async def story(door: SupplyDoor) -> None:
        orders = await all_of(door, "sam", "/erp/v2/orders", limit=3)
        assert {order["facility"] for order in orders} <= {"ST-MARY", "HARBOR-VIEW", None}
        assert "PO-000007" not in {order["number"] for order in orders}
        assert (await door.ask("sam", "GET", "/erp/v2/orders/PO-000007")).status_code == 404
        positions = await all_of(door, "sam", "/stock/v1/positions")
        assert {p["location"]: p["on_hand_each"] for p in positions} == {"STM-OR1": 1, "HBV-OR": 2}
        assert (await door.ask("sam", "GET", "/stock/v1/positions/NPT-OR/KNEE-99")).status_code == 404

    tell(story)


def test_two_versions_stand_side_by_side_and_the_older_says_when_it_ends(tell):
    async def story(door: SupplyDoor) -> None:
        old = await door.ask("ana", "GET", "/erp/v1/orders/PO-000001")
        new = await door.ask("ana", "GET", "/erp/v2/orders/PO-000001")
        assert old.json()["lines"][0]["unit_price"] == "4810.00"
        assert new.json()["lines"][0]["unit_price"] == {"amount": "4810.00", "currency": "USD"}
        assert old.headers["deprecation"].startswith("@")
        assert "2027" in old.headers["sunset"]
        assert "deprecation" not in new.headers
        assert (await door.ask("ana", "GET", "/erp/v1/invoices")).status_code == 404

    tell(story)


def test_a_supplier_answers_its_order_once_however_often_it_says_so(tell):
    async def story(door: SupplyDoor) -> None:
        body = {"state": "accepted", "promised_on": "2026-03-09", "note": "from the door"}
        headers = {"idempotency-key": "answer-to-po-1"}
        path = "/erp/v2/orders/PO-000001/acknowledgements"
        first = await door.ask("olga", "POST", path, body=body, headers=headers)
        again = await door.ask("olga", "POST", path, body=body, headers=headers)
        assert (first.status_code, again.status_code) == (201, 201), first.text
        assert first.headers["location"] == "/erp/v2/orders/PO-000001"

        order = (await door.ask("olga", "GET", "/erp/v2/orders/PO-000001")).json()
        assert [a["note"] for a in order["acknowledgements"]].count("from the door") == 1

    tell(story)


def test_an_invoice_is_entered_for_the_orders_it_bills_and_for_no_others(tell):
    async def story(door: SupplyDoor) -> None:
        [line] = (await door.ask("ana", "GET", "/erp/v2/orders/PO-000008")).json()["lines"]

        def bill(**changed: Any) -> dict[str, Any]:
            billed = {
                "description": "Stents", "quantity": "1", "unit_price": "1249.75", "order": "PO-000008",
                "order_line": line["id"],
            }  # fmt: skip
            return {
                "supplier": "Cardelis", "reference": "CD-DOOR-1", "invoiced_on": f"{LAST_YEAR}-11-09",
                "total": {"amount": "1249.75", "currency": "USD"}, "lines": [billed], **changed,
            }  # fmt: skip

        wrong_total = await door.ask(
            "ana", "POST", "/erp/v2/invoices", body=bill(total={"amount": "1.00", "currency": "USD"})
        )
        assert (wrong_total.status_code, wrong_total.json()["type"].endswith("invoice")) == (422, True)
        # The order is Cardelis's: neither Orthovia's own people nor accounts payable bill it for Orthovia.
        for who in ("olga", "ana"):
            stolen = await door.ask(who, "POST", "/erp/v2/invoices", body=bill(supplier="Orthovia"))
            assert stolen.status_code in (403, 404, 422), stolen.text
        assert (await door.ask("olga", "POST", "/erp/v2/invoices", body=bill())).status_code in (403, 404)

        entered = await door.ask("ana", "POST", "/erp/v2/invoices", body=bill())
        assert entered.status_code == 201, entered.text
        assert (entered.json()["facility"], entered.json()["state"]) == ("HARBOR-VIEW", "draft")
        found = await door.ask("ana", "GET", entered.headers["location"])
        assert found.json()["total"] == {"amount": "1249.75", "currency": "USD"}
        assert (await door.ask("olga", "GET", entered.headers["location"])).status_code == 404

    tell(story)


def test_what_somebody_may_not_see_of_a_supplier_is_masked(tell):
    async def story(door: SupplyDoor) -> None:
        paying = (await door.ask("ana", "GET", "/erp/v2/suppliers/Orthovia")).json()
        buying = (await door.ask("sam", "GET", "/erp/v2/suppliers/Orthovia")).json()
        assert paying["tax_numbers"] == [{"kind": "us_ein", "value": "99-1000017"}]
        assert "99-1000017" not in str(buying)
        assert buying["contacts"][0]["value"] == "orders@orthovia.example"
        assert (await door.ask("nobody", "GET", "/erp/v2/suppliers/Orthovia")).status_code in (403, 404)

    tell(story)


def test_a_patient_account_is_searched_by_a_body_and_followed_by_a_handle(tell):
    async def story(door: SupplyDoor) -> None:
        asked = {"account": "CANARY-A-1", "account_authority": "ST-MARY"}
        # A search changes nothing: it needs no Idempotency-Key.
        found = await door.client.post(
            "/billing/v1/patient-accounts/search", json=asked,
            headers={"authorization": f"Bearer {door.sso.token('rita')}"},
        )  # fmt: skip
        assert found.status_code == 200, found.text
        handle = found.json()["handle"]
        balance = await door.ask("rita", "GET", f"/billing/v1/patient-accounts/{handle}/balance")
        assert balance.json()["balance"] == {"amount": "9620.00", "currency": "USD"}
        # Her token does not say that she asks for payment's sake: the number she sent is not told back.
        assert "CANARY-A-1" not in found.text + balance.text
        listed = await all_of(door, "rita", "/billing/v1/patient-accounts")
        assert [account["handle"] for account in listed] == [handle]

        # At another hospital, and for whoever has nothing to do with patients, there is no such account.
        assert (await door.ask("hugo", "GET", f"/billing/v1/patient-accounts/{handle}")).status_code == 404
        assert (await door.ask("sam", "GET", f"/billing/v1/patient-accounts/{handle}")).status_code in (403, 404)
        nowhere = await door.ask("hugo", "POST", "/billing/v1/patient-accounts/search", body=asked)
        assert nowhere.status_code == 404

    tell(story)


def test_the_ledger_is_read_by_those_who_keep_it(tell):
    async def story(door: SupplyDoor) -> None:
        [posting] = await all_of(door, "ana", "/erp/v2/postings", entry=f"JE-{LAST_YEAR}-000001", account="5100")
        assert posting["debit"] == {"amount": "19240.00", "currency": "USD"}
        entry = (await door.ask("ana", "GET", f"/erp/v2/journal-entries/{posting['entry']}")).json()
        assert len(entry["lines"]) == 2
        [balance] = await all_of(door, "ana", "/erp/v2/balances", on=f"{LAST_YEAR}-05-01", account="5100")
        assert balance["fiscal_year"] == str(LAST_YEAR)
        assert (await door.ask("olga", "GET", "/erp/v2/postings")).status_code == 403
        assert (await door.ask("ana", "GET", "/erp/v2/balances?on=1999-01-01")).status_code == 422

    tell(story)


def test_master_data_is_answered_from_memory_while_the_erp_is_away_and_says_so(tell, erp_line):
    async def story(door: SupplyDoor) -> None:
        fresh = await door.ask("sam", "GET", "/erp/v2/items/KNEE-99")
        assert fresh.status_code == 200
        erp_line.mode = Fault.DOWN
        try:
            stale = await door.ask("sam", "GET", "/erp/v2/items/KNEE-99")
            live = await door.ask("sam", "GET", "/erp/v2/orders/PO-000001")
        finally:
            erp_line.mode = Fault.NONE
        assert (stale.status_code, stale.json()) == (200, fresh.json())
        assert "age" in stale.headers or "warning" in stale.headers
        assert live.status_code == 503  # Where an order stands is told as it is, or not at all.

    tell(story)


def test_an_unchanged_order_is_not_sent_again(tell):
    async def story(door: SupplyDoor) -> None:
        first = await door.ask("ana", "GET", "/erp/v2/orders/PO-000005")
        tag = first.headers["etag"]
        again = await door.ask("ana", "GET", "/erp/v2/orders/PO-000005", headers={"if-none-match": tag})
        assert (again.status_code, again.content) == (304, b"")

    tell(story)
