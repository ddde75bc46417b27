"""Answers about claims: what a 999 and a 277CA say together of each claim that was sent."""

from __future__ import annotations

from datetime import datetime

import pytest

from hilum.formats import x12
from hilum.formats.canonical import as_json

NOON = datetime(2026, 3, 1, 12, 0)
HERE, THERE = ("ZZ", "STMARY"), ("ZZ", "LAKESHORE")
NAMES = [
    ["NM1", "41", "2", "ST MARY HOSPITAL", None, None, None, None, "46", "STMARY"],
    ["PER", "IC", "BILLING OFFICE", "TE", "3125550111"],
    ["NM1", "40", "2", "LAKESHORE HEALTH PLAN", None, None, None, None, "46", "LAKESHORE"],
]
PROVIDERS = {"HIP-CLINIC": "1234567893", "KNEE-CLINIC": "1987654328"}


def claim(number: str, charge: str = "100") -> list:
    return [
        ["CLM", number, charge, None, None, ("11", "B", "1"), "Y", "A", "Y", "Y"],
        ["HI", ("ABK", "M1711")],
        ["LX", "1"],
        ["SV1", ("HC", "99213"), "100", "UN", "1", None, None, ("1",)],
        ["DTP", "472", "D8", "20260210"],
    ]


def part(number: int, provider: str, *claims: list) -> list:
    """A provider's part of a claim file, with one subscriber who is the patient."""
    return [
        ["HL", str(number), None, "20", "1"],
        ["NM1", "85", "2", provider, None, None, None, None, "XX", PROVIDERS[provider]],
        ["N3", "2 HARBOR STREET"],
        ["N4", "CHICAGO", "IL", "606010001"],
        ["REF", "EI", "123456789"],
        ["HL", str(number + 1), str(number), "22", "0"],
        ["SBR", "P", "18", None, None, None, None, None, None, "CI"],
        ["NM1", "IL", "1", "DOE", "JANE", None, None, None, "MI", "W7"],
        ["N3", "1 MAIN STREET"],
        ["N4", "CHICAGO", "IL", "60601"],
        ["DMG", "D8", "19700402", "F"],
        ["NM1", "PR", "2", "LAKESHORE HEALTH PLAN", None, None, None, None, "PI", "LAKESHORE"],
        *(segment for one in claims for segment in one),
    ]


def sent(*files: tuple[str, list]) -> x12.Document:
    """837s, each with its BHT03."""
    made = [
        x12.NewTransaction(
            set_id="837",
            segments=[["BHT", "0019", "00", batch, "20260301", "1200", "CH"], *NAMES, *parts],
            convention="005010X222A1",
        )
        for batch, parts in files
    ]
    group = x12.NewGroup(functional_id="HC", version="005010X222A1", transactions=made)
    return x12.build([group], sender=HERE, receiver=THERE, control_number=42, now=NOON)


def answer_999(document: x12.Document) -> x12.Document:
    return x12.acknowledge(document, x12.validate(document), control_number=7, now=NOON)


def answer_277ca(batch: str, status: str, *parts: list) -> x12.Document:
    segments = [
        ["BHT", "0085", "08", "R1", "20260302", "0900", "TH"],
        ["HL", "1", None, "20", "1"],
        ["NM1", "PR", "2", "LAKESHORE HEALTH PLAN", None, None, None, None, "PI", "LAKESHORE"],
        ["TRN", "1", "R1"],
        ["DTP", "050", "D8", "20260302"],
        ["DTP", "009", "D8", "20260302"],
        ["HL", "2", "1", "21", "1" if parts else "0"],
        ["NM1", "41", "2", "ST MARY HOSPITAL", None, None, None, None, "46", "STMARY"],
        ["TRN", "2", batch],
        ["STC", (status, "19"), "20260302", "U" if status in ("A3", "A8") else "WQ", "300"],
        *(segment for one in parts for segment in one),
    ]
    made = x12.NewTransaction(set_id="277", segments=segments, convention="005010X214")
    group = x12.NewGroup(functional_id="HN", version="005010X214", transactions=[made])
    return x12.build([group], sender=THERE, receiver=HERE, control_number=9, now=NOON)


