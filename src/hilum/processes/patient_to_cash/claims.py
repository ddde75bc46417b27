"""What is observed of claims: that they were sent (X12 837), and what was answered to them (999, 277CA, 277), as facts."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, ConfigDict

from hilum.authoring import X12, Agreed, AtRisk, Contract, InvalidData, Key, Phi
from hilum.formats import canonical, x12
from hilum.model.identifiers import FacilityCode

CLAIMS = "HC"
"""GS01 of a group of claims."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SubmittedClaim(_Part):
    """One claim as billing sent it (CLM). ``frequency`` is 1, or 7 and 8 for one that replaces or voids ``original``."""

    claim: Annotated[str, Phi]
    type: str
    provider: str = ""  # The billing provider's NPI: it says whose claim it is.
    payer: str = ""
    payer_name: str = ""
    sequence: str = ""
    frequency: str = "1"
    original: Annotated[str, Phi] | None = None
    charge: Decimal
    service_from: date | None = None
    service_to: date | None = None
    services: int = 0


class ClaimsSubmitted(Contract, version=1, identities=["number"], owner="revenue-cycle"):
    """One transaction of claims, as it left billing. A copy of the same transmission is the same fact."""

    number: Annotated[str, Key("claim_file")]  # Receiver, day and control numbers: HARBOR/20260302/000000905-905-0001.
    partner: str
    interchange: str
    group: str
    transaction: str
    file: Annotated[str, Key("claim_file")] = ""  # BHT03: a 277CA names the file by it.
    made_on: date
    facility: FacilityCode | None = (
        None  # None where billing providers of several facilities, or unknown ones, stand in it.
    )
    charge: Annotated[Decimal, AtRisk]
    claims: tuple[SubmittedClaim, ...]
    digest: Annotated[str, Agreed]


class AnsweredClaimErrors(_Part):
    """A claim that a 999 names, and what is wrong with it."""

    claim: Annotated[str, Phi]
    errors: tuple[str, ...] = ()


class AnsweredTransaction(_Part):
    """What a 999 says of one transaction (AK2, IK5). ``reasons`` and ``errors`` are its codes."""

    transaction: str
    set_id: str
    code: str
    reasons: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    claims: tuple[AnsweredClaimErrors, ...] = ()

    @property
    def accepted(self) -> bool:
        return self.code in ("A", "E")


class ClaimsAcknowledged(Contract, version=1, identities=["number"], owner="revenue-cycle"):
    """A 999 or 997: whether a group of claims could be read. ``functional_id`` HC means claims; other groups concern nobody here."""

    number: str
    partner: str
    made_on: date
    functional_id: str
    group: str
    code: str
    reasons: tuple[str, ...] = ()
    transactions: tuple[AnsweredTransaction, ...] = ()
    digest: Annotated[str, Agreed]

    @property
    def accepted(self) -> bool:
        return self.code in ("A", "E")


class ToldStatus(_Part):
    """One status: category, status code and entity, and the three in words."""

    category: str
    status: str = ""
    entity: str = ""
    words: str = ""

    @property
    def code(self) -> str:
        return ":".join(part for part in (self.category, self.status, self.entity) if part)


class ClaimAnswer(_Part):
    """What was told of one claim, or (``level`` provider, transaction) of all claims of a provider or a file."""

    level: str
    claim: Annotated[str, Phi] | None = None
    payer_claim: Annotated[str, Phi] | None = None
    trace: Annotated[str, Phi] | None = None
    file: str = ""
    provider: str = ""
    category: str
    accepted: bool | None = None
    statuses: tuple[ToldStatus, ...]
    on: date
    charge: Decimal | None = None
    paid: Decimal | None = None


class ClaimsAnswered(Contract, version=1, identities=["number"], owner="revenue-cycle"):
    """A 277CA: which claims a clearinghouse or payer took, and which it sent back with what reasons."""

    number: str
    partner: str
    made_on: date
    facility: FacilityCode | None = None
    payer: str = ""
    answers: tuple[ClaimAnswer, ...]
    digest: Annotated[str, Agreed]


class ClaimStatusTold(Contract, version=1, identities=["number"], owner="revenue-cycle"):
    """A 277 that answers a 276: where a payer says that claims stand."""

    number: str
    partner: str
    made_on: date
    facility: FacilityCode | None = None
    payer: str = ""
    answers: tuple[ClaimAnswer, ...]
    digest: Annotated[str, Agreed]


def claims_submitted(message: X12, facilities: Mapping[str, str]) -> ClaimsSubmitted:
    """The fact of an 837; InvalidData for one that nobody could tell from another."""
    claims = tuple(_claim(each) for each in x12.convert_transaction(message) if isinstance(each, canonical.Claim))
    group, made_on = message.group_header, _made_on(message)
    partner = _said(x12.value(group, 3), "GS03")
    begin = next((each for each in message.segments if each[0] == "BHT"), None)
    file = x12.value(begin, 3)
    places = {facilities.get(each.provider) for each in claims}
    only = next(iter(places)) if len(places) == 1 else None
    return ClaimsSubmitted(
        number=_number(message, partner, made_on),
        partner=partner,
        interchange=_said(message.interchange_control, "ISA13"),
        group=_plain(_said(message.group_control, "GS06")),
        transaction=_plain(_said(message.control_number, "ST02")),
        file="" if file is None else file,
        made_on=made_on,
        facility=None if only is None else FacilityCode(value=only),
        charge=sum((each.charge for each in claims), Decimal(0)),
        claims=claims,
        digest=_digest(message),
    )


