"""What the ERP holds before the day begins: company, years, accounts, cost centres, suppliers, items, warehouses, orders."""

from __future__ import annotations

import csv
import hashlib
import json
import tomllib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from hilum.testing.neighbours.tryton_desk import Desk
from hilum.testing.neighbours.tryton_trade import (
    OPENING_ORDERS,
    SeedOrder,
    SeedSupplier,
    plant_orders,
    plant_suppliers,
)

FORMAT = "5"  # Raised when `plant` makes something else of the same seed, so that no old template is used.

_PERMISSIONS = (
    ("account", "group_account"),
    ("purchase", "group_purchase"),
    ("stock", "group_stock"),
)


@dataclass(frozen=True)
class SeedItem:
    """One line of the item master. Without a contract price the supplier is known and the price is not."""

    code: str
    name: str
    list_price: Decimal
    contract_price: Decimal | None
    supplier: str
    uom: str = "EA"


KINDS = {
    "expense": "cos", "inventory": "inventories", "cash": "cash", "receivable": "revenue_earned_in_arrears",
    "liability": "provisions", "revenue": "revenue", "income": "other_revenues",
}  # fmt: skip
"""Kinds of account, and the type of Tryton's chart that each has. Patients' and payers' receivables are sums here, not parties'."""


@dataclass(frozen=True)
class SeedAccount:
    """A posting account; ``kind`` is one of ``KINDS``."""

    code: str
    name: str
    kind: str


