"""From what is observed of claims to the claim books: what was sent, what was answered, and what should have been answered by now.

One case for each document, whatever the number of its claims. An estate supplies the mappings that yield the facts, the crosswalks
``payee_to_facility`` and ``payer_to_class``, the claim tables, and a system that plays the role ``claims``.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated

from hilum.authoring import Contract, Key, flow, step
from hilum.authoring.claims import (
    Booked,
    BookedAnswer,
    BookedAnswers,
    BookedBatch,
    BookedClaim,
    BookedFileAnswer,
    ClaimsDesk,
)
from hilum.authoring.claims import (
    BookedOtherwise as BookedOtherwise,  # Raised by the books; the estate must have their queue.
)
from hilum.processes.patient_to_cash.claims import (
    CLAIMS,
    ClaimAnswer,
    ClaimsAcknowledged,
    ClaimsAnswered,
    ClaimsSubmitted,
    ClaimStatusTold,
)
from hilum.processes.patient_to_cash.posting import UnknownPayee, class_by_payer, facility_by_payee

claims = ClaimsDesk("claims")

_RECOVERY = "The books take a document once and whole; release the case and it goes on."


class ClaimsAgeingDue(Contract, version=1, identities=["moment"], owner="revenue-cycle"):
    """The clock says that somebody should look whether answers to claims are missing."""

    moment: Annotated[str, Key("schedule")]
    day: date


@flow(on=ClaimsSubmitted, key="number", criticality="normal", owner="revenue-cycle", recovery=_RECOVERY)
def watch_claims(submitted: ClaimsSubmitted) -> None:
    book_submission(submitted)


@flow(on=ClaimsAcknowledged, key="number", criticality="normal", owner="revenue-cycle", recovery=_RECOVERY)
def take_acknowledgement(acknowledged: ClaimsAcknowledged) -> None:
    # Groups of other things than claims (inquiries, remittances) are acknowledged by the same document.
    if acknowledged.functional_id == CLAIMS:
        book_acknowledgement(acknowledged)


@flow(on=ClaimsAnswered, key="number", criticality="normal", owner="revenue-cycle", recovery=_RECOVERY)
def take_answers(answered: ClaimsAnswered) -> None:
    book_answers(answered)


@flow(on=ClaimStatusTold, key="number", criticality="normal", owner="revenue-cycle", recovery=_RECOVERY)
def take_status(told: ClaimStatusTold) -> None:
    book_status(told)


@flow(on=ClaimsAgeingDue, key="moment", criticality="low", owner="revenue-cycle", recovery="The next hour looks again.")
def age_claims(due: ClaimsAgeingDue) -> None:
    look_for_missing_answers(due)


@step
def book_submission(submitted: ClaimsSubmitted) -> Booked:
    """Each claim at its billing provider's facility. One that nobody knows waits for the whole file: it is one sender's mistake."""
    facilities: dict[str, str] = {}
    for provider in dict.fromkeys(each.provider for each in submitted.claims):
        facility = facility_by_payee.lookup(provider, on=None)
        if facility is None:
            at_risk = sum(each.charge for each in submitted.claims if each.provider == provider)
            raise UnknownPayee(
                provider or "none", detail=f"billing provider in {submitted.number}", at_risk_usd=at_risk or None
            )
        facilities[provider] = facility
    classes = {
        payer: class_by_payer.lookup(payer, facility="", on=None)
        for payer in dict.fromkeys(each.payer for each in submitted.claims)
    }
    return claims.submitted(
        BookedBatch(
            batch=submitted.number,
            partner=submitted.partner,
            interchange=submitted.interchange,
            group=submitted.group,
            number=submitted.transaction,
            file=submitted.file,
            on=submitted.made_on,
            claims=tuple(
                BookedClaim(
                    line=f"c{at}", claim=each.claim, facility=facilities[each.provider], provider=each.provider,
                    payer=each.payer, payer_class=classes[each.payer] or "", sequence=each.sequence,
                    frequency=each.frequency, replaces=each.original, charge=each.charge, service_from=each.service_from,
                    service_to=each.service_to, services=each.services,
                )
                for at, each in enumerate(submitted.claims, start=1)
            ),
        )
    )  # fmt: skip


@step
def book_acknowledgement(acknowledged: ClaimsAcknowledged) -> Booked:
    """What the 999 says of each transaction, and of the group as a whole where it refuses it or names none."""
    files = [
        BookedFileAnswer(
            line=f"t{at}", accepted=each.accepted, code=each.code, group=acknowledged.group, number=each.transaction,
            codes=() if each.code == "A" else (*(f"IK5 {code}" for code in each.reasons), *each.errors),
        )
        for at, each in enumerate(acknowledged.transactions, start=1)
    ]  # fmt: skip
    if not files or not (acknowledged.accepted or acknowledged.code == "P"):
        files.append(
            BookedFileAnswer(
                line="g", accepted=acknowledged.accepted, code=acknowledged.code, group=acknowledged.group,
                codes=tuple(f"AK9 {code}" for code in acknowledged.reasons),
            )
        )  # fmt: skip
    return claims.answered(
        BookedAnswers(
            source=acknowledged.number, partner=acknowledged.partner, on=acknowledged.made_on, files=tuple(files)
        )
    )


@step
def book_answers(answered: ClaimsAnswered) -> Booked:
    """Each claim's answer. Of a whole file or a provider's part of it only a refusal says something of the claims in it."""
    files = tuple(
        BookedFileAnswer(
            line=f"f{at}", accepted=False, code=each.category, codes=_codes(each), file=each.file,
            provider=each.provider if each.level == "provider" else "",
        )
        for at, each in enumerate(answered.answers, start=1)
        if each.level != "claim" and each.accepted is False and each.file
    )  # fmt: skip
    return claims.answered(
        BookedAnswers(
            source=answered.number, partner=answered.partner, on=answered.made_on, files=files,
            claims=tuple(_answers(answered.answers)),
        )
    )  # fmt: skip


@step
def book_status(told: ClaimStatusTold) -> Booked:
    return claims.answered(
        BookedAnswers(source=told.number, partner=told.partner, on=told.made_on, claims=tuple(_answers(told.answers)))
    )


@step
def look_for_missing_answers(due: ClaimsAgeingDue) -> int:
    return claims.aged(due.day)


def _answers(answers: tuple[ClaimAnswer, ...]) -> list[BookedAnswer]:
    return [
        BookedAnswer(
            line=f"a{at}", claim=each.claim, category=each.category, accepted=each.accepted, file=each.file, codes=_codes(each),
            payer_claim=each.payer_claim, charge=each.charge, paid=each.paid,
        )
        for at, each in enumerate(answers, start=1)
        if each.level == "claim" and each.claim is not None
    ]  # fmt: skip


def _codes(answer: ClaimAnswer) -> tuple[str, ...]:
    """The reasons, the deciding category first: by its first reason a claim is sorted among what came back."""
    return tuple(each.code for each in sorted(answer.statuses, key=lambda each: each.category != answer.category))
