"""The tree for readers: every segment in its loop, and what may tell of a patient marked."""

from __future__ import annotations

from datetime import datetime

from hilum.formats import x12
from hilum.formats.outline import Outline

NOON = datetime(2026, 3, 1, 12, 0)

CLAIM = [
    ["BHT", "0019", "00", "BATCH1", "20260301", "1200", "CH"],
    ["NM1", "41", "2", "ST MARY HOSPITAL", None, None, None, None, "46", "STMARY"],
    ["PER", "IC", "BILLING OFFICE", "TE", "3125550111"],
    ["NM1", "40", "2", "LAKESHORE HEALTH PLAN", None, None, None, None, "46", "LAKESHORE"],
    ["HL", "1", None, "20", "1"],
    ["NM1", "85", "2", "ST MARY HOSPITAL", None, None, None, None, "XX", "1234567893"],
    ["N3", "2 HARBOR STREET"],
    ["N4", "CHICAGO", "IL", "606010001"],
    ["REF", "EI", "123456789"],
    ["HL", "2", "1", "22", "0"],
    ["SBR", "P", "18", None, None, None, None, None, None, "CI"],
    ["NM1", "IL", "1", "KNEE-LAST", "KNEE-FIRST", None, None, None, "MI", "KNEE-MEMBER"],
    ["N3", "KNEE-STREET"],
    ["N4", "KNEE-CITY", "IL", "60601"],
    ["DMG", "D8", "19700402", "F"],
    ["REF", "SY", "123450000"],
    ["NM1", "PR", "2", "LAKESHORE HEALTH PLAN", None, None, None, None, "PI", "LAKESHORE"],
    ["CLM", "KNEE-ACCOUNT", "150", None, None, ("11", "B", "1"), "Y", "A", "Y", "Y"],
    ["REF", "D9", "KNEE-CLEARING"],
    ["HI", ("ABK", "M1711")],
    ["LX", "1"],
    ["SV1", ("HC", "99213"), "150", "UN", "1", None, None, ("1",)],
    ["DTP", "472", "D8", "20260210"],
]
ORDER = [
    ["BEG", "00", "SA", "PO-4711", None, "20260301"],
    ["N1", "ST", "ST MARY HOSPITAL", "92", "STMARY"],
    ["N3", "2 HARBOR STREET"],
    ["PO1", "1", "5", "EA", "1250.50", None, "VP", "KNEE-99"],
    ["CTT", "1"],
]


def made(set_id: str, body: list, functional: str, version: str) -> x12.Document:
    transaction = x12.NewTransaction(set_id=set_id, segments=body, convention=version if "X" in version else None)
    group = x12.NewGroup(functional_id=functional, version=version, transactions=[transaction])
    return x12.build([group], sender=("ZZ", "STMARY"), receiver=("ZZ", "LAKESHORE"), control_number=1, now=NOON)


def values(node: Outline, protected: bool) -> set[str]:
    own = {node.value} if node.value is not None and node.protected is protected else set()
    return own.union(*(values(child, protected) for child in node.children))


def labels(node: Outline) -> list[str]:
    return [node.label, *(label for child in node.children for label in labels(child))]


def test_a_claim_shows_its_loops_with_notes():
    top = x12.outline(made("837", CLAIM, "HC", "005010X222A1"))

    shown = [label for label in labels(top) if label.startswith(("loop", "transaction"))]
    assert shown == [
        "transaction 837",
        *("loop 1000A", "loop 1000B", "loop 2000A", "loop 2010AA", "loop 2000B", "loop 2010BA", "loop 2010BB"),
        *("loop 2300", "loop 2400"),
    ]
    json = top.as_json()
    assert json["children"][0]["children"][1]["children"][1]["note"] == "claims"


