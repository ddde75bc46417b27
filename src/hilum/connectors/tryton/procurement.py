"""Items, suppliers, orders and supplier invoices, as the ERP keeps them, told in the platform's nouns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from hilum.authoring.api import Page, PageRequest
from hilum.connectors.tryton import notes
from hilum.connectors.tryton.client import Record, TrytonRest
from hilum.connectors.tryton.lists import Listing, told
from hilum.connectors.tryton.master import MasterData
from hilum.connectors.tryton.where import Column, Plain, RecordId, Sole
from hilum.model import (
    FacilityCode,
    Item,
    ItemNumber,
    Money,
    PurchaseOrder,
    PurchaseOrderLine,
    Supplier,
    SupplierAcknowledgement,
    SupplierAddress,
    SupplierContact,
    SupplierInvoice,
    SupplierInvoiceLine,
    TaxIdentifier,
)
from hilum.model.where import Equals, Where

_UNITS = {"u": "EA"}  # Tryton's symbol of the unit "Unit"; X12 and UBL say EA or EACH.

ITEMS = Listing(
    "items",
    "product.product",
    [("code", "!=", None)],
    {"item": Plain("code")},
    ("code", "name", "default_uom.symbol"),
)

SUPPLIER_FIELDS = (
    "code", "name", "active", "supplier_payment_term.name",
    "addresses.street", "addresses.postal_code", "addresses.city", "addresses.subdivision.code", "addresses.country.code",
    "contact_mechanisms.type", "contact_mechanisms.value", "contact_mechanisms.name",
    "identifiers.type", "identifiers.code",
)  # fmt: skip


def supplier_list(category: str) -> Listing:
    """Parties of the category; also those out of use, whose orders are still there."""
    belongs = [("categories.name", "=", category), ("code", "!=", None), ("active", "in", [True, False])]
    return Listing("suppliers", "party.party", belongs, {"supplier": Plain("code")}, SUPPLIER_FIELDS)


ORDERS = Listing(
    "orders",
    "purchase.purchase",
    [("state", "!=", "draft"), ("number", "!=", None)],
    {
        "number": Plain("number"),
        "supplier": Plain("party.code"),
        "facility": Plain("warehouse.code"),
        "state": Plain("state"),
    },
    (
        "number", "state", "purchase_date", "party.code", "party.name", "warehouse.code", "currency.code",
        "lines.type", "lines.product.code", "lines.description", "lines.unit.symbol", "lines.unit.factor",
        "lines.quantity", "lines.unit_price",
        "lines.moves.state", "lines.moves.quantity", "lines.moves.unit.factor", "lines.moves.from_location.type",
        "lines.moves.to_location.type",
        "lines.invoice_lines.quantity", "lines.invoice_lines.unit.factor", "lines.invoice_lines.invoice.state",
        "lines.invoice_lines.invoice.reference", "lines.invoice_lines.invoice_type",
    ),
)  # fmt: skip

_INVOICE_FIELDS = (
    "number", "reference", "state", "invoice_date", "party.code", "currency.code", "untaxed_amount", "tax_amount",
    "total_amount", "amount_to_pay",
    "lines.type", "lines.description", "lines.product.code", "lines.unit.symbol", "lines.quantity", "lines.unit_price",
    "lines.amount", "lines.origin",
)  # fmt: skip


def invoice_list(facilities: tuple[str, ...]) -> Listing:
    """Invoices and credit notes of suppliers; ``facilities`` are the codes of all warehouses."""
    billed_for = Sole("lines", "invoice", "origin.purchase.warehouse.code", facilities, target="purchase.line")
    columns: dict[str, Column] = {
        "invoice": RecordId(),
        "reference": Plain("reference"),
        "supplier": Plain("party.code"),
        "facility": billed_for,
        "state": Plain("state"),
    }
    return Listing("invoices", "account.invoice", [("type", "=", "in")], columns, _INVOICE_FIELDS)


class Procurement:
    """Questions about what is bought from whom."""

    def __init__(self, rest: TrytonRest, master: MasterData, supplier_category: str) -> None:
        self._rest = rest
        self._master = master
        self._suppliers = supplier_list(supplier_category)

    async def items(self, where: Where, page: PageRequest) -> Page[Item]:
        return told(await ITEMS.page(self._rest, where, page), item_of)

    async def suppliers(self, where: Where, page: PageRequest) -> Page[Supplier]:
        await self._master.company()
        return told(await self._suppliers.page(self._rest, where, page), supplier_of)

    async def supplier(self, code: str) -> Supplier | None:
        await self._master.company()
        found = await self._suppliers.one(self._rest, Equals("supplier", code))
        return supplier_of(found) if found is not None else None

    async def orders(self, where: Where, page: PageRequest) -> Page[PurchaseOrder]:
        await self._master.company()
        records, following = await ORDERS.page(self._rest, where, page)
        return Page(await self._orders_of(records), following)

    async def order(self, number: str) -> PurchaseOrder | None:
        await self._master.company()
        found = await ORDERS.one(self._rest, Equals("number", number))
        if found is None:
            return None
        [order] = await self._orders_of([found])
        return order

    async def invoices(self, where: Where, page: PageRequest) -> Page[SupplierInvoice]:
        await self._master.company()
        listing = invoice_list(await self._master.warehouses())
        records, following = await listing.page(self._rest, where, page)
        return Page(await self._invoices_of(records), following)

    async def invoice(self, number: str) -> SupplierInvoice | None:
        await self._master.company()
        found = await invoice_list(()).one(self._rest, Equals("invoice", number))
        if found is None:
            return None
        [invoice] = await self._invoices_of([found])
        return invoice

    # -- inside

    async def _orders_of(self, records: list[Record]) -> tuple[PurchaseOrder, ...]:
        answers = await notes.acknowledgements(self._rest, [record["id"] for record in records])
        return tuple(_order_of(record, answers.get(record["id"], ())) for record in records)

    async def _invoices_of(self, records: list[Record]) -> tuple[SupplierInvoice, ...]:
        wanted = sorted({line for record in records for line in _ordered_lines(record["lines"])})
        fields = ["purchase.number", "purchase.warehouse.code"]
        found = await self._rest.search("purchase.line", [("id", "in", wanted)], fields) if wanted else []
        bought = {line["id"]: line["purchase"] for line in found}
        return tuple(_invoice_of(record, bought) for record in records)


def item_of(record: Record) -> Item:
    return Item(number=ItemNumber(value=record["code"]), name=record["name"], unit=_unit(record["default_uom"]))


def supplier_of(record: Record) -> Supplier:
    term = record["supplier_payment_term"]
    return Supplier(
        code=record["code"],
        name=record["name"],
        active=record["active"],
        payment_term=term["name"] if term else None,
        addresses=tuple(_address_of(address) for address in _by_age(record["addresses"])),
        contacts=tuple(
            SupplierContact(kind=way["type"], value=way["value"], name=_text(way["name"]))
            for way in _by_age(record["contact_mechanisms"])
            if way["value"]
        ),
        tax_identifiers=tuple(
            TaxIdentifier(kind=number["type"], value=number["code"])
            for number in _by_age(record["identifiers"])
            if number["type"]
        ),
    )


def _address_of(address: Record) -> SupplierAddress:
    subdivision, country = address["subdivision"], address["country"]
    return SupplierAddress(
        street=_text(address["street"]),
        postal_code=_text(address["postal_code"]),
        city=_text(address["city"]),
        subdivision=subdivision["code"].partition("-")[2] if subdivision else "",
        country=country["code"] if country else "",
    )


def _order_of(record: Record, answers: Iterable[SupplierAcknowledgement]) -> PurchaseOrder:
    currency = record["currency"]["code"]
    return PurchaseOrder(
        number=record["number"],
        supplier=record["party"]["code"],
        supplier_name=record["party"]["name"],
        facility=FacilityCode(value=record["warehouse"]["code"]) if _has_code(record["warehouse"]) else None,
        state=record["state"],
        ordered_on=record["purchase_date"],
        currency=currency,
        lines=tuple(_order_line_of(line, currency) for line in _by_age(record["lines"]) if line["type"] == "line"),
        acknowledgements=tuple(answers),
    )


def _order_line_of(line: Record, currency: str) -> PurchaseOrderLine:
    return PurchaseOrderLine(
        id=str(line["id"]),
        item=ItemNumber(value=line["product"]["code"]) if _has_code(line["product"]) else None,
        description=_text(line["description"]),
        unit=_unit(line["unit"]) if line["unit"] else "EA",
        ordered=_quantity(line["quantity"]),
        received=sum((arrived(move, line) for move in line["moves"]), Decimal(0)),
        invoiced=sum((_billed(billed, line) for billed in line["invoice_lines"]), Decimal(0)),
        unit_price=Money(amount=line["unit_price"], currency=currency),
    )


def arrived(move: Record, line: Record) -> Decimal:
    """What a move brought, in the line's unit; what went back to the supplier counts against it."""
    if move["state"] != "done":
        return Decimal(0)
    back = move["to_location"]["type"] == "supplier"
    quantity = in_unit(move["quantity"], move["unit"], line["unit"])
    return -quantity if back else quantity


