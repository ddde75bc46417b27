"""What a cXML document says, in the shapes every format shares."""

from __future__ import annotations

from hilum.formats import canonical
from hilum.formats.cxml.acknowledgement import TEXTS, answered
from hilum.formats.cxml.document import CxmlDocument
from hilum.formats.cxml.invoices import invoice_of
from hilum.formats.cxml.parts import header_party, item_identifiers, line_of_item, modification_of, party_of, shown_text
from hilum.formats.cxml.validation import money, unit_price
from hilum.formats.xml import Element, text_of
from hilum.formats.xml_content import decimal_in
from hilum.formats.xml_outline import content_of

_PURPOSES = {"update": "change", "delete": "cancel"}
_WHOLE = {"accept": "accepted", "reject": "rejected", "detail": "changed", "allDetail": "changed", "except": "changed"}
_ITEM = {"accept": "accepted", "allDetail": "changed", "detail": "changed", "reject": "rejected"}


def convert(document: CxmlDocument) -> list[canonical.Canonical]:
    """One canonical document, or none where the numbers it is known by are missing (``validate`` says which).

    Dates are as the source writes them. A credit memo's amounts, negative in cXML, come out positive with ``credit`` true.
    """
    payload = document.payload
    told: canonical.Canonical | None
    match document.kind:
        case "OrderRequest" if payload is not None:
            told = _order(document, payload)
        case "ConfirmationRequest" if payload is not None:
            told = _response(document, payload)
        case "ShipNoticeRequest" if payload is not None:
            told = _ship_notice(payload)
        case "InvoiceDetailRequest" if payload is not None:
            told = invoice_of(document, payload)
        case "PunchOutOrderMessage" if payload is not None:
            told = _punched(document, payload)
        case "StatusUpdateRequest" | "Response":
            told = _acknowledgement(document)
        case _:
            told = canonical.Record(
                type=document.kind,
                control_number=document.payload_id,
                content=content_of(payload if payload is not None else document.root),
            )
    return [told] if told is not None else []


def _order(document: CxmlDocument, payload: Element) -> canonical.Order | None:
    header = payload.find("OrderRequestHeader")
    number = header.get("orderID") if header is not None else None
    if header is None or not number:
        return None
    return canonical.Order(
        number=number,
        purpose=_PURPOSES.get(header.get("type", "new"), "original"),
        date=header.get("orderDate"),
        currency=_currency(header.find("Total")),
        buyer=header_party(document, "From"),
        seller=header_party(document, "To"),
        ship_to=party_of(header.find("ShipTo")),
        bill_to=party_of(header.find("BillTo")),
        requested=header.get("requestedDeliveryDate"),
        contract=header.get("agreementID"),
        total=money(header.find("Total")),
        lines=tuple(line_of_item(item) for item in payload.findall("ItemOut")),
        allowances=_shipping(header)
        + tuple(
            told
            for part in header.findall("Total/Modifications/Modification")
            if (told := modification_of(part)) is not None
        ),
    )


def _shipping(header: Element) -> tuple[canonical.Allowance, ...]:
    shipping = header.find("Shipping")
    amount = money(shipping)
    if shipping is None or amount is None:
        return ()
    return (
        canonical.Allowance(charge=True, amount=amount, code="shipping", text=shown_text(shipping.find("Description"))),
    )


def _currency(holder: Element | None) -> str | None:
    found = holder.find("Money") if holder is not None else None
    return found.get("currency") if found is not None else None


def _response(document: CxmlDocument, payload: Element) -> canonical.OrderResponse | None:
    header = payload.find("ConfirmationHeader")
    order = payload.find("OrderReference")
    if order is None:
        order = payload.find("OrderIDInfo")
    number = order.get("orderID") if order is not None else None
    kind = header.get("type") if header is not None else None
    if header is None or not number or kind is None:
        return None
    lines: list[canonical.DocumentLine] = []
    for item in payload.findall("ConfirmationItem"):
        lines += [_confirmed(item, status) for status in item.findall("ConfirmationStatus")]
    return canonical.OrderResponse(
        order_number=number,
        number=header.get("confirmID"),
        status=_WHOLE.get(kind, kind),
        date=header.get("noticeDate"),
        currency=_currency(header.find("Total")),
        buyer=header_party(document, "To"),
        seller=header_party(document, "From"),
        lines=tuple(lines),
    )


