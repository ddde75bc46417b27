"""What stands in the ERP's books, as reconciliation reads it back."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from decimal import Decimal

from pydantic import BaseModel, ConfigDict

from hilum.connectors.tryton.client import TrytonRest
from hilum.connectors.tryton.master import MasterData
from hilum.model import ItemNumber, Money


class PostedLine(BaseModel):
    """One line of a posted journal."""

    model_config = ConfigDict(frozen=True)

    account: str
    debit: Decimal
    credit: Decimal
    cost_centre: str | None = None


class PostedJournal(BaseModel):
    """A journal as the ERP keeps it; ``key`` is the platform's."""

    model_config = ConfigDict(frozen=True)

    key: str
    number: str
    date: date
    lines: tuple[PostedLine, ...]


class PlacedOrder(BaseModel):
    """A purchase order of one item as the ERP keeps it; ``key`` is the platform's."""

    model_config = ConfigDict(frozen=True)

    key: str
    number: str
    state: str
    supplier: str
    warehouse: str
    item: ItemNumber
    quantity_each: int
    unit_price: Money


class Books:
    """Questions about what was posted and ordered."""

    def __init__(self, rest: TrytonRest, master: MasterData, journal: str) -> None:
        self._rest = rest
        self._master = master
        self._journal = journal

    async def journals(self, key_prefix: str, since: date | None) -> list[PostedJournal]:
        domain: list[tuple[str, str, object]] = [
            ("journal.code", "=", self._journal),
            ("state", "=", "posted"),
            ("description", "like", f"{key_prefix}%"),
        ]
        if since is not None:
            domain.append(("date", ">=", since))
        fields = ["description", "number", "date", "lines.account.code", "lines.debit", "lines.credit"]
        found = await self._rest.search("account.move", domain, [*fields, "lines.analytic_lines.account.code"])
        return [
            PostedJournal(
                key=move["description"],
                number=move["number"],
                date=move["date"],
                lines=tuple(_posted_line(line) for line in sorted(move["lines"], key=lambda line: int(line["id"]))),
            )
            for move in found
            if move["description"].startswith(key_prefix)  # `like` takes an underscore for any character.
        ]

    async def replenishments(self, key_prefix: str) -> list[PlacedOrder]:
        domain = [("reference", "like", f"{key_prefix}%"), ("state", "!=", "draft")]
        fields = ["reference", "number", "state", "party.name", "warehouse.code", "currency.code"]
        lines = ["lines.product.code", "lines.quantity", "lines.unit_price"]
        found = await self._rest.search("purchase.purchase", domain, [*fields, *lines])
        return [
            PlacedOrder(
                key=order["reference"],
                number=order["number"],
                state=order["state"],
                supplier=order["party"]["name"],
                warehouse=order["warehouse"]["code"],
                item=ItemNumber(value=line["product"]["code"]),
                quantity_each=int(line["quantity"]),
                unit_price=Money(amount=line["unit_price"], currency=order["currency"]["code"]),
            )
            for order in found
            if order["reference"].startswith(key_prefix)
            for line in order["lines"]
        ]

    async def trial_balance(self, accounts: Iterable[str], on: date) -> dict[str, Decimal]:
        """Debit less credit of each account in the fiscal year of that day, from posted journals."""
        company = await self._master.company()
        year = await self._master.fiscal_year(on)
        domain = [("code", "in", list(accounts)), ("company", "=", company["id"])]
        found = await self._rest.search(
            "account.account", domain, ["code", "balance"], posted=True, fiscalyear=year["id"]
        )
        return {account["code"]: account["balance"] for account in found}

    async def cost_by_cost_centre(self) -> dict[str, Decimal]:
        """Debit less credit of each cost centre, of all days."""
        domain = [("type", "=", "normal"), ("code", "!=", None)]
        found = await self._rest.search("analytic_account.account", domain, ["code", "debit", "credit"])
        return {centre["code"]: centre["debit"] - centre["credit"] for centre in found}


def _posted_line(line: dict[str, object]) -> PostedLine:
    analytic: list[dict[str, dict[str, str]]] = line["analytic_lines"]  # type: ignore[assignment]
    account: dict[str, str] = line["account"]  # type: ignore[assignment]
    return PostedLine.model_validate(
        {
            "account": account["code"],
            "debit": line["debit"],
            "credit": line["credit"],
            "cost_centre": analytic[0]["account"]["code"] if analytic else None,
        }
    )
