"""From a payer's remittance to the ERP's ledger: judged, staged, posted facility by facility, and its numbers brought back.

One case for each remittance. An estate supplies the mapping that yields ``RemittanceAdvised``, the crosswalks ``payee_to_facility``
and ``payer_to_class``, the posting and claim tables, and systems that play the roles ``erp``, ``revenue`` and ``claims``.
"""

from __future__ import annotations

from hilum.authoring import Crosswalk, Rejected, flow, step
from hilum.authoring.claims import Booked, BookedRemittance, ClaimsDesk
from hilum.authoring.claims import BookedOtherwise as BookedOtherwise
from hilum.authoring.revenue import (
    NoPostingRule as NoPostingRule,
)  # Raised by the books; the estate must have their queue.
from hilum.authoring.revenue import RevenueBooks, StagedSource, Staging
from hilum.authoring.revenue import StagedOtherwise as StagedOtherwise
from hilum.processes.patient_to_cash.journals import PeriodNotOpen as PeriodNotOpen
from hilum.processes.patient_to_cash.journals import Posted as Posted
from hilum.processes.patient_to_cash.journals import into_ledger, number_noted
from hilum.processes.patient_to_cash.remittance import (
    Place,
    RemittanceAdvised,
    amounts,
    decisions,
    fits_books,
    imbalances,
    movements,
)

revenue = RevenueBooks("revenue")
claims = ClaimsDesk("claims")

facility_by_payee = Crosswalk("payee_to_facility")
class_by_payer = Crosswalk("payer_to_class")

_SHOWN = 12


class UnbalancedRemittance(Rejected, queue="cash-posting", due_hours=24):
    """Ask the payer for a corrected remittance, which comes under a trace number of its own, then skip this one. Nothing of it was posted."""


class UnknownPayee(Rejected, queue="finance-master", due_hours=8):
    """Map the payee's number to its facility (`hilum crosswalk set payee_to_facility`), then release."""


class UnknownPayer(Rejected, queue="finance-master", due_hours=24):
    """Map the payer to its class (`hilum crosswalk set payer_to_class`), then release."""


@flow(
    on=RemittanceAdvised,
    key="number",
    criticality="high",
    owner="revenue-cycle",
    recovery="Nothing is posted before the whole remittance is staged. Rejected cases go on from the failed step when released; journals that "
    "the ERP has are found by their keys and not posted again.",
)
def post_remittance(advised: RemittanceAdvised) -> None:
    must_balance(advised)
    staged = stage_remittance(advised)
    for journal in staged.journals:
        posted = post_journal(advised, staged.source, journal.facility)
        record_posting(staged.source, journal.facility, posted)
    adjudicate(advised)


def source_of(advised: RemittanceAdvised) -> str:
    """How the books call a remittance; the ERP's journals carry it with their facility."""
    return f"remittance/{advised.number}"


@step
def must_balance(advised: RemittanceAdvised) -> None:
    """To the cent, at every level, in full cents."""
    found = [str(each) for each in imbalances(advised)]
    if not all(fits_books(amount) for amount in amounts(advised)):
        found.append("an amount has fractions of a cent, or is larger than books hold")
    if found or not advised.balanced:
        more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        raise UnbalancedRemittance(
            advised.number,
            detail="; ".join(found[:_SHOWN]) + more if found else "an amount in it is no number",
            at_risk_usd=abs(advised.amount),
        )


@step
def stage_remittance(advised: RemittanceAdvised) -> StagedSource:
    facility, payer_class = _place(advised)
    return revenue.stage(
        Staging(
            source=source_of(advised),
            kind="remittance",
            reference=advised.trace_number,
            payer=advised.payer,
            on=advised.paid_on,
            amount=advised.amount,
            movements=tuple(movements(advised, Place(facility, payer_class))),
        )
    )


def _place(advised: RemittanceAdvised) -> tuple[str, str]:
    """The payee's facility and the payer's class, or who has to say them."""
    facility = facility_by_payee.lookup(advised.payee, on=None)
    if facility is None:
        raise UnknownPayee(advised.payee or "none", detail=advised.payer_name, at_risk_usd=abs(advised.amount))
    payer_class = class_by_payer.lookup(advised.payer, facility=facility, on=None)
    if payer_class is None:
        raise UnknownPayer(advised.payer or "none", detail=advised.payer_name, at_risk_usd=abs(advised.amount))
    return facility, payer_class


@step
def post_journal(advised: RemittanceAdvised, source: str, facility: str) -> Posted:
    """On the day of the payment, or on the first day of the next open period, which its text then says."""
    text = f"Remittance {advised.trace_number} of {advised.payer}"
    return into_ledger(source, facility, text=text, on=advised.paid_on, at_risk_usd=abs(advised.amount))


@step
def adjudicate(advised: RemittanceAdvised) -> Booked:
    """What became of each claim, into the claim books. The money stands already: nothing of it depends on what they know."""
    facility, payer_class = _place(advised)
    return claims.adjudicated(
        BookedRemittance(
            source=source_of(advised),
            on=advised.paid_on,
            payer=advised.payer,
            payer_class=payer_class,
            facility=facility,
            decisions=tuple(decisions(advised)),
        )
    )


@step
def record_posting(source: str, facility: str, posted: Posted) -> StagedSource:
    return number_noted(source, facility, posted)
