"""The nouns of the business, pure: identifiers with their authority, money, shelves, prices, journals."""

from hilum.model.identifiers import (
    AccountNumber,
    ChargeCode,
    CostCentre,
    DepartmentCode,
    FacilityCode,
    Identifier,
    ItemNumber,
    LocationCode,
    Mrn,
)
from hilum.model.ledger import DocumentRef, Journal, JournalLine
from hilum.model.money import CurrencyMismatch, Money
from hilum.model.supply import ChargeableUsage, ContractPrice, Item, Movement, Replenishment, Shelf

__all__ = [
    "AccountNumber",
    "ChargeCode",
    "ChargeableUsage",
    "ContractPrice",
    "CostCentre",
    "CurrencyMismatch",
    "DepartmentCode",
    "DocumentRef",
    "FacilityCode",
    "Identifier",
    "Item",
    "ItemNumber",
    "Journal",
    "JournalLine",
    "LocationCode",
    "Money",
    "Movement",
    "Mrn",
    "Replenishment",
    "Shelf",
]
