"""Suppliers made known and invoices entered in the real ERP: once, whole, in place of what was expected, and attacked."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import count
from typing import TypeVar

import pytest

from hilum.authoring import ErpRefused, PageRequest, Unavailable
from hilum.connectors.tryton import TrytonErp
from hilum.model import (
    InvoiceEntry,
    InvoiceEntryLine,
    Money,
    Supplier,
    SupplierAddress,
    SupplierContact,
    TaxIdentifier,
)
from hilum.model.where import Equals, all_of
from hilum.testing.neighbours.faulty_proxy import Fault, FaultyProxy
from hilum.testing.neighbours.tryton import Tryton
from hilum.testing.neighbours.tryton_trade import SeedOrder, plant_orders

pytestmark = pytest.mark.erp

R = TypeVar("R")
Ask = Callable[[Callable[[TrytonErp], Awaitable[R]]], R]
YEAR = datetime.now(UTC).date().year - 1
_numbers = count(1)


@pytest.fixture
def ask(erp: Tryton, erp_line: FaultyProxy) -> Iterator[Ask]:
    def asked(work: Callable[[TrytonErp], Awaitable[R]]) -> R:
        async def run() -> R:
            connector = TrytonErp(erp_line.url, erp.database, erp.api_key, timeout_seconds=20)
            try:
                return await work(connector)
            finally:
                await connector.close()

        return asyncio.run(run())

    yield asked


def bonecraft(code: str, **changed: object) -> Supplier:
    return Supplier.model_validate(
        {
            "code": code,
            "name": f"{code} Instruments",
            "payment_term": "30 days",
            "addresses": (SupplierAddress(street="9 Anvil Lane", city="Duluth", subdivision="MN", country="US"),),
            "contacts": (SupplierContact(kind="email", value="sales@bonecraft.example", name="Ida Holm"),),
            "tax_identifiers": (TaxIdentifier(kind="us_ein", value="991000066"),),
            **changed,
        }
    )


def parties(erp: Tryton, code: str) -> int:
    with erp.desk() as desk:
        return len(desk.search("party.party", [("code", "=", code), ("active", "in", [True, False])]))


# --- suppliers


def test_a_supplier_is_made_whole_and_once(ask, erp):
    first = ask(lambda erp: erp.create_supplier(bonecraft("Bonecraft"), key="supplier/1"))
    again = ask(lambda erp: erp.create_supplier(bonecraft("Bonecraft"), key="supplier/other"))

    assert first == again
    assert (first.type, first.number) == ("supplier", "Bonecraft")
    assert parties(erp, "Bonecraft") == 1
    known = ask(lambda erp: erp.supplier("Bonecraft"))
    assert known.addresses == bonecraft("Bonecraft").addresses
    assert known.contacts == bonecraft("Bonecraft").contacts
    # The ERP writes the number in its usual form.
    assert known.tax_identifiers == (TaxIdentifier(kind="us_ein", value="99-1000066"),)


def test_a_supplier_whose_answer_was_lost_is_found(ask, erp, erp_line):
    erp_line.fail(r"POST .*party\.party\?", Fault.ANSWER_LOST)
    with pytest.raises(Unavailable):
        ask(lambda erp: erp.create_supplier(bonecraft("Lostcraft"), key="supplier/2"))

    assert ask(lambda erp: erp.find_create_supplier(bonecraft("Lostcraft"), key="supplier/2")) is not None
    ask(lambda erp: erp.create_supplier(bonecraft("Lostcraft"), key="supplier/2"))
    assert parties(erp, "Lostcraft") == 1


def test_of_those_who_make_the_same_supplier_at_once_all_name_one(erp):
    async def all_at_once() -> set[str]:
        connectors = [TrytonErp(erp.base_url, erp.database, erp.api_key) for _ in range(4)]
        try:
            made = await asyncio.gather(
                *(c.create_supplier(bonecraft("Manycraft"), key="supplier/3") for c in connectors)
            )
        finally:
            for connector in connectors:
                await connector.close()
        return {ref.id for ref in made}

    assert len(asyncio.run(all_at_once())) == 1
    assert parties(erp, "Manycraft") == 1


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"name": "Somebody else"}, "belongs to somebody else"),
        ({"tax_identifiers": (TaxIdentifier(kind="us_ein", value="991000074"),)}, "belongs to somebody else"),
    ],
)
def test_a_code_that_belongs_to_somebody_else_is_refused(ask, changed, reason):
    ask(lambda erp: erp.create_supplier(bonecraft("Firstcraft"), key="supplier/4"))
    with pytest.raises(ErpRefused, match=reason):
        ask(lambda erp: erp.create_supplier(bonecraft("Firstcraft", **changed), key="supplier/5"))


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"payment_term": "400 days"}, "no payment term 400 days"),
        ({"addresses": (SupplierAddress(city="Paris", country="FR"),)}, "no country FR"),
        ({"tax_identifiers": (TaxIdentifier(kind="us_ein", value="12"),)}, "12"),
    ],
)
def test_what_the_erp_does_not_know_leaves_no_half_a_supplier(ask, erp, changed, reason):
    with pytest.raises(ErpRefused, match=reason):
        ask(lambda erp: erp.create_supplier(bonecraft("Halfcraft", **changed), key="supplier/6"))
    assert parties(erp, "Halfcraft") == 0


# --- invoices


@pytest.fixture
def hips(erp: Tryton, ask: Ask) -> Callable[..., tuple[str, str]]:
    """An order of hip stems, so many of which have arrived: its number and its line."""

    def ordered(quantity: int = 3, received: int = 0, facility: str = "HARBOR-VIEW") -> tuple[str, str]:
        order = SeedOrder("Orthovia", facility, "HIP-40", quantity, Decimal("4125.50"), 5, 4, received=received)
        with erp.desk() as desk:
            [company] = desk.search("company.company", [])
            plant_orders((order,), desk, company, YEAR)
            numbers = desk.read("purchase.purchase", desk.search("purchase.purchase", []), ["number"])
            number = max(found["number"] for found in numbers if found["number"] is not None)
        return number, ask(lambda erp: erp.order(number)).lines[0].id

    return ordered


def bill(line: str, quantity: int, *, freight: str | None = None, reference: str | None = None) -> InvoiceEntry:
    lines = [
        InvoiceEntryLine(
            description="Hip stem", quantity=Decimal(quantity), unit_price=Decimal("4125.50"), order_line=line
        )
    ]
    if freight is not None:
        lines.append(
            InvoiceEntryLine(description="Freight", quantity=Decimal(1), unit_price=Decimal(freight), account="5100")
        )
    return InvoiceEntry(
        supplier="Orthovia",
        reference=reference if reference is not None else f"OV-2{next(_numbers):04}",
        invoiced_on=date(YEAR, 5, 12),
        total=Money.usd(sum((entered.amount for entered in lines), Decimal(0))),
        lines=tuple(lines),
    )


def bills_of(ask: Ask, order: str) -> list[tuple[str | None, str, list[Decimal]]]:
    found = ask(lambda erp: erp.invoices(Equals("supplier", "Orthovia"), PageRequest(500))).items
    return sorted(
        (
            (invoice.reference, invoice.state, [line.quantity for line in invoice.lines])
            for invoice in found
            if order in invoice.orders
        ),
        key=str,
    )


def test_an_invoice_takes_the_place_of_what_the_erp_expected_for_the_goods(ask, hips):
    number, line = hips(received=3)
    assert bills_of(ask, number) == [(None, "draft", [3])]
    sent = bill(line, 3, freight="50.00")

    ref = ask(lambda erp: erp.enter_invoice(sent, key=f"invoice/{sent.reference}"))

    assert (ref.number, ref.state) == (sent.reference, "draft")
    assert bills_of(ask, number) == [(sent.reference, "draft", [3, 1])]
    entered = ask(lambda erp: erp.invoice(ref.id))
    assert entered.total == sent.total == Money.usd("12426.50")
    assert entered.facility.value == "HARBOR-VIEW"
    assert ask(lambda erp: erp.order(number)).lines[0].invoiced == 3


def test_what_an_invoice_leaves_open_is_still_expected_and_stays_so(ask, hips):
    number, line = hips(received=3)
    sent = bill(line, 1)
    ask(lambda erp: erp.enter_invoice(sent, key=f"invoice/{sent.reference}"))
    expected = [(sent.reference, "draft", [1]), (None, "draft", [2])]
    assert bills_of(ask, number) == expected

    ask(lambda erp: erp.enter_invoice(sent, key=f"invoice/{sent.reference}"))

    assert bills_of(ask, number) == expected


def test_goods_that_arrive_after_their_invoice_are_not_expected_to_be_billed_again(ask, erp, hips):
    number, line = hips(received=0)
    sent = bill(line, 3)
    ask(lambda erp: erp.enter_invoice(sent, key=f"invoice/{sent.reference}"))
    with erp.desk() as desk:
        [order] = desk.search("purchase.purchase", [("number", "=", number)])
        desk.receive(order, 3, on=date(YEAR, 5, 20))

    assert bills_of(ask, number) == [(sent.reference, "draft", [3])]


def test_entering_again_under_the_same_key_answers_with_the_same_draft(ask, hips):
    _, line = hips(received=3)
    sent = bill(line, 3)
    first = ask(lambda erp: erp.enter_invoice(sent, key=f"invoice/{sent.reference}"))
    assert ask(lambda erp: erp.enter_invoice(sent, key=f"invoice/{sent.reference}")) == first
    assert ask(lambda erp: erp.find_enter_invoice(sent, key="invoice/never")) is None


@pytest.mark.parametrize(
    ("lost", "nth"),
    [
        (r"POST .*account\.invoice\?", 1),
        (r"PUT .*account\.invoice/", 1),
        (r"PUT .*account\.invoice/", 2),
        (r"DELETE ", 1),
    ],
    ids=["when it was made", "when it replaced", "when it was linked", "when it deleted"],
)
def test_an_invoice_whose_answer_was_lost_is_found_and_finished(ask, erp_line, hips, lost, nth):
    number, line = hips(received=3)
    sent = bill(line, 3)
    erp_line.fail(lost, Fault.ANSWER_LOST, nth=nth)
    with pytest.raises(Unavailable):
        ask(lambda erp: erp.enter_invoice(sent, key=f"invoice/{sent.reference}"))

    assert ask(lambda erp: erp.find_enter_invoice(sent, key=f"invoice/{sent.reference}")) is not None
    assert bills_of(ask, number) == [(sent.reference, "draft", [3])]


@pytest.mark.parametrize("nth", [1, 2])
def test_an_erp_that_goes_away_between_two_steps_leaves_the_rest_to_the_next_attempt(ask, erp_line, hips, nth):
    number, line = hips(received=3)
    sent = bill(line, 3)
    erp_line.fail(r"PUT .*account\.invoice/", Fault.DOWN, nth=nth)
    with pytest.raises(Unavailable):
        ask(lambda erp: erp.enter_invoice(sent, key=f"invoice/{sent.reference}"))
    assert bills_of(ask, number) != [(sent.reference, "draft", [3])]

    ask(lambda erp: erp.enter_invoice(sent, key=f"invoice/{sent.reference}"))

    assert bills_of(ask, number) == [(sent.reference, "draft", [3])]


def test_runners_at_once_leave_one_draft(erp, ask, hips):
    number, line = hips(received=3)
    sent = bill(line, 3)

    async def at_once() -> None:
        connectors = [TrytonErp(erp.base_url, erp.database, erp.api_key) for _ in range(3)]
        try:
            await asyncio.gather(
                *(c.enter_invoice(sent, key=f"invoice/{sent.reference}") for c in connectors), return_exceptions=True
            )
        finally:
            for connector in connectors:
                await connector.close()

    asyncio.run(at_once())
    ask(lambda erp: erp.enter_invoice(sent, key=f"invoice/{sent.reference}"))

    assert bills_of(ask, number) == [(sent.reference, "draft", [3])]


def test_a_suppliers_number_that_stands_there_already_is_not_entered_twice(ask, hips):
    _, line = hips(received=3)
    sent = bill(line, 1)
    ask(lambda erp: erp.enter_invoice(sent, key=f"invoice/{sent.reference}"))
    with pytest.raises(ErpRefused, match="same number stands in the ERP already"):
        ask(lambda erp: erp.enter_invoice(bill(line, 1, reference=sent.reference), key="invoice/another"))


def test_nobody_bills_the_order_of_another_supplier(ask, hips):
    _, line = hips(received=3)
    stolen = bill(line, 1).model_copy(update={"supplier": "Cardelis"})
    with pytest.raises(ErpRefused, match=f"Cardelis has no order with a line {line}"):
        ask(lambda erp: erp.enter_invoice(stolen, key="invoice/stolen"))
    for no_line in ("999999", "x", "-1", "1" * 30):
        with pytest.raises(ErpRefused, match="has no order with a line"):
            ask(lambda erp, at=no_line: erp.enter_invoice(bill(at, 1), key="invoice/none"))


def test_an_order_that_was_never_confirmed_is_not_billed(ask):
    [quotation] = ask(
        lambda erp: erp.orders(all_of([Equals("state", "quotation"), Equals("supplier", "Cardelis")]), PageRequest(1))
    ).items
    early = bill(quotation.lines[0].id, 1).model_copy(update={"supplier": "Cardelis"})
    with pytest.raises(ErpRefused, match="is quotation: there is nothing to bill"):
        ask(lambda erp: erp.enter_invoice(early, key="invoice/early"))


def test_a_draft_that_a_person_changed_is_left_to_that_person(ask, erp, hips):
    _, line = hips(received=3)
    sent = bill(line, 3)
    ref = ask(lambda erp: erp.enter_invoice(sent, key=f"invoice/{sent.reference}"))
    with erp.desk() as desk:
        desk.write("account.invoice", int(ref.id), reference="CORRECTED")
    with pytest.raises(ErpRefused, match="draft supplier invoice with another content"):
        ask(lambda erp: erp.enter_invoice(sent, key=f"invoice/{sent.reference}"))


def test_an_expected_draft_to_which_a_person_added_something_is_not_deleted(ask, erp, hips):
    number, line = hips(received=3)
    with erp.desk() as desk:
        [expected] = desk.search(
            "account.invoice", [("state", "=", "draft"), ("reference", "=", None), ("lines.origin", "in", [f"purchase.line,{line}"])]
        )  # fmt: skip
        [found] = desk.read("account.invoice", [expected], ["company", "currency"])
        [expense] = desk.search("account.account", [("code", "=", "5100")])
        desk.create(
            "account.invoice.line", invoice=expected, type="line", company=found["company"], currency=found["currency"],
            account=expense, quantity=1.0, unit_price=Decimal("9.00"), description="by hand",
        )  # fmt: skip
    sent = bill(line, 3)

    ask(lambda erp: erp.enter_invoice(sent, key=f"invoice/{sent.reference}"))

    assert len(bills_of(ask, number)) == 2


def test_an_entered_invoice_can_be_posted_by_a_person(ask, erp, hips):
    _, line = hips(received=3)
    sent = bill(line, 3, freight="50.00")
    ref = ask(lambda erp: erp.enter_invoice(sent, key=f"invoice/{sent.reference}"))
    with erp.desk() as desk:
        desk.press("account.invoice", "post", int(ref.id))

    posted = ask(lambda erp: erp.invoice(ref.id))
    assert (posted.state, posted.open_amount) == ("posted", Money.usd("12426.50"))
    assert ask(lambda erp: erp.enter_invoice(sent, key=f"invoice/{sent.reference}")).state == "posted"
