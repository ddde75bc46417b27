"""Real health care files from public test suites, kept beside the checkout: read, written back, checked, converted."""

from __future__ import annotations

import csv
import re
from decimal import Decimal
from pathlib import Path

import pytest

from hilum.formats import x12
from hilum.formats.canonical import Acknowledgement, Claim, Remittance
from hilum.formats.findings import FormatError

CORPUS = Path(__file__).parents[3].parent / "shared" / "data" / "x12-hipaa"
FILES = (
    sorted(path for path in CORPUS.rglob("*") if path.is_file() and path.suffix not in (".csv", ".md"))
    if CORPUS.is_dir()
    else []
)
needs_corpus = pytest.mark.skipif(not FILES, reason="the corpus shared/data/x12-hipaa is not beside this checkout")

FRAGMENT = "keironstoddart-835/test_edi_835_files/blue_cross_nc_sample.txt"
REFUSED = {
    "imsweb/837_5010/x12_no_isa_line.txt",  # It begins with a GS.
    FRAGMENT,  # ST to SE without an envelope.
}

# Files of suites whose files are called valid, and why we find errors in them all the same: (codes, reason).
SEPARATOR = "components are separated by > and ISA16 says :"
LFH_835 = "X221A1 requires the payer's technical contact (PER with BL)"
DISAGREED = {
    "lfh-x12/271_005010X279A1/subscriber-health-benefit-check-error.271": ({"3"}, "SE02 is not ST02"),
    "lfh-x12/834_005010X220A1/enroll-employee-managed-care.834": (
        {"I6"},
        "DTP01 is 358; stupidedi's copy of the same example has 356",
    ),
    "lfh-x12/835_005010X221A1/cob-contractural-adjustment.835": (
        {"1", "3", "5", "I6"},
        f"{LFH_835}; the date stands in BPR15; {SEPARATOR}",
    ),
    "lfh-x12/835_005010X221A1/managed-care.835": ({"3", "8"}, f"{LFH_835}; BPR16 is no date"),
    "lfh-x12/835_005010X221A1/medicare-part-a.835": ({"3", "I10"}, f"{LFH_835}; TS309 and TS311 left with 4010"),
    "lfh-x12/835_005010X221A1/secondary-payment.835": (
        {"1", "3", "5", "I6"},
        f"{LFH_835}; the date stands in BPR15; {SEPARATOR}",
    ),
    "lfh-x12/835_005010X221A1/tertiary-payment.835": (
        {"1", "3", "4", "835-claim-services", "835-service-balance"},
        f"{LFH_835}; SVC01 is split at an element separator, so that the procedure is read as the charge",
    ),
    "lfh-x12/837_004010X096A1/automobile-accident.837": ({"5"}, "two HI with BK where there is one"),
    "lfh-x12/837_004010X096A1/homeowners.837": ({"I6"}, "BF stands in the HI of the principal diagnosis"),
    "lfh-x12/837_004010X096A1/institutional-ppo-repriced.837": ({"8"}, "the admission has a date in the format DT"),
    "lfh-x12/837_004010X096A1/institutional.837": ({"1", "I10"}, "DMG without a birth date, SBR05 of other sets"),
    "lfh-x12/837_004010X098A1/dependent-commercial-insurance-01.837": (
        {"5", "I10"},
        "CLM05-3 is 1.00, CR2 has what X098A1 does not use",
    ),
    "lfh-x12/837_005010X222A2/demo.ambulance.example5.837": ({"1"}, "CLM05-2 is required"),
    "lfh-x12/837_005010X222A2/demo.cob.example3.A.837": ({"I7"}, "another subscriber without another payer (2330B)"),
    "lfh-x12/837_005010X222A2/demo.cob.example4.837": (
        {"2", "3", "4", "7", "I6", "I7"},
        "AMT with F2 left with 4010, and what follows it in its loop hangs in the air",
    ),
    "lfh-x12/837_005010X223A3/institutional-claim.837i": ({"I10", "I6"}, "CLM06 and the DTP of 4010"),
    "lfh-x12/837_005010X223A3/two-claims-single-provider.837i": ({"I10"}, "CLM06 left with 4010"),
    **{
        f"lfh-x12/837_005010X222A2/demo.{name}.837": (
            {"1", "2", "3", "5", "6", "837-diagnosis-pointer", "I6"},
            SEPARATOR,
        )
        for name in ("cob.2ndary.example4", "example6", "example9", "example11", "example12")
    },
    **{
        f"lfh-x12/837_005010X223A3/{name}.837i": ({"1", "2", "3", "5", "I10", "I6"}, f"CLM06 of 4010; {SEPARATOR}")
        for name in ("out-of-network-repriced-claim", "ppo-repriced-claim")
    },
    "tigershark/837-example.txt": ({"5"}, "N402 has three letters"),
    "moov/example_5010_837p/sample.txt": ({"837-diagnosis-pointer"}, "a second pointer and one diagnosis"),
    "moov/example_5010_835/sample1.txt": (
        {"835-claim-balance", "835-negative-payment"},
        "a claim is a cent off, and BPR02 is negative where X221 wants zero and a balance forward",
    ),
    "stupidedi/005010/X218 RA820 Payroll Deducted and Other Group Premium Payment for Insurance Products/pass/"
    "summary-bill-payment.edi": ({"820-total"}, "16500 and 250 are not 19000: a zero fell off 2500"),
}
LOST_LINES = {
    "lfh-x12/837_005010X222A2/demo.cob.example4.837": 1,  # It hangs in the air, see above.
    "imsweb/837_5010/x12_missing_required_loops_mult_repeats.txt": 2,  # Two SV1 without an LX.
}
VALID = [path for path in FILES if path.relative_to(CORPUS).parts[0] in {"lfh-x12", "stupidedi", "tigershark", "moov"}]


