"""Claim status in real time: the 276 of a question, and the 277 that answers it (X12 005010X212)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime

from hilum.formats import x12
from hilum.formats.canonical import Identifier, Party
from hilum.model.claim_status import ClaimStatusQuestion, ClaimStatusSaid, SaidStatus

GROUP, VERSION = "HR", "005010X212"
CANNOT_ANSWER = frozenset({"E1", "E2"})
"""Categories of a payer whose own system, or whoever holds the information, did not answer in time."""


def transaction_of(asked: ClaimStatusQuestion, *, asker: tuple[str, str], now: datetime) -> x12.NewTransaction:
    """The question as a 276; ``asker`` is the (qualifier, identifier) of ISA. FormatError when it cannot be written."""
    return x12.claim_status_inquiry_to_276(
        x12.ClaimStatusInquiry(
            reference=asked.reference,
            payer=_party(asked.payer, "payer", asked.payer),
            asker=_party(asker[1], "etin", asked.provider_name),
            provider=_party(asked.provider_npi, "npi", asked.provider_name),
            subscriber=Party(
                name=asked.family_name,
                given_name=asked.given_name,
                birth_date=asked.birth_date.isoformat(),
                sex=asked.sex,
                identifiers=(Identifier(value=asked.member_number, scheme="member"),),
            ),
            claim_number=asked.claim_number,
            payer_claim_number=asked.payer_claim_number,
            charge=asked.charge,
            service_from=None if asked.service_from is None else asked.service_from.isoformat(),
            service_to=None if asked.service_to is None else asked.service_to.isoformat(),
        ),
        now=now,
    )


def answers_in(document: x12.Document) -> Iterator[tuple[str | None, ClaimStatusSaid]]:
    """Each answer of a 277 with the reference it carries; answers above a claim carry none that is ours."""
    for transaction in document.transactions:
        for said in x12.claim_statuses(transaction):
            if said.accepted is not None:
                continue  # A claim acknowledgement answers no question.
            yield (
                said.trace if said.level == "claim" else None,
                ClaimStatusSaid(
                    reference="" if said.trace is None else said.trace,
                    statuses=tuple(
                        SaidStatus(category=each.category, status=each.status, entity=each.entity, words=x12.status_words(each))
                        for each in said.statuses
                    ),
                    on=None if said.day is None else date.fromisoformat(said.day),
                    payer_claim_number=said.payer_claim,
                    charge=said.charge,
                    paid=said.paid,
                ),
            )  # fmt: skip


def _party(number: str, scheme: str, name: str) -> Party:
    return Party(name=name, identifiers=(Identifier(value=number, scheme=scheme),))
