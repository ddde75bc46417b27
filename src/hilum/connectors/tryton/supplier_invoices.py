"""Entering suppliers' invoices as drafts, in place of what the ERP expected.

When goods arrive, Tryton drafts the invoice it expects for them: a draft without a reference. The invoice that the supplier
really sent takes its place. Ours is made first, so that the order counts its lines as billed; then the expected one is
deleted, and Tryton drafts another for whatever is still not billed.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hilum.authoring.failures import ErpRefused
from hilum.connectors.tryton.client import Record, TrytonRest
from hilum.connectors.tryton.documents import INVOICE, Documents
from hilum.connectors.tryton.master import MasterData
from hilum.connectors.tryton.procurement import ordered_line
from hilum.connectors.tryton.where import RecordId
from hilum.model import DocumentRef, InvoiceEntry, InvoiceEntryLine

_MODEL = "account.invoice"
_LINE_FIELDS = (
    "type", "unit", "product.account_category", "purchase.number", "purchase.state", "purchase.party.code",
    "analytic_accounts.root", "analytic_accounts.account",
)  # fmt: skip

Line = tuple[str, str, Decimal, Decimal]


class SupplierInvoices:
    """Invoices by the key they were entered under, which stands in their description."""

    def __init__(self, rest: TrytonRest, master: MasterData, system: str) -> None:
        self._rest = rest
        self._master = master
        self._documents = Documents(rest, system, INVOICE, invoice_digest)

    async def find(self, invoice: InvoiceEntry, key: str) -> DocumentRef | None:
        """The invoice under ``key``, with what it replaces gone; None when there is none."""
        found = await self._documents.find(key, wanted_invoice(invoice))
        if found is not None:
            await self._replace(invoice, int(found.id))
        return found

    async def make(self, invoice: InvoiceEntry, key: str) -> DocumentRef:
        await self._not_entered_already(invoice, key)
        made = await self._documents.make(key, wanted_invoice(invoice), await self._draft(invoice))
        await self._replace(invoice, int(made.id))
        return made

    # -- inside

    async def _not_entered_already(self, invoice: InvoiceEntry, key: str) -> None:
        """The same supplier's number twice is one bill sent twice, or a person's matter."""
        domain = [
            ("type", "=", "in"), ("party.code", "=", invoice.supplier), ("reference", "=", invoice.reference),
            ("state", "!=", "cancelled"),
        ]  # fmt: skip
        for found in await self._rest.search(_MODEL, domain, ["description"]):
            if found["description"] != key:
                raise ErpRefused(
                    f"an invoice of {invoice.supplier} with the same number stands in the ERP already",
                    f"reference {invoice.reference}, id {found['id']}",
                )

    async def _draft(self, invoice: InvoiceEntry) -> dict[str, Any]:
        company = await self._master.company()
        if invoice.total.currency != company["currency"]["code"]:
            raise ErpRefused(f"the ERP books in {company['currency']['code']}, not in {invoice.total.currency}")
        supplier = await self._master.party(invoice.supplier)
        if not supplier["addresses"]:
            raise ErpRefused(f"the supplier {invoice.supplier} has no address in the ERP")
        journal = await self._rest.search("account.journal", [("type", "=", "expense")], ["id"], limit=1)
        if not journal:
            raise ErpRefused("the ERP has no journal for expenses, into which supplier invoices go")
        return {
            "type": "in",
            "company": company["id"],
            "currency": company["currency"]["id"],
            "party": supplier["id"],
            "invoice_address": supplier["addresses"][0],
            "account": await self._payable(supplier),
            "payment_term": supplier["supplier_payment_term"],
            "journal": journal[0]["id"],
            "reference": invoice.reference,
            "invoice_date": invoice.invoiced_on,
            "lines": [["create", [await self._line(line, invoice, company) for line in invoice.lines]]],
        }

    async def _line(self, line: InvoiceEntryLine, invoice: InvoiceEntry, company: Record) -> dict[str, Any]:
        values: dict[str, Any] = {
            "type": "line",
            "company": company["id"],
            "currency": company["currency"]["id"],
            "description": line.description,
            "quantity": float(line.quantity),
            "unit_price": line.unit_price,
        }
        if line.order_line is None:
            assert line.account is not None
            return {**values, "account": (await self._master.account(line.account))["id"]}
        ordered = await self._ordered(line.order_line, invoice.supplier)
        product = ordered["product"]
        if not product:
            raise ErpRefused(f"the order {ordered['purchase']['number']} has a line that is bought by description")
        centres = [
            {"root": centre["root"], "account": centre["account"]}
            for centre in ordered["analytic_accounts"]
            if centre["account"] is not None
        ]
        return {
            **values,
            "account": await self._expense(product["account_category"]),
            "product": product["id"],
            "unit": ordered["unit"],
            "origin": f"purchase.line,{ordered['id']}",
            # The order said which cost centre bears it, and so does the bill.
            **({"analytic_accounts": [["create", centres]]} if centres else {}),
        }

    async def _payable(self, supplier: Record) -> int:
        """The account on which the supplier's bills stand: its own, or the one of all suppliers."""
        if supplier["account_payable"] is not None:
            return int(supplier["account_payable"])
        return await self._usual("default_account_payable", "an account for payables")

    async def _expense(self, category: int | None) -> int:
        """The account that bears what an item costs, by its accounting category or by what is usual."""
        fields = ["account_expense", "account_parent", "parent"]
        while category is not None:
            [found] = await self._rest.search("product.category", [("id", "=", category)], fields)
            if not found["account_parent"]:
                if found["account_expense"] is not None:
                    return int(found["account_expense"])
                break
            category = found["parent"]
        return await self._usual("default_category_account_expense", "an account for expenses")

    async def _usual(self, setting: str, what: str) -> int:
        [found] = await self._rest.search("account.configuration", [], [setting])
        if found[setting] is None:
            raise ErpRefused(f"the ERP's accounting has not set up {what}")
        return int(found[setting])

    async def _ordered(self, line: str, supplier: str) -> Record:
        """The order's line, which must be this supplier's: nobody bills another one's order."""
        found = await self._rest.search("purchase.line", RecordId().holds([line]), _LINE_FIELDS)
        if not found or found[0]["type"] != "line" or found[0]["purchase"]["party"]["code"] != supplier:
            raise ErpRefused(f"{supplier} has no order with a line {line}")
        if found[0]["purchase"]["state"] in ("draft", "quotation", "cancelled"):
            order = found[0]["purchase"]
            raise ErpRefused(f"the order {order['number']} is {order['state']}: there is nothing to bill")
        return found[0]

    async def _replace(self, invoice: InvoiceEntry, made: int) -> None:
        """Delete the drafts that the ERP had made for the billed lines, and for nothing else.

        What it drafts after ours is there is for what ours leaves open, and stays.
        """
        billed = {int(line.order_line) for line in invoice.lines if line.order_line is not None}
        if not billed:
            return
        domain = [
            ("type", "=", "in"), ("state", "=", "draft"), ("reference", "=", None), ("id", "<", made),
            ("lines.origin", "in", [f"purchase.line,{line}" for line in sorted(billed)]),
        ]  # fmt: skip
        for expected in await self._rest.search(_MODEL, domain, ["lines.origin", "description"]):
            lines = {ordered_line(line["origin"]) for line in expected["lines"]}
            # A person who has added something of their own to the ERP's draft is not overruled.
            if None not in lines:
                await self._documents.discard(expected["id"])


def wanted_invoice(invoice: InvoiceEntry) -> tuple[str, str, Any, list[Line]]:
    """What a draft of this invoice must say."""
    lines = [
        (
            line.description.strip(),
            line.order_line if line.order_line is not None else "",
            line.quantity,
            line.unit_price,
        )
        for line in invoice.lines
    ]
    return invoice.supplier, invoice.reference, invoice.invoiced_on, sorted(lines)


def invoice_digest(record: Record) -> tuple[str, str, Any, list[Line]]:
    lines = []
    for line in record["lines"]:
        billed = ordered_line(line["origin"])
        text = (line["description"], str(billed) if billed is not None else "")
        lines.append((*text, Decimal(str(line["quantity"])), line["unit_price"]))
    return record["party"]["code"], record["reference"], record["invoice_date"], sorted(lines)