def name_of(path: Path) -> str:
    return path.relative_to(CORPUS).as_posix()


def read(name: str) -> x12.Document:
    return x12.parse((CORPUS / name).read_bytes())


def errors(document: x12.Document) -> list[x12.X12Finding]:
    return [found for found in x12.validate(document) if found.severity == "error"]


@needs_corpus
def test_the_corpus_is_all_there():
    assert len(FILES) > 150


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_real_file_is_read_and_written_back(path: Path):
    data = path.read_bytes()
    if name_of(path) in REFUSED:
        with pytest.raises(x12.X12Error):
            x12.parse(data)
    else:
        assert x12.write(x12.parse(data)) == data


@pytest.mark.parametrize("path", VALID, ids=name_of)
def test_a_file_that_is_called_valid_is(path: Path):
    expected, _ = DISAGREED.get(name_of(path), (set(), ""))
    found = {finding.code for finding in errors(read(name_of(path)))}
    assert found <= expected
    assert bool(found) == bool(expected), "what we disagreed about is gone: take it off the list"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_findings_of_a_real_file_say_nothing_of_its_people(path: Path):
    if name_of(path) in REFUSED:
        return
    document = x12.parse(path.read_bytes())
    people = {
        segment[at]
        for transaction in document.transactions
        for segment in transaction.segments
        if segment[0] == "NM1"
        for at in (3, 4, 9)
        if len(segment) > at and len(segment[at]) > 5
    }
    for found in x12.validate(document):
        assert not any(word in found.text for word in people)


# --- imsweb: EXPECTED.md ----------------------------------------------------------------------------------------------
# All of its 837s have SE01 = 25 whatever their length, so each gives a wrong count (code 4) but where 25 is right. Its
# authors look at segments and required elements only: HI*BK*8901, charges that are not their lines' and an HL numbered
# twice are valid to them and errors to us, so only what they look at is compared: findings about segments and loops.


def structure(name: str) -> list[tuple[str, str | None, str | None]]:
    """(code, loop, segment) of errors about segments, without the situations that imsweb does not look at and without HI."""
    return [
        (found.code, found.loop, found.segment)
        for found in errors(read(f"imsweb/837_5010/{name}.txt"))
        if found.level == "segment" and found.snip < 4 and found.segment != "HI"
    ]


