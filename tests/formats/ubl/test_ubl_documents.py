"""UBL between Lakeshore and its supplier: what is right passes, what is wrong is named by its rule, what is said is converted."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

import pytest

from hilum.formats import canonical, ubl
from hilum.formats.ubl.totals import rounded

SAMPLES = Path(__file__).parent / "samples"
NAMES = sorted(path.stem for path in SAMPLES.glob("*.xml"))


def sample(name: str) -> bytes:
    return (SAMPLES / f"{name}.xml").read_bytes()


def converted(name: str) -> canonical.Canonical:
    (document,) = ubl.convert(ubl.parse(sample(name)))
    return document


@pytest.mark.parametrize("name", NAMES)
def test_a_right_document_is_read_without_findings_and_kept_byte_for_byte(name):
    data = sample(name)
    document = ubl.parse(data)
    assert ubl.recognise(data)
    assert ubl.validate(document) == []
    assert ubl.write(document) == data
    assert document.claims_en16931 == (name in ("invoice", "credit_note"))
    again = ubl.parse(ubl.write(ubl.edited(document, lambda root: None)))
    assert ubl.convert(again) == ubl.convert(document)


# name: sample, pattern, replacement (first match only), rule that must be found
WRONG = {
    "no number": ("order", r"<cbc:ID>PO-1</cbc:ID>\n", "", "missing"),
    "the lines before the parties": ("order", r"(<cac:BuyerCustomerParty>)", r"<cac:OrderLine/>\1", "order"),
    "two sellers": ("order", r"(<cac:SellerSupplierParty>)", r"<cac:SellerSupplierParty/>\1", "repeated"),
    "an element of another name": ("order", r"<cbc:IssueDate>.*?</cbc:IssueDate>", "<cbc:IssuedOn>2026-03-01</cbc:IssuedOn>", "unexpected"),
    "an element of another namespace": ("order", r"<cac:Delivery>", '<Delivery xmlns="urn:x"/><cac:Delivery>', "unexpected"),
    "a date of letters": ("order", r">2026-03-01<", ">first of March<", "type"),
    "an amount without a currency": ("order", r' currencyID="EUR"', "", "missing"),
    "an empty number": ("order", r">4\.20<", "><", "empty"),
    "no specification": ("invoice", r">urn:cen\.eu:en16931[^<]*<", "> <", "BR-01"),
    "lines that are not the sum": ("invoice", r">2443\.00<", ">2443.01<", "BR-CO-10"),
    "allowances that are not the sum": ("invoice", r"(AllowanceTotalAmount currencyID=\"EUR\">)43\.00", r"\g<1>43.01", "BR-CO-11"),
    "charges that are not the sum": ("invoice", r"(ChargeTotalAmount currencyID=\"EUR\">)12\.00", r"\g<1>12.01", "BR-CO-12"),
    "a total left out that has parts": ("invoice", r"<cbc:ChargeTotalAmount.*?</cbc:ChargeTotalAmount>", "", "BR-CO-12"),
    "a net total of its own": ("invoice", r"(TaxExclusiveAmount currencyID=\"EUR\">)2412", r"\g<1>2413", "BR-CO-13"),
    "a tax that is not the sum": ("invoice", r"(<cbc:TaxAmount currencyID=\"EUR\">)458\.28", r"\g<1>458.29", "BR-CO-14"),
    "a gross total of its own": ("invoice", r"(TaxInclusiveAmount currencyID=\"EUR\">)2870\.28", r"\g<1>2870.29", "BR-CO-15"),
    "an amount due of its own": ("invoice", r"(PayableAmount currencyID=\"EUR\">)2870\.28", r"\g<1>2870.00", "BR-CO-16"),
    "a rate that is not the tax": ("invoice", r"(?s)(<cac:TaxSubtotal>.*?Percent>)19", r"\g<1>7", "BR-CO-17"),
    "no breakdown": ("invoice", r"(?s)<cac:TaxTotal>.*</cac:TaxTotal>", "", "BR-CO-18"),
    "neither due date nor terms": ("credit_note", r"(?s)<cac:PaymentTerms>.*?</cac:PaymentTerms>", "", "BR-CO-25"),
    "a VAT number of nowhere": ("invoice", r"DE123456789", "QQ123456789", "BR-CO-09"),
    "a line without a VAT category": ("invoice", r"<cac:ClassifiedTaxCategory>.*?</cac:ClassifiedTaxCategory>", "", "BR-CO-04"),
    "three decimals": ("invoice", r">43\.00<", ">43.000<", "BR-DEC-01"),
    "three decimals on a line": ("invoice", r">42\.00<", ">42.000<", "BR-DEC-23"),
    "a type that is no invoice": ("invoice", r">380<", ">381<", "BR-CL-01"),
    "a currency of nobody": ("invoice", r"CurrencyCode>EUR", "CurrencyCode>ZZD", "BR-CL-04"),
    "an amount in nobody's currency": ("invoice", r'currencyID="EUR"', 'currencyID="ZZD"', "BR-CL-03"),
    "a country of nobody": ("invoice", r">DE<", ">QQ<", "BR-CL-14"),
    "a means of payment of nobody": ("invoice", r">58<", ">588<", "BR-CL-16"),
    "a category of nobody": ("invoice", r"<cac:TaxCategory><cbc:ID>S<", "<cac:TaxCategory><cbc:ID>Q<", "BR-CL-17"),
    "a line's category of nobody": ("invoice", r"<cac:ClassifiedTaxCategory><cbc:ID>S<", "<cac:ClassifiedTaxCategory><cbc:ID>Q<", "BR-CL-18"),
    "an allowance reason of nobody": ("invoice", r">95<", ">195<", "BR-CL-19"),
    "a unit of words": ("invoice", r'unitCode="EA"', 'unitCode="each"', "BR-CL-23"),
    "an endpoint of nobody": ("invoice", r'EndpointID schemeID="0088"', 'EndpointID schemeID="GLN"', "BR-CL-25"),
    "no account to pay to": ("invoice", r"(?s)<cac:PayeeFinancialAccount>.*?</cac:PayeeFinancialAccount>", "", "BR-61"),
    "a negative price": ("invoice", r">4\.20<", ">-4.20<", "BR-27"),
    "a category the breakdown does not have": ("invoice", r"<cac:ClassifiedTaxCategory><cbc:ID>S<", "<cac:ClassifiedTaxCategory><cbc:ID>Z<", "BR-Z-01"),
    "a seller without a VAT number": ("invoice", r"<cac:PartyTaxScheme>.*?</cac:PartyTaxScheme>", "", "BR-S-02"),
    "a standard rate of zero": ("invoice", r"(<cac:ClassifiedTaxCategory>.*?Percent>)19", r"\g<1>0", "BR-S-05"),
    "a base that is not its lines": ("invoice", r">2412\.00<", ">2430.00<", "BR-S-08"),
    "a reason for no exemption": ("invoice", r"(?s)(<cac:TaxSubtotal>.*?</cbc:Percent>)", r"\g<1><cbc:TaxExemptionReason>x</cbc:TaxExemptionReason>", "BR-S-10"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "pattern", "new", "code"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_named_by_its_rule(name, pattern, new, code):
    text, count = re.subn(pattern, new, sample(name).decode(), count=1)
    assert count == 1
    found = ubl.validate(ubl.parse(text.encode()), en16931=name in ("invoice", "credit_note"))
    assert code in {finding.code for finding in found}
    for finding in found:
        assert "KNEE" not in str(finding) and "Kiel" not in str(finding)
        assert finding.line is not None


def zero_rated(code: str, reason: str = "") -> str:
    """The invoice with every category changed to this one at 0 percent, and the totals with it."""
    text = re.sub(
        r"<cbc:ID>S</cbc:ID><cbc:Percent>19", f"<cbc:ID>{code}</cbc:ID><cbc:Percent>0", sample("invoice").decode()
    )
    text = text.replace(">458.28<", ">0.00<").replace(">2870.28<", ">2412.00<")
    if reason:
        text = re.sub(
            r"(?s)(<cac:TaxSubtotal>.*?</cbc:Percent>)",
            rf"\1<cbc:TaxExemptionReason>{reason}</cbc:TaxExemptionReason>",
            text,
            count=1,
        )
    return text


CATEGORIES = {"Z": ("", "Z"), "E": ("exempt", "E"), "AE": ("reverse charge", "AE"), "G": ("export", "G")}


@pytest.mark.parametrize(
    ("code", "reason", "short"), [(code, *told) for code, told in CATEGORIES.items()], ids=CATEGORIES
)
def test_a_zero_rated_category_has_its_own_rules(code, reason, short):
    assert ubl.validate(ubl.parse(zero_rated(code, reason).encode())) == []
    other = "" if reason else "because"
    assert f"BR-{short}-10" in {finding.code for finding in ubl.validate(ubl.parse(zero_rated(code, other).encode()))}
    taxed = zero_rated(code, reason).replace(">0.00<", ">5.00<").replace('TaxInclusiveAmount currencyID="EUR">2412.00', 'TaxInclusiveAmount currencyID="EUR">2417.00')  # fmt: skip
    assert {f"BR-{short}-09", "BR-CO-17"} <= {finding.code for finding in ubl.validate(ubl.parse(taxed.encode()))}
    rated = re.sub(r"(<cac:ClassifiedTaxCategory>.*?Percent>)0", r"\g<1>7", zero_rated(code, reason), count=1)
    assert f"BR-{short}-05" in {finding.code for finding in ubl.validate(ubl.parse(rated.encode()))}
    moved = zero_rated(code, reason).replace(
        'TaxableAmount currencyID="EUR">2412.00', 'TaxableAmount currencyID="EUR">2412.01'
    )
    assert f"BR-{short}-08" in {finding.code for finding in ubl.validate(ubl.parse(moved.encode()))}


def test_goods_to_another_member_state_say_when_and_where():
    found = {finding.code for finding in ubl.validate(ubl.parse(zero_rated("K", "intra-community").encode()))}
    assert found == {"BR-IC-11", "BR-IC-12"}


def test_outside_the_scope_of_vat_nobody_has_a_vat_number_and_there_is_no_rate():
    text = re.sub(r"<cbc:Percent>0</cbc:Percent>", "", zero_rated("O", ""))
    text = re.sub(
        r"(?s)(<cac:TaxSubtotal>.*?<cbc:ID>O</cbc:ID>)",
        r"\1<cbc:TaxExemptionReason>x</cbc:TaxExemptionReason>",
        text,
        count=1,
    )
    found = {finding.code for finding in ubl.validate(ubl.parse(text.encode()))}
    assert found == {"BR-O-02", "BR-O-03", "BR-O-04"}
    nobody = re.sub(r"<cac:PartyTaxScheme>.*?</cac:PartyTaxScheme>", "", text)
    assert {finding.code for finding in ubl.validate(ubl.parse(nobody.encode()))} == {"BR-CO-26"}


@pytest.mark.parametrize(
    ("value", "meant"), [("2.345", "2.35"), ("-2.345", "-2.34"), ("2.344", "2.34"), ("-2.346", "-2.35")]
)
def test_a_half_is_rounded_up_as_xpath_does(value, meant):
    assert rounded(Decimal(value)) == Decimal(meant)


def test_a_rate_applied_line_by_line_may_differ_by_less_than_one():
    near = sample("invoice").decode().replace("458.28", "459.00").replace("2870.28", "2871.00")
    assert ubl.validate(ubl.parse(near.encode())) == []
    far = sample("invoice").decode().replace("458.28", "459.28").replace("2870.28", "2871.28")
    assert {finding.code for finding in ubl.validate(ubl.parse(far.encode()))} == {"BR-CO-17", "BR-S-09"}


def test_what_was_prepaid_and_rounded_is_counted_into_what_is_due():
    due = '<cbc:PayableAmount currencyID="EUR">'
    parts = '<cbc:PrepaidAmount currencyID="EUR">870.00</cbc:PrepaidAmount><cbc:PayableRoundingAmount currencyID="EUR">-0.28</cbc:PayableRoundingAmount>'
    text = sample("invoice").decode().replace(f"{due}2870.28", f"{parts}{due}2000.00")
    assert ubl.validate(ubl.parse(text.encode())) == []
    for wrong in ("2870.28", "2000.28", "2870.00"):
        found = ubl.validate(ubl.parse(text.replace(f"{due}2000.00", f"{due}{wrong}").encode()))
        assert {finding.code for finding in found} == {"BR-CO-16"}


def test_a_base_one_whole_unit_away_is_wrong_and_a_cent_less_is_not():
    def codes(base: str) -> set[str]:
        text = (
            sample("invoice")
            .decode()
            .replace('TaxableAmount currencyID="EUR">2412.00', f'TaxableAmount currencyID="EUR">{base}')
        )
        return {finding.code for finding in ubl.validate(ubl.parse(text.encode()))}

    assert codes("2412.99") == set()
    assert codes("2413.00") == {"BR-S-08"}


def test_an_invoice_that_claims_nothing_is_not_held_to_en_16931():
    text = re.sub(r"<cbc:CustomizationID>.*?</cbc:CustomizationID>", "", sample("invoice").decode()).replace(
        "2870.28", "2999.99"
    )
    assert ubl.validate(ubl.parse(text.encode())) == []
    assert "BR-01" in {finding.code for finding in ubl.validate(ubl.parse(text.encode()), en16931=True)}


def test_a_peppol_document_says_so():
    invoice, order, other = (ubl.parse(sample(name)) for name in ("invoice", "order", "order_change"))
    assert (invoice.peppol, order.peppol, other.peppol) == (True, True, False)
    assert invoice.profile == "urn:fdc:peppol.eu:2017:poacc:billing:01:1.0"


def test_a_standard_business_document_is_opened_and_kept():
    inner = sample("order").partition(b"?>\n")[2]
    space = b"http://www.unece.org/cefact/namespaces/StandardBusinessDocumentHeader"
    data = (
        b'<StandardBusinessDocument xmlns="'
        + space
        + b'"><StandardBusinessDocumentHeader/>'
        + inner
        + b"</StandardBusinessDocument>"
    )
    document = ubl.parse(data)
    assert document.kind == "Order"
    assert document.envelope is not None
    assert ubl.recognise(data) and ubl.write(document) == data
    assert ubl.convert(document) == ubl.convert(ubl.parse(sample("order")))
    with pytest.raises(ubl.UblError, match="not-ubl"):
        ubl.parse(data.replace(inner, b""))


@pytest.mark.parametrize(
    ("data", "code"),
    [(b"", "empty"), (b"<Invoice/>", "not-ubl"), (b"<cXML/>", "not-ubl"), (b"ISA*00*", "syntax"),
     (b'<Order xmlns="urn:oasis:names:specification:ubl:schema:xsd:Invoice-2"/>', "not-ubl")],
)  # fmt: skip
def test_what_is_no_ubl_is_refused(data, code):
    with pytest.raises(ubl.UblError) as refusal:
        ubl.parse(data)
    assert refusal.value.code == code


def test_an_order_says_who_wants_what_where_and_when():
    order = converted("order")
    assert isinstance(order, canonical.Order)
    assert (order.number, order.purpose, order.total, order.currency, order.requested) == (
        "PO-1", "original", Decimal("2443.00"), "EUR", "2026-03-04",
    )  # fmt: skip
    assert order.buyer is not None and order.buyer.identifiers == (
        canonical.Identifier(value="7300010000001", scheme="gln"),
    )
    assert order.ship_to is not None and order.ship_to.address_lines == ("Dock 4",)
    assert [(line.identifiers[0].value, line.quantity, line.unit, line.price, line.amount) for line in order.lines] == [
        ("KNEE-99", Decimal(2), "EA", Decimal("1200.50"), Decimal("2401.00")),
        ("SUTURE-3", Decimal(10), "EA", Decimal("4.20"), Decimal("42.00")),
    ]


@pytest.mark.parametrize(("name", "purpose"), [("order_change", "change"), ("order_cancellation", "cancel")])
def test_a_change_and_a_cancellation_are_of_the_order_they_name(name, purpose):
    order = converted(name)
    assert isinstance(order, canonical.Order)
    assert (order.number, order.purpose) == ("PO-1", purpose)


def test_a_response_says_what_becomes_of_each_line():
    response, simple = converted("order_response"), converted("order_response_simple")
    assert isinstance(response, canonical.OrderResponse) and isinstance(simple, canonical.OrderResponse)
    assert (response.order_number, response.status) == ("PO-1", "changed")
    assert [(line.order_line, line.status) for line in response.lines] == [("1", "accepted"), ("2", "rejected")]
    assert (simple.order_number, simple.status) == ("PO-1", "rejected")


def test_a_despatch_advice_says_lot_serial_and_expiry():
    notice = converted("despatch_advice")
    assert isinstance(notice, canonical.ShipNotice)
    assert (notice.number, notice.carrier, notice.tracking_numbers, notice.order_numbers) == (
        "S-1",
        "Harbor Freight",
        ("1Z-7",),
        ("PO-1",),
    )
    assert (notice.shipped, notice.expected) == ("2026-03-02", "2026-03-04T09:00:00")
    (line,) = notice.lines
    assert (line.order_line, line.lot, line.serial, line.expires, line.quantity) == (
        "1",
        "LOT-5",
        "SN-1",
        "2029-01-31",
        Decimal(2),
    )


@pytest.mark.parametrize(("name", "credit"), [("invoice", False), ("credit_note", True)])
def test_an_invoice_and_a_credit_note_add_up(name, credit):
    invoice = converted(name)
    assert isinstance(invoice, canonical.Invoice)
    assert (invoice.credit, invoice.total, invoice.net, invoice.balanced) == (
        credit,
        Decimal("2870.28"),
        Decimal("2443.00"),
        True,
    )
    assert invoice.taxes == (canonical.Tax(amount=Decimal("458.28"), kind="S", rate_percent=Decimal(19)),)
    assert [(part.charge, part.amount) for part in invoice.allowances] == [
        (False, Decimal("43.00")),
        (True, Decimal("12.00")),
    ]
    (wrong,) = ubl.convert(ubl.parse(sample(name).replace(b"2870.28", b"2870.29")))
    assert isinstance(wrong, canonical.Invoice) and not wrong.balanced


def test_accounts_are_protected_in_the_outline_and_goods_are_not():
    shown = str(ubl.outline(ubl.parse(sample("invoice"))).as_json(mask=lambda value: "***"))
    assert "DE00123400000000001234" not in shown and "30 days" not in shown
    assert "KNEE-99" in shown and "2870.28" in shown


@pytest.mark.parametrize(
    ("base", "price"),
    [("", "1200.50"), ('<cbc:BaseQuantity unitCode="EA">100</cbc:BaseQuantity>', "12.005"),
     ("<cbc:BaseQuantity>3</cbc:BaseQuantity>", "400.1666666666666666666666667"),
     ('<cbc:BaseQuantity unitCode="BX">100</cbc:BaseQuantity>', None), ("<cbc:BaseQuantity>0</cbc:BaseQuantity>", None)],
)  # fmt: skip
@pytest.mark.parametrize("name", ["order", "invoice"])
def test_a_price_is_that_of_one_unit_however_many_the_sender_prices_it_by(name, base, price):
    text = re.sub(
        r"(1200\.50</cbc:PriceAmount>)(\s*<cbc:BaseQuantity.*?</cbc:BaseQuantity>)?",
        rf"\1{base}",
        sample(name).decode(),
    )
    (document,) = ubl.convert(ubl.parse(text.encode()))
    assert isinstance(document, canonical.Order | canonical.Invoice)
    assert document.lines[0].price == (Decimal(price) if price is not None else None)


def test_what_is_still_to_be_paid_is_told_where_it_is_not_the_total():
    due = '<cbc:PayableAmount currencyID="EUR">'
    prepaid = '<cbc:PrepaidAmount currencyID="EUR">870.28</cbc:PrepaidAmount>'
    text = sample("invoice").decode().replace(f"{due}2870.28", f"{prepaid}{due}2000.00")
    (part,), whole = ubl.convert(ubl.parse(text.encode())), converted("invoice")
    assert isinstance(part, canonical.Invoice) and isinstance(whole, canonical.Invoice)
    assert (part.total, part.payable, part.balanced) == (Decimal("2870.28"), Decimal("2000.00"), True)
    assert (whole.total, whole.payable) == (Decimal("2870.28"), None)


def test_amounts_of_two_currencies_do_not_balance():
    right = sample("invoice").decode()
    mixed = right.replace('LineExtensionAmount currencyID="EUR"', 'LineExtensionAmount currencyID="USD"', 1)
    (invoice,) = ubl.convert(ubl.parse(mixed.encode()))
    assert isinstance(invoice, canonical.Invoice) and not invoice.balanced
    (found,) = [finding for finding in ubl.validate(ubl.parse(mixed.encode())) if finding.code == "currency"]
    assert found.severity == "error"
    plain = re.sub(r"<cbc:(CustomizationID|ProfileID)>.*?</cbc:\1>", "", mixed)
    assert [finding.severity for finding in ubl.validate(ubl.parse(plain.encode()))] == ["warning"]
    priced = right.replace(
        "</cbc:DocumentCurrencyCode>",
        "</cbc:DocumentCurrencyCode><cbc:PricingCurrencyCode>USD</cbc:PricingCurrencyCode>",
    )
    priced = priced.replace('PriceAmount currencyID="EUR"', 'PriceAmount currencyID="USD"')
    assert "currency" not in {finding.code for finding in ubl.validate(ubl.parse(priced.encode()))}
