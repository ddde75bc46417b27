"""What a UBL document says, in the shapes every format shares."""

from __future__ import annotations

from decimal import Decimal

from hilum.formats import canonical
from hilum.formats.ubl.document import NS, UblDocument
from hilum.formats.ubl.parts import (
    allowances_of,
    delivered_to,
    description_of,
    item_identifiers,
    moment_at,
    party_at,
    party_of,
    taxes_of,
    text_at,
    unit_price,
)
from hilum.formats.ubl.rules import lines_of
from hilum.formats.ubl.totals import ZERO, amount_of, foreign_amounts
from hilum.formats.xml import Element, text_of
from hilum.formats.xml_outline import content_of

# UNTDID 4343 as Peppol uses it, with the older numbers, and the line status codes of UNTDID 1229 and of UBL's own list.
RESPONSES = {"AP": "accepted", "RE": "rejected", "CA": "changed", "29": "accepted", "27": "rejected", "30": "changed"}
RESPONSE_CODES = {"accepted": "AP", "rejected": "RE", "changed": "CA"}
LINE_STATES = {"5": "accepted", "3": "changed", "7": "rejected", "Cancelled": "deleted", "Revised": "changed"}
LINE_CODES = {"accepted": "5", "changed": "3", "rejected": "7", "deleted": "Cancelled"}


def convert(document: UblDocument) -> list[canonical.Canonical]:
    """One canonical document, or none where the numbers it is known by are missing (``validate`` says which).

    Dates are as the source writes them; a credit note's amounts are positive there too.
    """
    root = document.root
    told: canonical.Canonical | None
    match document.kind:
        case "Order" | "OrderChange":
            told = _order(document)
        case "OrderCancellation":
            told = _cancellation(root)
        case "OrderResponse":
            told = _response(root)
        case "OrderResponseSimple":
            told = _simple_response(root)
        case "DespatchAdvice":
            told = _ship_notice(root)
        case "Invoice" | "CreditNote":
            told = _invoice(document)
        case _:
            told = canonical.Record(type=document.kind, control_number=document.number, content=content_of(root))
    return [told] if told is not None else []


def _order(document: UblDocument) -> canonical.Order | None:
    root = document.root
    change = document.kind == "OrderChange"
    number = text_at(root, "cac:OrderReference/cbc:ID") if change else document.number
    if number is None:
        return None
    delivery = root.find("cac:Delivery", NS)
    return canonical.Order(
        number=number,
        purpose="change" if change else "original",
        date=moment_at(root, "cbc:IssueDate"),
        currency=_currency(root),
        buyer=party_at(root, "cac:BuyerCustomerParty/cac:Party"),
        seller=party_at(root, "cac:SellerSupplierParty/cac:Party"),
        ship_to=delivered_to(delivery),
        bill_to=party_at(root, "cac:AccountingCustomerParty/cac:Party"),
        requested=_start(delivery, "Requested"),
        contract=text_at(root, "cac:Contract/cbc:ID"),
        total=amount_of(root, "cac:AnticipatedMonetaryTotal/cbc:PayableAmount"),
        lines=_order_lines(root, response=False),
        allowances=allowances_of(root),
    )


def _currency(root: Element) -> str | None:
    """The document's currency, or, in 2.0 documents that name none, that of the first amount."""
    told = text_at(root, "cbc:DocumentCurrencyCode")
    if told is not None:
        return told
    return next((part.get("currencyID") for part in root.iter(f"{{{NS['cbc']}}}*") if part.get("currencyID")), None)


def _start(delivery: Element | None, kind: str) -> str | None:
    """When a Delivery's period of this kind starts, or ends where it has no start."""
    start = moment_at(delivery, f"cac:{kind}DeliveryPeriod/cbc:StartDate")
    return start if start is not None else moment_at(delivery, f"cac:{kind}DeliveryPeriod/cbc:EndDate")


def _cancellation(root: Element) -> canonical.Order | None:
    number = text_at(root, "cac:OrderReference/cbc:ID")
    if number is None:
        return None
    return canonical.Order(
        number=number,
        purpose="cancel",
        date=moment_at(root, "cbc:IssueDate"),
        buyer=party_at(root, "cac:BuyerCustomerParty/cac:Party"),
        seller=party_at(root, "cac:SellerSupplierParty/cac:Party"),
        contract=text_at(root, "cac:Contract/cbc:ID"),
    )


