"""Lakeshore's mappings where a wrong reading would be wrong money."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from hilum.governance.loader import load_estate
from hilum.processes.implant_usage import ImplantUsed
from hilum.runtime.reception import Reader, Reception

LAKESHORE = Path(__file__).parents[2] / "estates" / "lakeshore"


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader(load_estate(LAKESHORE))


def charged(reader: Reader, **changed: str) -> Reception:
    raw = (LAKESHORE / "samples" / "implants_charged.hl7").read_text()
    for old, new in changed.items():
        raw = raw.replace(f"|{old}|", f"|{new}|")
    return reader.hl7("ehr", "mllp", "peer", raw.replace("\n", "\r").encode())[0]


def scanned(reader: Reader, used_at: str) -> Reception:
    report = orjson.loads((LAKESHORE / "samples" / "implant_scanned.json").read_bytes())
    return reader.json("stock", "webhook", "peer", orjson.dumps({**report, "used_at": used_at}), "type")


@pytest.mark.parametrize("kind", ["CR", "PY", "AJ", "CO"])
def test_a_credit_or_payment_is_no_usage_and_is_refused(reader: Reader, kind: str) -> None:
    assert charged(reader).problem is None
    refused = charged(reader, CG=kind)
    assert refused.problem is not None and refused.problem.text == "FT1-6 is not CG"
    assert refused.events == []


def test_a_scan_near_midnight_in_utc_is_of_the_hospitals_day(reader: Reader) -> None:
    [event] = scanned(reader, "2026-12-01T02:30:00Z").events
    assert ImplantUsed.model_validate_json(event.payload).used_at.isoformat() == "2026-11-30T20:30:00-06:00"


def test_a_scan_whose_time_has_no_zone_is_refused(reader: Reader) -> None:
    refused = scanned(reader, "2026-12-01T02:30:00")
    assert refused.problem is not None and refused.problem.text.startswith("used_at: ")
