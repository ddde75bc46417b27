"""ExplanationOfBenefit and PaymentReconciliation as remittances, where their amounts say what a remittance says.

FHIR leaves open which adjudications reduce a payment. What R4's own category codes and X12's adjustment groups name is read;
only when charge less adjustments then is the payment, to the cent, it is a remittance, else the caller keeps a record.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from hilum.formats.canonical import (
    Adjustment,
    ClaimPayment,
    Party,
    ProviderAdjustment,
    Remittance,
    ServicePayment,
)
from hilum.formats.fhir.resolving import Json, Resources, amount, code, codings, number_of, objects, span, text

_PATIENT_SHARE = {"deductible": "1", "coinsurance": "2", "coins": "2", "copay": "3"}
"""R4's adjudication codes for the patient's share, and the adjustment reason each is in a remittance."""
_GROUPS = frozenset({"CO", "PR", "OA", "PI", "CR"})
_PAID = ("benefit", "paidtoprovider")
_MOVED = frozenset({"adjustment", "advance"})


def remittance(resource: Json, resources: Resources) -> Remittance | None:
    """The remittance a resource is, or None when it does not say enough to be one."""
    if resource.get("status") != "active":
        return None
    if resource.get("resourceType") == "PaymentReconciliation":
        return _of_reconciliation(resource, resources)
    payment = resource.get("payment")
    paid = amount(payment.get("amount")) if isinstance(payment, dict) else None
    payer = resources.party(resource.get("insurer"), resource)
    payee_reference = resource.get("payee")
    payee = resources.party(payee_reference.get("party"), resource) if isinstance(payee_reference, dict) else None
    payee = payee or resources.party(resource.get("provider"), resource)
    if paid is None or payer is None or payee is None or not isinstance(payment, dict):
        return None
    claim = _claim_payment(resource, paid, resources)
    if claim is None:
        return None
    held = payment.get("identifier")
    return Remittance(
        control_number=number_of(resource),
        payer=payer,
        payee=payee,
        trace_number=text(held, "value"),
        amount=paid,
        credit=paid >= 0,
        payment_date=text(payment, "date"),
        production_date=text(resource, "created"),
        claims=(claim,),
        balanced=True,
        difference=Decimal(0),
    )


def _of_reconciliation(resource: Json, resources: Resources) -> Remittance | None:
    """A bulk payment, when the document has what was decided on each claim it pays."""
    paid = amount(resource.get("paymentAmount"))
    payer = resources.party(resource.get("paymentIssuer"), resource)
    claims: list[ClaimPayment] = []
    moved: list[ProviderAdjustment] = []
    payee: Party | None = None
    paid_before: set[int] = set()
    for detail in objects(resource.get("detail")):
        part = amount(detail.get("amount"))
        kind = code(detail.get("type"))
        payee = payee or resources.party(detail.get("payee"), resource)
        if part is None:
            return None
        if kind in _MOVED:
            provider = resources.party(detail.get("payee"), resource)
            name = provider.identifiers[0].value if provider and provider.identifiers else None
            held = detail.get("identifier")
            moved.append(
                ProviderAdjustment(provider=name or "", reason=kind or "", reference=text(held, "value"), amount=-part)
            )
            continue
        decided = resources.follow(detail.get("response"), resource)
        if decided is None or id(decided) in paid_before:
            # One decision is one payment; what names it again is something that this shape cannot say.
            return None
        paid_before.add(id(decided))
        claim = _claim_payment(decided, part, resources)
        if claim is None:
            return None
        claims.append(claim)
    payee = payee or resources.party(resource.get("requestor"), resource)
    if paid is None or payer is None or payee is None or not claims:
        return None
    difference = paid - (sum((c.paid for c in claims), Decimal(0)) - sum((m.amount for m in moved), Decimal(0)))
    return Remittance(
        control_number=number_of(resource),
        payer=payer,
        payee=payee,
        trace_number=text(resource.get("paymentIdentifier"), "value"),
        amount=paid,
        credit=paid >= 0,
        payment_date=text(resource, "paymentDate"),
        production_date=text(resource, "created"),
        claims=tuple(claims),
        provider_adjustments=tuple(moved),
        balanced=difference == 0,
        difference=difference,
    )


def _claim_payment(decided: Json, paid: Decimal, resources: Resources) -> ClaimPayment | None:
    """One claim's decision from an ExplanationOfBenefit or a ClaimResponse; None when its amounts do not add up."""
    number = _claim_number(decided, resources)
    items = objects(decided.get("item"))
    charge = _category_total(decided, "submitted")
    if charge is None:
        nets = [amount(item.get("net")) or _adjudicated(item, ("submitted",)) for item in items]
        told = [net for net in nets if net is not None]
        charge = sum(told, Decimal(0)) if told and len(told) == len(items) else None
    if number is None or charge is None or decided.get("outcome") not in ("complete", "partial"):
        return None
    services = [_service(item) for item in items]
    whole = [service for service in services if service is not None]
    own = _adjustments(objects(decided.get("adjudication")))
    below = [one for service in whole for one in service.adjustments]
    if charge - _sum(own) - _sum(below) != paid:
        return None
    share = _sum([one for one in (*own, *below) if one.group == "PR"])
    return ClaimPayment(
        claim_number=number,
        payer_claim_number=number_of(decided),
        status="1",
        charge=charge,
        paid=paid,
        patient_responsibility=share,
        patient=resources.party(decided.get("patient"), decided),
        statement_from=text(decided.get("billablePeriod"), "start"),
        statement_to=text(decided.get("billablePeriod"), "end"),
        adjustments=tuple(own),
        services=tuple(whole) if len(whole) == len(items) else (),
        balanced=True,
    )


