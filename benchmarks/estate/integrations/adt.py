"""ADT from the load generator to the sink, with everything on: contract, identity, keys, lineage, audit."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from hilum.authoring import Hl7, System, feed, mapping
from hilum.formats.hl7v2 import parse_timestamp
from hilum.model import AccountNumber, FacilityCode, Mrn
from hilum.processes.patient_account import PatientRegistered

ehr = System("ehr")
sink = System("sink")
ZONE = ZoneInfo("America/Chicago")


@mapping(source=ehr, message="ADT^A04")
def patient_registered(message: Hl7) -> PatientRegistered:
    facility = message["MSH-4.1"]
    return PatientRegistered(
        message_id=message["MSH-10"],
        account=AccountNumber(message["PID-18.1"], facility),
        mrn=Mrn(message["PID-3.1"], facility),
        facility=FacilityCode(facility),
        patient_class=message["PV1-2.1"],
        location=message.get("PV1-3.1"),
        occurred_at=parse_timestamp(message["MSH-7.1"], ZONE),
    )


@feed(on=PatientRegistered, to=sink, key="account", criticality="normal", owner="bench")
def accounts_to_sink(event: PatientRegistered) -> bytes:
    return event.model_dump_json().encode()