def test_what_tells_of_the_patient_is_protected_and_what_tells_of_the_business_is_not():
    top = x12.outline(made("837", CLAIM, "HC", "005010X222A1"))

    hidden, shown = values(top, True), values(top, False)
    assert {text for text in hidden if text.startswith("KNEE-")} == {
        *("KNEE-LAST", "KNEE-FIRST", "KNEE-MEMBER", "KNEE-STREET", "KNEE-CITY", "KNEE-ACCOUNT", "KNEE-CLEARING"),
    }
    assert {"19700402", "F", "123450000", "M1711", "20260210", "60601"} <= hidden
    assert {"ST MARY HOSPITAL", "1234567893", "2 HARBOR STREET", "123456789", "150", "99213", "LAKESHORE"} <= shown
    assert not any(text.startswith("KNEE-") for text in shown)
    assert "KNEE-" not in str(top.as_json(lambda value: "***"))


def test_any_person_in_a_claim_is_protected_and_an_organization_in_no_patients_role_is_not():
    rendering = [["NM1", "82", "1", "KNEE-SURGEON", "KNEE-SAM"], ["NM1", "77", "2", "KNEE-CLINIC"]]
    top = x12.outline(made("837", [*CLAIM[:-3], *rendering, *CLAIM[-3:]], "HC", "005010X222A1"))
    assert {"KNEE-SURGEON", "KNEE-SAM"} <= values(top, True)
    assert "KNEE-CLINIC" in values(top, False)


def test_nothing_of_an_order_between_businesses_is_protected():
    top = x12.outline(made("850", ORDER, "PO", "004010"))
    assert {text for text in values(top, True) if text.strip("0 ")} == set()


def test_a_set_that_no_table_knows_is_protected_altogether():
    top = x12.outline(made("275", [["BGN", "11", "KNEE-1"], ["NM1", "QC", "1", "DOE"]], "PI", "006020"))
    assert {"KNEE-1", "DOE"} <= values(top, True)
    assert not {"KNEE-1", "DOE"} & values(top, False)


def test_the_authorization_of_an_interchange_is_protected():
    data = made("850", ORDER, "PO", "004010").text.replace(
        "*00*          *00*          *", "*00*          *01*SECRET    *"
    )
    assert "SECRET    " in values(x12.outline(x12.parse(data.encode())), True)


def test_every_segment_is_shown_once_in_the_order_of_the_file():
    document = made("837", CLAIM, "HC", "005010X222A1")
    names = [label for label in labels(x12.outline(document)) if 2 <= len(label) <= 3 and label != "X12"]
    assert names == ["ISA", "GS", "ST", *(segment[0] for segment in CLAIM), "SE", "GE", "IEA"]


def test_banks_and_accounts_are_protected_in_every_set_that_pays():
    accounts = [
        "01",
        "CREDIT-BANK",
        "DA",
        "CREDIT-ACCOUNT",
        "1512345678",
        None,
        "01",
        "DEBIT-BANK",
        "DA",
        "DEBIT-ACCOUNT",
    ]
    payment = ["BPR", "I", "20", "C", "ACH", "CCP", *accounts, "20260214"]
    secret = {"CREDIT-BANK", "CREDIT-ACCOUNT", "DEBIT-BANK", "DEBIT-ACCOUNT"}
    for set_id, functional, version in (
        ("835", "HP", "005010X221A1"),
        ("820", "RA", "004010"),
        ("820", "RA", "005010X218"),
    ):
        top = x12.outline(made(set_id, [payment], functional, version))
        assert secret <= values(top, True), version
        assert not secret & values(top, False), version


def test_a_segment_out_of_its_place_in_a_claim_is_protected_altogether():
    stray = [["N3", "KNEE-STRAY"], ["SVC", ("HC", "KNEE-SERVICE"), "1", "1"], ["QQQ", "KNEE-UNKNOWN"]]
    top = x12.outline(made("837", [*CLAIM, *stray], "HC", "005010X222A1"))
    assert {"KNEE-STRAY", "KNEE-SERVICE", "KNEE-UNKNOWN"} <= values(top, True)
    assert not any(text.startswith("KNEE-") for text in values(top, False))


def test_where_an_ambulance_took_the_patient_is_protected():
    ride = [["NM1", "PW", "2"], ["N3", "KNEE-HOME"], ["N4", "CHICAGO", "IL", "60601"]]
    top = x12.outline(made("837", [*CLAIM[:-3], *ride, *CLAIM[-3:]], "HC", "005010X222A1"))
    assert "KNEE-HOME" in values(top, True)
    assert "KNEE-HOME" not in values(top, False)
