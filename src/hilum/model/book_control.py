"""Whether two books say the same: what was staged here, and what stands in the general ledger."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal

from pydantic import BaseModel, ConfigDict

from hilum.model.ledger import LedgerPosting
from hilum.model.patient_billing import BilledCharge

_ZERO = Decimal(0)


class BookedSide(BaseModel):
    """What one journal has on one account and cost centre, debits and credits summed each for themselves."""

    model_config = ConfigDict(frozen=True)

    account: str
    cost_centre: str = ""
    debit: Decimal = _ZERO
    credit: Decimal = _ZERO


class BookedJournal(BaseModel):
    """A journal that the subledger knows to be posted: ``number`` is the ledger's, ``on`` its day there."""

    model_config = ConfigDict(frozen=True)

    source: str
    facility: str
    number: str
    on: date
    sides: tuple[BookedSide, ...]

    @property
    def record(self) -> str:
        return f"{self.source}/{self.facility}"


class Disagreement(BaseModel):
    """One record on which two books differ. ``expected`` and ``found`` are debits less credits, in USD."""

    model_config = ConfigDict(frozen=True)

    record: str
    facility: str
    day: date
    account: str = ""
    what: str
    expected: Decimal
    found: Decimal

    @property
    def difference(self) -> Decimal:
        return self.found - self.expected


def ledger_disagreements(journals: Sequence[BookedJournal], posted: Iterable[LedgerPosting]) -> list[Disagreement]:
    """Journal by journal, account by account: what the ledger has otherwise, or not at all."""
    ledger: dict[str, dict[tuple[str, str], BookedSide]] = {}
    for line in posted:
        sides = ledger.setdefault(line.entry, {})
        at = (line.account or line.account_name, line.cost_centre or "")
        before = sides.get(at, BookedSide(account=at[0], cost_centre=at[1]))
        sides[at] = before.model_copy(
            update={"debit": before.debit + line.debit.amount, "credit": before.credit + line.credit.amount}
        )
    found: list[Disagreement] = []
    for journal in journals:
        there = ledger.get(journal.number)
        if there is None:
            total = sum((side.debit for side in journal.sides), _ZERO)
            found.append(
                Disagreement(
                    record=journal.record, facility=journal.facility, day=journal.on,
                    what=f"journal {journal.number} is not in the ledger", expected=total, found=_ZERO,
                )
            )  # fmt: skip
        else:
            found.extend(_sides(journal, there))
    return found


def _sides(journal: BookedJournal, there: Mapping[tuple[str, str], BookedSide]) -> list[Disagreement]:
    expected = {(side.account, side.cost_centre): side for side in journal.sides}
    found = []
    for at in sorted(expected.keys() | there.keys()):
        here, ledger = (sides.get(at, BookedSide(account=at[0])) for sides in (expected, there))
        if (here.debit, here.credit) != (ledger.debit, ledger.credit):
            centre = f" of {at[1]}" if at[1] else ""
            found.append(
                Disagreement(
                    record=journal.record, facility=journal.facility, day=journal.on, account=at[0],
                    what=f"account {at[0]}{centre} in journal {journal.number}",
                    expected=here.debit - here.credit, found=ledger.debit - ledger.credit,
                )
            )  # fmt: skip
    return found


MOST_NAMED = 50
"""Charges of one facility and day that are named one by one; more of them are one cause anyway."""


def charge_disagreements(
    facility: str, day: date, here: Sequence[BilledCharge], billing: Iterable[BilledCharge]
) -> list[Disagreement]:
    """Charge by charge, what only one of both has, or has at another price or plan; where too many differ, the first and the sum."""
    theirs = {(each.number, each.amount < 0): each for each in billing}
    pairs: dict[tuple[str, bool], tuple[BilledCharge | None, BilledCharge | None]] = {}
    for ours in here:
        key = next((known for known in _known_as(ours) if known in theirs), _known_as(ours)[0])
        pairs[key] = (ours, theirs.pop(key, None))
    pairs |= {key: (None, other) for key, other in theirs.items()}
    found = []
    for key, (one, other) in sorted(pairs.items()):
        if one is not None and other is not None and (one.amount, one.payer) == (other.amount, other.payer):
            continue
        number, credit = key
        kind = "credit" if credit else "charge"
        what = "is not at billing" if other is None else "is at billing alone" if one is None else "differs at billing"
        found.append(
            Disagreement(
                record=f"{kind}/{number}", facility=facility, day=day, what=f"{kind} {number} {what}",
                expected=one.amount if one is not None else _ZERO, found=other.amount if other is not None else _ZERO,
            )
        )  # fmt: skip
    if len(found) <= MOST_NAMED:
        return found
    rest = found[MOST_NAMED:]
    total = Disagreement(
        record=f"charges/{facility}/{day}", facility=facility, day=day, what="more charges that differ",
        expected=sum((each.expected for each in rest), _ZERO), found=sum((each.found for each in rest), _ZERO),
    )  # fmt: skip
    return [*found[:MOST_NAMED], total]


def _known_as(charge: BilledCharge) -> tuple[tuple[str, bool], tuple[str, bool]]:
    """By which numbers billing may know a charge that is ``lab/9`` here: with its system before it (``lab:9``), or bare (``9``)."""
    number, credit = charge.number.removesuffix("/credit"), charge.amount < 0
    return (number.replace("/", ":", 1), credit), (number.partition("/")[2] or number, credit)
