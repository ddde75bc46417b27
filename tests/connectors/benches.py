"""Benches: each connector beside a neighbour it is made for, so that one suite can try them all."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hilum.authoring import Billing, Stock, System
from hilum.connectors.billing_hl7v2 import BillingHl7
from hilum.connectors.http_feed import HttpFeed
from hilum.connectors.inventory_rest import InventoryRest
from hilum.model import ChargeableUsage, FacilityCode, ItemNumber, LocationCode, Money, Movement
from hilum.testing.neighbours.launch import simulated_billing, simulated_inventory
from hilum.testing.neighbours.process import Neighbour
from hilum.transports.mllp.client import MllpClient

TOKEN = "stock-api-token"
KNEES_AT_ST_MARY = {"location": "STM-OR1", "item": "KNEE-99", "on_hand": 1000, "reorder_point": 2, "par": 1010}
TIMEOUT_SECONDS = 1.0


def noon() -> datetime:
    return datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


@dataclass
class Bench:
    """A connector, its neighbour, one thing to do under a key, and how to count what was done."""

    name: str
    neighbour: Neighbour
    role: type[System] | None
    connector: Callable[[], Any]
    do: Callable[[Any, str], Awaitable[Any]]
    effects: Callable[[str], int]
    fault_path: str = ""

    @asynccontextmanager
    async def connected(self) -> Any:
        connector = self.connector()
        try:
            yield connector
        finally:
            await connector.close()

    def fault(self, mode: str, **how: Any) -> None:
        self.neighbour.fault(mode, path=self.fault_path, **how)


_usages = itertools.count(1)


def fresh_key() -> str:
    """A key nobody used; it is the usage's number too."""
    return f"U-{next(_usages)}"


def movement(usage_id: str, *, item: str = "KNEE-99", quantity: int = 1) -> Movement:
    return Movement(location=LocationCode("STM-OR1"), item=ItemNumber(item), quantity_each=quantity, reference=usage_id)


def usage(usage_id: str, *, account: str = "SYN-A-1") -> ChargeableUsage:
    return ChargeableUsage(
        usage_id=usage_id,
        account=account,
        account_authority="ST-MARY",
        item=ItemNumber("KNEE-99"),
        charge_code="IMP-1001",
        description="Knee system total & cemented",
        quantity_each=2,
        unit_cost=Money.usd("4810.00"),
        used_at="2026-03-02T09:15:00-06:00",
        facility=FacilityCode("ST-MARY"),
        department="OR",
    )


def inventory_bench(directory: Path) -> Bench:
    token = directory / "token"
    token.write_text(TOKEN)
    neighbour = simulated_inventory(directory, token_file=token, positions=[KNEES_AT_ST_MARY]).start()
    return Bench(
        name="inventory_rest",
        neighbour=neighbour,
        role=Stock,
        connector=lambda: InventoryRest(neighbour.url, TOKEN, timeout_seconds=TIMEOUT_SECONDS),
        do=lambda connector, key: connector.take(movement(key), key=f"{key}/take_from_stock"),
        effects=lambda key: len(neighbour.ask("GET", f"/movements?reference={key}", token=TOKEN)),
    )


def billing_bench(directory: Path) -> Bench:
    neighbour = simulated_billing(directory).start()
    return Bench(
        name="billing_hl7v2",
        neighbour=neighbour,
        role=Billing,
        connector=lambda: billing_at(neighbour),
        do=lambda connector, key: connector.charge_usage(usage(key), key=f"{key}/tell_billing"),
        effects=lambda key: len(neighbour.ask("GET", f"/charges?usage_id={key}")),
        fault_path="mllp",
    )


def billing_at(neighbour: Neighbour) -> BillingHl7:
    client = MllpClient(
        "127.0.0.1",
        neighbour.ports["mllp-port"],
        system="billing",
        connect_timeout_seconds=TIMEOUT_SECONDS,
        ack_timeout_seconds=TIMEOUT_SECONDS,
    )
    return BillingHl7(client.exchange, clock=noon, ping=client.ping, close=client.close)


def billing_feed_bench(directory: Path) -> Bench:
    neighbour = simulated_billing(directory).start()

    def registration(key: str) -> bytes:
        lines = [
            f"MSH|^~\\&|HILUM|ST-MARY|BILLING|LAKESHORE|20260302120000||ADT^A04|{key}|P|2.5.1",
            "EVN|A04|20260302120000",
            f"PID|1||SYN-M-1^^^ST-MARY^MR|||||||||||||||A-{key}^^^ST-MARY^AN",
            "PV1|1|I|STM-WARD",
        ]
        return "".join(f"{line}\r" for line in lines).encode()

    def effects(key: str) -> int:
        accounts = [a for a in neighbour.ask("GET", "/accounts") if a["number"] == f"A-{key}"]
        return len(accounts[0]["history"]) if accounts else 0

    return Bench(
        name="billing_hl7v2 feed",
        neighbour=neighbour,
        role=None,
        connector=lambda: billing_at(neighbour),
        do=lambda connector, key: connector.send(registration(key), key=key, content_type="x-application/hl7-v2+er7"),
        effects=effects,
        fault_path="mllp",
    )


def http_feed_bench(directory: Path) -> Bench:
    bench = inventory_bench(directory)
    neighbour = bench.neighbour

    def body(key: str) -> bytes:
        return movement(key).model_dump_json(include={"reference"})[:-1].encode() + (
            b',"location":"STM-OR1","item":"KNEE-99","quantity":1}'
        )

    bench.name = "http_feed"
    bench.role = None
    bench.connector = lambda: HttpFeed(
        f"{neighbour.url}/movements", connections=4, timeout_seconds=TIMEOUT_SECONDS, token=TOKEN
    )
    bench.do = lambda connector, key: connector.send(body(key), key=f"feed/{key}", content_type="application/json")
    return bench


BENCHES = [inventory_bench, billing_bench, billing_feed_bench, http_feed_bench]
