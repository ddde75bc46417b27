"""What the books must say after a revenue day: reckoned from what its generator made, by tables of its own.

Nothing here reads a posting rule, a contract or a format: a day that is read, staged or posted wrongly cannot be expected wrongly
in the same way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypeVar

from hilum.testing.revenue_day_catalogue import (
    BANK,
    COST_CENTRES,
    HOSPITALS,
    MOVED,
    PATIENTS_OWE,
    PAYERS_OWE,
    TAKEN_OFF,
    TRANSIT,
    DayCharge,
)
from hilum.testing.revenue_day_claims import BankLine, DayClaim, Payment

Balance = dict[tuple[str, str, str], Decimal]
"""By facility, account and cost centre (empty where none is told): debits less credits."""
_ZERO = Decimal(0)
Key = TypeVar("Key")


@dataclass
class Checked:
    """One line of the close checklist: how many, and their dollars."""

    count: int = 0
    amount: Decimal = _ZERO

    def add(self, amount: Decimal) -> None:
        self.count += 1
        self.amount += amount


@dataclass(frozen=True)
class RevenueBooks:
    """All that is expected at the end of a day. ``checklist`` by facility and line of the close; ``work`` counts open work items by
    kind of cause; ``billed`` is what billing has of charges, by facility; ``facts`` counts rows that are never added twice."""

    balance: Balance
    claims: Counter[tuple[str, str]]
    denials: int
    denied: Decimal
    cash: Counter[tuple[str, str]]
    checklist: dict[str, dict[str, Checked]]
    work: Counter[str]
    billed: dict[str, Decimal]
    facts: dict[str, int] = field(default_factory=dict)

    @property
    def trial_balance(self) -> dict[str, Decimal]:
        """By account, over all facilities."""
        return _summed((account, amount) for (_, account, _), amount in self.balance.items())

    @property
    def by_facility(self) -> dict[tuple[str, str], Decimal]:
        return _summed(((facility, account), amount) for (facility, account, _), amount in self.balance.items())

    @property
    def by_cost_centre(self) -> dict[tuple[str, str], Decimal]:
        """Of revenue: (cost centre, account)."""
        return _summed(((centre, account), amount) for (_, account, centre), amount in self.balance.items() if centre)


def reckon(
    charges: Iterable[DayCharge],
    claims: Iterable[DayClaim],
    payments: Iterable[Payment],
    bank: Iterable[BankLine],
    *,
    cancelled_with_charges: int,
) -> RevenueBooks:
    """The books after a day whose exceptions all wait still."""
    charges, claims, payments, bank = list(charges), list(claims), list(payments), list(bank)
    balance: Balance = {}
    for place, amount in (*_of_charges(charges), *_of_payments(payments), *_of_bank(bank)):
        balance[place] = balance.get(place, _ZERO) + amount
    denied = [each for each in claims if each.denials]
    return RevenueBooks(
        balance={place: amount for place, amount in balance.items() if amount},
        claims=Counter((each.hospital.code, each.state) for each in claims),
        denials=sum(each.denials for each in denied),
        denied=sum((each.denied for each in denied), _ZERO),
        cash=_cash(payments, bank),
        checklist=_checklist(charges, claims, payments, bank),
        work=_work(charges, claims, payments, bank, cancelled_with_charges),
        billed=_summed((each.facility, each.amount) for each in charges),
        facts={
            "charge": len(charges),
            "claim": len(claims),
            "bank_line": len(bank),
            "cash_advice": len(payments),
            "remittance staged": sum(each.balances for each in payments),
        },
    )


def _of_charges(charges: Iterable[DayCharge]) -> Iterator[tuple[tuple[str, str, str], Decimal]]:
    for each in charges:
        if each.collects:
            centre = COST_CENTRES[each.department]
            yield (each.facility, PAYERS_OWE, ""), each.amount
            yield (each.facility, each.service.revenue, centre), -each.amount


def _of_payments(payments: Iterable[Payment]) -> Iterator[tuple[tuple[str, str, str], Decimal]]:
    for each in payments:
        if not each.balances:
            continue
        facility = each.hospital.code
        for claim in each.claims:
            # What a second payer pays, the patient owed since the first one decided: its word on the patient's part moves nothing.
            second = any((group, reason) == ("OA", "23") for group, reason, _ in claim.adjustments)
            owed_by = PATIENTS_OWE if second else PAYERS_OWE
            yield (facility, TRANSIT, ""), claim.paid
            yield (facility, owed_by, ""), -claim.paid
            for group, reason, amount in claim.adjustments:
                account = TAKEN_OFF[group, reason]
                if account is not None and account != owed_by:
                    yield (facility, account, ""), amount
                    yield (facility, owed_by, ""), -amount
        for reason, amount in each.moved:
            yield (facility, MOVED[reason], ""), amount
            yield (facility, TRANSIT, ""), -amount


def _of_bank(bank: Iterable[BankLine]) -> Iterator[tuple[tuple[str, str, str], Decimal]]:
    for each in bank:
        if each.state:
            yield (each.hospital.code, BANK, ""), each.amount
            yield (each.hospital.code, TRANSIT, ""), -each.amount


def _stands(payment: Payment) -> str:
    if not payment.remittance().total:
        return "not_expected"
    return {"as said": "matched", "less": "differs", "returned": "returned", "missing": "open"}[payment.banked]


def _cash(payments: Iterable[Payment], bank: Iterable[BankLine]) -> Counter[tuple[str, str]]:
    found = Counter(("remittance", _stands(each)) for each in payments)
    found.update(("deposit", each.state) for each in bank if each.state)
    return found


def _checklist(
    charges: list[DayCharge], claims: list[DayClaim], payments: list[Payment], bank: list[BankLine]
) -> dict[str, dict[str, Checked]]:
    names = (
        "charges-held", "charges-unposted", "journals-delayed", "journals-moved", "remittances-stopped", "claims-failed",
        "deposits-unmatched", "remittances-unpaid", "denials-undecided", "books-differ",
    )  # fmt: skip
    found = {hospital.code: {name: Checked() for name in names} for hospital in HOSPITALS}
    for charge in charges:
        if not charge.collects:
            found[charge.facility]["charges-held"].add(charge.amount)
    for claim in claims:
        lines = found[claim.hospital.code]
        if claim.state == "rejected":
            lines["claims-failed"].add(claim.charge)
        if claim.denials:
            lines["denials-undecided"].count += claim.denials
            lines["denials-undecided"].amount += claim.denied
    for payment in payments:
        lines, said = found[payment.hospital.code], payment.remittance().total
        if not payment.balances:
            lines["remittances-stopped"].add(abs(said))
        if _stands(payment) not in ("matched", "not_expected"):
            lines["remittances-unpaid"].add(said)
    for line in bank:
        if line.state not in ("", "matched"):
            found[line.hospital.code]["deposits-unmatched"].add(line.amount)
    return found


def _work(
    charges: list[DayCharge], claims: list[DayClaim], payments: list[Payment], bank: list[BankLine], cancelled: int
) -> Counter[str]:
    """Open work items by kind: one for each cause, whatever waits in it."""
    held = [each for each in charges if not each.collects]
    causes = {("UnknownChargeCode", "") for each in held if not each.service.revenue}
    causes |= {("UnknownDepartment", each.facility) for each in held if each.service.revenue}
    causes |= {("UnbalancedRemittance", each.trace) for each in payments if not each.balances}
    causes |= {("RemittanceWithoutDeposit", each.plan.number) for each in payments if _stands(each) == "open"}
    causes |= {("DepositDiffers", each.line.trace) for each in bank if each.state == "differs"}
    causes |= {("DepositReturned", each.line.trace) for each in bank if each.state == "returned"}
    causes |= {("ClaimFileRejected", "") for each in claims if each.state == "rejected"}
    # Of a whole file that came back nobody is told claim by claim: only those of a 277CA are, payer by payer.
    causes |= {("ClaimsRejected", each.plan.number) for each in claims if each.state == "rejected" and each.told}
    causes.add(("ConflictingReport", ""))  # One trace number for two payments.
    found = Counter(kind for kind, _ in causes)
    found["CancelledWithCharges"] = cancelled
    return found


def _summed(pairs: Iterable[tuple[Key, Decimal]]) -> dict[Key, Decimal]:
    """Sums that are not zero."""
    found: dict[Key, Decimal] = {}
    for key, amount in pairs:
        found[key] = found.get(key, _ZERO) + amount
    return {key: amount for key, amount in found.items() if amount}
