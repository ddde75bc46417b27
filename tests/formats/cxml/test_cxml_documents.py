"""cXML between Lakeshore and its supplier: what is right passes, what is wrong is named, what is said is converted."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from hilum.formats import canonical, cxml
from hilum.formats.outline import Outline

SAMPLES = Path(__file__).parent / "samples"
KINDS = {
    "order": "OrderRequest",
    "confirmation": "ConfirmationRequest",
    "ship_notice": "ShipNoticeRequest",
    "invoice": "InvoiceDetailRequest",
    "credit_memo": "InvoiceDetailRequest",
    "punchout_setup": "PunchOutSetupRequest",
    "punchout_started": "PunchOutSetupResponse",
    "punchout_cart": "PunchOutOrderMessage",
    "status_update": "StatusUpdateRequest",
    "response": "Response",
    "profile": "ProfileRequest",
}


def sample(name: str) -> bytes:
    return (SAMPLES / f"{name}.xml").read_bytes()


def converted(name: str) -> canonical.Canonical:
    (document,) = cxml.convert(cxml.parse(sample(name)))
    return document


@pytest.mark.parametrize(("name", "kind"), KINDS.items(), ids=KINDS)
def test_a_right_document_is_read_without_findings_and_kept_byte_for_byte(name, kind):
    data = sample(name)
    document = cxml.parse(data)
    assert cxml.recognise(data)
    assert document.kind == kind
    assert cxml.validate(document) == []
    assert cxml.write(document) == data
    again = cxml.parse(cxml.write(cxml.edited(document, lambda root: None)))
    assert cxml.convert(again) == cxml.convert(document)


WRONG = {
    "no order number": ("order", 'orderID="PO-1" ', "", "missing"),
    "an order number of nothing": ("order", 'orderID="PO-1"', 'orderID=" "', "type"),
    "a kind of order cXML does not know": ("order", 'type="new"', 'type="change"', "code"),
    "no total": ("order", '<Total><Money currency="USD">2443.00</Money></Total>', "", "missing"),
    "a total that is not the lines": ("order", ">2443.00<", ">2444.00<", "order-total"),
    "a currency of nobody": ("order", 'currency="USD">2443', 'currency="ZZD">2443', "type"),
    "money without a currency": ("order", '<Money currency="USD">4.20', "<Money>4.20", "missing"),
    "money with a comma": ("order", ">4.20<", ">4,20<", "type"),
    "a date of letters": ("order", "2026-03-04", "in March", "type"),
    "a unit of words": ("order", "<UnitOfMeasure>EA<", "<UnitOfMeasure>each<", "type"),
    "a country of three letters": ("order", '"US"', '"USA"', "type"),
    "a class that is no UNSPSC": ("order", ">42321500<", ">KNEE<", "unspsc"),
    "lines before the header": ("order", "<OrderRequest>", "<OrderRequest><ItemOut quantity='1'/>", "order"),
    "two sellers' parts": ("order", "</SupplierPartID>", "</SupplierPartID><SupplierPartID>HIP-1</SupplierPartID>", "repeated"),
    "an element of its own": ("order", "<ItemID>", "<Kneeling/><ItemID>", "unexpected"),
    "no payload number": ("order", 'payloadID="order-1@lakeshore.example" ', "", "missing"),
    "no header": ("profile", "Header>", "Extrinsic>", "missing"),
    "nothing asked": ("profile", "<ProfileRequest/>", "", "missing"),
    "a status of words": ("response", 'code="200"', 'code="fine"', "type"),
    "exceptions without items": ("confirmation", "ConfirmationItem", "Extrinsic", "missing"),
    "confirmed quantities that do not add up": ("confirmation", 'quantity="6"', 'quantity="7"', "quantity"),
    "a shipment without a number": ("ship_notice", 'shipmentID="S-1" ', "", "missing"),
    "a line that is not quantity times price": ("invoice", ">1200.50<", ">1200.00<", "line-amount"),
    "a subtotal that is not the lines": ("invoice", "<InvoiceDetailSummary>\n        <SubtotalAmount><Money currency=\"USD\">2401.00", "<InvoiceDetailSummary>\n        <SubtotalAmount><Money currency=\"USD\">2402.00", "subtotal"),
    "a tax that is not its details": ("invoice", '<Tax>\n          <Money currency="USD">120.05', '<Tax>\n          <Money currency="USD">121.05', "tax"),
    "a gross amount of its own": ("invoice", ">2533.05<", ">2533.06<", "gross"),
    "a rebate added and not taken": ("invoice", "2500.00", "2566.10", "net"),
    "more due than it comes to": ("invoice", '<DueAmount><Money currency="USD">2500.00', '<DueAmount><Money currency="USD">2500.01', "due"),
    "two currencies": ("invoice", 'currency="USD">12.00', 'currency="EUR">12.00', "currency"),
    "a credit memo that asks for money": ("credit_memo", '>-', '>', "sign"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "old", "new", "code"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_named(name, old, new, code):
    text = sample(name).decode()
    assert old in text
    found = cxml.validate(cxml.parse(text.replace(old, new).encode()))
    assert code in {finding.code for finding in found}
    for finding in found:
        assert "KNEE" not in str(finding) and "open-sesame" not in str(finding)
        assert finding.line is not None


@pytest.mark.parametrize(
    ("data", "code"),
    [(b"", "empty"), (b"<Invoice/>", "not-cxml"), (b"<cXML>", "syntax"), (b"ISA*00*", "syntax")],
)
def test_what_is_no_cxml_is_refused(data, code):
    with pytest.raises(cxml.CxmlError) as refusal:
        cxml.parse(data)
    assert refusal.value.code == code
    assert not cxml.recognise(data) or data == b"<cXML>"


def test_an_order_says_who_wants_what():
    order = converted("order")
    assert isinstance(order, canonical.Order)
    assert (order.number, order.purpose, order.total, order.currency) == ("PO-1", "original", Decimal("2443.00"), "USD")
    assert order.requested == "2026-03-04"
    assert order.buyer == canonical.Party(identifiers=(canonical.Identifier(value="LAKESHORE", scheme="network-id"),))
    assert order.seller == canonical.Party(identifiers=(canonical.Identifier(value="ORTHO-SUPPLY", scheme="duns"),))
    assert order.ship_to is not None and order.ship_to.address_lines == ("Dock 4", "1 Harbor Way")
    assert order.ship_to.identifiers == (canonical.Identifier(value="0860000000018", scheme="gln"),)
    assert [(line.number, line.quantity, line.unit, line.price) for line in order.lines] == [
        ("1", Decimal(2), "EA", Decimal("1200.50")),
        ("2", Decimal(10), "EA", Decimal("4.20")),
    ]
    assert [(part.scheme, part.value) for part in order.lines[0].identifiers] == [
        ("vendor", "KNEE-99"),
        ("buyer", "100-99"),
        ("unspsc", "42321500"),
    ]
    assert order.allowances == (
        canonical.Allowance(charge=True, amount=Decimal("12.00"), code="shipping", text="Courier"),
    )


@pytest.mark.parametrize(("word", "purpose"), [("update", "change"), ("delete", "cancel")])
def test_an_order_changes_or_takes_back_an_earlier_one(word, purpose):
    (order,) = cxml.convert(cxml.parse(sample("order").replace(b'type="new"', f'type="{word}"'.encode())))
    assert isinstance(order, canonical.Order)
    assert order.purpose == purpose


def test_a_confirmation_says_what_becomes_of_each_line():
    response = converted("confirmation")
    assert isinstance(response, canonical.OrderResponse)
    assert (response.order_number, response.number, response.status) == ("PO-1", "C-1", "changed")
    assert [(line.order_line, line.quantity, line.status, line.promised) for line in response.lines] == [
        ("1", Decimal(2), "accepted", "2026-03-04"),
        ("2", Decimal(4), "backordered", "2026-03-11"),
        ("2", Decimal(6), "rejected", None),
    ]


def test_a_ship_notice_says_lot_serial_and_expiry():
    notice = converted("ship_notice")
    assert isinstance(notice, canonical.ShipNotice)
    assert (notice.number, notice.carrier, notice.tracking_numbers, notice.order_numbers) == (
        "S-1",
        "HBFR",
        ("1Z-7",),
        ("PO-1",),
    )
    (line,) = notice.lines
    assert (line.order_number, line.order_line, line.lot, line.serial, line.expires) == (
        "PO-1",
        "1",
        "LOT-5",
        "SN-1",
        "2029-01-31",
    )


@pytest.mark.parametrize(("name", "credit"), [("invoice", False), ("credit_memo", True)])
def test_an_invoice_adds_up_and_a_credit_memo_says_what_is_given_back(name, credit):
    invoice = converted(name)
    assert isinstance(invoice, canonical.Invoice)
    assert (invoice.credit, invoice.total, invoice.net, invoice.balanced) == (
        credit,
        Decimal("2500.00"),
        Decimal("2401.00"),
        True,
    )
    assert invoice.due == "2026-04-04"
    assert invoice.order_number == "PO-1"
    assert [(part.charge, part.amount) for part in invoice.allowances] == [
        (True, Decimal("12.00")),
        (False, Decimal("33.05")),
    ]
    assert invoice.taxes == (canonical.Tax(amount=Decimal("120.05"), kind="sales", rate_percent=Decimal(5)),)
    assert (invoice.lines[0].quantity, invoice.lines[0].amount) == (Decimal(2), Decimal("2401.00"))
    assert invoice.seller is not None and invoice.seller.name == "Ortho Supply"
    assert invoice.remit_to is not None and invoice.remit_to.name == "Ortho Supply Treasury"


def test_the_longest_payment_term_says_when_an_invoice_is_due_and_not_the_one_with_a_discount():
    discounted = (
        b'<PaymentTerm payInNumberOfDays="10"><Discount><DiscountPercent percent="2"/></Discount></PaymentTerm>'
    )
    data = sample("invoice").replace(
        b'<PaymentTerm payInNumberOfDays="30"/>', discounted + b'<PaymentTerm payInNumberOfDays="30"/>'
    )
    (invoice,) = cxml.convert(cxml.parse(data))
    assert isinstance(invoice, canonical.Invoice) and invoice.due == "2026-04-04"


def test_the_serial_of_an_implant_is_read_from_the_attribute_of_older_invoices_too():
    start = b"<InvoiceDetailItemReference "
    data = sample("invoice").replace(start, start + b'serialNumber="S-77" ', 1)
    (invoice,) = cxml.convert(cxml.parse(data))
    assert isinstance(invoice, canonical.Invoice) and invoice.lines[0].serial == "S-77"


def test_an_invoice_that_does_not_add_up_is_not_balanced():
    (invoice,) = cxml.convert(cxml.parse(sample("invoice").replace(b"2500.00", b"2566.10")))
    assert isinstance(invoice, canonical.Invoice)
    assert not invoice.balanced


def test_a_cart_is_a_record_with_lines_and_no_order_yet():
    cart = converted("punchout_cart")
    assert isinstance(cart, canonical.Record)
    assert (cart.type, cart.content["buyer_cookie"], cart.content["total"]) == (
        "PunchOutOrderMessage",
        "cookie-7",
        "2443.00",
    )
    assert [line["quantity"] for line in cart.content["lines"]] == ["2", "10"]


def test_a_status_update_acknowledges_what_it_names():
    told = converted("status_update")
    assert isinstance(told, canonical.Acknowledgement)
    assert (told.accepted, told.items[0].reference, told.items[0].code) == (False, "order-1@lakeshore.example", "423")


def protected(node: Outline) -> set[str]:
    mine = {node.value} if node.protected and node.value is not None else set()
    return mine.union(*(protected(child) for child in node.children))


def test_secrets_and_people_are_protected_in_the_outline_and_goods_are_not():
    shown = cxml.outline(cxml.parse(sample("order")))
    assert shown.label == "cXML"
    assert {"Dock 4", "For case 7"} <= protected(shown)
    assert not {"PO-1", "KNEE-99", "2443.00", "LAKESHORE"} & protected(shown)
    assert "open-sesame" not in str(shown.as_json()), "a shared secret is not even shown to who may see patients"


ANSWERS = {
    "right": ("<order/>", [], None, "200"),
    "badly built": ("", ['orderID="PO-1" '], None, "400"),
    "not adding up": ("", [">2443.00<"], None, "406"),
    "not authorized": ("", [], "401", "401"),
}


@pytest.mark.parametrize(("_", "dropped", "forced", "code"), ANSWERS.values(), ids=ANSWERS)
def test_a_request_earns_a_response_that_names_it(_, dropped, forced, code):
    text = sample("order").decode()
    for part in dropped:
        text = text.replace(part, "" if part[0] != ">" else ">1.00<")
    document = cxml.parse(text.encode())
    answer = cxml.acknowledge(
        document,
        cxml.validate(document),
        payload_id="A-1@lakeshore",
        timestamp="2026-03-01T12:00:01-06:00",
        code=forced,
    )
    back = cxml.parse(cxml.write(answer))
    assert cxml.validate(back) == []
    status = back.root.find("Response/Status")
    assert status is not None and status.get("code") == code
    assert cxml.answered(back) == "order-1@lakeshore.example"
    (told,) = cxml.convert(back)
    assert isinstance(told, canonical.Acknowledgement)
    assert (told.accepted, told.control_number) == (code == "200", "A-1@lakeshore")


def test_bytes_that_are_no_cxml_are_answered_too():
    with pytest.raises(cxml.CxmlError) as refusal:
        cxml.parse(b"<cXML>")
    answer = cxml.acknowledge(None, [refusal.value.finding], payload_id="A-2", timestamp="2026-03-01T12:00:01-06:00")
    status = answer.root.find("Response/Status")
    assert status is not None and status.get("code") == "400"
    assert cxml.answered(answer) is None


def test_an_edit_touches_what_it_means_and_keeps_the_dtd():
    document = cxml.parse(sample("order"))

    def rename(root):
        root.find("Request/OrderRequest/OrderRequestHeader").set("orderID", "PO-2")

    other = cxml.edited(document, rename)
    (order,) = cxml.convert(cxml.parse(cxml.write(other)))
    assert isinstance(order, canonical.Order)
    assert order.number == "PO-2"
    assert b'<!DOCTYPE cXML SYSTEM "http://xml.cxml.org/schemas/cXML/1.2.060/cXML.dtd">' in cxml.write(other)
    assert cxml.write(document) == sample("order")


RIGHT = {
    "freight counted into the total": ("order", {">2443.00<": ">2455.00<"}),
    "freight and nothing else counted into the total": ("order", {">2443.00<": ">2431.00<"}),
    "a price for a box of ten": (
        "order",
        {"<UnitOfMeasure>EA</UnitOfMeasure>\n          <Classification domain=\"UNSPSC\">42312201": (
            '<UnitOfMeasure>EA</UnitOfMeasure><PriceBasisQuantity quantity="10" conversionFactor="1"><UnitOfMeasure>BX</UnitOfMeasure>'
            '</PriceBasisQuantity><Classification domain="UNSPSC">42312201'
        ), ">2443.00<": ">2405.20<"},
    ),
    "a deposit taken off what is due": (
        "invoice",
        {'<DueAmount><Money currency="USD">2500.00': '<DepositAmount><Money currency="USD">100.00</Money></DepositAmount><DueAmount><Money currency="USD">2400.00'},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("name", "changes"), RIGHT.values(), ids=RIGHT)
def test_amounts_are_added_as_the_guide_adds_them(name, changes):
    text = sample(name).decode()
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    wanted = {"order-total"} if ">2431.00<" in text else set()
    assert {finding.code for finding in cxml.validate(cxml.parse(text.encode()))} == wanted


def test_a_price_is_that_of_one_unit_however_many_the_sender_prices_it_by():
    basis = (
        '<PriceBasisQuantity quantity="10" conversionFactor="1"><UnitOfMeasure>EA</UnitOfMeasure></PriceBasisQuantity>'
    )
    text = (
        sample("order")
        .decode()
        .replace("</UnitOfMeasure>\n          <Cl", f"</UnitOfMeasure>{basis}\n          <Cl", 1)
    )
    assert basis in text
    (order,) = cxml.convert(cxml.parse(text.encode()))
    assert isinstance(order, canonical.Order)
    assert order.lines[0].price == Decimal("120.05")


@pytest.mark.parametrize(("name", "sign"), [("invoice", ""), ("credit_memo", "-")])
def test_what_is_still_to_be_paid_is_told_where_it_is_not_the_total(name, sign):
    text = sample(name).decode()
    less = text.replace(f'<DueAmount><Money currency="USD">{sign}2500', f'<DueAmount><Money currency="USD">{sign}2400')
    (whole,), (part,) = cxml.convert(cxml.parse(text.encode())), cxml.convert(cxml.parse(less.encode()))
    assert isinstance(part, canonical.Invoice) and isinstance(whole, canonical.Invoice)
    assert (whole.total, whole.payable) == (Decimal("2500.00"), None)
    assert (part.total, part.payable) == (Decimal("2500.00"), Decimal("2400.00"))


def test_amounts_of_two_currencies_do_not_balance():
    mixed = sample("invoice").decode().replace('<DueAmount><Money currency="USD">', '<DueAmount><Money currency="CAD">')
    (invoice,) = cxml.convert(cxml.parse(mixed.encode()))
    assert isinstance(invoice, canonical.Invoice) and not invoice.balanced
