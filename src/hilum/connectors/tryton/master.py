"""The ERP's own numbers for what the platform calls by codes: accounts, cost centres, items, suppliers, warehouses."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

from hilum.authoring.failures import ErpRefused
from hilum.connectors.tryton.client import Domain, Record, TrytonRest


class MasterData:
    """Looked up by code and remembered until ``forget``. An unknown code is ErpRefused and is not remembered."""

    def __init__(self, rest: TrytonRest, *, company: str | None, journal: str) -> None:
        self._rest = rest
        self._company_name = company
        self._journal_code = journal
        self._known: dict[tuple[str, str], Record] = {}

    def forget(self) -> None:
        """Look everything up anew: after a refusal somebody may have put master data right."""
        self._known.clear()

    async def company(self) -> Record:
        """The company, which every later request then names."""
        domain: Domain = [("party.name", "=", self._company_name)] if self._company_name is not None else []
        shown = self._company_name if self._company_name is not None else "the only company"
        found = await self._one("company", shown, "company.company", domain, ["party.name", "currency.code"])
        self._rest.context = {"company": found["id"]}
        return found

    async def account(self, code: str) -> Record:
        domain = [("code", "=", code), ("company", "=", await self._company())]
        return await self._one("account", code, "account.account", domain, ["code"])

    async def journal(self) -> Record:
        code = self._journal_code
        return await self._one("journal", code, "account.journal", [("code", "=", code)], ["code"])

    async def period(self, on: date) -> Record:
        """The standard period that covers the day, open or closed: that is for the ERP to say."""
        domain = [
            ("start_date", "<=", on), ("end_date", ">=", on), ("type", "=", "standard"),
            ("company", "=", await self._company()),
        ]  # fmt: skip
        return await self._one("period", f"for {on:%Y-%m}", "account.period", domain, ["name"])

    async def fiscal_year(self, on: date) -> Record:
        domain = [("start_date", "<=", on), ("end_date", ">=", on), ("company", "=", await self._company())]
        return await self._one("fiscal year", f"for {on:%Y}", "account.fiscalyear", domain, ["name"])

    async def cost_centres(self) -> tuple[str, ...]:
        """The codes of all cost centres, those out of use included. Not remembered, as the warehouses are not."""
        domain = [("type", "=", "normal"), ("code", "!=", None), ("active", "in", [True, False])]
        found = await self._rest.search("analytic_account.account", domain, ["code"])
        return tuple(sorted({centre["code"] for centre in found}))

    async def cost_centre(self, code: str) -> Record:
        domain = [("code", "=", code), ("type", "=", "normal"), ("company", "=", await self._company())]
        return await self._one("cost centre", code, "analytic_account.account", domain, ["code", "root"])

    async def item(self, code: str) -> Record:
        fields = ["name", "code", "default_uom.symbol", "default_uom.factor"]
        return await self._one("item", code, "product.product", [("code", "=", code)], fields)

    async def supplier(self, name: str) -> Record:
        fields = ["name", "addresses", "supplier_payment_term"]
        return await self._one("supplier", name, "party.party", [("name", "=", name)], fields)

    async def party(self, code: str) -> Record:
        """A supplier by its code, with what its invoices need."""
        fields = ["name", "addresses", "supplier_payment_term", "account_payable"]
        return await self._one("supplier", code, "party.party", [("code", "=", code)], fields)

    async def warehouses(self) -> tuple[str, ...]:
        """The codes of all warehouses. Not remembered: one that is added must be known to the next question."""
        found = await self._rest.search("stock.location", [("type", "=", "warehouse"), ("code", "!=", None)], ["code"])
        return tuple(sorted({location["code"] for location in found}))

    async def warehouse(self, code: str) -> Record:
        domain = [("code", "=", code), ("type", "=", "warehouse")]
        return await self._one("warehouse", code, "stock.location", domain, ["code"])

    async def contract(self, item: str, supplier: str) -> Record:
        """The line of the supplier's contract for the item."""
        domain = [covers(item), ("party.name", "=", supplier)]
        return await self._one("contract line", f"{item} of {supplier}", "purchase.product_supplier", domain, ["code"])

    async def _company(self) -> int:
        return int((await self.company())["id"])

    async def _one(self, noun: str, code: str, model: str, domain: Domain, fields: Sequence[str]) -> Record:
        known = self._known.get((noun, code))
        if known is not None:
            return known
        found = await self._rest.search(model, domain, fields, limit=2)
        if not found:
            raise ErpRefused(f"the ERP has no {noun} {code}")
        if len(found) > 1:
            raise ErpRefused(f"the ERP has more than one {noun} {code}")
        self._known[noun, code] = found[0]
        return found[0]


def covers(item: str) -> list[Any]:
    """The domain of contract lines for an item: made for the product itself, or for all variants of its template."""
    return ["OR", ("product.code", "=", item), [("product", "=", None), ("template.products.code", "=", item)]]
