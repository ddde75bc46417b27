"""Three-way match: what the supplier bills beside what was ordered and what arrived, with every difference in money.

Pure: it is given the invoice, the order and the tolerances, and answers the same whenever it is asked. Amounts are in the
invoice's currency, quantities in the order line's unit.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from hilum.model.money import Money
from hilum.model.procurement import PurchaseOrder, PurchaseOrderLine, SupplierInvoice

Kind = Literal[
    "no-order", "other-supplier", "other-currency", "order-not-open", "duplicate", "does-not-add-up", "no-such-line", "line-twice",
    "other-item", "other-unit", "quantity", "not-received", "price", "charge",
]  # fmt: skip

_ZERO = Decimal(0)
_OPEN = frozenset({"confirmed", "processing"})


class BilledLine(BaseModel):
    """One line as the supplier bills it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    order_line: str = Field(
        min_length=1, max_length=64, description="The order line it bills, by the ERP's number of it."
    )
    item: str | None = Field(default=None, max_length=64, description="The item as the order names it.")
    unit: str | None = Field(default=None, max_length=16)
    quantity: Decimal = Field(gt=0, max_digits=14, decimal_places=4)
    unit_price: Decimal = Field(ge=0, max_digits=14, decimal_places=6)

    @property
    def amount(self) -> Decimal:
        return Money(amount=self.quantity * self.unit_price).rounded().amount


class BilledCharge(BaseModel):
    """What is billed beside the order's lines: freight, a fee, tax."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["freight", "tax", "fee"]
    amount: Decimal = Field(max_digits=14, decimal_places=2)


class BilledInvoice(BaseModel):
    """An invoice as it is to be matched with one order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    supplier: str = Field(min_length=1, max_length=64, description="The supplier's code.")
    number: str = Field(min_length=1, max_length=64, description="The supplier's own invoice number.")
    order: str = Field(min_length=1, max_length=64)
    invoiced_on: date
    currency: str = Field(default="USD", pattern=r"^[A-Z]{3}$")
    total: Decimal = Field(max_digits=14, decimal_places=2)
    lines: tuple[BilledLine, ...] = Field(min_length=1, max_length=1000)
    charges: tuple[BilledCharge, ...] = Field(default=(), max_length=20)


class MatchException(BaseModel):
    """One reason why the invoice is not paid as it is. ``difference`` is what it would cost to pay it all the same."""

    model_config = ConfigDict(frozen=True)

    kind: Kind
    line: str | None = Field(default=None, description="The order line; null for what concerns the whole invoice.")
    detail: str
    difference: Money


@dataclass(frozen=True)
class Tolerance:
    """How far a bill may go beyond what was agreed and still be paid: the smaller of both bounds counts."""

    percent: Decimal = _ZERO
    amount: Decimal = _ZERO

    def allows(self, over: Decimal, base: Decimal) -> bool:
        """Whether an overcharge of ``over`` on an agreed ``base`` is paid."""
        return over <= min(self.amount, base * self.percent / 100)


Tolerances = Mapping[str, Tolerance]
"""By kind: ``price`` and ``charge``. A kind that is not named has none: nothing over the agreed is paid."""


class BadTable(ValueError):
    """A table of the estate that matching reads cannot be used; the text says which line and why."""


def read_tolerances(path: Path) -> Tolerances:
    """The estate's ``kind,percent,amount``; no table means no tolerance."""
    if not path.exists():
        return {}
    found: dict[str, Tolerance] = {}
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            kind = row.get("kind")
            try:
                bounds = Tolerance(Decimal(str(row["percent"])), Decimal(str(row["amount"])))
            except (KeyError, InvalidOperation) as error:
                raise BadTable(f"{path.name}: {kind!r} needs a percent and an amount") from error
            if kind not in ("price", "charge") or not (bounds.percent >= 0 and bounds.amount >= 0):
                raise BadTable(f"{path.name}: {kind!r} is neither price nor charge, or a bound is below zero")
            found[kind] = bounds
    return found


