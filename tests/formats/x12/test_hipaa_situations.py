"""What is right in a health care set although it looks odd, and which guide a transaction is read by."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hilum.formats import x12

SAMPLES = Path(__file__).parent / "samples" / "hipaa"


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


def test_a_predetermination_balances_with_its_anticipated_payment_taken_off():
    data = changed(
        "835.edi",
        (
            "CLP*HIP-12*1*200*185*15*12*HHP-2*11*1~\nCAS*PR*1*15~",
            "CLP*HIP-12*25*200*0**12*HHP-2*11*1~\nCAS*OA*101*200~",
        ),
        ("BPR*I*430.25", "BPR*I*245.25"),
    )
    assert findings(data) == []


def test_a_claim_with_services_balances_with_an_adjustment_of_its_own():
    data = changed(
        "835.edi",
        ("*350.5*265.25*35*12*HHP-1*11*1~", "*350.5*260.25*35*12*HHP-1*11*1~\nCAS*OA*23*5~"),
        ("BPR*I*430.25", "BPR*I*425.25"),
    )
    assert findings(data) == []


def test_money_that_goes_out_by_no_means_is_an_error_and_in_a_notification_a_warning():
    means = ("*ACH*CCP*01*072000326*DA*111222*1380000009**01*072000805*DA*333444*", "*NON************")
    (paid,) = x12.validate(x12.parse(changed("835.edi", means)))
    (told,) = x12.validate(x12.parse(changed("835.edi", means, ("BPR*I*", "BPR*H*"))))
    assert (paid.severity, told.severity) == ("error", "warning")


def test_two_payers_may_both_have_an_unknown_place():
    data = changed("837p.edi", ("SBR*S**GRP-8", "SBR*U**GRP-8"), ("SBR*P*19*******CI", "SBR*U*19*******CI"))
    assert findings(data) == []


def test_nothing_is_paid_and_a_debt_goes_forward():
    data = changed(
        "835.edi",
        (
            "BPR*I*430.25*C*ACH*CCP*01*072000326*DA*111222*1380000009**01*072000805*DA*333444*",
            "BPR*H*0*C*NON************",
        ),
        ("*CS*13~", "*CS*513*FB:NEXT*-69.75~"),
    )
    assert findings(data) == []


OTHER = "CAS*PR*1*30~\nAMT*D*140~\nOI***Y***Y~\nNM1*IL*1*HIP*ANNA****MI*OTH-1~\nNM1*PR*2*BAY MUTUAL*****PI*BAY01~\n"
DECIDED = "SVD*BAY01*170*HC:99214**1~\nCAS*CO*45*30~\nDTP*573*D8*20260104~\n"


def test_what_one_earlier_payer_decided_is_not_the_others():
    second = OTHER.replace("OTH-1", "OTH-2").replace("BAY MUTUAL", "COVE MUTUAL").replace("BAY01", "COVE01")
    second = second.replace("CAS*PR*1*30", "CAS*OA*23*170").replace("AMT*D*140", "AMT*D*30")
    data = changed("837p.edi", (OTHER, OTHER + "SBR*T*19*******CI~\n" + second))
    assert findings(data) == []


def test_an_earlier_payer_that_decided_on_the_claim_alone_balances_with_its_charge():
    whole = ("CAS*PR*1*30~\nAMT*D*140", "CAS*PR*1*60~\nAMT*D*140")
    assert findings(changed("837p.edi", (DECIDED, ""), whole)) == []
    assert findings(changed("837p.edi", (DECIDED, ""))) == [("837-cob-claim-balance", "2320", "AMT02")]


def test_an_address_abroad_has_no_state_and_its_own_postal_code():
    data = changed("837p.edi", ("N4*LAKEPORT*MI*49001~", "N4*BERGEN**5003*NO~"))
    assert findings(data) == []


def test_an_address_at_home_has_a_postal_code_of_five_or_nine_digits():
    data = changed("837p.edi", ("N4*LAKEPORT*MI*49001~", "N4*LAKEPORT*MI*4900~"))
    assert findings(data) == [("n4-postal-code", None, "N403")]


CODES = {
    "carc": frozenset({"1", "2", "3", "45", "97"}),
    "rarc": frozenset({"MA01", "N130"}),
    "claim_status": frozenset({"19", "20", "496", "562"}),
    "claim_status_category": frozenset({"A1", "A2", "A7", "A8"}),
    "taxonomy": frozenset({"207X00000X"}),
}
UNLISTED = {
    "an adjustment reason": ("835.edi", ("CAS*CO*45*15.25", "CAS*CO*451*15.25"), ("2110", "CAS02")),
    "a second adjustment reason": ("835.edi", ("**97*0~", "**98*0~"), ("2110", "CAS05")),
    "a remark of a claim": ("835.edi", ("MOA***MA01", "MOA***MA99"), ("2100", "MOA03")),
    "a status": ("277ca.edi", ("STC*A2:20:PR", "STC*A2:21:PR"), ("2200D", "STC01-2")),
    "a taxonomy": ("837p.edi", ("PRV*BI*PXC*207X00000X", "PRV*BI*PXC*207X00000Y"), ("2000A", "PRV03")),
}


@pytest.mark.parametrize("name", UNLISTED)
def test_a_code_that_the_users_list_does_not_have_is_found(name: str):
    sample, edit, place = UNLISTED[name]
    wrong = x12.parse(changed(sample, edit))
    codes = {**CODES, "claim_status": CODES["claim_status"] | {"507"}}
    (found,) = x12.validate(wrong, codes)
    assert (found.code, found.snip, (found.loop, found.location)) == ("7", 5, place)
    assert x12.validate(wrong) == []


GUIDES = [
    ("837p.edi", "005010X222A1"),
    ("837i.edi", "005010X223A2"),
    ("837d.edi", "005010X224A2"),
    ("837p_4010.edi", "004010X098A1"),
    ("837i_4010.edi", "004010X096A1"),
    ("837d_4010.edi", "004010X097A1"),
    ("277.edi", "005010X212"),
    ("277ca.edi", "005010X214"),
    ("835.edi", "005010X221A1"),
    ("835_4010.edi", "004010X091A1"),
]


@pytest.mark.parametrize(("name", "guide"), GUIDES)
@pytest.mark.parametrize("said", ["whole", "without its addenda", "the release alone"])
def test_a_transaction_is_read_by_the_guide_it_follows(name: str, guide: str, said: str):
    version = {"whole": guide, "without its addenda": guide[:10], "the release alone": guide[:6]}[said]
    data = (SAMPLES / name).read_bytes().replace(guide.encode(), version.encode())
    (transaction,) = x12.parse(data).transactions
    x12.walk(transaction)
    assert transaction.definition is not None
    assert (transaction.definition.set_id, transaction.definition.convention) == (name[:3], guide)


def test_a_guide_nobody_knows_is_read_by_a_neighbour_with_warnings():
    data = changed("835.edi", ("005010X221A1", "005010X999"), ("PER*BL*EDI DESK*TE*5550100300~\n", ""))
    found = x12.validate(x12.parse(data))
    assert [(finding.code, finding.severity) for finding in found] == [("neighbour", "information"), ("3", "warning")]


@pytest.mark.parametrize("request_or_response", ["278_request.edi", "278_response.edi"])
def test_a_request_and_its_response_share_a_guide(request_or_response: str):
    (transaction,) = x12.parse((SAMPLES / request_or_response).read_bytes()).transactions
    x12.walk(transaction)
    assert transaction.root is not None
    assert [loop.name for loop in transaction.root.anywhere("2000E", "2000F")] == ["2000E", "2000F"]