IMSWEB = {
    "x12_valid": [],
    "x12_no_errors": [],
    "x12_multiple_gs": [],
    "x12_multiple_isa": [],
    "x12_multiple_st": [],
    "x12_valid_different_separators": [],
    # The segment they cannot match is the NM1 with 117, and the loop it should have opened is missing.
    "x12_bad_valid_code": [("I7", "2000A", "NM1"), ("2", "2000A", "NM1")],
    "x12_segment_errors": [("3", "2010AA", "N3"), ("5", "2010AA", "REF")],
    "x12_bad_segment_identifier": [
        ("1", "1000A", "?"),
        ("3", "1000A", "PER"),
        ("1", "2010AA", "Nd4"),
        ("3", "2010AA", "N4"),
        ("1", "2000B", "?"),
        ("I7", "2000B", "NM1"),
    ],
    "x12_missing_elements": [],
    "x12_loop_errors1_exceeds_max_1_parent": [("4", "2000A", "NM1")],
    "x12_loop_errors2_exceeds_max_repeats_multiple_parents": [("4", "2000A", "NM1")],
    "x12_loop_errors3_missing_loops": [("I7", "2000A", "NM1")],
    "x12_missing_required_loop_in_one_repeat": [("I7", "2000B", "NM1")],
    "x12_missing_required_loops_mult_repeats": [
        ("2", "2300", "SV1"),
        ("2", "2300", "DTP"),
        ("I7", "2300", "LX"),
        ("2", "2300", "SV1"),
        ("2", "2300", "DTP"),
        ("I7", "2300", "LX"),
    ],
}


@needs_corpus
@pytest.mark.parametrize("name", IMSWEB)
def test_imsweb_finds_the_same_in_the_structure(name: str):
    assert structure(name) == IMSWEB[name]


@needs_corpus
@pytest.mark.parametrize("name", IMSWEB)
def test_imsweb_cannot_count(name: str):
    counted = [found for found in errors(read(f"imsweb/837_5010/{name}.txt")) if found.location == "SE01"]
    assert counted
    assert {found.code for found in counted} == {"4"}


@needs_corpus
def test_imsweb_misses_two_elements():
    missing = [(f.loop, f.location) for f in errors(read("imsweb/837_5010/x12_missing_elements.txt")) if f.code == "1"]
    assert {("1000B", "NM102"), ("2300", "CLM05")} <= set(missing)


@needs_corpus
def test_imsweb_misses_the_diagnosis_too():
    found = errors(read("imsweb/837_5010/x12_segment_errors.txt"))
    assert ("3", "2300", "HI") in [(f.code, f.loop, f.segment) for f in found]


@needs_corpus
def test_a_short_isa_is_read_with_a_warning():
    """imsweb refuses ISA02 with nine characters; we are asked to read unpadded ISAs, and say so (TA105 011)."""
    found = x12.validate(read("imsweb/837_5010/x12_bad_first_line.txt"))
    assert ("011", "ISA02") in [(f.code, f.location) for f in found]


@needs_corpus
@pytest.mark.parametrize(
    ("name", "transactions", "claims", "charges"),
    [("x12_many_claims", 1, 820, "410000.00"), ("x12_multiple_transactions", 312, 624, "312000.00")],
)
def test_imsweb_counts_claims_and_charges_as_we_do(name: str, transactions: int, claims: int, charges: str):
    document = read(f"imsweb/837_5010/{name}.txt")
    found = [claim for claim in x12.convert(document) if isinstance(claim, Claim)]
    assert (len(document.transactions), len(found)) == (transactions, claims)
    assert sum(claim.charge for claim in found) == Decimal(charges)


@needs_corpus
@pytest.mark.parametrize(
    ("name", "items"),
    [
        ("accepted", [("transaction", "A1:20", True, None), ("claim", "A2:20", True, "125.0")]),
        ("rejected", [("transaction", "A1:20", True, "199.14"), ("claim", "A7:562:85", False, "199.14")]),
    ],
)
def test_imsweb_accepts_and_rejects_the_same_claims(name: str, items: list[tuple[str, str, bool, str | None]]):
    (found,) = x12.convert(read(f"imsweb/277_5010/x12_277CA_{name}.txt"))
    assert isinstance(found, Acknowledgement)
    for item, (level, status, accepted, amount) in zip(found.items, items, strict=True):
        assert (item.level, item.reasons[0], item.accepted) == (level, status, accepted)
        assert amount is None or item.amount == Decimal(amount)


# --- 835s ----------------------------------------------------------------------------------------------------------------


def computed(*columns: str) -> list[dict[str, str]]:
    """The rows of COMPUTED.csv, which another program counted, that have these columns."""
    if not FILES:
        return []
    with (CORPUS / "COMPUTED.csv").open(newline="") as table:
        return [row for row in csv.DictReader(table) if all(row[column] for column in columns)]


