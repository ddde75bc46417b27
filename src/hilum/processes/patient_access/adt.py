"""What an ADT message says of a patient's account (HL7 v2.5.1 ch. 3): one reading for all trigger events.

An identifier's authority is CX-4; where the sender left it out, the sending facility (MSH-4) issued it. Times without an offset
are the estate's. ``""`` in a field deletes a value and says none; both are None here.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, tzinfo
from typing import Any

from hilum.authoring import InvalidData
from hilum.formats.hl7v2 import Message, Segment, parse_timestamp
from hilum.model import AccountNumber, FacilityCode, Mrn
from hilum.processes.patient_account import (
    AccountEvent,
    AdmissionCancelled,
    CoverageOnFile,
    CoverageReported,
    DischargeCancelled,
    Guarantor,
    NamedIdentifier,
    PatientClassChanged,
    PatientDischarged,
    PatientRegistered,
    PatientsMerged,
    PatientsUnlinked,
    PatientTransferred,
    PatientUpdated,
    TransferCancelled,
)

_OWN = ("SEL", "18", "S")
"""IN1-17: the patient is the subscriber (HL7 table 0063, X12 element 1069)."""
_MRN = "MR"
_NOT_KEPT = "SS"
"""CX-5: a social security number finds no account, so it goes no further than the message it came in."""


def registered(
    message: Message, zone: tzinfo, *, pre_admission: bool = False
) -> list[PatientRegistered | CoverageReported]:
    """A01, A04; with ``pre_admission`` A05."""
    message["PV1-2.1"]  # Refused with its place, not with the name of a field of ours.
    told = PatientRegistered(**_account(message, zone), pre_admission=pre_admission)
    return [told, *coverages_reported(told, zone, message)]


def updated(message: Message, zone: tzinfo) -> list[PatientUpdated | CoverageReported]:
    """A08, and A44: the account of PID-18 is that of the patient in PID-3 now."""
    told = PatientUpdated(**_account(message, zone))
    return [told, *coverages_reported(told, zone, message)]


def class_changed(message: Message, zone: tzinfo) -> list[PatientClassChanged | CoverageReported]:
    """A06, A07."""
    message["PV1-2.1"]
    told = PatientClassChanged(**_account(message, zone))
    return [told, *coverages_reported(told, zone, message)]


def transferred(message: Message, zone: tzinfo) -> PatientTransferred:
    """A02."""
    message["PV1-3.1"]
    return PatientTransferred(**_account(message, zone), from_location=message.get("PV1-6.1"))


def discharged(message: Message, zone: tzinfo) -> PatientDischarged:
    """A03."""
    return PatientDischarged(**_account(message, zone), disposition=message.get("PV1-36.1"))


def admission_cancelled(message: Message, zone: tzinfo, *, pre_admission: bool = False) -> AdmissionCancelled:
    """A11; with ``pre_admission`` A38."""
    return AdmissionCancelled(**_account(message, zone), pre_admission=pre_admission)


def transfer_cancelled(message: Message, zone: tzinfo) -> TransferCancelled:
    """A12."""
    return TransferCancelled(**_account(message, zone))


def discharge_cancelled(message: Message, zone: tzinfo) -> DischargeCancelled:
    """A13."""
    return DischargeCancelled(**_account(message, zone))


def merged(message: Message, zone: tzinfo, *, patients: bool = True, accounts: bool = True) -> list[PatientsMerged]:
    """A40 and the older A18, A34, A36; without ``patients`` A41 and A35, which merge accounts of one patient.

    Each MRG says what is merged into the PID before it. One that names nothing else than its PID is refused: a sender that
    merges somebody into themselves means somebody else.
    """
    found: list[PatientsMerged] = []
    pid: Segment | None = None
    for segment in message:
        if segment.name == "PID":
            pid = segment
        elif segment.name == "MRG":
            if pid is None:
                raise InvalidData("MRG without a PID before it", detail="the survivor is missing")
            found.append(_merge(message, zone, pid, segment, len(found) + 1, patients=patients, accounts=accounts))
    if not found:
        message["MRG-1" if patients else "MRG-3"]  # Refused with the place that is missing.
    return found


def unlinked(message: Message, zone: tzinfo) -> PatientsUnlinked:
    """A37: two PID segments, which are two patients after all."""
    facility = message["MSH-4.1"]
    pids = message.segments("PID")
    if len(pids) < 2:
        message["PID(2)-3.1"]
    return PatientsUnlinked(
        message_id=message["MSH-10"],
        facility=FacilityCode(value=facility),
        occurred_at=occurred_at(message, zone),
        mrn=_mrn(pids[0], facility),
        other_mrn=_mrn(pids[1], facility),
    )


def occurred_at(message: Message, zone: tzinfo) -> datetime:
    """When it happened as its sender recorded it (EVN-2); where that is missing, when it was sent."""
    return parse_timestamp(message.get("EVN-2.1") or message["MSH-7.1"], zone)


def coverages_reported(told: AccountEvent, zone: tzinfo, message: Message) -> list[CoverageReported]:
    """What is to be verified of an account: each coverage once, for the day of the event at the hospital."""
    found: dict[str, CoverageReported] = {}
    for coverage in told.coverages if told.coverages is not None else ():
        family, given, born = (
            coverage.subscriber_family_name,
            coverage.subscriber_given_name,
            coverage.subscriber_birth_date,
        )
        each = coverage_reported(
            told, coverage, on=told.occurred_at.astimezone(zone).date(),
            family_name=family if family is not None else message.get("PID-5.1.1"),
            given_name=given if family is not None else message.get("PID-5.2"),
            birth_date=born if family is not None or born is not None else _day(message.get("PID-7.1"), "PID-7"),
        )  # fmt: skip
        found[each.inquiry] = each
    return list(found.values())


def coverage_reported(
    told: AccountEvent,
    coverage: CoverageOnFile,
    *,
    on: date,
    family_name: str | None,
    given_name: str | None,
    birth_date: date | None,
) -> CoverageReported:
    """One coverage of an account as it is to be verified for a day."""
    who = coverage.member_number
    if who is None:
        who = "/".join(str(part) for part in (family_name, given_name, birth_date))
    return CoverageReported(
        inquiry=f"{told.account}/{coverage.insurer}/{who}/{on}",
        account=told.account,
        mrn=told.mrn,
        facility=told.facility,
        insurer=coverage.insurer,
        member_number=coverage.member_number,
        family_name=family_name,
        given_name=given_name,
        birth_date=birth_date,
        on=on,
        occurred_at=told.occurred_at,
    )


def _account(message: Message, zone: tzinfo) -> dict[str, Any]:
    facility = message["MSH-4.1"]
    pid = message.segments("PID")
    if not pid:
        message["PID-3.1"]
    return {
        "message_id": message["MSH-10"],
        "account": AccountNumber(value=message["PID-18.1"], authority=message.get("PID-18.4.1") or facility),
        "mrn": _mrn(pid[0], facility),
        "facility": FacilityCode(value=facility),
        "occurred_at": occurred_at(message, zone),
        "identifiers": tuple(_identifiers(message, facility)),
        # Only where it is said: what a cancellation leaves out it does not clear.
        **{
            name: value
            for name, value in (
                ("patient_class", message.get("PV1-2.1")),
                ("location", message.get("PV1-3.1")),
                ("attending", message.get("PV1-7.1")),
                ("admitted_at", _time(message.get("PV1-44.1"), zone)),
                ("discharged_at", _time(message.get("PV1-45.1"), zone)),
                ("guarantor", _guarantor(message)),
                ("coverages", _coverages(message)),
            )
            if value is not None
        },
    }


def _identifiers(message: Message, facility: str) -> Iterator[NamedIdentifier]:
    for field, usual in (("PID-3", _MRN), ("PID-18", "AN"), ("PV1-19", "VN")):
        for number in range(1, message.repetitions(field) + 1):
            value = message.get(f"{field}[{number}].1")
            kind = message.get(f"{field}[{number}].5")
            if value is not None and kind != _NOT_KEPT:
                authority = message.get(f"{field}[{number}].4.1")
                yield NamedIdentifier(
                    value=value, authority=authority if authority is not None else facility,
                    type=kind if kind is not None else usual,
                )  # fmt: skip


def _mrn(pid: Segment, facility: str) -> Mrn:
    """The first medical record number of PID-3; where no repetition says that it is one, the first."""
    kinds = [pid.get(f"3[{number}].5") for number in range(1, pid.repetitions("3") + 1)]
    number = kinds.index(_MRN) + 1 if _MRN in kinds else 1
    return Mrn(value=pid[f"3[{number}].1"], authority=pid.get(f"3[{number}].4.1") or facility)


def _coverages(message: Message) -> tuple[CoverageOnFile, ...] | None:
    """IN1 by IN1: None when the message has none. One without the company (IN1-3) covers nothing that could be asked for."""
    segments = message.segments("IN1")
    if not segments:
        return None
    found = []
    for place, insurance in enumerate(segments, 1):
        insurer = insurance.get("3.1")
        if insurer is None:
            continue
        rank = insurance.get("1")
        member = insurance.get("49.1")
        found.append(
            CoverageOnFile(
                rank=int(rank) if rank is not None and rank.isdecimal() and int(rank) else place,
                insurer=insurer,
                plan=insurance.get("2.1"),
                member_number=member if member is not None else insurance.get("36"),
                **_subscriber(insurance),
                valid_from=_day(insurance.get("12"), "IN1-12"),
                valid_to=_day(insurance.get("13"), "IN1-13"),
            )
        )
    return tuple(found)


def _subscriber(insurance: Segment) -> dict[str, Any]:
    """The subscriber where it is somebody else than the patient, or where nothing says who it is."""
    if insurance.get("17.1") in _OWN:
        return {}
    return {
        "subscriber_family_name": insurance.get("16.1.1"),
        "subscriber_given_name": insurance.get("16.2"),
        "subscriber_birth_date": _day(insurance.get("18.1"), "IN1-18"),
    }


def _guarantor(message: Message) -> Guarantor | None:
    if "GT1" not in message:
        return None
    return Guarantor(
        number=message.get("GT1-2.1"), family_name=message.get("GT1-3.1.1"), given_name=message.get("GT1-3.2")
    )


def _merge(
    message: Message, zone: tzinfo, pid: Segment, mrg: Segment, line: int, *, patients: bool, accounts: bool
) -> PatientsMerged:
    facility = message["MSH-4.1"]
    mrn = _mrn(pid, facility)
    account, old_account = _number(pid, "18", facility), _number(mrg, "3", facility)
    if patients:
        old = mrg["1.1"]
        merged_mrn = Mrn(value=old, authority=mrg.get("1.4.1") or facility)
    else:
        mrg["3.1"]
        pid["18.1"]
    moved = accounts and account is not None and old_account is not None and old_account != account
    other = patients and merged_mrn != mrn
    if not moved and not other:
        raise InvalidData("MRG names what PID names", detail="somebody was merged into themselves")
    return PatientsMerged(
        message_id=message["MSH-10"],
        line=line,
        facility=FacilityCode(value=facility),
        occurred_at=occurred_at(message, zone),
        mrn=mrn,
        merged_mrn=merged_mrn if other else None,
        account=account if moved else None,
        merged_account=old_account if moved else None,
    )


def _number(segment: Segment, field: str, facility: str) -> AccountNumber | None:
    value = segment.get(f"{field}.1")
    return None if value is None else AccountNumber(value=value, authority=segment.get(f"{field}.4.1") or facility)


def _time(text: str | None, zone: tzinfo) -> datetime | None:
    return None if text is None else parse_timestamp(text, zone)


def _day(text: str | None, place: str) -> date | None:
    """The day of a DT or TS; what gives only a year or month says no day. InvalidData, naming the place, for what is none."""
    if text is None or len(text) < 8:
        return None
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:8]))
    except ValueError:
        raise InvalidData(f"{place} is no date") from None
