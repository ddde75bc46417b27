"""Supply documents become canonical and come back: what is written is valid and says the same."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.formats import x12
from hilum.formats.canonical import (
    Allowance,
    Canonical,
    DocumentLine,
    Identifier,
    Invoice,
    Order,
    OrderResponse,
    Package,
    Party,
    Record,
    ShipNotice,
    Tax,
)
from hilum.formats.findings import FormatError
from hilum.formats.x12.conversion.writing_invoice import invoice_to_810
from hilum.formats.x12.conversion.writing_order import order_to_850
from hilum.formats.x12.conversion.writing_order_response import order_response_to_855
from hilum.formats.x12.conversion.writing_ship_notice import ship_notice_to_856

SAMPLES = Path(__file__).parent / "samples" / "supply"
NOON = datetime(2026, 11, 21, 12, 0)
GROUPS = {"850": "PO", "855": "PR", "856": "SH", "810": "IN"}


def sent(transaction: x12.NewTransaction, version: str = "004010") -> x12.Document:
    """An interchange of Lakeshore's with this transaction alone."""
    group = x12.NewGroup(functional_id=GROUPS[transaction.set_id], version=version, transactions=[transaction])
    return x12.build(
        [group],
        sender=("ZZ", "LAKESHORE"),
        receiver=("ZZ", "ORTHOSUPPLY"),
        control_number=7,
        now=NOON,
        version="00401" if version < "005010" else "00501",
    )


def told(name: str, *edits: tuple[str, str]) -> Canonical:
    text = (SAMPLES / name).read_text()
    for old, new in edits:
        assert old in text, f"{old!r} is not in {name}"
        text = text.replace(old, new, 1)
    [document] = x12.convert(x12.parse(text.encode()))
    return document


def errors(document: x12.Document) -> list[str]:
    return [str(found) for found in x12.validate(document) if found.severity == "error"]


# --- there and back -------------------------------------------------------------------------------------------------

TEXT = (
    st.text(st.sampled_from("ABCDEFGHKLMNPRSTUVXYZ 0123456789-./"), min_size=2, max_size=20)
    .map(str.strip)
    .filter(lambda text: len(text) > 1)
)
NUMBER = st.text(st.sampled_from("ABCXYZ0123456789-"), min_size=2, max_size=15).filter(
    lambda text: text.strip("-") != ""
)
DAYS = st.dates(date(2020, 1, 1), date(2035, 12, 31)).map(date.isoformat)
QUANTITY = st.one_of(st.integers(1, 5000).map(Decimal), st.decimals("0.5", "99", places=2))
PRICE = st.one_of(st.decimals("0", "9999", places=2), st.decimals("0", "99", places=4))
SCHEMES = st.sampled_from(["vendor", "buyer", "manufacturer", "sku", "model", "B6", "TP"])
IDENTIFIERS = st.lists(st.builds(Identifier, value=NUMBER, scheme=SCHEMES), min_size=1, max_size=4, unique=True).map(
    tuple
)
PARTIES = st.builds(
    Party,
    name=TEXT,
    identifiers=st.one_of(
        st.just(()),
        st.builds(
            Identifier, value=NUMBER, scheme=st.sampled_from(["gln", "duns", "duns+4", "hin", "tax-id", "seller", "PI"])
        ).map(lambda identifier: (identifier,)),
    ),
    address_lines=st.lists(TEXT, max_size=4).map(tuple),
    city=st.one_of(st.none(), TEXT),
    state=st.one_of(st.none(), st.sampled_from(["WI", "MN", "IL"])),
    postal_code=st.one_of(st.none(), st.sampled_from(["53000", "53001-1234"])),
    country=st.one_of(st.none(), st.sampled_from(["US", "CA"])),
)
SOMEBODY = st.one_of(st.none(), PARTIES)
CENTS = st.decimals("0.01", "500", places=2)
ALLOWANCES = st.lists(
    st.builds(
        Allowance,
        charge=st.booleans(),
        amount=CENTS,
        code=st.one_of(st.none(), st.sampled_from(["C310", "D240", "G830"])),
        text=st.one_of(st.none(), TEXT),
    ),
    max_size=2,
).map(tuple)
TAXES = st.lists(
    st.builds(Tax, amount=CENTS, kind=st.sampled_from(["ST", "CT"]), rate_percent=st.one_of(st.none(), CENTS)),
    max_size=1,
).map(tuple)
SOME_TEXT = st.one_of(st.none(), TEXT)
SOME_NUMBER = st.one_of(st.none(), NUMBER)


