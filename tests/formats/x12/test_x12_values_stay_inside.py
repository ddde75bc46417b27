"""No finding, error, log line or acknowledgement repeats a value of the document, whichever element it stands in."""

from __future__ import annotations

import logging
from datetime import datetime
from pathlib import Path

import pytest

from hilum.formats import x12
from hilum.formats.findings import FormatError

SAMPLES = sorted((Path(__file__).parent / "samples").glob("*/*.edi"))
CANARY = "QZJXV"
NOON = datetime(2026, 3, 1, 12, 0)
# A 999 names the claim, inquiry or payment that it is about (CTX), and any answer the control numbers it answers.
NAMED = {("CLM", 1), ("TRN", 2), ("ENT", 1)}
ENVELOPE = {"ISA", "GS", "ST"}


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_no_text_of_ours_repeats_what_stands_in_an_element(path: Path, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    segments = [text.strip() for text in path.read_text().split("~") if text.strip()]
    for at, segment in enumerate(segments):
        elements = segment.split("*")
        for place in range(len(elements)):
            written = [*elements[:place], f"{CANARY}:{CANARY} \x01{CANARY}", *elements[place + 1 :]]
            told = said_of("~\n".join([*segments[:at], "*".join(written), *segments[at + 1 :], ""]).encode())
            if (elements[0], place) in NAMED or elements[0] in ENVELOPE:
                told = told[:1]
            assert all(CANARY not in text for text in told), (elements[0], place)
    assert CANARY not in caplog.text


def said_of(data: bytes) -> list[str]:
    """What is told of a document: first its findings, or why it is none, then what its acknowledgement and its conversion say."""
    try:
        document = x12.parse(data)
    except FormatError as refused:
        return [str(refused)]
    findings = x12.validate(document)
    places = [f"{f.code} {f.text} {f.location} {f.segment} {f.loop} {f.element_number}" for f in findings]
    told = ["\n".join(places)]
    try:
        told.append(x12.acknowledge(document, findings, control_number=1, now=NOON).text)
        x12.convert(document)
    except FormatError as refused:
        told.append(str(refused))
    return told
