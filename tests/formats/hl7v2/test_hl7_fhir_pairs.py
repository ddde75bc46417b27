"""Values that public test suites expect in FHIR are the values that we read from the message beside it.

Each suite maps with its own templates, so this compares values, not resources: what the paths below give must be said
somewhere in the expected bundle, as a text (whatever its case), a date of the same precision or the same moment, a number of
the same value, or a telephone number of the same digits. Left out is what the templates do not carry over as it is:
- PID-8, PV1-2 and PID-15, whose codes become FHIR's own (M: male); they are compared by ``CODES``,
- MSH-3 to MSH-6, PID-13.1, OBR-4.2, OBX-3.2, NTE-3 and ORC-12 where a suite maps them by rules of its own (a sender's name for
  ReportStream itself, texts replaced by those of a terminology, a telephone number's parts joined with an extension),
- OBX-7, PV1-3 and FT1-11, which are taken apart in ways that the bundles do not agree on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import pytest

from hilum.formats import hl7v2
from hilum.formats.hl7v2 import Message

CORPUS = Path(__file__).parents[3].parent / "shared" / "data" / "hl7v2"
REPORTSTREAM = sorted((CORPUS / "prime-reportstream").rglob("*.fhir"))
MICROSOFT = sorted((CORPUS / "ms-fhir-converter" / "expected-fhir").glob("*.json"))

needs_corpus = pytest.mark.skipif(not REPORTSTREAM, reason="the corpus shared/data/hl7v2 is not beside this checkout")

# ``*`` stands for every repetition.
SHARED = """
MSH-10 MSH-7.1 PID-3[*].1 PID-3[*].4.1 PID-3[*].5 PID-5[*].1.1 PID-5[*].2 PID-5[*].3 PID-5[*].5 PID-7.1 PID-8 PID-10[*].1
PID-11[*].1.1 PID-11[*].2 PID-11[*].3 PID-11[*].4 PID-11[*].5 PID-11[*].6 PID-15.1 PID-16.1 PID-18.1 PID-29.1 NK1-2[*].1.1
NK1-2[*].2 OBR-2.1 OBR-3.1 OBR-4.1 OBR-7.1 OBR-22.1 OBX-3.1 OBX-5.1 SPM-2.1.1 SPM-2.2.1 SPM-4.1 ORC-2.1 ORC-3.1
"""
OF_MICROSOFT = """
PV1-19.1 PV1-2 PV1-3.4.1 PV1-7[*].1 PV1-7[*].2 PV1-44.1 PV1-45.1 FT1-2.1 FT1-4.1 FT1-7.1 FT1-10 IN1-3.1 IN1-4.1 IN1-36 GT1-3.1.1
DG1-3.1 DG1-3.2 AL1-3.1 AL1-3.2 RXA-5.1 RXA-5.2 RXE-2.1 RXE-2.2 SCH-1.1 SCH-2.1 TXA-12.1 RF1-6.1 MRG-1.1 MSH-3.1 MSH-4.1
"""

CODES = {
    "PID-8": {"F": "female", "M": "male", "O": "other", "U": "unknown", "A": "other", "N": "other"},
    "PID-15.1": {"ara": "ar"},
    "PV1-2": {
        "I": "IMP",
        "O": "AMB",
        "E": "EMER",
        "P": "PRENC",
        "R": "AMB",
        "B": "IMP",
        "C": "AMB",
        "N": "AMB",
        "U": "AMB",
    },
}
_WRITTEN = "the message was written from the bundle for a receiver whose settings add PI"
_MERGED = "the template keeps only the numbers of a merged patient"
_NO_ORDER = "the template makes no order of a message without ORC"
_NOT_MAPPED = "the template maps the first observation only, or not one of this type"
# Values that the bundle does not have: by file, and the segment or path.
DIFFERENT = {
    **{
        (f"sample_{name}.hl7", "PID-3.5"): _WRITTEN
        for name in ("AL_20240624-0001", "HI_20240304-0001", "ID_20240624-0001", "IL_20240802-0001", "IN_20240618-0001", "LA_20240806-0001")
    },
    ("ADT-A40-01.hl7", "PID"): _MERGED,
    **{("MDHHS-OML-O21-1.hl7", name): _NO_ORDER for name in ("OBR", "OBX", "SPM", "DG1")},
    ("MDM-T02-01.hl7", "OBX-5.1"): _NOT_MAPPED,
    ("ORU-R01-01.hl7", "OBX(2)-5.1"): _NOT_MAPPED,
    ("VXU-V04-01.hl7", "OBX(2)-3.1"): _NOT_MAPPED,
    ("VXU-V04-01.hl7", "OBX(3)-3.1"): _NOT_MAPPED,
}  # fmt: skip


def test_there_are_no_pairs_without_the_corpus_and_many_with_it():
    if not REPORTSTREAM:
        pytest.skip("the corpus shared/data/hl7v2 is not beside this checkout")
    assert (len(REPORTSTREAM), len(MICROSOFT)) == (87, 18)


@needs_corpus
@pytest.mark.parametrize("path", REPORTSTREAM, ids=lambda path: path.stem)
def test_reportstream_expects_what_we_read(path):
    compared = compare(path.with_suffix(".hl7"), path, SHARED.split())

    assert compared >= 2


@needs_corpus
@pytest.mark.parametrize("path", MICROSOFT, ids=lambda path: path.stem)
def test_the_fhir_converter_expects_what_we_read(path):
    message = path.parents[1] / path.name.replace("-expected.json", ".hl7")

    assert compare(message, path, (SHARED + OF_MICROSOFT).split()) >= 8


def compare(source: Path, expected: Path, paths: list[str]) -> int:
    message = hl7v2.parse(source.read_bytes())
    assert isinstance(message, Message)
    said = list(leaves(json.loads(expected.read_text("utf-8-sig"))))
    texts = {text.strip().lower() for text in said}
    compared = 0
    missing = []
    for path in paths:
        for where, value in values(message, path):
            compared += 1
            value = CODES.get(path, {}).get(value, value)
            if value.strip().lower() in texts or any(same(value, text) for text in said):
                continue
            missing.append((where, value))
    excused = tuple(where for name, where in DIFFERENT if name == source.name)
    assert [(where, value) for where, value in missing if not where.startswith(excused)] == []
    # A reason that no longer holds is taken off the list.
    assert all(any(where.startswith(place) for where, _ in missing) for place in excused)
    return compared


def leaves(node: Any) -> Iterator[str]:
    if isinstance(node, (dict, list)):
        for part in node.values() if isinstance(node, dict) else node:
            yield from leaves(part)
    elif node is not None:
        yield str(node)


def values(message: Message, path: str) -> Iterator[tuple[str, str]]:
    name, place = path.split("-", 1)
    for segment in message.segments(name):
        count = segment.repetitions(place.partition("[")[0]) if "*" in place else 1
        for repetition in range(1, count + 1):
            here = place.replace("*", str(repetition))
            value = segment.get(here)
            if value is not None:
                yield segment.path(here), value


def same(value: str, text: str) -> bool:
    """The same date or moment, the same number, the same authority in a URI (``urn:id:ST_MARY``, ``.../Identifier/ST-MARY``)."""
    if text.startswith(("urn:", "http")) and re.split("[:/]", text)[-1].replace("_", " ").replace("-", " ") == value:
        return True
    if re.fullmatch(r"\d{4,14}(\.\d+)?([+-]\d{4})?", value) and re.match(r"\d{4}(-\d\d|$)", text):
        return same_moment(value, text)
    try:
        return Decimal(value) == Decimal(text)
    except InvalidOperation:
        return False


def same_moment(value: str, text: str) -> bool:
    digits = re.sub(r"[+-]\d{4}$", "", value).partition(".")[0]
    shown = re.sub(r"(\.\d+)?(Z|[+-]\d\d:\d\d)?$", "", text) if "T" in text else text
    if re.sub(r"\D", "", shown).startswith(digits[:12]) or (
        len(digits) >= 8 and "T" not in text and digits[:8] == shown.replace("-", "")
    ):
        return True
    if not re.search(r"[+-]\d{4}$", value) or "T" not in text:
        return False
    try:
        # The bundle may tell the same moment in another zone.
        return hl7v2.parse_timestamp(value, UTC) == datetime.fromisoformat(text)
    except (ValueError, TypeError):
        return False
