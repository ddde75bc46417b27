"""The claim tables of an estate: how long answers may take, where denials come from, and what may be given up without asking.

``claim_ageing.csv`` has a row for each payer class and one without for all others; ``denial_causes.csv`` names the root cause of
each reason code (CARC), the row without a reason that of all others; ``write_off_limits.csv`` says for each facility, and in the
row without one for all others, above how many dollars somebody else has to agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TypeVar

from hilum.masterdata.tables import RowFault, TableUnreadable, is_whole, read_records

AGEING_FILE = "tables/claim_ageing.csv"
CAUSES_FILE = "tables/denial_causes.csv"
LIMITS_FILE = "tables/write_off_limits.csv"
AGEING_COLUMNS = (
    "payer_class", "hours_to_acknowledgement", "days_to_answer", "days_to_decision", "days_unknown", "days_to_file",
)  # fmt: skip
CAUSE_COLUMNS = ("reason", "cause")
LIMIT_COLUMNS = ("facility", "above_usd")
_Row = TypeVar("_Row")


@dataclass(frozen=True)
class Patience:
    """How long is waited: hours for a 999, days for a 277CA, for a decision (835), for the 837 of a claim that was decided or for
    the original of a reversal; and in how many days of the last service a payer takes a claim at all."""

    hours_to_acknowledgement: int
    days_to_answer: int
    days_to_decision: int
    days_unknown: int
    days_to_file: int


@dataclass(frozen=True)
class ClaimTables:
    """All three. ``patience`` by payer class, ``limits`` by facility, ``causes`` by reason code; each has a row for "" (all others)."""

    patience: Mapping[str, Patience]
    causes: Mapping[str, str]
    limits: Mapping[str, Decimal]

    def patience_with(self, payer_class: str) -> Patience:
        return self.patience.get(payer_class, self.patience[""])

    def due(self, payer_class: str, last_service: date | None) -> date | None:
        """The last day on which the payer takes the claim; None when nobody knows when the service was."""
        if last_service is None:
            return None
        return last_service + timedelta(days=self.patience_with(payer_class).days_to_file)

    def cause(self, reason: str) -> str:
        return self.causes.get(reason, self.causes[""])

    def limit(self, facility: str) -> Decimal:
        return self.limits.get(facility, self.limits[""])


def read_claim_tables(root: Path) -> ClaimTables:
    """The tables of the estate at ``root``. ``TableUnreadable`` also for one faulty row, naming it."""
    faults: dict[str, list[RowFault]] = {AGEING_FILE: [], CAUSES_FILE: [], LIMITS_FILE: []}
    patience: dict[str, Patience] = {}
    for line, cells in read_records(root, AGEING_FILE, AGEING_COLUMNS):
        if is_whole(line, cells, AGEING_COLUMNS, faults[AGEING_FILE]):
            try:
                row = Patience(*(_count(cells[name]) for name in AGEING_COLUMNS[1:]))
            except ValueError:
                faults[AGEING_FILE].append(
                    RowFault(line, "A time is no whole number above zero.", "Write hours or days as a number.")
                )
            else:
                _put(patience, cells["payer_class"], row, line, faults[AGEING_FILE])
    causes: dict[str, str] = {}
    for line, cells in read_records(root, CAUSES_FILE, CAUSE_COLUMNS):
        if is_whole(line, cells, CAUSE_COLUMNS, faults[CAUSES_FILE]):
            if cells["cause"]:
                _put(causes, cells["reason"], cells["cause"], line, faults[CAUSES_FILE])
            else:
                faults[CAUSES_FILE].append(RowFault(line, "The row has no cause.", "Fill it in or remove the row."))
    limits: dict[str, Decimal] = {}
    for line, cells in read_records(root, LIMITS_FILE, LIMIT_COLUMNS):
        if is_whole(line, cells, LIMIT_COLUMNS, faults[LIMITS_FILE]):
            try:
                _put(limits, cells["facility"], _dollars(cells["above_usd"]), line, faults[LIMITS_FILE])
            except (InvalidOperation, ValueError):
                faults[LIMITS_FILE].append(
                    RowFault(line, "The limit is no amount of dollars.", "Write one such as 250.")
                )
    for file, found in faults.items():
        if found:
            raise TableUnreadable(f"{file}:{found[0].line}: {found[0].what} {found[0].do}")
    for file, rows in ((AGEING_FILE, patience), (CAUSES_FILE, causes), (LIMITS_FILE, limits)):
        if "" not in rows:
            raise TableUnreadable(f"{file}: it has no row for all others; add one with an empty first cell")
    return ClaimTables(patience, causes, limits)


def _put(rows: dict[str, _Row], key: str, value: _Row, line: int, faults: list[RowFault]) -> None:
    if key in rows:
        faults.append(RowFault(line, f"{key or 'The row for all others'} stands twice.", "Remove one of the rows."))
    rows[key] = value


def _count(text: str) -> int:
    count = int(text)
    if count <= 0:
        raise ValueError(text)
    return count


def _dollars(text: str) -> Decimal:
    amount = Decimal(text)
    if not amount.is_finite() or amount < 0:
        raise ValueError(text)
    return amount
