"""A file of several interchanges is cut where each begins, and nothing of it is lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.formats import x12

CORPUS = Path(__file__).parents[3].parent / "shared" / "data" / "x12-hipaa" / "lfh-x12" / "835_005010X221A1"
REAL = [path.read_bytes() for path in sorted(CORPUS.glob("*.835"))]
needs_corpora = pytest.mark.skipif(not REAL, reason="the corpora shared/data are not beside this checkout")
SMALL = (
    "ISA{e}00{e}          {e}00{e}          {e}ZZ{e}ISA            {e}ZZ{e}LAKESHORE      {e}260105{e}0930{e}^{e}00501"
    "{e}{n:09}{e}0{e}T{e}:{s}GS{e}HP{e}ISA{e}L{e}20260105{e}0930{e}{n}{e}X{e}005010X221A1{s}ST{e}835{e}0001{s}SE{e}2{e}0001{s}"
    "GE{e}1{e}{n}{s}IEA{e}1{e}{n:09}{s}"
)


@needs_corpora
def test_real_remittances_in_one_file_come_apart_as_they_were():
    assert len(REAL) == 5
    parts = list(x12.interchanges(b"\n".join(REAL)))
    assert b"".join(parts) == b"\n".join(REAL)
    assert [part.strip() for part in parts] == [each.strip() for each in REAL]


@given(
    st.lists(st.tuples(st.sampled_from("*|"), st.sampled_from(["~", "~\n", "\r\n"])), min_size=1, max_size=5),
    st.booleans(),
)
def test_each_interchange_keeps_its_own_separators_and_a_sender_called_isa_is_none(ways, marked):
    texts = [SMALL.format(e=e, s=s, n=n) for n, (e, s) in enumerate(ways, start=1)]
    data = (b"\xef\xbb\xbf" if marked else b"") + "".join(texts).encode()
    parts = list(x12.interchanges(data))
    assert b"".join(parts) == data and len(parts) == len(ways)
    assert [x12.parse(part).interchanges[0].control_number for part in parts] == [
        f"{n:09}" for n in range(1, len(ways) + 1)
    ]


@needs_corpora
def test_one_interchange_is_the_file_itself_and_none_is_refused():
    assert list(x12.interchanges(REAL[0])) == [REAL[0]]
    with pytest.raises(x12.X12Error):
        list(x12.interchanges(b"MSH|^~\\&|"))


@needs_corpora
def test_a_party_whose_name_begins_with_isa_begins_no_interchange():
    named = REAL[0].replace(b"N1*PE*", b"N1*PE*ISA*00*1*00*1*ZZ*1*ZZ*1*1*1*^*1*1*1*T*:~N1*PE*", 1)
    assert list(x12.interchanges(named)) == [named]


def test_cutting_stops_where_its_reader_does():
    many = SMALL.format(e="*", s="~", n=1).encode() * 20_000
    cut = x12.interchanges(many)
    assert [len(next(cut)) for _ in range(3)] == [len(many) // 20_000] * 3
