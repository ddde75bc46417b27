"""What the ERP posted, or refused, returns to billing: one note for each source and facility, in the order in which it happened."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from hilum.authoring import AtRisk, Billing, Contract, Key, flow, step
from hilum.model.identifiers import FacilityCode
from hilum.model.ledger import DocumentRef
from hilum.model.settlement import SettlementNote

billing = Billing("billing")


class PostingSettled(Contract, version=1, identities=["notice"], owner="revenue-cycle"):
    """A source of entries stands in the ledger at a facility, or the ledger does not take it. The platform's own event."""

    raised_by_platform = True

    notice: str  # The posting and how it stands: the same news twice is one.
    posting: Annotated[str, Key("posting")]
    facility: FacilityCode
    amount: Annotated[Decimal, AtRisk]
    note: SettlementNote


def posting_settled(note: SettlementNote) -> PostingSettled:
    posting = f"{note.source}/{note.facility}"
    return PostingSettled(
        notice=f"{posting}/{note.state}/{note.said}",
        posting=posting,
        facility=FacilityCode(value=note.facility),
        amount=note.amount_usd,
        note=note,
    )


@flow(
    on=PostingSettled,
    key="notice",
    ordering="posting",
    criticality="low",
    owner="revenue-cycle",
    recovery="Billing keeps one note for each posting and state; a note that is sent again changes nothing there.",
)
def return_settlement(settled: PostingSettled) -> None:
    tell_billing_of_posting(settled)


@step
def tell_billing_of_posting(settled: PostingSettled) -> DocumentRef:
    return billing.note_settlement(settled.note)
