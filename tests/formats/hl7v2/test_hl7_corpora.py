"""Real messages from public test suites, kept beside the checkout: read, kept byte for byte, edited, answered."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from hilum.formats import hl7v2
from hilum.formats.hl7v2 import Batch, HL7Error, Message
from hilum.formats.hl7v2.groups import groups_of

CORPUS = Path(__file__).parents[3].parent / "shared" / "data" / "hl7v2"
NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

FILES = sorted(path for path in CORPUS.rglob("*") if path.suffix.lower() == ".hl7") if CORPUS.is_dir() else []
TEXTS = sorted(path for path in CORPUS.rglob("*") if path.suffix.lower() in (".txt", ".xml")) if CORPUS.is_dir() else []

# What the files' authors got wrong, so that a change of ours that refuses more, or less, is seen.
REFUSED = {
    "cdc-data-exchange/genV1/Genv1-Case-TestMessage1.HL7": "100",  # Three lines of "junk" stand before MSH.
    # MSH-2 is ^~\\& with the escape character twice: two delimiters are the same (ch. 2.5.4). Its suite reads it.
    "lfh-hl7v2-fhir-converter/sample_unix.hl7": "102",
    "lfh-hl7v2-fhir-converter/sample_win.hl7": "102",
    "rethinkhealth/invalid-missing-msh.hl7": "100",
    "rethinkhealth/invalid-segment-header-length.hl7": "100",
}
# Its own suite calls invalid-trailing-empty-fields invalid; ch. 2.6 lets a sender write them, so it is read.
WRONG_BY_VALIDATION = {"rethinkhealth/invalid-wrong-version.hl7": ("203", "MSH-12.1")}

# Files that hold no HL7 v2 at all, or XML that is refused: code and place of the refusal.
NO_MESSAGE = {
    # Notices about blobs in JSON; the messages they tell of are elsewhere.
    **{
        f"cdc-data-exchange/{name}.txt": ("100", "MSH")
        for name in (
            "BatchMessage",
            "CASE_message",
            "CovidELRWithBlanks",
            "ELR_message",
            "ERROR_message",
            "InvalidMessage",
        )
    },
    "cdc-data-exchange/genV1/empty.txt": ("100", "MSH"),
    "hapi-hl7v2/parser/guide.txt": ("100", "MSH"),  # A test's own notation for structures.
    "hapi-hl7v2/parser/uuencoded.txt": ("100", "MSH"),
    "hapi-hl7v2/parser/uuencoded_escaped.txt": ("100", "MSH"),
    "rethinkhealth/invalid-missing-msh.hl7": ("100", "MSH"),
    "rethinkhealth/invalid-segment-header-length.hl7": ("100", None),
    # They declare document types, one of them to read /etc/passwd; the first is not well-formed besides.
    "hapi-hl7v2/parser/get_ack_id.xml": ("102", None),
    "hapi-hl7v2/parser/get_version.xml": ("102", None),
    "hapi-hl7v2/parser/xml-with-xxe.xml": ("102", None),
    "lfh-hl7v2-fhir-converter/sample_unix.hl7": ("102", "MSH-2"),
    "lfh-hl7v2-fhir-converter/sample_win.hl7": ("102", "MSH-2"),
}

# Files that are valid by their name or place, and the errors they have none the less. What they are to show is something
# else than a whole message, and the standard requires the rest all the same.
EVENT_AND_VISIT = [("100", "EVN"), ("100", "PV1")]  # ADT_A01 has them [1..1] in every version (2.5.1 ch. 3.3.1).
VALID = {
    "cdc-data-exchange/covidELR/MI v23 Valid#2.txt": [],
    # Its version is 2.3.Z, a name of the suite's own, of which no standard says what a valid message is.
    "cdc-data-exchange/covidELR/ND 23z Valid#1.txt": [("203", "MSH-12.1")],
    "cdc-data-exchange/genV1/Valid-GenV1-0-Case-Notification.hl7": [],
    "rethinkhealth/adt-a01-basic.hl7": [],
    # IN1 is shifted by some fields: a coverage code stands where the plan's effective date should (IN1-12).
    "rethinkhealth/adt-a01-full.hl7": [("102", "IN1-4.3"), ("102", "IN1-4.4"), ("102", "IN1-9.3"), ("102", "IN1-12")],
    "rethinkhealth/dft-p03-charge.hl7": [],
    "rethinkhealth/mdm-t02-document.hl7": [("101", "TXA-12")],  # The document's number is required (2.5.1 ch. 9.6.1).
    "rethinkhealth/mllp-client/samples/adt-a01.hl7": [],
    "rethinkhealth/mllp-client/samples/orm-o01.hl7": [],
    "rethinkhealth/mllp-client/samples/oru-r01.hl7": [],
    "rethinkhealth/orm-o01-order.hl7": [],
    "rethinkhealth/oru-r01-lab.hl7": [],
    # RESOURCES is [1..*] and SCH-16 and SCH-20 are required (2.5.1 ch. 10.4 and 10.6.1).
    "rethinkhealth/siu-s12-schedule.hl7": [("100", "RGS"), ("101", "SCH-16"), ("101", "SCH-20")],
    "rethinkhealth/edge-crlf-line-endings.hl7": EVENT_AND_VISIT[:1],
    "rethinkhealth/edge-custom-delimiters.hl7": EVENT_AND_VISIT,
    # Segments without any field have none of those they need.
    "rethinkhealth/edge-empty-segments.hl7": [
        *EVENT_AND_VISIT[:1], ("101", "PID-3"), ("101", "PID-5"), ("101", "PV1-2"), ("101", "OBX-3"), ("101", "OBX-11"),
    ],
    "rethinkhealth/edge-escaped-delimiters.hl7": EVENT_AND_VISIT,
    "rethinkhealth/edge-field-repetitions.hl7": EVENT_AND_VISIT,
    "rethinkhealth/edge-non-ascii.hl7": EVENT_AND_VISIT,
    "rethinkhealth/edge-z-segments.hl7": EVENT_AND_VISIT,
}  # fmt: skip
INVALID = {
    "rethinkhealth/invalid-wrong-version.hl7": ("203", "MSH-12.1"),
    "rethinkhealth/invalid-trailing-empty-fields.hl7": ("100", "PV1"),  # Not for its empty fields: ch. 2.6 allows them.
    "cdc-data-exchange/genV1/Genv1-Case-TestMessage1.HL7": ("100", None),
    "cdc-data-exchange/genV1/Invalid-GenV1-0-Case-Notification.hl7": ("102", "OBX(10)-5.2"),
}
# Wrong by the rules of its suite's profile only: values outside of the CDC's value sets.
WELL_BY_THE_STANDARD = {"cdc-data-exchange/genV1/Invalid-Vocab-GenV1-0-Case-Notification.hl7"}

needs_corpus = pytest.mark.skipif(not FILES, reason="the corpus shared/data/hl7v2 is not beside this checkout")


def name_of(path: Path) -> str:
    return path.relative_to(CORPUS).as_posix()


@needs_corpus
def test_the_corpus_is_all_there():
    assert len(FILES) > 190


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_real_message_is_read_and_kept_byte_for_byte(path):
    data = path.read_bytes()
    refusals = []
    count = 0
    try:
        parts = list(hl7v2.split_messages(data))
    except HL7Error as error:
        parts, refusals = [], [error.code]
    for part in parts:
        try:
            message = Message.parse(part)
        except HL7Error as error:
            refusals.append(error.code)
            continue
        count += 1
        assert message.to_bytes() == part
        assert part in data
        assert message["MSH-9.1"] == (message.type or "").partition("^")[0]
        assert len(hl7v2.tree(message)["segments"]) == len(message)
        findings = hl7v2.validate(message)
        if name_of(path) in WRONG_BY_VALIDATION:
            assert WRONG_BY_VALIDATION[name_of(path)] in [(finding.code, finding.location) for finding in findings]
        answer = Message.parse(hl7v2.acknowledge(message, "AE", findings, control_id="H-1", timestamp=NOON))
        assert answer.get("MSA-2") == message.control_id
        edited = message.with_field("MSH-10", "C-NEW")
        assert edited.control_id == "C-NEW"
        assert edited.with_field("MSH-10", message.get("MSH-10")).to_bytes() == part
    if name_of(path) in REFUSED:
        assert refusals == [REFUSED[name_of(path)]]
    else:
        assert (count > 0, refusals) == (True, [])


@pytest.mark.parametrize("path", FILES + TEXTS, ids=name_of)
def test_a_whole_file_is_a_document_that_is_written_as_it_was(path):
    data = path.read_bytes()
    name = name_of(path)
    try:
        document = hl7v2.parse(data)
    except HL7Error as error:
        assert (error.code, error.location) == NO_MESSAGE[name]
        return
    assert name not in NO_MESSAGE
    assert hl7v2.recognise(data)
    assert hl7v2.write(document) == data
    findings = hl7v2.validate(document)
    errors = [(finding.code, finding.location) for finding in findings if finding.severity == "error"]
    if name in VALID:
        assert errors == VALID[name]
    if name in INVALID:
        assert INVALID[name] in errors
    messages = document.messages if isinstance(document, Batch) else [document]
    assert len(hl7v2.convert(document)) == len(messages)
    root = hl7v2.outline(document)
    assert len(root.children) > 0
    for message in messages:
        # Nothing is dropped on the way into groups.
        assert [segment.position for segment in groups_of(message)] == list(range(1, len(message) + 1))
        assert hl7v2.validate(message) == [] or not any(
            # Texts never hold a value of the message (short ones are words that texts happen to have).
            value in finding.text
            for finding in hl7v2.validate(message)
            for value in (message.get("PID-5.1.1"), message.get("PID-3.1"))
            if value is not None and len(value) > 4
        )


@needs_corpus
def test_validity_agrees_with_the_names_of_the_files():
    named = {name_of(path): path for path in FILES + TEXTS}
    by_name = {name for name in named if "invalid" in name.lower()}

    assert by_name <= INVALID.keys() | NO_MESSAGE.keys() | WELL_BY_THE_STANDARD
    assert VALID.keys() | INVALID.keys() | NO_MESSAGE.keys() <= named.keys()
    assert {name for name in named if name.startswith("rethinkhealth/") and name not in by_name} <= VALID.keys()


@needs_corpus
def test_the_batches_of_the_corpus_hold_as_many_messages_as_they_count():
    counts = {}
    for path in FILES + TEXTS:
        if name_of(path) not in NO_MESSAGE and isinstance(document := hl7v2.parse(path.read_bytes()), Batch):
            counts[name_of(path)] = document.total
    assert counts["prime-reportstream/batch/test-0001-az-covid-19-hl7.hl7"] > 1
    assert len(counts) > 8
    wrong = [
        (name, finding.location)
        for name in counts
        for finding in hl7v2.parse((CORPUS / name).read_bytes()).findings
        if finding.location in ("BTS-1", "FTS-1")
    ]
    # Its trailer says 25 and there are 20.
    assert wrong == [("prime-reportstream/batch/test-0001-input-covid-19.hl7", "BTS-1")]
