"""Remittances as payers send them (X12 835, 005010X221A1), for tests and for days of a simulated hospital."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

_ZERO = Decimal(0)


@dataclass(frozen=True)
class PaidClaim:
    """One claim of a remittance; ``adjustments`` are (group, reason, amount). What is not paid or adjusted does not balance."""

    claim: str
    charge: Decimal
    paid: Decimal
    adjustments: Sequence[tuple[str, str, Decimal]] = ()
    status: str = "1"
    day: date = date(2026, 1, 15)

    @property
    def patient_responsibility(self) -> Decimal:
        return sum((amount for group, _, amount in self.adjustments if group == "PR"), _ZERO)


@dataclass(frozen=True)
class PayerRemittance:
    """One payment. ``amount`` is what its claims and provider adjustments make, unless something else is said."""

    trace: str
    claims: Sequence[PaidClaim]
    payee: str = "1234567893"
    payer: str = "HHP01"
    payer_tax: str = "1360000001"
    paid_on: date = date(2026, 3, 3)
    moved: Sequence[tuple[str, Decimal]] = field(default=())
    amount: Decimal | None = None

    @property
    def total(self) -> Decimal:
        made = sum((claim.paid for claim in self.claims), _ZERO) - sum((amount for _, amount in self.moved), _ZERO)
        return made if self.amount is None else self.amount


def interchange(remittances: Sequence[PayerRemittance], *, control_number: int, terminator: str = "~\n") -> bytes:
    """One file with these payments, each a transaction set."""
    number = f"{control_number:09}"
    day = max(each.paid_on for each in remittances)
    segments = [
        f"ISA*00*          *00*          *ZZ*HARBOR         *ZZ*LAKESHORE      *{day:%y%m%d}*0600*^*00501*{number}*0*T*:",
        f"GS*HP*HARBOR*LAKESHORE*{day:%Y%m%d}*0600*{control_number}*X*005010X221A1",
    ]
    for at, remittance in enumerate(remittances, start=1):
        segments += _transaction(remittance, f"{at:04}")
    segments += [f"GE*{len(remittances)}*{control_number}", f"IEA*1*{number}"]
    return "".join(segment + terminator for segment in segments).encode()


def _transaction(remittance: PayerRemittance, number: str) -> list[str]:
    total = remittance.total
    segments = [
        f"ST*835*{number}",
        f"BPR*I*{abs(total)}*{'C' if total >= 0 else 'D'}*ACH*CTX*01*021000021*DA*77003311*{remittance.payer_tax}**01*072000326"
        f"*DA*88112200*{remittance.paid_on:%Y%m%d}",
        f"TRN*1*{remittance.trace}*{remittance.payer_tax}",
        f"DTM*405*{remittance.paid_on:%Y%m%d}",
        f"N1*PR*HARBOR HEALTH PLAN*XV*{remittance.payer}",
        "N3*1 HARBOR PLAZA",
        "N4*LAKEPORT*MI*49001",
        "PER*BL*PROVIDER SERVICES*TE*5550100300",
        f"N1*PE*LAKESHORE HEALTH*XX*{remittance.payee}",
    ]
    if remittance.claims:
        segments.append("LX*1")
    for claim in remittance.claims:
        segments += [
            f"CLP*{claim.claim}*{claim.status}*{claim.charge}*{claim.paid}*{claim.patient_responsibility}*12*HH-{claim.claim}*11*1",
            *(f"CAS*{group}*{reason}*{amount}" for group, reason, amount in claim.adjustments),
            "NM1*QC*1*KNEE*NINETY****MI*MBR-99",
            f"DTM*232*{claim.day:%Y%m%d}",
        ]
    segments += [
        f"PLB*{remittance.payee}*{remittance.paid_on.year}1231*{reason}:REF*{amount}"
        for reason, amount in remittance.moved
    ]
    return [*segments, f"SE*{len(segments) + 1}*{number}"]
