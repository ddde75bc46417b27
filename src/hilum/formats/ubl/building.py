"""Writing new UBL 2.1 documents from the shapes every format shares.

What comes back from ``convert`` is compared with what was given, so that nothing is dropped without a word: a document that
UBL cannot carry whole is refused, and the refusal names the place.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from hilum.formats import canonical
from hilum.formats.ubl.building_invoices import write_invoice
from hilum.formats.ubl.building_parts import (
    allowances,
    amount,
    basic,
    day_and_time,
    delivery,
    inside,
    item,
    party,
    quantity,
)
from hilum.formats.ubl.conversion import LINE_CODES, RESPONSE_CODES, convert
from hilum.formats.ubl.document import UblDocument, new_root
from hilum.formats.ubl.errors import CannotWrite
from hilum.formats.ubl.validation import validate
from hilum.formats.xml import Element

Buildable = canonical.Order | canonical.OrderResponse | canonical.ShipNotice | canonical.Invoice

EN16931 = "urn:cen.eu:en16931:2017"
PEPPOL_BILLING = "urn:cen.eu:en16931:2017#compliant#urn:fdc:peppol.eu:2017:poacc:billing:3.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What a document says of itself: the use of UBL and the process it belongs to; with :data:`EN16931` or
    :data:`PEPPOL_BILLING` an invoice has to keep the rules of EN 16931."""

    customization: str | None = None
    process: str | None = None


def build(
    document: Buildable, profile: Profile | None = None, *, number: str | None = None, sequence: str = "1"
) -> UblDocument:
    """The document as UBL that validates and converts back to an equal one; raises :class:`CannotWrite` where it cannot be.

    ``number`` is the own number of an order change or cancellation, ``sequence`` says which change it is. Lines without a
    number are numbered 1, 2, 3.
    """
    whole = _completed(document)
    if isinstance(whole, canonical.Order):
        kind = {"original": "Order", "change": "OrderChange", "cancel": "OrderCancellation"}.get(whole.purpose, "Order")
    elif isinstance(whole, canonical.OrderResponse):
        kind = "OrderResponse"
    elif isinstance(whole, canonical.ShipNotice):
        kind = "DespatchAdvice"
    else:
        kind = "CreditNote" if whole.credit else "Invoice"
    root = new_root(kind)
    try:
        basic(root, "UBLVersionID", "2.1")
        if profile is not None:
            basic(root, "CustomizationID", profile.customization)
            basic(root, "ProfileID", profile.process)
        if isinstance(whole, canonical.Order):
            _order(root, whole, kind, number, sequence)
        elif isinstance(whole, canonical.OrderResponse):
            _response(root, whole)
        elif isinstance(whole, canonical.ShipNotice):
            _ship_notice(root, whole)
        else:
            write_invoice(root, whole)
    except ValueError:
        # lxml says so of control characters, which XML 1.0 cannot hold in any spelling.
        raise CannotWrite("unwritable", "A text has a character that XML does not allow") from None
    built = UblDocument(kind=kind, root=root)
    wrong = [finding for finding in validate(built) if finding.severity == "error"]
    if wrong:
        raise CannotWrite(
            "unwritable", f"UBL requires more than it has: {wrong[0].code}: {wrong[0].text}", wrong[0].location
        )
    back = convert(built)
    if back != [whole]:
        raise CannotWrite(
            "unwritable",
            "UBL has no place for what stands here",
            canonical.difference(whole, back[0] if back else None),
        )
    return built


def _completed(document: Buildable) -> Buildable:
    """The document with what UBL must have and the document implies."""
    lines = tuple(replace(line, number=line.number or str(at)) for at, line in enumerate(document.lines, 1))
    if isinstance(document, canonical.ShipNotice):
        first = document.order_numbers[0] if len(document.order_numbers) == 1 else None
        return replace(document, lines=tuple(replace(line, order_number=line.order_number or first) for line in lines))
    return replace(document, lines=lines)


