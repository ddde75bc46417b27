"""Claim status inquiries to 276 transactions, as a provider asks in real time (X12 005010X212)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from hilum.formats.canonical import Identifier, Party
from hilum.formats.findings import FormatError
from hilum.formats.x12.conversion.line_details import needed, x12_date
from hilum.formats.x12.writer import Element, NewTransaction

CONVENTION = "005010X212"
_PAYER = {"payer": "PI", "health-plan": "XV", "tax-id": "FI", "naic": "NI", "etin": "46"}
_ASKER = {"etin": "46", "npi": "XX", "tax-id": "FI"}
_PROVIDER = {"npi": "XX", "tax-id": "FI", "payer-provider": "SV"}
_MEMBER = {"member": "MI", "health-identifier": "II"}
_SEX = {"F", "M", "U"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimStatusInquiry:
    """What a payer is asked about one claim of a subscriber who is the patient. Days are ISO 8601."""

    reference: str
    """The asker's own trace number; the answer carries it back."""
    payer: Party
    asker: Party
    provider: Party
    subscriber: Party
    claim_number: str | None = None
    """The provider's own (REF*EJ)."""
    payer_claim_number: str | None = None
    """The payer's (REF*1K), where it is known."""
    bill_type: str | None = None
    charge: Decimal | None = None
    service_from: str | None = None
    service_to: str | None = None


def claim_status_inquiry_to_276(
    inquiry: ClaimStatusInquiry, *, now: datetime, control_number: str | None = None
) -> NewTransaction:
    """One real-time inquiry as the segments of a 276 for ``x12.build``.

    FormatError when a party has no identifier of a kind that the guide knows, when the subscriber has no name, date of birth or
    member number, or when neither a claim number nor days of service say which claim is meant.
    """
    subscriber = inquiry.subscriber
    born = needed(subscriber.birth_date, "2000D/DMG", "the subscriber's date of birth")
    sex = [subscriber.sex] if subscriber.sex in _SEX else []
    member = _identifier(subscriber, _MEMBER, "the subscriber", "2100D/NM1")
    segments: list[list[Element]] = [
        ["BHT", "0010", "13", needed(inquiry.reference, "BHT03", "the inquiry's reference"), f"{now:%Y%m%d}", f"{now:%H%M}"],
        ["HL", "1", None, "20", "1"],
        ["NM1", "PR", "2", inquiry.payer.name, None, None, None, None, *_identifier(inquiry.payer, _PAYER, "the payer", "2100A/NM1")],
        ["HL", "2", "1", "21", "1"],
        ["NM1", "41", "2", inquiry.asker.name, None, None, None, None, *_identifier(inquiry.asker, _ASKER, "who asks", "2100B/NM1")],
        ["HL", "3", "2", "19", "1"],
        ["NM1", "1P", "2", inquiry.provider.name, None, None, None, None, *_identifier(inquiry.provider, _PROVIDER, "the provider", "2100C/NM1")],
        ["HL", "4", "3", "22", "0"],
        ["DMG", "D8", x12_date(born, "DMG02", "the date of birth"), *sex],
        ["NM1", "IL", "1", needed(subscriber.name, "2100D/NM103", "the subscriber's name"), subscriber.given_name, None, None, None, *member],
        ["TRN", "1", inquiry.reference],
    ]  # fmt: skip
    if inquiry.payer_claim_number is not None:
        segments.append(["REF", "1K", inquiry.payer_claim_number])
    if inquiry.bill_type is not None:
        segments.append(["REF", "BLT", inquiry.bill_type])
    if inquiry.claim_number is not None:
        segments.append(["REF", "EJ", inquiry.claim_number])
    if inquiry.charge is not None:
        segments.append(["AMT", "T3", str(inquiry.charge)])
    if inquiry.service_from is not None:
        first = x12_date(inquiry.service_from, "DTP03", "the first day of service")
        last = first if inquiry.service_to is None else x12_date(inquiry.service_to, "DTP03", "the last day of service")
        segments.append(["DTP", "472", "D8", first] if first == last else ["DTP", "472", "RD8", f"{first}-{last}"])
    elif inquiry.claim_number is None and inquiry.payer_claim_number is None:
        raise FormatError("2200D", "neither a claim number nor days of service say which claim is meant", "2200D/TRN")
    return NewTransaction(set_id="276", segments=segments, control_number=control_number, convention=CONVENTION)


def _identifier(party: Party, schemes: dict[str, str], what: str, place: str) -> tuple[str, str]:
    """(qualifier, number) of the first identifier in the order of the schemes, which is that of the guide's preference."""
    found: Identifier | None = next((i for scheme in schemes for i in party.identifiers if i.scheme == scheme), None)
    if found is None or found.scheme is None:
        raise FormatError("NM109", f"{what} has no identifier ({', '.join(schemes)})", place)
    return schemes[found.scheme], found.value
