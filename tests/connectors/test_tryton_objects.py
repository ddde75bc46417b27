"""What the ERP holds, asked of the real one: orders as they stand, invoices, the ledger; pages that do not shift."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TypeVar

import pytest

from hilum.authoring import ErpRefused, PageRequest, Problem
from hilum.authoring.roles import Erp
from hilum.connectors.tryton import TrytonErp
from hilum.model import Money, SupplierAcknowledgement, TaxIdentifier
from hilum.model.where import EVERYTHING, NOTHING, Equals, Not, all_of
from hilum.testing.neighbours.faulty_proxy import Fault, FaultyProxy
from hilum.testing.neighbours.tryton import Tryton

pytestmark = pytest.mark.erp

R = TypeVar("R")
Ask = Callable[[Callable[[TrytonErp], Awaitable[R]]], R]
ALL = PageRequest(200)
LAST_YEAR = datetime.now(UTC).date().year - 1


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


def test_the_connector_answers_every_question_and_command_of_its_role() -> None:
    for name in Erp.operations():
        assert asyncio.iscoroutinefunction(getattr(TrytonErp, name)), name


# --- orders and invoices


def test_an_order_says_what_was_ordered_what_arrived_and_what_was_billed(ask):
    posted, partly, open_, entered = (
        ask(lambda erp, n=n: erp.order(f"PO-{n:06}")) for n in (1, 2, 3, 4)
    )  # fmt: skip

    def quantities(order):
        return [(line.item.value, line.ordered, line.received, line.invoiced) for line in order.lines]

    assert quantities(posted) == [("KNEE-99", 4, 4, 4)]
    # Two of three have arrived; the ERP expects their invoice, but the supplier has sent none.
    assert quantities(partly) == [("HIP-40", 3, 2, 0)]
    assert quantities(open_) == [("STENT-12", 10, 0, 0)]
    assert quantities(entered) == [("LENS-7", 20, 20, 20)]
    assert (posted.supplier, posted.facility.value, posted.state) == ("Orthovia", "ST-MARY", "processing")
    assert posted.ordered_on == date(LAST_YEAR, 9, 3)
    assert posted.total == Money.usd("19240.00")
    assert posted.lines[0].unit_price == Money.usd("4810.00")


def test_goods_that_go_back_are_not_received(ask, erp):
    with erp.desk() as desk:
        [order] = desk.search("purchase.purchase", [("number", "=", "PO-000008")])
        [found] = desk.read("purchase.purchase", [order], ["moves", "party", "warehouse", "company"])
        [came] = desk.search("stock.move", [("id", "in", list(found["moves"])), ("state", "=", "done")])
        [move] = desk.read("stock.move", [came], ["product", "unit", "currency", "origin"])
        [zones] = desk.read("stock.location", [found["warehouse"]], ["storage_location"])
        [to_supplier] = desk.search("stock.location", [("type", "=", "supplier")])[:1]
        back = {
            "product": move["product"], "unit": move["unit"], "quantity": 2.0, "company": found["company"],
            "from_location": zones["storage_location"], "to_location": to_supplier, "currency": move["currency"],
            "unit_price": Decimal("1249.75"), "origin": move["origin"],
        }  # fmt: skip
        shipment = desk.create(
            "stock.shipment.in.return", company=found["company"], supplier=found["party"],
            from_location=zones["storage_location"], to_location=to_supplier, moves=[["create", [back]]],
            effective_date=date(LAST_YEAR, 11, 20),
        )  # fmt: skip
        for button in ("wait", "assign_force", "do"):
            desk.press("stock.shipment.in.return", button, shipment)

    assert ask(lambda erp: erp.order("PO-000008")).lines[0].received == 4


@pytest.mark.parametrize("number", ["PO-999999", "", " PO-000001", "po-000001", "PO-00000%", "a\x00b", "x" * 500])
def test_what_is_no_orders_number_finds_none(ask, number):
    assert ask(lambda erp: erp.order(number)) is None


def test_invoices_say_what_they_bill_and_what_is_open(ask):
    posted = ask(lambda erp: erp.invoices(Equals("reference", "OV-10441"), ALL)).items
    assert [(i.supplier, i.facility.value, i.state, i.orders) for i in posted] == [
        ("Orthovia", "ST-MARY", "posted", ("PO-000001",))
    ]
    [invoice] = posted
    assert (invoice.total, invoice.tax, invoice.open_amount) == (
        Money.usd("19240.00"), Money.usd("0.00"), Money.usd("19240.00"),
    )  # fmt: skip
    assert [(line.item.value, line.quantity, line.amount, line.order) for line in invoice.lines] == [
        ("KNEE-99", 4, Money.usd("19240.00"), "PO-000001")
    ]
    assert ask(lambda erp: erp.invoice(invoice.id)) == invoice


@pytest.mark.parametrize("id", ["0", "-1", "999999", "1 ", "01", "one", "1" * 40])
def test_what_is_no_records_number_finds_no_invoice(ask, id):
    assert ask(lambda erp: erp.invoice(id)) is None


# --- suppliers, items, the ledger


def test_a_supplier_has_its_addresses_contacts_and_tax_numbers(ask):
    orthovia = ask(lambda erp: erp.supplier("Orthovia"))
    assert orthovia.tax_identifiers == (TaxIdentifier(kind="us_ein", value="99-1000017"),)
    [address] = orthovia.addresses
    assert (address.city, address.subdivision, address.country) == ("Warsaw", "IN", "US")
    assert [(way.kind, way.value, way.name) for way in orthovia.contacts] == [
        ("email", "orders@orthovia.example", "Olga Brandt"),
        ("phone", "+1 574 555 0117", "Olga Brandt"),
    ]
    assert orthovia.payment_term == "30 days"


def test_a_party_that_is_no_supplier_is_not_told(ask, erp):
    with erp.desk() as desk:
        desk.create("party.party", name="Dr. Bones", code="DR-BONES")
    assert ask(lambda erp: erp.supplier("DR-BONES")) is None
    assert "DR-BONES" not in {s.code for s in ask(lambda erp: erp.suppliers(EVERYTHING, ALL)).items}


def test_items_are_listed_and_found(ask):
    found = ask(lambda erp: erp.items(Equals("item", "KNEE-99"), ALL)).items
    assert [(item.number.value, item.name, item.unit) for item in found] == [
        ("KNEE-99", "Knee system total cemented", "EA")
    ]
    assert ask(lambda erp: erp.items(Not(Equals("item", "KNEE-99")), ALL)).items[0].number.value == "HIP-40"


def test_an_invoices_posting_stands_in_the_ledger_and_balances(ask):
    [debit] = ask(
        lambda erp: erp.postings(
            all_of([Equals("journal", "EXP"), Equals("account", "5100"), Equals("entry", f"JE-{LAST_YEAR}-000001")]),
            ALL,
        )
    ).items
    entry = ask(lambda erp: erp.journal_entry(debit.entry))
    assert debit.debit == Money.usd("19240.00")
    assert debit in entry.lines
    assert sum(line.debit.amount - line.credit.amount for line in entry.lines) == 0
    assert ask(lambda erp: erp.journal_entry("JE-none")) is None


def test_balances_are_those_of_the_year_and_of_accounts_that_are_posted_to(ask):
    found = {
        balance.account: balance
        for balance in ask(lambda erp: erp.balances(EVERYTHING, ALL, on=date(LAST_YEAR, 5, 1))).items
    }
    assert found["5100"].balance == Money.usd("21147.50")
    assert found["2.1.1"].balance == Money.usd("-21147.50")
    assert "2.1.0" not in found  # It only sums up what is below it.
    with pytest.raises(ErpRefused, match="no fiscal year for 1999"):
        ask(lambda erp: erp.balances(EVERYTHING, ALL, on=date(1999, 5, 1)))


# --- pages


def test_pages_follow_each_other_without_a_gap_or_a_repeat_whatever_is_added_or_removed(ask, erp):
    codes = [f"PAGE-{n}" for n in range(5)]

    def add(code: str) -> int:
        with erp.desk() as desk:
            [category] = desk.search("party.category", [("name", "=", "Supplier")])
            return desk.create("party.party", name=code, code=code, categories=[["add", [category]]])

    made = [add(code) for code in codes]
    seen: list[str] = []
    cursor = None
    for turn in range(50):
        page = ask(lambda erp, at=cursor: erp.suppliers(EVERYTHING, PageRequest(2, at)))
        seen += [supplier.code for supplier in page.items]
        if turn == 0:
            add("PAGE-LATER")
            with erp.desk() as desk:
                [first] = desk.search("party.party", [("code", "=", "Orthovia")])
                desk.write("party.party", first, active=False)
        cursor = page.next
        if cursor is None:
            break
    with erp.desk() as desk:
        desk.write("party.party", first, active=True)
        desk.delete("party.party", made)
        desk.delete("party.party", desk.search("party.party", [("code", "=", "PAGE-LATER")]))

    assert len(seen) == len(set(seen))
    assert [code for code in seen if code.startswith("PAGE")] == [*codes, "PAGE-LATER"]
    assert {"Orthovia", "Cardelis", "Visua", "Texmed", "Meridian"} <= set(seen)


def test_a_cursor_of_another_list_or_of_nobody_is_a_problem_and_no_question(ask, erp_line):
    orders = ask(lambda erp: erp.orders(EVERYTHING, PageRequest(2)))
    for cursor in (orders.next, "!!!", "", "AAAA", "b3JkZXJzCjE7RFJPUA", "x" * 5000):
        before = len(erp_line.seen)
        with pytest.raises(Problem) as raised:
            ask(lambda erp, at=cursor: erp.items(EVERYTHING, PageRequest(2, at)))
        assert (raised.value.status, raised.value.kind) == (400, "cursor")
        assert len(erp_line.seen) == before


def test_a_page_is_never_larger_than_it_may_be_nor_empty_by_request(ask):
    assert len(ask(lambda erp: erp.orders(EVERYTHING, PageRequest(3))).items) == 3
    assert len(ask(lambda erp: erp.orders(EVERYTHING, PageRequest(0))).items) == 1


def test_who_may_see_nothing_is_told_nothing_and_the_erp_is_not_asked_for_it(ask, erp_line):
    page = ask(lambda erp: erp.orders(NOTHING, ALL))
    assert (page.items, page.next) == ((), None)
    assert erp_line.count(r"purchase\.purchase") == 0


# --- what a supplier answers


def test_a_suppliers_answer_stands_with_its_order_once(ask, erp_line):
    answer = SupplierAcknowledgement(
        state="changed", promised_on=date(2026, 3, 9), note="Two later.\nPromised for: all"
    )
    plain = SupplierAcknowledgement(state="accepted", note="Promised for: 2026-03-09")

    first = ask(lambda erp: erp.acknowledge_order("PO-000007", answer, key="answer/1"))
    again = ask(lambda erp: erp.acknowledge_order("PO-000007", answer, key="answer/1"))
    ask(lambda erp: erp.acknowledge_order("PO-000007", plain, key="answer/2"))

    assert first == again
    assert ask(lambda erp: erp.order("PO-000007")).acknowledgements == (answer, plain)


def test_an_answer_whose_answer_was_lost_is_found(ask, erp_line):
    answer = SupplierAcknowledgement(state="rejected")
    erp_line.fail(r"POST .*ir\.note", Fault.ANSWER_LOST)
    with pytest.raises(Exception, match="broke before the answer"):
        ask(lambda erp: erp.acknowledge_order("PO-000004", answer, key="lost/1"))

    assert ask(lambda erp: erp.find_acknowledge_order("PO-000004", answer, key="lost/1")) is not None
    assert ask(lambda erp: erp.find_acknowledge_order("PO-000004", answer, key="lost/2")) is None
    ask(lambda erp: erp.acknowledge_order("PO-000004", answer, key="lost/1"))
    assert ask(lambda erp: erp.order("PO-000004")).acknowledgements == (answer,)


def test_two_runners_with_one_key_leave_one_answer(erp, ask):
    answer = SupplierAcknowledgement(state="accepted")

    async def both() -> None:
        connectors = [TrytonErp(erp.base_url, erp.database, erp.api_key) for _ in range(3)]
        try:
            await asyncio.gather(*(c.acknowledge_order("PO-000002", answer, key="both/1") for c in connectors))
        finally:
            for connector in connectors:
                await connector.close()

    asyncio.run(both())

    assert ask(lambda erp: erp.order("PO-000002")).acknowledgements == (answer,)


def test_another_answer_under_the_same_key_and_an_order_that_is_cancelled_are_refused(ask):
    ask(lambda erp: erp.acknowledge_order("PO-000003", SupplierAcknowledgement(state="accepted"), key="twice/1"))
    with pytest.raises(ErpRefused, match="another answer"):
        ask(lambda erp: erp.acknowledge_order("PO-000003", SupplierAcknowledgement(state="rejected"), key="twice/1"))
    for number in ("PO-000006", "PO-999999"):
        with pytest.raises(ErpRefused, match="no such order, or it was cancelled"):
            ask(lambda erp, n=number: erp.acknowledge_order(n, SupplierAcknowledgement(state="accepted"), key="no/1"))


def test_a_note_that_a_person_wrote_is_no_answer(ask, erp):
    with erp.desk() as desk:
        [order] = desk.search("purchase.purchase", [("number", "=", "PO-000005")])
        for message in (
            "Call them.",
            "Supplier's answer: maybe\nPromised for: soon\n\nKey: x",
            "Supplier's answer: accepted",
        ):
            desk.create("ir.note", resource=f"purchase.purchase,{order}", message=message)
    assert ask(lambda erp: erp.order("PO-000005")).acknowledgements == ()
