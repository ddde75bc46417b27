"""The patient's financial account as systems tell of it: registered, moved, discharged, corrected, taken back, merged.

Each fact carries what its sender said and nothing else: what it left out is None and changes nothing. What an account is by all
that is known of it is ``hilum.model.patient_account``'s to say.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from hilum.authoring import Contract, Phi
from hilum.model import AccountNumber, FacilityCode, Mrn


class NamedIdentifier(BaseModel):
    """One repetition of PID-3 or PID-18, PV1-19: its value with who issued it (CX-4) and what kind it is (CX-5)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: Annotated[str, Phi] = Field(min_length=1, max_length=64)
    authority: str = Field(max_length=64)
    type: str = Field(max_length=20, description="HL7 table 0203: MR, PI, AN, VN ...")


class CoverageOnFile(BaseModel):
    """One insurance as registration has it (IN1): whose plan, under which number, first or second."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rank: int = Field(ge=1, description="IN1-1 or its place: 1 pays first.")
    insurer: str = Field(min_length=1, max_length=64, description="The sender's own number of the company (IN1-3).")
    plan: str | None = None
    member_number: Annotated[str | None, Phi] = Field(
        default=None, description="IN1-49, or the policy number (IN1-36)."
    )
    subscriber_family_name: Annotated[str | None, Phi] = None
    subscriber_given_name: Annotated[str | None, Phi] = None
    subscriber_birth_date: Annotated[date | None, Phi] = None
    valid_from: date | None = None
    valid_to: date | None = None


class Guarantor(BaseModel):
    """Who pays what no insurance does (GT1)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: Annotated[str | None, Phi] = None
    family_name: Annotated[str | None, Phi] = None
    given_name: Annotated[str | None, Phi] = None


class AccountEvent(Contract):
    """What every fact of one account says. ``occurred_at`` is the event's own time (EVN-2), which orders an account's facts."""

    message_id: str
    account: Annotated[AccountNumber, Phi]
    mrn: Annotated[Mrn, Phi]
    facility: FacilityCode
    occurred_at: datetime
    identifiers: tuple[NamedIdentifier, ...] = ()
    patient_class: str | None = None
    location: str | None = None
    attending: str | None = None
    guarantor: Guarantor | None = None
    coverages: tuple[CoverageOnFile, ...] | None = Field(
        default=None, description="All of them; None when the sender did not speak of insurance."
    )
    admitted_at: datetime | None = None
    discharged_at: datetime | None = None


class PatientRegistered(AccountEvent, version=1, identities=["message_id"], owner="patient-access"):
    """A patient was registered or admitted, or is expected (HL7 v2 ADT^A01, A04, A05)."""

    patient_class: str
    pre_admission: bool = False


class PatientTransferred(AccountEvent, version=1, identities=["message_id"], owner="patient-access"):
    """A patient moved to another location (HL7 v2 ADT^A02)."""

    from_location: str | None = None
    location: str


class PatientDischarged(AccountEvent, version=1, identities=["message_id"], owner="patient-access"):
    """A patient left (HL7 v2 ADT^A03)."""

    disposition: str | None = None


class PatientUpdated(AccountEvent, version=1, identities=["message_id"], owner="patient-access"):
    """What is known of a patient's account was corrected or completed (HL7 v2 ADT^A08, A44)."""


class PatientClassChanged(AccountEvent, version=1, identities=["message_id"], owner="patient-access"):
    """An outpatient became an inpatient, or the other way round (HL7 v2 ADT^A06, A07)."""

    patient_class: str


class AdmissionCancelled(AccountEvent, version=1, identities=["message_id"], owner="patient-access"):
    """An admission, registration or expected admission did not happen (HL7 v2 ADT^A11, A38)."""

    pre_admission: bool = False


class TransferCancelled(AccountEvent, version=1, identities=["message_id"], owner="patient-access"):
    """A transfer did not happen (HL7 v2 ADT^A12); ``location`` is where the patient is after all."""


class DischargeCancelled(AccountEvent, version=1, identities=["message_id"], owner="patient-access"):
    """A patient did not leave (HL7 v2 ADT^A13)."""


class PatientsMerged(Contract, version=1, identities=[("message_id", "line")], owner="patient-access"):
    """Two numbers are one patient, or one account: what was known by the merged one is the survivor's (HL7 v2 ADT^A40, A41).

    ``line`` is the place of the merge in its message, from 1.
    """

    message_id: str
    line: int = Field(ge=1)
    facility: FacilityCode
    occurred_at: datetime
    mrn: Annotated[Mrn, Phi]
    merged_mrn: Annotated[Mrn, Phi] | None = Field(default=None, description="None when only accounts are merged.")
    account: Annotated[AccountNumber, Phi] | None = None
    merged_account: Annotated[AccountNumber, Phi] | None = None


class PatientsUnlinked(Contract, version=1, identities=["message_id"], owner="patient-access"):
    """Two patients that were taken for one are two (HL7 v2 ADT^A37)."""

    message_id: str
    facility: FacilityCode
    occurred_at: datetime
    mrn: Annotated[Mrn, Phi]
    other_mrn: Annotated[Mrn, Phi]


class CoverageReported(Contract, version=1, identities=["inquiry"], owner="patient-access"):
    """An account has a coverage that day: reported again the same day, it is the same fact and is verified once.

    ``inquiry`` is account, insurer, member and day; it names people and never leaves the platform.
    """

    inquiry: Annotated[str, Phi]
    account: Annotated[AccountNumber, Phi]
    mrn: Annotated[Mrn, Phi]
    facility: FacilityCode
    insurer: str
    member_number: Annotated[str, Phi] | None = None
    family_name: Annotated[str, Phi] | None = None
    given_name: Annotated[str, Phi] | None = None
    birth_date: Annotated[date, Phi] | None = None
    on: date
    occurred_at: datetime


AccountFactEvent = (
    PatientRegistered
    | PatientTransferred
    | PatientDischarged
    | PatientUpdated
    | PatientClassChanged
    | AdmissionCancelled
    | TransferCancelled
    | DischargeCancelled
)
"""Every fact of one account."""


__all__ = [
    "AccountEvent",
    "AccountFactEvent",
    "AdmissionCancelled",
    "CoverageOnFile",
    "CoverageReported",
    "DischargeCancelled",
    "Guarantor",
    "NamedIdentifier",
    "PatientClassChanged",
    "PatientDischarged",
    "PatientRegistered",
    "PatientTransferred",
    "PatientUpdated",
    "PatientsMerged",
    "PatientsUnlinked",
    "TransferCancelled",
]
