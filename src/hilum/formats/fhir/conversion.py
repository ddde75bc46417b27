"""FHIR resources as canonical documents: claims, remittances, invoices, orders, ship notices; all others as records.

A shape is used only where the resource says all that the shape claims; a Claim without amounts or a delivery that has
already arrived stays a record, whose content is the resource itself.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

from hilum.formats.canonical import (
    Allowance,
    Canonical,
    Claim,
    DocumentLine,
    Identifier,
    Invoice,
    Order,
    Record,
    Remittance,
    ServiceLine,
    ShipNotice,
    Tax,
)
from hilum.formats.fhir.document import Document
from hilum.formats.fhir.remittances import remittance
from hilum.formats.fhir.resolving import (
    SCHEMES,
    Json,
    Resources,
    amount,
    code,
    codings,
    currencies,
    exact,
    number_of,
    objects,
    span,
    text,
)

_CLAIM_TYPES = {"professional": "professional", "institutional": "institutional", "oral": "dental"}


def convert(document: Document) -> list[Canonical]:
    """One canonical document per resource, those of a Bundle one by one with their references followed inside it."""
    resources = Resources(document)
    return [_one(resource, resources) for resource in document.entries()]


def _one(resource: Json, resources: Resources) -> Canonical:
    kind = resource.get("resourceType")
    made: Canonical | None = None
    said = currencies(resource, *_decided(resource, resources))
    if len(said) > 1:
        # Amounts in two currencies have no sum, and the shapes name one currency for all.
        pass
    elif kind == "Claim":
        made = _claim(resource, resources)
    elif kind in ("ExplanationOfBenefit", "PaymentReconciliation"):
        made = remittance(resource, resources)
    elif kind == "Invoice":
        made = _invoice(resource, resources)
    elif kind == "SupplyRequest":
        made = _order(resource, resources)
    elif kind == "SupplyDelivery":
        made = _ship_notice(resource, resources)
    if isinstance(made, Claim | Remittance):
        made = replace(made, currency=next(iter(said), None))
    if made is not None:
        return made
    return Record(
        type=kind if isinstance(kind, str) else "unknown", control_number=number_of(resource), content=resource
    )


def _decided(resource: Json, resources: Resources) -> list[Json]:
    """The decisions that a bulk payment pays, whose amounts become its own."""
    if resource.get("resourceType") != "PaymentReconciliation":
        return []
    followed = (resources.follow(detail.get("response"), resource) for detail in objects(resource.get("detail")))
    return list({id(part): part for part in followed if part is not None}.values())


# --- claims ----------------------------------------------------------------------------------------------------------


def _claim(claim: Json, resources: Resources) -> Claim | None:
    kind = next(
        (_CLAIM_TYPES[c] for one in codings(claim.get("type")) if (c := text(one, "code")) in _CLAIM_TYPES), None
    )
    number = number_of(claim)
    if kind is None or number is None or claim.get("status") != "active" or claim.get("use") != "claim":
        return None
    services = [_service(item) for item in objects(claim.get("item"))]
    lines = [service for service in services if service is not None]
    if len(lines) != len(services):
        return None
    charged = sum((line.charge for line in lines), Decimal(0))
    total = amount(claim.get("total"))
    if total is None and not lines:
        return None
    coverage = _focal_coverage(claim, resources)
    payors = objects(coverage.get("payor")) if coverage else []
    start, end = text(claim.get("billablePeriod"), "start"), text(claim.get("billablePeriod"), "end")
    rendering = [one for one in objects(claim.get("careTeam")) if code(one.get("role")) in ("rendering", "performing")]
    return Claim(
        type=kind,
        claim_number=number,
        charge=charged if total is None else total,
        submitter=resources.party(claim.get("enterer"), claim),
        billing_provider=resources.party(claim.get("provider"), claim),
        subscriber=resources.party(coverage.get("subscriber"), coverage) if coverage else None,
        patient=resources.party(claim.get("patient"), claim),
        payer=resources.party(claim.get("insurer"), claim)
        or (resources.party(payors[0], coverage or claim) if payors else None),
        rendering_provider=resources.party(rendering[0].get("provider"), claim) if rendering else None,
        statement_from=start,
        statement_to=end,
        diagnoses=_diagnoses(claim, resources),
        services=tuple(lines),
        balanced=total is None or not lines or total == charged,
    )


def _focal_coverage(claim: Json, resources: Resources) -> Json | None:
    insurances = objects(claim.get("insurance"))
    focal = next((one for one in insurances if one.get("focal") is True), insurances[0] if insurances else {})
    return resources.follow(focal.get("coverage"), claim)


def _service(item: Json) -> ServiceLine | None:
    charge = amount(item.get("net"))
    units = amount(item.get("quantity"))
    if charge is None:
        price, factor = amount(item.get("unitPrice")), exact(item.get("factor", 1))
        if price is None or factor is None:
            return None
        charge = price * factor * (Decimal(1) if units is None else units)
    start, end = span(item, "serviced")
    procedure = next((one for one in codings(item.get("productOrService")) if text(one, "code")), {})
    modifiers = (code(one) for one in objects(item.get("modifier")))
    pointers = item.get("diagnosisSequence")
    return ServiceLine(
        number=str(item.get("sequence", "")) or "1",
        procedure=text(procedure, "code"),
        procedure_kind=text(procedure, "system"),
        modifiers=tuple(one for one in modifiers if one is not None),
        revenue_code=code(item.get("revenue")),
        charge=charge,
        units=units,
        unit=text(item.get("quantity"), "code") or text(item.get("quantity"), "unit"),
        service_from=start,
        service_to=end,
        diagnosis_pointers=tuple(str(one) for one in pointers) if isinstance(pointers, list) else (),
    )


def _diagnoses(claim: Json, resources: Resources) -> tuple[str, ...]:
    rows = objects(claim.get("diagnosis"))
    rows.sort(key=lambda row: row["sequence"] if type(row.get("sequence")) is int else 0)
    told: list[str] = []
    for row in rows:
        condition = resources.follow(row.get("diagnosisReference"), claim)
        found = code(row.get("diagnosisCodeableConcept")) or (code(condition.get("code")) if condition else None)
        if found is not None:
            told.append(found)
    return tuple(told)


# --- patient invoices --------------------------------------------------------------------------------------------------


def _invoice(invoice: Json, resources: Resources) -> Invoice | None:
    number = number_of(invoice)
    net, gross = amount(invoice.get("totalNet")), amount(invoice.get("totalGross"))
    total = net if gross is None else gross
    if number is None or total is None or invoice.get("status") in ("draft", "cancelled", "entered-in-error"):
        return None
    lines = tuple(_invoice_line(line, invoice, resources) for line in objects(invoice.get("lineItem")))
    told = [line.amount for line in lines if line.amount is not None]
    taxes = sum((tax.amount for line in lines for tax in line.taxes), Decimal(0))
    charged = sum(told, Decimal(0))
    complete = len(told) == len(lines)
    balanced = not lines or not complete or charged + taxes == total or (gross is not None and net == charged)
    allowances, more = _whole(invoice)
    moved = sum(((part.amount if part.charge else -part.amount) for part in allowances), Decimal(0))
    if not balanced and charged + moved + taxes + sum((tax.amount for tax in more), Decimal(0)) == total:
        balanced = True
    elif lines:
        # What is told of the whole is what the lines add up to, told once more.
        allowances, more = (), ()
    money = invoice.get("totalNet") if gross is None else invoice.get("totalGross")
    return Invoice(
        number=number,
        date=text(invoice, "date"),
        currency=text(money, "currency"),
        buyer=resources.party(invoice.get("recipient"), invoice) or resources.party(invoice.get("subject"), invoice),
        seller=resources.party(invoice.get("issuer"), invoice),
        total=total,
        net=charged if allowances else net,
        lines=lines,
        allowances=allowances,
        taxes=more,
        balanced=balanced,
    )


def _whole(invoice: Json) -> tuple[tuple[Allowance, ...], tuple[Tax, ...]]:
    """Surcharges, deductions and taxes of the invoice as a whole (``totalPriceComponent``)."""
    allowances: list[Allowance] = []
    for part in objects(invoice.get("totalPriceComponent")):
        kind, found = text(part, "type"), amount(part.get("amount"))
        if found is not None and kind in ("surcharge", "deduction", "discount"):
            charge = kind == "surcharge"
            told = found if charge else abs(found)
            allowances.append(
                Allowance(charge=charge, amount=told, code=code(part.get("code")), text=_description(part.get("code")))
            )
    return tuple(allowances), _taxes(invoice.get("totalPriceComponent"))


def _taxes(parts: Any) -> tuple[Tax, ...]:
    return tuple(
        Tax(amount=found, kind=code(part.get("code")), rate_percent=_percent(part.get("factor")))
        for part in objects(parts)
        if part.get("type") == "tax" and (found := amount(part.get("amount"))) is not None
    )


def _invoice_line(line: Json, invoice: Json, resources: Resources) -> DocumentLine:
    charge = resources.follow(line.get("chargeItemReference"), invoice)
    concept = line.get("chargeItemCodeableConcept") or (charge.get("code") if charge else None)
    parts = objects(line.get("priceComponent"))
    signs = {"base": 1, "surcharge": 1, "deduction": -1, "discount": -1}
    # A deduction may be written as a negative amount or as a positive one to be taken off: both lower the line.
    amounts = [
        (abs(found) * sign if sign < 0 else found)
        for part in parts
        if (sign := signs.get(text(part, "type") or "")) and (found := amount(part.get("amount"))) is not None
    ]
    base = next((part for part in parts if part.get("type") == "base"), {})
    quantity = charge.get("quantity") if charge else None
    return DocumentLine(
        number=str(line["sequence"]) if type(line.get("sequence")) is int else None,
        identifiers=_item_numbers(concept),
        description=_description(concept),
        quantity=amount(quantity),
        unit=text(quantity, "code") or text(quantity, "unit"),
        price=amount(base.get("amount")) if quantity is None else None,
        amount=sum(amounts, Decimal(0)) if amounts else None,
        taxes=_taxes(parts),
    )


def _percent(factor: Any) -> Decimal | None:
    found = exact(factor)
    return None if found is None else (found * 100).normalize()


# --- supply ------------------------------------------------------------------------------------------------------------


def _item_numbers(concept: Any) -> tuple[Identifier, ...]:
    told: list[Identifier] = []
    for one in codings(concept):
        found, system = text(one, "code"), text(one, "system")
        if found is not None:
            told.append(Identifier(value=found, scheme=SCHEMES.get(system, system) if system else None))
    return tuple(told)


def _description(concept: Any) -> str | None:
    return text(concept, "text") or next((found for one in codings(concept) if (found := text(one, "display"))), None)


def _item(value: Json, resources: Resources, inside: Json) -> tuple[tuple[Identifier, ...], str | None]:
    """The numbers and the words for what is requested or delivered, a code or a Device or Medication."""
    concept = value.get("itemCodeableConcept")
    if concept is not None:
        return _item_numbers(concept), _description(concept)
    reference = value.get("itemReference")
    thing = resources.follow(reference, inside)
    if thing is None:
        party = resources.party(reference, inside)
        return (party.identifiers, party.name) if party else ((), None)
    concept = thing.get("code") or thing.get("type")
    own = resources.party(reference, inside)
    return (own.identifiers if own else ()) + _item_numbers(concept), _description(concept)


def _order(request: Json, resources: Resources) -> Order | None:
    """A request to a named supplier is an order of one line; one that any stockroom may fill is not."""
    number = number_of(request)
    suppliers = objects(request.get("supplier"))
    quantity = request.get("quantity")
    if (
        number is None
        or not suppliers
        or request.get("status") in (None, "draft", "suspended", "entered-in-error", "unknown")
    ):
        return None
    own, words = _item(request, resources, request)
    return Order(
        number=number,
        purpose="cancel" if request.get("status") == "cancelled" else "original",
        date=text(request, "authoredOn"),
        buyer=resources.party(request.get("requester"), request),
        seller=resources.party(suppliers[0], request),
        ship_to=resources.party(request.get("deliverTo"), request),
        requested=span(request, "occurrence")[1],
        lines=(
            DocumentLine(
                number="1",
                identifiers=own,
                description=words,
                quantity=amount(quantity),
                unit=text(quantity, "code") or text(quantity, "unit"),
            ),
        ),
    )


def _ship_notice(delivery: Json, resources: Resources) -> ShipNotice | None:
    """A delivery under way announces goods; one that is completed is a receipt and stays a record."""
    number = number_of(delivery)
    supplied = delivery.get("suppliedItem")
    if number is None or delivery.get("status") != "in-progress" or not isinstance(supplied, dict):
        return None
    own, words = _item(supplied, resources, delivery)
    quantity = supplied.get("quantity")
    requests = (resources.follow(one, delivery) for one in objects(delivery.get("basedOn")))
    orders = tuple(found for one in requests if one is not None and (found := number_of(one)))
    return ShipNotice(
        number=number,
        shipped=span(delivery, "occurrence")[0],
        ship_from=resources.party(delivery.get("supplier"), delivery),
        ship_to=resources.party(delivery.get("destination"), delivery),
        order_numbers=orders,
        lines=(
            DocumentLine(
                number="1",
                order_number=orders[0] if orders else None,
                identifiers=own,
                description=words,
                quantity=amount(quantity),
                unit=text(quantity, "code") or text(quantity, "unit"),
            ),
        ),
    )
