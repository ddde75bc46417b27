"""Three-way match: a table of bills that are not paid as they are, each with its reason and what it would cost."""

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.model import ItemNumber, Money
from hilum.model.identifiers import FacilityCode
from hilum.model.procurement import PurchaseOrder, PurchaseOrderLine, SupplierInvoice
from hilum.processes.invoice_match import (
    BadTable,
    BilledCharge,
    BilledInvoice,
    BilledLine,
    Tolerance,
    match_invoice,
    read_charge_accounts,
    read_tolerances,
)

TOLERANCES = {"price": Tolerance(Decimal(2), Decimal("25.00")), "charge": Tolerance(Decimal(5), Decimal("150.00"))}


def ordered(line="41", item="KNEE-99", quantity=4, received=4, invoiced=0, price="100.00"):
    return PurchaseOrderLine(
        id=line, item=ItemNumber(item), unit="EA", ordered=Decimal(quantity), received=Decimal(received),
        invoiced=Decimal(invoiced), unit_price=Money.usd(price),
    )  # fmt: skip


def order(*lines, supplier="ORTHO", state="processing", currency="USD"):
    return PurchaseOrder(
        number="PO-118", supplier=supplier, supplier_name="Ortho Supply", facility=FacilityCode("ST-MARY"), state=state,
        currency=currency, lines=lines if lines else (ordered(),),
    )  # fmt: skip


def bill(*lines, total=None, charges=(), **changes):
    billed = lines if lines else (billed_line(),)
    sums = sum((line.amount for line in billed), Decimal(0)) + sum((c.amount for c in charges), Decimal(0))
    told = {"supplier": "ORTHO", "number": "INV-1", "order": "PO-118", "invoiced_on": date(2026, 3, 2)}
    return BilledInvoice(
        **{**told, "lines": billed, "charges": charges, "total": total if total is not None else sums, **changes}
    )


def billed_line(line="41", quantity=4, price="100.00", item="KNEE-99", unit="EA"):
    return BilledLine(order_line=line, item=item, unit=unit, quantity=Decimal(quantity), unit_price=Decimal(price))


def known(state="posted", reference="INV-1"):
    nothing = Money.usd(0)
    return SupplierInvoice(
        id="7",
        reference=reference,
        supplier="ORTHO",
        state=state,
        untaxed=nothing,
        tax=nothing,
        total=nothing,
        open_amount=nothing,
    )


FREIGHT = BilledCharge(kind="freight", amount=Decimal("15.00"))
ROWS = {
    "as ordered and received": (bill(), order(), (), []),
    "a part of it": (bill(billed_line(quantity=1)), order(), (), []),
    "cheaper than agreed": (bill(billed_line(price="90.00")), order(), (), []),
    "dearer within both bounds": (bill(billed_line(price="101.00")), order(), (), []),
    "dearer than two per cent": (bill(billed_line(price="103.00")), order(), (), [("price", "12.00")]),
    "dearer than twenty-five dollars": (
        bill(billed_line(price="1010.00")), order(ordered(price="1000.00")), (), [("price", "40.00")],
    ),
    "one more than ordered": (bill(billed_line(quantity=5)), order(ordered(received=5)), (), [("quantity", "100.00")]),
    "one more than arrived": (bill(), order(ordered(received=3)), (), [("not-received", "100.00")]),
    "nothing arrived": (bill(), order(ordered(received=0)), (), [("not-received", "400.00")]),
    "billed before": (bill(), order(ordered(invoiced=4)), (), [("quantity", "400.00"), ("not-received", "400.00")]),
    "the rest after an earlier bill": (bill(billed_line(quantity=1)), order(ordered(invoiced=3)), (), []),
    "another unit": (bill(billed_line(unit="BX")), order(), (), [("other-unit", "400.00")]),
    "another item": (bill(billed_line(item="HIP-1")), order(), (), [("other-item", "400.00")]),
    "a line that is not on the order": (bill(billed_line(line="99")), order(), (), [("no-such-line", "400.00")]),
    "one line twice": (
        bill(billed_line(quantity=2), billed_line(quantity=2)), order(), (), [("line-twice", "200.00")],
    ),
    "freight within bounds": (bill(charges=(FREIGHT,)), order(), (), []),
    "freight beyond five per cent": (
        bill(charges=(BilledCharge(kind="freight", amount=Decimal("30.00")),)), order(), (), [("charge", "30.00")],
    ),
    "tax of any amount": (bill(charges=(BilledCharge(kind="tax", amount=Decimal("80.00")),)), order(), (), []),
    "a total that does not add up": (bill(total=Decimal("410.00")), order(), (), [("does-not-add-up", "10.00")]),
    "the same number again": (bill(), order(), (known(),), [("duplicate", "400.00")]),
    "the number of a cancelled one": (bill(), order(), (known(state="cancelled"),), []),
    "another number of the supplier": (bill(), order(), (known(reference="INV-2"),), []),
    "an order that is not there": (bill(), None, (), [("no-order", "400.00")]),
    "another supplier's order": (bill(), order(supplier="MEDLINE"), (), [("other-supplier", "400.00")]),
    "an order in euros": (bill(), order(currency="EUR"), (), [("other-currency", "400.00")]),
    "a cancelled order": (bill(), order(state="cancelled"), (), [("order-not-open", "400.00")]),
}  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
def test_a_bill_for(name):
    invoice, placed, before, expected = ROWS[name]
    found = match_invoice(invoice, placed, before, TOLERANCES)
    assert [(e.kind, f"{e.difference.amount:.2f}") for e in found] == expected