def _order_lines(root: Element, response: bool) -> tuple[canonical.DocumentLine, ...]:
    lines = []
    for line in root.iterfind("cac:OrderLine", NS):
        item = line.find("cac:LineItem", NS)
        if item is not None:
            lines.append(_order_line(line, item, response))
    return tuple(lines)


def _order_line(line: Element, item: Element, response: bool) -> canonical.DocumentLine:
    quantity = item.find("cbc:Quantity", NS)
    state = text_at(item, "cbc:LineStatusCode")
    of_order = text_at(line, "cac:OrderLineReference/cbc:LineID") if response else None
    return canonical.DocumentLine(
        number=text_at(item, "cbc:ID"),
        order_line=of_order,
        identifiers=item_identifiers(item.find("cac:Item", NS)),
        description=description_of(item.find("cac:Item", NS)),
        quantity=amount_of(item, "cbc:Quantity"),
        unit=quantity.get("unitCode") if quantity is not None else None,
        price=unit_price(item, quantity),
        amount=amount_of(item, "cbc:LineExtensionAmount"),
        status=LINE_STATES.get(state, state) if state is not None else None,
        promised=_start(item.find("cac:Delivery", NS), "Promised" if response else "Requested"),
        lot=text_at(item, "cac:Item/cac:ItemInstance/cac:LotIdentification/cbc:LotNumberID"),
        serial=text_at(item, "cac:Item/cac:ItemInstance/cbc:SerialID"),
        expires=text_at(item, "cac:Item/cac:ItemInstance/cac:LotIdentification/cbc:ExpiryDate"),
        allowances=allowances_of(item),
    )


def _response(root: Element) -> canonical.OrderResponse | None:
    order, code = text_at(root, "cac:OrderReference/cbc:ID"), text_at(root, "cbc:OrderResponseCode")
    if order is None:
        return None
    lines = _order_lines(root, response=True)
    states = {line.status for line in lines}
    # Before 2.1 there was no code for the whole; what the lines say, says it.
    status = "accepted" if states <= {"accepted", None} else ("rejected" if states == {"rejected"} else "changed")
    return canonical.OrderResponse(
        order_number=order,
        number=text_at(root, "cbc:ID"),
        status=RESPONSES.get(code, code) if code is not None else status,
        date=moment_at(root, "cbc:IssueDate"),
        currency=_currency(root),
        buyer=party_at(root, "cac:BuyerCustomerParty/cac:Party"),
        seller=party_at(root, "cac:SellerSupplierParty/cac:Party"),
        lines=lines,
    )


def _simple_response(root: Element) -> canonical.OrderResponse | None:
    order, accepted = text_at(root, "cac:OrderReference/cbc:ID"), text_at(root, "cbc:AcceptedIndicator")
    if order is None or accepted is None:
        return None
    return canonical.OrderResponse(
        order_number=order,
        number=text_at(root, "cbc:ID"),
        status="accepted" if accepted in ("true", "1") else "rejected",
        date=moment_at(root, "cbc:IssueDate"),
        buyer=party_at(root, "cac:BuyerCustomerParty/cac:Party"),
        seller=party_at(root, "cac:SellerSupplierParty/cac:Party"),
    )


def _ship_notice(root: Element) -> canonical.ShipNotice | None:
    number = text_at(root, "cbc:ID")
    if number is None:
        return None
    shipment = root.find("cac:Shipment", NS)
    delivery = shipment.find("cac:Delivery", NS) if shipment is not None else None
    lines = tuple(_despatched(line) for line in root.iterfind("cac:DespatchLine", NS))
    orders = [text_of(part) for part in root.iterfind("cac:OrderReference/cbc:ID", NS)]
    orders += [line.order_number for line in lines]
    carrier = delivery.find("cac:CarrierParty", NS) if delivery is not None else None
    tracking = [text_at(delivery, "cbc:TrackingID")]
    if shipment is not None:
        tracking += [text_of(part) for part in shipment.iterfind("cac:TransportHandlingUnit/cbc:TraceID", NS)]
    to = delivered_to(delivery)
    expected = moment_at(delivery, "cac:EstimatedDeliveryPeriod/cbc:EndDate")
    return canonical.ShipNotice(
        number=number,
        date=moment_at(root, "cbc:IssueDate"),
        shipped=moment_at(delivery, "cac:Despatch/cbc:ActualDespatchDate"),
        expected=expected if expected is not None else _start(delivery, "Estimated"),
        carrier=party_of(carrier).name if carrier is not None else None,
        tracking_numbers=tuple(part for part in tracking if part is not None),
        ship_from=party_at(root, "cac:DespatchSupplierParty/cac:Party"),
        ship_to=to if to is not None else party_at(root, "cac:DeliveryCustomerParty/cac:Party"),
        order_numbers=tuple(dict.fromkeys(part for part in orders if part is not None)),
        lines=lines,
    )