def _confirmed(item: Element, status: Element) -> canonical.DocumentLine:
    kind = status.get("type")
    inside = status.find("ItemIn")
    detail = inside.find("ItemDetail") if inside is not None else None
    return canonical.DocumentLine(
        order_line=item.get("lineNumber"),
        identifiers=item_identifiers(inside, detail) if inside is not None else (),
        description=shown_text(detail.find("Description")) if detail is not None else None,
        quantity=decimal_in(status.get("quantity")),
        unit=text_of(status.find("UnitOfMeasure")),
        price=unit_price(status if detail is None else detail),
        status=_ITEM.get(kind, kind) if kind is not None else None,
        promised=status.get("deliveryDate"),
    )


def _ship_notice(payload: Element) -> canonical.ShipNotice | None:
    header = payload.find("ShipNoticeHeader")
    number = header.get("shipmentID") if header is not None else None
    if header is None or not number:
        return None
    contacts = {contact.get("role"): contact for contact in header.findall("Contact")}
    controls = payload.findall("ShipControl")
    orders: dict[str, None] = {}
    lines: list[canonical.DocumentLine] = []
    for portion in payload.findall("ShipNoticePortion"):
        reference = portion.find("OrderReference")
        if reference is None:
            reference = portion.find("OrderIDInfo")
        order = reference.get("orderID") if reference is not None else None
        if order:
            orders[order] = None
        lines += [_shipped(item, order) for item in portion.findall("ShipNoticeItem")]
    return canonical.ShipNotice(
        number=number,
        date=header.get("noticeDate"),
        shipped=header.get("shipmentDate"),
        expected=header.get("deliveryDate"),
        carrier=_carrier(controls),
        tracking_numbers=tuple(
            text
            for control in controls
            for part in control.findall("ShipmentIdentifier")
            if (text := text_of(part)) is not None
        ),
        ship_from=party_of(contacts.get("shipFrom")),
        ship_to=party_of(contacts.get("shipTo")),
        order_numbers=tuple(orders),
        lines=tuple(lines),
    )


def _carrier(controls: list[Element]) -> str | None:
    """The carrier's code (SCAC) where there is one, else its name."""
    named = [part for control in controls for part in control.findall("CarrierIdentifier")]
    coded = [part for part in named if part.get("domain") == "SCAC"]
    return next((text for part in coded + named if (text := text_of(part)) is not None), None)


def _shipped(item: Element, order: str | None) -> canonical.DocumentLine:
    detail, batch = item.find("ShipNoticeItemDetail"), item.find("Batch")
    lot = text_of(batch.find("SupplierBatchID")) if batch is not None else None
    serials = [asset.get("serialNumber") for asset in item.findall("AssetInfo")]
    return canonical.DocumentLine(
        number=item.get("shipNoticeLineNumber"),
        order_number=order,
        order_line=item.get("lineNumber"),
        identifiers=item_identifiers(item, detail),
        description=shown_text(detail.find("Description")) if detail is not None else None,
        quantity=decimal_in(item.get("quantity")),
        unit=text_of(item.find("UnitOfMeasure")),
        price=unit_price(detail),
        lot=lot if lot is not None else text_of(item.find("SupplierBatchID")),
        serial=next((serial for serial in serials if serial), None),
        expires=batch.get("expirationDate") if batch is not None else None,
    )


def _punched(document: CxmlDocument, payload: Element) -> canonical.Record:
    """A shopping cart is no order yet: nobody has approved it, and it has no number of its own but the session's cookie."""
    header = payload.find("PunchOutOrderMessageHeader")
    cart = canonical.Order(
        number=text_of(payload.find("BuyerCookie")) or "",
        currency=_currency(header.find("Total")) if header is not None else None,
        buyer=header_party(document, "To"),
        seller=header_party(document, "From"),
        ship_to=party_of(header.find("ShipTo")) if header is not None else None,
        total=money(header.find("Total")) if header is not None else None,
        lines=tuple(line_of_item(item) for item in payload.findall("ItemIn")),
    )
    content = canonical.as_json(cart)
    del content["kind"], content["number"], content["purpose"]
    if cart.number:
        content["buyer_cookie"] = cart.number
    return canonical.Record(type=document.kind, control_number=document.payload_id, content=content)


def _acknowledgement(document: CxmlDocument) -> canonical.Acknowledgement | None:
    status = document.root.find("Response/Status")
    if status is None:
        status = document.root.find("Request/StatusUpdateRequest/Status")
    code = status.get("code") if status is not None else None
    if status is None or not code:
        return None
    reasons = tuple(part for part in (status.get("text") or TEXTS.get(code), shown_text(status)) if part)
    item = canonical.AcknowledgedItem(
        level="message",
        reference=answered(document),
        accepted=code[:1] == "2",
        code=code,
        reasons=reasons if code[:1] != "2" else (),
    )
    return canonical.Acknowledgement(
        type=document.kind, control_number=document.payload_id, accepted=item.accepted, items=(item,)
    )
