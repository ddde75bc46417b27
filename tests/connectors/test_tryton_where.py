"""Conditions asked of the real ERP find exactly the records they match, whatever is missing or shared."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hilum.authoring.api import Page, PageRequest
from hilum.connectors.tryton import TrytonErp
from hilum.connectors.tryton.where import NONE, Plain, RecordId, domain_of
from hilum.model.where import EVERYTHING, NOTHING, AllOf, AnyOf, Equals, Has, Not, OneOf, Where
from hilum.testing.neighbours.tryton import Tryton
from hilum.testing.neighbours.tryton_desk import Desk

pytestmark = pytest.mark.erp

MANY = PageRequest(500)
Rows = list[tuple[str, Mapping[str, Any]]]


class Asked:
    """The ERP's records with the attributes that policies look at, and what it finds of them by a condition."""

    def __init__(self, erp: Tryton) -> None:
        self.loop = asyncio.new_event_loop()
        self.connector = TrytonErp(erp.base_url, erp.database, erp.api_key, timeout_seconds=30)

    def page(self, listed: str, where: Where, page: PageRequest = MANY) -> Page[Any]:
        found: Page[Any] = self.loop.run_until_complete(getattr(self.connector, listed)(where, page))
        return found

    def rows(self, listed: str, attributes: Callable[[Any], Mapping[str, Any]]) -> Rows:
        page = self.page(listed, EVERYTHING)
        assert page.next is None
        return [(str(noun), attributes(noun)) for noun in page.items]

    def close(self) -> None:
        self.loop.run_until_complete(self.connector.close())
        self.loop.close()


@pytest.fixture(scope="module")
def asked(erp: Tryton) -> Iterator[Asked]:
    with erp.desk() as desk:
        awkward_records(desk)
    asked = Asked(erp)
    yield asked
    asked.close()


def awkward_records(desk: Desk) -> None:
    """What real books hold too: an order without a warehouse, bills of two hospitals or of none, a shared cost."""
    [company] = desk.search("company.company", [])
    [orthovia] = desk.search("party.party", [("code", "=", "Orthovia")])
    [supplier] = desk.read("party.party", [orthovia], ["addresses"])
    [usd] = desk.search("currency.currency", [("code", "=", "USD")])
    by_description = {"type": "line", "description": "Engraving", "quantity": 1.0, "unit_price": Decimal("12.00")}
    nowhere = desk.create(
        "purchase.purchase", company=company, party=orthovia, invoice_address=supplier["addresses"][0], currency=usd,
        warehouse=None, invoice_method="manual", lines=[["create", [by_description]]],
    )  # fmt: skip
    desk.press("purchase.purchase", "quote", nowhere)
    [expense] = desk.search("account.account", [("code", "=", "5100")])
    [payable] = desk.search("account.account", [("code", "=", "2.1.1")])
    [journal] = desk.search("account.journal", [("code", "=", "EXP")])
    at_st_mary, at_harbor_view = (
        desk.search("purchase.line", [("purchase.number", "=", number)])[0] for number in ("PO-000003", "PO-000004")
    )

    def bill(reference: str | None, origins: list[int | None]) -> None:
        lines = [
            {
                "type": "line", "company": company, "currency": usd, "account": expense, "quantity": 0.0,
                "unit_price": Decimal(0), "description": "for the test",
                "origin": f"purchase.line,{origin}" if origin is not None else None,
            }
            for origin in origins
        ]  # fmt: skip
        desk.create(
            "account.invoice", type="in", company=company, party=orthovia, invoice_address=supplier["addresses"][0],
            currency=usd, account=payable, journal=journal, reference=reference, lines=[["create", lines]],
        )  # fmt: skip

    bill("TWO-HOSPITALS", [at_st_mary, at_harbor_view])
    bill("ONE-AND-FREIGHT", [at_harbor_view, None])
    bill("NO-ORDER", [None])
    bill(None, [])
    # A line that belongs to no invoice at all: SQL's NOT IN would find nothing beside it.
    desk.create(
        "account.invoice.line", type="line", company=company, currency=usd, account=expense, party=orthovia,
        invoice_type="in", quantity=0.0, unit_price=Decimal(0), origin=f"purchase.line,{at_st_mary}",
    )  # fmt: skip
    shared_cost(desk, company, expense)