@pytest.mark.parametrize("row", computed("835 CLP", "835 balance"), ids=lambda row: row["file"])
def test_a_real_remittance_counts_and_balances_as_computed_apart(row: dict[str, str]):
    document = read(row["file"])
    found = [one for one in x12.convert(document) if isinstance(one, Remittance)]
    claims = [claim for one in found for claim in one.claims]
    assert len(claims) == int(row["835 CLP"])
    assert sum(len(claim.services) for claim in claims) == int(row["835 SVC"])
    assert sum(claim.paid for claim in claims) == Decimal(row["835 sum CLP04"])
    assert sum(a.amount for one in found for a in one.provider_adjustments) == Decimal(row["835 sum PLB"])
    unbalanced = "balanced" not in row["835 balance"]
    assert any(f.code == "835-transaction-balance" for f in errors(document)) == unbalanced
    assert any(one.difference for one in found) == unbalanced


@pytest.mark.parametrize("row", computed("837 totals"), ids=lambda row: row["file"])
def test_real_claims_count_and_charge_as_computed_apart(row: dict[str, str]):
    found = [one for one in x12.convert(read(row["file"])) if isinstance(one, Claim)]
    told = re.match(r"(\d+) claims, CLM02 total ([\d.]+), (\d+) lines", row["837 totals"])
    assert told is not None
    assert (len(found), sum(claim.charge for claim in found)) == (int(told[1]), Decimal(told[2]))
    lines = sum(len(claim.services) for claim in found)
    assert lines == int(told[3]) - LOST_LINES.get(row["file"], 0)


@needs_corpus
def test_a_fragment_in_an_envelope_becomes_the_rows_beside_it():
    """keironstoddart's CSV has a row for each service. Its file has no envelope, and writes the third service's charge three
    elements too late (SVC07): the CSV leaves charge and payment empty, and so do we."""
    text = (CORPUS / FRAGMENT).read_text().strip()
    envelope = (
        "ISA*00*          *00*          *ZZ*A              *ZZ*B              *110108*0000*^*00501*000000001*0*P*:~"
        "GS*HP*A*B*20110108*0000*1*X*005010X221A1~",
        "GE*1*1~IEA*1*000000001~",
    )
    (found,) = x12.convert(x12.parse(text.join(envelope).encode()))
    assert isinstance(found, Remittance)
    (claim,) = found.claims
    with (CORPUS / "keironstoddart-835/output/blue_cross_nc_sample.csv").open(newline="") as table:
        rows = list(csv.DictReader(table))
    assert len(rows) == len(claim.services)
    assert claim.patient is not None

    def amount(text: str) -> Decimal | None:
        return Decimal(text) if text else None

    for row, service in zip(rows, claim.services, strict=True):
        assert row["marker"] == claim.claim_number
        assert row["patient"] == f"{claim.patient.given_name} {claim.patient.name}"
        assert (row["code"], row["modifier"], row["qualifier"]) == (
            service.procedure,
            "".join(service.modifiers),
            service.procedure_kind,
        )
        assert (amount(row["charge_amount"]), amount(row["paid_amount"])) == (service.charge, service.paid)
        assert amount(row["allowed_amount"]) == service.allowed
        assert amount(row["allowed_units"]) == service.units
        assert (row["transaction_date"], row["payer"]) == (found.payment_date, found.payer.name)
        assert (row["start_date"], row["end_date"]) == (service.service_from, service.service_to)
        assert row["ref_0_value"] == service.line_control_number
        told = [
            (row[f"adj_{n}_group"], row[f"adj_{n}_code"], Decimal(row[f"adj_{n}_amount"]))
            for n in (0, 1)
            if row[f"adj_{n}_code"]
        ]
        assert told == [(a.group, a.reason, a.amount) for a in service.adjustments]


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_real_file_converts_or_says_what_is_missing(path: Path):
    if name_of(path) in REFUSED:
        return
    document = x12.parse(path.read_bytes())
    try:
        found = x12.convert(document)
    except FormatError as missing:
        assert missing.location
    else:
        assert len(found) >= len(document.transactions) or any(t.set_id == "837" for t in document.transactions)
