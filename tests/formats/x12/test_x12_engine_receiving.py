"""A file that is read for its acknowledgement earns the same one as when it is held whole, and holds little of it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from hilum.formats import x12

NOON = datetime(2026, 3, 1, 12, 0)
SAMPLES = sorted((Path(__file__).parent / "samples").rglob("*.edi"))


def chunks(data: bytes) -> list[bytes]:
    return [data[at : at + 700] for at in range(0, len(data), 700)]


def answer(document: x12.Document, findings: list[x12.X12Finding]) -> bytes:
    return x12.write(x12.acknowledge(document, findings, control_number=7, now=NOON))


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
@pytest.mark.parametrize("spoil", ["as it is", "a date that is none", "a count that is wrong", "cut off"])
def test_the_answer_is_that_of_the_whole_document(path: Path, spoil: str):
    data = path.read_bytes()
    if spoil == "a date that is none":
        data = data.replace(b"*2026", b"*20AB")
    elif spoil == "a count that is wrong":
        data = data.replace(b"SE*", b"SE*9")
    elif spoil == "cut off":
        data = data[: len(data) * 2 // 3]
    document = x12.parse(data)
    findings = [*document.envelope_findings, *(f for t in document.transactions for f in x12.check(t))]
    kept, told = x12.received(chunks(data))
    assert answer(kept, told) == answer(document, findings)
    assert sorted(map(str, told)) == sorted(map(str, findings))


def test_what_is_well_is_not_kept():
    data = next(path for path in SAMPLES if path.stem == "835").read_bytes()
    kept, findings = x12.received(chunks(data))
    assert not [f for f in findings if f.severity == "error"]
    assert [segment[0] for segment in kept.transactions[0].segments] == ["ST", "SE"]
    assert kept.transactions[0].root is None