def _order(root: Element, order: canonical.Order, kind: str, number: str | None, sequence: str) -> None:
    changes = kind != "Order"
    basic(root, "ID", number if changes and number is not None else order.number)
    day_and_time(root, "Issue", order.date)
    if kind == "OrderChange":
        basic(root, "SequenceNumberID", sequence)
    if kind == "OrderCancellation":
        basic(root, "CancellationNote", "The order is cancelled")
    else:
        basic(root, "DocumentCurrencyCode", order.currency)
    if changes:
        basic(inside(root, "OrderReference"), "ID", order.number)
    if order.contract is not None:
        basic(inside(root, "Contract"), "ID", order.contract)
    party(inside(root, "BuyerCustomerParty"), "Party", order.buyer)
    party(inside(root, "SellerSupplierParty"), "Party", order.seller)
    if order.bill_to is not None:
        party(inside(root, "AccountingCustomerParty"), "Party", order.bill_to)
    delivery(root, order.ship_to, "Requested", order.requested)
    allowances(root, order.allowances, order.currency)
    if order.total is not None:
        amount(inside(root, "AnticipatedMonetaryTotal"), "PayableAmount", order.total, order.currency)
    for line in order.lines:
        _order_line(inside(root, "OrderLine"), line, order.currency, "Requested")


def _order_line(holder: Element, line: canonical.DocumentLine, currency: str | None, period: str) -> None:
    element = inside(holder, "LineItem")
    basic(element, "ID", line.number)
    basic(element, "LineStatusCode", LINE_CODES.get(line.status, line.status) if line.status is not None else None)
    quantity(element, "Quantity", line)
    amount(element, "LineExtensionAmount", line.amount, currency)
    delivery(element, None, period, line.promised)
    allowances(element, line.allowances, currency)
    if line.price is not None:
        amount(inside(element, "Price"), "PriceAmount", line.price, currency)
    item(element, line)


def _response(root: Element, response: canonical.OrderResponse) -> None:
    basic(root, "ID", response.number)
    day_and_time(root, "Issue", response.date)
    basic(root, "OrderResponseCode", RESPONSE_CODES.get(response.status, response.status))
    basic(root, "DocumentCurrencyCode", response.currency)
    basic(inside(root, "OrderReference"), "ID", response.order_number)
    party(inside(root, "SellerSupplierParty"), "Party", response.seller)
    party(inside(root, "BuyerCustomerParty"), "Party", response.buyer)
    for line in response.lines:
        holder = inside(root, "OrderLine")
        _order_line(holder, line, response.currency, "Promised")
        if line.order_line is not None:
            basic(inside(holder, "OrderLineReference"), "LineID", line.order_line)


def _ship_notice(root: Element, notice: canonical.ShipNotice) -> None:
    basic(root, "ID", notice.number)
    day_and_time(root, "Issue", notice.date)
    for order in notice.order_numbers:
        basic(inside(root, "OrderReference"), "ID", order)
    party(inside(root, "DespatchSupplierParty"), "Party", notice.ship_from)
    party(inside(root, "DeliveryCustomerParty"), "Party", notice.ship_to)
    if notice.shipped or notice.expected or notice.carrier is not None or notice.tracking_numbers:
        shipment = inside(root, "Shipment")
        basic(shipment, "ID", notice.number)
        element = inside(shipment, "Delivery")
        basic(element, "TrackingID", notice.tracking_numbers[0] if notice.tracking_numbers else None)
        if notice.expected is not None:
            day_and_time(inside(element, "EstimatedDeliveryPeriod"), "End", notice.expected)
        if notice.carrier is not None:
            party(element, "CarrierParty", canonical.Party(name=notice.carrier))
        if notice.shipped is not None:
            day_and_time(inside(element, "Despatch"), "ActualDespatch", notice.shipped)
        for tracking in notice.tracking_numbers[1:]:
            basic(inside(shipment, "TransportHandlingUnit"), "TraceID", tracking)
    for line in notice.lines:
        element = inside(root, "DespatchLine")
        basic(element, "ID", line.number)
        quantity(element, "DeliveredQuantity", line)
        reference = inside(element, "OrderLineReference")
        basic(reference, "LineID", line.order_line)
        if line.order_number is not None:
            basic(inside(reference, "OrderReference"), "ID", line.order_number)
        item(element, line)
