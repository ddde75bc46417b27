"""Real FHIR from public test suites, kept beside the checkout: valid files without errors, bad ones told, XML as its JSON."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from hilum.formats import fhir
from hilum.formats.canonical import as_json
from hilum.formats.fhir import FHIRError

CORPUS = Path(__file__).parents[3].parent / "shared" / "data" / "fhir-r4"
SUFFIXES = (".json", ".xml", ".ndjson")
FILES = sorted(path for path in CORPUS.rglob("*") if path.suffix in SUFFIXES) if CORPUS.is_dir() else []

needs_corpus = pytest.mark.skipif(not FILES, reason="the corpus shared/data/fhir-r4 is not beside this checkout")

# Files their suites call valid, and what R4's own StructureDefinitions say against them: code and last step of the place.
AGAINST = {
    # Questionnaire.item.linkId is 1..1; these generated questionnaires have display items without one.
    "hl7-fhir-test-cases/examples/bundle-questionnaire.json": {("required", "linkId")},
    "ms-fhir-server/practitionerrole-questionnaire.json": {("required", "linkId")},
    # DeviceMetric.parent is a Reference(Device); the example points to a DeviceDefinition.
    "hl7-fhir-test-cases/examples/devicemetric-example.json": {("structure", "parent")},
    "ms-fhir-server/devicemetric-example.json": {("structure", "parent")},
    # DeviceUseStatement.reasonReference permits no Procedure.
    "hl7-fhir-test-cases/examples/deviceusestatement-example.json": {("structure", "reasonReference[0]")},
    "ms-fhir-server/deviceusestatement-example.json": {("structure", "reasonReference[0]")},
    # MedicationRequest.dispenseRequest.performer is a Reference(Organization); the example names a Practitioner.
    "hl7-fhir-test-cases/examples/medicationrequest0301.json": {("structure", "performer")},
    # Not called valid, and they are not: family is an array and birthDate a date-time, as before R4.
    "synthea-google/resources/patients.ndjson": {("structure", "family"), ("value", "birthDate")},
    # Written for a loader that does not look: no Observation.status, an empty array of identifiers.
    "synthea-google/uploader/test_files/test_observation.json": {("required", "status")},
    "synthea-google/uploader/test_files/test_patient.json": {("invariant", "identifier")},
}

SAME_URL = ("invariant", "fullUrl")  # bdl-7: this suite copies fullUrls; its server does not read them in a batch.
EMPTY = ("invariant", "system")  # ele-1: "system": "".
UNIT = {("required", "sopClass"), ("required", "modality")}  # ImagingStudy.series requires both.
NOT_A_LIST = ("structure", "interpretation")  # 0..* since R4; the file is written as in STU3.

# The server's fixtures: what is wrong in the format. Several are wrong only to a server (see SERVER_LEVEL).
NORMATIVE: dict[str, set[tuple[str, str]]] = {
    "Bundle-Batch.json": {SAME_URL},
    "Bundle-BatchWithConditionalUpdateByIdentifier.json": {EMPTY},
    "Bundle-BatchWithDuplicatedItems.json": {SAME_URL},
    "Bundle-BatchWithInvalidEleEnums.json": {
        SAME_URL,
        ("structure", "gender1"),
        ("structure", "birthDate1"),
        ("structure", "use1"),
    },
    "Bundle-BinaryPatch.json": {SAME_URL},
    "Bundle-FhirPatch.json": {SAME_URL},
    "Bundle-InvalidBundleType.json": {("code-invalid", "type"), ("invariant", "request")},
    "Bundle-MissingIdentifier.json": {("value", "fullUrl")},  # urn:uuid: without a UUID.
    "Bundle-TransactionWithConditionalCreateAndReference.json": {EMPTY, *UNIT},
    "Bundle-TransactionWithConditionalUpdateAndReference.json": {EMPTY, *UNIT},
    "Bundle-TransactionWithInvalidProcessingRecord.json": {("value", "fullUrl")},  # urn:uuid:null.
    "Bundle-TransactionWithInvalidResourceType.json": {("value", "reference")},
    "Bundle-TransactionWithMultipleResourcesWithSameFullUrl.json": {SAME_URL},
    "Bundle-TypeMissing.json": {("required", "type"), ("invariant", "request"), SAME_URL},
    "InvalidObservation.json": {("structure", "text"), ("structure", "_text")},
    "Observation-For-Patient-f001.json": {NOT_A_LIST},
    "ObservationWithBloodPressure.json": {NOT_A_LIST},
    "ObservationWithInvalidStatus.json": {("code-invalid", "status"), ("required", "code")},
    "ObservationWithNoCode.json": {("required", "code")},
    "ObservationWithTemperature.json": {NOT_A_LIST},
    "Patient.json": {("value", "lastUpdated")},  # An instant without its zone.
    "PatientMissingResourceType.json": {("structure", "resourceType")},
    "PatientWithUnknownElements.json": {("structure", "name1")},
    "SearchParameterInvalidBase.json": {("code-invalid", "base[0]")},
    "SearchParameterInvalidType.json": {("code-invalid", "type")},
    "TokenOverflowPatient.json": {("value", "reference")},  # "Organization" is no reference.
}
# Called invalid, wrong in content a format cannot judge: which routes a transaction may call, entries that change one
# resource, references to other systems, conditional references, history in meta, elements a profile wants.
SERVER_LEVEL = {
    "Bundle-TransactionWithInvalidProcessingRoutes.json",
    "Bundle-TransactionWithMultipleEntriesModifyingSameResource.json",
    "Bundle-TransactionWithPOSTFullUrlMatchesWithPUTRequestUrl.json",
    "Bundle-TransactionWithForeignReferenceInResourceBody.json",
    "Bundle-TransactionWithMetaHistory.json",
    "Profile-Patient-uscore-noGender.json",
    "Profile-Patient-uscore-noidentifier.json",
}


def name_of(path: Path) -> str:
    return path.relative_to(CORPUS).as_posix()


def errors(document: fhir.Document) -> set[tuple[str, str]]:
    found = (f for f in fhir.validate(document) if f.severity == "error")
    return {(f.code, (f.location or "").rpartition(".")[2]) for f in found}


@needs_corpus
def test_the_corpus_is_all_there():
    assert len(FILES) == 188


@pytest.mark.parametrize("path", [p for p in FILES if "normative" not in str(p)], ids=name_of)
def test_a_file_called_valid_has_no_errors(path):
    document = fhir.parse(path.read_bytes())

    assert errors(document) == AGAINST.get(name_of(path), set())


@pytest.mark.parametrize("path", [p for p in FILES if "normative" in str(p)], ids=name_of)
def test_a_servers_fixture_is_told_for_what_its_name_says(path):
    data = path.read_bytes()
    if path.name == "Bundle-TransactionWithInvalidBundleEntry.json":
        with pytest.raises(FHIRError, match="No JSON"):  # "status":, in line 39.
            fhir.parse(data)
        return
    found = errors(fhir.parse(data))
    if path.name == "SearchDataBatch.json":  # An STU3 batch: elements of R4 became lists, AuditEvent needs a type.
        assert {("required", "type"), ("structure", "result"), ("value", "recorded")} <= found
        return

    assert found == NORMATIVE.get(path.name, set())
    if "Invalid" in path.name and path.name not in SERVER_LEVEL and "Decimal" not in path.name:
        assert found


@needs_corpus
def test_a_decimal_longer_than_servers_keep_is_a_warning():
    path = CORPUS / "ms-fhir-server-normative" / "ObservationWithInvalidDecimalSpecification.json"
    document = fhir.parse(path.read_bytes())

    assert ("value", "warning") in {(f.code, f.severity) for f in fhir.validate(document)}
    assert str(document.get("Observation.valueQuantity.value")) == "1234567890123456789.0123456789"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_every_readable_file_is_recognised_kept_shown_and_converted(path):
    data = path.read_bytes()
    assert fhir.recognise(data)
    try:
        document = fhir.parse(data)
    except FHIRError:
        return
    assert fhir.write(document) == data
    shown = json.dumps(fhir.outline(document).as_json(lambda text: "*"))
    for resource in document.entries():
        if resource.get("resourceType") == "Patient":
            for name in resource.get("name", []):
                family = name.get("family")
                assert not isinstance(family, str) or f'"value": "{family}"' not in shown
    assert len(fhir.convert(document)) == len(list(document.entries()))
    json.dumps([as_json(one) for one in fhir.convert(document)])


@pytest.mark.parametrize("path", [p for p in FILES if p.suffix == ".json"], ids=name_of)
def test_content_written_anew_is_the_same_to_the_digit(path):
    try:
        document = fhir.parse(path.read_bytes())
    except FHIRError:
        return
    again = fhir.parse(fhir.json_bytes(document.resource))

    assert repr(again.resources) == repr(document.resources)


def plain(value: Any) -> Any:
    """Content with every number spelled out, and a narrative's white space and serialisation evened."""
    if isinstance(value, dict):
        return {name: _markup(part) if name == "div" else plain(part) for name, part in value.items()}
    if isinstance(value, list):
        return [plain(part) for part in value]
    return repr(value)


def _markup(text: str) -> str:
    return re.sub(rb"\s+", b" ", etree.tostring(etree.fromstring(text), method="c14n")).decode()


@pytest.mark.parametrize("path", [p for p in FILES if p.suffix == ".xml"], ids=name_of)
def test_xml_reads_as_its_json_twin_and_survives_being_written(path):
    document = fhir.parse(path.read_bytes())
    content = plain(document.resource)

    assert document.problems == []
    assert plain(fhir.parse(fhir.xml_bytes(document.resource)).resource) == content
    twin = path.with_suffix(".json")
    if not twin.exists():
        return
    if path.stem == "observation-example":
        del content["extension"]  # The XML shows an extension that the JSON example was written without.
    assert content == plain(fhir.parse(twin.read_bytes()).resource)
