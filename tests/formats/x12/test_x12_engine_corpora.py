"""Real files from public test suites, kept beside the checkout: every one is read, kept byte for byte, and answered cleanly."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from hilum.formats import x12

CORPORA = Path(__file__).parents[3].parent / "shared" / "data"
NOON = datetime(2026, 3, 1, 12, 0)
FILES = sorted(
    path
    for folder in ("x12-hipaa", "x12-supply")
    for path in ((CORPORA / folder).rglob("*") if (CORPORA / folder).is_dir() else ())
    if path.is_file() and path.suffix not in (".csv", ".md", ".json")
)
needs_corpora = pytest.mark.skipif(not FILES, reason="the corpora shared/data/x12-* are not beside this checkout")

REFUSED = {
    "x12-hipaa/imsweb/837_5010/x12_no_isa_line.txt",
    "x12-hipaa/keironstoddart-835/test_edi_835_files/blue_cross_nc_sample.txt",  # Begins with ST: a transaction without envelopes.
}
# imsweb refuses this one for an ISA02 of nine characters. Real senders do not pad either, so it is read with a warning for
# it, and with an error for its SE01.
READ_ALL_THE_SAME = "x12-hipaa/imsweb/837_5010/x12_bad_first_line.txt"

# What is wrong with envelopes, as the corpus's COMPUTED.csv found it by other means, for files whose ISA it could read.
# 'GE02=... ~' and 'IEA02=...~' there come from taking the newline as terminator where ISA16 is followed by it and a tilde.
COUNTED_WRONG = {
    "x12-hipaa/imsweb/277_5010/x12_277_x212.txt": {"001"},
    "x12-hipaa/imsweb/837_5010/x12_999_accepted.txt": {"001"},
    "x12-hipaa/imsweb/837_5010/x12_complex.txt": {"4", "5"},
    "x12-hipaa/imsweb/837_5010/x12_multiple_gs.txt": {"4", "021"},
    "x12-supply/gozer/asn856/asn856.txt": {"001"},
    "x12-supply/gozer/po850/po850.txt": {"4"},
    "x12-supply/oopfactory/_820/Example2_ScanaEnergy.txt": {"001"},
    "x12-supply/oopfactory/_865/FromTyco.txt": {"001"},
}


def name_of(path: Path) -> str:
    return path.relative_to(CORPORA).as_posix()


@needs_corpora
def test_the_corpora_are_all_there():
    assert len(FILES) > 190


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_real_file_is_read_kept_byte_for_byte_and_answered(path):
    data = path.read_bytes()
    if name_of(path) in REFUSED:
        with pytest.raises(x12.X12Error):
            x12.parse(data)
        return
    assert x12.recognise(data)

    document = x12.parse(data)
    findings = x12.validate(document)

    assert x12.write(document) == data
    assert [t.segments for t in x12.transactions([data])] == [t.segments for t in document.transactions]
    assert all(transaction.set_id != "?" for transaction in document.transactions)
    try:
        answer = x12.acknowledge(document, findings, control_number=7, now=NOON)
    except x12.X12Error as nothing:
        assert "nothing" in nothing.text
        return
    assert x12.validate(answer) == []


@needs_corpora
@pytest.mark.parametrize("name", COUNTED_WRONG)
def test_counts_and_control_numbers_are_found_wrong_where_they_are(name):
    errors = {f.code for f in x12.parse((CORPORA / name).read_bytes()).envelope_findings if f.severity == "error"}
    assert COUNTED_WRONG[name] <= errors


@needs_corpora
@pytest.mark.parametrize(
    ("name", "terminator", "sets"),
    [
        ("x12-supply/staedi/issue109/ts214_ellipses_segterm.edi", "…", ["214"]),
        ("x12-supply/oopfactory/_856/Example1.txt", "*", ["856"]),
        ("x12-supply/oopfactory/_846/Example1.txt", "}", ["846"]),
        ("x12-supply/edi-net/x12.214.edi", "~", ["214"]),
        ("x12-supply/edi-net/x12.810a.edi", "~", ["810"]),
        ("x12-supply/stupidedi/004010/SC832/fail/1.edi", "~", ["832"]),
        ("x12-hipaa/imsweb/837_5010/x12_valid_different_separators.txt", "_", ["837"]),
        ("x12-hipaa/oopfactory/FIN/_824/FromCnSpec.txt", "\n", ["824"]),
        ("x12-supply/staedi/simple997-multiple-interchanges.edi", "~", ["997"] * 3),
        ("x12-hipaa/staedi/wiki/x12_interchange_ack.txt", "~", []),
    ],
)
def test_odd_separators_are_found(name, terminator, sets):
    document = x12.parse((CORPORA / name).read_bytes())
    assert {i.separators.segment for i in document.interchanges} == {terminator}
    assert [t.set_id for t in document.transactions] == sets


@needs_corpora
def test_the_one_with_a_short_isa_is_read_with_a_warning():
    document = x12.parse((CORPORA / READ_ALL_THE_SAME).read_bytes())
    found = [(f.code, f.severity) for f in document.envelope_findings]
    assert ("011", "warning") in found
    assert ("4", "error") in found


@needs_corpora
@pytest.mark.parametrize("path", [p for p in FILES if "fail" in p.parts], ids=name_of)
def test_what_must_fail_has_findings(path):
    assert x12.validate(x12.parse(path.read_bytes()))


@needs_corpora
@pytest.mark.parametrize("path", [p for p in FILES if "997" in name_of(p) or "999" in name_of(p)], ids=name_of)
def test_received_answers_are_clean_inside_and_say_what_was_answered(path):
    document = x12.parse(path.read_bytes())
    for transaction in document.transactions:
        if transaction.set_id in ("997", "999"):
            assert [f for f in x12.check(transaction) if f.severity == "error"] == []
            [told] = x12.convert_transaction(transaction)
            assert told.items[0].level == "group"


@needs_corpora
def test_a_large_file_of_many_interchanges_is_counted_right():
    document = x12.parse((CORPORA / "x12-hipaa/imsweb/837_5010/x12_multiple_transactions.txt").read_bytes())
    assert len(document.transactions) == 312
    assert sum(segment[0] == "CLM" for t in document.transactions for segment in t.segments) == 624
