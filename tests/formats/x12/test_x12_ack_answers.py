"""TA1, 997 and 999: what a document earns, and what became of what was sent."""

from __future__ import annotations

import io
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.formats import x12
from hilum.formats.canonical import as_json
from hilum.formats.findings import FormatError

NOON = datetime(2026, 3, 1, 12, 0)
ORDER = [
    ["BEG", "00", "SA", "PO-4711", None, "20260301"],
    ["PO1", "1", "5", "EA", "1250.50", None, "VP", "KNEE-99"],
    ["CTT", "1"],
]
BAD = [
    ["BEG", "00", "SA", "PO-4712", None, "20261301"],
    ["PO1", "1", "many", "EA", "1250.50", None, "VP"],
    ["CTT", "1"],
]
ELIGIBILITY = [
    ["BHT", "0022", "13", "Q1", "20260301", "1200"],
    ["HL", "1", None, "20", "1"],
    ["NM1", "PR", "2", "LAKESHORE HEALTH PLAN", None, None, None, None, "PI", "LAKESHORE"],
    ["HL", "2", "1", "21", "1"],
    ["NM1", "1P", "2", "ST MARY HOSPITAL", None, None, None, None, "XX", "1234567893"],
    ["HL", "3", "2", "22", "0"],
    ["NM1", "IL", "1", "DOE", "JANE", None, None, None, "MI", "W7"],
    ["DTP", "291", "D8", "20260301"],
    ["EQ", "30"],
]
POOR = [
    *ELIGIBILITY[:6],
    ["NM1", "IL", "9", "DOE", "JANE", "X", None, None, "MI", "W7"],
    ["DTP", "291", "D8", "20260230"],
    *ELIGIBILITY[8:],
]


def orders(*bodies, number: int = 42, group_number: int | None = None) -> x12.Document:
    group = x12.NewGroup(
        functional_id="PO",
        version="004010",
        control_number=group_number,
        transactions=[x12.NewTransaction(set_id="850", segments=body) for body in bodies],
    )
    return x12.build(
        [group], sender=("ZZ", "STMARY"), receiver=("14", "ACME"), control_number=number, now=NOON, version="00401"
    )


def questions(*bodies, number: int = 42) -> x12.Document:
    version = "005010X279A1"
    made = [x12.NewTransaction(set_id="270", segments=body, convention=version) for body in bodies]
    group = x12.NewGroup(functional_id="HS", version=version, transactions=made)
    return x12.build([group], sender=("ZZ", "STMARY"), receiver=("ZZ", "LAKESHORE"), control_number=number, now=NOON)


def answer(document: x12.Document, **more) -> x12.Document:
    made = x12.acknowledge(document, x12.validate(document), control_number=7, now=NOON, **more)
    assert x12.validate(made) == []
    return made


def said(made: x12.Document) -> list[str]:
    return [text for transaction in made.transactions for text in transaction.texts[1:-1]]


def test_a_good_order_earns_a_997_that_goes_back_to_its_sender():
    made = answer(orders(ORDER))

    assert said(made) == ["AK1*PO*42", "AK2*850*0001", "AK5*A", "AK9*A*1*1*1"]
    [interchange] = made.interchanges
    assert [text.strip() for text in interchange.header[5:9]] == ["14", "ACME", "ZZ", "STMARY"]
    assert interchange.groups[0].header[1:4] == ["FA", "ACME", "STMARY"]


def test_a_bad_order_is_rejected_alone_with_segment_and_element():
    made = answer(orders(ORDER, BAD, ORDER))

    assert said(made) == [
        "AK1*PO*42",
        "AK2*850*0001",
        "AK5*A",
        "AK2*850*0002",
        "AK3*BEG*2**8",
        "AK4*5*373*8",
        "AK3*PO1*3**8",
        "AK4*2*330*6",
        "AK4*7*234*2",
        "AK5*R*5",
        "AK2*850*0003",
        "AK5*A",
        "AK9*P*3*3*2",
    ]


