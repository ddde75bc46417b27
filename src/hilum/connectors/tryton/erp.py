"""Tryton in the role ``Erp``: items, contract prices, journals, replenishment orders."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from typing import Any, ClassVar

import httpx2

from hilum.authoring.api import Page, PageRequest
from hilum.authoring.failures import ErpRefused
from hilum.connectors.tryton import description
from hilum.connectors.tryton.client import Record, TrytonRest
from hilum.connectors.tryton.documents import JOURNAL, ORDER, Documents
from hilum.connectors.tryton.ledger import Ledger
from hilum.connectors.tryton.master import MasterData, covers
from hilum.connectors.tryton.notes import Answers
from hilum.connectors.tryton.procurement import ITEMS, Procurement, item_of
from hilum.connectors.tryton.reads import Books, PlacedOrder, PostedJournal
from hilum.connectors.tryton.supplier_invoices import SupplierInvoices
from hilum.connectors.tryton.suppliers import Suppliers
from hilum.model import (
    AccountBalance,
    ContractPrice,
    CostCentreRecord,
    DocumentRef,
    InvoiceEntry,
    Item,
    ItemNumber,
    Journal,
    JournalEntry,
    LedgerAccount,
    LedgerPosting,
    Money,
    PurchaseOrder,
    Replenishment,
    Supplier,
    SupplierAcknowledgement,
    SupplierInvoice,
)
from hilum.model.where import Equals, Where

_CENT = Decimal("0.01")


class TrytonErp:
    """One company of one Tryton database.

    ``credentials`` is the key of a validated *user application* of type REST. Its user needs the groups Accounting, Purchase
    and Stock. ``company`` is the company's name and may be left out when there is only one; ``journal`` is the code of the
    journal that is posted to, ``supplier_category`` the name of the party category that makes a party a supplier. Operations raise ErpRefused (a person must decide) and Unavailable (time must pass).
    """

    # Both commands look for their key first, so repeating one is safe; `find_...` tells whether it was done.
    idempotent_commands: ClassVar[frozenset[str]] = frozenset()

    def __init__(
        self,
        base_url: str,
        database: str,
        credentials: str,
        *,
        company: str | None = None,
        journal: str = "SUPPLY",
        supplier_category: str = "Supplier",
        timeout_seconds: float = 15,
        system: str = "erp",
        rng: random.Random | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        # Jitter only has to differ between the processes that compete for a lock.
        dice = rng if rng is not None else random.Random(os.getpid())
        self._rest = TrytonRest(
            base_url, database, credentials.strip(), system=system, timeout_seconds=timeout_seconds, rng=dice,
            sleep=sleep, transport=transport,
        )  # fmt: skip
        self._system = system
        self._master = MasterData(self._rest, company=company, journal=journal)
        self._books = Books(self._rest, self._master, journal)
        self._journals = Documents(self._rest, system, JOURNAL, _journal_digest)
        self._orders = Documents(self._rest, system, ORDER, _order_digest)
        self._procurement = Procurement(self._rest, self._master, supplier_category)
        self._ledger = Ledger(self._rest, self._master)
        self._suppliers = Suppliers(self._rest, system, supplier_category)
        self._answers = Answers(self._rest, system)
        self._invoices = SupplierInvoices(self._rest, self._master, system)

    async def ping(self) -> None:
        """Return when server, database and key work."""
        await self._rest.search("company.company", [], ["id"], limit=1)

    async def describe(self) -> dict[str, Any]:
        """What the ERP's models look like now as far as this connector relies on them, for contract tests."""
        return await description.describe(self._rest)

    async def close(self) -> None:
        await self._rest.close()

    # -- questions

    async def item(self, number: ItemNumber) -> Item | None:
        """The item; None when the item master has no such number or it is out of use."""
        found = await ITEMS.one(self._rest, Equals("item", number.value))
        return item_of(found) if found is not None else None

    async def contract_price(self, item: ItemNumber, on: date) -> ContractPrice | None:
        """The price of one each for the smallest order, from the first supplier by preference who has agreed one.

        Tryton's supplier prices carry no dates, so the price is the one agreed when it is asked for, whatever ``on`` says.
        """
        await self._master.company()
        lines = await self._rest.search(
            "purchase.product_supplier",
            [covers(item.value)],
            [
                "sequence", "code", "party.name", "currency.code", "unit.factor", "template.default_uom.factor",
                "prices.quantity", "prices.unit_price",
            ],
        )  # fmt: skip
        for line in sorted(lines, key=_preference):
            agreed = [price for price in line["prices"] if price["quantity"] <= 1]
            if agreed:
                price = max(agreed, key=lambda price: (price["quantity"], price["id"]))
                return ContractPrice(
                    item=item,
                    unit_price=Money(
                        amount=_price_of_one(price["unit_price"], line), currency=line["currency"]["code"]
                    ),
                    supplier=line["party"]["name"],
                    contract=line["code"] if line["code"] is not None else "",
                )
        return None

    # -- lists and records, for the system API; `Where` says by which attributes, `hilum.authoring.roles` which there are

    async def items(self, where: Where, page: PageRequest) -> Page[Item]:
        return await self._procurement.items(where, page)

    async def suppliers(self, where: Where, page: PageRequest) -> Page[Supplier]:
        return await self._procurement.suppliers(where, page)

    async def supplier(self, code: str) -> Supplier | None:
        return await self._procurement.supplier(code)

    async def orders(self, where: Where, page: PageRequest) -> Page[PurchaseOrder]:
        return await self._procurement.orders(where, page)

    async def order(self, number: str) -> PurchaseOrder | None:
        return await self._procurement.order(number)

    async def invoices(self, where: Where, page: PageRequest) -> Page[SupplierInvoice]:
        return await self._procurement.invoices(where, page)

    async def invoice(self, id: str) -> SupplierInvoice | None:
        return await self._procurement.invoice(id)

    async def cost_centres(self, where: Where, page: PageRequest) -> Page[CostCentreRecord]:
        return await self._ledger.cost_centres(where, page)

    async def ledger_accounts(self, where: Where, page: PageRequest) -> Page[LedgerAccount]:
        return await self._ledger.ledger_accounts(where, page)

    async def postings(self, where: Where, page: PageRequest) -> Page[LedgerPosting]:
        return await self._ledger.postings(where, page)

    async def journal_entry(self, number: str) -> JournalEntry | None:
        return await self._ledger.journal_entry(number)

    async def posting_day(self, on: date) -> date | None:
        """That day, or the first of the next period in which the ERP takes postings."""
        return await self._ledger.posting_day(on)

    async def balances(self, where: Where, page: PageRequest, on: date) -> Page[AccountBalance]:
        with self._refusals():
            return await self._ledger.balances(where, page, on)

    # -- commands

    async def post_journal(self, journal: Journal, *, key: str) -> DocumentRef:
        """Post the journal under ``key``, which becomes the move's description; the lines carry the journal's own."""
        earlier = await self.find_post_journal(journal, key=key)
        if earlier is not None:
            return earlier
        with self._refusals():
            return await self._journals.make(key, _wanted_journal(journal), await self._move(journal))

    async def find_post_journal(self, journal: Journal, *, key: str) -> DocumentRef | None:
        with self._refusals():
            await self._master.company()
            return await self._journals.find(key, _wanted_journal(journal))

    async def order_replenishment(self, request: Replenishment, *, key: str) -> DocumentRef:
        """Order from the supplier under ``key``, which becomes the order's reference."""
        earlier = await self.find_order_replenishment(request, key=key)
        if earlier is not None:
            return earlier
        with self._refusals():
            return await self._orders.make(key, _wanted_order(request), await self._purchase(request))

    async def find_order_replenishment(self, request: Replenishment, *, key: str) -> DocumentRef | None:
        with self._refusals():
            await self._master.company()
            return await self._orders.find(key, _wanted_order(request))

    async def create_supplier(self, supplier: Supplier, *, key: str) -> DocumentRef:
        """Make the supplier known. Its code is its identity: whatever the key, one code is one supplier."""
        earlier = await self.find_create_supplier(supplier, key=key)
        if earlier is not None:
            return earlier
        return await self._suppliers.make(supplier)

    async def find_create_supplier(self, supplier: Supplier, *, key: str) -> DocumentRef | None:
        await self._master.company()
        return await self._suppliers.find(supplier)

    async def acknowledge_order(self, number: str, answer: SupplierAcknowledgement, *, key: str) -> DocumentRef:
        """Write the supplier's answer down as a note of the order, under ``key``."""
        earlier = await self.find_acknowledge_order(number, answer, key=key)
        if earlier is not None:
            return earlier
        return await self._answers.write(number, answer, key)

    async def find_acknowledge_order(
        self, number: str, answer: SupplierAcknowledgement, *, key: str
    ) -> DocumentRef | None:
        await self._master.company()
        return await self._answers.find(number, answer, key)

    async def enter_invoice(self, invoice: InvoiceEntry, *, key: str) -> DocumentRef:
        """Enter the invoice as a draft under ``key``, which becomes its description. The result's number is the supplier's own.

        Of two runners at once under one key, one draft remains.
        """
        earlier = await self.find_enter_invoice(invoice, key=key)
        if earlier is not None:
            return earlier
        with self._refusals():
            return await self._invoices.make(invoice, key)

    async def find_enter_invoice(self, invoice: InvoiceEntry, *, key: str) -> DocumentRef | None:
        with self._refusals():
            await self._master.company()
            return await self._invoices.find(invoice, key)

    # -- the books, for reconciliation

    async def journals(self, key_prefix: str = "", since: date | None = None) -> list[PostedJournal]:
        """Posted journals whose key begins with ``key_prefix``, from that day on."""
        await self._master.company()
        return await self._books.journals(key_prefix, since)

    async def replenishments(self, key_prefix: str = "") -> list[PlacedOrder]:
        """Orders beyond the draft whose key begins with ``key_prefix``, cancelled ones included."""
        await self._master.company()
        return await self._books.replenishments(key_prefix)

    async def trial_balance(self, accounts: Iterable[str], on: date) -> dict[str, Decimal]:
        """Debit less credit of each account, from posted journals of the fiscal year of that day."""
        return await self._books.trial_balance(accounts, on)

    async def cost_by_cost_centre(self) -> dict[str, Decimal]:
        """Debit less credit of each cost centre, of all days; drafts count too."""
        await self._master.company()
        return await self._books.cost_by_cost_centre()

    # -- inside

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        """After a refusal nothing remembered is trusted: a person will have changed something."""
        try:
            yield
        except ErpRefused:
            self._master.forget()
            raise

    async def _move(self, journal: Journal) -> dict[str, Any]:
        company = await self._master.company()
        if journal.currency != company["currency"]["code"]:
            raise ErpRefused(f"the ERP keeps its books in {company['currency']['code']}, not in {journal.currency}")
        lines = []
        for line in journal.lines:
            values = {
                "account": (await self._master.account(line.account))["id"],
                "debit": line.debit,
                "credit": line.credit,
                "description": journal.description,
            }
            if line.cost_centre is not None:
                centre = await self._master.cost_centre(line.cost_centre.value)
                analytic = {"account": centre["id"], "debit": line.debit, "credit": line.credit, "date": journal.date}
                values["analytic_lines"] = [["create", [analytic]]]
            lines.append(values)
        return {
            "company": company["id"],
            "journal": (await self._master.journal())["id"],
            "period": (await self._master.period(journal.date))["id"],
            "date": journal.date,
            "lines": [["create", lines]],
        }

    async def _purchase(self, request: Replenishment) -> dict[str, Any]:
        company = await self._master.company()
        if request.unit_price.currency != company["currency"]["code"]:
            raise ErpRefused(f"the ERP orders in {company['currency']['code']}, not in {request.unit_price.currency}")
        item = await self._master.item(request.item.value)
        supplier = await self._master.supplier(request.supplier)
        line: dict[str, Any] = {
            "type": "line",
            "product": item["id"],
            "product_supplier": (await self._master.contract(request.item.value, request.supplier))["id"],
            "quantity": float(request.quantity_each),
            "unit": item["default_uom"]["id"],
            "unit_price": request.unit_price.amount,
        }
        if request.cost_centre is not None:
            centre = await self._master.cost_centre(request.cost_centre.value)
            line["analytic_accounts"] = [["create", [{"root": centre["root"], "account": centre["id"]}]]]
        return {
            "company": company["id"],
            "currency": company["currency"]["id"],
            "party": supplier["id"],
            "invoice_address": supplier["addresses"][0] if supplier["addresses"] else None,
            "payment_term": supplier["supplier_payment_term"],
            "warehouse": (await self._master.warehouse(request.facility.value))["id"],
            "invoice_method": "fulfillment",  # The supplier is paid for what arrived.
            "description": f"Par replenishment {request.location.value}",
            "lines": [["create", [line]]],
        }


