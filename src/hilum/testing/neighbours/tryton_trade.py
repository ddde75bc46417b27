"""What was bought before the day begins: suppliers as people know them, and orders in every state they can be in.

Everything happened in the first of the seed's fiscal years, so the books of the year in which the day plays are untouched.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from hilum.testing.neighbours.tryton_desk import Desk

CATEGORY = "Supplier"
"""The party category that makes a party a supplier."""


@dataclass(frozen=True)
class SeedSupplier:
    """One row of ``tables/suppliers.csv``. ``code`` is the party code; the item master names suppliers by ``name``."""

    code: str
    name: str
    tax_kind: str = ""
    tax_number: str = ""
    street: str = "Supplier's road 1"
    city: str = ""
    state: str = ""
    postal_code: str = ""
    contact: str = ""
    email: str = ""
    phone: str = ""


@dataclass(frozen=True)
class SeedOrder:
    """One purchase order of one item and how far it came. ``month`` and ``day`` are those of the order.

    ``invoiced`` is the supplier's own number, ``entered`` what became of it: ``draft`` or ``posted``.
    """

    supplier: str
    facility: str
    item: str
    quantity: int
    unit_price: Decimal
    month: int
    day: int
    state: str = "confirmed"  # quotation, confirmed or cancelled
    received: int = 0
    invoiced: str = ""
    entered: str = ""


OPENING_ORDERS = (
    SeedOrder(
        "Orthovia", "ST-MARY", "KNEE-99", 4, Decimal("4810.00"), 9, 3, received=4, invoiced="OV-10441", entered="posted"
    ),
    SeedOrder("Orthovia", "HARBOR-VIEW", "HIP-40", 3, Decimal("4125.50"), 9, 8, received=2),
    SeedOrder("Cardelis", "ST-MARY", "STENT-12", 10, Decimal("1249.75"), 9, 15),
    SeedOrder(
        "Visua", "HARBOR-VIEW", "LENS-7", 20, Decimal("268.40"), 10, 1, received=20, invoiced="V-77812", entered="draft"
    ),
    SeedOrder("Cardelis", "NORTH-POINT", "PACER-2", 2, Decimal("7015.00"), 10, 6, state="quotation"),
    SeedOrder("Orthovia", "ST-MARY", "HIP-40", 1, Decimal("4125.50"), 10, 9, state="cancelled"),
    SeedOrder(
        "Orthovia", "NORTH-POINT", "SCREW-3", 50, Decimal("38.15"), 10, 20, received=50, invoiced="OV-10502",
        entered="posted",
    ),
    SeedOrder("Cardelis", "HARBOR-VIEW", "STENT-12", 6, Decimal("1249.75"), 11, 2, received=6),
)  # fmt: skip


def plant_suppliers(suppliers: tuple[SeedSupplier, ...], desk: Desk, term: int) -> dict[str, int]:
    """The suppliers as parties, by name."""
    category = desk.create("party.category", name=CATEGORY)
    country = desk.create("country.country", name="United States", code="US", code3="USA", code_numeric="840")
    states = {
        code: desk.create("country.subdivision", name=code, code=f"US-{code}", type="state", country=country)
        for code in sorted({supplier.state for supplier in suppliers if supplier.state})
    }
    return {supplier.name: _party(supplier, desk, category, country, states, term) for supplier in suppliers}


def _party(
    supplier: SeedSupplier, desk: Desk, category: int, country: int, states: Mapping[str, int], term: int
) -> int:
    address: dict[str, Any] = {"street": supplier.street, "city": supplier.city, "postal_code": supplier.postal_code}
    if supplier.state:
        address |= {"country": country, "subdivision": states[supplier.state]}
    ways = [("email", supplier.email), ("phone", supplier.phone)]
    contacts = [{"type": kind, "value": value, "name": supplier.contact} for kind, value in ways if value]
    numbers = [{"type": supplier.tax_kind, "code": supplier.tax_number}] if supplier.tax_number else []
    return desk.create(
        "party.party", name=supplier.name, code=supplier.code, supplier_payment_term=term,
        categories=[["add", [category]]], addresses=[["create", [address]]],
        contact_mechanisms=[["create", contacts]], identifiers=[["create", numbers]],
    )  # fmt: skip


def plant_orders(orders: tuple[SeedOrder, ...], desk: Desk, company: int, year: int) -> None:
    """Order, receive, invoice: each as a person at the ERP does it."""
    for order in orders:
        _order(order, desk, company, year)


def _order(order: SeedOrder, desk: Desk, company: int, year: int) -> None:
    [party] = desk.search("party.party", [("code", "=", order.supplier)])
    [supplier] = desk.read("party.party", [party], ["addresses", "supplier_payment_term"])
    [warehouse] = desk.search("stock.location", [("code", "=", order.facility), ("type", "=", "warehouse")])
    [product] = desk.read(
        "product.product", desk.search("product.product", [("code", "=", order.item)]), ["default_uom"]
    )
    [currency] = [found["currency"] for found in desk.read("company.company", [company], ["currency"])]
    line = {
        "type": "line", "product": product["id"], "quantity": float(order.quantity), "unit": product["default_uom"],
        "unit_price": order.unit_price,
    }  # fmt: skip
    purchase = desk.create(
        "purchase.purchase", company=company, party=party, invoice_address=supplier["addresses"][0],
        payment_term=supplier["supplier_payment_term"], currency=currency, warehouse=warehouse,
        invoice_method="fulfillment", purchase_date=date(year, order.month, order.day), lines=[["create", [line]]],
    )  # fmt: skip
    desk.press("purchase.purchase", "quote", purchase)
    if order.state == "cancelled":
        desk.press("purchase.purchase", "cancel", purchase)
    if order.state == "confirmed":
        desk.press("purchase.purchase", "confirm", purchase)
    if order.received:
        desk.receive(purchase, order.received, on=date(year, order.month, order.day + 5))
    if order.invoiced:
        [found] = desk.read("purchase.purchase", [purchase], ["invoices"])
        [invoice] = found["invoices"]
        arrived = date(year, order.month, order.day + 7)
        desk.write("account.invoice", invoice, reference=order.invoiced, invoice_date=arrived)
        if order.entered == "posted":
            desk.press("account.invoice", "post", invoice)
