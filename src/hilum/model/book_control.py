"""Whether two books say the same: what was staged here, and what stands in the general ledger."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal

from pydantic import BaseModel, ConfigDict

from hilum.model.ledger import LedgerPosting

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
