"""A bank's file is read to the cent, checked at every level, and never believed when it does not add up."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.formats import bai2
from hilum.formats.bai2 import Bai2Error, EftTrace, eft_traces
from hilum.formats.canonical import as_json

# Lockbox deposits with funds of each kind, records that go on behind fields and behind text, and a balance below zero.
MONDAY = b"""01,031001234,LAKESHORE,260302,0600,7,,,2/
02,LAKESHORE,031001234,1,260302,2359,USD,2/
03,88112200,,010,-50000,,,100,1245500,3,V,260303,,400,1000,1,/
88,015,1194500,,/
16,142,120000,V,260302,,HH-7,,CCD HARBOR HEALTH PLAN TRN*1*EFT-1*13600
88,00001~
16,115,1000000,S,500000,400000,100000/
88,AX13612,B096132,HARBOR CORP. LOCKBOX, A/R
88,DEPOSIT-MISC. RECEIVABLES/
16,195,125500,D,2,0,100000,1,25500,WIRE-3,,/
16,555,1000,Z,,CHK-9,RETURNED, NOT SUFFICIENT/
49,3637500,10/
98,3637500,1,12/
99,3637500,1,14/
"""


def told(data: bytes) -> list[str]:
    return [str(finding) for finding in bai2.validate(bai2.parse(data))]


def test_every_amount_stands_where_the_bank_wrote_it_and_debits_are_below_zero():
    [group] = bai2.parse(MONDAY).groups
    [account] = group.accounts
    assert (group.originator, group.as_of, account.number, account.currency) == (
        "031001234", date(2026, 3, 2), "88112200", "USD",
    )  # fmt: skip
    assert [(s.type_code, s.amount, s.items) for s in account.summaries] == [
        ("010", Decimal("-500.00"), None), ("100", Decimal("12455.00"), 3), ("400", Decimal("10.00"), 1),
        ("015", Decimal("11945.00"), None),
    ]  # fmt: skip
    assert [(t.type_code, t.signed, t.bank_reference, t.customer_reference) for t in account.transactions] == [
        ("142", Decimal("1200.00"), "HH-7", None), ("115", Decimal("10000.00"), "AX13612", "B096132"),
        ("195", Decimal("1255.00"), "WIRE-3", None), ("555", Decimal("-10.00"), None, "CHK-9"),
    ]  # fmt: skip
    assert account.transactions[1].text == ("HARBOR CORP. LOCKBOX, A/R", "DEPOSIT-MISC. RECEIVABLES")
    assert told(MONDAY) == []


@pytest.mark.parametrize(
    ("at", "kind", "on", "parts"),
    [
        (0, "V", date(2026, 3, 2), ()),
        (1, "S", None, ((0, Decimal("5000.00")), (1, Decimal("4000.00")), (2, Decimal("1000.00")))),
        (2, "D", None, ((0, Decimal("1000.00")), (1, Decimal("255.00")))),
        (3, "Z", None, ()),
    ],
)
def test_each_funds_type_says_when_money_is_available(at, kind, on, parts):
    funds = bai2.parse(MONDAY).groups[0].accounts[0].transactions[at].funds
    assert (funds.kind, funds.on, funds.parts) == (kind, on, parts)


@pytest.mark.parametrize(
    ("wrong", "right", "says"),
    [
        (b"49,3637400,", b"49,3637500,", [
            "total: the control total is 36374.00 USD, what it controls is 36375.00: 1.00 too little at group 1, account 1, 49",
            "total: the control total is 36375.00 USD, what it controls is 36374.00: 1.00 too much at group 1, 98",
        ]),
        (b"98,3637501,", b"98,3637500,", [
            "total: the control total is 36375.01 USD, what it controls is 36375.00: 0.01 too much at group 1, 98",
            "total: the control total is 36375.00 USD, what it controls is 36375.01: 0.01 too little at 99",
        ]),
        (b"3637500,11/\n98", b"3637500,10/\n98", ["count: it counts 11 records, and there are 10 at group 1, account 1, 49"]),
        (b"98,3637500,2,", b"98,3637500,1,", ["count: it counts 2 accounts, and there are 1 at group 1, 98"]),
        (b"99,3637500,1,15", b"99,3637500,1,14", ["count: it counts 15 records, and there are 14 at 99"]),
        (b"16,142,130000,", b"16,142,120000,", [
            "total: the control total is 36375.00 USD, what it controls is 36475.00: 100.00 too little at group 1, account 1, 49",
        ]),
    ],
)  # fmt: skip
def test_what_does_not_add_up_is_told_with_the_difference_in_dollars(wrong, right, says):
    assert MONDAY.count(right) == 1
    assert told(MONDAY.replace(right, wrong)) == says


def test_a_line_that_was_lost_is_found_by_total_and_counts():
    lost = MONDAY.replace(b"16,195,125500,D,2,0,100000,1,25500,WIRE-3,,/\n", b"")
    assert [text.partition(":")[0] for text in told(lost)] == ["total", "count", "count", "count"]
    assert "1255.00 too much at group 1, account 1, 49" in told(lost)[0]


@pytest.mark.parametrize(
    ("right", "wrong", "code"),
    [
        (b"99,3637500,1,14/\n", b"", "sequence"),
        (b"49,3637500,10/\n", b"", "sequence"),
        (b"01,", b"02,", "sequence"),
        (b"16,142,120000,V", b"16,142,1200.00,V", "field"),
        (b"16,142,120000,V", b"16,1422,120000,V", "field"),
        (b"16,142,120000,V", b"16,142,120000,Q", "funds-type"),
        (b"D,2,0", b"D,x,0", "funds-type"),
        (b",1,260302,2359", b",1,261302,2359", "field"),
        (b",1,260302,2359", b",7,260302,2359", "field"),
        (b"7,,,2/", b"7,,,1/", "version"),
        (b"16,142", b"17,142", "record-code"),
        (b"03,88112200", b"03,", "field"),
        (b"7,,,2/", b"7,\0,,2/", "binary"),
        (b"14/\n", b"14/\n16,142,1,,,,/\n", "sequence"),
    ],
)
def test_what_is_no_such_file_is_refused_with_its_place(right, wrong, code):
    assert MONDAY.count(right) == 1
    with pytest.raises(Bai2Error) as refused:
        bai2.parse(MONDAY.replace(right, wrong))
    assert refused.value.code == code and (refused.value.line or code in ("binary", "sequence"))


@pytest.mark.parametrize(
    ("lines", "traces"),
    [
        (("TRN*1*12345*1512345678~",), [("12345", "1512345678")]),
        (("HARBOR PLAN CCD TRN*1*12345*1512345678*999\\ MORE",), [("12345", "1512345678")]),
        (("TRN*1*12", "345*1512345678\\"), [("12345", "1512345678")]),
        (("TRN*1*12345*15123", "45678~"), [("12345", "1512345678")]),
        (("TRN*1*12345*1512345678", "EREF: 9999"), [("12345", "1512345678")]),
        (("TRN*1*12345*1512345678", "9999 EREF"), [("12345", "1512345678")]),
        (("TRN*1*A-1*1512345678~TRN*1*A-2*1512345678~", "TRN*1*A-1*1512345678~"), [("A-1", "1512345678"), ("A-2", "1512345678")]),
        (("TRN*1*EFT 7*1512345678~",), [("EFT 7", "1512345678")]),
        (("RMR*TRN*1*12345",), [("12345", None)]),
        (("TRN*2*12345*1512345678~",), []),
        (("RETURN*1*12345*1512345678~",), []),
        (("HARBOR HEALTH PLAN PPD",), []),
        ((), []),
    ],
)  # fmt: skip
def test_the_trace_number_is_found_however_the_bank_prints_its_addendum(lines, traces):
    assert eft_traces(lines) == tuple(EftTrace(*each) for each in traces)


def test_type_codes_say_the_side_and_have_words():
    assert [code for code in ("142", "165", "195", "301", "115", "399", "720") if not bai2.is_credit(code)] == []
    assert [code for code in ("451", "475", "555", "495", "699") if not bai2.is_debit(code)] == []
    assert not any(bai2.is_credit(code) or bai2.is_debit(code) for code in ("010", "015", "890", "910"))
    assert bai2.words_of("142") == "ACH credit received" and bai2.words_of("398") == "credit"


def test_texts_and_account_numbers_are_protected_for_readers():
    shown = str(bai2.outline(bai2.parse(MONDAY)).as_json(lambda text: "***"))
    assert "88112200" not in shown and "LOCKBOX" not in shown and "1200.00" in shown


def test_movements_are_converted_one_by_one():
    first = as_json(bai2.convert(bai2.parse(MONDAY))[0])
    assert first["content"]["trace_numbers"] == "EFT-1" and first["content"]["amount"] == "1200.00"


def test_an_account_of_very_many_balances_is_read_in_time_that_grows_with_it():
    many = 30_000
    data = b"01,B,L,260302,,1,,,2/\n02,,B,1,260302,,,/\n03,ACC,\n" + b"88,015,1,,/\n" * many
    data += f"49,{many},{many + 2}/\n98,{many},1,{many + 4}/\n99,{many},1,{many + 6}/\n".encode()
    assert told(data) == [] and len(bai2.parse(data).groups[0].accounts[0].summaries) == many


_AMOUNTS = st.integers(0, 10**9)


@settings(max_examples=60, deadline=None)
@given(
    accounts=st.lists(
        st.tuples(st.lists(st.integers(-(10**9), 10**9), max_size=3), st.lists(st.tuples(st.sampled_from(["142", "451", "301", "555"]), _AMOUNTS), max_size=8)),
        min_size=1, max_size=4,
    ),
    fold=st.booleans(),
)  # fmt: skip
def test_whatever_a_bank_reports_adds_up_when_it_is_written_as_the_standard_says(accounts, fold):
    lines, totals = ["01,BANK,LAKE,260302,,1,,,2/", "02,,BANK,1,260302,,,/"], []
    for at, (balances, moved) in enumerate(accounts):
        own = [
            f"03,ACC-{at},/"
            if fold and balances
            else f"03,ACC-{at},," + "".join(f"015,{each},,," for each in balances) + "/"
        ]
        if fold and balances:
            own += [f"88,015,{each},,/" for each in balances]
        own += [f"16,{code},{amount},,REF-{n},,PAID A/B, C" for n, (code, amount) in enumerate(moved)]
        totals.append(sum(balances) + sum(amount for _, amount in moved))
        lines += [*own, f"49,{totals[-1]},{len(own) + 1}/"]
    inner = len(lines)
    lines += [f"98,{sum(totals)},{len(accounts)},{inner}/", f"99,{sum(totals)},1,{inner + 2}/"]
    data = "\r\n".join(lines).encode()
    document = bai2.parse(data)
    assert told(data) == [] and bai2.write(document) == data
    found = [[(t.type_code, t.amount * 100) for t in account.transactions] for _, _, account in document.accounts()]
    assert found == [moved for _, moved in accounts]
    assert all(t.text == ("PAID A/B, C",) for _, _, account in document.accounts() for t in account.transactions)
