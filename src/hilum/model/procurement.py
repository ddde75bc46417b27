"""Suppliers, purchase orders and supplier invoices: the nouns of procure-to-pay, as the ERP keeps them."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hilum.model.identifiers import FacilityCode, ItemNumber
from hilum.model.money import Money

_FROZEN = ConfigDict(frozen=True)


class SupplierAddress(BaseModel):
    """Where a supplier is written to. ``country`` is ISO 3166-1 alpha-2, ``subdivision`` ISO 3166-2 without the country."""

    model_config = _FROZEN

    street: str = ""
    postal_code: str = ""
    city: str = ""
    subdivision: str = ""
    country: str = ""


class SupplierContact(BaseModel):
    """How a person at the supplier is reached. ``kind`` is the ERP's: email, phone, mobile, fax, website."""

    model_config = _FROZEN

    kind: str
    value: str
    name: str = ""


class TaxIdentifier(BaseModel):
    """A tax number and its kind in python-stdnum's words: ``us_ein``, ``eu_vat``."""

    model_config = _FROZEN

    kind: str
    value: str


class Supplier(BaseModel):
    """Someone the health system buys from. ``code`` is the ERP's party code, unique and never reused."""

    model_config = _FROZEN

    code: str = Field(min_length=1)
    name: str = Field(min_length=1)
    active: bool = True
    addresses: tuple[SupplierAddress, ...] = ()
    contacts: tuple[SupplierContact, ...] = ()
    tax_identifiers: tuple[TaxIdentifier, ...] = ()
    payment_term: str | None = Field(default=None, description="The ERP's name of the term: `30 days`.")


class SupplierAcknowledgement(BaseModel):
    """What a supplier answered to an order (X12 855 BAK02, UBL OrderResponse)."""

    model_config = _FROZEN

    state: str = Field(pattern="^(accepted|changed|rejected)$")
    promised_on: date | None = Field(default=None, description="The day the goods are promised for.")
    note: str = Field(default="", max_length=500, pattern=r"^[^\x00-\x09\x0b-\x1f]*$")


class PurchaseOrderLine(BaseModel):
    """One line of an order. Quantities are in ``unit``, which is that of the order line."""

    model_config = _FROZEN

    id: str = Field(description="The ERP's own number of the line, unique over all orders.")
    item: ItemNumber | None = Field(description="None for a line that is bought by description.")
    description: str = ""
    unit: str = "EA"
    ordered: Decimal
    received: Decimal = Field(description="Arrived, less what went back.")
    invoiced: Decimal = Field(
        description="On invoices that the supplier sent; what the ERP only expects is not counted."
    )
    unit_price: Money


class PurchaseOrder(BaseModel):
    """An order beyond the draft. ``state`` is the ERP's: quotation, confirmed, processing, done, cancelled."""

    model_config = _FROZEN

    number: str
    supplier: str = Field(description="The supplier's code.")
    supplier_name: str
    facility: FacilityCode | None = Field(
        description="The facility whose warehouse receives; None for what is not received."
    )
    state: str
    ordered_on: date | None = None
    currency: str
    lines: tuple[PurchaseOrderLine, ...] = ()
    acknowledgements: tuple[SupplierAcknowledgement, ...] = Field(default=(), description="Oldest first.")

    @property
    def total(self) -> Money:
        """Before tax, rounded to the cent by line, as the ERP does."""
        amounts = [(line.unit_price * line.ordered).rounded().amount for line in self.lines]
        return Money(amount=sum(amounts, Decimal(0)), currency=self.currency)


class SupplierInvoiceLine(BaseModel):
    """One line of an invoice; ``quantity`` is in ``unit``. Freight and tax that came as lines have no item."""

    model_config = _FROZEN

    description: str = ""
    item: ItemNumber | None = None
    unit: str | None = None
    quantity: Decimal
    unit_price: Money
    amount: Money
    order: str | None = Field(default=None, description="The number of the order this line bills.")
    order_line: str | None = None


class SupplierInvoice(BaseModel):
    """A supplier's invoice or credit note in the ERP. ``state``: draft, validated, posted, paid, cancelled.

    ``facility`` is that of the orders it bills when all of them are for one; None when there is none or several.
    """

    model_config = _FROZEN

    id: str = Field(description="The ERP's own number of the record; drafts have no other.")
    number: str | None = None
    reference: str | None = Field(default=None, description="The supplier's own invoice number; None: only expected.")
    supplier: str
    facility: FacilityCode | None = None
    state: str
    invoiced_on: date | None = None
    untaxed: Money
    tax: Money
    total: Money
    open_amount: Money = Field(description="What is still to be paid of a posted one.")
    orders: tuple[str, ...] = ()
    lines: tuple[SupplierInvoiceLine, ...] = ()


class InvoiceEntryLine(BaseModel):
    """One line as the supplier billed it. With ``order_line`` it bills an order; without, ``account`` says what it costs."""

    model_config = _FROZEN

    description: str = Field(min_length=1)
    quantity: Decimal = Field(gt=0)
    unit_price: Decimal
    order_line: str | None = Field(default=None, description="``PurchaseOrderLine.id``.")
    account: str | None = Field(default=None, description="The ERP's account code, for freight, tax and the like.")

    @model_validator(mode="after")
    def _billed_to_something(self) -> InvoiceEntryLine:
        if (self.order_line is None) == (self.account is None):
            raise ValueError("a line bills either an order's line or an account")
        return self

    @property
    def amount(self) -> Decimal:
        return Money(amount=self.quantity * self.unit_price).rounded().amount


class InvoiceEntry(BaseModel):
    """A supplier's invoice as it is to be entered; the total that the supplier claims equals its lines to the cent."""

    model_config = _FROZEN

    supplier: str = Field(min_length=1, description="The supplier's code.")
    reference: str = Field(min_length=1, max_length=64, description="The supplier's own invoice number.")
    invoiced_on: date
    total: Money
    lines: tuple[InvoiceEntryLine, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _adds_up(self) -> InvoiceEntry:
        billed = sum((line.amount for line in self.lines), Decimal(0))
        if billed != self.total.amount:
            raise ValueError(f"the lines come to {billed}, the total says {self.total.amount}")
        return self
