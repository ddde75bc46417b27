"""Making suppliers known: a party with addresses, contacts and tax numbers, made whole in one transaction or not at all.

Tryton keeps party codes unique in its database, also among parties out of use. So of two who make the same supplier at once
one is refused, and finds what the other made.
"""

from __future__ import annotations

from typing import Any

from hilum.authoring.failures import ErpRefused
from hilum.connectors.tryton.client import Record, TrytonRest
from hilum.connectors.tryton.procurement import SUPPLIER_FIELDS, supplier_of
from hilum.model import DocumentRef, Supplier, SupplierAddress

_MODEL = "party.party"


class Suppliers:
    """Suppliers by their code. ``category`` is the name of the party category that makes a party a supplier."""

    def __init__(self, rest: TrytonRest, system: str, category: str) -> None:
        self._rest = rest
        self._system = system
        self._category = category

    async def find(self, supplier: Supplier) -> DocumentRef | None:
        """The supplier under its code; ErpRefused when the code belongs to somebody else."""
        domain = [("code", "=", supplier.code), ("active", "in", [True, False])]
        found = await self._rest.search(_MODEL, domain, [*SUPPLIER_FIELDS, "categories.name"], limit=1)
        if not found or found[0]["code"] != supplier.code:
            return None
        known = supplier_of(found[0])
        if not _same(known, supplier):
            raise ErpRefused(f"the party code {supplier.code} belongs to somebody else", f"it is {known.name}")
        if self._category not in {category["name"] for category in found[0]["categories"]}:
            raise ErpRefused(
                f"the party {supplier.code} is there, but not in the category {self._category}",
                "have a person add it: somebody may have taken it out on purpose",
            )
        return self._reference(found[0])

    async def make(self, supplier: Supplier) -> DocumentRef:
        """Make the supplier, or find the one that was made meanwhile."""
        values = await self._party(supplier)
        try:
            made = await self._rest.create(_MODEL, values, ["code"])
        except ErpRefused:
            found = await self.find(supplier)
            if found is None:
                raise
            return found
        return self._reference(made)

    # -- inside

    def _reference(self, record: Record) -> DocumentRef:
        return DocumentRef(system=self._system, type="supplier", number=record["code"], id=str(record["id"]))

    async def _party(self, supplier: Supplier) -> dict[str, Any]:
        category = await self._one("party category", self._category, "party.category", [("name", "=", self._category)])
        values: dict[str, Any] = {
            "code": supplier.code,
            "name": supplier.name,
            "active": supplier.active,
            "categories": [["add", [category]]],
            "addresses": [["create", [await self._address(address) for address in supplier.addresses]]],
            "contact_mechanisms": [
                ["create", [{"type": way.kind, "value": way.value, "name": way.name} for way in supplier.contacts]]
            ],
            "identifiers": [
                ["create", [{"type": number.kind, "code": number.value} for number in supplier.tax_identifiers]]
            ],
        }
        if supplier.payment_term is not None:
            term = supplier.payment_term
            model = "account.invoice.payment_term"
            values["supplier_payment_term"] = await self._one("payment term", term, model, [("name", "=", term)])
        return values

    async def _address(self, address: SupplierAddress) -> dict[str, Any]:
        values: dict[str, Any] = {
            "street": address.street,
            "postal_code": address.postal_code,
            "city": address.city,
        }
        if address.country:
            values["country"] = await self._one(
                "country", address.country, "country.country", [("code", "=", address.country)]
            )
            if address.subdivision:
                code = f"{address.country}-{address.subdivision}"
                values["subdivision"] = await self._one(
                    "subdivision", code, "country.subdivision", [("code", "=", code)]
                )
        return values

    async def _one(self, noun: str, shown: str, model: str, domain: list[Any]) -> int:
        found = await self._rest.search(model, domain, ["id"], limit=2)
        if len(found) != 1:
            raise ErpRefused(f"the ERP has {'no' if not found else 'more than one'} {noun} {shown}")
        return int(found[0]["id"])


def _same(known: Supplier, wanted: Supplier) -> bool:
    """Whether they are one: the same name, and no tax number that the other one lacks.

    Addresses and contacts change hands; a person may have completed them since.
    """
    if known.name != wanted.name.strip():
        return False
    numbers = {(number.kind, _bare(number.value)) for number in known.tax_identifiers}
    return all((number.kind, _bare(number.value)) in numbers for number in wanted.tax_identifiers)


def _bare(number: str) -> str:
    """Tryton writes numbers in their usual form: only their letters and digits are compared."""
    return "".join(character for character in number if character.isalnum()).upper()
