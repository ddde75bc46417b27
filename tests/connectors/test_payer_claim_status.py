"""Where a payer says that claims stand, asked in real time; the payer is simulated, its 277s are real X12."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from tests.connectors.test_payer_x12 import TOKEN, connector

from hilum.authoring import InvalidData, Refused, Unavailable
from hilum.formats import x12
from hilum.formats.canonical import Identifier, Party
from hilum.formats.findings import FormatError
from hilum.model.claim_status import ClaimStatusQuestion, ClaimStatusSaid
from hilum.model.identifiers import FacilityCode
from hilum.testing.neighbours.launch import simulated_payer
from hilum.testing.neighbours.process import Neighbour

REAL = Path(__file__).parents[3] / "shared" / "data" / "x12-hipaa"
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
needs_corpora = pytest.mark.skipif(not REAL.exists(), reason="the corpora shared/data are not beside this checkout")


@pytest.fixture(scope="module")
def payer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Neighbour]:
    directory = tmp_path_factory.mktemp("payer")
    token = directory / "token"
    token.write_text(TOKEN)
    with simulated_payer(directory, token_file=token) as neighbour:
        held = {"claim": "CLM-1", "status": "F2:88:QC", "payer_claim": "HH-1", "charge": "150.00", "paid": "0.00"}
        away = {"claim": "CLM-2", "status": "E1:0", "charge": "10.00"}
        neighbour.ask("POST", "/claims", [held, away], token=TOKEN)
        yield neighbour


def question(**changes: object) -> ClaimStatusQuestion:
    told: dict[str, object] = {
        "reference": "S-1", "payer": "HHP01", "facility": FacilityCode("ST-MARY"), "provider_npi": "1234567893",
        "provider_name": "ST MARY", "claim_number": "CLM-1", "member_number": "W-1001", "family_name": "DOE",
        "given_name": "ANNA", "birth_date": date(1961, 2, 3), "charge": Decimal("150.00"), "service_from": date(2026, 1, 15),
    }  # fmt: skip
    return ClaimStatusQuestion.model_validate({**told, **changes})


def ask(url: str, asked: ClaimStatusQuestion) -> ClaimStatusSaid:
    async def story() -> ClaimStatusSaid:
        one = connector(url)
        try:
            return await one.claim_status(asked)
        finally:
            await one.close()

    return asyncio.run(story())


def test_a_payer_says_where_a_claim_stands(payer: Neighbour) -> None:
    found = ask(f"{payer.url}/276", question())
    assert (found.reference, found.payer_claim_number, found.charge, found.paid) == (
        "S-1",
        "HH-1",
        Decimal("150.00"),
        Decimal("0.00"),
    )
    [said] = found.statuses
    assert (said.category, said.status, said.entity) == ("F2", "88", "QC")
    assert (
        said.words
        == "finalised: denied (F2): the entity is not eligible for the benefits of these dates (88), patient (QC)"
    )


def test_a_claim_that_the_payer_does_not_have_is_not_found(payer: Neighbour) -> None:
    [said] = ask(f"{payer.url}/276", question(claim_number="CLM-9")).statuses
    assert said.words == "not found (A4): the claim or encounter is not found (35)"


def test_a_payer_whose_own_system_does_not_answer_is_asked_again_later(payer: Neighbour) -> None:
    with pytest.raises(Unavailable, match="the payer's system did not answer"):
        ask(f"{payer.url}/276", question(claim_number="CLM-2"))


def test_a_document_that_the_payer_rejects_is_refused_with_its_reasons(payer: Neighbour) -> None:
    with pytest.raises((Refused, InvalidData)):
        ask(f"{payer.url}/276", question(family_name="D*OE"))


@needs_corpora
def test_a_question_is_written_as_the_guides_own_example_has_it() -> None:
    [real] = x12.parse((REAL / "lfh-x12/276_005010X212/claim-level-status.276").read_bytes()).transactions
    asked = x12.claim_status_inquiry_to_276(
        x12.ClaimStatusInquiry(
            reference="ABCXYZ1",
            payer=Party(name="ABC INSURANCE", identifiers=(Identifier(value="12345", scheme="payer"),)),
            asker=Party(name="XYZ SERVICE", identifiers=(Identifier(value="X67E", scheme="etin"),)),
            provider=Party(name="HOME HOSPITAL", identifiers=(Identifier(value="1666666661", scheme="npi"),)),
            subscriber=Party(
                name="SMITH", given_name="FRED", birth_date="1930-12-10", sex="M",
                identifiers=(Identifier(value="123456789A", scheme="member"),),
            ),
            claim_number="SM123456", bill_type="111", charge=Decimal("8513.88"), service_from="2005-08-31",
            service_to="2005-09-06",
        ),
        now=NOON,
    )  # fmt: skip
    own = ["*".join("" if part is None else str(part) for part in segment).rstrip("*") for segment in asked.segments]
    theirs = [text for text in real.texts if text.split("*")[0] not in ("ST", "SE", "BHT")][: len(own) - 1]
    assert own[1:] == theirs


@needs_corpora
@pytest.mark.parametrize(
    ("file", "categories"),
    [("claim-level-status.277", ["P3", "F0", "F2"]), ("provider-level-status.277", ["P3", "E0"])],
)
def test_real_answers_are_read_at_every_level(file: str, categories: list[str]) -> None:
    [real] = x12.parse((REAL / "lfh-x12/277_005010X212" / file).read_bytes()).transactions
    assert [each.category for each in x12.claim_statuses(real)] == categories


def test_a_question_about_nobody_is_not_asked() -> None:
    party = Party(name="X", identifiers=(Identifier(value="1", scheme="payer"),))
    with pytest.raises(FormatError):
        x12.claim_status_inquiry_to_276(
            x12.ClaimStatusInquiry(
                reference="S-1", payer=party, asker=party, provider=party, subscriber=Party(name="DOE")
            ),
            now=NOON,
        )