def _billed(billed: Record, line: Record) -> Decimal:
    """What the supplier has billed. A draft without a reference is what the ERP expects, and no invoice yet."""
    invoice = billed["invoice"]
    if not invoice or invoice["state"] == "cancelled" or (invoice["state"] == "draft" and not invoice["reference"]):
        return Decimal(0)
    return in_unit(billed["quantity"], billed["unit"], line["unit"])


def _invoice_of(record: Record, bought: Mapping[int, Record]) -> SupplierInvoice:
    currency = record["currency"]["code"]

    def money(amount: Decimal | None) -> Money:
        return Money(amount=amount if amount is not None else Decimal(0), currency=currency)

    orders = [bought[line] for line in _ordered_lines(record["lines"]) if line in bought]
    facilities = {order["warehouse"]["code"] for order in orders if _has_code(order["warehouse"])}
    return SupplierInvoice(
        id=str(record["id"]),
        number=record["number"],
        reference=record["reference"],
        supplier=record["party"]["code"],
        facility=FacilityCode(value=facilities.pop()) if len(facilities) == 1 else None,
        state=record["state"],
        invoiced_on=record["invoice_date"],
        untaxed=money(record["untaxed_amount"]),
        tax=money(record["tax_amount"]),
        total=money(record["total_amount"]),
        open_amount=money(record["amount_to_pay"]),
        orders=tuple(dict.fromkeys(order["number"] for order in orders if order["number"] is not None)),
        lines=tuple(
            _invoice_line_of(line, bought, currency) for line in _by_age(record["lines"]) if line["type"] == "line"
        ),
    )