def lines(**more: st.SearchStrategy[object]) -> st.SearchStrategy[DocumentLine]:
    parts: dict[str, st.SearchStrategy[object]] = {
        "identifiers": IDENTIFIERS,
        "description": SOME_TEXT,
        "quantity": QUANTITY,
        "unit": st.sampled_from(["EA", "BX", "CA"]),
        "lot": SOME_NUMBER,
        "serial": SOME_NUMBER,
        **more,
    }
    return st.builds(DocumentLine, **parts)


def numbered(found: list[DocumentLine]) -> tuple[DocumentLine, ...]:
    return tuple(replace(line, number=str(number)) for number, line in enumerate(found, 1))


@settings(max_examples=40, deadline=None)
@given(
    st.builds(
        Order,
        number=NUMBER,
        purpose=st.sampled_from(["original", "change", "cancel"]),
        date=DAYS,
        currency=st.sampled_from([None, "USD"]),
        buyer=SOMEBODY,
        seller=SOMEBODY,
        ship_to=SOMEBODY,
        bill_to=SOMEBODY,
        requested=st.one_of(st.none(), DAYS),
        contract=SOME_NUMBER,
        lines=st.lists(
            lines(price=st.one_of(st.none(), PRICE), order_line=SOME_NUMBER, allowances=ALLOWANCES, taxes=TAXES),
            min_size=1,
            max_size=4,
        ).map(numbered),
        allowances=ALLOWANCES,
    ),
    st.sampled_from(["004010", "005010"]),
)
def test_an_order_that_is_written_is_valid_and_comes_back_equal(order: Order, version: str):
    document = sent(order_to_850(order), version)
    assert errors(document) == []
    assert x12.convert(document) == [order]


@settings(max_examples=40, deadline=None)
@given(
    st.builds(
        OrderResponse,
        order_number=NUMBER,
        number=SOME_NUMBER,
        status=st.sampled_from(["accepted", "changed", "rejected"]),
        date=DAYS,
        currency=st.sampled_from([None, "USD"]),
        buyer=SOMEBODY,
        seller=SOMEBODY,
        lines=st.lists(
            st.tuples(
                lines(price=st.one_of(st.none(), PRICE), allowances=ALLOWANCES),
                st.lists(
                    st.tuples(
                        st.sampled_from(["accepted", "changed", "backordered", "rejected", "deleted"]),
                        QUANTITY,
                        st.one_of(st.none(), DAYS),
                    ),
                    min_size=1,
                    max_size=3,
                ),
            ),
            max_size=3,
        ).map(
            lambda ordered: tuple(
                replace(line, number=str(number), status=status, quantity=quantity, promised=promised)
                for number, (line, answers) in enumerate(ordered, 1)
                for status, quantity, promised in answers
            )
        ),
    )
)
def test_a_response_that_is_written_is_valid_and_comes_back_equal(response: OrderResponse):
    document = sent(order_response_to_855(response))
    assert errors(document) == []
    assert x12.convert(document) == [response]


@st.composite
def ship_notices(draw: st.DrawFn) -> ShipNotice:
    orders = draw(st.lists(NUMBER, min_size=1, max_size=2, unique=True))
    item = lines(
        number=st.sampled_from(["1", "2", "3"]),
        order_number=st.sampled_from([None, *orders]),
        order_line=SOME_NUMBER,
        expires=st.one_of(st.none(), DAYS),
    )
    packages: list[Package] = []
    for label in draw(st.lists(NUMBER.map(lambda text: f"B{text}"), max_size=3, unique=True)):
        inside = draw(st.sampled_from([None, *[package.label for package in packages]]))
        kind = draw(st.sampled_from(["pallet", "carton"])) if inside is None else "carton"
        packages.append(
            Package(label=label, kind=kind, inside=inside, lines=tuple(draw(st.lists(item, min_size=1, max_size=3))))
        )
    loose = draw(st.lists(item, min_size=0 if packages else 1, max_size=3))
    every = [line for package in packages for line in package.lines] + loose
    named = dict.fromkeys(line.order_number for line in every if line.order_number is not None)
    return ShipNotice(
        number=draw(NUMBER),
        date=draw(DAYS) + draw(st.sampled_from(["", "T14:15", "T07:30:59"])),
        shipped=draw(st.one_of(st.none(), DAYS)),
        expected=draw(st.one_of(st.none(), DAYS)),
        carrier=draw(st.sampled_from([None, "UPSN", "Lakeshore Couriers"])),
        tracking_numbers=tuple(draw(st.lists(NUMBER, max_size=2, unique=True))),
        ship_from=draw(SOMEBODY),
        ship_to=draw(SOMEBODY),
        order_numbers=tuple(named),
        lines=tuple(every),
        packages=tuple(packages),
    )


@settings(max_examples=40, deadline=None)
@given(ship_notices())
def test_a_ship_notice_that_is_written_is_valid_and_comes_back_equal(notice: ShipNotice):
    document = sent(ship_notice_to_856(notice))
    assert errors(document) == []
    assert x12.convert(document) == [notice]


