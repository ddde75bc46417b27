"""The roles that the shipped processes speak to, and what each can be asked and told.

A connector that plays a role has async methods of the same names; for each command, either ``find_<command>``
with the same arguments, or the command's name in its ``idempotent_commands``.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated

from hilum.authoring.api import Page, PageRequest
from hilum.authoring.classification import Phi
from hilum.authoring.system import System, command, question
from hilum.model.claim_status import ClaimStatusQuestion, ClaimStatusSaid
from hilum.model.coverage import Coverage, CoverageInquiry, CoverageNote
from hilum.model.identifiers import AccountNumber, ItemNumber, LocationCode
from hilum.model.ledger import (
    AccountBalance,
    CostCentreRecord,
    DocumentRef,
    Journal,
    JournalEntry,
    LedgerAccount,
    LedgerPosting,
)
from hilum.model.patient_billing import BilledCharge, ChargeTotal, PatientAccountStatus, PatientBalance
from hilum.model.procurement import InvoiceEntry, PurchaseOrder, Supplier, SupplierAcknowledgement, SupplierInvoice
from hilum.model.settlement import SettlementNote
from hilum.model.supply import ChargeableUsage, ContractPrice, InventoryPosition, Item, Movement, Replenishment, Shelf
from hilum.model.where import Where


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

    @question
    def items(self, where: Where, page: PageRequest) -> Page[Item]:
        """Items by the attribute ``item``."""
        raise AssertionError("answered by the run")

    @question
    def suppliers(self, where: Where, page: PageRequest) -> Page[Supplier]:
        """Suppliers by the attribute ``supplier``, those out of use included."""
        raise AssertionError("answered by the run")

    @question
    def supplier(self, code: str) -> Supplier | None:
        """The supplier, or None when there is no such code."""
        raise AssertionError("answered by the run")

    @question
    def cost_centres(self, where: Where, page: PageRequest) -> Page[CostCentreRecord]:
        """Cost centres in use by the attribute ``cost_centre``."""
        raise AssertionError("answered by the run")

    @question
    def ledger_accounts(self, where: Where, page: PageRequest) -> Page[LedgerAccount]:
        """The chart of accounts by the attribute ``account``, those that are closed or no longer take postings included."""
        raise AssertionError("answered by the run")

    @question
    def orders(self, where: Where, page: PageRequest) -> Page[PurchaseOrder]:
        """Orders beyond the draft by ``number``, ``supplier``, ``facility``, ``state``."""
        raise AssertionError("answered by the run")

    @question
    def order(self, number: str) -> PurchaseOrder | None:
        """The order, or None when there is no such number."""
        raise AssertionError("answered by the run")

    @question
    def invoices(self, where: Where, page: PageRequest) -> Page[SupplierInvoice]:
        """Supplier invoices by ``invoice``, ``reference``, ``supplier``, ``facility``, ``state``."""
        raise AssertionError("answered by the run")

    @question
    def invoice(self, id: str) -> SupplierInvoice | None:
        """The invoice by the ERP's own number of the record."""
        raise AssertionError("answered by the run")

    @question
    def postings(self, where: Where, page: PageRequest) -> Page[LedgerPosting]:
        """Posted lines by ``account``, ``cost_centre``, ``entry``, ``journal``."""
        raise AssertionError("answered by the run")

    @question
    def journal_entry(self, number: str) -> JournalEntry | None:
        """The posted entry with its lines."""
        raise AssertionError("answered by the run")

    @question
    def balances(self, where: Where, page: PageRequest, on: date) -> Page[AccountBalance]:
        """Accounts by ``account``, with their balances in the fiscal year of that day."""
        raise AssertionError("answered by the run")

    @question
    def posting_day(self, on: date) -> date | None:
        """That day when its fiscal period is open, else the first day of the next open one; None when none follows."""
        raise AssertionError("answered by the run")

    @command
    def post_journal(self, journal: Journal, key: str | None = None) -> DocumentRef:
        """Post a balanced journal; the result carries the ERP's journal number."""
        raise AssertionError("answered by the run")

    @command
    def order_replenishment(self, request: Replenishment, key: str | None = None) -> DocumentRef:
        """Order what a shelf lacks; the result carries the purchase order number."""
        raise AssertionError("answered by the run")

    @command
    def create_supplier(self, supplier: Supplier, key: str | None = None) -> DocumentRef:
        """Make a supplier known under its code; refused when the code is another one's."""
        raise AssertionError("answered by the run")

    @command
    def acknowledge_order(self, number: str, answer: SupplierAcknowledgement, key: str | None = None) -> DocumentRef:
        """Write a supplier's answer down with its order."""
        raise AssertionError("answered by the run")

    @command
    def enter_invoice(self, invoice: InvoiceEntry, key: str | None = None) -> DocumentRef:
        """Enter a supplier's invoice as a draft that a person posts, in place of what the ERP itself expected."""
        raise AssertionError("answered by the run")


