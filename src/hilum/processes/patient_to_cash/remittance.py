"""What a payer says it paid (X12 835), as a fact, and what it moves in the books."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Annotated

import orjson
from pydantic import BaseModel, ConfigDict

from hilum.authoring import Agreed, AtRisk, Contract, InvalidData, Key, Phi
from hilum.authoring.claims import BookedAdjustment, BookedDecision
from hilum.formats import canonical
from hilum.model.claim_life import LATER_PAYERS
from hilum.model.identifiers import FacilityCode
from hilum.model.posting import ADJUSTMENT, LATER_PAYER, FinancialMovement

TAKEN_BACK = "22"
"""CLP02 of a claim whose earlier payment is reversed (X12 code list 1029)."""
BY_PRIOR_PAYER = ("OA", "23")
"""The adjustment by which a later payer says what those before it decided (CARC 23)."""
PAYMENT, PROVIDER_ADJUSTMENT = "payment", "provider_adjustment"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RemittedAdjustment(_Part):
    """Money taken off a charge (CAS): group CO, PR, OA, PI or CR, and the reason (CARC)."""

    group: str
    reason: str
    amount: Decimal


class RemittedService(_Part):
    """One service line of a claim (SVC); ``charge`` and ``paid`` are zero where the payer said none."""

    procedure: str | None = None
    charge: Decimal
    paid: Decimal
    adjustments: tuple[RemittedAdjustment, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def difference(self) -> Decimal:
        """Charge less adjustments less payment; zero for a service that balances."""
        return self.charge - _taken_off(self.adjustments) - self.paid


class RemittedClaim(_Part):
    """What was decided on one claim (CLP). Amounts are below zero where an earlier payment is taken back."""

    claim: Annotated[str, Phi]
    payer_claim: Annotated[str, Phi] | None = None
    status: str
    charge: Decimal
    paid: Decimal
    patient_responsibility: Decimal | None = None
    adjustments: tuple[RemittedAdjustment, ...] = ()
    remarks: tuple[str, ...] = ()  # Of the claim (MIA, MOA); those of a service stand with it (LQ). RARC codes.
    services: tuple[RemittedService, ...] = ()
    service_from: date | None = None
    balanced: bool

    @property
    def is_reversal(self) -> bool:
        return self.status == TAKEN_BACK

    @property
    def is_by_later_payer(self) -> bool:
        """Whether another payer decided before: by CLP02, or, where that says something else (a reversal), by OA-23."""
        return self.status in LATER_PAYERS or any(
            (each.group, each.reason) == BY_PRIOR_PAYER for _, each in self.all_adjustments()
        )

    def all_adjustments(self) -> Iterator[tuple[str, RemittedAdjustment]]:
        """Each with where it stands: ``a2`` of the claim, ``s1a2`` of its first service."""
        for number, adjustment in enumerate(self.adjustments, start=1):
            yield f"a{number}", adjustment
        for at, service in enumerate(self.services, start=1):
            for number, adjustment in enumerate(service.adjustments, start=1):
                yield f"s{at}a{number}", adjustment

    @property
    def difference(self) -> Decimal:
        """Charge less what was paid and every adjustment; zero for a claim that balances (TR3 005010X221A1, 1.10.2)."""
        return self.charge - self.paid - _taken_off(each for _, each in self.all_adjustments())

    @property
    def services_difference(self) -> Decimal:
        """Payments of the services less the claim's own adjustments less its payment; zero without services."""
        if not self.services:
            return Decimal(0)
        return sum((each.paid for each in self.services), Decimal(0)) - _taken_off(self.adjustments) - self.paid


class RemittedProviderAdjustment(_Part):
    """Money moved outside any claim (PLB); above zero it lowers the payment."""

    provider: str
    reason: str
    reference: Annotated[str, Phi] | None = None  # Often the claim an overpayment is taken back for.
    amount: Decimal