def test_a_bad_question_earns_a_999_with_loops_and_the_guides_codes():
    made = answer(questions(ELIGIBILITY, POOR))

    assert said(made) == [
        "AK1*HS*42*005010X279A1",
        "AK2*270*0001*005010X279A1",
        "IK5*A",
        "AK2*270*0002*005010X279A1",
        "IK3*NM1*8**8",
        "IK4*2*1065*I6",
        "IK3*DTP*9**8",
        "IK4*3*1251*8",
        "IK5*R*5*I5",
        "AK9*P*2*2*1",
    ]


def test_an_error_in_a_claim_names_the_claim_that_it_is_in():
    version = "005010X222A1"
    body = [
        ["BHT", "0019", "00", "BATCH1", "20260301", "1200", "CH"],
        ["HL", "1", None, "20", "1"],
        ["HL", "2", "1", "22", "0"],
        ["CLM", "KNEE-1", "150"],
        ["DTP", "431", "D8", "20260299"],
        ["CLM", "KNEE-2", "150"],
        ["DTP", "431", "D8", "20260298"],
    ]
    made = x12.NewTransaction(set_id="837", segments=body, convention=version)
    group = x12.NewGroup(functional_id="HC", version=version, transactions=[made])
    claims = x12.build([group], sender=("ZZ", "STMARY"), receiver=("ZZ", "LAKESHORE"), control_number=1, now=NOON)
    told = said(answer(claims))
    dates = [told[at : at + 3] for at, text in enumerate(told) if text.startswith("IK3*DTP*")]

    assert dates == [
        ["IK3*DTP*6*2300*8", "CTX*CLM01:KNEE-1", "IK4*3*1251*8"],
        ["IK3*DTP*8*2300*8", "CTX*CLM01:KNEE-2", "IK4*3*1251*8"],
    ]


def test_all_rejected_is_a_rejected_group():
    assert said(answer(orders(BAD)))[-1] == "AK9*R*1*1*0"


def test_errors_that_do_not_reject_are_noted():
    made = answer(orders(ORDER, BAD), rejects=lambda finding: False)
    assert [text for text in said(made) if text[:3] in ("AK5", "AK9")] == ["AK5*A", "AK5*E*5", "AK9*E*2*2*2"]


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (("SE*5*0001", "SE*6*0001"), ["AK5*R*4", "AK9*R*1*1*0"]),
        (("SE*5*0001", "SE*5*9999"), ["AK5*R*3", "AK9*R*1*1*0"]),
        (("SE*5*0001~\n", ""), ["AK5*R*2", "AK9*R*1*1*0"]),
        (("GE*1*42", "GE*9*42"), ["AK5*R*5", "AK9*R*9*1*0*5"]),
        (("GE*1*42", "GE*1*43"), ["AK5*R*5", "AK9*R*1*1*0*4"]),
        (("GE*1*42~\n", ""), ["AK5*R*5", "AK9*R*1*1*0*3"]),
    ],
)
def test_a_damaged_envelope_is_rejected_by_its_code(damage, expected):
    damaged = x12.parse(orders(ORDER).text.replace(*damage).encode())
    assert said(answer(damaged))[-2:] == expected


def test_a_set_without_a_table_is_rejected_as_not_supported():
    unknown = x12.parse(orders(ORDER).text.replace("ST*850*", "ST*104*").encode())
    assert said(answer(unknown))[1:] == ["AK2*104*0001", "AK5*R*1", "AK9*R*1*1*0"]


def test_every_group_gets_its_own_answer_and_every_interchange_its_own_control_number():
    first, second = orders(ORDER, number=1).text, orders(BAD, number=2).text
    group = first[first.index("GS*") : first.index("IEA")]
    two_groups = first.replace("IEA*1", group.replace("*1*X", "*9*X").replace("GE*1*1", "GE*1*9") + "IEA*2")

    made = answer(x12.parse((two_groups + second).encode()))

    assert [i.control_number for i in made.interchanges] == ["000000007", "000000008"]
    assert [text for text in said(made) if text[:3] in ("AK1", "AK9")] == [
        *("AK1*PO*1", "AK9*A*1*1*1", "AK1*PO*9", "AK9*A*1*1*1"),
        *("AK1*PO*2", "AK9*R*1*1*0"),
    ]


