"""Supply documents with anything wrong in them: checks never raise, conversions refuse by name, both in bounded time."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.formats import x12
from hilum.formats.canonical import as_json
from hilum.formats.findings import FormatError

SAMPLES = sorted((Path(__file__).parent / "samples" / "supply").glob("*.edi"))
TEXTS = [path.read_text() for path in SAMPLES]
SEGMENTS = sorted({segment for text in TEXTS for segment in text.split("~\n")[2:-3] if segment})
ODD = st.sampled_from(
    ["", "*", "-1", "1E9", "999999999999999999", "ZZ", "I", "0", "20261399", "~", "**", "1:2:3", "\u00e9", " "]
)


@st.composite
def bent(draw: st.DrawFn) -> bytes:
    """A sample with segments dropped, doubled, moved, borrowed from other sets, and elements changed."""
    lines = draw(st.sampled_from(TEXTS)).split("~\n")
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(2, len(lines) - 3))
        match draw(st.sampled_from(["drop", "double", "move", "borrow", "change", "change"])):
            case "drop" if len(lines) > 8:
                del lines[at]
            case "double":
                lines.insert(at, lines[at])
            case "move" if len(lines) > 8:
                lines.insert(draw(st.integers(2, len(lines) - 4)), lines.pop(at))
            case "borrow":
                lines.insert(at, draw(st.sampled_from(SEGMENTS)))
            case _:
                parts = lines[at].split("*")
                parts[draw(st.integers(0, len(parts) - 1))] = draw(ODD)
                lines[at] = "*".join(parts)
    return "~\n".join(lines).encode()


@settings(max_examples=250, deadline=None)
@given(bent())
def test_whatever_is_wrong_only_typed_findings_come_out(data: bytes):
    document = x12.parse(data)
    assert x12.write(document) == data
    for finding in x12.validate(document):
        assert finding.code
        assert finding.text
    for transaction in document.transactions:
        try:
            told = x12.convert_transaction(transaction)
        except FormatError as refused:
            assert refused.text
        else:
            assert [as_json(one) for one in told]


def interchange(set_id: str, functional_id: str, body: list[str]) -> x12.Document:
    envelope = TEXTS[0].split("~\n")
    group = f"GS*{functional_id}*A*B*20261121*1130*1*X*004010"
    lines = [
        envelope[0],
        group,
        f"ST*{set_id}*0001",
        *body,
        f"SE*{len(body) + 2}*0001",
        "GE*1*1",
        "IEA*1*000000001",
        "",
    ]
    return x12.parse("~\n".join(lines).encode())


MANY = 4000
LONG = {
    "856 each level stands in the one before": (
        "856",
        "SH",
        ["BSN*00*SH-1*20261121*1130", "HL*1**S*1"]
        + [
            line
            for n in range(2, MANY)
            for line in (f"HL*{n}*{n - 1}*{'IPTO'[n % 4]}", f"LIN*{n}*VN*KNEE-99", "SN1**1*EA")
        ],
    ),
    "856 every level has the same number": (
        "856",
        "SH",
        ["BSN*00*SH-1*20261121*1130"] + ["HL*1*1*I", "LIN*1*VN*KNEE-99", "SN1**1*EA"] * MANY,
    ),
    "850 every line has the same number": (
        "850",
        "PO",
        ["BEG*00*SA*PO-1**20261121"] + ["PO1*1*1*EA*1.005*PE*UP*1"] * MANY + ["AMT*TT*9"],
    ),
    "855 every answer is wrong": (
        "855",
        "PR",
        ["BAK*00*AD*PO-1*20261121", "PO1*1*1*EA"] + ["ACK*IR*2*EA"] * MANY,
    ),
    "810 every line has allowances and taxes": (
        "810",
        "IN",
        ["BIG*20261121*I-1"] + ["IT1*1*1*EA*1.005", "TXI*ST*1", "SAC*A*C310***1"] * MANY + ["TDS*9"],
    ),
}


@pytest.mark.parametrize(("set_id", "functional_id", "body"), LONG.values(), ids=LONG)
def test_a_long_document_takes_time_in_proportion(set_id: str, functional_id: str, body: list[str]):
    document = interchange(set_id, functional_id, body)
    started = time.process_time()
    assert len(x12.validate(document)) <= 500
    try:
        x12.convert(document)
    except FormatError as refused:
        assert refused.text
    assert time.process_time() - started < 3