def test_without_a_table_nothing_beyond_the_agreed_is_paid():
    assert [e.kind for e in match_invoice(bill(billed_line(price="100.01")), order())] == ["price"]


quantities = st.integers(0, 9)
prices = st.decimals("0.01", "500", places=2)


@given(
    st.lists(st.tuples(st.integers(1, 9), prices, quantities, quantities, quantities, prices), min_size=1, max_size=4)
)
def test_what_matches_is_never_more_than_ordered_received_or_agreed_beyond_the_tolerance(lines):
    placed = order(
        *(
            ordered(f"{n}", quantity=o, received=r, invoiced=i, price=f"{p}")
            for n, (_, _, o, r, i, p) in enumerate(lines)
        )
    )
    invoice = bill(*(billed_line(f"{n}", quantity=q, price=f"{b}") for n, (q, b, *_) in enumerate(lines)))
    if match_invoice(invoice, placed, (), TOLERANCES):
        return
    for q, b, o, r, i, p in lines:
        assert q + i <= o and q + i <= r
        assert (b - p) * q <= min(Decimal("25.00"), p * q * Decimal("0.02")) or b <= p


@given(st.integers(1, 9), prices, quantities, quantities, prices)
def test_every_reason_costs_something_and_never_more_than_the_bill(quantity, billed, received, invoiced, agreed):
    invoice = bill(billed_line(quantity=quantity, price=f"{billed}"))
    for reason in match_invoice(invoice, order(ordered(received=received, invoiced=invoiced, price=f"{agreed}"))):
        assert Decimal(0) < reason.difference.amount <= invoice.total


def test_the_estates_tables_are_read(tmp_path: Path):
    table = tmp_path / "match_tolerances.csv"
    assert read_tolerances(table) == {}
    table.write_text("kind,percent,amount\nprice,2,25.00\n")
    assert read_tolerances(table) == {"price": Tolerance(Decimal(2), Decimal("25.00"))}
    accounts = tmp_path / "charge_accounts.csv"
    assert read_charge_accounts(accounts) == {}
    accounts.write_text("kind,account\nfreight,5300\n")
    assert read_charge_accounts(accounts) == {"freight": "5300"}


@pytest.mark.parametrize("row", ["price,two,25", "price,2", "quantity,2,25", "price,-1,25", ",1,1"])
def test_a_table_with_a_mistake_is_refused_by_name(tmp_path: Path, row: str):
    table = tmp_path / "match_tolerances.csv"
    table.write_text(f"kind,percent,amount\n{row}\n")
    with pytest.raises(BadTable, match=r"match_tolerances\.csv"):
        read_tolerances(table)