class Stock(System):
    """The inventory platform: authoritative for what lies on which shelf."""

    @question
    def positions(self, where: Where, page: PageRequest) -> Page[InventoryPosition]:
        """Positions by ``location``, ``item``, ``facility``."""
        raise AssertionError("answered by the run")

    @question
    def position(self, location: LocationCode, item: ItemNumber) -> InventoryPosition | None:
        """How one item lies at one location; None when there is no such shelf."""
        raise AssertionError("answered by the run")

    @command
    def take(self, movement: Movement, key: str | None = None) -> Shelf:
        """Take stock from a shelf and say how it stands afterwards; refused when it would fall below zero."""
        raise AssertionError("answered by the run")


class Billing(System):
    """The billing system: authoritative for what is charged."""

    @question
    def account(self, number: AccountNumber) -> PatientAccountStatus | None:
        """The account of that number at that authority; its handle is for further questions."""
        raise AssertionError("answered by the run")

    @question
    def accounts(self, where: Where, page: PageRequest) -> Page[PatientAccountStatus]:
        """Accounts by the attributes ``facility`` and ``status``."""
        raise AssertionError("answered by the run")

    @question
    def account_status(self, handle: str) -> PatientAccountStatus | None:
        """Where the account stands, or None when there is no such handle."""
        raise AssertionError("answered by the run")

    @question
    def account_balance(self, handle: str) -> PatientBalance | None:
        """What stands on the account, or None when there is no such handle."""
        raise AssertionError("answered by the run")

    @question
    def charge_totals(self, day: date) -> tuple[ChargeTotal, ...]:
        """What billing has been told of services of that day, credits taken off, by facility and plan."""
        raise AssertionError("answered by the run")

    @question
    def charges_on(self, day: date, facility: str) -> tuple[BilledCharge, ...]:
        """Every charge and credit of a facility for services of that day: asked only where totals differ."""
        raise AssertionError("answered by the run")

    @command
    def charge_usage(self, usage: Annotated[ChargeableUsage, Phi], key: str | None = None) -> DocumentRef:
        """Tell billing of a chargeable usage; it answers with its own charge number."""
        raise AssertionError("answered by the run")

    @command
    def note_coverage(self, note: Annotated[CoverageNote, Phi], key: str | None = None) -> DocumentRef:
        """Tell billing what is known of an account's coverage; the last note of a day counts."""
        raise AssertionError("answered by the run")

    @command
    def note_settlement(self, note: SettlementNote, key: str | None = None) -> DocumentRef:
        """Tell billing in which journal a posting stands, or why the ledger does not take it."""
        raise AssertionError("answered by the run")


class Payer(System):
    """A health plan, or the clearinghouse before it: authoritative for who is covered by what."""

    @question
    def claim_status(self, question: ClaimStatusQuestion) -> ClaimStatusSaid:
        """Where the payer says that a claim stands; asked in real time, so it may be unavailable and is then asked later."""
        raise AssertionError("answered by the run")

    @question
    def coverage(self, inquiry: CoverageInquiry) -> Coverage:
        """What the plan covers on that day; asked in real time, so it may be unavailable and is then asked later."""
        raise AssertionError("answered by the run")
