"""A payer's answers in real time, as a process meets them; the payer is simulated, its documents are real X12."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from hilum.authoring import InvalidData, Payer, Refused, Unavailable
from hilum.authoring.failures import Throttled
from hilum.connectors.payer_x12 import PayerX12
from hilum.model.coverage import Coverage, CoverageInquiry
from hilum.model.identifiers import FacilityCode
from hilum.testing.neighbours.launch import simulated_payer
from hilum.testing.neighbours.process import Neighbour
from hilum.transports.http import serve

TOKEN = "payer-token"
ANNA = {
    "member": "W-1001", "family_name": "DOE", "given_name": "ANNA", "birth_date": "1961-02-03", "plan": "HARBOR GOLD",
    "copayment": "25", "deductible": "1500",
}  # fmt: skip
OTTO = {"member": "W-1002", "family_name": "HIP", "given_name": "OTTO", "birth_date": "1950-01-01", "plan": "HARBOR GOLD", "active": False}  # fmt: skip


@pytest.fixture(scope="module")
def payer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Neighbour]:
    directory = tmp_path_factory.mktemp("payer")
    token = directory / "token"
    token.write_text(TOKEN)
    with simulated_payer(directory, token_file=token, members=[ANNA, OTTO]) as neighbour:
        yield neighbour


@pytest.fixture(autouse=True)
def _without_faults(payer: Neighbour) -> None:
    payer.fault("ok")


def inquiry(**changes: object) -> CoverageInquiry:
    told: dict[str, object] = {
        "reference": "E-1", "payer": "HHP01", "facility": FacilityCode("ST-MARY"), "provider_npi": "1234567893",
        "provider_name": "ST MARY", "member_number": "W-1001", "on": date(2026, 11, 21),
    }  # fmt: skip
    return CoverageInquiry.model_validate({**told, **changes})


def connector(url: str, token: str = TOKEN, timeout_seconds: float = 5.0) -> PayerX12:
    return PayerX12(
        url, token, sender=("ZZ", "LAKESHORE"), receiver=("ZZ", "HARBOR"), asker="1360000000",
        clock=lambda: datetime(2026, 11, 21, 8, 0, tzinfo=UTC), timeout_seconds=timeout_seconds,
    )  # fmt: skip


def ask(url: str, asked: CoverageInquiry, **how: object) -> Coverage:
    async def story() -> Coverage:
        one = connector(url, **how)  # type: ignore[arg-type]
        try:
            return await one.coverage(asked)
        finally:
            await one.close()

    return asyncio.run(story())


def test_a_member_is_covered_and_pays_what_the_plan_says(payer: Neighbour) -> None:
    found = ask(f"{payer.url}/270", inquiry())
    assert (found.reference, found.status, found.plan, found.rejections) == ("E-1", "active", "HARBOR GOLD", ())
    assert [(b.information, b.amount) for b in found.benefits if b.amount is not None] == [
        ("B", Decimal(25)),
        ("C", Decimal(1500)),
    ]


def test_a_member_whose_plan_ended_is_not_covered(payer: Neighbour) -> None:
    assert ask(f"{payer.url}/270", inquiry(member_number="W-1002")).status == "inactive"


def test_whom_the_payer_does_not_know_is_unknown_with_the_payers_reason(payer: Neighbour) -> None:
    found = ask(f"{payer.url}/270", inquiry(member_number="W-9999"))
    assert (found.status, found.rejections) == ("unknown", ("75:C",))


@pytest.mark.parametrize("mode", ["down", "busy", "cut"])
def test_a_payer_that_is_away_is_unavailable(payer: Neighbour, mode: str) -> None:
    payer.fault(mode)
    with pytest.raises(Unavailable):
        ask(f"{payer.url}/270", inquiry())


def test_a_payer_that_takes_too_long_is_unavailable(payer: Neighbour) -> None:
    payer.fault("slow", seconds=5)
    with pytest.raises(Unavailable):
        ask(f"{payer.url}/270", inquiry(), timeout_seconds=0.2)


def test_a_payer_that_asks_for_a_pause_gets_it(payer: Neighbour) -> None:
    payer.fault("throttled", seconds=30)
    with pytest.raises(Throttled) as away:
        ask(f"{payer.url}/270", inquiry())
    assert away.value.retry_after_seconds == 30


def test_a_wrong_token_is_a_persons_business(payer: Neighbour) -> None:
    with pytest.raises(Refused, match="token"):
        ask(f"{payer.url}/270", inquiry(), token="stale")


def test_what_cannot_be_written_as_x12_is_invalid_and_says_no_name(payer: Neighbour) -> None:
    with pytest.raises(InvalidData) as invalid:
        ask(f"{payer.url}/270", inquiry(family_name="DOE*ANNA"))
    assert "DOE" not in str(invalid.value)


def test_the_connector_answers_every_operation_of_its_role() -> None:
    assert set(Payer.operations()) == {"claim_status", "coverage"}
    assert asyncio.iscoroutinefunction(PayerX12.coverage)


def _answering(body: bytes, asked: CoverageInquiry) -> Coverage:
    """What is made of an answer that no honest payer gives: served by a real server for one question."""

    async def story() -> Coverage:
        async def answer(_: object) -> Response:
            return Response(body, media_type="application/edi-x12")

        served = await serve(Starlette(routes=[Route("/270", answer, methods=["POST"])]))
        one = connector(f"{served.url}/270")
        try:
            return await one.coverage(asked)
        finally:
            await one.close()
            await served.stop()

    return asyncio.run(story())


def envelope(kind: str, version: str, lines: str) -> bytes:
    return (
        f"ISA*00*          *00*          *ZZ*HARBOR         *ZZ*LAKESHORE      *261121*0800*^*00501*000000001*0*P*:~GS*{kind}*H*L*20261121*0800*1*X*{version}~"
        f"{lines}GE*1*1~IEA*1*000000001~"
    ).encode()


ANSWER = "ST*271*0001*005010X279A1~BHT*0022*11*{0}*20261121*0800~HL*1**20*1~NM1*PR*2*HARBOR*****PI*HHP01~HL*2*1*21*1~NM1*1P*2*ST MARY*****XX*1234567893~HL*3*2*22*0~TRN*2*{0}*1360000000~NM1*IL*1*DOE*ANNA****MI*W-1001~{1}SE*11*0001~"  # fmt: skip


def of_other(_: None = None) -> bytes:
    return envelope("HB", "005010X279A1", ANSWER.format("E-2", "EB*1**30~"))


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "an answer to somebody else's inquiry": (of_other, "another inquiry"),
    "no X12": (lambda: b"<html>busy</html>", "no X12"),
    "nothing": (lambda: b"", "no X12"),
    "a rejected document": (
        lambda: envelope("FA", "005010X231A1", "ST*999*0001*005010X231A1~AK1*HS*1*005010X279A1~AK2*270*0001*005010X279A1~IK5*R*5~AK9*R*1*1*0~SE*6*0001~"),
        "999",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_to_believe(name: str) -> None:
    body, says = REFUSED[name]
    with pytest.raises(Refused, match=says):
        _answering(body(), inquiry())


def test_a_plan_that_cannot_answer_now_is_asked_later() -> None:
    body = envelope("HB", "005010X279A1", ANSWER.format("E-1", "AAA*Y**42*R~"))
    with pytest.raises(Unavailable, match="42"):
        _answering(body, inquiry())


def test_an_inquiry_that_nobody_could_answer_is_none() -> None:
    with pytest.raises(ValueError, match="member number"):
        inquiry(member_number=None)
