"""The roles that the shipped processes speak to, and what each can be asked and told.

A connector that plays a role has async methods of the same names; for each command, either ``find_<command>``
with the same arguments, or the command's name in its ``idempotent_commands``.
"""

from __future__ import annotations

from datetime import date

from hilum.authoring.system import System, command, question
from hilum.model.identifiers import ItemNumber
from hilum.model.ledger import DocumentRef, Journal
from hilum.model.supply import ChargeableUsage, ContractPrice, Item, Movement, Replenishment, Shelf


class Erp(System):
    """Finance and procurement: authoritative for items, contract prices, orders and the ledger."""

    @question
    def item(self, number: ItemNumber) -> Item | None:
        """The item, or None when the item master has no such number."""
        raise AssertionError("answered by the run")

    @question
    def contract_price(self, item: ItemNumber, on: date) -> ContractPrice | None:
        """The supplier's agreed price on that day, or None when no contract line covers the item."""
        raise AssertionError("answered by the run")

    @command
    def post_journal(self, journal: Journal, key: str | None = None) -> DocumentRef:
        """Post a balanced journal; the result carries the ERP's journal number."""
        raise AssertionError("answered by the run")

    @command
    def order_replenishment(self, request: Replenishment, key: str | None = None) -> DocumentRef:
        """Order what a shelf lacks; the result carries the purchase order number."""
        raise AssertionError("answered by the run")


class Stock(System):
    """The inventory platform: authoritative for what lies on which shelf."""

    @command
    def take(self, movement: Movement, key: str | None = None) -> Shelf:
        """Take stock from a shelf and say how it stands afterwards; refused when it would fall below zero."""
        raise AssertionError("answered by the run")


class Billing(System):
    """The billing system: authoritative for what is charged."""

    @command
    def charge_usage(self, usage: ChargeableUsage, key: str | None = None) -> DocumentRef:
        """Tell billing of a chargeable usage; it answers with its own charge number."""
        raise AssertionError("answered by the run")
