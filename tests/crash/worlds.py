"""Hospitals with the real ERP, and what the ERP's own people find in its books."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from hilum.store.postgres_server import EmbeddedPostgres
from hilum.testing.hospital import ErpAddress, Hospital
from hilum.testing.neighbours.tryton import Tryton
from hilum.testing.neighbours.tryton_desk import Desk

LAKESHORE = Path(__file__).parents[2] / "estates" / "lakeshore"

# Time passes faster in a test than in an outage: circuits are tried again sooner than an operator would want.
IMPATIENT: Mapping[str, float] = {"breaker_open_seconds": 0.5}


@contextmanager
def a_hospital(
    directory: Path,
    erp: Tryton,
    *,
    postgres: EmbeddedPostgres,
    template: str,
    erp_url: str | None = None,
    **options: Any,
) -> Iterator[Hospital]:
    """A hospital with a database of its own on the session's server."""
    name = f"hospital_{directory.name}_{os.getpid()}"
    url = postgres.create_database(name, template=template)
    address = ErpAddress(erp_url if erp_url is not None else erp.base_url, erp.database, erp.api_key)
    try:
        with Hospital(
            directory, estate=LAKESHORE, erp=address, database_url=url, **{"policy": IMPATIENT, **options}
        ) as hospital:
            yield hospital
    finally:
        postgres.drop_database(name)


@dataclass(frozen=True)
class Ledger:
    """The ERP's books, read by a person who signed in: drafts and posted documents alike."""

    desk: Desk

    def journals(self, usage_id: str) -> list[str]:
        """The states of all journals of a usage: ``["posted"]`` when all is well."""
        return self._states("account.move", "description", f"implant_usage/{usage_id}/attribute_cost")

    def orders(self, location: str, item: str, receipt: str) -> list[str]:
        """The states of all orders that refill a shelf after a receipt."""
        return self._states("purchase.purchase", "reference", f"replenish/{location}/{item}/{receipt}")

    def _states(self, model: str, field: str, key: str) -> list[str]:
        found = self.desk.search(model, [(field, "=", key)])
        return sorted(record["state"] for record in self.desk.read(model, found, ["state"]))


@contextmanager
def locked_numbers(erp: Tryton) -> Iterator[None]:
    """Somebody else's transaction holds the ERP's number series: drafts can be made, and none of them posted."""
    with asyncio.Runner() as runner:
        connection = runner.run(asyncpg.connect(erp.database_url))
        transaction = connection.transaction()
        runner.run(transaction.start())
        runner.run(connection.execute("SELECT 1 FROM ir_sequence_strict FOR UPDATE"))
        try:
            yield
        finally:
            runner.run(transaction.rollback())
            runner.run(connection.close())


def until(what: Callable[[], bool], *, seconds: float = 120.0) -> None:
    """Wait until it is so."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not come to that in time"
        time.sleep(0.05)


def happened_once(hospital: Hospital, ledger: Ledger, *usages: str) -> None:
    """In the systems' own books; what Hilum believes of itself is not asked."""
    for usage in usages:
        assert len(hospital.movements(usage)) == 1, f"stock movements of {usage}"
        assert ledger.journals(usage) == ["posted"], f"journals of {usage}, drafts included"
        assert len(charges_of(hospital, usage)) == 1, f"charges of {usage} at billing"
        assert case_of(hospital, usage)["state"] == "done"


def nothing_happened(hospital: Hospital, ledger: Ledger, usage: str) -> None:
    assert hospital.movements(usage) == []
    assert ledger.journals(usage) == []
    assert charges_of(hospital, usage) == []


def charges_of(hospital: Hospital, usage_id: str) -> list[dict[str, Any]]:
    return [charge for charge in hospital.charges() if charge["usage_id"] == usage_id]


def case_of(hospital: Hospital, usage_id: str) -> dict[str, Any]:
    [case] = hospital.query("SELECT * FROM flow_case WHERE id = $1", f"implant_usage/{usage_id}")
    return case
