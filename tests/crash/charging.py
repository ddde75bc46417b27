"""A hospital that charges its patients, and what the ERP's own people find in its books afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal

from tests.crash.payments import TODAY, Payments
from tests.crash.worlds import until

from hilum.model.where import EVERYTHING
from hilum.runtime import charge_lists
from hilum.runtime.charge_lists import PostedCharge
from hilum.store.pool import open_pool
from hilum.testing.charges import ChargeLine, charge_message

FACILITIES = ("ST-MARY", "HARBOR-VIEW", "NORTH-POINT")
_FLOWS = {"charges_due": "post_charges", "period_ending": "accrue_period"}
YESTERDAY = TODAY - timedelta(days=1)


def charge(number: str, amount: str, **given: object) -> ChargeLine:
    return ChargeLine(number, Decimal(amount), **{"service_on": YESTERDAY, **given})  # type: ignore[arg-type]


@dataclass
class Charging:
    """The EHR's charges, the nights that post them, and the ledger."""

    payments: Payments
    nights: Iterator[int]
    asked: dict[str, int] = field(default_factory=dict)  # Cases by flow.

    def sends(self, *lines: ChargeLine, facility: str = "ST-MARY", control_id: str = "") -> str:
        """The EHR's acknowledgement of a DFT."""
        number = control_id if control_id else f"D{next(self.payments.numbers)}"
        data = charge_message(lines, control_id=number, facility=facility)
        acknowledged: str = self.payments.hospital.ehr.send(data.decode())["code"]
        return acknowledged

    def collected(self, *numbers: str) -> None:
        """Wait until these charges stand in the books."""
        wanted = list(numbers)
        until(
            lambda: (
                self.payments.hospital.query("SELECT count(*) AS found FROM charge WHERE charge = ANY($1)", wanted)[0][
                    "found"
                ]
                == len(wanted)
            )
        )

    def placed(self, number: str) -> None:
        """Wait until a charge that was held is open."""
        sql = "SELECT 1 FROM charge_state WHERE charge = $1 AND state = 'open'"
        until(lambda: bool(self.payments.hospital.query(sql, number)))

    def night(self, *, schedule: str = "charges_due", day: date = TODAY) -> None:
        """The schedule's moment, and all that follows from it."""
        self.night_falls(schedule=schedule, day=day)
        self.night_ends(schedule=schedule)

    def night_falls(self, *, schedule: str = "charges_due", day: date = TODAY) -> None:
        """The schedule's moment, whatever becomes of it."""
        minute = next(self.nights)
        self.asked[_FLOWS[schedule]] = self.asked.get(_FLOWS[schedule], 0) + len(FACILITIES)
        self.payments.hospital.hilum("schedule", "run", schedule, "--at", f"{day}T02:{minute:02}")

    def night_ends(self, *, schedule: str = "charges_due") -> None:
        """Wait until a case of each facility came to rest for each night that fell."""
        flow = _FLOWS[schedule]
        sql = "SELECT 1 FROM flow_case WHERE flow = $1 AND state IN ('done', 'waiting', 'stopped')"
        until(lambda: len(self.payments.hospital.query(sql, flow)) == self.asked[flow])

    async def drilled(self, number: str) -> list[PostedCharge]:
        """The charges that a journal of the ledger is made of."""
        async with await open_pool(self.payments.hospital.database_url) as pool, pool.acquire() as connection:
            return await charge_lists.of_journal(connection, number, EVERYTHING, most=1000)

    def batches(self, facility: str = "ST-MARY") -> Sequence[str]:
        rows = self.payments.hospital.query(
            "SELECT source FROM charge_batch WHERE facility = $1 ORDER BY source", facility
        )
        return [row["source"] for row in rows]
