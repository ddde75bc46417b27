"""The general ledger as the ERP keeps it: cost centres, posted lines, entries and balances."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from hilum.authoring.api import Page, PageRequest
from hilum.connectors.tryton.client import Record, TrytonRest
from hilum.connectors.tryton.lists import Listing, told
from hilum.connectors.tryton.master import MasterData
from hilum.connectors.tryton.where import Column, Plain, Sole
from hilum.model import AccountBalance, CostCentreRecord, JournalEntry, LedgerAccount, LedgerPosting, Money
from hilum.model.where import Where

COST_CENTRES = Listing(
    "cost-centres",
    "analytic_account.account",
    [("type", "=", "normal"), ("code", "!=", None)],
    {"cost_centre": Plain("code")},
    ("code", "name"),
)

ACCOUNTS = Listing(
    "ledger-accounts",
    "account.account",
    [("code", "!=", None), ("active", "in", [True, False])],
    {"account": Plain("code")},
    ("code", "name", "closed", "start_date", "end_date", "type.name", "childs"),
)

BALANCES = Listing(
    "balances",
    "account.account",
    [("code", "!=", None), ("type", "!=", None), ("childs", "=", None)],  # Others only sum up those below them.
    {"account": Plain("code")},
    ("code", "name", "debit", "credit", "balance"),
)

_POSTING_FIELDS = (
    "move.number", "move.date", "move.journal.code", "account.code", "account.name", "debit", "credit", "description",
    "analytic_lines.account.code",
)  # fmt: skip


def posting_list(cost_centres: tuple[str, ...]) -> Listing:
    """Lines of posted entries; ``cost_centres`` are the codes of all of them."""
    columns: dict[str, Column] = {
        "account": Plain("account.code"),
        "cost_centre": Sole("analytic_lines", "move_line", "account.code", cost_centres),
        "entry": Plain("move.number"),
        "journal": Plain("move.journal.code"),
    }
    return Listing("postings", "account.move.line", [("move.state", "=", "posted")], columns, _POSTING_FIELDS)


class Ledger:
    """Questions about what is posted where."""

    def __init__(self, rest: TrytonRest, master: MasterData) -> None:
        self._rest = rest
        self._master = master

    async def cost_centres(self, where: Where, page: PageRequest) -> Page[CostCentreRecord]:
        await self._master.company()
        found = await COST_CENTRES.page(self._rest, where, page)
        return told(found, lambda record: CostCentreRecord(code=record["code"], name=record["name"]))

    async def ledger_accounts(self, where: Where, page: PageRequest) -> Page[LedgerAccount]:
        await self._master.company()
        return told(await ACCOUNTS.page(self._rest, where, page), _account_of)

    async def postings(self, where: Where, page: PageRequest) -> Page[LedgerPosting]:
        currency = await self._currency()
        listing = posting_list(await self._master.cost_centres())
        return told(await listing.page(self._rest, where, page), lambda record: _posting_of(record, currency))

    async def journal_entry(self, number: str) -> JournalEntry | None:
        currency = await self._currency()
        domain = [("number", "=", number), ("state", "=", "posted")]
        found = await self._rest.search(
            "account.move", domain, ["number", "date", "journal.code", "description"], limit=1
        )
        if not found or found[0]["number"] != number:
            return None
        entry = found[0]
        lines = await self._rest.search("account.move.line", [("move", "=", entry["id"])], _POSTING_FIELDS)
        return JournalEntry(
            number=entry["number"],
            date=entry["date"],
            journal=entry["journal"]["code"],
            description=entry["description"] if entry["description"] is not None else "",
            lines=tuple(_posting_of(line, currency) for line in lines),
        )

    async def posting_day(self, on: date) -> date | None:
        """The day itself when its period is open, else the first day of the next open one; None when none follows."""
        company = await self._master.company()
        domain = [
            ("state", "=", "open"), ("type", "=", "standard"), ("company", "=", company["id"]), ("end_date", ">=", on),
        ]  # fmt: skip
        periods = await self._rest.search("account.period", domain, ["start_date"])
        first: date | None = min((period["start_date"] for period in periods), default=None)
        return None if first is None else max(first, on)

    async def balances(self, where: Where, page: PageRequest, on: date) -> Page[AccountBalance]:
        """ErpRefused when the ERP has no fiscal year for that day."""
        currency = await self._currency()
        year = await self._master.fiscal_year(on)
        found = await BALANCES.page(self._rest, where, page, posted=True, fiscalyear=year["id"])

        def balance(record: Record) -> AccountBalance:
            debit, credit, balance = (
                Money(amount=record[side], currency=currency) for side in ("debit", "credit", "balance")
            )
            return AccountBalance(
                account=record["code"], name=record["name"], fiscal_year=year["name"], debit=debit, credit=credit,
                balance=balance,
            )  # fmt: skip

        return told(found, balance)

    async def _currency(self) -> str:
        code: str = (await self._master.company())["currency"]["code"]
        return code


def _account_of(record: Record) -> LedgerAccount:
    return LedgerAccount(
        code=record["code"],
        name=record["name"],
        kind=record["type"]["name"] if record["type"] is not None else "",
        postable=record["type"] is not None and not record["closed"] and not record["childs"],
        valid_from=record["start_date"],
        valid_to=record["end_date"],
    )


def _posting_of(record: Record, currency: str) -> LedgerPosting:
    entry, account = record["move"], record["account"]
    centres = {line["account"]["code"] for line in record["analytic_lines"] if line["account"]["code"] is not None}
    return LedgerPosting(
        id=str(record["id"]),
        entry=entry["number"],
        date=entry["date"],
        journal=entry["journal"]["code"],
        account=account["code"],
        account_name=account["name"],
        debit=Money(amount=_amount(record["debit"]), currency=currency),
        credit=Money(amount=_amount(record["credit"]), currency=currency),
        cost_centre=centres.pop() if len(centres) == 1 else None,
        description=record["description"] if record["description"] is not None else "",
    )


def _amount(amount: Decimal | None) -> Decimal:
    return amount if amount is not None else Decimal(0)
