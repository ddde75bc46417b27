"""Writing: new interchanges with envelopes filled in, segments replaced with every other byte kept, code lists read."""

from __future__ import annotations

from datetime import date, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.formats import x12
from hilum.formats.x12.document import Separators

NOON = datetime(2026, 3, 1, 12, 0)
ORDER = [
    ["BEG", "00", "SA", "PO-4711", None, "20260301"],
    ["PO1", "1", "5", "EA", "1250.50", None, "VP", "KNEE-99"],
    ["CTT", "1"],
]


def new(*bodies: list, release: str = "004010", **more) -> x12.Document:
    transactions = [x12.NewTransaction(set_id="850", segments=body) for body in bodies or (ORDER,)]
    group = x12.NewGroup(functional_id="PO", version=release, transactions=transactions)
    envelope = {
        "sender": ("ZZ", "STMARY"),
        "receiver": ("14", "ACME"),
        "control_number": 42,
        "now": NOON,
        "version": "00401",
    }
    return x12.build([group], **{**envelope, **more})


def test_a_new_interchange_has_its_control_numbers_and_counts():
    document = new(ORDER, ORDER)

    assert document.text.splitlines() == [
        "ISA*00*          *00*          *ZZ*STMARY         *14*ACME           *260301*1200*U*00401*000000042*0*P*:~",
        "GS*PO*STMARY*ACME*20260301*1200*42*X*004010~",
        *("ST*850*0001~", "BEG*00*SA*PO-4711**20260301~", "PO1*1*5*EA*1250.50**VP*KNEE-99~", "CTT*1~", "SE*5*0001~"),
        *("ST*850*0002~", "BEG*00*SA*PO-4711**20260301~", "PO1*1*5*EA*1250.50**VP*KNEE-99~", "CTT*1~", "SE*5*0002~"),
        "GE*2*42~",
        "IEA*1*000000042~",
    ]
    assert x12.validate(document) == []


def test_separators_newlines_usage_and_numbers_are_the_writers():
    separators = Separators("|", ">", "\x1d", "^")
    group = x12.NewGroup(
        functional_id="PO",
        version="005010",
        control_number=9,
        sender="BUYER",
        receiver="SELLER",
        transactions=[x12.NewTransaction(set_id="850", segments=ORDER, control_number="000000777")],
    )
    document = x12.build(
        [group], sender=("ZZ", "STMARY"), receiver=("ZZ", "ACME"), control_number=1, now=NOON, usage="T",
        acknowledge=True, separators=separators, newline="", acknowledgements=[["TA1", "000000050", "260228", "1200", "A", "000"]],
    )  # fmt: skip

    [interchange] = document.interchanges
    assert "\n" not in document.text
    assert (interchange.separators, interchange.header[14], interchange.header[15]) == (separators, "1", "T")
    assert interchange.groups[0].header[2:7] == ["BUYER", "SELLER", "20260301", "1200", "9"]
    assert [t.control_number for t in document.transactions] == ["000000777"]
    assert len(interchange.acknowledgements) == 1
    assert document.envelope_findings == []


def test_groups_are_numbered_on_from_the_interchange():
    body = [x12.NewTransaction(set_id="850", segments=ORDER)]
    groups = [x12.NewGroup(functional_id="PO", version="004010", transactions=body) for _ in range(2)]
    document = x12.build(groups, sender=("ZZ", "STMARY"), receiver=("ZZ", "ACME"), control_number=42, now=NOON)

    assert [group.control_number for group in document.interchanges[0].groups] == ["42", "43"]
    assert document.envelope_findings == []


def test_composites_and_repetitions_are_joined_and_empty_ends_left_away():
    body = [
        ["REF", "6R", "1", None, ("A", "", "")],
        ["DMG", "D8", "19700402", "F", None, ["A", ("RET", "B")], "", None],
    ]
    document = x12.build(
        [x12.NewGroup(functional_id="HC", version="005010", transactions=[x12.NewTransaction(set_id="837", segments=body)])],
        sender=("ZZ", "STMARY"), receiver=("ZZ", "ACME"), control_number=1, now=NOON,
    )  # fmt: skip
    assert document.transactions[0].texts[1:3] == ["REF*6R*1**A", "DMG*D8*19700402*F**A^RET:B"]


@pytest.mark.parametrize("value", ["A*B", "A~B", "A:B", "A\nB", ("A", "B:C")], ids=repr)
def test_a_value_that_holds_a_separator_is_refused_and_not_shown(value):
    with pytest.raises(x12.X12Error) as refused:
        new([["REF", "ZZ", value]])
    assert refused.value.location == "REF02"
    assert "A" not in refused.value.text.replace("A ", "")