def _invoice_line_of(line: Record, bought: Mapping[int, Record], currency: str) -> SupplierInvoiceLine:
    billed = ordered_line(line["origin"])
    order = bought.get(billed) if billed is not None else None
    return SupplierInvoiceLine(
        description=_text(line["description"]),
        item=ItemNumber(value=line["product"]["code"]) if _has_code(line["product"]) else None,
        unit=_unit(line["unit"]) if line["unit"] else None,
        quantity=_quantity(line["quantity"]),
        unit_price=Money(amount=line["unit_price"], currency=currency),
        amount=Money(amount=line["amount"], currency=currency),
        order=order["number"] if order is not None else None,
        order_line=str(billed) if billed is not None else None,
    )


def ordered_line(origin: str | None) -> int | None:
    """The order's line that a line bills (``purchase.line,7``); None when it comes from anything else."""
    if origin is None:
        return None
    model, _, number = origin.partition(",")
    return int(number) if model == "purchase.line" else None


def _ordered_lines(lines: Iterable[Record]) -> list[int]:
    return [number for line in lines if (number := ordered_line(line["origin"])) is not None]


def in_unit(quantity: float | None, unit: Record | None, wanted: Record | None) -> Decimal:
    """A quantity in another unit of its kind."""
    amount = _quantity(quantity)
    if not unit or not wanted or unit["factor"] == wanted["factor"]:
        return amount
    return amount * Decimal(str(unit["factor"])) / Decimal(str(wanted["factor"]))


def _quantity(quantity: float | None) -> Decimal:
    """Tryton's quantities are floats that were rounded by their unit: their shortest text is what was meant."""
    exact = Decimal(str(quantity if quantity is not None else 0))
    whole = exact.to_integral_value()
    return whole if exact == whole else exact


def _has_code(record: Any) -> bool:
    """Whether what is pointed to is there and has the code it is known by."""
    return bool(record) and record["code"] is not None


def _by_age(records: Iterable[Record]) -> list[Record]:
    return sorted(records, key=lambda record: int(record["id"]))


def _unit(unit: Record) -> str:
    symbol: str = unit["symbol"]
    return _UNITS.get(symbol, symbol)


def _text(value: str | None) -> str:
    """A text that a person may have left out, where out and empty are the same."""
    return value if value is not None else ""
