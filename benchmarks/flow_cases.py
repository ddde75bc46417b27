"""Cases a second: the journal, claims and deliveries of a six-step flow, first on systems that answer at once, then on
the whole hospital with the real ERP, which is then the bound.

``python -m benchmarks.flow_cases --url URL`` measures the first in a process of its own and prints one JSON line.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar

from hilum.audit.sequencer import Sequencer
from hilum.audit.signing import Signer
from hilum.authoring.estate import Policy
from hilum.governance.loader import load_estate
from hilum.masterdata.crosswalks import Crosswalks
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
from hilum.processes.implant_usage import ImplantUsed
from hilum.runtime.connections import Connection, Connections
from hilum.runtime.intake import Intake
from hilum.runtime.reception import Reception, prepare
from hilum.runtime.worker import Worker, WorkerSettings
from hilum.security.sealing.key_file import LocalKeyFile
from hilum.security.sealing.protected import Protection
from hilum.security.sealing.sealer import open_sealer
from hilum.store.migrations import migrate
from hilum.store.partitions import ensure_partitions
from hilum.store.pool import open_pool

LAKESHORE = Path(__file__).parents[1] / "estates" / "lakeshore"


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
    """Lakeshore's worker as it is shipped, between systems that answer at once."""
    await migrate(url)
    pool = await open_pool(url, min_size=2, max_size=24, application_name="bench")
    async with pool.acquire() as connection:
        await ensure_partitions(connection, now().date())
    estate = load_estate(LAKESHORE)
    await Crosswalks(pool, now).sync_tables(estate)
    policy = Policy(rate_per_second=100_000, concurrency=16)
    connections = Connections(
        {name: Connection(name, AtOnce(), policy, lambda: asyncio.sleep(0)) for name in ("erp", "stock", "billing")}
    )
    with tempfile.TemporaryDirectory() as folder:
        sequencer = Sequencer(pool, Signer.open(Path(folder)), now, heads_file=Path(folder) / "heads.jsonl")
        settings = WorkerSettings(executor="bench", pid=os.getpid(), host="bench", database_url=url)
        wrapper = LocalKeyFile.make(Path(folder) / "master.json")
        protection = Protection(await open_sealer(pool, wrapper, now), estate)
        worker = Worker(
            pool,
            estate,
            protection,
            connections,
            settings,
            clock=now,
            rng=random.Random(1),
            sequence=sequencer.run_once,
            end=sys.exit,
        )
        intake = Intake(pool, protection, name="bench", clock=now)
        await intake.start()
        await worker.start()
        await asyncio.gather(*(intake.submit(used(n), lambda receipt: receipt) for n in range(cases)))
        started, cpu = time.perf_counter(), time.process_time()
        while (done := await pool.fetchval("SELECT count(*) FROM flow_case WHERE state = 'done'")) < cases:
            await asyncio.sleep(0.05)
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
        await worker.stop()
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