@st.composite
def invoices(draw: st.DrawFn) -> Invoice:
    found = draw(
        st.lists(lines(price=PRICE, allowances=ALLOWANCES, taxes=TAXES, order_line=SOME_NUMBER), min_size=1, max_size=4)
    )
    billed = numbered([replace(line, amount=cents(line.quantity * line.price)) for line in found])
    allowances = draw(ALLOWANCES)
    taxes = draw(TAXES)
    exact = sum((line.quantity * line.price for line in billed), Decimal(0))
    every = [*allowances, *(part for line in billed for part in line.allowances)]
    exact += sum((part.amount if part.charge else -part.amount for part in every), Decimal(0))
    tax = sum((part.amount for part in (*taxes, *(part for line in billed for part in line.taxes))), Decimal(0))
    total = cents(exact + tax)
    return Invoice(
        number=draw(NUMBER),
        credit=draw(st.booleans()) or total < 0,
        date=draw(DAYS),
        due=draw(st.one_of(st.none(), DAYS)),
        currency=draw(st.sampled_from([None, "USD"])),
        order_number=draw(SOME_NUMBER),
        buyer=draw(SOMEBODY),
        seller=draw(SOMEBODY),
        ship_to=draw(SOMEBODY),
        remit_to=draw(SOMEBODY),
        total=total,
        lines=billed,
        allowances=allowances,
        taxes=taxes,
        balanced=True,
    )


def cents(exact: Decimal) -> Decimal:
    return exact.quantize(Decimal("0.01"), ROUND_HALF_UP)


@settings(max_examples=60, deadline=None)
@given(invoices())
def test_an_invoice_that_is_written_is_valid_and_comes_back_equal(invoice: Invoice):
    document = sent(invoice_to_810(invoice))
    assert errors(document) == []
    [back] = x12.convert(document)
    assert isinstance(back, Invoice)
    assert back.net is not None
    assert replace(back, net=None) == invoice


@settings(max_examples=60, deadline=None)
@given(invoices(), st.sampled_from([Decimal("0.10"), Decimal("-0.10"), Decimal(1000)]))
def test_an_invoice_whose_total_is_off_is_not_balanced(invoice: Invoice, off: Decimal):
    """Unless the allowances of the summary happen to make up for it, which a reading of theirs would allow."""
    alone = replace(
        invoice,
        allowances=(),
        taxes=(),
        credit=False,
        lines=tuple(replace(line, allowances=(), taxes=()) for line in invoice.lines),
    )
    exact = sum((line.quantity * line.price for line in alone.lines), Decimal(0))
    document = sent(invoice_to_810(replace(alone, total=cents(exact) + off)))
    assert "810-total" in {found.code for found in x12.validate(document)}
    [back] = x12.convert(document)
    assert isinstance(back, Invoice)
    assert not back.balanced


# --- what is missing, and what codes mean -----------------------------------------------------------------------------

ANSWERS = {
    "IA": "accepted",
    "AC": "accepted",
    "IB": "backordered",
    "BP": "backordered",
    "IC": "changed",
    "IP": "changed",
    "IQ": "changed",
    "DR": "changed",
    "ID": "deleted",
    "IR": "rejected",
    "R3": "rejected",
    "IS": "substituted",
    "IH": "IH",
}


@pytest.mark.parametrize(("code", "status"), ANSWERS.items())
def test_an_answer_to_a_line_is_told_in_words(code: str, status: str):
    response = told("855.edi", ("ACK*IA*2*EA", f"ACK*{code}*2*EA"))
    assert isinstance(response, OrderResponse)
    assert response.lines[0].status == status


@pytest.mark.parametrize(
    ("code", "status"), {"AD": "accepted", "AT": "accepted", "AC": "changed", "RD": "rejected", "AH": "AH"}.items()
)
def test_an_answer_to_the_whole_is_told_in_words(code: str, status: str):
    response = told("855.edi", ("BAK*00*AC*", f"BAK*00*{code}*"))
    assert isinstance(response, OrderResponse)
    assert response.status == status


def test_a_substitute_comes_instead_of_what_was_ordered():
    response = told("855.edi")
    assert isinstance(response, OrderResponse)
    [substitute] = [line for line in response.lines if line.status == "substituted"]
    assert substitute.identifiers == (Identifier(value="GAUZE-5", scheme="vendor"),)
    assert substitute.promised == "2026-11-25"


def test_lot_serial_number_and_expiry_of_an_implant_are_told():
    notice = told("856.edi")
    assert isinstance(notice, ShipNotice)
    knee = notice.lines[0]
    assert (knee.lot, knee.serial, knee.expires) == ("LOT-A1", "SER-001", "2029-12-31")
    assert Identifier(value="10614141000996", scheme="gtin") in knee.identifiers
    assert notice.packages[1].inside == notice.packages[0].label


