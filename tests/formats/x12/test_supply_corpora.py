"""Supply files of public test suites, kept beside the checkout: all read and kept, the valid ones valid."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from hilum.formats import x12
from hilum.formats.canonical import Order, as_json
from hilum.formats.findings import FormatError

CORPUS = Path(__file__).parents[3].parent / "shared" / "data" / "x12-supply"
FILES = (
    sorted(path for path in CORPUS.rglob("*") if path.is_file() and path.suffix not in (".json", ".csv"))
    if CORPUS.is_dir()
    else []
)
needs_corpus = pytest.mark.skipif(not FILES, reason="the corpus shared/data/x12-supply is not beside this checkout")

# What the authors of these files got wrong: (code, location) of every error, and why it is one.
WRONG = {
    # 214 and 857 are no sets of ours.
    "edi-net/x12.214.edi": [("1", "ST01")],
    "staedi/issue109/ts214_ellipses_segterm.edi": [("1", "ST01")],
    "oopfactory/_857/AfterMarketSuppliers_Example.txt": [("1", "ST01")],
    # TDS01 is before the discount (SAC C310), where the standard has it after allowances.
    "edi-net/x12.810c.edi": [("810-total", "TDS01")],
    "edi-net/x12.810d.edi": [("810-total", "TDS01")],
    # SE01 says 17 of 12 segments, CTT01 five of two items, and CUR stands among the items.
    "edi-net/x12.832.edi": [("4", "SE01"), ("7", "CUR"), ("832-line-count", "CTT01")],
    "edi-net/x12.850.edi": [("001", "IEA02")],
    # The U.P.C. numbers are invented: their check digits do not check. IEA02 is not ISA13.
    "gozer/asn856/asn856.txt": [
        ("001", "IEA02"),
        ("item-number-check-digit", "LIN05"),
        ("item-number-check-digit", "LIN05"),
    ],
    # Four of six lines were cut out, the count of segments and the total of the order were not.
    "gozer/po850/po850.txt": [("4", "SE01"), ("850-total", "AMT02")],
    # The total of the first invoice is of its funding line (FA2), not of its one item.
    "moov/example_4010_810/sample.txt": [("810-total", "TDS01")],
    # The file has one interchange twice, with the same control number.
    "node-x12/850_fat.edi": [("025", "ISA13")],
    # ISS stands before TDS; in the 810 it follows it.
    "oopfactory/_810/Example3_MultiInvoice.txt": [("7", "TDS"), ("7", "TDS")],
    "oopfactory/_810/Example5_Walmart.txt": [("7", "TDS")],
    # A typing error in TXI, and amounts that are not what is paid.
    "oopfactory/_820/Example1_MortgageBankers.txt": [("1", "TX1"), ("820-total", "BPR02")],
    # Placeholders (xxxx) and half of the amount; N103 without N104.
    "oopfactory/_820/Example2_ScanaEnergy.txt": [
        ("006", "ISA06"),
        ("001", "IEA02"),
        ("4", "BPR11"),
        ("5", "TRN03"),
        ("2", "N104"),
        ("820-total", "BPR02"),
    ],
    # Invented GTIN numbers; the second DTM of the item belongs before REF.
    "oopfactory/_832/_4010/Example1_HIBCC.txt": [
        ("7", "DTM"),
        ("item-number-check-digit", "LIN05"),
        ("item-number-check-digit", "PKL02"),
    ],
    "oopfactory/_850/Example2_Adobe_TLP.txt": [("850-total", "AMT02")],
    # BSN02 is empty; packaging codes have a blank before them.
    "oopfactory/_856/Example2.txt": [("1", "BSN02"), ("5", "TD101"), ("5", "CLD03"), ("5", "CLD03"), ("5", "CLD03")],
    # A segment terminator was lost behind N1, so that N3 reads as elements of it; dates are words.
    "oopfactory/_860/Example1.txt": [("4", "SE01"), ("4", "BCH06"), ("5", "N105"), ("5", "N106")],
    "oopfactory/_865/FromTyco.txt": [("001", "IEA02")],
    # The second invoice repeats the total of the first, with other lines.
    "staedi/simple810.edi": [("810-total", "TDS01")],
    # The suite's own failures, and why they fail here.
    "stupidedi/003010/PO850/fail/1.edi": [("4", "SE01"), ("850-line-count", "CTT01")],
    "stupidedi/004010/SC832/fail/1.edi": [("4", "SE01"), ("832-line-count", "CTT01")],
    # GS01 is SC, which is for price catalogues (832), around invoices, orders and their answers.
    "stupidedi/004010/X348 SC810 Aerospace Industry Invoice/pass/basic-invoice.edi": [("18", "ST01")],
    "stupidedi/004010/X357 SC850 Aerospace Industry Purchase Order/pass/basic-po.edi": [("18", "ST01")],
    "stupidedi/004010/X358 SC855 Aerospace Industry Purchase Order Acknowledgment/pass/basic-po-ack-accepted.edi": [
        ("18", "ST01")
    ],
    "stupidedi/004010/X358 SC855 Aerospace Industry Purchase Order Acknowledgment/pass/po-ack-minor-changes.edi": [
        ("18", "ST01")
    ],
}
# Templates with words where values belong, and trailing blanks in every segment: wrong in more places than are worth a list.
TEMPLATES = {"oopfactory/_820/Example3_HomeDepot.txt", "oopfactory/_820/Example5_Wikipedia.txt"}


def name_of(path: Path) -> str:
    return path.relative_to(CORPUS).as_posix()


@needs_corpus
def test_the_corpus_is_all_there():
    assert len(FILES) >= 47
    assert set(WRONG) | TEMPLATES <= {name_of(path) for path in FILES}


@needs_corpus
@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_file_is_read_and_written_back_byte_for_byte(path: Path):
    data = path.read_bytes()
    assert x12.recognise(data)
    document = x12.parse(data)
    assert document.transactions
    assert x12.write(document) == data


@needs_corpus
@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_file_has_no_errors_but_those_its_author_made(path: Path):
    """What is wrong in structure counts even where it is a warning, because the file's release is read by a neighbour's table."""
    found = [
        (finding.code, finding.location)
        for finding in x12.validate(x12.parse(path.read_bytes()))
        if finding.severity == "error"
        or (
            finding.severity == "warning"
            and finding.level in ("segment", "element")
            and finding.code != "trailing-separator"
        )
    ]
    if name_of(path) in TEMPLATES:
        assert len(found) >= 10
    else:
        assert Counter(found) == Counter(WRONG.get(name_of(path), []))


@needs_corpus
@pytest.mark.parametrize("path", [path for path in FILES if "/fail/" in name_of(path)], ids=name_of)
def test_what_its_suite_refuses_yields_findings(path: Path):
    """SH856/fail of 002001 has only warnings here: its ISA is not padded, and its hash total leaves out the packs in items."""
    assert x12.validate(x12.parse(path.read_bytes()))


@needs_corpus
@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_file_becomes_canonical(path: Path):
    if name_of(path) == "oopfactory/_856/Example2.txt":
        with pytest.raises(FormatError, match="BSN02"):
            x12.convert(x12.parse(path.read_bytes()))
        return
    for document in x12.convert(x12.parse(path.read_bytes())):
        assert json.dumps(as_json(document))


@needs_corpus
@pytest.mark.parametrize("name", ["850.edi", "850_2.edi"])
def test_an_order_says_what_node_x12_says(name: str):
    """850_map_result.json is node-x12's reading; its Date is empty because its map asks for BEG04, the release number."""
    expected = json.loads((CORPUS / "node-x12" / "850_map_result.json").read_text())
    document = x12.parse((CORPUS / "node-x12" / name).read_bytes())
    [order] = x12.convert(document)
    assert isinstance(order, Order)
    assert order.ship_to is not None
    place = order.ship_to
    assert {
        "SetID": document.transactions[0].set_id,
        "ControlNumber": document.transactions[0].control_number,
        "OrderNumber": order.number,
        "Date": document.transactions[0].segments[1][4],
        "ShipTo": {
            "Name": place.name,
            "Destination": place.identifiers[0].value,
            "Address": place.address_lines[0],
            "City": place.city,
            "State": place.state,
            "Zip": place.postal_code,
        },
        "OrderLines": [{"Quantity": str(line.quantity)} for line in order.lines],
        "Trailer": document.transactions[0].segments[-1][1:],
    } == expected