def claims_acknowledged(message: X12) -> ClaimsAcknowledged:
    """The fact of a 999 or 997; InvalidData for one that answers no group."""
    said = x12.group_answer(message)
    if said is None or said.code is None:
        raise InvalidData("AK1 or AK9 is missing", detail="an acknowledgement names the group it answers and its code")
    partner, made_on = _said(x12.value(message.group_header, 2), "GS02"), _made_on(message)
    return ClaimsAcknowledged(
        number=_number(message, partner, made_on),
        partner=partner,
        made_on=made_on,
        functional_id=said.functional_id,
        group=_plain(said.control_number),
        code=said.code,
        reasons=said.reasons,
        transactions=tuple(
            AnsweredTransaction(
                transaction=_plain(one.control_number),
                set_id=one.set_id,
                code=one.code,
                reasons=one.reasons,
                errors=one.errors,
                claims=tuple(AnsweredClaimErrors(claim=claim, errors=errors) for claim, errors in one.claims),
            )
            for one in said.transactions
        ),
        digest=_digest(message),
    )


def claims_told(message: X12, facilities: Mapping[str, str]) -> ClaimsAnswered | ClaimStatusTold:
    """The fact of a 277: a 277CA answers claims that were sent, any other answers a 276."""
    partner, made_on = _said(x12.value(message.group_header, 2), "GS02"), _made_on(message)
    found = list(x12.claim_statuses(message))
    if not found:
        raise InvalidData("STC is missing", detail="a 277 tells at least one status")
    places = {facilities.get(each.provider) for each in found if each.provider is not None}
    only = next(iter(places)) if len(places) == 1 else None
    fact = ClaimsAnswered if any(each.accepted is not None for each in found) else ClaimStatusTold
    return fact(
        number=_number(message, partner, made_on),
        partner=partner,
        made_on=made_on,
        facility=None if only is None else FacilityCode(value=only),
        payer=next((each.payer for each in found if each.payer is not None), ""),
        answers=tuple(answer_of(each, made_on) for each in found),
        digest=_digest(message),
    )


def answer_of(said: x12.ClaimStatus, made_on: date) -> ClaimAnswer:
    """A status with its words, of the day it says or the day it was told."""
    return ClaimAnswer(
        level=said.level,
        claim=said.claim,
        payer_claim=said.payer_claim,
        trace=said.trace if said.accepted is None else None,
        file="" if said.file is None else said.file,
        provider="" if said.provider is None else said.provider,
        category=said.category,
        accepted=said.accepted,
        statuses=tuple(
            ToldStatus(
                category=each.category,
                status="" if each.status is None else each.status,
                entity="" if each.entity is None else each.entity,
                words=x12.status_words(each),
            )
            for each in said.statuses
        ),
        on=made_on if said.day is None else date.fromisoformat(said.day),
        charge=said.charge,
        paid=said.paid,
    )


def _claim(said: canonical.Claim) -> SubmittedClaim:
    return SubmittedClaim(
        claim=said.claim_number,
        type=said.type,
        provider=_identifier(said.billing_provider, ("npi", "tax-id")),
        payer=_identifier(said.payer, ("payer", "health-plan")),
        payer_name="" if said.payer is None or said.payer.name is None else said.payer.name,
        sequence="" if said.payer_sequence is None else said.payer_sequence,
        frequency="1" if said.frequency is None else said.frequency,
        original=said.payer_claim_number,
        charge=said.charge,
        service_from=_day(said.statement_from, (each.service_from for each in said.services), min),
        service_to=_day(said.statement_to, (each.service_to for each in said.services), max),
        services=len(said.services),
    )


def _identifier(party: canonical.Party | None, preferred: tuple[str, ...]) -> str:
    if party is None or not party.identifiers:
        return ""
    ranked = sorted(party.identifiers, key=lambda each: each.scheme not in preferred)
    return ranked[0].value


def _day(stated: str | None, services: Iterable[str | None], pick: Callable[[list[date]], date]) -> date | None:
    """The statement's day, or the first or last of its services'."""
    days = [date.fromisoformat(text[:10]) for text in ([stated] if stated else services) if text and len(text) >= 10]
    if not days:
        return None
    return pick(days)


def _number(message: X12, partner: str, made_on: date) -> str:
    controls = (message.interchange_control, message.group_control, message.control_number)
    return f"{partner}/{made_on:%Y%m%d}/" + "-".join("?" if each is None else each.strip() for each in controls)


def _made_on(message: X12) -> date:
    """GS04: CCYYMMDD, in releases before 5010 also YYMMDD."""
    text = _said(x12.value(message.group_header, 4), "GS04")
    digits = text if len(text) == 8 else f"20{text}"
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        raise InvalidData("GS04 is no day", detail="a group says on which day it was made") from None


def _said(text: str | None, place: str) -> str:
    if text is None or not text.strip():
        raise InvalidData(f"{place} is missing", detail="without it nobody could tell this transaction from another")
    return text.strip()


def _plain(number: str) -> str:
    """A control number as a number: partners answer with more or fewer zeros before it."""
    return number.lstrip("0") or "0" if number.isdigit() else number


def _digest(message: X12) -> str:
    return hashlib.sha256("\x1e".join(message.texts).encode()).hexdigest()
