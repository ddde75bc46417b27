"""What 837s, 999s, 277CAs and 277s say, as facts: real files taken whole, and what nobody could tell from another refused."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from hilum.authoring import InvalidData
from hilum.formats import x12
from hilum.formats.canonical import Remittance
from hilum.processes.patient_to_cash.claims import (
    ClaimsAnswered,
    ClaimStatusTold,
    claims_acknowledged,
    claims_submitted,
    claims_told,
)
from hilum.processes.patient_to_cash.remittance import decisions, imbalances, remittance_advised

REAL = Path(__file__).parents[3] / "shared" / "data" / "x12-hipaa"
needs_corpora = pytest.mark.skipif(not REAL.exists(), reason="the corpora shared/data are not beside this checkout")


def transactions(file: str) -> list[x12.Transaction]:
    return x12.parse((REAL / file).read_bytes()).transactions


@needs_corpora
@pytest.mark.parametrize(
    ("file", "claims", "charge", "provider"),
    [
        ("imsweb/837_5010/x12_valid.txt", 2, "1000", "1234567890"),
        ("lfh-x12/837_005010X222A2/demo.example1.837", 1, "100", "1912301953"),
        ("lfh-x12/837_004010X096A1/institutional.837", 1, "89.93", "330127"),
    ],
)
def test_a_real_claim_file_says_what_was_sent(file: str, claims: int, charge: str, provider: str) -> None:
    found = claims_submitted(transactions(file)[0], {})
    assert (len(found.claims), found.charge) == (claims, Decimal(charge))
    assert found.claims[0].provider == provider and found.claims[0].claim and found.file


@needs_corpora
def test_every_real_claim_file_that_stands_in_a_group_is_taken_whole() -> None:
    taken = 0
    for place in sorted(REAL.glob("lfh-x12/837_*/*.837")):
        for transaction in x12.parse(place.read_bytes()).transactions:
            if transaction.set_id != "837":
                continue
            found = claims_submitted(transaction, {})
            said = sum(1 for segment in transaction.segments if segment[0] == "CLM")
            assert len(found.claims) == said and found.charge == sum((each.charge for each in found.claims), Decimal(0))
            taken += 1
    assert taken >= 25


@needs_corpora
def test_real_acknowledgements_say_of_which_file_they_are_and_why() -> None:
    [refused] = transactions("imsweb/837_5010/x12_999_rejected.txt")
    found = claims_acknowledged(refused)
    assert (found.partner, found.group, found.functional_id, found.accepted) == ("EMEDNY", "28", "HC", False)
    [one] = found.transactions
    assert (one.transaction, one.code, one.reasons, one.errors) == ("28", "R", ("5",), ("NM 17: 1",))
    [taken] = transactions("imsweb/837_5010/x12_999_accepted.txt")
    assert claims_acknowledged(taken).accepted and claims_acknowledged(taken).transactions[0].accepted


@needs_corpora
def test_a_real_277ca_tells_each_claims_answer_in_words() -> None:
    [message] = transactions("imsweb/277_5010/x12_277CA_rejected.txt")
    found = claims_told(message, {})
    assert isinstance(found, ClaimsAnswered) and [each.level for each in found.answers] == ["transaction", "claim"]
    claim = found.answers[1]
    assert (claim.claim, claim.file, claim.accepted, claim.payer_claim) == (
        "3920394930203",
        "11200001",
        False,
        "1107000000001120",
    )
    assert claim.statuses[0].words.startswith("rejected for invalid information (A7): the entity's NPI is wrong (562)")


@needs_corpora
def test_a_real_277_tells_where_claims_stand() -> None:
    [message] = transactions("lfh-x12/277_005010X212/claim-level-status.277")
    found = claims_told(message, {"1666666661": "ST-MARY"})
    assert isinstance(found, ClaimStatusTold)
    assert [(each.claim, each.category, each.paid) for each in found.answers] == [
        ("SM123456", "P3", None), ("J0234567", "F0", Decimal("7599.00")), ("MA345678", "F2", Decimal("0.00")),
    ]  # fmt: skip
    [whole] = transactions("imsweb/277_5010/x12_277_x212.txt")
    assert len(claims_told(whole, {}).answers) == 8


@needs_corpora
@pytest.mark.parametrize(
    "file", ["medicare-part-a", "managed-care", "secondary-payment", "cob-contractural-adjustment"]
)
def test_of_every_real_decision_charge_is_paid_and_adjusted(file: str) -> None:
    said = [
        s
        for s in x12.convert(x12.parse((REAL / f"lfh-x12/835_005010X221A1/{file}.835").read_bytes()))
        if isinstance(s, Remittance)
    ]
    for each in said:
        advised = remittance_advised(each, {})
        assert not imbalances(advised)
        for decision in decisions(advised):
            assert decision.charge == decision.paid + sum((one.amount for one in decision.adjustments), Decimal(0))


@needs_corpora
@pytest.mark.parametrize(
    ("old", "new", "missing"),
    [
        ("*20110311*0958*", "**0958*", "GS04 is missing"),
        ("GS*FA*EMEDNY*", "GS*FA**", "GS02 is missing"),
        ("AK1*HC*28", "AK1*HC*", "AK1 or AK9 is missing"),
    ],
)
def test_what_nobody_could_tell_from_another_is_refused(old: str, new: str, missing: str) -> None:
    text = (REAL / "imsweb/837_5010/x12_999_rejected.txt").read_text()
    assert old in text
    [broken] = x12.parse(text.replace(old, new).encode()).transactions
    with pytest.raises(InvalidData, match=missing):
        claims_acknowledged(broken)
