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

from hilum.authoring.failures import ErpRefused
from hilum.connectors.tryton.client import Record, TrytonRest
from hilum.connectors.tryton.documents import JOURNAL, ORDER, Documents
from hilum.connectors.tryton.master import MasterData, covers
from hilum.connectors.tryton.reads import Books, PlacedOrder, PostedJournal
from hilum.model import ContractPrice, DocumentRef, Item, ItemNumber, Journal, Money, Replenishment

_CENT = Decimal("0.01")
_UNITS = {"u": "EA"}  # Tryton's symbol of the unit "Unit"; X12 and UBL say EA or EACH.


class TrytonErp:
    """One company of one Tryton database.

    ``credentials`` is the key of a validated *user application* of type REST. Its user needs the groups Accounting, Purchase
    and Stock. ``company`` is the company's name and may be left out when there is only one; ``journal`` is the code of the
    journal that is posted to. Operations raise ErpRefused (a person must decide) and Unavailable (time must pass).
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
        timeout_seconds: float = 15,
        system: str = "erp",
        rng: random.Random | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        # Jitter only has to differ between the processes that compete for a lock.
        dice = rng if rng is not None else random.Random(os.getpid())
        self._rest = TrytonRest(
            base_url, database, credentials.strip(), system=system, timeout_seconds=timeout_seconds, rng=dice,
            sleep=sleep,
        )  # fmt: skip
        self._system = system
        self._master = MasterData(self._rest, company=company, journal=journal)
        self._books = Books(self._rest, self._master, journal)
        self._journals = Documents(self._rest, system, JOURNAL, _journal_digest)
        self._orders = Documents(self._rest, system, ORDER, _order_digest)

    async def ping(self) -> None:
        """Return when server, database and key work."""
        await self._rest.search("company.company", [], ["id"], limit=1)

    async def close(self) -> None:
        await self._rest.close()

    # -- questions

    async def item(self, number: ItemNumber) -> Item | None:
        """The item; None when the item master has no such number or it is out of use."""
        fields = ["code", "name", "default_uom.symbol"]
        found = await self._rest.search("product.product", [("code", "=", number.value)], fields, limit=1)
        if not found:
            return None
        symbol = found[0]["default_uom"]["symbol"]
        return Item(number=ItemNumber(value=found[0]["code"]), name=found[0]["name"], unit=_UNITS.get(symbol, symbol))

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

    async def cost_centres(self) -> list[str]:
        """The codes of all cost centres in use."""
        await self._master.company()
        domain = [("type", "=", "normal"), ("code", "!=", None)]
        return sorted(found["code"] for found in await self._rest.search("analytic_account.account", domain, ["code"]))

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
