"""A morning at Lakeshore, run by the real worker on a real database once a session; every test gets a copy of its own.

U-1  a knee, reported by the EHR twice and by the inventory platform: one fact, done, one order, one journal
U-8  the next knee, reported by the inventory platform alone: the order for the shelf is shared with U-1
U-2  and U-3: a charge code nobody knows, one decision for both
U-4  a mesh without a contract price
U-5  a stent whose journal's answer was lost: found again, done
U-6  a lens while the ERP is away: parked
plus a patient who is registered, one whom billing refuses, and bytes that are no message
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, ClassVar

import asyncpg
import orjson
from tests.sealing_parts import protection_for

from hilum.audit.sequencer import Sequencer
from hilum.audit.signing import Signer
from hilum.authoring.estate import Estate, Policy
from hilum.authoring.failures import Refused, Unavailable
from hilum.governance.loader import load_estate
from hilum.masterdata.crosswalks import Crosswalks
from hilum.model import ContractPrice, DocumentRef, ItemNumber, Journal, Money, Movement, Replenishment, Shelf
from hilum.runtime.channels import Channels
from hilum.runtime.connections import Connection, Connections
from hilum.runtime.intake import Intake, Receipt
from hilum.runtime.reception import Problem, Reader, Reception
from hilum.runtime.worker import Worker, WorkerSettings
from hilum.security.sealing.protected import Protection
from hilum.store.partitions import ensure_partitions
from hilum.store.pool import open_pool

ROOT = Path(__file__).parents[2]
PRICES = {"KNEE-99": "4810.00", "HIP-40": "4125.50", "STENT-12": "1249.75", "LENS-7": "268.40"}
PATIENT = {"name": "RIVERA^MARIA", "mrn": "MRN-770077", "account": "ACC-100100"}


def lakeshore() -> Estate:
    return load_estate(ROOT / "estates" / "lakeshore")


@dataclass
class Neighbours:
    """The ERP, the inventory platform and billing, in one place that counts."""

    idempotent_commands: ClassVar[frozenset[str]] = frozenset({"take", "charge_usage"})
    away: bool = False
    lose_the_answer_about: str = ""
    journals: dict[str, DocumentRef] = field(default_factory=dict)
    orders: dict[str, DocumentRef] = field(default_factory=dict)
    shelves: dict[str, int] = field(default_factory=lambda: defaultdict(lambda: 3))

    async def contract_price(self, item: ItemNumber, on: date) -> ContractPrice | None:
        if self.away:
            raise Unavailable("erp", "503 Service Unavailable")
        price = PRICES.get(item.value)
        return (
            ContractPrice(item=item, unit_price=Money(amount=price, currency="USD"), supplier="Orthovia")
            if price
            else None
        )

    async def post_journal(self, journal: Journal, *, key: str) -> DocumentRef:
        document = DocumentRef(system="erp", type="journal", number=f"2026/{len(self.journals) + 118}")
        self.journals[key] = document
        if self.lose_the_answer_about and self.lose_the_answer_about in key:
            self.lose_the_answer_about = ""
            raise Unavailable("erp", "connection cut while waiting for the answer")
        return document

    async def find_post_journal(self, journal: Journal, *, key: str) -> DocumentRef | None:
        return self.journals.get(key)

    async def order_replenishment(self, request: Replenishment, *, key: str) -> DocumentRef:
        self.orders[key] = DocumentRef(system="erp", type="purchase order", number=f"PO-{len(self.orders) + 5001}")
        return self.orders[key]

    async def find_order_replenishment(self, request: Replenishment, *, key: str) -> DocumentRef | None:
        return self.orders.get(key)

    async def take(self, movement: Movement, *, key: str) -> Shelf:
        shelf = f"{movement.location.value}/{movement.item.value}"
        self.shelves[shelf] -= movement.quantity_each
        return Shelf(
            location=movement.location, item=movement.item, on_hand_each=self.shelves[shelf], reorder_point_each=2, par_level_each=6,
            last_receipt="R-1", movement=f"MV-{movement.reference}",
        )  # fmt: skip

    async def charge_usage(self, usage: Any, *, key: str) -> DocumentRef:
        return DocumentRef(system="billing", type="charge", number=f"CH-{usage.usage_id}")

    async def send(self, body: bytes, *, key: str, content_type: str) -> str:
        if b"ACC-666000" in body:
            raise Refused("account is closed")
        return f"AA {key.rsplit('/', 1)[1]}"

    async def ping(self) -> None:
        if self.away:
            raise Unavailable("erp", "503 Service Unavailable")

    async def close(self) -> None:
        pass


def adt(control_id: str, account: str, mrn: str) -> bytes:
    return (
        f"MSH|^~\\&|EHR|ST-MARY|HILUM|LAKESHORE|20260302073000||ADT^A04^ADT_A01|{control_id}|P|2.5.1\r"
        f"EVN|A04|20260302073000\rPID|1||{mrn}^^^ST-MARY^MR||{PATIENT['name']}|||F||||||||||{account}^^^ST-MARY^AN\r"
        "PV1|1|I|OR^1^1\r"
    ).encode()


def dft(
    control_id: str, usage: str, code: str, amount: str, *, department: str = "OR", about: str = "Implant"
) -> bytes:
    return (
        f"MSH|^~\\&|EHR|ST-MARY|HILUM|LAKESHORE|20260302081500||DFT^P03^DFT_P03|{control_id}|P|2.5.1\r"
        f"EVN|P03|20260302081500\rPID|1||{PATIENT['mrn']}^^^ST-MARY^MR||{PATIENT['name']}|||F||||||||||{PATIENT['account']}^^^ST-MARY^AN\r"
        f"FT1|1|{usage}||20260302081000|20260302081500|CG|{code}^{about}|||1|{amount}||{department}\r"
    ).encode()


def scan(usage: str, code: str, serial: str) -> bytes:
    return orjson.dumps(
        {
            "type": "consumption", "usage_id": usage, "device_identifier": "00851234500015", "serial": serial, "charge_code": code,
            "description": "Knee system", "quantity": 1, "account": PATIENT["account"], "department": "OR", "facility": "ST-MARY",
            "used_at": "2026-03-02T14:10:00Z", "charge_usd": "6200.00",
        }
    )  # fmt: skip


class Morning:
    """Plays the day; what it sends is acknowledged as a sender would see it."""

    def __init__(self, pool: asyncpg.Pool, estate: Estate, protection: Protection) -> None:
        self.pool = pool
        self.reader = Reader(estate)
        self.intake = Intake(pool, protection, name="intake-1", clock=wall)
        self.neighbours = Neighbours()

    async def sends(self, raw: bytes) -> str:
        return await self._stored(self.reader.hl7("ehr", "mllp", "10.20.0.7:50122", raw)[0])

    async def scans(self, raw: bytes) -> str:
        return await self._stored(self.reader.json("stock", "webhook", "10.20.0.9:40100", raw, "type"))

    async def sends_rubbish(self, raw: bytes) -> str:
        return await self._stored(
            Reception.refused(
                "ehr", "mllp", "10.20.0.7:50122", raw, Problem("207", "this is no HL7 v2 message", "MSH", True)
            )
        )

    async def _stored(self, reception: Reception) -> str:
        receipt: Receipt = await self.intake.submit(reception, lambda r: r)
        return f"{receipt.status} {receipt.subject}"

    async def rests(self, case: str, *states: str) -> None:
        await until(
            lambda: self.pool.fetchval("SELECT state FROM flow_case WHERE id = $1", f"implant_usage/{case}"), states
        )


def wall() -> datetime:
    return datetime.now(UTC)


async def until(ask: Callable[[], Awaitable[Any]], wanted: tuple[Any, ...], seconds: float = 20) -> None:
    for _ in range(int(seconds / 0.05)):
        found = await ask()
        if found in wanted:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"waited {seconds} s for one of {wanted}, found {found}")


async def play(url: str, keys: Path) -> None:
    """Run the morning on the database at ``url`` and leave it at rest."""
    estate = lakeshore()
    pool = await open_pool(url, min_size=2, max_size=16)
    async with pool.acquire() as connection:
        await ensure_partitions(connection, wall().date())
    await Crosswalks(pool, wall).sync_tables(estate)
    protection = await protection_for(pool, estate, wall)
    morning = Morning(pool, estate, protection)
    await morning.intake.start()
    channels = Channels(pool, morning.intake, clock=wall)
    await channels.declare("ehr", "mllp", "mllp://127.0.0.1:6661")
    await channels.declare("stock", "webhook", "http://127.0.0.1:6671/hooks/stock")
    policy = Policy(timeout_seconds=2, attempts=2, backoff_seconds=0.01, breaker_failures=2, breaker_open_seconds=600)

    async def at_once() -> None:
        return None

    def _ended(why: str) -> None:
        raise AssertionError(f"the worker of this morning ended: {why}")

    reach = {name: Connection(name, morning.neighbours, policy, at_once) for name in ("erp", "stock", "billing")}
    sequencer = Sequencer(pool, Signer.open(keys), wall, heads_file=keys / "heads.jsonl")
    worker = Worker(
        pool, estate, protection, Connections(reach), WorkerSettings("worker-1", 4711, "theatre-host", url, slots=2),
        clock=wall, rng=random.Random(7), sequence=sequencer.run_once, end=_ended,
    )  # fmt: skip
    await worker.start()
    try:
        await _happens(morning)
        await channels.run_once()
        await until(lambda: pool.fetchval("SELECT count(*) FROM feed_parked WHERE state = 'dead'"), (1,))
    finally:
        await worker.stop()
        await morning.intake.stop()
    await sequencer.run_once()
    # The page is looked at while the platform runs; this worker has ended and will not be heard of for a day.
    await pool.execute("UPDATE executor SET state = 'running', heartbeat_at = now() + interval '1 day'")
    with suppress(TimeoutError):
        await asyncio.wait_for(pool.close(), 10)


async def _happens(morning: Morning) -> None:
    neighbours = morning.neighbours
    assert await morning.sends(adt("MSG-1", PATIENT["account"], PATIENT["mrn"])) == "accepted m/1/1"
    await morning.sends(adt("MSG-2", "ACC-666000", "MRN-660066"))
    knee = dft("MSG-3", "U-1", "IMP-1001", "6200.00", about="Knee system")
    assert await morning.sends(knee) == "accepted m/1/3"
    assert await morning.scans(scan("U-1", "IMP-1001", "SN-4710")) == "duplicate m/1/4"
    assert await morning.sends(knee) == "duplicate m/1/5"
    await morning.rests("U-1", "done")
    await morning.scans(scan("U-8", "IMP-1001", "SN-4711"))
    await morning.rests("U-8", "done")
    await morning.sends(dft("MSG-7", "U-2", "IMP-9999", "6200.00", about="New knee"))
    await morning.sends(dft("MSG-8", "U-3", "IMP-9999", "5100.00", about="New knee"))
    await morning.sends(dft("MSG-9", "U-4", "IMP-1006", "880.00", about="Mesh"))
    for case in ("U-2", "U-3", "U-4"):
        await morning.rests(case, "waiting")
    neighbours.lose_the_answer_about = "U-5"
    await morning.sends(dft("MSG-10", "U-5", "IMP-1003", "1900.00", department="CATH", about="Stent"))
    await morning.rests("U-5", "done")
    assert (await morning.sends_rubbish(b"GET / HTTP/1.1\r\n\r\n")).startswith("refused")
    assert (await morning.sends(dft("MSG-12", "U-7", "", "100.00"))).startswith("refused")
    neighbours.away = True
    await morning.sends(dft("MSG-13", "U-6", "IMP-1004", "410.00", about="Lens"))
    await morning.rests("U-6", "parked")
