"""Patient access: accounts as the EHR tells of them go to billing in order, their coverage is verified, merges are followed."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field

from hilum.authoring import Hl7, System, feed, mapping
from hilum.processes.patient_access import adt, encounters
from hilum.processes.patient_access.billing_messages import account_message
from hilum.processes.patient_access.corrections import judge_cancellation, unlink_patients
from hilum.processes.patient_access.verification import verify_coverage
from hilum.processes.patient_account import (
    AccountFactEvent,
    AdmissionCancelled,
    CoverageReported,
    DischargeCancelled,
    PatientClassChanged,
    PatientDischarged,
    PatientRegistered,
    PatientsMerged,
    PatientsUnlinked,
    PatientTransferred,
    PatientUpdated,
    TransferCancelled,
)

ehr = System("ehr")
billing = System("billing")

LAKESHORE_TIME = ZoneInfo("America/Chicago")
# FHIR names who issued a number by an address, HL7 v2 by a code: one account has both.
FHIR_AUTHORITIES = {
    f"https://lakeshore.example/{kind}/{facility}": facility
    for kind in ("mrn", "account")
    for facility in ("ST-MARY", "HARBOR-VIEW", "NORTH-POINT")
}
EncounterFact = PatientRegistered | PatientDischarged | AdmissionCancelled | PatientUpdated | CoverageReported

__all__ = ["judge_cancellation", "unlink_patients", "verify_coverage"]


@mapping(source=ehr, message="ADT^A01")
def patient_admitted(message: Hl7) -> list[PatientRegistered | CoverageReported]:
    return adt.registered(message, LAKESHORE_TIME)


@mapping(source=ehr, message="ADT^A04")
def patient_registered(message: Hl7) -> list[PatientRegistered | CoverageReported]:
    return adt.registered(message, LAKESHORE_TIME)


@mapping(source=ehr, message="ADT^A05")
def patient_expected(message: Hl7) -> list[PatientRegistered | CoverageReported]:
    return adt.registered(message, LAKESHORE_TIME, pre_admission=True)


@mapping(source=ehr, message="ADT^A08")
def patient_updated(message: Hl7) -> list[PatientUpdated | CoverageReported]:
    return adt.updated(message, LAKESHORE_TIME)


@mapping(source=ehr, message="ADT^A44")
def account_moved(message: Hl7) -> list[PatientUpdated | CoverageReported]:
    return adt.updated(message, LAKESHORE_TIME)


@mapping(source=ehr, message="ADT^A06")
def outpatient_admitted(message: Hl7) -> list[PatientClassChanged | CoverageReported]:
    return adt.class_changed(message, LAKESHORE_TIME)


@mapping(source=ehr, message="ADT^A07")
def inpatient_made_outpatient(message: Hl7) -> list[PatientClassChanged | CoverageReported]:
    return adt.class_changed(message, LAKESHORE_TIME)


@mapping(source=ehr, message="ADT^A02")
def patient_transferred(message: Hl7) -> PatientTransferred:
    return adt.transferred(message, LAKESHORE_TIME)


@mapping(source=ehr, message="ADT^A03")
def patient_discharged(message: Hl7) -> PatientDischarged:
    return adt.discharged(message, LAKESHORE_TIME)


@mapping(source=ehr, message="ADT^A11")
def admission_cancelled(message: Hl7) -> AdmissionCancelled:
    return adt.admission_cancelled(message, LAKESHORE_TIME)


@mapping(source=ehr, message="ADT^A38")
def pre_admission_cancelled(message: Hl7) -> AdmissionCancelled:
    return adt.admission_cancelled(message, LAKESHORE_TIME, pre_admission=True)


@mapping(source=ehr, message="ADT^A12")
def transfer_cancelled(message: Hl7) -> TransferCancelled:
    return adt.transfer_cancelled(message, LAKESHORE_TIME)


@mapping(source=ehr, message="ADT^A13")
def discharge_cancelled(message: Hl7) -> DischargeCancelled:
    return adt.discharge_cancelled(message, LAKESHORE_TIME)


@mapping(source=ehr, message="ADT^A40")
def patients_merged(message: Hl7) -> list[PatientsMerged]:
    return adt.merged(message, LAKESHORE_TIME)


@mapping(source=ehr, message="ADT^A18")
def patients_merged_as_before_2_3_1(message: Hl7) -> list[PatientsMerged]:
    return adt.merged(message, LAKESHORE_TIME, accounts=False)


@mapping(source=ehr, message="ADT^A34")
def patient_numbers_merged(message: Hl7) -> list[PatientsMerged]:
    return adt.merged(message, LAKESHORE_TIME, accounts=False)


@mapping(source=ehr, message="ADT^A35")
def account_numbers_merged(message: Hl7) -> list[PatientsMerged]:
    return adt.merged(message, LAKESHORE_TIME, patients=False)


@mapping(source=ehr, message="ADT^A36")
def patient_and_account_numbers_merged(message: Hl7) -> list[PatientsMerged]:
    return adt.merged(message, LAKESHORE_TIME)


@mapping(source=ehr, message="ADT^A41")
def accounts_merged(message: Hl7) -> list[PatientsMerged]:
    return adt.merged(message, LAKESHORE_TIME, patients=False)


@mapping(source=ehr, message="ADT^A37")
def patients_unlinked(message: Hl7) -> PatientsUnlinked:
    return adt.unlinked(message, LAKESHORE_TIME)


class FhirResource(BaseModel):
    """A resource or Bundle as the EHR's clinics notify of it (FHIR R4); what is in it the reading judges."""

    model_config = ConfigDict(extra="allow")

    resource_type: str = Field(alias="resourceType")


@mapping(source=ehr, message="Encounter")
def encounter_notified(resource: FhirResource) -> list[EncounterFact]:
    return encounters.accounts_told(resource.model_dump(by_alias=True), LAKESHORE_TIME, FHIR_AUTHORITIES)


@mapping(source=ehr, message="Account")
def account_notified(resource: FhirResource) -> list[EncounterFact]:
    return encounters.accounts_told(resource.model_dump(by_alias=True), LAKESHORE_TIME, FHIR_AUTHORITIES)


@mapping(source=ehr, message="Bundle")
def encounter_notified_with_what_it_names(resource: FhirResource) -> list[EncounterFact]:
    return encounters.accounts_told(resource.model_dump(by_alias=True), LAKESHORE_TIME, FHIR_AUTHORITIES)


@feed(
    on=(
        PatientRegistered, PatientUpdated, PatientClassChanged, PatientTransferred, PatientDischarged, AdmissionCancelled,
        TransferCancelled, DischargeCancelled, PatientsMerged,
    ),
    to=billing,
    key="account",
    joins="merged_account",
    criticality="normal",
    owner="patient-access",
)  # fmt: skip
def accounts_to_billing(event: AccountFactEvent | PatientsMerged) -> bytes:
    """Billing keeps the account's whereabouts; it takes ADT as the EHR does, with our control id."""
    return account_message(event, LAKESHORE_TIME)
