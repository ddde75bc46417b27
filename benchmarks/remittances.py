"""One remittance of many claims: from a file in the folder to the ERP's journal number beside every amount of it."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from hilum.testing.hospital import ErpAddress, Hospital
from hilum.testing.neighbours.tryton import Tryton
from hilum.testing.neighbours.tryton_seed import ErpSeed
from hilum.testing.remittances import PaidClaim, PayerRemittance, interchange

LAKESHORE = Path(__file__).parents[1] / "estates" / "lakeshore"
AIM_SECONDS = 60


def report(say: Callable[[str], None], quick: int) -> None:
    """The section of the results; a tenth of the claims where it is to be quick."""
    claims = 10_000 // quick
    today = datetime.now(UTC).date()
    remittance = PayerRemittance("EFT-BENCH", [_claim(number) for number in range(claims)], paid_on=today)
    file = interchange([remittance], control_number=1)
    with tempfile.TemporaryDirectory() as folder, Tryton(ErpSeed.from_estate(LAKESHORE, today=today)) as erp:
        address = ErpAddress(erp.base_url, erp.database, erp.api_key)
        with Hospital(Path(folder), estate=LAKESHORE, erp=address) as hospital:
            inbox = hospital.data / "inbox" / "remittances"
            inbox.mkdir(parents=True, exist_ok=True)
            begun = time.perf_counter()
            (inbox.parent / "part").write_bytes(file)
            (inbox.parent / "part").rename(inbox / "remit.835")
            while not (taken := hospital.query("SELECT received_at FROM message WHERE system = 'clearinghouse'")):
                time.sleep(0.2)
            stored = time.perf_counter() - begun
            while not hospital.query("SELECT 1 FROM posting_journal WHERE number IS NOT NULL"):
                time.sleep(0.2)
            seconds = time.perf_counter() - begun
            entries = hospital.query("SELECT count(*) AS entries, sum(moved) AS moved FROM staged_entry")[0]
    assert taken and entries["moved"] == sum((claim.charge for claim in remittance.claims), Decimal(0))
    say(
        f"{claims:,} claims with contractual adjustment and patient responsibility, {len(file) / 1e6:.1f} MB, one interchange: stored after "
        f"{stored:.1f} s (two of them are the wait for a file that has stopped growing), {entries['entries']:,} amounts staged and one journal "
        f"posted in Tryton after **{seconds:.1f} s** (aim {AIM_SECONDS}). Load of the machine then: {os.getloadavg()[0]:.1f}.\n"
    )


def _claim(number: int) -> PaidClaim:
    return PaidClaim(
        f"CLM-{number:06}", Decimal("500.00"), Decimal("300.00"),
        [("CO", "45", Decimal("150.00")), ("PR", "1", Decimal("50.00"))],
    )  # fmt: skip
