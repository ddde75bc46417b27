"""What the ERP's API takes and answers, version 2. Quantities are in the line's unit, amounts carry their currency."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from hilum.authoring import Confidential, Contract, Financial, Pii
from hilum.model import Money

Text = Annotated[str, Field(min_length=1, max_length=200)]
Code = Annotated[str, Field(min_length=1, max_length=64)]
Amount = Annotated[Money, Financial]

OrderState = Literal["quotation", "confirmed", "processing", "done", "cancelled"]
InvoiceState = Literal["draft", "validated", "posted", "paid", "cancelled"]


class Part(BaseModel):
    """A shape inside a contract: it has no life of its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ErpItem(Contract, version=1, owner="supply-chain"):
    """One item of the item master."""

    number: str = Field(description="The item number by which all systems' codes are translated.")
    name: str
    unit: str = Field(description="The unit of issue, in the words of X12 and UBL: EA.")


class ErpItemQuery(Contract, version=1, owner="supply-chain"):
    """Which items are asked for; nothing given: all."""

    item: Code | None = Field(default=None, description="The item number.")


class ErpAddress(Part):
    """A supplier's address."""

    street: str = ""
    postal_code: str = ""
    city: str = ""
    subdivision: str = Field(default="", description="ISO 3166-2 without the country.")
    country: str = Field(default="", description="ISO 3166-1 alpha-2.")


class ErpContact(Part):
    """A way to reach somebody at the supplier: email, phone."""

    kind: str
    value: str
    name: str = ""


class ErpTaxNumber(Part):
    """A tax number and its kind: us_ein, eu_vat."""

    kind: str
    value: str


class ErpSupplier(Contract, version=1, owner="supply-chain"):
    """Someone the health system buys from."""

    supplier: str = Field(description="The supplier's code, unique and never reused.")
    name: str
    active: bool = Field(description="Whether it may still be ordered from.")
    payment_term: Annotated[str | None, Financial] = None
    addresses: tuple[ErpAddress, ...] = ()
    contacts: Annotated[tuple[ErpContact, ...], Pii] = ()
    tax_numbers: Annotated[tuple[ErpTaxNumber, ...], Confidential] = ()


class ErpSupplierQuery(Contract, version=1, owner="supply-chain"):
    """Which suppliers are asked for; nothing given: all that you may see."""

    supplier: Code | None = None


class ErpSupplierEntry(Contract, version=1, owner="supply-chain"):
    """A supplier to be made known."""

    supplier: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{1,39}$")] = Field(description="Its future code.")
    name: Text
    payment_term: Text | None = Field(default=None, description="As the ERP calls it: 30 days.")
    addresses: tuple[ErpAddress, ...] = Field(min_length=1, max_length=10)
    contacts: Annotated[tuple[ErpContact, ...], Pii] = Field(default=(), max_length=20)
    tax_numbers: Annotated[tuple[ErpTaxNumber, ...], Confidential] = Field(default=(), max_length=5)


class ErpCostCentre(Contract, version=1, owner="finance"):
    """One cost centre in use."""

    cost_centre: str
    name: str


class ErpCostCentreQuery(Contract, version=1, owner="finance"):
    """Which cost centres are asked for; nothing given: all."""

    cost_centre: Code | None = None


class ErpAcknowledgement(Contract, version=1, owner="supply-chain"):
    """A supplier's answer to an order (X12 855, UBL OrderResponse)."""

    state: Literal["accepted", "changed", "rejected"]
    promised_on: date | None = Field(default=None, description="The day the goods are promised for.")
    note: str = Field(default="", max_length=500, pattern=r"^[^\x00-\x09\x0b-\x1f]*$")


class ErpOrderLine(Part):
    """One line of an order."""

    id: str = Field(description="By which an invoice's line says what it bills.")
    item: str | None = Field(description="The item number; null for what is bought by description.")
    description: str
    unit: str
    ordered: Decimal
    received: Decimal
    invoiced: Decimal = Field(description="On invoices that the supplier sent.")
    unit_price: Amount


