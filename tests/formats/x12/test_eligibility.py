"""Eligibility: inquiries that are written are valid 270s, and real 271s say who is covered by what."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from hilum.formats import x12
from hilum.formats.canonical import Benefit, EligibilityAnswer, EligibilityInquiry, Identifier, Party
from hilum.formats.findings import FormatError

DATA = Path(__file__).parents[4] / "shared" / "data" / "x12-hipaa"
ANSWERS = DATA / "lfh-x12" / "271_005010X279A1"
NOW = datetime(2026, 11, 21, 8, 30, tzinfo=UTC)

PAYER = Party(name="BLUE LAKE HEALTH", identifiers=(Identifier(value="61001", scheme="payer"),))
ST_MARY = Party(name="ST MARY MEDICAL CENTER", identifiers=(Identifier(value="1234567893", scheme="npi"),))
ANNA = Party(
    name="DOE", given_name="ANNA", birth_date="1961-02-03", sex="F",
    identifiers=(Identifier(value="W123456789", scheme="member"),),
)  # fmt: skip
BEN = Party(name="DOE", given_name="BEN", birth_date="2001-05-06", sex="M")


def inquiry(**changes):
    told = {"reference": "E-1", "payer": PAYER, "provider": ST_MARY, "subscriber": ANNA, "date": "2026-11-21"}
    return EligibilityInquiry(**{**told, **changes})


def built(asked):
    transaction = x12.eligibility_inquiry_to_270(asked, asker="1360000000", now=NOW)
    group = x12.NewGroup(functional_id="HS", version="005010X279A1", transactions=[transaction])
    return x12.build([group], sender=("ZZ", "LAKESHORE"), receiver=("ZZ", "BLUELAKE"), control_number=1, now=NOW)


def answers(file):
    if not DATA.exists():
        pytest.skip("the public X12 files are not beside this checkout")
    return x12.convert(x12.parse((ANSWERS / file).read_bytes()))


@pytest.mark.parametrize(
    "asked",
    [
        inquiry(),
        inquiry(service_types=("30", "47", "48")),
        inquiry(dependent=BEN, relationship="19"),
        inquiry(subscriber=Party(name="DOE", given_name="ANNA", birth_date="1961-02-03")),
        inquiry(
            provider=Party(name="LAKE", given_name="ADA", identifiers=(Identifier(value="1234567893", scheme="npi"),))
        ),
    ],
    ids=["a subscriber", "three services", "a dependent", "no member number", "a physician asks"],
)
def test_what_is_asked_is_a_valid_270(asked):
    document = built(asked)
    assert [f for f in x12.validate(document) if f.severity == "error"] == []
    assert x12.parse(x12.write(document)).transactions[0].set_id == "270"


def test_the_trace_stands_with_the_person_who_is_asked_about():
    of_subscriber = x12.write(built(inquiry())).decode()
    of_dependent = x12.write(built(inquiry(dependent=BEN, relationship="19"))).decode()
    assert "HL*3*2*22*0~\nTRN*1*E-1*1360000000~" in of_subscriber
    assert "HL*3*2*22*1~\nNM1*IL" in of_dependent
    assert "HL*4*3*23*0~\nTRN*1*E-1*1360000000~" in of_dependent


@pytest.mark.parametrize(
    "changes",
    [
        {"payer": Party(name="BLUE LAKE")},
        {"provider": Party(name="ST MARY")},
        {"subscriber": Party(name="DOE", given_name="ANNA")},
        {"dependent": BEN},
        {"date": "tomorrow"},
    ],
    ids=["a payer without a number", "a provider without a number", "a subscriber nobody could find", "no relationship", "no date"],
)  # fmt: skip
def test_what_no_payer_could_answer_is_refused(changes):
    with pytest.raises(FormatError):
        built(inquiry(**changes))


def test_an_asker_of_another_length_is_refused():
    with pytest.raises(FormatError):
        x12.eligibility_inquiry_to_270(inquiry(), asker="36", now=NOW)


def test_a_covered_subscriber_with_copayments_in_and_out_of_network():
    (found,) = answers("subscriber-health-benefit-check.271")
    assert isinstance(found, EligibilityAnswer)
    assert (found.reference, found.active, found.rejections) == ("93175-012547", True, ())
    assert found.person is not None and found.person.name == "SMITH"
    assert found.payer.identifiers[0] == Identifier(value="841610001", scheme="payer")
    copayments = [b for b in found.benefits if b.information == "B"]
    assert [(b.amount, b.in_network) for b in copayments] == [(Decimal("10.00"), True), (Decimal("30.00"), False)]
    assert copayments[0].service_types[:3] == ("1", "33", "35")
    assert copayments[0].plan == "GOLD 123 PLAN"


def test_a_covered_dependent_is_told_of_and_not_the_subscriber():
    (found,) = answers("dependent-health-benefit-check.271")
    assert found.person is not None and found.person.given_name == "MARY"
    assert found.active is True


def test_an_inquiry_that_failed_says_why_and_nothing_of_coverage():
    (found,) = answers("subscriber-health-benefit-check-error.271")
    assert (found.active, found.rejections) == (None, ("50:N",))


def test_every_271_of_the_public_files_is_read():
    if not DATA.exists():
        pytest.skip("the public X12 files are not beside this checkout")
    files = [f for f in DATA.rglob("*") if f.is_file() and b"ST*271*" in f.read_bytes()]
    assert len(files) > 3
    for file in files:
        shapes = x12.convert(x12.parse(file.read_bytes()))
        assert any(isinstance(shape, EligibilityAnswer) for shape in shapes), file.name


EB = "ISA*00*          *00*          *ZZ*PAYER          *ZZ*HILUM          *261121*0830*^*00501*000000001*0*P*:~GS*HB*P*H*20261121*0830*1*X*005010X279A1~ST*271*0001*005010X279A1~BHT*0022*11*1*20261121*0830~HL*1**20*1~NM1*PR*2*BLUE LAKE*****PI*61001~HL*2*1*21*1~NM1*1P*2*ST MARY*****XX*1234567893~HL*3*2*22*0~TRN*2*E-1*1360000000~TRN*2*CH-9*9CLEARING0~NM1*IL*1*DOE*ANNA****MI*W1~{}SE*{}*0001~GE*1*1~IEA*1*000000001~"  # fmt: skip


@pytest.mark.parametrize(
    ("lines", "active"),
    [
        (["EB*1**30"], True),
        (["EB*6**30"], False),
        (["EB*6**30", "EB*1**48"], False),
        (["EB*1**30", "EB*I**35"], True),
        (["EB*1**48"], True),
        (["EB*C*IND*30***23*1500"], None),
        ([], None),
    ],
    ids=["active", "inactive", "the plan is inactive", "a service is not covered", "one service", "a deductible only", "nothing"],
)  # fmt: skip
def test_what_the_payer_says_of_the_plan_counts(lines, active):
    text = EB.format("".join(f"{line}~" for line in lines), 11 + len(lines))
    (found,) = x12.convert(x12.parse(text.encode()))
    assert isinstance(found, EligibilityAnswer)
    assert found.active is active
    assert found.reference == "E-1"


def test_a_share_is_a_share_and_a_message_is_kept():
    text = EB.format("EB*A*IND*98*****.2****N~MSG*AFTER DEDUCTIBLE~", 13)
    (found,) = x12.convert(x12.parse(text.encode()))
    assert isinstance(found, EligibilityAnswer)
    assert found.benefits == (
        Benefit(
            information="A", coverage_level="IND", service_types=("98",), percent=Decimal(".2"), in_network=False,
            messages=("AFTER DEDUCTIBLE",),
        ),
    )  # fmt: skip