class RemittanceAdvised(Contract, version=1, identities=["number"], owner="revenue-cycle"):
    """One payment of a payer with every claim it is for. The trace number (TRN02) re-associates it with the bank's deposit."""

    number: Annotated[str, Key("remittance")]  # Payer and trace number: HHP01/EFT-7. Two payers may count alike.
    payer: str
    payer_name: str = ""
    payer_company: str | None = None  # TRN03: with the trace number it stands in the EFT's addendum too.
    payee: str  # The NPI, or the tax number, of who is paid: it says whose books it belongs to.
    facility: FacilityCode | None = None  # Whose people may look at it; None for a payee that nobody knew when it came.
    trace_number: Annotated[str, Key("eft")]
    method: str | None = None
    paid_on: date
    amount: Annotated[Decimal, AtRisk]
    claims: tuple[RemittedClaim, ...] = ()
    provider_adjustments: tuple[RemittedProviderAdjustment, ...] = ()
    difference: Decimal
    balanced: bool
    digest: Annotated[str, Agreed]  # Of all it says: the same trace number with other content is no resend.


class Imbalance(_Part):
    """Where a remittance does not add up, and by how much."""

    where: str
    difference: Decimal

    def __str__(self) -> str:
        return f"{self.where}: {self.difference} USD"


def remittance_advised(said: canonical.Remittance, facilities: Mapping[str, str]) -> RemittanceAdvised:
    """The fact of an 835, at the facility of its payee's number in ``facilities``; InvalidData for one without payer, trace number or date: nobody could tell it from another."""
    payer = _number(said.payer) or said.payer_identifier
    payee = _number(said.payee) or ""
    paid_on = _day(said.payment_date) or _day(said.production_date)
    if payer is None or said.trace_number is None:
        raise InvalidData("TRN is missing", detail="a remittance has a payer and a trace number (TRN02, TRN03)")
    if paid_on is None:
        raise InvalidData(
            "BPR16 is missing", detail="a remittance has a payment date, or the day it was made (DTM*405)"
        )
    content = orjson.dumps(canonical.as_json(said), option=orjson.OPT_SORT_KEYS)
    return RemittanceAdvised(
        number=f"{payer}/{said.trace_number}",
        payer=payer,
        payer_name=said.payer.name or "",
        payer_company=said.payer_identifier,
        payee=payee,
        facility=FacilityCode(value=facilities[payee]) if payee in facilities else None,
        trace_number=said.trace_number,
        method=said.method,
        paid_on=paid_on,
        amount=said.amount if said.credit else -said.amount,
        claims=tuple(_claim(each) for each in said.claims),
        provider_adjustments=tuple(
            RemittedProviderAdjustment(
                provider=each.provider, reason=each.reason, reference=each.reference, amount=each.amount
            )
            for each in said.provider_adjustments
        ),
        difference=said.difference,
        balanced=said.balanced,
        digest=hashlib.sha256(content).hexdigest(),
    )


@dataclass(frozen=True)
class Place:
    """Whose books a payment belongs to, and who owes it."""

    facility: str
    payer_class: str = ""
    cost_centre: str = ""


def movements(advice: RemittanceAdvised, place: Place) -> Iterator[FinancialMovement]:
    """Every amount of the remittance, in its order, at its payee's ``place``: whatever is known of the claims has no part in it
    (decisions/0017).

    Together they say what the payer said: payments less provider adjustments are the payment, and of each claim payment and
    adjustments are its charge. Whatever is taken back comes as an amount below zero.
    """
    for at, claim in enumerate(advice.claims, start=1):
        common = {
            "facility": place.facility, "payer_class": place.payer_class, "payer": advice.payer,
            "cost_centre": place.cost_centre, "claim": claim.claim,
            "sequence": LATER_PAYER if claim.is_by_later_payer else "",
        }  # fmt: skip
        if claim.paid:
            yield FinancialMovement(kind=PAYMENT, reason=claim.status, line=f"c{at}", amount=claim.paid, **common)
        for where, adjustment in claim.all_adjustments():
            if adjustment.amount:
                yield FinancialMovement(
                    kind=ADJUSTMENT,
                    reason=f"{adjustment.group}-{adjustment.reason}",
                    line=f"c{at}{where}",
                    amount=adjustment.amount,
                    **common,
                )
    for at, moved in enumerate(advice.provider_adjustments, start=1):
        if moved.amount:
            yield FinancialMovement(
                kind=PROVIDER_ADJUSTMENT, reason=f"PLB-{moved.reason}", facility=place.facility,
                payer_class=place.payer_class, payer=advice.payer, cost_centre=place.cost_centre, line=f"p{at}",
                amount=moved.amount,
            )  # fmt: skip