def answered_part(number: int, provider: str, status: str, claims: dict[str, str]) -> list:
    lines = [
        ["HL", str(number), "2", "19", "1" if claims else "0"],
        ["NM1", "85", "2", provider, None, None, None, None, "XX", PROVIDERS[provider]],
        ["TRN", "1", "0"],
        ["STC", (status, "19"), None, "WQ" if status == "A1" else "U", "100"],
    ]
    for at, (claim_number, said) in enumerate(claims.items(), number + 1):
        lines += [
            ["HL", str(at), str(number), "PT"],
            ["NM1", "QC", "1", "DOE", "JANE", None, None, None, "MI", "W7"],
            ["TRN", "2", claim_number],
            ["STC", (said, "20"), "20260302", "WQ" if said == "A2" else "U", "100"],
            *([["REF", "1K", f"ICN-{claim_number}"]] if said == "A2" else []),
            ["DTP", "472", "D8", "20260210"],
        ]
    return lines


FILE = sent(
    ("BATCH-1", part(1, "HIP-CLINIC", claim("HIP-1"), claim("HIP-2"))),
    ("BATCH-2", [*part(1, "KNEE-CLINIC", claim("KNEE-1"))]),
)


def told(outcomes: tuple[x12.ClaimOutcome, ...]) -> list[tuple[str, bool | None, str | None, str | None]]:
    return [(one.claim, one.accepted, one.answered_by, one.code) for one in outcomes]


def test_an_accepted_file_says_nothing_yet_of_its_claims():
    assert told(x12.match_claims([answer_999(FILE)], FILE)) == [
        ("HIP-1", None, None, None),
        ("HIP-2", None, None, None),
        ("KNEE-1", None, None, None),
    ]


def test_a_277ca_decides_claim_by_claim():
    status = answer_277ca("BATCH-1", "A1", answered_part(3, "HIP-CLINIC", "A1", {"HIP-1": "A2", "HIP-2": "A7"}))
    assert x12.validate(status) == []
    outcomes = x12.match_claims([answer_999(FILE), status], FILE)
    assert told(outcomes) == [
        ("HIP-1", True, "claim", "A2"),
        ("HIP-2", False, "claim", "A7"),
        ("KNEE-1", None, None, None),
    ]
    assert (outcomes[0].payer_reference, outcomes[1].reasons) == ("ICN-HIP-1", ("A7:20",))


def test_a_provider_or_a_file_refused_refuses_its_claims_and_no_others():
    refused = answer_277ca("BATCH-1", "A1", answered_part(3, "HIP-CLINIC", "A8", {}))
    assert x12.validate(refused) == []
    assert told(x12.match_claims([refused], FILE)) == [
        ("HIP-1", False, "provider", "A8"),
        ("HIP-2", False, "provider", "A8"),
        ("KNEE-1", None, None, None),
    ]
    assert told(x12.match_claims([answer_277ca("BATCH-2", "A3")], FILE))[2] == ("KNEE-1", False, "transaction", "A3")


def test_a_claim_that_an_accepting_277ca_leaves_out_is_not_accepted_yet():
    status = answer_277ca("BATCH-1", "A1", answered_part(3, "HIP-CLINIC", "A1", {"HIP-1": "A2"}))
    assert [one.accepted for one in x12.match_claims([status], FILE)] == [True, None, None]


def test_claims_of_one_number_in_two_files_are_told_apart():
    file = sent(("BATCH-1", part(1, "HIP-CLINIC", claim("HIP-1"))), ("BATCH-2", part(1, "HIP-CLINIC", claim("HIP-1"))))
    status = answer_277ca("BATCH-2", "A1", answered_part(3, "HIP-CLINIC", "A1", {"HIP-1": "A2"}))
    assert [one.accepted for one in x12.match_claims([status], file)] == [None, True]


@pytest.mark.parametrize(
    ("trailer", "damaged", "level"),
    [("SE*", "SE*9", "transaction"), ("GE*1*", "GE*7*", "transaction"), ("IEA*1*", "IEA*7*", "interchange")],
)
def test_a_file_refused_at_any_level_refuses_its_claims(trailer: str, damaged: str, level: str):
    file = sent(("BATCH-1", part(1, "HIP-CLINIC", claim("HIP-1"))))
    received = x12.parse(file.text.replace(f"\n{trailer}", f"\n{damaged}").encode())
    (outcome,) = x12.match_claims([answer_999(received)], file)
    assert (outcome.accepted, outcome.answered_by) == (False, level)


def test_a_999_tells_in_which_claims_it_found_something():
    file = sent(("BATCH-1", part(1, "HIP-CLINIC", claim("HIP-1"), claim("HIP-2", charge="1OO"))))
    (answered,) = x12.convert(answer_999(file))
    claims = [item for item in as_json(answered)["items"] if item["level"] == "claim"]
    assert [(item["reference"], item["accepted"], item["code"]) for item in claims] == [("HIP-2", False, "R")]
    assert claims[0]["reasons"] == ["CLM 23: 8", "CLM 23 element 2: 6"]
