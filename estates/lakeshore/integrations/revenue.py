"""Patient to cash: what payers remit is staged and stands in the ledger."""

from __future__ import annotations

from hilum.authoring import X12, System, mapping
from hilum.formats.canonical import Remittance
from hilum.formats.x12 import convert_transaction
from hilum.processes.patient_to_cash.posting import post_remittance
from hilum.processes.patient_to_cash.remittance import RemittanceAdvised, remittance_advised

clearinghouse = System("clearinghouse")

__all__ = ["post_remittance"]


@mapping(source=clearinghouse, message="835")
def remittance_received(message: X12) -> RemittanceAdvised:
    """One payment; a file may hold many."""
    (said,) = (each for each in convert_transaction(message) if isinstance(each, Remittance))
    return remittance_advised(said)
