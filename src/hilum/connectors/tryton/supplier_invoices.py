"""Entering suppliers' invoices as drafts, in place of what the ERP expected.

When goods arrive, Tryton drafts the invoice it expects for them: a draft without a reference. The invoice that the supplier
really sent takes its place, in three steps, each of which can be repeated:

1. Ours is made without saying which orders it bills, so that of two made at once one can go without a trace.
2. It is linked to the orders' lines, which from then on count as billed.
3. Where more is billed or expected than has arrived, what was expected is deleted; Tryton drafts anew what is still open.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hilum.authoring.failures import ErpRefused, Unavailable
from hilum.connectors.tryton.client import Record, TrytonRest
from hilum.connectors.tryton.documents import INVOICE, Documents
from hilum.connectors.tryton.master import MasterData
from hilum.connectors.tryton.procurement import arrived, in_unit, ordered_line
from hilum.connectors.tryton.where import RecordId
from hilum.model import DocumentRef, InvoiceEntry, InvoiceEntryLine

_MODEL = "account.invoice"
_LINE_FIELDS = (
    "type", "unit", "product.account_category", "purchase.number", "purchase.state", "purchase.party.code",
    "analytic_accounts.root", "analytic_accounts.account",
)  # fmt: skip

_COUNTED = (
    "quantity", "unit.factor", "purchase.invoice_method",
    "moves.state", "moves.quantity", "moves.unit.factor", "moves.to_location.type",
    "invoice_lines.quantity", "invoice_lines.unit.factor", "invoice_lines.invoice.state",
    "invoice_lines.invoice.reference",
)  # fmt: skip

Line = tuple[str, Decimal, Decimal]


class SupplierInvoices:
    """Invoices by the key they were entered under, which stands in their description."""

    def __init__(self, rest: TrytonRest, master: MasterData, system: str) -> None:
        self._rest = rest
        self._master = master
        self._system = system
        self._documents = Documents(rest, system, INVOICE, invoice_digest)

    async def find(self, invoice: InvoiceEntry, key: str) -> DocumentRef | None:
        """The invoice under ``key``, linked and with what it replaces gone; None when there is none."""
        found = await self._documents.find(key, wanted_invoice(invoice))
        if found is not None:
            await self._finish(invoice, found)
        return found

    async def make(self, invoice: InvoiceEntry, key: str) -> DocumentRef:
        await self._not_entered_already(invoice, key)
        made = await self._documents.make(key, wanted_invoice(invoice), await self._draft(invoice))
        await self._finish(invoice, made)
        return made

    # -- inside

    async def _finish(self, invoice: InvoiceEntry, made: DocumentRef) -> None:
        billed = [int(line.order_line) if line.order_line is not None else None for line in invoice.lines]
        if made.state == "draft":
            await self._link(int(made.id), billed)
        await self._replace({line for line in billed if line is not None})

    async def _link(self, draft: int, billed: list[int | None]) -> None:
        """Say of each line which order's line it bills; the draft has its lines in the order of the entry."""
        found = await self._rest.search(_MODEL, [("id", "=", draft)], ["lines.origin"])
        lines = sorted(found[0]["lines"], key=lambda line: int(line["id"])) if found else []
        if len(lines) != len(billed):
            raise Unavailable(self._system, "another runner is working on the supplier invoice under the same key")
        changes = []
        for line, wanted in zip(lines, billed, strict=True):
            known = ordered_line(line["origin"])
            if known is not None and known != wanted:
                raise ErpRefused("the draft supplier invoice bills another order's line", f"id {draft}")
            if known is None and wanted is not None:
                changes.append(["write", [line["id"]], {"origin": f"purchase.line,{wanted}"}])
        if not changes:
            return
        try:
            await self._rest.write(_MODEL, draft, {"lines": changes}, ["reference"])
        except ErpRefused:
            if await self._rest.search(_MODEL, [("id", "=", draft)], ["reference"]):
                raise
            raise Unavailable(self._system, "another runner went on with its draft of the invoice") from None

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

    async def _replace(self, billed: set[int]) -> None:
        """Delete what the ERP had expected of these lines where that, with what is billed, is more than has arrived."""
        if not billed:
            return
        lines = await self._rest.search("purchase.line", [("id", "in", sorted(billed))], _COUNTED)
        expected = {draft for line in lines if _too_much(line) for draft in _expected(line)}
        for draft in sorted(expected):
            found = await self._rest.search(_MODEL, [("id", "=", draft)], ["lines.origin"])
            # A person who has added something of their own to the ERP's draft is not overruled.
            if found and all(ordered_line(line["origin"]) is not None for line in found[0]["lines"]):
                await self._documents.discard(draft)


def _too_much(line: Record) -> bool:
    """Whether more is billed or expected than may be: what was ordered, or, as is usual here, what has arrived."""
    if line["purchase"]["invoice_method"] == "order":
        due = in_unit(line["quantity"], line["unit"], line["unit"])
    else:
        due = sum((arrived(move, line) for move in line["moves"]), Decimal(0))
    counted = [
        in_unit(entry["quantity"], entry["unit"], line["unit"])
        for entry in line["invoice_lines"]
        if entry["invoice"] and entry["invoice"]["state"] != "cancelled"
    ]
    return sum(counted, Decimal(0)) > due


def _expected(line: Record) -> set[int]:
    """The drafts that the ERP made for the line itself: they have no supplier's number."""
    return {
        entry["invoice"]["id"]
        for entry in line["invoice_lines"]
        if entry["invoice"] and entry["invoice"]["state"] == "draft" and entry["invoice"]["reference"] is None
    }


def wanted_invoice(invoice: InvoiceEntry) -> tuple[str, str, Any, list[Line]]:
    """What a draft of this invoice must say, whether or not it is linked to its orders yet."""
    lines = [(line.description.strip(), line.quantity, line.unit_price) for line in invoice.lines]
    return invoice.supplier, invoice.reference, invoice.invoiced_on, sorted(lines)


def invoice_digest(record: Record) -> tuple[str, str, Any, list[Line]]:
    lines = [(line["description"], Decimal(str(line["quantity"])), line["unit_price"]) for line in record["lines"]]
    return record["party"]["code"], record["reference"], record["invoice_date"], sorted(lines)
