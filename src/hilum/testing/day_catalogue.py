"""What the generator of a day knows of an estate: who uses what where, read from the estate's own tables."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

USED_IN = {
    "OR": ("KNEE-99", "HIP-40", "SCREW-3", "MESH-20"),
    "CATH": ("STENT-12", "PACER-2"),
    "EYE": ("LENS-7",),
}
"""Which items a department opens."""


@dataclass(frozen=True)
class Place:
    """Where an implant is opened, and where its stock and its cost belong."""

    facility: str
    department: str
    location: str
    cost_centre: str


@dataclass(frozen=True)
class Product:
    """An item as its users know it. ``device_identifier`` is None for what carries no UDI."""

    item: str
    name: str
    charge_code: str
    device_identifier: str | None
    list_price_usd: Decimal
    contract_price_usd: Decimal | None


@dataclass
class Catalogue:
    """The tables of an estate, as a person reads them."""

    places: tuple[Place, ...] = ()
    products: dict[str, Product] = field(default_factory=dict)

    @classmethod
    def read(cls, tables: Path) -> Catalogue:
        """From ``estates/<name>/tables``. Raises ``FileNotFoundError`` or ``KeyError`` when a table is not as agreed."""
        code_of = {row["target"]: row["code"] for row in _rows(tables / "charge_code_to_item.csv")}
        device_of = {row["target"]: row["code"] for row in _rows(tables / "device_to_item.csv")}
        centre_of = {row["code"]: row["target"] for row in _rows(tables / "department_to_cost_centre.csv")}
        places = tuple(
            Place(row["facility"], row["code"], row["target"], centre_of[row["code"]])
            for row in _rows(tables / "department_to_location.csv")
        )
        products = {
            row["item"]: Product(
                row["item"],
                row["name"],
                code_of[row["item"]],
                device_of.get(row["item"]),
                Decimal(row["list_price_usd"]),
                Decimal(row["contract_price_usd"]) if row["contract_price_usd"] else None,
            )
            for row in _rows(tables / "items.csv")
        }
        return cls(places, products)

    def item_of(self, charge_code: str) -> str | None:
        return next((p.item for p in self.products.values() if p.charge_code == charge_code), None)

    def place(self, facility: str, department: str) -> Place | None:
        return next((p for p in self.places if (p.facility, p.department) == (facility, department)), None)


def _rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as text:
        return list(csv.DictReader(text))
