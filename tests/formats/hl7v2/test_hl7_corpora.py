"""Real messages from public test suites, kept beside the checkout: read, kept byte for byte, edited, answered."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from hilum.formats import hl7v2
from hilum.formats.hl7v2 import HL7Error, Message

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


@pytest.mark.parametrize("path", TEXTS, ids=name_of)
def test_other_files_of_the_corpus_end_in_messages_or_typed_errors(path):
    data = path.read_bytes()
    try:
        messages = [Message.parse(part) for part in hl7v2.split_messages(data)]
    except HL7Error as error:
        assert error.code in set(hl7v2.Code)
    else:
        assert b"".join(message.to_bytes() for message in messages).count(b"MSH|") == len(messages)
