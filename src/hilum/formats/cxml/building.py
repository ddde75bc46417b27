"""Writing new cXML documents from the shapes every format shares.

What comes back from ``convert`` is compared with what was given, so that nothing is dropped without a word: a document that
cXML cannot carry whole is refused, and the refusal names the place.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from lxml import etree

from hilum.formats import canonical
from hilum.formats.cxml.building_invoices import write_invoice
from hilum.formats.cxml.building_parts import (
    add,
    allowance_modifications,
    contact,
    item_detail,
    item_id,
    money,
    plain,
    postal,
    set_all,
)
from hilum.formats.cxml.conversion import convert
from hilum.formats.cxml.document import CxmlDocument, kind_of
from hilum.formats.cxml.errors import CannotWrite
from hilum.formats.cxml.parts import DOMAINS
from hilum.formats.cxml.validation import validate
from hilum.formats.xml import Element

Buildable = canonical.Order | canonical.OrderResponse | canonical.ShipNotice | canonical.Invoice


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What stands around a document: its own number and time (ISO 8601 with zone), who sends it with which secret.

    ``sender`` and ``receiver`` are needed where the document's own parties carry no identifiers (a ship notice has neither).
    """

    payload_id: str
    timestamp: str
    user_agent: str = "Hilum"
    shared_secret: str | None = None
    test: bool = False
    sender: canonical.Party | None = None
    receiver: canonical.Party | None = None


def build(document: Buildable, envelope: Envelope) -> CxmlDocument:
    """The document as cXML that validates and converts back to an equal one; raises :class:`CannotWrite` where it cannot be.

    Lines without a number are numbered 1, 2, 3 and lines of an invoice or ship notice without an order take the document's first.
    """
    whole = _completed(document)
    root = etree.Element("cXML", {"payloadID": envelope.payload_id, "timestamp": envelope.timestamp})
    try:
        _header(root, whole, envelope)
        request = etree.SubElement(root, "Request", {"deploymentMode": "test" if envelope.test else "production"})
        if isinstance(whole, canonical.Order):
            _order(request, whole)
        elif isinstance(whole, canonical.OrderResponse):
            _response(request, whole)
        elif isinstance(whole, canonical.ShipNotice):
            _ship_notice(request, whole)
        else:
            write_invoice(request, whole)
    except ValueError:
        # lxml says so of control characters, which XML 1.0 cannot hold in any spelling.
        raise CannotWrite("unwritable", "A text has a character that XML does not allow") from None
    built = CxmlDocument(kind=kind_of(root), root=root)
    wrong = [finding for finding in validate(built) if finding.severity == "error"]
    if wrong:
        raise CannotWrite("unwritable", f"cXML requires more than it has: {wrong[0].text}", wrong[0].location)
    back = convert(built)
    if back != [whole]:
        raise CannotWrite(
            "unwritable",
            "cXML has no place for what stands here",
            canonical.difference(whole, back[0] if back else None),
        )
    return built


def _completed(document: Buildable) -> Buildable:
    """The document with what cXML must have and the document implies."""
    if isinstance(document, canonical.Order):
        return replace(
            document,
            lines=tuple(replace(line, number=line.number or str(at)) for at, line in enumerate(document.lines, 1)),
        )
    if isinstance(document, canonical.Invoice):
        return replace(
            document,
            lines=tuple(
                replace(line, number=line.number or str(at), order_number=line.order_number or document.order_number)
                for at, line in enumerate(document.lines, 1)
            ),
        )
    if isinstance(document, canonical.ShipNotice):
        first = document.order_numbers[0] if document.order_numbers else None
        return replace(
            document, lines=tuple(replace(line, order_number=line.order_number or first) for line in document.lines)
        )
    return document


def _header(root: Element, document: Buildable, envelope: Envelope) -> None:
    sender, receiver = envelope.sender, envelope.receiver
    if isinstance(document, canonical.Order):
        sender, receiver = sender or document.buyer, receiver or document.seller
    elif not isinstance(document, canonical.ShipNotice):
        sender, receiver = sender or document.seller, receiver or document.buyer
    header = etree.SubElement(root, "Header")
    named = not isinstance(document, canonical.Invoice)
    for side, party in (("From", sender), ("To", receiver)):
        if party is None or not party.identifiers:
            raise CannotWrite("unwritable", "A sender and a receiver with an identifier each are required", side)
        _credentials(etree.SubElement(header, side), party, None, named)
    last = etree.SubElement(header, "Sender")
    if sender is not None:
        _credentials(last, sender, envelope.shared_secret, False)
    add(last, "UserAgent", envelope.user_agent)


def _credentials(side: Element, party: canonical.Party, secret: str | None, named: bool) -> None:
    for identifier in party.identifiers:
        domain = identifier.scheme or ""
        credential = etree.SubElement(side, "Credential", {"domain": DOMAINS.get(domain, domain)})
        add(credential, "Identity", identifier.value)
        if secret is not None:
            add(credential, "SharedSecret", secret)
    if named and replace(party, identifiers=()) != canonical.Party():
        contact(etree.SubElement(side, "Correspondent"), replace(party, identifiers=()), "correspondent")