class ErpOrder(Contract, version=2, owner="supply-chain"):
    """A purchase order beyond the draft, with what arrived and what was billed."""

    number: str
    supplier: str = Field(description="The supplier's code.")
    supplier_name: str
    facility: str | None = Field(description="Where the goods are received.")
    state: OrderState
    ordered_on: date | None
    lines: tuple[ErpOrderLine, ...]
    total: Amount = Field(description="Before tax.")
    acknowledgements: tuple[ErpAcknowledgement, ...] = Field(default=(), description="Oldest first.")


class ErpOrderQuery(Contract, version=1, owner="supply-chain"):
    """Which orders are asked for; nothing given: all that you may see."""

    supplier: Code | None = None
    facility: Code | None = None
    state: OrderState | None = None


class ErpInvoiceLine(Part):
    """One line of an invoice."""

    description: str
    item: str | None
    unit: str | None
    quantity: Decimal
    unit_price: Amount
    amount: Amount
    order: str | None = Field(description="The number of the order it bills.")


class ErpInvoice(Contract, version=1, owner="finance"):
    """A supplier's invoice or credit note, as the ERP keeps it."""

    id: str
    number: str | None = Field(description="The ERP's own number; a draft has none.")
    reference: str | None = Field(description="The supplier's own number; null for one that is only expected.")
    supplier: str
    facility: str | None = Field(description="That of the orders it bills, when it is one.")
    state: InvoiceState
    invoiced_on: date | None
    untaxed: Amount
    tax: Amount
    total: Amount
    open_amount: Amount = Field(description="What is still to be paid.")
    orders: tuple[str, ...]
    lines: tuple[ErpInvoiceLine, ...]


class ErpInvoiceQuery(Contract, version=1, owner="finance"):
    """Which invoices are asked for; nothing given: all that you may see."""

    supplier: Code | None = None
    facility: Code | None = None
    state: InvoiceState | None = None
    reference: Code | None = Field(default=None, description="The supplier's own number.")


class ErpInvoiceEntryLine(Part):
    """One line as it was billed: of an order (with its line), or on an account, such as freight."""

    description: Text
    quantity: Annotated[Decimal, Field(gt=0, max_digits=12, decimal_places=4)]
    unit_price: Annotated[Decimal, Field(max_digits=14, decimal_places=4), Financial]
    order: Code | None = None
    order_line: Code | None = None
    account: Code | None = None


class ErpInvoiceEntry(Contract, version=1, owner="finance"):
    """A supplier's invoice to be entered as a draft. It bills orders of one facility, and its lines come to its total."""

    supplier: Code
    reference: Annotated[str, Field(min_length=1, max_length=64)] = Field(description="The supplier's own number.")
    invoiced_on: date
    total: Amount
    lines: tuple[ErpInvoiceEntryLine, ...] = Field(min_length=1, max_length=500)


class ErpPosting(Contract, version=1, owner="finance"):
    """One posted line of the general ledger; one of debit and credit is zero."""

    id: str
    entry: str = Field(description="The journal entry's number.")
    date: date
    journal: str
    account: str | None
    account_name: str
    debit: Amount
    credit: Amount
    cost_centre: str | None = Field(description="Null when there is none, or several share it.")
    description: str


class ErpPostingQuery(Contract, version=1, owner="finance"):
    """Which postings are asked for; nothing given: all."""

    account: Code | None = None
    cost_centre: Code | None = None
    journal: Code | None = None
    entry: Code | None = None


class ErpJournalEntry(Contract, version=1, owner="finance"):
    """A posted journal entry with its lines, which balance."""

    number: str
    date: date
    journal: str
    description: str
    lines: tuple[ErpPosting, ...]


class ErpBalance(Contract, version=1, owner="finance"):
    """What stands on an account in one fiscal year, from posted entries; the balance is debit less credit."""

    account: str
    name: str
    fiscal_year: str
    debit: Amount
    credit: Amount
    balance: Amount


class ErpBalanceQuery(Contract, version=1, owner="finance"):
    """Of which year, and of which account."""

    on: date = Field(description="A day of the fiscal year.")
    account: Code | None = None