def test_transactions_of_one_control_number_in_two_groups_are_judged_apart():
    first = orders(ORDER, number=1).text
    bad = orders(BAD, number=1).text
    group = bad[bad.index("GS*") : bad.index("IEA")].replace("*1*X", "*9*X").replace("GE*1*1", "GE*1*9")

    made = answer(x12.parse(first.replace("IEA*1", group + "IEA*2").encode()))

    assert [text for text in said(made) if text.startswith("AK5")] == ["AK5*A", "AK5*R*5"]


def test_an_acknowledgement_is_not_acknowledged():
    made = answer(orders(ORDER))
    assert x12.kind_for(made) == "TA1"
    with pytest.raises(x12.X12Error):
        x12.acknowledge(made, [], kind="997", control_number=1, now=NOON)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("~", "~", "TA1*000000042*260301*1200*A*000"),
        ("IEA*1*000000042", "IEA*1*000000043", "TA1*000000042*260301*1200*R*001"),
        ("IEA*1*", "IEA*7*", "TA1*000000042*260301*1200*R*021"),
        ("*20260301*1200*42", "*20260301*9999*42", "TA1*000000042*260301*1200*E*024"),
    ],
)
def test_an_interchange_earns_a_ta1_with_its_code(old, new, expected):
    made = answer(x12.parse(orders(ORDER).text.replace(old, new).encode()), kind="TA1")
    assert ["*".join(segment) for segment in made.interchanges[0].acknowledgements] == [expected]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(100, 420), st.sampled_from([*"*~:^\x00 A9", "", "ST*", "SE*1*2~", "GE*1*", "é"])),
        max_size=6,
    ),
    st.sampled_from(["999", "997", "TA1", None]),
    st.booleans(),
)
def test_whatever_came_the_answer_is_clean(changes, kind, modern):
    text = (questions(ELIGIBILITY, POOR) if modern else orders(ORDER, BAD)).text
    for at, piece in changes:
        text = text[:at] + piece + text[at + 1 :]
    document = x12.parse(text.encode())
    try:
        made = x12.acknowledge(document, x12.validate(document), kind=kind, control_number=7, now=NOON)
    except x12.X12Error as nothing:
        assert "nothing" in nothing.text
        return
    assert x12.validate(made) == []


def test_pyx12_finds_nothing_wrong_with_our_999():
    params = pytest.importorskip("pyx12.params")
    x12n_document = pytest.importorskip("pyx12.x12n_document")
    text = answer(questions(ELIGIBILITY, POOR)).text

    errors = io.StringIO()
    assert x12n_document.x12n_document(params.params(), io.StringIO(text), errors, None, None) is True


# --- what was sent ---------------------------------------------------------------------------------------------------


def test_answers_find_what_was_sent_and_what_was_not_answered_stays_open():
    sent = [*x12.sent_in(orders(ORDER, BAD, ORDER)), *x12.sent_in(orders(ORDER, number=43))]

    matched = x12.match(answer(orders(ORDER, BAD, ORDER)), sent)

    assert [(o.sent.transaction, o.accepted, o.answered_by, o.code) for o in matched.outcomes] == [
        ("0001", True, "transaction", "A"),
        ("0002", False, "transaction", "R"),
        ("0003", True, "transaction", "A"),
        ("0001", None, None, None),
    ]
    assert matched.outcomes[1].reasons == ("5",)
    assert matched.outcomes[1].errors == (
        "BEG 2: 8",
        "BEG 2 element 5: 8",
        "PO1 3: 8",
        "PO1 3 element 2: 6",
        "PO1 3 element 7: 2",
    )
    assert [one.group for one in matched.unanswered] == ["43"]
    assert matched.strangers == ()