def _order(request: Element, order: canonical.Order) -> None:
    payload = etree.SubElement(request, "OrderRequest")
    header = etree.SubElement(payload, "OrderRequestHeader", {"orderID": order.number})
    kind = {"original": "new", "change": "update", "cancel": "delete"}.get(order.purpose, order.purpose)
    set_all(header, orderDate=order.date, type=kind, requestedDeliveryDate=order.requested, agreementID=order.contract)
    freight = [part for part in order.allowances if part.charge and part.code == "shipping"][:1]
    rest = [part for part in order.allowances if part not in freight]
    total = etree.SubElement(header, "Total")
    money(total, order.total, order.currency)
    allowance_modifications(total, "Modifications", rest, order.currency)
    for tag, party in (("ShipTo", order.ship_to), ("BillTo", order.bill_to)):
        if party is not None:
            postal(etree.SubElement(header, tag), party)
    for part in freight:
        shipping = etree.SubElement(header, "Shipping")
        money(shipping, part.amount, order.currency)
        add(shipping, "Description", part.text, language=True)
    for line in order.lines:
        item = etree.SubElement(payload, "ItemOut")
        set_all(item, quantity=plain(line.quantity), lineNumber=line.number, requestedDeliveryDate=line.promised)
        item_id(item, line)
        item_detail(item, line, order.currency)


def _response(request: Element, response: canonical.OrderResponse) -> None:
    payload = etree.SubElement(request, "ConfirmationRequest")
    status = {"accepted": "accept", "rejected": "reject", "changed": "detail"}.get(response.status, response.status)
    if status == "detail" and any(line.status == "rejected" for line in response.lines):
        status = "except"
    header = etree.SubElement(payload, "ConfirmationHeader")
    set_all(header, confirmID=response.number, type=status, noticeDate=response.date)
    if response.currency is not None:
        # The currency has a place only beside an amount: the lines' own sum is one that nobody has to be asked for.
        total = sum(
            (
                line.quantity * line.price
                for line in response.lines
                if line.quantity is not None and line.price is not None
            ),
            start=Decimal(0),
        )
        money(etree.SubElement(header, "Total"), total, response.currency)
    reference = etree.SubElement(payload, "OrderReference", {"orderID": response.order_number})
    etree.SubElement(reference, "DocumentReference", {"payloadID": ""})
    for line in response.lines:
        item = etree.SubElement(payload, "ConfirmationItem")
        set_all(item, quantity=plain(line.quantity), lineNumber=line.order_line)
        add(item, "UnitOfMeasure", line.unit)
        confirmed = etree.SubElement(item, "ConfirmationStatus")
        kind = {"accepted": "accept", "changed": "detail", "rejected": "reject"}.get(line.status or "", line.status)
        set_all(confirmed, quantity=plain(line.quantity), type=kind, deliveryDate=line.promised)
        add(confirmed, "UnitOfMeasure", line.unit)
        if line.identifiers or line.description is not None:
            inside = etree.SubElement(confirmed, "ItemIn")
            set_all(inside, quantity=plain(line.quantity))
            item_id(inside, line)
            item_detail(inside, line, response.currency)
        elif line.price is not None:
            money(etree.SubElement(confirmed, "UnitPrice"), line.price, response.currency)


def _ship_notice(request: Element, notice: canonical.ShipNotice) -> None:
    payload = etree.SubElement(request, "ShipNoticeRequest")
    header = etree.SubElement(payload, "ShipNoticeHeader", {"shipmentID": notice.number})
    set_all(header, noticeDate=notice.date, shipmentDate=notice.shipped, deliveryDate=notice.expected)
    for role, party in (("shipFrom", notice.ship_from), ("shipTo", notice.ship_to)):
        if party is not None:
            contact(header, party, role)
    if notice.carrier is not None or notice.tracking_numbers:
        control = etree.SubElement(payload, "ShipControl")
        if notice.carrier is not None:
            coded = 2 <= len(notice.carrier) <= 4 and notice.carrier.isascii() and notice.carrier.isupper()
            add(control, "CarrierIdentifier", notice.carrier).set("domain", "SCAC" if coded else "companyName")
        for number in notice.tracking_numbers:
            add(control, "ShipmentIdentifier", number)
    by_order: dict[str | None, list[canonical.DocumentLine]] = {}
    for line in notice.lines:
        by_order.setdefault(line.order_number, []).append(line)
    for order in notice.order_numbers:
        portion = etree.SubElement(payload, "ShipNoticePortion")
        etree.SubElement(
            etree.SubElement(portion, "OrderReference", {"orderID": order}), "DocumentReference", {"payloadID": ""}
        )
        for line in by_order.get(order, ()):
            _shipped(portion, line)


def _shipped(portion: Element, line: canonical.DocumentLine) -> None:
    item = etree.SubElement(portion, "ShipNoticeItem")
    set_all(item, quantity=plain(line.quantity), lineNumber=line.order_line, shipNoticeLineNumber=line.number)
    item_id(item, line)
    if line.description is not None or any(part.scheme in ("manufacturer", "unspsc") for part in line.identifiers):
        detail = etree.SubElement(item, "ShipNoticeItemDetail")
        add(detail, "Description", line.description, language=True)
        for part in line.identifiers:
            if part.scheme == "unspsc":
                add(detail, "Classification", part.value).set("domain", "UNSPSC")
        for part in line.identifiers:
            if part.scheme == "manufacturer":
                add(detail, "ManufacturerPartID", part.value)
    add(item, "UnitOfMeasure", line.unit)
    if line.lot is not None or line.expires is not None:
        batch = etree.SubElement(item, "Batch")
        set_all(batch, expirationDate=line.expires)
        add(batch, "SupplierBatchID", line.lot)
    if line.serial is not None:
        etree.SubElement(item, "AssetInfo", {"serialNumber": line.serial})