@dataclass(frozen=True)
class ErpSeed:
    """The whole content, as data. Equal seeds share one database template."""

    fiscal_years: tuple[int, ...]
    items: tuple[SeedItem, ...]
    cost_centres: tuple[tuple[str, str], ...]
    warehouses: tuple[tuple[str, str], ...]
    known_suppliers: tuple[SeedSupplier, ...] = ()  # Those that more is known of than the item master's name.
    orders: tuple[SeedOrder, ...] = ()
    company: str = "Lakeshore Health"
    currency: str = "USD"
    journal: str = "SUPPLY"
    accounts: tuple[SeedAccount, ...] = (
        SeedAccount("5100", "Implant expense", "expense"),
        SeedAccount("1300", "Inventory", "inventory"),
    )

    @property
    def suppliers(self) -> tuple[SeedSupplier, ...]:
        """Everyone who supplies an item, and whoever else is known."""
        known = {supplier.name: supplier for supplier in self.known_suppliers}
        named = {item.supplier: SeedSupplier(item.supplier, item.supplier) for item in self.items}
        return tuple({**named, **known}.values())

    @property
    def fingerprint(self) -> str:
        text = json.dumps([FORMAT, asdict(self)], default=str, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @classmethod
    def from_estate(cls, estate: Path, *, today: date) -> ErpSeed:
        """The ERP of an estate's folder: ``tables/items.csv``, ``tables/cost_centres.csv``, ``tables/suppliers.csv`` when
        there is one, its facilities and its title; and of the opening orders those whose supplier, item and facility it has.

        Fiscal years are last year, this year and the next one.
        """
        about = tomllib.loads((estate / "estate.toml").read_text())
        items = tuple(_items(_rows(estate / "tables" / "items.csv")))
        table = estate / "tables" / "suppliers.csv"
        suppliers = tuple(_suppliers(_rows(table))) if table.exists() else ()
        things = {supplier.code for supplier in suppliers} | {item.code for item in items} | set(about["facilities"])
        return cls(
            company=about["estate"]["title"],
            fiscal_years=(today.year - 1, today.year, today.year + 1),
            items=items,
            known_suppliers=suppliers,
            orders=tuple(o for o in OPENING_ORDERS if {o.supplier, o.item, o.facility} <= things),
            cost_centres=tuple((r["cost_centre"], r["name"]) for r in _rows(estate / "tables" / "cost_centres.csv")),
            warehouses=tuple((code, facility["name"]) for code, facility in about["facilities"].items()),
            **_chart(estate / "tables" / "accounts.csv"),
        )


def _rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _chart(table: Path) -> dict[str, Any]:
    """The estate's posting accounts, ``account,name,kind``; those of implant usage alone for an estate without a table."""
    if not table.exists():
        return {}
    return {"accounts": tuple(SeedAccount(r["account"], r["name"], r["kind"]) for r in _rows(table))}


def _items(rows: Iterable[dict[str, str]]) -> Iterable[SeedItem]:
    for row in rows:
        contract = row["contract_price_usd"]
        yield SeedItem(
            code=row["item"],
            name=row["name"],
            list_price=Decimal(row["list_price_usd"]),
            contract_price=Decimal(contract) if contract else None,
            supplier=row["supplier"],
            uom=row["unit"],
        )


def _suppliers(rows: Iterable[dict[str, str]]) -> Iterable[SeedSupplier]:
    for row in rows:
        yield SeedSupplier(code=row.pop("supplier"), **row)


def contract_reference(supplier: str) -> str:
    """How the network's contract with a supplier is called: ``CTR-ORTHOVIA``."""
    return f"CTR-{supplier.upper()}"


def plant(seed: ErpSeed, desk: Desk) -> str:
    """Fill a fresh database through the public API; returns the key by which a program uses the REST API.

    ``desk`` is signed in as the administrator of a database with all modules and nothing else.
    """
    company = _company(seed, desk)
    accounts = _accounts(seed, desk, company)
    _fiscal_years(seed, desk, company)
    root = desk.create("analytic_account.account", name="Cost centres", code="CC", type="root", company=company)
    for code, name in seed.cost_centres:
        desk.create(
            "analytic_account.account", name=name, code=code, type="normal", company=company, root=root, parent=root
        )
    expense = next(a.code for a in seed.accounts if a.kind == "expense")
    _items_and_suppliers(seed, desk, company, accounts[expense])
    _warehouses(seed, desk)
    plant_orders(seed.orders, desk, company, seed.fiscal_years[0])
    return _program_user(desk, company)


def _company(seed: ErpSeed, desk: Desk) -> int:
    [currency] = desk.search("currency.currency", [("code", "=", seed.currency)]) or [
        desk.create("currency.currency", name="US Dollar", code=seed.currency, symbol="$", numeric_code="840")
    ]
    desk.create("currency.currency.rate", currency=currency, date=date(min(seed.fiscal_years), 1, 1), rate=Decimal(1))
    party = desk.create("party.party", name=seed.company, addresses=[["create", [{"street": "1 Harbor Drive"}]]])
    company = desk.create("company.company", party=party, currency=currency)
    desk.write("res.user", desk.user, companies=[["add", [company]]], company=company)
    desk.use_preferences()
    return company


def _accounts(seed: ErpSeed, desk: Desk, company: int) -> dict[str, int]:
    template = desk.xml_id("account", "account_template_root_en")
    with desk.wizard("account.create_chart") as chart:
        chart("account", account={})
        chart("create_account", account={"company": company, "account_template": template})
        defaults = {}
        for side in ("receivable", "payable"):
            domain = [("company", "=", company), (f"type.{side}", "=", True), ("closed", "!=", True)]
            defaults[f"account_{side}"] = desk.search("account.account", [*domain, ("party_required", "=", True)])[0]
        chart("create_properties", properties={"company": company, **defaults})
    types = {
        kind: desk.made_from("account.account.type", "account", f"account_type_template_{template}_en")
        for kind, template in KINDS.items()
        if any(account.kind == kind for account in seed.accounts)
    }
    root = desk.made_from("account.account", "account", "account_template_root_en")
    made = {}
    for account in seed.accounts:
        made[account.code] = desk.create(
            "account.account", code=account.code, name=account.name, company=company, type=types[account.kind],
            parent=root,
        )  # fmt: skip
    desk.create("account.journal", name="Supply consumption", code=seed.journal, type="general")
    return made


def _fiscal_years(seed: ErpSeed, desk: Desk, company: int) -> None:
    move_type = desk.xml_id("account", "sequence_type_account_move")
    invoice_type = desk.xml_id("account_invoice", "sequence_type_account_invoice")
    for year in seed.fiscal_years:
        journal = desk.create(
            "ir.sequence.strict", name=f"Journal {year}", sequence_type=move_type, company=company,
            prefix=f"JE-{year}-", padding=6,
        )  # fmt: skip
        invoice = desk.create(
            "ir.sequence.strict", name=f"Invoice {year}", sequence_type=invoice_type, company=company,
            prefix=f"INV-{year}-", padding=6,
        )  # fmt: skip
        sequences = {f"{way}_{kind}_sequence": invoice for way in ("out", "in") for kind in ("invoice", "credit_note")}
        fiscal_year = desk.create(
            "account.fiscalyear", name=str(year), start_date=date(year, 1, 1), end_date=date(year, 12, 31),
            company=company, move_sequence=journal, invoice_sequences=[["create", [{"company": company, **sequences}]]],
        )  # fmt: skip
        desk.press("account.fiscalyear", "create_period", fiscal_year)


def _items_and_suppliers(seed: ErpSeed, desk: Desk, company: int, expense: int) -> None:
    purchase_type = desk.xml_id("purchase", "sequence_type_purchase")
    orders = desk.create(
        "ir.sequence", name="Purchase order", sequence_type=purchase_type, company=company, prefix="PO-", padding=6
    )
    desk.write("purchase.configuration", 1, purchase_sequence=orders)
    category = desk.create("product.category", name="Implants", accounting=True, account_expense=expense)
    term = desk.create(
        "account.invoice.payment_term", name="30 days",
        lines=[["create", [{"type": "remainder", "relativedeltas": [["create", [{"days": 30}]]]}]]],
    )  # fmt: skip
    each = desk.xml_id("product", "uom_unit")
    parties = plant_suppliers(seed.suppliers, desk, term)
    [currency] = desk.search("currency.currency", [("code", "=", seed.currency)])
    for item in seed.items:
        if item.uom != "EA":
            raise ValueError(f"item {item.code}: unit {item.uom} is not EA, in which the ERP is seeded")
        template = desk.create(
            "product.template", name=item.name, code=item.code, type="goods", default_uom=each, purchasable=True,
            purchase_uom=each, list_price=item.list_price, account_category=category, cost_price_method="fixed",
            products=[["create", [{}]]],
        )  # fmt: skip
        prices = [{"quantity": 0.0, "unit_price": item.contract_price}] if item.contract_price is not None else []
        desk.create(
            "purchase.product_supplier", template=template, party=parties[item.supplier], currency=currency,
            company=company, code=contract_reference(item.supplier), prices=[["create", prices]] if prices else [],
        )  # fmt: skip


def _warehouses(seed: ErpSeed, desk: Desk) -> None:
    for code, name in seed.warehouses:
        zones = {
            zone: desk.create("stock.location", name=f"{name}: {zone}", code=f"{code}/{zone.upper()}", type="storage")
            for zone in ("input", "storage", "output")
        }
        desk.create(
            "stock.location", name=name, code=code, type="warehouse", input_location=zones["input"],
            storage_location=zones["storage"], output_location=zones["output"],
        )  # fmt: skip


def _program_user(desk: Desk, company: int) -> str:
    """A user without a password that may do what the platform does, and the key it is known by."""
    groups = [desk.xml_id(module, name) for module, name in _PERMISSIONS]
    user = desk.create(
        "res.user", name="Integration platform", login="hilum", companies=[["add", [company]]], company=company,
        groups=[["add", groups]],
    )  # fmt: skip
    application = desk.create("res.user.application", user=user, application="rest")
    [found] = desk.read("res.user.application", [application], ["key"])
    return str(found["key"])