def shared_cost(desk: Desk, company: int, expense: int) -> None:
    """A posted entry whose cost two cost centres share, and one that a single one bears."""
    year = date.today().year
    [inventory] = desk.search("account.account", [("code", "=", "1300")])
    [journal] = desk.search("account.journal", [("code", "=", "SUPPLY")])
    [period] = desk.search("account.period", [("name", "=", f"{year}-02")])
    ortho, eye = (desk.search("analytic_account.account", [("code", "=", c)])[0] for c in ("CC-ORTHO", "CC-EYE"))
    on = date(year, 2, 2)
    for parts in ([(ortho, Decimal(60)), (eye, Decimal(40))], [(eye, Decimal(100))]):
        analytic = [{"account": a, "debit": amount, "credit": Decimal(0), "date": on} for a, amount in parts]
        lines = [
            {"account": expense, "debit": Decimal(100), "credit": Decimal(0), "analytic_lines": [["create", analytic]]},
            {"account": inventory, "debit": Decimal(0), "credit": Decimal(100)},
        ]
        move = desk.create(
            "account.move", company=company, journal=journal, period=period, date=on, description="where/shared",
            lines=[["create", lines]],
        )  # fmt: skip
        desk.press("account.move", "post", move)


def of_order(order: Any) -> Mapping[str, Any]:
    facility = order.facility.value if order.facility is not None else None
    return {"number": order.number, "supplier": order.supplier, "facility": facility, "state": order.state}


def of_invoice(invoice: Any) -> Mapping[str, Any]:
    facility = invoice.facility.value if invoice.facility is not None else None
    return {
        "invoice": invoice.id, "reference": invoice.reference, "supplier": invoice.supplier, "facility": facility,
        "state": invoice.state,
    }  # fmt: skip


def of_posting(posting: Any) -> Mapping[str, Any]:
    return {
        "account": posting.account, "cost_centre": posting.cost_centre, "entry": posting.entry, "journal": posting.journal,
    }  # fmt: skip


VALUES = {
    "number": ["PO-000001", "PO-000004", "PO-999999"],
    "supplier": ["Orthovia", "Cardelis", "Nobody", " Orthovia", "orthovia"],
    "facility": ["ST-MARY", "HARBOR-VIEW", "NORTH-POINT", "NOWHERE"],
    "state": ["processing", "quotation", "draft", "posted", "no such state"],
    "invoice": ["1", "3", "01", "-1", "x", "99999999999999999999"],
    "reference": ["OV-10441", "TWO-HOSPITALS", "NO-ORDER", "", "a\x00b", "\ud800"],
    "account": ["5100", "1300", "2.1.1"],
    "cost_centre": ["CC-ORTHO", "CC-EYE", "CC-NONE"],
    "entry": ["JE-0"],
    "journal": ["SUPPLY", "EXP"],
    "colour": ["red"],  # An attribute that no record has.
}


def conditions(*fields: str) -> st.SearchStrategy[Where]:
    field = st.sampled_from([*fields, "colour"])
    leaves = st.one_of(
        field.flatmap(lambda f: st.sampled_from([*VALUES[f], 1, True]).map(lambda v: Equals(f, v))),
        field.flatmap(lambda f: st.frozensets(st.sampled_from(VALUES[f]), max_size=3).map(lambda v: OneOf(f, v))),
        field.map(Has),
        st.sampled_from([EVERYTHING, NOTHING]),
    )
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            inner.map(Not),
            st.lists(inner, max_size=3).map(lambda parts: AllOf(tuple(parts))),
            st.lists(inner, max_size=3).map(lambda parts: AnyOf(tuple(parts))),
        ),
        max_leaves=6,
    )


