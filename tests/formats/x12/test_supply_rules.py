"""Each supply set is valid as Lakeshore and ORTHO-SUPPLY write it; each thing that goes wrong is found where it is."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from hilum.formats import x12
from hilum.formats.canonical import as_json

SAMPLES = Path(__file__).parent / "samples" / "supply"
NAMES = sorted(path.name for path in SAMPLES.glob("*.edi"))


def changed(name: str, *edits: tuple[str, str]) -> bytes:
    """A sample with each text replaced once and its segments counted anew; every text must be there."""
    text = (SAMPLES / name).read_text()
    for old, new in edits:
        assert old in text, f"{old!r} is not in {name}"
        text = text.replace(old, new, 1)

    def recount(match: re.Match[str]) -> str:
        return f"{match[1]}SE*{match[1].count('~') + 1}*"

    return re.sub(r"(ST\*.*?)SE\*\d+\*", recount, text, flags=re.DOTALL).encode()


def findings(data: bytes) -> list[tuple[str, str | None, str]]:
    """(code, location, severity) of every finding."""
    return [(found.code, found.location, found.severity) for found in x12.validate(x12.parse(data))]


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_is_valid(name: str):
    assert findings((SAMPLES / name).read_bytes()) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_is_written_back_byte_for_byte(name: str):
    data = (SAMPLES / name).read_bytes()
    assert x12.write(x12.parse(data)) == data


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_says_what_its_golden_twin_says(name: str):
    told = [as_json(document) for document in x12.convert(x12.parse((SAMPLES / name).read_bytes()))]
    assert told == json.loads((SAMPLES / name).with_suffix(".json").read_text())


@pytest.mark.parametrize("name", [name for name in NAMES if "5010" not in name])
def test_a_sample_of_4010_is_valid_in_5010_too(name: str):
    text = (SAMPLES / name).read_text().replace("*00401*", "*00501*", 1).replace("*U*", "*^*", 1)
    assert findings(text.replace("*X*004010", "*X*005010", 1).encode()) == []


E, W = "error", "warning"
WRONG = {
    "810 a summary with a freight charge does not repeat the discount of a line": (
        "810.edi",
        [("TDS*419145", "TDS*419640")],
        [("810-total", "TDS01", "error")],
    ),
    # --- 850 ---
    "850 a line's quantity is lost": (
        "850.edi",
        [("PO1*1*2*EA", "PO1*1**")],
        [("850-hash-total", "CTT02", E)],
    ),
    "850 a quantity is another one": (
        "850.edi",
        [("PO1*1*2*EA", "PO1*1*3*EA")],
        [("850-hash-total", "CTT02", E), ("850-total", "AMT02", E)],
    ),
    "850 the price is per piece instead of per hundred": (
        "850.edi",
        [("EA*45*HP*", "EA*45*PE*")],
        [("850-total", "AMT02", E)],
    ),
    "850 a line is lost": (
        "850.edi",
        [("PO1*3*300*EA*45*HP*VN*GAUZE-4*N4*99999123401~\n", "")],
        [("850-line-count", "CTT01", E), ("850-hash-total", "CTT02", E), ("850-total", "AMT02", E)],
    ),
    "850 two lines have one number": ("850.edi", [("PO1*2*", "PO1*1*")], [("850-line-number", "PO101", E)]),
    "850 the discount is gone from the total": (
        "850.edi",
        [("AMT*TT*4325.05", "AMT*TT*4320.05")],
        [("850-total", "AMT02", E)],
    ),
    "850 it is wanted before it was ordered": (
        "850.edi",
        [("DTM*002*20261124", "DTM*002*20261119")],
        [("850-dates", "DTM02", W)],
    ),
    "850 the window closes before it opens": (
        "850.edi",
        [("DTM*002*20261124~", "DTM*002*20261124~\nDTM*064*20261130~\nDTM*063*20261129~")],
        [("850-dates", "DTM02", E)],
    ),
    "850 the check digit of a GTIN is wrong": (
        "850.edi",
        [("10614141000996", "10614141000995")],
        [("item-number-check-digit", "PO111", E)],
    ),
    "850 two digits of a U.P.C. are exchanged": (
        "850.edi",
        [("061414000123", "064114000123")],
        [("item-number-check-digit", "PO109", E)],
    ),
    "850 a U.P.C. has eleven digits": (
        "850.edi",
        [("061414000123", "06141400012")],
        [("item-number-form", "PO109", W)],
    ),
    "850 an NDC has twelve digits": (
        "850.edi",
        [("99999123401", "999991234012")],
        [("item-number-form", "PO109", W)],
    ),
    "850 an HIBC has no labeler": (
        "850.edi",
        [("VN*KNEE-99", "HI*+1234567")],
        [("item-number-form", "PO107", W)],
    ),
    "850 a qualifier stands alone": ("850.edi", [("VN*KNEE-99*", "VN**")], [("2", "PO107", E)]),
    "850 the order has no number": ("850.edi", [("SA*PO-1001*", "SA**")], [("1", "BEG03", E)]),
    "850 a date is no date": ("850.edi", [("**20261120*", "**20261320*")], [("8", "BEG05", E)]),
    "850 the notes come after the parties": (
        "850.edi",
        [("N9*L1*NOTES~\nMSG*DELIVER TO THE OPERATING ROOM~\n", ""), ("PO1*1*", "N9*L1*NOTES~\nPO1*1*")],
        [("7", "N9", E)],
    ),
    # --- 855 ---
    "855 what is backordered is lost": (
        "855.edi",
        [("ACK*IB*15*EA*067*20261201~\n", "")],
        [("855-quantity", "PO102", E)],
    ),
    "855 more is promised than was ordered": (
        "855.edi",
        [("ACK*IB*15*EA", "ACK*IB*16*EA")],
        [("855-quantity", "PO102", E)],
    ),
    "855 the whole is accepted, but a line is not": (
        "855.edi",
        [("BAK*00*AC*", "BAK*00*AD*")],
        [("855-status", "BAK02", W)],
    ),
    "855 the hash total is of what is answered": (
        "855.edi",
        [("ACK*IR*6*EA", "ACK*IR*0*EA"), ("CTT*4*348", "CTT*4*342")],
        [("855-hash-total", "CTT02", W)],
    ),
    "855 the hash total is of nothing": ("855.edi", [("CTT*4*348", "CTT*4*347")], [("855-hash-total", "CTT02", E)]),
    # --- 856 ---
    "856 a pack stands in a level that is not there": (
        "856.edi",
        [("HL*4*3*P", "HL*4*9*P")],
        [("hl-parent", "HL02", E)],
    ),
    "856 an order stands in a pack": (
        "856.edi",
        [("HL*3*2*T*1~", "HL*3*2*P*1~"), ("HL*4*3*P*1~\nMAN*GM*00006141400000000181", "HL*4*3*O*1~\nPRF*PO-1001")],
        [("856-hierarchy", "HL02", E)],
    ),
    "856 the structure has no packs": (
        "856.edi",
        [("*1415*0001", "*1415*0004")],
        [("856-hierarchy", "HL02", E)] * 3,
    ),
    "856 the structure has items in orders and packs in items": (
        "856.edi",
        [("*1415*0001", "*1415*0002")],
        [("856-hierarchy", "HL02", E)] * 3,
    ),
    "856 a level has the number of another": (
        "856.edi",
        [("HL*6*4*I", "HL*5*4*I")],
        [("hl-sequence", "HL01", E)],
    ),
    "856 an item stands in nothing": (
        "856.edi",
        [("HL*8*7*I", "HL*8**I")],
        [("hl-children", "HL04", W), ("856-hierarchy", "HL02", E)],
    ),
    "856 a level says it has no children, but has": (
        "856.edi",
        [("HL*7*3*P*1", "HL*7*3*P*0")],
        [("hl-children", "HL04", E)],
    ),
    "856 an item has no quantity": (
        "856.edi",
        [("SN1*2*25*EA**40*EA~\n", "")],
        [("856-item", "HL", E), ("856-hash-total", "CTT02", E)],
    ),
    "856 an item has no number": (
        "856.edi",
        [("LIN*2*VN*SCREW-12*UP*061414000123*LT*LOT-S7~\n", "")],
        [("856-item", "HL", E)],
    ),
    "856 an order has no number": ("856.edi", [("PRF*PO-1001~\n", "")], [("856-order", "HL", E)]),
    "856 a quantity has the wrong sign": (
        "856.edi",
        [("SN1*2*25*EA", "SN1*2*-25*EA")],
        [("856-quantity", "SN102", E)],
    ),
    "856 more is shipped than was ordered": (
        "856.edi",
        [("SN1*2*25*EA**40*EA", "SN1*2*25*EA**20*EA")],
        [("856-quantity", "SN102", W)],
    ),
    "856 the items are counted, not the levels": (
        "856.edi",
        [("CTT*8*27", "CTT*3*27")],
        [("856-line-count", "CTT01", W)],
    ),
    "856 the count is of nothing": ("856.edi", [("CTT*8*27", "CTT*9*27")], [("856-line-count", "CTT01", E)]),
    "856 the check digit of a pallet is wrong": (
        "856.edi",
        [("00006141400000000013", "00006141400000000012")],
        [("item-number-check-digit", "MAN02", E)],
    ),
    "856 the packs do not add up to the item": (
        "856_packs_in_items.edi",
        [("SN1**15*EA", "SN1**14*EA"), ("CTT*5*80", "CTT*5*79")],
        [("856-quantity", "SN102", E)],
    ),
    "856 the loads do not add up to the item": (
        "856_packs_in_items.edi",
        [("SN1*2*40*EA~", "SN1*2*40*EA~\nCLD*2*19*CTN~")],
        [("856-quantity", "SN102", E)],
    ),
    "856 the hash total is of the items alone": (
        "856_packs_in_items.edi",
        [("CTT*5*80", "CTT*5*40")],
        [("856-hash-total", "CTT02", W)],
    ),
    "856 the shipment has no item": (
        "856_packs_in_items.edi",
        [("HL*3*2*I*1", "HL*3*2*P*1"), ("HL*4*3*P*0", "HL*4*3*P*0")],
        [("856-hierarchy", "HL", E)],
    ),
    # --- 810 ---
    "810 the total is a cent too high": ("810.edi", [("TDS*419145", "TDS*419146")], [("810-total", "TDS01", E)]),
    "810 the total has a decimal point": (
        "810.edi",
        [("TDS*419145", "TDS*4191.45")],
        [("6", "TDS01", E), ("810-total-unchecked", "TDS01", "information")],
    ),
    "810 the total is in dollars": ("810.edi", [("TDS*419145", "TDS*4191")], [("810-total", "TDS01", E)]),
    "810 an allowance has the wrong sign": ("810.edi", [("SAC*A*C310", "SAC*C*C310")], [("810-total", "TDS01", E)]),
    "810 the freight is an allowance": ("810.edi", [("SAC*C*D240", "SAC*A*D240")], [("810-total", "TDS01", E)]),
    "810 the freight is lost": (
        "810.edi",
        [("SAC*C*D240***3500**********FREIGHT~\n", "")],
        [("810-total", "TDS01", E)],
    ),
    "810 the tax is lost": ("810.edi", [("TXI*ST*17.02*5.5~\n", "")], [("810-total", "TDS01", E)]),
    "810 a quantity is lost": (
        "810.edi",
        [("IT1*3*300*EA*45*HP", "IT1*3*3*EA*45*HP")],
        [("810-total", "TDS01", E), ("810-hash-total", "CTT02", E)],
    ),
    "810 the basis of a price is lost": ("810.edi", [("EA*45*HP", "EA*45*")], [("810-total", "TDS01", E)]),
    "810 a line is billed twice": (
        "810.edi",
        [("IT1*3*300*EA*45*HP*VN*GAUZE-4~\n", "IT1*3*300*EA*45*HP*VN*GAUZE-4~\n" * 2)],
        [
            ("810-total", "TDS01", E),
            ("810-line-count", "CTT01", E),
            ("810-hash-total", "CTT02", E),
            ("810-line-number", "IT101", W),
        ],
    ),
    "810 a line has no price": (
        "810.edi",
        [("IT1*3*300*EA*45*HP", "IT1*3*300*EA**HP")],
        [("2", "IT104", E), ("810-total-unchecked", "TDS01", "information")],
    ),
    "810 a line is in another currency": (
        "810.edi",
        [("PID*F****KNEE SYSTEM", "CUR*SE*EUR~\nPID*F****KNEE SYSTEM")],
        [("810-total-unchecked", "TDS01", "information")],
    ),
    "810 the discounted amount is not the total less the discount": (
        "810.edi",
        [("TDS*419145", "TDS*419145*419145*410000*8383")],
        [("810-terms", "TDS03", E)],
    ),
    "810 a credit has the sign of an invoice": (
        "810_credit.edi",
        [("TDS*-185000", "TDS*185000")],
        [("810-total", "TDS01", E)],
    ),
    "810 there is no total": ("810_credit.edi", [("TDS*-185000~\n", "")], [("3", "TDS", E)]),
    # --- 832 ---
    "832 an item is lost": ("832.edi", [("CTT*2", "CTT*3")], [("832-line-count", "CTT01", E)]),
    "832 a price is negative": ("832.edi", [("CAT*115*10", "CAT*-115*10")], [("832-price", "CTP03", E)]),
    "832 a price ends before it begins": (
        "832.edi",
        [("DTM*197*20261231", "DTM*197*20251231")],
        [("832-price", "DTM02", E)],
    ),
    "832 two items have one number": ("832.edi", [("LIN*2*", "LIN*1*")], [("832-line-number", "LIN01", W)]),
    "832 the check digit of a box is wrong": (
        "832.edi",
        [("10614141000989", "10614141000988")],
        [("item-number-check-digit", "PKL02", E)],
    ),
    # --- 820 ---
    "820 an item is lost": (
        "820.edi",
        [("RMR*IV*INV-7002*PO*1950*2000*50~\n", "")],
        [("820-total", "BPR02", E)],
    ),
    "820 a deduction is added": ("820.edi", [("ADX*-100", "ADX*100")], [("820-total", "BPR02", E)]),
    # --- 860, 865 ---
    "860 more is wanted, but not how much": (
        "860.edi",
        [("POC*1*QI*3*1*EA", "POC*1*QI***")],
        [("860-hash-total", "CTT02", E), ("860-change", "POC03", E)],
    ),
    "860 a price changes to nothing": (
        "860.edi",
        [("POC*3*PC****44.5*HP", "POC*3*PC*****")],
        [("860-change", "POC06", E)],
    ),
    "860 an unknown change": ("860.edi", [("POC*2*DI", "POC*2*XX")], [("860-change", "POC02", W)]),
    "860 a line is deleted, but not which": ("860.edi", [("POC*2*DI", "POC**DI")], [("860-change", "POC01", E)]),
    "860 an added line names no item": (
        "860.edi",
        [("POC*5*AI*10*10*EA*7.5*PE*VN*PIN-3", "POC*5*AI*10*10*EA*7.5*PE")],
        [("860-change", "POC09", E)],
    ),
    "865 an answer says another quantity": (
        "865.edi",
        [("ACK*IA*3*EA", "ACK*IA*2*EA")],
        [("865-quantity", "POC03", E)],
    ),
    # --- 846, 867 ---
    "846 stock is negative": (
        "846.edi",
        [("QTY*33*9*EA", "QTY*33*-9*EA")],
        [("846-quantity", "QTY02", E)],
    ),
    "846 an item has no quantity": (
        "846.edi",
        [("QTY*17*4000~\nUIT*EA*12.375~\n", ""), ("CTT*2*4021", "CTT*2*21")],
        [("846-quantity", "LIN", W)],
    ),
    "846 the hash total is wrong": ("846.edi", [("CTT*2*4021", "CTT*2*4012")], [("846-hash-total", "CTT02", E)]),
    "867 a sale is negative": ("867.edi", [("QTY*32*1*EA", "QTY*32*-1*EA")], [("867-quantity", "QTY02", E)]),
    "867 a movement is lost": (
        "867.edi",
        [("PTD*BN~\nQTY*76*-2*EA~\nLIN*2*VN*SCREW-12~\n", "")],
        [("867-line-count", "CTT01", E), ("867-hash-total", "CTT02", E)],
    ),
}


@pytest.mark.parametrize(("name", "edits", "expected"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_found_where_it_is(
    name: str, edits: list[tuple[str, str]], expected: list[tuple[str, str | None, str]]
):
    assert findings(changed(name, *edits)) == expected


RIGHT = {
    "810 halves of cents are rounded line by line": ("810.edi", [("TDS*419145", "TDS*419144")]),
    "810 the summary repeats the lines' discount": (
        "810.edi",
        [("SAC*C*D240***3500**********FREIGHT~\n", "SAC*A*C310***495~\n"), ("TDS*419145", "TDS*415645")],
    ),
    "810 a tax charge has its taxes as detail": (
        "810.edi",
        [
            ("TXI*ST*17.02*5.5~\n", ""),
            ("SAC*C*D240***3500**********FREIGHT~", "SAC*C*H850***1702~\nTXI*ST*17.02*5.5~"),
            ("TDS*419145", "TDS*415645"),
        ],
    ),
    "810 an allowance is billed back, not taken off": (
        "810_credit.edi",
        [("TDS*-185000~", "TDS*-185000~\nSAC*A*C310***495*******01~")],
    ),
    "810 a charge is a rate for a quantity": (
        "810.edi",
        [("SAC*C*D240***3500**********FREIGHT~", "SAC*C*D240******14*LB*2.5~")],
    ),
    "810 a line costs nothing": (
        "810.edi",
        [("IT1*3*300*EA*45*HP", "IT1*3*300*EA*45*NC"), ("TDS*419145", "TDS*405645")],
    ),
    "855 a quantity is changed by the answer": ("855.edi", [("ACK*IB*15*EA", "ACK*IQ*12*EA")]),
    "855 the hash total drops decimal points": (
        "855.edi",
        [("PO1*1*2*EA", "PO1*1*2.5*EA"), ("ACK*IA*2*EA", "ACK*IA*2.5*EA"), ("CTT*4*348", "CTT*4*371")],
    ),
    "856 the loads add up to the item": (
        "856_packs_in_items.edi",
        [("SN1*2*40*EA~", "SN1*2*40*EA~\nCLD*2*20*CTN~")],
    ),
    "856 no structure is named": ("856.edi", [("*1415*0001", "*1415")]),
    "850 the window is one day": (
        "850.edi",
        [("DTM*002*20261124~", "DTM*064*20261124~\nDTM*063*20261124~")],
    ),
    "850 an HIBC with its labeler": ("850.edi", [("VN*KNEE-99", "HI*+H123KNEE990")]),
    "850 no line is counted": ("850.edi", [("CTT*3*342~\nAMT*TT*4325.05~\n", "")]),
}


@pytest.mark.parametrize(("name", "edits"), RIGHT.values(), ids=RIGHT)
def test_what_partners_write_differently_is_no_error(name: str, edits: list[tuple[str, str]]):
    assert [found for found in findings(changed(name, *edits)) if found[2] == "error"] == []


def test_a_rule_never_raises_whatever_stands_where_numbers_should():
    for name in NAMES:
        text = (SAMPLES / name).read_text()
        head, body = text.split("\n", 1)
        for odd in ("1E999999", "-", "9" * 60, "NaN", "Infinity", ".", "-1E-999999", "00", "1" * 18):
            bent = re.sub(r"(?<=\*)-?\d+(\.\d+)?(?=[*~])", odd, body)
            document = x12.parse(f"{head}\n{bent}".encode())
            assert x12.validate(document)
            for transaction in document.transactions:
                assert x12.check(transaction)