def _preference(line: Record) -> tuple[bool, int, int]:
    sequence = line["sequence"]
    return sequence is None, sequence if sequence is not None else 0, line["id"]


def _price_of_one(price: Decimal, line: Record) -> Decimal:
    """The price of one each, where the supplier sells boxes."""
    boxed, each = line["unit"]["factor"], line["template"]["default_uom"]["factor"]
    return price if boxed == each else price * Decimal(str(each)) / Decimal(str(boxed))


Side = tuple[str, Decimal, Decimal, str]


def _wanted_journal(journal: Journal) -> tuple[date, list[Side]]:
    """What a draft of this journal must say. ErpRefused for what no ledger takes."""
    for line in journal.lines:
        if line.debit != line.debit.quantize(_CENT) or line.credit != line.credit.quantize(_CENT):
            raise ErpRefused(f"a journal line on account {line.account} is not a whole number of cents")
    if sum(line.debit - line.credit for line in journal.lines):
        raise ErpRefused("the journal does not balance", journal.description)
    sides = [
        (line.account, line.debit, line.credit, line.cost_centre.value if line.cost_centre is not None else "")
        for line in journal.lines
    ]
    return journal.date, sorted(sides)


def _journal_digest(move: Record) -> tuple[date, list[Side]]:
    sides = [
        (
            line["account"]["code"],
            line["debit"],
            line["credit"],
            line["analytic_lines"][0]["account"]["code"] if line["analytic_lines"] else "",
        )
        for line in move["lines"]
    ]
    return move["date"], sorted(sides)


def _wanted_order(request: Replenishment) -> tuple[str, str, list[tuple[str, float, Decimal]]]:
    line = (request.item.value, float(request.quantity_each), request.unit_price.amount)
    return request.supplier, request.facility.value, [line]


def _order_digest(order: Record) -> tuple[str, str, list[tuple[str, float, Decimal]]]:
    lines = [(line["product"]["code"], line["quantity"], line["unit_price"]) for line in order["lines"]]
    return order["party"]["name"], order["warehouse"]["code"], lines