SLOWLY = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def agree(asked: Asked, listed: str, rows: Rows, where: Where) -> None:
    found = [str(noun) for noun in asked.page(listed, where).items]
    assert found == [text for text, attributes in rows if where.matches(attributes)], where


@pytest.fixture(scope="module")
def orders(asked: Asked) -> Rows:
    rows = asked.rows("orders", of_order)
    assert any(attributes["facility"] is None for _, attributes in rows)
    return rows


@pytest.fixture(scope="module")
def invoices(asked: Asked) -> Rows:
    rows = asked.rows("invoices", of_invoice)
    by_reference = {attributes["reference"]: attributes["facility"] for _, attributes in rows}
    assert (by_reference["TWO-HOSPITALS"], by_reference["NO-ORDER"]) == (None, None)
    assert by_reference["ONE-AND-FREIGHT"] == "HARBOR-VIEW"
    return rows


@pytest.fixture(scope="module")
def postings(asked: Asked) -> Rows:
    rows = asked.rows("postings", of_posting)
    assert {"CC-EYE", None} <= {attributes["cost_centre"] for _, attributes in rows}
    return rows


@SLOWLY
@given(where=conditions("number", "supplier", "facility", "state"))
def test_orders_are_found_exactly_as_they_match(asked: Asked, orders: Rows, where: Where) -> None:
    agree(asked, "orders", orders, where)


@SLOWLY
@given(where=conditions("invoice", "reference", "supplier", "facility", "state"))
def test_invoices_are_found_exactly_as_they_match(asked: Asked, invoices: Rows, where: Where) -> None:
    agree(asked, "invoices", invoices, where)


@SLOWLY
@given(where=conditions("account", "cost_centre", "entry", "journal"))
def test_postings_are_found_exactly_as_they_match(asked: Asked, postings: Rows, where: Where) -> None:
    agree(asked, "postings", postings, where)


@pytest.mark.parametrize(
    "where",
    [
        Equals("facility", "ST-MARY"),
        Not(Equals("facility", "ST-MARY")),
        OneOf("facility", frozenset({"ST-MARY", "HARBOR-VIEW"})),
        Not(OneOf("facility", frozenset({"ST-MARY", "HARBOR-VIEW"}))),
        Has("facility"),
        Not(Has("facility")),
    ],
    ids=["one", "not one", "either", "neither", "any", "none"],  # A set says itself in another order each time.
)
def test_a_bill_of_two_hospitals_is_neither_ones(asked: Asked, invoices: Rows, where: Where) -> None:
    agree(asked, "invoices", invoices, where)


@pytest.mark.parametrize(
    "value", ["", " ", "Orthovia ", "\tOrthovia", "a\x00b", "\ud800", 1, True], ids=[ascii(n) for n in range(8)]
)
def test_what_can_never_stand_in_a_field_is_not_even_asked_for(value: object) -> None:
    columns = {"supplier": Plain("party.code")}
    assert domain_of(Equals("supplier", value), columns) is None  # type: ignore[arg-type]
    assert domain_of(Not(Equals("supplier", value)), columns) == []  # type: ignore[arg-type]


def test_a_number_of_a_record_is_written_in_one_way_only() -> None:
    columns = {"invoice": RecordId()}
    assert domain_of(Equals("invoice", "17"), columns) == [("id", "in", [17])]
    assert domain_of(OneOf("invoice", frozenset({"017", "+17", "١٧", "17.0"})), columns) in (
        None,
        NONE,
        [("id", "in", [])],
    )


def test_a_condition_of_an_unknown_kind_is_refused_and_never_ignored() -> None:
    class Odd(Where):
        pass

    with pytest.raises(TypeError, match="Odd"):
        domain_of(Not(Odd()), {})
