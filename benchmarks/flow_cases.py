"""Cases a second: the journal, claims and deliveries of a six-step flow, first on systems that answer at once, then on
the whole hospital with the real ERP, which is then the bound.

``python -m benchmarks.flow_cases --url URL`` measures the first in a process of its own and prints one JSON line.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar

from hilum.authoring.estate import Estate, Policy
from hilum.model import (
    AccountNumber,
    ChargeableUsage,
    ChargeCode,
    ContractPrice,
    DepartmentCode,
    DocumentRef,
    FacilityCode,
    ItemNumber,
    Journal,
    Money,
    Movement,
    Replenishment,
    Shelf,
)
from hilum.processes.implant_usage import ImplantUsed, implant_usage
from hilum.runtime.breakers import Breakers
from hilum.runtime.cases import CaseRunner, Surroundings
from hilum.runtime.claims import Claims
from hilum.runtime.connections import Connection, Connections
from hilum.runtime.deliveries import Deliveries
from hilum.runtime.dispatch import Dispatcher
from hilum.runtime.intake import Intake
from hilum.runtime.journal import Journal as StepJournal
from hilum.runtime.reception import Reception, prepare
from hilum.store.migrations import migrate
from hilum.store.partitions import ensure_partitions
from hilum.store.pool import open_pool

LAKESHORE = Path(__file__).parents[1] / "estates" / "lakeshore"
CROSSWALKS = {
    "charge_code_to_item": "KNEE-99",
    "department_to_location": "STM-OR1",
    "department_to_cost_centre": "CC-ORTHO",
}


class AtOnce:
    """Every system, answering at once: what is left is the platform's own work."""

    idempotent_commands: ClassVar[frozenset[str]] = frozenset(
        {"take", "post_journal", "order_replenishment", "charge_usage"}
    )

    async def take(self, movement: Movement, *, key: str) -> Shelf:
        return Shelf(
            location=movement.location, item=movement.item, on_hand_each=9, reorder_point_each=2,
            par_level_each=10, last_receipt="R-1", movement="MV-1",
        )  # fmt: skip

    async def contract_price(self, item: ItemNumber, on: date) -> ContractPrice:
        return ContractPrice(item=item, unit_price=Money.usd("4810.00"), supplier="Orthovia")

    async def post_journal(self, journal: Journal, *, key: str) -> DocumentRef:
        return DocumentRef(system="erp", type="journal", number=key)

    async def order_replenishment(self, request: Replenishment, *, key: str) -> DocumentRef:
        return DocumentRef(system="erp", type="purchase order", number=key)

    async def charge_usage(self, usage: ChargeableUsage, *, key: str) -> DocumentRef:
        return DocumentRef(system="billing", type="charge", number=key)

    async def ping(self) -> None:
        pass

    async def close(self) -> None:
        pass


def now() -> datetime:
    return datetime.now(UTC)


def used(number: int) -> Reception:
    event = ImplantUsed(
        usage_id=f"U-{number}", charge_code=ChargeCode("IMP-1001"), quantity=1, account=AccountNumber(f"A-{number}", "ST-MARY"),
        department=DepartmentCode("OR"), facility=FacilityCode("ST-MARY"), used_at=now(), charge_usd=Decimal("6200.00"),
    )  # fmt: skip
    reception = Reception("ehr", "mllp", "bench", b"bench", sha256(b"bench").digest(), type="DFT^P03")
    reception.events = [prepare(event, "usage_id", "bench@1")]
    return reception


async def platform_alone(url: str, cases: int) -> dict[str, Any]:
    await migrate(url)
    pool = await open_pool(url, min_size=2, max_size=16, application_name="bench")
    async with pool.acquire() as connection:
        await ensure_partitions(connection, now().date())
    estate = Estate(Path(), "bench", flows={"implant_usage": implant_usage})
    policy = Policy(rate_per_second=100_000)
    systems = {n: Connection(n, AtOnce(), policy, lambda: asyncio.sleep(0)) for n in ("erp", "stock", "billing")}
    rng = random.Random(1)
    connections, breakers = Connections(systems), Breakers(pool, clock=now, rng=rng)
    deliveries = Deliveries(pool, connections, breakers, executor="bench", clock=now, rng=rng)
    loop = asyncio.get_running_loop()
    journal = StepJournal(url, "bench", "1", 8)
    claims = Claims(pool, journal, slots=8, clock=now, lane=loop)

    def lookup(name: str, value: str, facility: str, on: datetime | None) -> str | None:
        return CROSSWALKS.get(name)

    runner = CaseRunner(Surroundings(pool, loop, estate, deliveries, lookup, now, "bench"), claims.rested)
    await asyncio.to_thread(journal.open, runner.run)
    intake = Intake(pool, name="bench", clock=now)
    await intake.start()
    await asyncio.gather(*(intake.submit(used(n), lambda receipt: receipt) for n in range(cases)))
    dispatcher = Dispatcher(pool, estate, clock=now)
    while await dispatcher.run_once():
        pass
    started, cpu = time.perf_counter(), time.process_time()
    while await pool.fetchval("SELECT count(*) FROM flow_case WHERE state IN ('ready', 'running')"):
        if not await claims.run_once():
            await asyncio.sleep(0.01)
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    done = await pool.fetchval("SELECT count(*) FROM flow_case WHERE state = 'done'")
    await asyncio.to_thread(journal.close)
    await intake.stop()
    await pool.close()
    return {"done": done, "per_second": done / seconds, "cpu_ms": cpu / done * 1000}


def with_the_erp(cases: int) -> dict[str, Any]:
    """The whole hospital: EHR over MLLP, inventory over REST, billing over MLLP, Tryton."""
    from hilum.testing.hospital import ErpAddress, Hospital
    from hilum.testing.neighbours.tryton import Tryton
    from hilum.testing.neighbours.tryton_seed import ErpSeed

    with tempfile.TemporaryDirectory() as folder, Tryton(ErpSeed.from_estate(LAKESHORE, today=now().date())) as erp:
        shelf = {"location": "STM-OR1", "item": "KNEE-99", "on_hand": cases * 2, "reorder_point": 2, "par": 6}
        address = ErpAddress(erp.base_url, erp.database, erp.api_key)
        with Hospital(Path(folder), estate=LAKESHORE, erp=address, positions=(shelf,)) as hospital:
            started = time.perf_counter()
            for number in range(cases):
                hospital.uses(f"U-{number}", "IMP-1001")
            acknowledged = time.perf_counter() - started
            settled = hospital.settles(seconds=300, messages=cases)
            seconds = time.perf_counter() - started
    return {"done": settled["done"], "per_second": settled["done"] / seconds, "acknowledged_seconds": acknowledged}


def measure(cases: int, url: str) -> Iterator[str]:
    """The section of the results."""
    from benchmarks.processes import child

    alone = child("benchmarks.flow_cases", "--url", url, "--cases", str(cases))
    yield (
        f"Six steps and three deliveries a case, every step journaled, every delivery leased, recorded and audited, on "
        f"systems that answer at once: **{alone['per_second']:.1f} cases/s** ({alone['cpu_ms']:.1f} ms of Python a case, one worker)."
    )
    erp = with_the_erp(max(cases // 4, 5))
    yield (
        f"With the real ERP (one Tryton process; it is the bound): {erp['per_second']:.1f} cases/s, "
        f"{erp['done']} cases done; all were acknowledged within {erp['acknowledged_seconds']:.1f} s."
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True)
    parser.add_argument("--cases", type=int, default=200)
    given = parser.parse_args()
    print(json.dumps(asyncio.run(platform_alone(given.url, given.cases))))