@pytest.mark.parametrize(("verdict", "accepted"), [("A", True), ("E", True), ("R", False), ("P", None)])
def test_a_group_answers_for_transactions_it_does_not_name(verdict, accepted):
    group = x12.NewGroup(
        functional_id="FA",
        version="004010",
        transactions=[
            x12.NewTransaction(set_id="997", segments=[["AK1", "PO", "042"], ["AK9", verdict, "1", "1", "1"]])
        ],
    )
    received = x12.build(
        [group], sender=("14", "ACME"), receiver=("ZZ", "STMARY"), control_number=1, now=NOON, version="00401"
    )

    [outcome] = x12.match(received, x12.sent_in(orders(ORDER))).outcomes

    assert outcome.accepted is accepted


def test_a_rejected_interchange_rejects_all_that_was_in_it_and_an_accepted_one_says_nothing_yet():
    sent = list(x12.sent_in(orders(ORDER, ORDER)))
    bad = answer(x12.parse(orders(ORDER).text.replace("IEA*1*000000042", "IEA*1*000000043").encode()), kind="TA1")

    assert [(o.accepted, o.answered_by, o.reasons) for o in x12.match(bad, sent).outcomes] == [
        (False, "interchange", ("001",))
    ] * 2
    assert [o.accepted for o in x12.match(answer(orders(ORDER), kind="TA1"), sent).outcomes] == [None, None]


def test_answers_to_what_was_never_sent_are_strangers():
    matched = x12.match(answer(orders(ORDER, ORDER)), x12.sent_in(orders(ORDER)))
    assert matched.strangers == ("AK2 at segment 7",)
    assert x12.match(answer(orders(ORDER)), []).strangers == ("AK1 at segment 4",)
    assert len(x12.match(answer(orders(ORDER), kind="TA1"), []).strangers) == 1


def test_a_received_answer_becomes_a_canonical_acknowledgement():
    [told] = as_json(x12.convert(answer(orders(ORDER, BAD))))

    assert (told["kind"], told["type"], told["accepted"]) == ("acknowledgement", "997", False)
    assert [(i["level"], i["reference"], i["accepted"], i["code"]) for i in told["items"]] == [
        ("group", "42", False, "P"),
        ("transaction", "0001", True, "A"),
        ("transaction", "0002", False, "R"),
    ]
    [ta1] = as_json(x12.convert(answer(orders(ORDER), kind="TA1")))
    assert (ta1["type"], ta1["items"][0]["reference"], ta1["accepted"]) == ("TA1", "000000042", True)


def test_an_answer_without_its_verdict_cannot_be_converted():
    text = answer(orders(ORDER)).text.replace("AK9*A*1*1*1~\n", "")
    with pytest.raises(FormatError):
        x12.convert(x12.parse(text.encode()))


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("AK9*P*2*2*1", "AK9*P*2*2*3", "ack-counts"),
        ("AK9*P*2*2*1", "AK9*A*2*2*1", "ack-verdict"),
        ("AK9*P*2*2*1", "AK9*P*2*2*0", "ack-counts"),
    ],
)
def test_a_verdict_that_contradicts_itself_is_told(old, new, code):
    text = answer(orders(ORDER, BAD)).text.replace(old, new)
    assert code in {finding.code for finding in x12.validate(x12.parse(text.encode()))}


def together(*documents: x12.Document) -> x12.Document:
    """Groups of several documents in the interchange of the last."""
    texts = [document.text for document in documents]
    groups = [text[text.index("GS*") : text.index("IEA*")] for text in texts]
    header, trailer = texts[-1][: texts[-1].index("GS*")], texts[-1][texts[-1].index("IEA*1") + 5 :]
    return x12.parse((header + "".join(groups) + f"IEA*{len(groups)}" + trailer).encode())


