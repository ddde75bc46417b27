"""Whatever happens to a health care file on its way, checking it gives findings and converting it documents or a FormatError."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hilum.formats import x12
from hilum.formats.findings import FormatError

SAMPLES = Path(__file__).parent / "samples" / "hipaa"
NAMES = sorted(path.name for path in SAMPLES.glob("*.edi"))
PIECES = [
    "",
    "-",
    ".",
    "0",
    "-0.00",
    "1E9",
    "9" * 400,
    "-99999999999999999999.9999999999",
    "\u00b2",
    "\u0661\u0662",
    "NaN",
    "Infinity",
    ":",
    ":::",
    "11:A:7",
    "ABK:",
    "20260231",
    "20260101-",
    "18",
    "XX",
    "U",
    "\x00",
]


def damaged(text: str, seed: int, wounds: int) -> bytes:
    """A sample with segments lost, doubled and swapped, and elements replaced."""
    chance = random.Random(seed)
    segments = text.split("~\n")
    for _ in range(wounds):
        at = chance.randrange(1, len(segments) - 1)
        kind = chance.randrange(6)
        if kind == 0:
            del segments[at]
        elif kind == 1:
            segments.insert(at, segments[at])
        elif kind == 2:
            other = chance.randrange(1, len(segments) - 1)
            segments[at], segments[other] = segments[other], segments[at]
        else:
            elements = segments[at].split("*")
            place = chance.randrange(len(elements) + 1)
            piece = chance.choice(PIECES)
            if place >= len(elements):
                elements.append(piece)
            elif place:
                elements[place] = piece
            segments[at] = "*".join(elements)
        if len(segments) < 6:
            break
    return "~\n".join(segments).encode()


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32), wounds=st.integers(1, 12))
def test_a_damaged_file_is_checked_and_converted_without_a_crash(name: str, seed: int, wounds: int):
    data = damaged((SAMPLES / name).read_text(), seed, wounds)
    try:
        document = x12.parse(data)
    except x12.X12Error:
        return
    assert all(isinstance(found, x12.X12Finding) for found in x12.validate(document))
    try:
        x12.convert(document)
    except FormatError as missing:
        assert missing.text
    assert x12.write(document) == data


def test_a_remittance_of_2500_claims_is_checked_in_line_with_its_size():
    lines = (SAMPLES / "835.edi").read_text().splitlines(keepends=True)
    first = next(at for at, line in enumerate(lines) if line.startswith("CLP*KNEE"))
    last = next(at for at, line in enumerate(lines) if line.startswith("CLP*HIP"))
    data = "".join(lines[:first] + lines[first:last] * 2500 + lines[last:]).encode()
    findings = x12.validate(x12.parse(data))
    assert {found.code for found in findings} == {"4", "835-transaction-balance"}
    for found in findings:
        if found.code == "835-transaction-balance":
            assert f"by -{265.25 * 2499}" in found.text
