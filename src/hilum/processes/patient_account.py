"""The patient's account as other systems must know it: registered, moved, discharged."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from hilum.authoring import Contract, Phi
from hilum.model import AccountNumber, FacilityCode, Mrn


class PatientRegistered(Contract, version=1, identities=["message_id"], owner="patient-access"):
    """A patient was registered or admitted (HL7 v2 ADT^A01, A04, A05)."""

    message_id: str
    account: Annotated[AccountNumber, Phi]
    mrn: Annotated[Mrn, Phi]
    facility: FacilityCode
    patient_class: str
    location: str | None = None
    occurred_at: datetime


class PatientTransferred(Contract, version=1, identities=["message_id"], owner="patient-access"):
    """A patient moved to another location (HL7 v2 ADT^A02)."""

    message_id: str
    account: Annotated[AccountNumber, Phi]
    mrn: Annotated[Mrn, Phi]
    facility: FacilityCode
    from_location: str | None = None
    location: str
    occurred_at: datetime


class PatientDischarged(Contract, version=1, identities=["message_id"], owner="patient-access"):
    """A patient left (HL7 v2 ADT^A03)."""

    message_id: str
    account: Annotated[AccountNumber, Phi]
    mrn: Annotated[Mrn, Phi]
    facility: FacilityCode
    disposition: str | None = None
    occurred_at: datetime


__all__ = ["PatientDischarged", "PatientRegistered", "PatientTransferred"]
