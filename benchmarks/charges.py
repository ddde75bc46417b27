"""A day's charges: from the EHR's messages to the ERP's journal number beside each of them."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from hilum.testing.charges import ChargeLine, charge_message
from hilum.testing.hospital import ErpAddress, Hospital
from hilum.testing.neighbours.tryton import Tryton
from hilum.testing.neighbours.tryton_seed import ErpSeed

LAKESHORE = Path(__file__).parents[1] / "estates" / "lakeshore"
IN_A_MESSAGE = 10
UNDER_WAY = 50
CODES = ("OR-3600", "PH-2500", "LAB-3010", "IMG-3200", "SUP-2700", "RB-0120")
DEPARTMENTS = ("OR", "CATH", "EYE", "GEN")


def report(say: Callable[[str], None], quick: int) -> None:
    """The section of the results; a tenth of the charges where it is to be quick."""
    charges = 60_000 // quick
    today = datetime.now(UTC).date()
    with tempfile.TemporaryDirectory() as folder, Tryton(ErpSeed.from_estate(LAKESHORE, today=today)) as erp:
        address = ErpAddress(erp.base_url, erp.database, erp.api_key)
        with Hospital(Path(folder), estate=LAKESHORE, erp=address) as hospital:
            yesterday = today - timedelta(days=1)
            begun = time.perf_counter()
            _send(hospital, charges, yesterday)
            acknowledged = time.perf_counter() - begun
            while hospital.query("SELECT count(*) AS found FROM charge")[0]["found"] < charges:
                time.sleep(0.2)
            collected = time.perf_counter() - begun
            begun = time.perf_counter()
            hospital.hilum("schedule", "run", "charges_due", "--at", f"{today}T02:30")
            while not hospital.query("SELECT 1 FROM posting_journal WHERE number IS NOT NULL"):
                time.sleep(0.2)
            posted = time.perf_counter() - begun
            sums = hospital.query("SELECT count(*) AS entries, sum(moved) AS moved FROM staged_entry")[0]
            lines = len(hospital.query("SELECT 1 FROM staged_entry GROUP BY debit, credit, cost_centre"))
    assert (sums["entries"], sums["moved"]) == (charges, charges * Decimal("12.50"))
    say(
        f"{charges:,} charges of one facility and day in {charges // IN_A_MESSAGE:,} messages over one connection: acknowledged after "
        f"{acknowledged:.1f} s, in the revenue books after **{collected:.1f} s**; staged in one transaction and posted in Tryton as one journal "
        f"({lines} pairs of accounts by cost centre) **{posted:.1f} s** after the night's moment was asked for. Load of the machine then: "
        f"{os.getloadavg()[0]:.1f}.\n"
    )


def _send(hospital: Hospital, charges: int, day: date) -> None:
    """All messages, so many under way that the connection is never idle."""
    messages = charges // IN_A_MESSAGE
    for number in range(messages):
        lines = [
            ChargeLine(
                f"B-{number * IN_A_MESSAGE + at}", Decimal("12.50"), code=CODES[(number + at) % len(CODES)],
                department=DEPARTMENTS[number % len(DEPARTMENTS)], service_on=day,
            )
            for at in range(IN_A_MESSAGE)
        ]  # fmt: skip
        hospital.ehr.post(charge_message(lines, control_id=f"B{number}", account=f"ACC-{number // 3}").decode())
        if number >= UNDER_WAY:
            _acknowledged(hospital)
    for _ in range(min(messages, UNDER_WAY)):
        _acknowledged(hospital)


def _acknowledged(hospital: Hospital) -> None:
    answer = hospital.ehr.next_line(60)
    assert answer["code"] == "AA", answer
