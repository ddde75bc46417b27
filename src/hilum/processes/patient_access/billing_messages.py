"""What billing is told of accounts: ADT as the EHR writes it (HL7 v2.5.1 ch. 3), with the control id of the fact it repeats.

Only what billing keeps goes out: identifiers, class, place, the coverages by company and number. Names stay.
"""

from __future__ import annotations

from datetime import datetime, tzinfo

from hilum.connectors.billing_hl7v2 import control_id
from hilum.formats.hl7v2 import build
from hilum.formats.hl7v2.writer import Field
from hilum.model.identifiers import Identifier
from hilum.processes.patient_account import (
    AccountEvent,
    AccountFactEvent,
    AdmissionCancelled,
    DischargeCancelled,
    PatientClassChanged,
    PatientDischarged,
    PatientRegistered,
    PatientsMerged,
    PatientTransferred,
    PatientUpdated,
    TransferCancelled,
)

_TRIGGERS: dict[type[AccountEvent], str] = {
    PatientRegistered: "A04",
    PatientTransferred: "A02",
    PatientDischarged: "A03",
    PatientUpdated: "A08",
    AdmissionCancelled: "A11",
    TransferCancelled: "A12",
    DischargeCancelled: "A13",
}
_INPATIENT = "I"
_LONGEST_CONTROL_ID = 20
"""MSH-10 (ch. 2.15.9.10); what FHIR calls a fact may be longer."""


def account_message(
    event: AccountFactEvent | PatientsMerged, zone: tzinfo, *, receiver: tuple[str, str] = ("BILLING", "LAKESHORE")
) -> bytes:
    """The ADT of a fact; its times are the estate's, with their offset."""
    trigger = trigger_of(event)
    moment = f"{event.occurred_at.astimezone(zone):%Y%m%d%H%M%S%z}"
    # One message of the EHR may merge several patients, and each goes out by itself.
    number = event.message_id if not isinstance(event, PatientsMerged) else f"{event.message_id}.{event.line}"
    if len(number) > _LONGEST_CONTROL_ID:
        number = control_id(number)
    segments: list[list[Field]] = [
        ["MSH", "HILUM", event.facility.value, *receiver, moment, "", ["ADT", trigger], number, "P", "2.5.1"],
        ["EVN", trigger, moment],
    ]
    if isinstance(event, PatientsMerged):
        merged_mrn = event.merged_mrn if event.merged_mrn is not None else event.mrn
        segments.append(_pid(event.mrn, event.account))
        segments.append(["MRG", _cx(merged_mrn, "MR"), "", _cx(event.merged_account, "AN")])
        return build(segments)
    segments.append(_pid(event.mrn, event.account))
    segments.append(_visit(event, zone))
    for coverage in event.coverages if event.coverages is not None else ():
        segments.append(
            [
                "IN1", str(coverage.rank), coverage.plan or coverage.insurer, coverage.insurer, *[""] * 8,
                _day(coverage.valid_from), _day(coverage.valid_to), *[""] * 22, coverage.member_number, *[""] * 12,
                coverage.member_number,
            ]
        )  # fmt: skip
    return build(segments)


def trigger_of(event: AccountFactEvent | PatientsMerged) -> str:
    """The trigger event by which billing hears of a fact."""
    match event:
        case PatientsMerged():
            return "A40" if event.merged_mrn is not None else "A41"
        case PatientRegistered(pre_admission=True):
            return "A05"
        case AdmissionCancelled(pre_admission=True):
            return "A38"
        case PatientClassChanged():
            return "A06" if event.patient_class == _INPATIENT else "A07"
    return _TRIGGERS[type(event)]


def _pid(mrn: Identifier, account: Identifier | None) -> list[Field]:
    return ["PID", "1", "", _cx(mrn, "MR"), *[""] * 14, _cx(account, "AN")]


def _cx(identifier: Identifier | None, kind: str) -> Field:
    return "" if identifier is None else [identifier.value, "", "", identifier.authority, kind]


def _visit(event: AccountFactEvent, zone: tzinfo) -> list[Field]:
    return [
        "PV1", "1", event.patient_class or "N", [event.location or ""], *[""] * 3, event.attending, *[""] * 36,
        _moment(event.admitted_at, zone), _moment(event.discharged_at, zone),
    ]  # fmt: skip


def _moment(at: datetime | None, zone: tzinfo) -> str:
    return "" if at is None else f"{at.astimezone(zone):%Y%m%d%H%M%S%z}"


def _day(day: object) -> str:
    return "" if day is None else f"{day:%Y%m%d}"
