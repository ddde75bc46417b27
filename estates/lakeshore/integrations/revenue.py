"""Patient to cash: what payers remit is staged and stands in the ledger."""

from __future__ import annotations

import csv
from pathlib import Path

from hilum.authoring import X12, System, mapping
from hilum.formats.canonical import Remittance
from hilum.formats.x12 import convert_transaction
from hilum.processes.patient_to_cash.posting import post_remittance
from hilum.processes.patient_to_cash.remittance import RemittanceAdvised, remittance_advised

clearinghouse = System("clearinghouse")

# Who may look at a remittance is decided from its first moment on, by the table as it was loaded; to whose books it is posted, by
# the crosswalk as stewards keep it.
with (Path(__file__).parents[1] / "tables" / "payee_to_facility.csv").open(newline="", encoding="utf-8") as table:
    PAYEES = {row["code"]: row["target"] for row in csv.DictReader(table) if not row["valid_to"]}

__all__ = ["post_remittance"]


@mapping(source=clearinghouse, message="835")
def remittance_received(message: X12) -> RemittanceAdvised:
    """One payment; a file may hold many."""
    (said,) = (each for each in convert_transaction(message) if isinstance(each, Remittance))
    return remittance_advised(said, PAYEES)