def test_lot_and_serial_number_may_stand_in_references():
    notice = told(
        "856.edi", ("*LT*LOT-A1*SN*SER-001", ""), ("DTM*036*20291231", "REF*LT*LOT-B~\nREF*SE*SER-9~\nDTM*036*20291231")
    )
    assert isinstance(notice, ShipNotice)
    assert (notice.lines[0].lot, notice.lines[0].serial) == ("LOT-B", "SER-9")


def test_a_credit_memo_is_a_credit():
    credit = told("810_credit.edi")
    assert isinstance(credit, Invoice)
    assert (credit.credit, credit.total, credit.balanced) == (True, Decimal("-1850"), True)


def test_a_total_below_zero_is_a_credit_whatever_its_type():
    credit = told("810_credit.edi", ("***CR~", "~"))
    assert isinstance(credit, Invoice)
    assert credit.credit


def test_a_credit_memo_may_have_positive_amounts():
    credit = told("810_credit.edi", ("IT1*1*-1*EA", "IT1*1*1*EA"), ("TDS*-185000", "TDS*185000"))
    assert isinstance(credit, Invoice)
    assert (credit.credit, credit.total, credit.balanced) == (True, Decimal(1850), True)


def test_of_several_answers_none_says_the_whole_quantity_for_itself():
    response = told("855.edi", ("ACK*IA*25*EA*067*20261124", "ACK*DR***067*20261124"), ("ACK*IB*15*EA", "ACK*IP**"))
    assert isinstance(response, OrderResponse)
    assert [line.quantity for line in response.lines if line.number == "2"] == [None, None]


def test_an_unbalanced_invoice_says_so():
    invoice = told("810.edi", ("TDS*419145", "TDS*419246"))
    assert isinstance(invoice, Invoice)
    assert (invoice.balanced, invoice.net, invoice.total) == (False, None, Decimal("4192.46"))


def test_account_numbers_of_a_payment_are_left_out():
    payment = told(
        "820.edi",
        ("*CHK************20261220", "*ACH*CTX*01*999999992*DA*12345678*1999999999**01*999999992*DA*87654321*20261220"),
    )
    assert isinstance(payment, Record)
    assert payment.content["method"] == "ACH"
    assert "12345678" not in str(payment.content)
    assert "87654321" not in str(payment.content)


@pytest.mark.parametrize(
    ("name", "old", "place"),
    [
        ("850.edi", "*PO-1001*", "BEG03"),
        ("860.edi", "*PO-1001*", "BCH03"),
        ("855.edi", "*PO-1001*", "BAK03"),
        ("865.edi", "*PO-1001*", "BCA03"),
        ("856.edi", "*SH-9001*", "BSN02"),
        ("810.edi", "*INV-7001*", "BIG02"),
        ("810.edi", "*419145", "TDS01"),
    ],
)
def test_what_a_document_cannot_do_without_is_named(name: str, old: str, place: str):
    with pytest.raises(FormatError) as refused:
        told(name, (old, "**" if old.endswith("*") else ""))
    assert refused.value.location == place


def test_what_cannot_be_written_is_named():
    line = DocumentLine(number="1", quantity=Decimal(1), unit="EA")
    with pytest.raises(FormatError, match="date") as dateless:
        order_to_850(Order(number="PO-1"))
    assert dateless.value.location == "BEG05"
    with pytest.raises(FormatError, match="no number"):
        ship_notice_to_856(ShipNotice(number="SH-1", date="2026-11-21", lines=(line,)))
    with pytest.raises(FormatError, match="fractions of a cent") as split:
        invoice_to_810(Invoice(number="I-1", date="2026-11-21", total=Decimal("0.001"), balanced=True))
    assert split.value.location == "TDS01"
    lost = Package(label="BOX-2", inside="BOX-1")
    with pytest.raises(FormatError, match="inside"):
        ship_notice_to_856(ShipNotice(number="SH-1", date="2026-11-21", packages=(lost,)))
    with pytest.raises(x12.X12Error, match="separates"):
        sent(order_to_850(Order(number="PO*1", date="2026-11-21")))


@pytest.mark.parametrize("purpose", ["06", "07", "18"])
def test_a_duplicate_or_a_confirmation_does_not_become_a_new_order(purpose: str):
    text = (SAMPLES / "850.edi").read_text()
    assert "BEG*00*" in text
    (order,) = x12.convert(x12.parse(text.replace("BEG*00*", f"BEG*{purpose}*").encode()))
    assert isinstance(order, Order)
    assert order.purpose == purpose
    assert x12.order_to_850(order).segments[0][1] == purpose
