"""Segments to loops: the tree, and what a walk says of what is missing, too often, too late or out of place."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hilum.formats import x12
from hilum.formats.x12.definitions import LoopUse, SegmentUse, SetDefinition, available, definition_for, read_set
from hilum.formats.x12.document import Loop
from hilum.formats.x12.grammar import Grammar
from hilum.formats.x12.walker import _Walker

REMITTANCE = """ST*835*0001
BPR*I*176*C*ACH*CCP*01*111000025*DA*33*1935665544**01*111000025*DA*22*20260301
TRN*1*71700666555*1935665544
DTM*405*20260301
N1*PR*LAKESHORE HEALTH PLAN
N3*1 SHORE ROAD
N4*CHICAGO*IL*60601
PER*BL*PROVIDER SERVICES*TE*3125550100
N1*PE*ST MARY HOSPITAL*XX*1234567893
LX*1
CLP*KNEE-1*1*300*176*44*12*EA1*11*1
NM1*QC*1*DOE*JANE****MI*W7
DTM*232*20260210
SVC*HC:99213*150*88**1
DTM*472*20260210
CAS*CO*45*40
CAS*PR*2*22
SVC*HC:99213*150*88**1
DTM*472*20260210
CAS*CO*45*40
CAS*PR*2*22
SE*22*0001"""

CLAIM = """ST*837*0001*005010X222A1
BHT*0019*00*BATCH1*20260301*1200*CH
NM1*41*2*ST MARY HOSPITAL*****46*STMARY
PER*IC*BILLING OFFICE*TE*3125550111
NM1*40*2*LAKESHORE HEALTH PLAN*****46*LAKESHORE
HL*1**20*1
NM1*85*2*ST MARY HOSPITAL*****XX*1234567893
N3*2 HARBOR STREET
N4*CHICAGO*IL*606010001
REF*EI*123456789
HL*2*1*22*0
SBR*P*18*******CI
NM1*IL*1*DOE*JANE****MI*W7
N3*3 QUAY LANE
N4*CHICAGO*IL*60601
DMG*D8*19700402*F
NM1*PR*2*LAKESHORE HEALTH PLAN*****PI*LAKESHORE
CLM*KNEE-1*150***11:B:1*Y*A*Y*Y
HI*ABK:M1711
LX*1
SV1*HC:99213*150*UN*1***1
DTP*472*D8*20260210
SE*23*0001"""

VERSIONS = {
    "835": ("HP", "005010X221A1"),
    "837": ("HC", "005010X222A1"),
    "850": ("PO", "004010"),
    "999": ("FA", "005010X231A1"),
}


def interchange(transaction: str, version: str | None = None) -> bytes:
    """A transaction with the right counts in its envelopes."""
    lines = transaction.split("\n")
    lines[-1] = f"SE*{len(lines)}*0001"
    set_id = lines[0].split("*")[1]
    functional, own = VERSIONS[set_id]
    header = "ISA*00*          *00*          *ZZ*LAKESHORE      *ZZ*STMARY         *260301*1200*^*00501*000000905*0*P*:"
    gs = f"GS*{functional}*LAKESHORE*STMARY*20260301*1200*7*X*{version or own}"
    return "".join(f"{line}~\n" for line in (header, gs, *lines, "GE*1*7", "IEA*1*000000905")).encode()


def walked(transaction: str, version: str | None = None) -> tuple[x12.Transaction, list[x12.X12Finding]]:
    [found] = x12.parse(interchange(transaction, version)).transactions
    return found, x12.walk(found)


def told(findings: list[x12.X12Finding]) -> list[tuple[str, str | None, str | None, int | None]]:
    return [(f.code, f.loop, f.location, f.segment_number) for f in findings if f.severity == "error"]


def tree(loop: Loop) -> list[object]:
    return [loop.name, [s[0] for s in loop.segments], *(tree(inner) for inner in loop.loops)]


def test_a_remittance_becomes_its_loops():
    transaction, findings = walked(REMITTANCE)

    assert findings == []
    assert transaction.root is not None
    service = ["2110", ["SVC", "DTM", "CAS", "CAS"]]
    assert tree(transaction.root) == [
        "transaction",
        ["ST", "BPR", "TRN", "DTM", "SE"],
        ["1000A", ["N1", "N3", "N4", "PER"]],
        ["1000B", ["N1"]],
        ["2000", ["LX"], ["2100", ["CLP", "NM1", "DTM"], service, service]],
    ]
    [claim] = transaction.root.anywhere("2100")
    assert (claim.number, claim.parent.name, claim.first("NM1", "QC")[3]) == (11, "2000", "DOE")
    assert [loop.number for loop in transaction.root.anywhere("2110")] == [14, 18]


def test_a_claim_goes_down_its_hierarchy():
    transaction, findings = walked(CLAIM)

    assert findings == []
    assert [loop.name for loop in transaction.root.anywhere("2000A", "2000B", "2010BA", "2010BB", "2300", "2400")] == [
        "2000A",
        "2000B",
        "2010BA",
        "2010BB",
        "2300",
        "2400",
    ]


DAMAGE = {
    # name: (transaction, replaced, by, code, loop, place, number of the segment)
    "a required segment is missing": (REMITTANCE, "TRN*1*71700666555*1935665544\n", "", [("3", "transaction", "TRN", 3)]),
    "a required segment of a loop is missing": (REMITTANCE, "N3*1 SHORE ROAD\n", "", [("3", "1000A", "N3", 6)]),
    "a required loop is missing": (
        REMITTANCE,
        "N1*PE*ST MARY HOSPITAL*XX*1234567893\n",
        "",
        [("I7", "transaction", "N1", 9)],
    ),
    "a segment comes too often": (REMITTANCE, "LX*1", "N3*A\nN3*B\nLX*1", [("5", "1000B", "N3", 11)]),
    "a loop comes too often": (
        REMITTANCE,
        "LX*1",
        "N1*PE*ST MARY AGAIN*XX*1234567893\nLX*1",
        [("4", "transaction", "N1", 10)],
    ),
    "a segment comes too late": (
        REMITTANCE,
        "N3*1 SHORE ROAD\nN4*CHICAGO*IL*60601",
        "N4*CHICAGO*IL*60601\nN3*1 SHORE ROAD",
        [("7", "1000A", "N3", 7)],
    ),
    "a segment of another set": (REMITTANCE, "LX*1", "BEG*00*SA*1**20260301\nLX*1", [("6", "1000B", "BEG", 10)]),
    "a segment of no set": (REMITTANCE, "LX*1", "QQQ*1\nLX*1", [("1", "1000B", "QQQ", 10)]),
    "something that is no segment": (REMITTANCE, "LX*1", "garbage here\nLX*1", [("1", "1000B", "?", 10)]),
    "a segment that is not possible here": (CLAIM, "BHT*", "SV1*HC:99213*1*UN*1***1\nBHT*", [("2", "transaction", "SV1", 2)]),
    "a qualifier of no loop": (
        CLAIM,
        "NM1*PR*2*LAKESHORE HEALTH PLAN*****PI*LAKESHORE",
        "NM1*QQ*2*NOBODY\nN3*NOWHERE\nN4*X*IL*60601\nNM1*PR*2*LAKESHORE HEALTH PLAN*****PI*LAKESHORE",
        [("2", "2010BA", "NM1", 17)],
    ),
    "an element": (REMITTANCE, "CLP*KNEE-1*1*300*", "CLP*KNEE-1*1*many*", [("6", "2100", "CLP03", 11)]),
    "the last segment of all is missing": (CLAIM, "\nDTP*472*D8*20260210", "", [("3", "2400", "DTP", 22)]),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_told_once_where_it_is(name):
    whole, old, new, expected = DAMAGE[name]
    damaged = whole.replace(old, new, 1)
    assert damaged != whole

    _, findings = walked(damaged)

    assert told(findings) == expected


def test_after_damage_the_rest_is_walked_as_if_nothing_had_been():
    garbage = REMITTANCE.replace("CLP*", "QQQ*1\nCLP*").replace("TRN*1*71700666555*1935665544\n", "")
    transaction, _ = walked(garbage)

    assert [len(loop.segments) for loop in transaction.root.anywhere("2100", "2110")] == [3, 4, 4]


def test_what_is_left_out_stays_in_the_segments_and_in_the_outline():
    transaction, _ = walked(REMITTANCE.replace("LX*1", "QQQ*1\nLX*1"))

    assert ["QQQ", "1"] in transaction.segments
    [node] = [n for loop in x12.transaction_outline(transaction).children for n in loop.children if n.label == "QQQ"]
    assert node.note == "not possible here"


@pytest.mark.parametrize(
    ("old", "new", "code", "place"),
    [
        ("HL*2*1*22*0", "HL*3*1*22*0", "hl-sequence", "HL01"),
        ("HL*2*1*22*0", "HL*1*1*22*0", "hl-sequence", "HL01"),
        ("HL*2*1*22*0", "HL*2*9*22*0", "hl-parent", "HL02"),
        ("HL*1**20*1", "HL*1**20*0", "hl-children", "HL04"),
    ],
)
def test_a_hierarchy_that_does_not_hold_together_is_told(old, new, code, place):
    _, findings = walked(CLAIM.replace(old, new))
    assert (code, place) in [(f.code, f.location) for f in findings]


def test_findings_know_where_they_are():
    [transaction] = x12.parse(interchange(REMITTANCE.replace("DTM*472*20260210", "DTM*472*20261310", 1))).transactions
    [finding] = x12.walk(transaction)

    assert finding.line == 17
    assert finding.details() == {
        "level": "element",
        "snip": 1,
        "transaction": "0001",
        "loop": "2110",
        "segment": "DTM",
        "segment_number": 15,
        "element": 2,
        "element_number": "373",
    }


def test_a_set_without_a_table_is_told_and_left_alone():
    data = interchange(REMITTANCE).replace(b"ST*835*", b"ST*104*")
    [transaction] = x12.parse(data).transactions

    [finding] = x12.check(transaction)

    assert (finding.level, finding.code, transaction.root) == ("transaction", "1", None)


def test_another_guide_or_release_is_read_by_its_neighbours_table_with_warnings_only():
    _, findings = walked(REMITTANCE.replace("TRN*1*71700666555*1935665544\n", ""), "005010X999A1")

    assert [(f.code, f.severity) for f in findings] == [("neighbour", "information"), ("3", "warning")]
    for version, severities in (
        ("004010", {"error"}),
        ("004010VICS", {"error"}),
        ("004030", {"information", "warning"}),
    ):
        _, findings = walked("ST*850*0001\nPO1*1*x*EA\nSE*3*0001", version)
        assert {f.severity for f in findings} == severities


def test_a_file_wrong_in_every_segment_is_told_so_only_so_often():
    many = REMITTANCE.replace("SVC*HC:99213*150*88**1", "\n".join(["SVC*HC:99213*150*x**1"] * 5000), 1)
    _, findings = walked(many)
    assert len(findings) == 200


def test_a_long_run_of_good_segments_takes_the_fast_way_with_the_same_result():
    service = REMITTANCE[
        REMITTANCE.index("SVC") : REMITTANCE.index(
            "\nSVC*HC:99213*150*88**1\nDTM*472*20260210\nCAS*CO*45*40\nCAS*PR*2*22\nSE"
        )
    ]
    bad = service.replace("CAS*PR*2*22", "CAS*XX*2*22")
    many = REMITTANCE.replace(service, "\n".join([service] * 100 + [bad]), 1)

    _, findings = walked(many)

    assert [(f.code, f.location) for f in findings] == [("I6", "CAS01")]


def test_a_loop_may_begin_with_a_loop():
    order = read_set("850_004010.txt", "004010")
    st, n1, se = (next(c for c in uses_of(order.root) if c.name == name) for name in ("ST", "N1", "SE"))
    inner = LoopUse("INNER", "R", 2, 1, [replace(n1, position=1, max=1)])
    outer = LoopUse("OUTER", "R", 1, 2, [inner])
    root = LoopUse("transaction", "R", 1, 0, [replace(st, position=1), outer, replace(se, position=3)])
    definition = SetDefinition("850", "004010", "PO", "004010", False, root)
    [transaction] = x12.parse(interchange("ST*850*0001\nN1*ST*A\nN1*ST*B\nN1*ST*C\nSE*5*0001")).transactions

    walker = _Walker(transaction, definition, Grammar(definition, transaction.separators, None))
    walker.run()

    assert tree(walker.root) == [
        "transaction",
        ["ST", "SE"],
        ["OUTER", [], ["INNER", ["N1"]], ["INNER", ["N1"]], ["INNER", ["N1"]]],
    ]
    assert told(walker.findings) == [("4", "OUTER", "N1", 4)]


def uses_of(loop: LoopUse) -> list[SegmentUse]:
    return [use for child in loop.children for use in ([child] if isinstance(child, SegmentUse) else uses_of(child))]


def test_every_table_can_be_read_and_names_its_own_set():
    assert len(available()) > 20
    for (set_id, convention), table in available().items():
        definition = read_set(table)
        assert (definition.set_id, definition.convention) == (set_id, convention)
        assert definition.root.opener.name == "ST"
        assert definition_for(set_id, convention).convention == convention


@pytest.mark.parametrize(
    ("set_id", "version", "convention"),
    [
        ("835", "005010X221A1", "005010X221A1"),
        ("835", "005010X221", "005010X221A1"),
        ("837", "005010X223A3", "005010X223A2"),
        ("850", "004010VICS", "004010"),
        ("850", "004030", "004010"),
        ("999", "005010X231", "005010X231A1"),
        ("997", "005010X230", "005010"),
    ],
)
def test_a_version_finds_the_nearest_table(set_id, version, convention):
    assert definition_for(set_id, version).convention == convention


def test_rules_and_structure_are_checked_together():
    unbalanced = REMITTANCE.replace("BPR*I*176*", "BPR*I*177*")
    findings = x12.validate(x12.parse(interchange(unbalanced)))
    assert {f.code for f in findings} == {"835-transaction-balance"}
    assert all(f.level == "balance" and f.severity == "error" for f in findings)
