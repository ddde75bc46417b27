"""Whatever cXML is built validates and says the same when it is read; whatever bytes come in, only findings come out."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.formats import canonical, cxml

SAMPLES = {path.stem: path.read_bytes() for path in sorted((Path(__file__).parent / "samples").glob("*.xml"))}
ENVELOPE = cxml.Envelope(payload_id="1@lakeshore", timestamp="2026-03-01T12:00:00Z", shared_secret="open-sesame")

LAKESHORE = canonical.Party(identifiers=(canonical.Identifier(value="LAKESHORE", scheme="network-id"),))
SUPPLIER = canonical.Party(
    name="Ortho Supply", identifiers=(canonical.Identifier(value="ORTHO-SUPPLY", scheme="duns"),)
)

words = st.text(alphabet="KNEE-99 <&>\"'é", min_size=1, max_size=12).map(str.strip).filter(bool)
days = st.dates().map(lambda day: f"{day:%Y}".rjust(4, "0") + day.isoformat()[4:])
prices = st.decimals(min_value=0, max_value=10**6, places=2)
counts = st.integers(min_value=1, max_value=10**6).map(Decimal)


@st.composite
def parties(draw: st.DrawFn) -> canonical.Party:
    known = draw(st.booleans())
    return canonical.Party(
        name=draw(words),
        identifiers=tuple(
            canonical.Identifier(value=draw(words), scheme="gln") for _ in range(draw(st.integers(0, 2)))
        ),
        address_lines=tuple(draw(st.lists(words, min_size=1, max_size=3))) if known else (),
        city=draw(words) if known else None,
        state=draw(st.none() | words) if known else None,
        postal_code=draw(st.none() | words) if known else None,
        country="US" if known else None,
    )


@st.composite
def items(draw: st.DrawFn) -> tuple[canonical.Identifier, ...]:
    schemes = draw(st.sets(st.sampled_from(["buyer", "gtin", "unspsc", "manufacturer"])))
    order = [
        scheme for scheme in ("vendor", "buyer", "gtin", "manufacturer", "unspsc") if scheme in schemes | {"vendor"}
    ]
    return tuple(
        canonical.Identifier(value="42321500" if scheme == "unspsc" else draw(words), scheme=scheme) for scheme in order
    )


@st.composite
def orders(draw: st.DrawFn) -> canonical.Order:
    lines = tuple(
        canonical.DocumentLine(
            number=str(at),
            identifiers=draw(items()),
            description=draw(words),
            quantity=draw(counts),
            unit="EA",
            price=draw(prices),
            promised=draw(st.none() | days),
        )
        for at in range(1, draw(st.integers(1, 4)) + 1)
    )
    return canonical.Order(
        number=draw(words),
        purpose=draw(st.sampled_from(["original", "change", "cancel"])),
        date=draw(days),
        currency="USD",
        buyer=LAKESHORE,
        seller=SUPPLIER,
        ship_to=draw(st.none() | parties()),
        bill_to=draw(parties()),
        requested=draw(st.none() | days),
        contract=draw(st.none() | words),
        total=sum((line.quantity * line.price for line in lines if line.quantity and line.price is not None), Decimal(0)),
        lines=lines,
        allowances=tuple(draw(st.lists(st.builds(canonical.Allowance, charge=st.booleans(), amount=prices, code=words, text=st.none() | words), max_size=2))),
    )  # fmt: skip


@st.composite
def responses(draw: st.DrawFn) -> canonical.OrderResponse:
    status = draw(st.sampled_from(["accepted", "rejected", "changed"]))
    lines = tuple(
        canonical.DocumentLine(
            order_line=str(at),
            quantity=draw(counts),
            unit="EA",
            price=draw(st.none() | prices),
            status=draw(st.sampled_from(["accepted", "changed", "rejected", "backordered"])),
            promised=draw(st.none() | days),
        )
        for at in range(1, draw(st.integers(1, 4)) + 1)
    )
    return canonical.OrderResponse(
        order_number=draw(words),
        number=draw(st.none() | words),
        status=status,
        date=draw(days),
        currency="USD",
        buyer=LAKESHORE,
        seller=SUPPLIER,
        lines=lines,
    )


@st.composite
def ship_notices(draw: st.DrawFn) -> canonical.ShipNotice:
    orders_ = draw(st.lists(words, min_size=1, max_size=2, unique=True))
    lines = [
        canonical.DocumentLine(
            number=str(at),
            order_number=order,
            order_line=str(at),
            identifiers=draw(items()),
            description=draw(st.none() | words),
            quantity=draw(counts),
            unit="EA",
            lot=draw(st.none() | words),
            serial=draw(st.none() | words),
            expires=draw(st.none() | days),
        )
        for order in orders_
        for at in range(1, draw(st.integers(0, 2)) + 1)
    ]
    return canonical.ShipNotice(
        number=draw(words),
        date=draw(days),
        shipped=draw(st.none() | days),
        expected=draw(st.none() | days),
        carrier="HBFR",
        tracking_numbers=tuple(draw(st.lists(words, min_size=1, max_size=2))),
        ship_from=draw(st.none() | parties()),
        ship_to=draw(st.none() | parties()),
        order_numbers=tuple(orders_),
        lines=tuple(lines),
    )


@st.composite
def invoices(draw: st.DrawFn) -> canonical.Invoice:
    lines = []
    for at in range(1, draw(st.integers(1, 4)) + 1):
        quantity, price = draw(counts), draw(prices)
        lines.append(
            canonical.DocumentLine(
                number=str(at),
                order_number="PO-1",
                order_line=str(at),
                identifiers=draw(items()),
                description=draw(words),
                quantity=quantity,
                unit="EA",
                price=price,
                amount=quantity * price,
                lot=draw(st.none() | words),
                serial=draw(st.none() | words),
            )
        )
    net = sum((line.amount for line in lines if line.amount is not None), Decimal(0))
    taxes = tuple(
        draw(st.lists(st.builds(canonical.Tax, amount=prices, kind=words, rate_percent=st.none() | prices), max_size=2))
    )
    allowances = tuple(
        draw(
            st.lists(
                st.builds(canonical.Allowance, charge=st.booleans(), amount=prices, code=words, text=words), max_size=2
            )
        )
    )
    moved = sum((part.amount if part.charge else -part.amount for part in allowances), Decimal(0))
    return canonical.Invoice(
        number=draw(words),
        credit=False,
        date="2026-03-05",
        due=draw(st.none() | st.just("2026-04-04")),
        currency="USD",
        order_number="PO-1",
        buyer=LAKESHORE,
        seller=SUPPLIER,
        ship_to=draw(st.none() | parties()),
        remit_to=draw(st.none() | parties()),
        total=(total := net + moved + sum((tax.amount for tax in taxes), Decimal(0))),
        payable=draw(st.none() | st.just(total - Decimal("0.01"))),
        net=net,
        lines=tuple(lines),
        allowances=allowances,
        taxes=taxes,
        balanced=True,
    )


def comes_back(
    document: canonical.Order | canonical.OrderResponse | canonical.ShipNotice | canonical.Invoice,
    envelope: cxml.Envelope,
) -> None:
    written = cxml.write(cxml.build(document, envelope))
    read = cxml.parse(written)
    assert [finding for finding in cxml.validate(read) if finding.severity == "error"] == []
    assert cxml.convert(read) == [document]


@given(orders() | responses() | invoices())
@settings(max_examples=120, deadline=None)
def test_what_is_built_validates_and_says_the_same_when_read(document):
    comes_back(document, ENVELOPE)


@given(ship_notices())
@settings(max_examples=40, deadline=None)
def test_a_ship_notice_names_its_sides_in_the_envelope(notice):
    comes_back(notice, replace(ENVELOPE, sender=SUPPLIER, receiver=LAKESHORE))


@given(invoices().filter(lambda invoice: invoice.total > 0))
@settings(max_examples=40, deadline=None)
def test_a_credit_memo_is_written_negative_and_read_positive(invoice):
    memo = replace(invoice, credit=True)
    written = cxml.build(memo, ENVELOPE)
    net = written.root.find("Request/InvoiceDetailRequest/InvoiceDetailSummary/NetAmount/Money")
    assert net is not None and (net.text or "").startswith("-")
    comes_back(memo, ENVELOPE)


REFUSED = {
    "nobody to bill": ({"bill_to": None}, "OrderRequestHeader"),
    "no total": ({"total": None}, "Total"),
    "no lines": ({"lines": ()}, "OrderRequest"),
    "a line without a price": ({"lines": (canonical.DocumentLine(number="1", quantity=Decimal(1)),)}, "ItemOut"),
    "a sender without a number": ({"buyer": canonical.Party(name="Lakeshore")}, "From"),
    "a control character": ({"number": "PO\x01"}, None),
}


@pytest.mark.parametrize(("changes", "place"), REFUSED.values(), ids=REFUSED)
def test_what_cxml_cannot_carry_is_refused_by_its_place(changes, place):
    (order,) = cxml.convert(cxml.parse(SAMPLES["order"]))
    assert isinstance(order, canonical.Order)
    cxml.build(order, ENVELOPE)
    with pytest.raises(cxml.CannotWrite) as refusal:
        cxml.build(replace(order, **changes), ENVELOPE)
    assert place is None or place in (refusal.value.location or "")


def test_what_would_be_dropped_is_refused_and_not_dropped():
    (order,) = cxml.convert(cxml.parse(SAMPLES["order"]))
    assert isinstance(order, canonical.Order)
    line = replace(order.lines[0], lot="LOT-5")
    with pytest.raises(cxml.CannotWrite) as refusal:
        cxml.build(replace(order, lines=(line, *order.lines[1:])), ENVELOPE)
    assert refusal.value.location == "lines[0].lot"


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_mutated_bytes_end_in_findings(data):
    raw = bytearray(SAMPLES[data.draw(st.sampled_from(sorted(SAMPLES)))])
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(raw) - 1))
        length = data.draw(st.integers(0, 40))
        kind = data.draw(st.sampled_from(["drop", "repeat", "byte", "swap"]))
        if kind == "drop":
            del raw[at : at + length]
        elif kind == "repeat":
            raw[at:at] = raw[at : at + length]
        elif kind == "byte":
            raw[at : at + 1] = data.draw(st.binary(max_size=2))
        else:
            other = data.draw(st.integers(0, len(raw) - 1))
            raw[at : at + length] = raw[other : other + length]
        raw = raw or bytearray(b" ")
    try:
        document = cxml.parse(bytes(raw))
    except cxml.CxmlError as error:
        assert error.code and error.text
        return
    assert cxml.write(document) == bytes(raw)
    assert len(cxml.validate(document)) <= 300
    cxml.convert(document)
    cxml.outline(document)
    cxml.acknowledge(document, cxml.validate(document), payload_id="A-1", timestamp="2026-03-01T12:00:00Z")