def decisions(advice: RemittanceAdvised) -> Iterator[BookedDecision]:
    """What the payer decided, claim by claim, for the claim books: the same amounts as the movements."""
    for at, claim in enumerate(advice.claims, start=1):
        adjustments = [
            BookedAdjustment(group=each.group, reason=each.reason, amount=each.amount, remarks=claim.remarks)
            for each in claim.adjustments
        ]
        for service in claim.services:
            adjustments += [
                BookedAdjustment(group=each.group, reason=each.reason, amount=each.amount, remarks=service.remarks)
                for each in service.adjustments
            ]
        yield BookedDecision(
            line=f"c{at}", claim=claim.claim, status=claim.status, charge=claim.charge, paid=claim.paid,
            adjustments=tuple(adjustments), payer_claim=claim.payer_claim, service_from=claim.service_from,
        )  # fmt: skip


def amounts(advice: RemittanceAdvised) -> Iterator[Decimal]:
    """Every amount that would be posted, and the payment itself."""
    yield advice.amount
    for claim in advice.claims:
        yield claim.paid
        yield from (adjustment.amount for _, adjustment in claim.all_adjustments())
    yield from (moved.amount for moved in advice.provider_adjustments)


def fits_books(amount: Decimal) -> bool:
    """Whether books can hold it: in full cents, and below a hundred million millions of dollars."""
    _, digits, exponent = amount.as_tuple()
    in_cents = isinstance(exponent, int) and (exponent >= -2 or not any(digits[exponent + 2 :]))
    return in_cents and (not amount or amount.adjusted() < 14)


def imbalances(advice: RemittanceAdvised) -> list[Imbalance]:
    """Everything that does not add up, the payment first; empty for a remittance that may be posted."""
    claims = sum((claim.paid for claim in advice.claims), Decimal(0))
    moved = sum((each.amount for each in advice.provider_adjustments), Decimal(0))
    found = [("the payment and its claims", advice.amount - (claims - moved))]
    for number, claim in enumerate(advice.claims, start=1):
        for at, service in enumerate(claim.services, start=1):
            found.append((f"claim {number}, service {at}", service.difference))
        found.append((f"claim {number}", claim.difference))
        if not claim.difference:
            found.append((f"claim {number} and its services", claim.services_difference))
    return [Imbalance(where=where, difference=difference) for where, difference in found if difference]


def _claim(said: canonical.ClaimPayment) -> RemittedClaim:
    return RemittedClaim(
        claim=said.claim_number,
        payer_claim=said.payer_claim_number,
        status=said.status,
        charge=said.charge,
        paid=said.paid,
        patient_responsibility=said.patient_responsibility,
        adjustments=_adjustments(said.adjustments),
        remarks=said.remarks,
        services=tuple(
            RemittedService(
                procedure=each.procedure,
                charge=each.charge if each.charge is not None else Decimal(0),
                paid=each.paid if each.paid is not None else Decimal(0),
                adjustments=_adjustments(each.adjustments),
                remarks=each.remarks,
            )
            for each in said.services
        ),
        service_from=_day(said.statement_from),
        balanced=said.balanced,
    )


def _adjustments(said: tuple[canonical.Adjustment, ...]) -> tuple[RemittedAdjustment, ...]:
    return tuple(RemittedAdjustment(group=each.group, reason=each.reason, amount=each.amount) for each in said)


def _taken_off(adjustments: Iterable[RemittedAdjustment]) -> Decimal:
    return sum((each.amount for each in adjustments), Decimal(0))


def _number(party: canonical.Party) -> str | None:
    """The number that a party is known by: its NPI or payer identifier before its tax number."""
    ranked = sorted(party.identifiers, key=lambda each: each.scheme not in ("npi", "payer"))
    return ranked[0].value if ranked else None


def _day(text: str | None) -> date | None:
    """A day of an ISO 8601 text that is as precise as one; None for less."""
    return date.fromisoformat(text[:10]) if text is not None and len(text) >= 10 else None