def _despatched(line: Element) -> canonical.DocumentLine:
    quantity, item = line.find("cbc:DeliveredQuantity", NS), line.find("cac:Item", NS)
    return canonical.DocumentLine(
        number=text_at(line, "cbc:ID"),
        order_number=text_at(line, "cac:OrderLineReference/cac:OrderReference/cbc:ID"),
        order_line=text_at(line, "cac:OrderLineReference/cbc:LineID"),
        identifiers=item_identifiers(item),
        description=description_of(item),
        quantity=amount_of(line, "cbc:DeliveredQuantity"),
        unit=quantity.get("unitCode") if quantity is not None else None,
        lot=text_at(item, "cac:ItemInstance/cac:LotIdentification/cbc:LotNumberID"),
        serial=text_at(item, "cac:ItemInstance/cbc:SerialID"),
        expires=text_at(item, "cac:ItemInstance/cac:LotIdentification/cbc:ExpiryDate"),
    )


def _invoice(document: UblDocument) -> canonical.Invoice | None:
    root, totals = document.root, document.root.find("cac:LegalMonetaryTotal", NS)
    if document.number is None or totals is None:
        return None
    inclusive, due = amount_of(totals, "cbc:TaxInclusiveAmount"), amount_of(totals, "cbc:PayableAmount")
    total = inclusive if inclusive is not None else due
    if total is None:
        return None
    currency = _currency(root)
    lines = tuple(_invoice_line(line, currency) for line in lines_of(root))
    allowances, taxes = allowances_of(root), taxes_of(root, currency)
    meant = sum((line.amount for line in lines if line.amount is not None), ZERO) + sum(
        (tax.amount for tax in taxes), ZERO
    )
    meant += sum(((part.amount if part.charge else -part.amount) for part in allowances), Decimal(0))
    dated = text_at(root, "cbc:DueDate")
    return canonical.Invoice(
        number=document.number,
        credit=document.kind == "CreditNote",
        date=moment_at(root, "cbc:IssueDate"),
        due=dated if dated is not None else text_at(root, "cac:PaymentMeans/cbc:PaymentDueDate"),
        currency=currency,
        order_number=text_at(root, "cac:OrderReference/cbc:ID"),
        buyer=party_at(root, "cac:AccountingCustomerParty/cac:Party"),
        seller=party_at(root, "cac:AccountingSupplierParty/cac:Party"),
        ship_to=delivered_to(root.find("cac:Delivery", NS)),
        remit_to=party_at(root, "cac:PayeeParty"),
        total=total,
        payable=due if due != total else None,
        net=amount_of(totals, "cbc:LineExtensionAmount"),
        lines=lines,
        allowances=allowances,
        taxes=taxes,
        balanced=total == meant and next(foreign_amounts(root, currency), None) is None,
    )


def _invoice_line(line: Element, currency: str | None) -> canonical.DocumentLine:
    quantity = line.find("cbc:InvoicedQuantity", NS)
    if quantity is None:
        quantity = line.find("cbc:CreditedQuantity", NS)
    item = line.find("cac:Item", NS)
    counted = amount_of(line, "cbc:InvoicedQuantity")
    return canonical.DocumentLine(
        number=text_at(line, "cbc:ID"),
        order_number=text_at(line, "cac:OrderLineReference/cac:OrderReference/cbc:ID"),
        order_line=text_at(line, "cac:OrderLineReference/cbc:LineID"),
        identifiers=item_identifiers(item),
        description=description_of(item),
        quantity=counted if counted is not None else amount_of(line, "cbc:CreditedQuantity"),
        unit=quantity.get("unitCode") if quantity is not None else None,
        price=unit_price(line, quantity),
        amount=amount_of(line, "cbc:LineExtensionAmount"),
        lot=text_at(item, "cac:ItemInstance/cac:LotIdentification/cbc:LotNumberID"),
        serial=text_at(item, "cac:ItemInstance/cbc:SerialID"),
        expires=text_at(item, "cac:ItemInstance/cac:LotIdentification/cbc:ExpiryDate"),
        allowances=allowances_of(line),
        taxes=taxes_of(line, currency),
    )