@pytest.mark.parametrize(
    "more",
    [
        {"sender": ("ZZ", "A NAME OF SIXTEEN")},
        {"sender": ("Z", "STMARY")},
        {"receiver": ("ZZ", "A*B")},
        {"control_number": 1_000_000_000},
        {"control_number": -1},
        {"newline": "ZZ"},
        {"version": "501"},
        {"usage": "PROD"},
        {"separators": Separators("*", "*", "~", "^")},
        {"separators": Separators("*", ":", "~", None), "version": "00501"},
    ],
    ids=repr,
)
def test_an_envelope_that_does_not_fit_is_refused(more):
    with pytest.raises(x12.X12Error):
        new(**more)


@pytest.mark.parametrize("value", ["KNEE\x00", "\x1aKNEE", "KNEE\x7f", "KNEE\ud800"])
def test_a_value_with_a_control_character_or_half_a_character_is_refused_and_not_shown(value: str):
    with pytest.raises(x12.X12Error) as refused:
        new([["MSG", value]])
    assert "KNEE" not in str(refused.value)


def test_a_character_that_the_files_encoding_does_not_have_is_refused():
    document = x12.parse(new([["MSG", "MARIA"]]).text.replace("MARIA", "JOS\u00c9").encode("latin-1"))
    assert document.encoding == "latin-1"
    with pytest.raises(x12.X12Error, match="latin-1"):
        x12.replaced(document, {4: ["MSG", "\u20ac 5"]})


@pytest.mark.parametrize("segment", [["beg", "00"], ["TOOLONG", "1"], [None, "1"], [("A", "B")], []], ids=repr)
def test_a_segment_needs_its_identifier(segment):
    with pytest.raises(x12.X12Error):
        new([segment])


@pytest.mark.parametrize("newline", ["", "\n", "\r\n", "\n  "], ids=repr)
@pytest.mark.parametrize("prefix", ["", "prose before\n", "\ufeff"], ids=repr)
def test_a_replaced_segment_leaves_every_other_byte_as_it_was(newline, prefix):
    other = new(control_number=43).text.replace("*", "|").replace("~", "\x1d")
    text = prefix + new().text.replace("\n", newline) + "\n--\n" + other
    document = x12.parse(text.encode())
    second = document.transactions[1]

    changed = x12.replaced(
        document,
        {
            document.transactions[0].first_segment + 2: ["PO1", "1", "6", "EA", "1250.50", None, "VP", "KNEE-99"],
            second.first_segment + 3: ["CTT", "2"],
        },
    )

    assert x12.write(changed) == text.replace("PO1*1*5*", "PO1*1*6*").replace("CTT|1\x1d", "CTT|2\x1d").encode()


def test_every_segment_replaced_by_itself_is_the_same_file():
    document = x12.parse(("\ufeffnote\n" + new(ORDER, ORDER).text.replace("~\n", "~\r\n\t")).encode())
    for transaction in document.transactions:
        for at, segment in enumerate(transaction.segments):
            changed = x12.replaced(document, {transaction.first_segment + at: segment})
            assert x12.write(changed) == x12.write(document)


@pytest.mark.parametrize("number", [0, 1, 99])
def test_a_segment_that_is_not_there_cannot_be_replaced(number):
    with pytest.raises(x12.X12Error):
        x12.replaced(new(), {number: ["CTT", "1"]})


def test_a_replacement_that_holds_a_separator_of_its_own_interchange_is_refused():
    document = x12.parse(new().text.replace("*", "|").encode())
    number = document.transactions[0].first_segment + 3
    assert "CTT|1*2" in x12.replaced(document, {number: ["CTT", "1*2"]}).text
    with pytest.raises(x12.X12Error):
        x12.replaced(document, {number: ["CTT", "1|2"]})


VALUE = st.text(
    alphabet=st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_characters="*:~^\x7f\x85"), max_size=12
)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.lists(VALUE, min_size=1, max_size=6), max_size=6))
def test_what_is_built_is_read_again(rows):
    body = [["NTE", *row] for row in rows]
    document = new(body)
    assert x12.parse(x12.write(document)).transactions[0].segments[1:-1] == [
        s if len(s) > 1 else ["NTE"] for s in (_stripped(row) for row in body)
    ]
    assert document.envelope_findings == []


def _stripped(row: list[str]) -> list[str]:
    while len(row) > 1 and not row[-1]:
        row = row[:-1]
    return row


def test_code_lists_are_read_from_a_file_of_the_user_as_of_a_day():
    data = b"list,code,from,to\ncarc,45,19950101,\ncarc,999,20200101,2021-12-31\n@rarc,N130,,\n"
    assert x12.read_codes(data)["carc"] == {"45", "999"}
    lists = x12.read_codes(data, on=date(2026, 3, 1))
    assert dict(lists) == {"carc": {"45"}, "rarc": {"N130"}}
    assert "45" in x12.sample_codes()["carc"]


@pytest.mark.parametrize("data", [b"a,b\n1,2\n", b"list,code\ncarc,\n", b"list,code,from\ncarc,45,soon\n", b"\xff\xfe"])
def test_code_lists_that_are_none_are_refused(data):
    with pytest.raises(x12.X12Error):
        x12.read_codes(data)
