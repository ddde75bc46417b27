"""Each health care set is valid as Lakeshore writes it; each thing that goes wrong is found where it is, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hilum.formats import x12

SAMPLES = Path(__file__).parent / "samples" / "hipaa"
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


def findings(data: bytes) -> list[tuple[str, str | None, str | None]]:
    """(code, loop, location) of every finding."""
    return [(found.code, found.loop, found.location) for found in x12.validate(x12.parse(data))]


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_is_valid(name: str):
    assert findings((SAMPLES / name).read_bytes()) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_is_written_back_byte_for_byte(name: str):
    data = (SAMPLES / name).read_bytes()
    assert x12.write(x12.parse(data)) == data


WRONG = {
    # --- 835 ---
    "835 a service pays more than it was charged less adjustments": (
        "835.edi",
        [("SVC*HC:99213:25*125.5*90.25**1", "SVC*HC:99213:25*125.5*91.25**1")],
        [("835-service-balance", "2110", "SVC03"), ("835-claim-services", "2100", "CLP04")],
    ),
    "835 an adjustment of a service is lost": (
        "835.edi",
        [("CAS*CO*45*15.25~\n", "")],
        [("835-claim-balance", "2100", "CLP04"), ("835-service-balance", "2110", "SVC03")],
    ),
    "835 an adjustment has the wrong sign": (
        "835.edi",
        [("CAS*CO*45*15.25~", "CAS*CO*45*-15.25~")],
        [("835-claim-balance", "2100", "CLP04"), ("835-service-balance", "2110", "SVC03")],
    ),
    "835 a claim without services does not balance": (
        "835.edi",
        [("CLP*HIP-12*1*200*185*15", "CLP*HIP-12*1*201*185*15")],
        [("835-claim-balance", "2100", "CLP04")],
    ),
    "835 charge and payment are swapped": (
        "835.edi",
        [("CLP*HIP-12*1*200*185*15", "CLP*HIP-12*1*185*200*15")],
        [("835-transaction-balance", None, "BPR02"), ("835-claim-balance", "2100", "CLP04")],
    ),
    "835 a whole claim is lost": (
        "835.edi",
        [
            (
                "CLP*HIP-12*1*200*185*15*12*HHP-2*11*1~\nCAS*PR*1*15~\nNM1*QC*1*HIP*MINA****MI*MBR-12~\nDTM*232*20260103~\n",
                "",
            ),
        ],
        [("835-transaction-balance", None, "BPR02")],
    ),
    "835 a provider adjustment has the wrong sign": (
        "835.edi",
        [("*-50.5*", "*50.5*")],
        [("835-transaction-balance", None, "BPR02")],
    ),
    "835 a third provider adjustment in the same PLB counts too": (
        "835.edi",
        [("*CS*13~", "*CS*14~")],
        [("835-transaction-balance", None, "BPR02")],
    ),
    "835 a reversal does not take back": (
        "835.edi",
        [
            ("CLP*OLD-7*22*-80*-60", "CLP*OLD-7*22*80*60"),
            ("CAS*CO*45*-20", "CAS*CO*45*20"),
            ("BPR*I*430.25", "BPR*I*550.25"),
        ],
        [("835-reversal-sign", "2100", "CLP04")],
    ),
    "835 a payment is negative": (
        "835.edi",
        [("BPR*I*430.25", "BPR*I*-69.75"), ("*CS*13~", "*CS*513~")],
        [("835-negative-payment", None, "BPR02")],
    ),
    "835 money goes out by no means": (
        "835.edi",
        [
            (
                "BPR*I*430.25*C*ACH*CCP*01*072000326*DA*111222*1380000009**01*072000805*DA*333444*",
                "BPR*I*430.25*C*NON************",
            )
        ],
        [("835-payment-without-means", None, "BPR02")],
    ),
    "835 the patient's part is not what PR adjustments say": (
        "835.edi",
        [("*265.25*35*12", "*265.25*36*12")],
        [("835-patient-responsibility", "2100", "CLP05")],
    ),
    "835 the payer's technical contact is missing": (
        "835.edi",
        [("PER*BL*EDI DESK*TE*5550100300~\n", "")],
        [("3", "1000A", "PER")],
    ),
    "835 the trace number is missing": ("835.edi", [("TRN*1*EFT-2026-7*", "TRN*1**")], [("1", "transaction", "TRN02")]),
    "835 the trace number is of another payer": (
        "835.edi",
        [("TRN*1*EFT-2026-7*1380000009", "TRN*1*EFT-2026-7*1380000008")],
        [("835-trace-payer", None, "TRN03")],
    ),
    "835 an adjustment group is no group": (
        "835.edi",
        [("CAS*PR*3*20", "CAS*ZZ*3*20")],
        [("I6", "2110", "CAS01"), ("835-patient-responsibility", "2100", "CLP05")],
    ),
    "835 4010 does not balance either": (
        "835_4010.edi",
        [("BPR*I*90*", "BPR*I*91*")],
        [("835-transaction-balance", None, "BPR02")],
    ),
    "835 the payee's identifier has a wrong check digit": (
        "835_4010.edi",
        [("N1*PE*LAKESHORE HEALTH*XX*1234567893", "N1*PE*LAKESHORE HEALTH*XX*1234567894")],
        [("npi-check-digit", None, "N104")],
    ),
    # --- 837 ---
    "837P the claim's charge is not its lines": (
        "837p.edi",
        [("CLM*KNEE-99*350.5*", "CLM*KNEE-99*305.5*")],
        [("837-claim-total", "2300", "CLM02")],
    ),
    "837I the claim's charge is not its lines": (
        "837i.edi",
        [("SV2*0120**7500", "SV2*0120**750")],
        [("837-claim-total", "2300", "CLM02")],
    ),
    "837D the claim's charge is not its lines": (
        "837d.edi",
        [("CLM*MOLAR-31*310", "CLM*MOLAR-31*309")],
        [("837-claim-total", "2300", "CLM02")],
    ),
    "837P a line is lost": (
        "837p.edi",
        [("LX*1~\nSV1*HC:99213:25*125.5*UN*1***1:2~\nDTP*472*D8*20260102~\nREF*6R*KNEE-99-1~\n", "")],
        [("837-claim-total", "2300", "CLM02"), ("837-line-number", "2400", "LX01")],
    ),
    "837P a pointer points beyond the diagnoses": (
        "837p.edi",
        [("***1:2~", "***1:3~")],
        [("837-diagnosis-pointer", "2400", "SV107-2")],
    ),
    "837P a pointer points at nothing": (
        "837p.edi",
        [("***1:2~", "***1:0~")],
        [("I6", "2400", "SV107-2"), ("837-diagnosis-pointer", "2400", "SV107-2")],
    ),
    "837P a replacement does not say what it replaces": (
        "837p.edi",
        [("REF*F8*PAYER-55~\n", "")],
        [("I6", "2300", "CLM05-3")],
    ),
    "837P an accident has no date": ("837p.edi", [("DTP*439*D8*20251224~\n", "")], [("I6", "2300", "CLM11-1")]),
    "837P a car accident was nowhere": ("837p.edi", [("AA:::MI", "AA")], [("I6", "2300", "CLM11-4")]),
    "837P an inpatient has no admission": (
        "837p.edi",
        [("***11:B:1*Y*A*Y*Y~", "***21:B:1*Y*A*Y*Y~")],
        [("I6", "2300", "CLM05-1")],
    ),
    "837I an inpatient has no admission": (
        "837i.edi",
        [("DTP*435*DT*202601050700~\n", "")],
        [("I6", "2300", "CLM05-1")],
    ),
    "837I an inpatient has no admitting diagnosis": (
        "837i.edi",
        [("HI*ABJ:M1711~\n", "")],
        [("I6", "2300", "CLM05-1")],
    ),
    "837I an inpatient has no type of admission": (
        "837i.edi",
        [("CL1*1*1*01", "CL1**1*01")],
        [("I6", "2300", "CL101")],
    ),
    "837I a statement period is missing": (
        "837i.edi",
        [("DTP*434*RD8*20260105-20260108~\n", "")],
        [("3", "2300", "DTP")],
    ),
    "837I a stay ends before it begins": (
        "837i.edi",
        [("20260105-20260108", "20260108-20260105")],
        [("837-period", None, "DTP03")],
    ),
    "837I a service comes after the claim": (
        "837i.edi",
        [("20260105-20260108", "20260105-20270108")],
        [("837-future-service", None, "DTP03")],
    ),
    "837P the subscriber's birth date is missing and he is the patient": (
        "837p.edi",
        [("DMG*D8*19600215*F~\n", "")],
        [("I6", "2010BA", "NM1")],
    ),
    "837P the subscriber is the patient and another one follows": (
        "837p.edi",
        [("SBR*S**GRP-8", "SBR*S*18*GRP-8")],
        [("I9", "2000C", "HL"), ("I6", "2010BA", "NM1"), ("I6", "2010BA", "NM1"), ("I6", "2010BA", "NM1")],
    ),
    "837P the patient level is missing": (
        "837p.edi",
        [("SBR*P*18*GRP-7", "SBR*P**GRP-7")],
        [("I6", "2000B", "SBR")],
    ),
    "837P two payers are first": (
        "837p.edi",
        [("SBR*P*19*******CI", "SBR*S*19*******CI")],
        [("837-payer-sequence", "2320", "SBR01")],
    ),
    "837P the earlier payer's line does not balance": (
        "837p.edi",
        [("CAS*CO*45*30", "CAS*CO*45*31")],
        [("837-cob-line-balance", "2400", "SVD02")],
    ),
    "837P the earlier payer's claim does not balance": (
        "837p.edi",
        [("AMT*D*140", "AMT*D*141")],
        [("837-cob-claim-balance", "2320", "AMT02")],
    ),
    "837P an address has no state": (
        "837p.edi",
        [("N4*LAKEPORT*MI*490011234", "N4*LAKEPORT**490011234")],
        [("I9", None, "N402")],
    ),
    "837P an identifier stands without its kind": (
        "837p.edi",
        [("NM1*82*1*HART*ROSA****XX*", "NM1*82*1*HART*ROSA*****")],
        [("2", "2310B", "NM108")],
    ),
    "837P the billing provider's name is missing": (
        "837p.edi",
        [("NM1*85*2*LAKESHORE ORTHOPEDICS*", "NM1*85*2**")],
        [("1", "2010AA", "NM103")],
    ),
    "837P a place of service is too long": (
        "837p.edi",
        [("***11:B:1*Y*A*Y*Y~", "***111:B:1*Y*A*Y*Y~")],
        [("5", "2300", "CLM05-1")],
    ),
    "837P a level is numbered twice": (
        "837p.edi",
        [("HL*3*1*22*1", "HL*2*1*22*1"), ("HL*4*3*23*0", "HL*3*2*23*0")],
        [("hl-sequence", None, "HL01"), ("hl-sequence", None, "HL01"), ("hl-children", None, "HL04")],
    ),
    "837 4010 the claim's charge is not its lines": (
        "837p_4010.edi",
        [("SV1*HC:99213:25*350.5", "SV1*HC:99213:25*350.05")],
        [("837-claim-total", "2300", "CLM02")],
    ),
    # --- 270, 271 ---
    "270 nothing is asked about a dependent": (
        "270.edi",
        [("INS*N*19~\nEQ*30~\n", "INS*N*19~\n")],
        [("I7", "2100D", "EQ"), ("I6", "2000D", "HL")],
    ),
    "270 nothing is asked about a subscriber": ("270.edi", [("EQ*30^98~\n", "")], [("I6", "2000C", "HL")]),
    "270 a question asks for nothing": ("270.edi", [("EQ*30^98~", "EQ***IND~")], [("I9", None, "EQ01")]),
    "271 nothing is answered": ("271.edi", [("AAA*N**67*C~\n", "")], [("I6", "2000D", "HL")]),
    "271 a co-payment is no amount": (
        "271.edi",
        [("EB*B**98***27*25****Y", "EB*B**98***27*****Y")],
        [("I9", None, "EB07")],
    ),
    "271 a trace comes twice": (
        "271.edi",
        [("TRN*2*E-1-99*1380000001~", "TRN*2*E-1-99*1380000001~\nTRN*2*E-1-99*1380000001~")],
        [("27x-trace", "2000C", "TRN02")],
    ),
    # --- 276, 277, 277CA ---
    "276 nothing is asked about a subscriber": (
        "276.edi",
        [
            ("HL*5*3*22*1~", "HL*5*3*22*0~\nDMG*D8*19700101*M~\nNM1*IL*1*TOE*TIM****MI*MBR-77~\nHL*6*3*22*1~"),
            ("HL*6*5*23~", "HL*7*6*23~"),
        ],
        [("I6", "2000D", "HL")],
    ),
    "276 the patient has no birth date": ("276.edi", [("DMG*D8*19600215*F~\n", "")], [("I6", "2000D", "HL")]),
    "277 a third status follows none": (
        "277.edi",
        [("STC*F1:65*20260112~", "STC*F1:65*20260112*********F2:65~")],
        [("277-status", None, "STC10")],
    ),
    "277 a status is no status": ("277.edi", [("STC*P1:20*", "STC*?:20*")], [("277-status", None, "STC01")]),
    "277CA a rejected claim is called accepted": (
        "277ca.edi",
        [("STC*A2:20:PR*20260106*WQ*350.5", "STC*A3:21:PR*20260106*WQ*350.5")],
        [("277-action", None, "STC03")],
    ),
    "277CA more claims are rejected than counted": (
        "277ca.edi",
        [("QTY*QC*1", "QTY*QC*0")],
        [("277-count", "2200C", "QTY02")],
    ),
    # --- 278 ---
    "278 a request decides": (
        "278_request.edi",
        [("UM*HS*I*2*21:B~", "UM*HS*I*2*21:B~\nHCR*A1*AUTH-55~")],
        [("I4", None, "HCR")],
    ),
    "278 a request has no event": (
        "278_request.edi",
        [
            ("HL*3*2*22*1~", "HL*3*2*22*0~"),
            ("HL*4*3*EV*1~\nTRN*1*R-1-99*1380000001~\nUM*HS*I*2*21:B~\nDTP*435*D8*20260120~\nHI*ABK:M1711~\n", ""),
            (
                "NM1*SJ*1*HART*ROSA****XX*1987654328~\nPRV*PE*PXC*207X00000X~\nHL*5*4*SS*0~\nSV1*HC:27447*17000*UN*1~\n",
                "",
            ),
        ],
        [("I6", None, "BHT")],
    ),
    "278 a response does not decide": (
        "278_response.edi",
        [("HCR*A1*AUTH-55~\n", ""), ("HCR*A1*AUTH-55~\n", "")],
        [("I6", "2000E", "HL")],
    ),
    # --- 834, 820 ---
    "834 coverage that is cancelled has no end": ("834.edi", [("DTP*357*D8*20260131~\n", "")], [("I6", "2000", "INS")]),
    "834 coverage that is added has no beginning": (
        "834.edi",
        [("HD*021**HLT*GOLD*EMP~\nDTP*348*D8*20260101~", "HD*021**HLT*GOLD*EMP~\nDTP*349*D8*20261231~")],
        [("I6", "2300", "HD")],
    ),
    "834 a dependent is himself": ("834.edi", [("INS*N*19*", "INS*N*18*")], [("834-relationship", "2000", "INS02")]),
    "834 members are miscounted": ("834.edi", [("QTY*TO*3", "QTY*TO*4")], [("834-member-count", None, "QTY02")]),
    "834 a member is lost and the counts tell": (
        "834.edi",
        [("INS*Y*18*024*08*A***TE~\nREF*0F*MBR-12~\nREF*1L*GRP-7~\nDTP*357*D8*20260131~\nNM1*IL*1*HIP*OTTO~\n", "")],
        [("834-member-count", None, "QTY02"), ("834-member-count", None, "QTY02")],
    ),
    "834 a full file has changes": (
        "834_4010.edi",
        [("0930****2~", "0930****4~")],
        [("834-full-file", "2000", "INS03")],
    ),
    "834 a member has no subscriber number": ("834_4010.edi", [("REF*0F*MBR-99~\n", "")], [("3", "2000", "REF")]),
    "820 the payment is not its items": ("820.edi", [("BPR*C*1470", "BPR*C*1450")], [("820-total", None, "BPR02")]),
    "820 an item is not what was billed": (
        "820.edi",
        [("*800*820", "*800*810")],
        [("820-item-balance", "2300B", "RMR04")],
    ),
    "820 an exchange's payment is not its items": (
        "820_exchange.edi",
        [("BPR*I*700", "BPR*I*770")],
        [("820-total", None, "BPR02")],
    ),
    "820 an adjustment has the wrong sign": ("820.edi", [("ADX*-30*52", "ADX*30*52")], [("820-total", None, "BPR02")]),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_found_where_it_is(name: str):
    sample, edits, expected = WRONG[name]
    assert sorted(findings(changed(sample, *edits)), key=str) == sorted(expected, key=str)


BALANCE = {"835-service-balance", "835-claim-balance", "835-claim-services", "835-transaction-balance"}


def test_a_difference_is_told_with_its_size_and_its_line():
    data = changed("835.edi", ("BPR*I*430.25", "BPR*I*430.5"))
    (found,) = x12.validate(x12.parse(data))
    assert (found.severity, found.level, found.snip, found.line) == ("error", "balance", 3, 4)
    assert "by 0.25" in found.text


def test_an_unbalanced_payment_is_never_less_than_an_error():
    for name, (sample, edits, expected) in WRONG.items():
        if any(code in BALANCE for code, _, _ in expected):
            found = x12.validate(x12.parse(changed(sample, *edits)))
            assert all(finding.severity == "error" for finding in found if finding.code in BALANCE), name


def test_findings_never_say_what_the_document_says():
    """No name, number, code or amount of a document stands in a finding: only computed differences do."""
    words = {
        "KNEE",
        "NINETY",
        "MBR-99",
        "HIP",
        "OTTO",
        "MINA",
        "HART",
        "ROSA",
        "19600215",
        "PATELLA",
        "LAKEPORT",
        "M1711",
    }
    for sample, edits, _ in WRONG.values():
        for found in x12.validate(x12.parse(changed(sample, *edits))):
            assert not words & set(re.findall(r"[A-Z0-9-]+", found.text)), found.text


@pytest.mark.parametrize("name", NAMES)
def test_a_lost_segment_is_found(name: str):
    """Taking any one segment between ST and SE out is found by its count, and a good part is missed at its place as well."""
    lines = (SAMPLES / name).read_text().splitlines(keepends=True)
    unseen = []
    inner = [at for at, line in enumerate(lines) if not line.startswith(("ISA", "GS*", "ST*", "SE*", "GE*", "IEA"))]
    for at in inner:
        data = "".join(lines[:at] + lines[at + 1 :]).encode()
        assert any(found.code == "4" and found.location == "SE01" for found in x12.validate(x12.parse(data)))
        if not [f for f in x12.validate(x12.parse(data)) if f.location != "SE01"]:
            unseen.append(lines[at][:3])
    assert len(unseen) < len(inner) * 0.65, unseen