def _claim_number(decided: Json, resources: Resources) -> str | None:
    reference = decided.get("claim") or decided.get("request")
    claim = resources.follow(reference, decided)
    if claim is not None:
        return number_of(claim)
    own = reference.get("identifier") if isinstance(reference, dict) else None
    if (value := text(own, "value")) is not None:
        return value
    literal = text(reference, "reference")
    return literal.rpartition("/")[2].rpartition(":")[2] if literal else None


def _service(item: Json) -> ServicePayment | None:
    charge = amount(item.get("net")) or _adjudicated(item, ("submitted",))
    paid = _adjudicated(item, _PAID)
    adjustments = _adjustments(objects(item.get("adjudication")))
    if charge is None or paid is None or charge - _sum(adjustments) != paid:
        return None
    start, end = span(item, "serviced")
    procedure = next((one for one in codings(item.get("productOrService")) if text(one, "code")), {})
    modifiers = (code(one) for one in objects(item.get("modifier")))
    return ServicePayment(
        procedure=text(procedure, "code"),
        procedure_kind=text(procedure, "system"),
        modifiers=tuple(one for one in modifiers if one is not None),
        revenue_code=code(item.get("revenue")),
        charge=charge,
        paid=paid,
        allowed=_adjudicated(item, ("eligible",)),
        units=amount(item.get("quantity")),
        service_from=start,
        service_to=end,
        adjustments=tuple(adjustments),
    )


def _adjustments(rows: list[Json]) -> list[Adjustment]:
    told: list[Adjustment] = []
    for row in rows:
        category, reason, taken = code(row.get("category")), code(row.get("reason")), amount(row.get("amount"))
        if taken is None or not taken or category is None:
            continue
        if category in _PATIENT_SHARE:
            told.append(Adjustment(group="PR", reason=_PATIENT_SHARE[category], amount=taken))
        elif category in _GROUPS and reason is not None:
            told.append(Adjustment(group=category, reason=reason, amount=taken))
    return told


def _adjudicated(item: Json, categories: tuple[str, ...]) -> Decimal | None:
    rows = objects(item.get("adjudication"))
    return next(
        (
            found
            for row in rows
            if code(row.get("category")) in categories and (found := amount(row.get("amount"))) is not None
        ),
        None,
    )


def _category_total(decided: Json, category: str) -> Decimal | None:
    rows = objects(decided.get("total"))
    return next(
        (
            found
            for row in rows
            if code(row.get("category")) == category and (found := amount(row.get("amount"))) is not None
        ),
        None,
    )


def _sum(adjustments: Sequence[Adjustment]) -> Decimal:
    return sum((one.amount for one in adjustments), Decimal(0))