def test_claims_and_orders_in_one_interchange_each_get_their_kind_of_answer():
    made = answer(together(orders(ORDER, group_number=41), questions(ELIGIBILITY)))
    assert [transaction.set_id for transaction in made.transactions] == ["997", "999"]
    assert [text for text in said(made) if text[:3] == "AK1"] == ["AK1*PO*41", "AK1*HS*42*005010X279A1"]


def test_an_interchange_rejected_as_a_whole_gets_a_ta1_and_no_transaction_of_it_is_accepted():
    damaged = x12.parse(orders(ORDER).text.replace("IEA*1*000000042", "IEA*1*000000043").encode())
    made = answer(damaged)
    assert made.transactions == []
    assert made.interchanges[0].acknowledgements[0][4:] == ["R", "001"]


def test_a_ta1_is_not_answered_with_another():
    ta1 = answer(orders(ORDER), kind="TA1")
    for kind in (None, "TA1", "997", "999"):
        with pytest.raises(x12.X12Error, match="nothing"):
            x12.acknowledge(ta1, [], kind=kind, control_number=1, now=NOON)
    both = x12.parse((ta1.text + orders(ORDER, number=9).text).encode())
    assert [text for text in said(answer(both)) if text[:3] == "AK9"] == ["AK9*A*1*1*1"]


def test_a_control_number_without_its_zeros_is_found_again():
    sent = x12.parse(orders(ORDER, BAD).text.replace("ST*850*0002", "ST*850*2").replace("*0002~", "*2~").encode())
    found = x12.match(answer(sent), x12.sent_in(sent))
    assert found.strangers == ()
    assert [(one.sent.transaction, one.accepted) for one in found.outcomes] == [("0001", True), ("2", False)]


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [("GS*PO*", "GS*IN*", "18"), ("GS*HS*", "GS*HB*", "18"), ("*X*005010X279A1", "*X*005010X222A1", "19")],
)
def test_a_transaction_in_a_group_of_another_kind_is_rejected(old, new, code):
    document = orders(ORDER) if "PO" in old else questions(ELIGIBILITY)
    made = answer(x12.parse(document.text.replace(old, new).encode()))
    [verdict] = [text for text in said(made) if text[:3] in ("AK5", "IK5")]
    assert verdict[3:] == f"*R*{code}"


def test_an_order_whose_total_is_wrong_is_taken_with_errors_noted():
    """What an order says is between buyer and seller; a 997 is about how it is written."""
    samples = Path(__file__).parent / "samples" / "supply"
    document = x12.parse((samples / "810.edi").read_bytes().replace(b"TDS*419145", b"TDS*419146"))
    findings = x12.validate(document)
    assert [finding.code for finding in findings if finding.severity == "error"] == ["810-total"]
    text = x12.write(x12.acknowledge(document, findings, control_number=1, now=datetime(2026, 3, 1, 12, 0))).decode()
    assert "AK5*E*5~" in text and "AK9*E*1*1*1~" in text
    bad = x12.parse((samples / "810.edi").read_bytes().replace(b"BIG*2026", b"BIG*20X6"))
    text = x12.write(
        x12.acknowledge(bad, x12.validate(bad), control_number=1, now=datetime(2026, 3, 1, 12, 0))
    ).decode()
    assert "AK5*R*5~" in text


def test_acknowledgements_earn_a_ta1_only_where_one_was_asked_for():
    sent = x12.parse((Path(__file__).parent / "samples" / "hipaa" / "835.edi").read_bytes())
    answer = x12.acknowledge(sent, [], control_number=1, now=datetime(2026, 3, 1, 12, 0))
    with pytest.raises(x12.X12Error):
        x12.acknowledge(answer, [], control_number=2, now=datetime(2026, 3, 1, 12, 0))
    asked = x12.parse(x12.write(answer).replace(b"*0*T*:~", b"*1*T*:~"))
    again = x12.acknowledge(asked, [], control_number=2, now=datetime(2026, 3, 1, 12, 0))
    assert "TA1*" in x12.write(again).decode()