def read_charge_accounts(path: Path) -> Mapping[str, str]:
    """The estate's ``kind,account``: where freight, tax and fees beside an order's lines are booked."""
    if not path.exists():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        if not row.get("kind") or not row.get("account"):
            raise BadTable(f"{path.name}: every line needs a kind and an account")
    return {row["kind"]: row["account"] for row in rows}


def match_invoice(
    invoice: BilledInvoice,
    order: PurchaseOrder | None,
    known: Iterable[SupplierInvoice] = (),
    tolerances: Tolerances | None = None,
) -> tuple[MatchException, ...]:
    """Every exception of the invoice; none means that it may be paid as it is.

    ``known`` are the supplier's invoices that the ERP already has under the same number: one that is not cancelled makes
    this one a duplicate, whatever else is right about it.
    """
    bounds = tolerances if tolerances is not None else {}

    def found(kind: Kind, detail: str, difference: Decimal, line: str | None = None) -> MatchException:
        money = Money(amount=difference, currency=invoice.currency).rounded()
        return MatchException(kind=kind, line=line, detail=detail, difference=money)

    whole: list[MatchException] = []
    if any(k.state != "cancelled" and k.reference == invoice.number for k in known):
        whole.append(found("duplicate", "the ERP has an invoice of this supplier under this number", invoice.total))
    billed = sum((line.amount for line in invoice.lines), _ZERO) + sum((c.amount for c in invoice.charges), _ZERO)
    if billed != invoice.total:
        whole.append(found("does-not-add-up", f"lines and charges come to {billed}", invoice.total - billed))
    if order is None:
        return (*whole, found("no-order", "there is no order of this number", invoice.total))
    if order.supplier != invoice.supplier:
        whole.append(found("other-supplier", "the order was placed with another supplier", invoice.total))
    if order.currency != invoice.currency:
        return (*whole, found("other-currency", f"the order is in {order.currency}", invoice.total))
    if order.state not in _OPEN:
        whole.append(found("order-not-open", f"the order is {order.state}", invoice.total))
    lines = {line.id: line for line in order.lines}
    seen: set[str] = set()
    for line in invoice.lines:
        ordered = lines.get(line.order_line)
        if ordered is None:
            whole.append(found("no-such-line", "the order has no such line", line.amount, line.order_line))
        elif line.order_line in seen:
            whole.append(found("line-twice", "the invoice bills this line twice", line.amount, line.order_line))
        else:
            seen.add(line.order_line)
            for kind, detail, difference in _line(line, ordered, bounds):
                whole.append(found(kind, detail, difference, line.order_line))
    whole += [
        found("charge", f"{charge.kind} beyond what is agreed", charge.amount)
        for charge in invoice.charges
        if charge.kind != "tax" and not bounds.get("charge", Tolerance()).allows(charge.amount, invoice.total)
    ]
    return tuple(whole)


def _line(line: BilledLine, ordered: PurchaseOrderLine, bounds: Tolerances) -> Iterable[tuple[Kind, str, Decimal]]:
    if line.item is not None and ordered.item is not None and line.item != ordered.item.value:
        yield "other-item", f"the order's line is {ordered.item.value}", line.amount
        return
    if line.unit is not None and line.unit != ordered.unit:
        yield "other-unit", f"billed by {line.unit}, ordered by {ordered.unit}", line.amount
        return
    agreed = ordered.unit_price.amount
    over = line.quantity + ordered.invoiced - ordered.ordered
    if over > 0:
        yield "quantity", f"{over:f} more than ordered", min(over, line.quantity) * line.unit_price
    missing = line.quantity + ordered.invoiced - ordered.received
    if missing > 0:
        yield "not-received", f"{missing:f} not received", min(missing, line.quantity) * line.unit_price
    dearer = (line.unit_price - agreed) * line.quantity
    if dearer > 0 and not bounds.get("price", Tolerance()).allows(dearer, agreed * line.quantity):
        yield "price", f"billed at {line.unit_price:f}, agreed at {agreed:f}", dearer
