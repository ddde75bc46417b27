"""Entering suppliers' invoices as drafts, in place of what the ERP expected.

When goods arrive, Tryton drafts the invoice it expects for them: a draft without a reference. The invoice that the supplier
really sent takes its place, in three steps, each of which can be repeated:

1. Ours is made without saying which orders it bills, so that of two made at once one can go without a trace.
2. What was expected of the same lines is reduced to what ours leaves open, to nothing if need be.
3. Ours is linked to the orders' lines, which from then on count as billed; then 2 once more, for what was drafted meanwhile,
   and what expects nothing any more is deleted.

In this order no line ever counts as billed or expected twice: Tryton, which looks whenever something about the order
changes, would draft a credit note for it.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
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
    "invoice_lines.invoice.reference", "invoice_lines.invoice.lines.origin",
)  # fmt: skip

_ROUNDS = 5

Line = tuple[str, Decimal, Decimal]
Link = tuple[int, int, Decimal]
"""A line of a draft, the order's line it bills, and how much of it."""


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
        orders = sorted({line for line in billed if line is not None})
        if made.state == "draft":
            links = await self._missing_links(int(made.id), billed)
            if links:
                await self._reduce(orders, Counter({line: quantity for _, line, quantity in links}))
                await self._link(int(made.id), links)
        await self._reduce(orders, Counter())

    async def _missing_links(self, draft: int, billed: list[int | None]) -> list[Link]:
        """The lines of the draft, which are in the order of the entry, that do not yet say what they bill."""
        found = await self._rest.search(_MODEL, [("id", "=", draft)], ["lines.origin", "lines.quantity"])
        lines = sorted(found[0]["lines"], key=lambda line: int(line["id"])) if found else []
        if len(lines) != len(billed):
            raise Unavailable(self._system, "another runner is working on the supplier invoice under the same key")
        links = []
        for line, wanted in zip(lines, billed, strict=True):
            known = ordered_line(line["origin"])
            if known is not None and known != wanted:
                raise ErpRefused("the draft supplier invoice bills another order's line", f"id {draft}")
            if known is None and wanted is not None:
                links.append((int(line["id"]), wanted, Decimal(str(line["quantity"]))))
        return links

    async def _link(self, draft: int, links: list[Link]) -> None:
        changes = [["write", [line], {"origin": f"purchase.line,{wanted}"}] for line, wanted, _ in links]
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

    async def _reduce(self, billed: list[int], coming: Counter[int]) -> None:
        """Expect no more of these lines than what has arrived and is neither billed nor just ``coming`` to be.

        Quantities are changed in their drafts. Nothing is deleted while the invoice is still ``coming``: Tryton drafts anew
        at once what it then takes for forgotten, and twice when two are deleted, one of them negative.
        """
        for _ in range(_ROUNDS):
            drafts = await self._too_much(billed, coming)
            if not drafts:
                return
            for draft, changes in drafts.items():
                with suppress(ErpRefused):  # Somebody else changed it meanwhile: look again.
                    left = await self._rest.write(_MODEL, draft, {"lines": changes}, ["lines.quantity"])
                    if not left["lines"]:
                        await self._documents.discard(draft)
        raise Unavailable(self._system, "the drafts of what it expects to be billed keep changing")

    async def _too_much(self, billed: list[int], coming: Counter[int]) -> dict[int, list[Any]]:
        """The changes by which each draft of the ERP itself says what is still open; empty when they all do."""
        changes: dict[int, list[Any]] = {}
        lines = await self._rest.search("purchase.line", [("id", "in", billed)], _COUNTED) if billed else []
        for line in lines:
            expected = [entry for entry in line["invoice_lines"] if _is_expected(entry)]
            open_quantity = (
                _due(line)
                - coming[line["id"]]
                - sum(
                    (
                        _in_line(entry, line)
                        for entry in line["invoice_lines"]
                        if entry not in expected and _counts(entry)
                    ),
                    Decimal(0),
                )
            )
            nothing = not coming and any(not _in_line(entry, line) for entry in expected)
            much = sum((_in_line(entry, line) for entry in expected), Decimal(0)) > max(open_quantity, Decimal(0))
            if not much and not nothing:
                continue
            for entry in sorted(expected, key=lambda entry: int(entry["id"])):
                now = _in_line(entry, line)
                kept = max(min(now, open_quantity), Decimal(0))
                open_quantity -= kept
                change: list[Any] | None = None
                if not kept and not coming:
                    change = ["delete", [entry["id"]]]
                elif kept != now:
                    quantity = in_unit(float(kept), line["unit"], entry["unit"])
                    change = ["write", [entry["id"]], {"quantity": float(quantity)}]
                if change is not None:
                    changes.setdefault(entry["invoice"]["id"], []).append(change)
        return changes


def _due(line: Record) -> Decimal:
    """What the supplier may bill of an order's line: what was ordered, or, as is usual here, what has arrived."""
    if line["purchase"]["invoice_method"] == "order":
        return in_unit(line["quantity"], line["unit"], line["unit"])
    return sum((arrived(move, line) for move in line["moves"]), Decimal(0))


def _counts(entry: Record) -> bool:
    return bool(entry["invoice"]) and entry["invoice"]["state"] != "cancelled"


def _is_expected(entry: Record) -> bool:
    """Whether the ERP made the draft itself: it has no supplier's number, and bills nothing but orders.

    A person who has added something of their own to such a draft is not overruled.
    """
    invoice = entry["invoice"]
    return (
        bool(invoice)
        and invoice["state"] == "draft"
        and invoice["reference"] is None
        and all(ordered_line(line["origin"]) is not None for line in invoice["lines"])
    )


def _in_line(entry: Record, line: Record) -> Decimal:
    return in_unit(entry["quantity"], entry["unit"], line["unit"])


def wanted_invoice(invoice: InvoiceEntry) -> tuple[str, str, Any, list[Line]]:
    """What a draft of this invoice must say, whether or not it is linked to its orders yet."""
    lines = [(line.description.strip(), line.quantity, line.unit_price) for line in invoice.lines]
    return invoice.supplier, invoice.reference, invoice.invoiced_on, sorted(lines)


def invoice_digest(record: Record) -> tuple[str, str, Any, list[Line]]:
    lines = [(line["description"], Decimal(str(line["quantity"])), line["unit_price"]) for line in record["lines"]]
    return record["party"]["code"], record["reference"], record["invoice_date"], sorted(lines)
