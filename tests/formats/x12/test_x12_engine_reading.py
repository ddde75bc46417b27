"""Interchanges as they are really sent: separators, wrapping, damage, streams; every byte kept."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.formats import x12

ISA = "ISA*00*          *00*          *ZZ*LAKESHORE      *ZZ*STMARY         *260301*1200*^*00501*000000905*0*P*:"
ORDER = ["BEG*00*SA*PO-4711**20260301", "PO1*1*5*EA*1250.50**VP*KNEE-99", "CTT*1"]


def transaction(body: list[str] = ORDER, number: str = "0001", set_id: str = "850") -> list[str]:
    return [f"ST*{set_id}*{number}", *body, f"SE*{len(body) + 2}*{number}"]


def group(*transactions: list[str], number: str = "7") -> list[str]:
    inside = [segment for one in transactions for segment in one]
    header = f"GS*PO*LAKESHORE*STMARY*20260301*1200*{number}*X*005010"
    return [header, *inside, f"GE*{len(transactions)}*{number}"]


def interchange(*groups: list[str], isa: str = ISA, control: str = "000000905") -> list[str]:
    return [isa, *(segment for one in groups for segment in one), f"IEA*{len(groups)}*{control}"]


def text(segments: list[str], terminator: str = "~", newline: str = "\n") -> str:
    return "".join(segment + terminator + newline for segment in segments)


WHOLE = interchange(group(transaction()))


def codes(document: x12.Document) -> list[tuple[str, str, str]]:
    return [(f.level, f.code, f.severity) for f in document.envelope_findings]


def test_a_file_becomes_interchanges_groups_and_transactions():
    document = x12.parse(text(WHOLE).encode())

    [one] = document.interchanges
    assert (one.control_number, one.groups[0].control_number) == ("000000905", "7")
    [order] = document.transactions
    assert (order.set_id, order.control_number, order.version, order.functional_id) == ("850", "0001", "005010", "PO")
    assert order.segments[1] == ["BEG", "00", "SA", "PO-4711", "", "20260301"]
    assert (order.first_segment, order.first_line, order.line_of(3)) == (3, 3, 5)
    assert document.envelope_findings == []


@pytest.mark.parametrize("newline", ["", "\n", "\r\n", "\n\n"], ids=["none", "LF", "CRLF", "two"])
@pytest.mark.parametrize(
    "terminator",
    ["~", "\x1d", "\x1c", "'", "!", "…", "...", "\x85", "|"],
    ids=lambda t: t.encode("unicode_escape").decode(),
)
def test_any_terminator_is_taken_from_behind_isa16(terminator, newline):
    data = text(WHOLE, terminator, newline).encode()

    document = x12.parse(data)

    assert document.interchanges[0].separators.segment == terminator
    assert [s[0] for s in document.transactions[0].segments] == ["ST", "BEG", "PO1", "CTT", "SE"]
    assert document.envelope_findings == []
    assert x12.write(document) == data


@pytest.mark.parametrize("terminator", ["\r", "\n", "\r\n", "\n\n", "\r\r"], ids=repr)
def test_a_newline_or_a_pair_of_them_can_be_the_terminator(terminator):
    document = x12.parse(text(WHOLE, terminator, "").encode())

    assert [s[0] for s in document.transactions[0].segments] == ["ST", "BEG", "PO1", "CTT", "SE"]
    assert document.envelope_findings == []


@pytest.mark.parametrize("element", ["*", "|", "^", "\t", "\x1d", "~", "+"], ids=repr)
def test_any_element_separator_is_taken_from_behind_isa(element):
    other = {"^": "!", "~": "#"}.get(element, "~")
    own = [segment.replace("^", "@").replace("*", element) for segment in WHOLE]

    document = x12.parse(text(own, other).encode())

    assert document.interchanges[0].separators.element == element
    assert document.transactions[0].segments[2][7] == "KNEE-99"
    assert document.envelope_findings == []


def test_indented_segments_and_lines_are_told_as_they_stand():
    lines = ["", "  " + WHOLE[0] + "~", "\t" + WHOLE[1] + "~" + WHOLE[2] + "~", "", *(f"   {s}~" for s in WHOLE[3:])]

    document = x12.parse("\r\n".join(lines).encode())

    [order] = document.transactions
    assert [order.line_of(n) for n in range(1, 6)] == [3, 5, 6, 7, 8]
    assert (document.interchanges[0].line, document.interchanges[0].groups[0].line) == (2, 3)


@pytest.mark.parametrize("indent", [" ", "\t", "    "], ids=repr)
@pytest.mark.parametrize("newline", ["", "\n", "\r\n"], ids=repr)
@pytest.mark.parametrize("terminator", ["~", "\n", "\r\n"], ids=repr)
def test_indentation_is_no_part_of_a_segment(terminator, newline, indent):
    joint = terminator + newline
    for first in range(len(WHOLE)):
        whole = joint.join([*WHOLE[: first + 1], *(indent + segment for segment in WHOLE[first + 1 :])])
        document = x12.parse(whole.encode())

        assert document.transactions[0].segments == x12.parse(text(WHOLE).encode()).transactions[0].segments
        assert document.envelope_findings == []


def test_a_file_wrapped_at_80_columns_reads_as_the_one_that_is_not():
    flat = text(WHOLE, newline="")
    for newline in ("\n", "\r\n"):
        data = newline.join(flat[at : at + 80] for at in range(0, len(flat), 80)).encode()

        document = x12.parse(data)

        assert document.transactions[0].segments == x12.parse(flat.encode()).transactions[0].segments
        assert document.interchanges[0].header == x12.parse(flat.encode()).interchanges[0].header
        assert document.envelope_findings == []
        assert x12.write(document) == data


def test_an_unpadded_isa_is_read_with_a_warning_for_each_short_element():
    short = WHOLE[0].replace(" ", "")

    document = x12.parse(text([short, *WHOLE[1:]]).encode())

    assert document.transactions[0].control_number == "0001"
    assert codes(document) == [("interchange", code, "warning") for code in ("011", "013", "006", "008")]


def test_prose_and_a_byte_order_mark_before_the_isa_are_passed_over_and_kept():
    data = b"\xef\xbb\xbfFrom the ISA* of our partner,\nISA and all:\n\n" + text(WHOLE).encode()

    document = x12.parse(data)

    assert document.transactions[0].control_number == "0001"
    assert document.transactions[0].first_line == 6
    assert codes(document) == [("interchange", "022", "warning")]
    assert x12.write(document) == data


def test_a_missing_component_separator_is_a_finding_and_the_file_is_read():
    document = x12.parse(text([WHOLE[0][:-1], *WHOLE[1:]]).encode())

    assert document.transactions[0].control_number == "0001"
    assert ("interchange", "027", "error") in codes(document)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"ISA",
        b"\x00" * 300,
        b"UNB+UNOA:1+A+B+260301:1200+1'",
        b"GS*PO*A*B*20260301*1200*7*X*005010~",
        b"ISA*00*~" * 40,
    ],
    ids=["nothing", "ISA alone", "zeros", "EDIFACT", "no ISA", "no elements"],
)
def test_bytes_without_an_isa_are_refused(data):
    with pytest.raises(x12.X12Error) as refused:
        x12.parse(data)
    assert refused.value.code == "022"
    assert not x12.recognise(data)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_recognised_refused_and_says_so(encoding):
    assert x12.recognise(text(WHOLE).encode(encoding))
    with pytest.raises(x12.X12Error, match="UTF-16"):
        x12.parse(text(WHOLE).encode(encoding))
    with pytest.raises(x12.X12Error, match="UTF-16"):
        list(x12.transactions([text(WHOLE).encode(encoding)]))


def test_what_is_no_utf_8_is_latin_1_and_keeps_its_bytes():
    data = text(WHOLE).replace("KNEE-99", "GELENK-GRÖßE").encode("latin-1")

    document = x12.parse(data)

    assert document.encoding == "latin-1"
    assert document.transactions[0].segments[2][7] == "GELENK-GRÖßE"
    assert x12.write(document) == data
    [streamed] = x12.transactions([data[:400], data[400:]])
    assert streamed.segments == document.transactions[0].segments


def test_interchanges_with_their_own_separators_follow_each_other_with_junk_between():
    other = [s.replace("*", "|").replace(":", ">").replace("905", "906") for s in WHOLE]
    data = (text(WHOLE) + "-- next --\n" + text(other, "\x1d", "")).encode()

    document = x12.parse(data)

    assert [(i.control_number, i.separators.element, i.line) for i in document.interchanges] == [
        ("000000905", "*", 1),
        ("000000906", "|", len(WHOLE) + 2),
    ]
    assert codes(document) == [("interchange", "022", "warning")]


def test_an_interchange_without_iea_ends_where_the_next_begins_even_with_other_separators():
    other = [s.replace("*", "|").replace("905", "906") for s in WHOLE]

    document = x12.parse((text(WHOLE[:-1]) + text(other, "\n", "")).encode())

    assert [t.control_number for t in document.transactions] == ["0001", "0001"]
    assert codes(document) == [("interchange", "023", "error")]


def test_a_ta1_may_be_all_there_is_and_isb_is_no_matter():
    document = x12.parse(text([ISA, "ISB*1", "ISE*1", "TA1*000000050*260228*1200*A*000", "IEA*0*000000905"]).encode())

    assert document.interchanges[0].acknowledgements == [["TA1", "000000050", "260228", "1200", "A", "000"]]
    assert document.envelope_findings == []


BAD_ENVELOPES = {
    "ISA13 and IEA02 differ": (lambda s: s.replace("IEA*1*000000905", "IEA*1*905"), ("interchange", "001")),
    "IEA01 is wrong": (lambda s: s.replace("IEA*1*", "IEA*2*"), ("interchange", "021")),
    "no IEA": (lambda s: s[: s.index("IEA")], ("interchange", "023")),
    "a day that is none": (lambda s: s.replace("*260301*", "*260231*", 1), ("interchange", "014")),
    "an hour that is none": (lambda s: s.replace("*1200*^", "*2500*^"), ("interchange", "015")),
    "an unknown version": (lambda s: s.replace("*00501*", "*X0501*"), ("interchange", "017")),
    "neither production nor test": (lambda s: s.replace("*0*P*:", "*0*Q*:"), ("interchange", "020")),
    "no receiver": (lambda s: s.replace("STMARY         ", " " * 15), ("interchange", "008")),
    "GS06 and GE02 differ": (lambda s: s.replace("GE*1*7", "GE*1*07"), ("group", "4")),
    "GE01 is wrong": (lambda s: s.replace("GE*1*7", "GE*3*7"), ("group", "5")),
    "no GE": (lambda s: s.replace("GE*1*7~\n", ""), ("group", "3")),
    "a group number that is none": (lambda s: s.replace("*7*X*", "*7A*X*").replace("GE*1*7", "GE*1*7A"), ("group", "6")),
    "a version that is none": (lambda s: s.replace("*X*005010", "*X*LATEST"), ("group", "2")),
    "ST02 and SE02 differ": (lambda s: s.replace("SE*5*0001", "SE*5*1"), ("transaction", "3")),
    "SE01 is wrong": (lambda s: s.replace("SE*5*0001", "SE*6*0001"), ("transaction", "4")),
    "no SE": (lambda s: s.replace("SE*5*0001~\n", ""), ("transaction", "2")),
    "no set": (lambda s: s.replace("ST*850*", "ST**"), ("transaction", "6")),
    "no control number": (lambda s: s.replace("ST*850*0001", "ST*850").replace("SE*5*0001", "SE*5"), ("transaction", "7")),
    "a segment between groups": (lambda s: s.replace("GE*1*7~", "GE*1*7~REF*ZZ*1~"), ("interchange", "024")),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_ENVELOPES)
def test_what_is_wrong_with_an_envelope_is_told_by_the_standards_code(name):
    damage, expected = BAD_ENVELOPES[name]
    damaged = damage(text(WHOLE))
    assert damaged != text(WHOLE)

    found = x12.parse(damaged.encode()).envelope_findings

    assert [(f.level, f.code) for f in found] == [expected]


def test_what_is_wrong_with_a_trailer_is_told_on_its_line():
    damaged = text(WHOLE).replace("IEA*1*", "IEA*2*").replace("GE*1*7", "GE*3*7").replace("SE*5*", "SE*6*")
    found = x12.parse(damaged.encode()).envelope_findings
    assert {f.location: f.line for f in found} == {"SE01": 7, "GE01": 8, "IEA01": 9}


@pytest.mark.parametrize("count", ["3", "9"], ids=["right SE01", "wrong SE01"])
def test_of_very_many_broken_transactions_each_keeps_one_error(count):
    broken = [["ST*850*" + f"{n:04}", "PO1*1*x*EA", f"SE*{count}*" + f"{n:04}"] for n in range(700)]
    findings = x12.validate(x12.parse(text(interchange(group(*broken))).encode()))

    assert {f.transaction for f in findings if f.severity == "error"} == {f"{n:04}" for n in range(700)}
    assert len(findings) <= 500 + 700


def test_control_numbers_that_come_twice_are_told_at_each_level():
    twice = group(transaction(), transaction())
    document = x12.parse(text(interchange(twice, group(transaction())) + interchange(group(transaction()))).encode())

    assert codes(document) == [
        ("transaction", "23", "error"),
        ("group", "19", "error"),
        ("interchange", "025", "error"),
    ]


def test_a_broken_transaction_costs_itself_and_its_neighbours_go_through():
    broken = transaction(number="0002")[:3]
    whole = interchange(group(transaction(), broken, transaction(number="0003")))

    document = x12.parse(text(whole).encode())
    wrong = {t.control_number for t in document.transactions if any(f.severity == "error" for f in t.envelope_findings)}

    assert [t.control_number for t in document.transactions] == ["0001", "0002", "0003"]
    assert wrong == {"0002"}


def test_a_transaction_outside_of_any_group_is_read_and_told():
    document = x12.parse(text([ISA, *transaction(), "IEA*0*000000905"]).encode())

    assert document.transactions[0].version == ""
    assert codes(document) == [("interchange", "024", "error")]


@pytest.mark.parametrize("size", [1, 7, 106, 4096])
@pytest.mark.parametrize("newline", ["", "\n", "\r\n"], ids=["none", "LF", "CRLF"])
def test_a_stream_in_pieces_of_any_size_gives_what_the_whole_file_gives(size, newline):
    whole = interchange(group(transaction(), transaction(number="0002")), group(transaction(), number="8"))
    other = [s.replace("*", "|").replace("905", "906") for s in WHOLE]
    data = ("junk\n" + text(whole, newline=newline) + text(other, "\x1d")).encode()
    told: list[x12.X12Finding] = []

    streamed = list(x12.transactions((data[at : at + size] for at in range(0, len(data), size)), told.append))

    whole_file = x12.parse(data)
    assert [(t.segments, t.first_segment, t.first_line) for t in streamed] == [
        (t.segments, t.first_segment, t.first_line) for t in whole_file.transactions
    ]
    assert {(f.code, f.line) for f in told} == {(f.code, f.line) for f in whole_file.envelope_findings}


def test_a_stream_without_an_isa_is_given_up():
    def chunks():
        while True:
            yield b"no interchange here\n" * 10_000

    with pytest.raises(x12.X12Error) as refused:
        list(x12.transactions(chunks()))
    assert refused.value.code == "022"


def test_a_stream_whose_segments_never_end_stops_with_a_word():
    def chunks():
        yield (WHOLE[0] + "~\n").encode()
        for _ in range(100):
            yield b"A" * 100_000

    with pytest.raises(x12.X12Error) as refused:
        list(x12.transactions(chunks()))
    assert refused.value.code == "004"


@settings(max_examples=150, deadline=2000)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([*"~*:^\n\r ", "\r\n", "ISA*", "IEA*", "ST*", "SE*", "GS*", "\x00", "é"]),
            st.integers(0, 700),
        ),
        max_size=8,
    ),
    st.integers(0, 700),
    st.integers(0, 60),
)
def test_whatever_is_put_in_or_cut_out_is_read_kept_and_answered(inserted, cut, length):
    whole = text(interchange(group(transaction(), transaction(number="0002")), group(transaction(), number="8")))
    for piece, at in inserted:
        whole = whole[:at] + piece + whole[at:]
    data = (whole[:cut] + whole[cut + length :]).encode()

    try:
        document = x12.parse(data)
    except x12.X12Error:
        return
    assert x12.write(document) == data
    findings = x12.validate(document)
    assert all(isinstance(finding, x12.X12Finding) for finding in findings)
    assert x12.outline(document).label == "X12"
    assert [t.segments for t in x12.transactions([data])] == [t.segments for t in document.transactions]


@settings(max_examples=150, deadline=2000)
@given(st.binary(max_size=400))
def test_any_bytes_end_in_a_document_or_an_error_of_ours(data):
    for given_bytes in (data, text(WHOLE[:3]).encode() + data):
        assert x12.recognise(given_bytes) in (True, False)
        try:
            document = x12.parse(given_bytes)
        except x12.X12Error:
            continue
        assert x12.write(document) == given_bytes
        x12.validate(document)
