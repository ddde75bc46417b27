"""However much else is wrong, amounts that do not balance are among the findings."""

from __future__ import annotations

from pathlib import Path

from hilum.formats import x12

SAMPLE = (Path(__file__).parent / "samples" / "hipaa" / "835.edi").read_text()


def lost(findings: list[x12.X12Finding]) -> dict[str | None, set[str]]:
    """The balances that are not kept, by transaction."""
    found: dict[str | None, set[str]] = {}
    for finding in findings:
        if finding.level == "balance" and finding.severity == "error":
            found.setdefault(finding.transaction, set()).add(finding.code)
    return found


def transaction(number: int, body: list[str]) -> list[str]:
    return [f"ST*835*{number:04}", *body, f"SE*{len(body) + 2}*{number:04}"]


def file(*bodies: list[str]) -> bytes:
    segments = [segment.strip() for segment in SAMPLE.split("~") if segment.strip()]
    envelope = [segment for segment in segments if segment[:3] in ("ISA", "GS*")]
    inside = [segment for number, body in enumerate(bodies, 1) for segment in transaction(number, body)]
    group, control = envelope[1].split("*")[6], envelope[0].split("*")[13]
    return "~\n".join([*envelope, *inside, f"GE*{len(bodies)}*{group}", f"IEA*1*{control}", ""]).encode()


PAYMENT = ["BPR*I*{paid}*C*CHK************20260301", "TRN*1*T-1*1512345678", "DTM*405*20260301"]
PARTIES = ["N1*PR*PAYER", "N3*1 STREET", "N4*CITY*NC*27601", "PER*BL*HELP*TE*5555555555", "N1*PE*ST MARY*XX*1234567893"]
CLAIM = ["LX*1", "CLP*A-1*1*100*80**12*ICN-1*11*1", "NM1*QC*1*RIVERA*ANA", "SVC*HC:99213*100*80", "DTM*472*20260301"]
BALANCED = [*PARTIES, *CLAIM, "CAS*CO*45*20"]
STRAY = ["ZZZ*1"] * 300


def paying(amount: str, *more: str) -> list[str]:
    return [segment.format(paid=amount) for segment in (*PAYMENT, *BALANCED, *more)]


def test_after_five_hundred_findings_a_payment_that_does_not_balance_is_told_still():
    noise = [paying("80", *STRAY) for _ in range(4)]
    found = x12.validate(x12.parse(file(*noise, paying("79", *STRAY), paying("80", *STRAY), paying("78"))))
    assert len(found) < 520
    assert lost(found) == {"0005": {"835-transaction-balance"}, "0007": {"835-transaction-balance"}}


def test_of_very_many_unbalanced_services_the_claim_and_the_payment_are_told_too():
    service = ["SVC*HC:99213*10*5", "DTM*472*20260301"]
    body = paying("80", *(service * 600))
    found = x12.validate(x12.parse(file(body)))
    assert lost(found) == {"0001": {"835-service-balance", "835-claim-services"}}

    found = x12.check(next(iter(x12.transactions([file(paying("1", *(service * 600)))]))))
    assert {"835-service-balance", "835-claim-services", "835-transaction-balance"} <= lost(found)["0001"]


def test_an_unbalanced_transaction_among_thousands_of_findings_is_rejected_and_answered():
    data = file(paying("80", *STRAY), paying("79"))
    document = x12.parse(data)
    [bad] = [found for found in x12.validate(document) if found.code == "835-transaction-balance"]
    assert bad.transaction == "0002"
    assert data.decode().splitlines()[(bad.line or 0) - 1].startswith("BPR*I*79")
