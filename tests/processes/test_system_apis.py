"""The system APIs' handlers, rehearsed: what they ask with whose conditions, and how they tell it."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from hilum.authoring import Page, PageRequest, Problem
from hilum.authoring.classification import classification
from hilum.model import (
    AccountNumber,
    DocumentRef,
    FacilityCode,
    ItemNumber,
    Money,
    PatientAccountStatus,
    PurchaseOrder,
    PurchaseOrderLine,
    SupplierInvoice,
)
from hilum.model.where import NOTHING, AllOf, Equals, OneOf, Where
from hilum.processes.system_apis import billing as billing_module
from hilum.processes.system_apis.billing import BillingAccountSearch, billing_api, search_account
from hilum.processes.system_apis.erp import (
    about_entry_of_invoice,
    about_order,
    enter_invoice,
    erp_api,
    list_orders,
    list_orders_v1,
    read_order,
    read_order_v1,
)
from hilum.processes.system_apis.erp_contracts import (
    ErpInvoiceEntry,
    ErpInvoiceEntryLine,
    ErpOrderQuery,
    ErpSupplier,
)
from hilum.processes.system_apis.stock import read_position, stock_api
from hilum.testing.rehearsal import call

OPERATIONS = [*erp_api.operations, *billing_api.operations, *stock_api.operations]


def order(number: str = "PO-1", facility: str | None = "ST-MARY", currency: str = "USD") -> PurchaseOrder:
    line = PurchaseOrderLine(
        id="7", item=ItemNumber("KNEE-99"), ordered=Decimal(4), received=Decimal(3), invoiced=Decimal(0),
        unit_price=Money(amount=Decimal("4810.00"), currency=currency),
    )  # fmt: skip
    return PurchaseOrder(
        number=number, supplier="Orthovia", supplier_name="Orthovia", state="processing", currency=currency,
        facility=FacilityCode(facility) if facility is not None else None, lines=(line,),
    )  # fmt: skip


class Books:
    """An ERP that knows these orders."""

    def __init__(self, *orders: PurchaseOrder) -> None:
        self.known = {order.number: order for order in orders}

    def order(self, number: str) -> PurchaseOrder | None:
        return self.known.get(number)

    def orders(self, where: Where, page: PageRequest) -> Page[PurchaseOrder]:
        return Page(tuple(self.known.values()), "more")

    def enter_invoice(self, invoice: Any) -> DocumentRef:
        return DocumentRef(system="erp", type="supplier invoice", number=invoice.reference, id="17", state="draft")

    def invoice(self, id: str) -> SupplierInvoice:
        zero = Money.usd(0)
        return SupplierInvoice(
            id=id, supplier="Orthovia", state="draft", untaxed=zero, tax=zero, total=zero, open_amount=zero
        )


def test_a_list_is_asked_for_with_the_callers_conditions_and_the_querys_beside_them() -> None:
    mine = OneOf("facility", frozenset({"ST-MARY"}))
    told = call(
        list_orders, query=ErpOrderQuery(facility="HARBOR-VIEW", state="done"), where=mine, page=PageRequest(10),
        systems={"erp": Books(order())},
    )  # fmt: skip
    [(_, operation, asked)] = told.asked
    assert operation == "orders"
    assert asked["where"] == AllOf((mine, Equals("facility", "HARBOR-VIEW"), Equals("state", "done")))
    assert asked["page"] == PageRequest(10)
    assert (told.answer.items[0].number, told.answer.next) == ("PO-1", "more")


def test_no_query_widens_what_a_caller_may_see() -> None:
    told = call(
        list_orders, query=ErpOrderQuery(supplier="Cardelis"), where=NOTHING, page=PageRequest(),
        systems={"erp": Books()},
    )  # fmt: skip
    assert told.asked[0][2]["where"] is NOTHING


def test_version_two_says_the_currency_that_version_one_took_for_granted() -> None:
    erp = {"erp": Books(order())}
    assert call(read_order, number="PO-1", systems=erp).answer.lines[0].unit_price == Money.usd("4810.00")
    assert call(read_order_v1, number="PO-1", systems=erp).answer.lines[0].unit_price == Decimal("4810.00")
    assert call(read_order_v1, number="PO-1", systems=erp).answer.total == Decimal("19240.00")


def test_version_one_tells_no_euros_as_dollars() -> None:
    with pytest.raises(Problem) as raised:
        call(read_order_v1, number="PO-1", systems={"erp": Books(order(currency="EUR"))})
    assert (raised.value.status, raised.value.kind) == (409, "currency")
    everything: dict[str, Any] = {
        "query": ErpOrderQuery(),
        "where": Equals("supplier", "Orthovia"),
        "page": PageRequest(),
    }
    with pytest.raises(Problem):
        call(list_orders_v1, systems={"erp": Books(order(), order("PO-2", currency="EUR"))}, **everything)


def test_what_is_not_there_is_none() -> None:
    assert call(read_order, number="PO-9", systems={"erp": Books()}).answer is None
    assert call(about_order, number="PO-9", systems={"erp": Books()}).answer is None
    stock = SimpleNamespace(position=lambda location, item: None)
    assert call(read_position, location="X", item="Y" * 65, systems={"stock": stock}).asked == []


# --- entering an invoice


def bill(*lines: ErpInvoiceEntryLine, supplier: str = "Orthovia", total: str = "4810.00") -> ErpInvoiceEntry:
    return ErpInvoiceEntry(
        supplier=supplier, reference="OV-1", invoiced_on=date(2026, 3, 10), total=Money.usd(total), lines=lines
    )


def of(number: str | None = "PO-1", line: str | None = "7", account: str | None = None) -> ErpInvoiceEntryLine:
    return ErpInvoiceEntryLine(
        description="Knee", quantity=Decimal(1), unit_price=Decimal("4810.00"), order=number, order_line=line,
        account=account,
    )  # fmt: skip


def test_an_invoice_is_about_the_supplier_and_facility_of_the_orders_it_bills() -> None:
    found = call(about_entry_of_invoice, body=bill(of(), of()), systems={"erp": Books(order())})
    assert found.answer == {"supplier": "Orthovia", "facility": "ST-MARY"}
    assert len(found.asked) == 1
    freight = call(about_entry_of_invoice, body=bill(of(None, None, "5100")), systems={"erp": Books()})
    assert freight.answer == {"supplier": "Orthovia", "facility": None}


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (bill(of(), supplier="Cardelis"), "no-such-order"),
        (bill(of("PO-9")), "no-such-order"),
        (bill(of(line="8")), "no-such-order"),
        (bill(of(), of("PO-2")), "several-facilities"),
    ],
    ids=["another's order", "no order", "a line of another order", "two hospitals"],
)
def test_an_invoice_that_bills_what_is_not_the_suppliers_or_several_hospitals_is_a_problem(
    body: ErpInvoiceEntry, kind: str
) -> None:
    books = Books(order(), order("PO-2", facility="HARBOR-VIEW"))
    with pytest.raises(Problem) as raised:
        call(about_entry_of_invoice, body=body, systems={"erp": books})
    assert raised.value.kind == kind


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (bill(of(), total="4810.01"), "invoice"),
        (bill(of(None, "7")), "order-line"),
        (bill(of("PO-1", None)), "order-line"),
        (bill(of(None, None)), "invoice"),
        (bill(of(account="5100")), "invoice"),
    ],
    ids=["a cent too much", "a line of no order", "an order without its line", "for nothing", "for two things"],
)
def test_an_invoice_that_does_not_add_up_is_not_entered(body: ErpInvoiceEntry, kind: str) -> None:
    books = Books(order())
    with pytest.raises(Problem) as raised:
        call(enter_invoice, body=body, systems={"erp": books})
    assert (raised.value.status, raised.value.kind) == (422, kind)


def test_an_entered_invoice_is_answered_with_its_address() -> None:
    made = call(enter_invoice, body=bill(of()), systems={"erp": Books(order())})
    assert (made.answer.location, made.answer.body.state) == ("/invoices/17", "draft")
    [(_, operation, arguments)] = made.commands
    assert (operation, arguments["invoice"].lines[0].order_line) == ("enter_invoice", "7")


# --- what may stand where


def test_an_accounts_number_travels_in_a_body_and_stands_in_no_address() -> None:
    for operation in billing_api.operations:
        assert not {"account", "number", "mrn"} & {*operation.path_parameters}, operation.id
        assert operation.query is None or "phi" not in classification(operation.query).values(), operation.id
    [search] = [o for o in billing_api.operations if o.action == "search"]
    assert (search.method, search.kind, search.safe) == ("POST", "read", True)
    found = PatientAccountStatus(handle="AC-000001", account=AccountNumber("A-1", "ST-MARY"), status="open")
    told = call(
        search_account, body=BillingAccountSearch(account="A-1", account_authority="ST-MARY"),
        systems={"billing": SimpleNamespace(account=lambda number: found if number == found.account else None)},
    )  # fmt: skip
    assert (told.answer.handle, told.answer.facility) == ("AC-000001", None)


def test_what_is_protected_says_so_in_every_contract() -> None:
    assert classification(ErpSupplier) == {
        "payment_term": "financial", "contacts": "pii", "tax_numbers": "confidential",
    }  # fmt: skip
    assert classification(billing_module.BillingAccount) == {"account": "phi"}
    for operation in OPERATIONS:
        for shape in (operation.answer, operation.body):
            marked = classification(shape) if shape is not None else {}
            for path in _amounts(shape):
                assert any(path == known or path.startswith(known + ".") for known in marked), (operation.id, path)


def _amounts(shape: Any, prefix: str = "") -> list[str]:
    """The paths of all prices and amounts of money."""
    if shape is None:
        return []
    found = []
    for name, field in shape.model_fields.items():
        if "Money" in repr(field.annotation) or "price" in name:
            found.append(prefix + name)
    return found


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda o: f"{o.id} v{o.version}")
def test_an_operation_that_is_about_somebodys_records_says_whose(operation: Any) -> None:
    bound = {
        "Order": {"supplier", "facility"}, "Invoice": {"supplier", "facility"}, "Supplier": {"supplier"},
        "PatientAccount": {"facility"}, "InventoryPosition": {"facility"},
    }.get(operation.resource, set())  # fmt: skip
    if operation.kind == "write":
        assert operation.about is not None
    else:
        assert set(operation.attributes) == bound
