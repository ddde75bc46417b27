"""What a contract marks below its first level is masked in a thread like everything else, in shape and in words."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import orjson
from pydantic import BaseModel, RootModel, computed_field
from tests.sealing_parts import protection_for
from tests.tower.lakeshore_day import lakeshore

from hilum.audit.lineage import search
from hilum.audit.veil import Veil
from hilum.authoring import Confidential, Contract, Financial, Phi
from hilum.authoring.classification import classification, data_class_of
from hilum.model import AccountNumber
from hilum.processes.patient_to_cash.remittance import RemittanceAdvised, RemittedClaim, RemittedProviderAdjustment
from hilum.runtime.intake import Intake
from hilum.runtime.reception import Reader
from hilum.store.pool import open_pool

SAMPLE = Path(__file__).parents[2] / "estates" / "lakeshore" / "samples" / "remittance_received.x12"
SECRETS = ("CLM-1001", "CLM-1002", "HH-77001", "HH-77004", "HH-70999")
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def test_claims_of_a_remittance_are_masked_in_its_thread(database_url: str) -> None:
    estate = lakeshore()

    async def work() -> tuple[str, str]:
        async with await open_pool(database_url) as pool:
            protection = await protection_for(pool, estate, lambda: NOW)
            intake = Intake(pool, protection, name="intake-1", clock=lambda: NOW)
            reception = Reader(estate).x12("clearinghouse", "folder", "file:1#1", SAMPLE.read_bytes())
            await intake.start()
            await intake.submit(reception, lambda receipt: receipt)
            await intake.stop()
            async with pool.acquire() as connection:
                hidden, shown = [
                    await search(
                        connection, "HHP01/EFT-260302-01", estate=estate, show_phi=lifted, protection=protection
                    )
                    for lifted in (False, True)
                ]
        return repr(hidden), repr(shown)

    hidden, shown = asyncio.run(work())
    assert all(secret in shown for secret in SECRETS), "who may see it sees it"
    assert [secret for secret in SECRETS if secret in hidden] == []
    assert "***01" in hidden and "EFT-260302-01" in hidden and "27447" in hidden


class Person(BaseModel):
    name: Annotated[str, Phi]
    ward: str = ""
    children: list[Person] = []


class Widow(BaseModel):
    late_husband: Person | None = None


class Bed(BaseModel):
    """Has a name too, and that one is nobody's secret."""

    name: str


class Roster(RootModel[list[Annotated[str, Phi]]]):
    """Names and nothing else."""


class Census(Contract, version=1, identities=["number"], owner="patient-access"):
    """Everybody in the house, in every shape."""

    number: str
    head: Person
    pairs: tuple[tuple[Person, int], ...] = ()
    by_bed: dict[str, Person] = {}
    by_name: dict[Annotated[str, Phi], int] = {}
    remarks: dict[str, Annotated[str, Phi]] = {}
    either: Widow | Person | None = None
    whole: Annotated[Person | None, Phi] = None
    roster: Roster | None = None
    account: AccountNumber | None = None
    priced: Annotated[str, Financial] | Annotated[int, Confidential] | None = None
    loose: dict[str, Any] = {}
    in_it: Person | Bed | None = None

    @computed_field
    @property
    def shown_as(self) -> Annotated[str, Phi]:
        return f"Frau {self.head.name}"

    @computed_field
    @property
    def beds(self) -> int:
        return len(self.by_bed)


def person(name: str, *children: Person) -> Person:
    return Person(name=name, ward="7B", children=list(children))


CENSUS = Census(
    number="C-1", head=person("SECRET-A1", person("SECRET-B1", person("SECRET-C1", person("SECRET-D1")))),
    pairs=((person("SECRET-E1"), 2),), by_bed={"bed 4": person("SECRET-F1")}, by_name={"SECRET-G1": 3, "SECRET-H1": 4},
    remarks={"SECRET-I1": "SECRET-J1"}, either=Widow(late_husband=person("SECRET-K1")), whole=person("SECRET-L1"),
    roster=Roster(["SECRET-M1"]), account=AccountNumber("SECRET-N1", "ST-MARY"), priced=987654321, loose={"note": "kept"}, in_it=person("SECRET-O1"),
)  # fmt: skip


def shown(event: Contract, **drift: Any) -> tuple[Veil, dict[str, Any]]:
    veil = Veil({event.type_name(): type(event)})
    return veil, veil.event(event.type_name(), {**orjson.loads(event.model_dump_json()), **drift})


def test_a_mark_counts_in_whatever_shape_it_stands() -> None:
    veil, masked = shown(CENSUS)
    assert "SECRET" not in str(masked) and "987654321" not in str(masked)
    assert masked["head"]["children"][0]["children"][0]["children"][0] == {
        "name": "***D1",
        "ward": "7B",
        "children": [],
    }
    assert masked["by_bed"]["bed 4"]["ward"] == "7B" and masked["pairs"][0][1] == 2 and masked["beds"] == 1
    assert masked["account"] == {"value": "***N1", "authority": "ST-MARY"} and masked["loose"] == {"note": "kept"}
    assert len(masked["by_name"]) == 2, "two names that look alike masked are still two"
    assert set(masked["whole"]) == {"name", "ward", "children"}
    for letter in "ABCDEFGHIJKLMNO":
        assert "SECRET" not in veil.text(f"asked for SECRET-{letter}1, and secret-{letter.lower()}1."), letter


def test_what_no_shape_declares_is_not_taken_for_harmless() -> None:
    veil, masked = shown(CENSUS, head={"name": "SECRET-A1", "nickname": "SECRET-Z9", "of": {"SECRET-Y9": "SECRET-X9"}})
    assert "SECRET" not in str(masked) and "SECRET" not in veil.text("SECRET-Z9 and SECRET-Y9 and SECRET-X9")


def test_what_was_masked_is_masked_in_results_names_and_words() -> None:
    veil, _ = shown(CENSUS)
    result = veil.data(
        {"by claim": {"SECRET-A1": 1}, "claims": [["SECRET-B1"]], "code": 987654321, "text": "of (SECRET-N1)_x"}
    )
    assert "SECRET" not in str(result) and "987654321" not in str(result)
    assert veil.recorded({"cause": "SECRET-E1 is unknown"}) == {"cause": "***E1 is unknown"}
    assert veil.text("SECRET-A12 and XSECRET-A1 are somebody else") == "SECRET-A12 and XSECRET-A1 are somebody else"


def test_a_date_is_known_as_standards_write_it_and_the_longer_value_wins() -> None:
    class Born(Contract, version=1, identities=["number"], owner="patient-access"):
        """A child."""

        number: str
        on: Annotated[date, Phi]
        names: tuple[Annotated[str, Phi], ...]

    veil, _ = shown(Born(number="B-1", on=date(1947, 2, 3), names=("ANA-MARIA", "ANA", "İNCİ ŞAHİN")))
    assert veil.text("19470203, 1947-02-03, ana-maria; İNCİ ŞAHİN") == "***03, ***03, ***ia; ***İN"


def test_of_two_marks_the_strictest_counts() -> None:
    assert data_class_of((), Annotated[str, Financial] | Annotated[int, Phi]) == "phi"
    assert data_class_of((Financial,), Annotated[str, Confidential]) == "confidential"
    assert classification(Census)["shown_as"] == "phi" and classification(Census)["head.children.name"] == "phi"


def test_ten_thousand_claims_are_masked_in_a_second() -> None:
    """Each of thousands of lines is looked through for tens of thousands of values."""
    zero = Decimal(0)
    advised = RemittanceAdvised(
        number="HHP01/EFT-9", payer="HHP01", payee="1234567893", trace_number="EFT-9", paid_on=date(2026, 3, 3), amount=zero,
        claims=tuple(
            RemittedClaim(claim=f"CLM-{n:05}", payer_claim=f"HH-{n * 7:06}", status="1", charge=zero, paid=zero, balanced=True)
            for n in range(10_000)
        ),
        provider_adjustments=(RemittedProviderAdjustment(provider="1", reason="WO", reference="HH-REF-1", amount=zero),),
        difference=zero, balanced=True, digest="0" * 64,
    )  # fmt: skip
    payload = orjson.loads(advised.model_dump_json())
    movements = [{"claim": c["claim"], "line": f"c{n}", "reason": "CO-45"} for n, c in enumerate(payload["claims"])]
    veil = Veil({"RemittanceAdvised": RemittanceAdvised})
    started = time.process_time()
    masked = str(veil.event("RemittanceAdvised", payload)) + str(veil.data({"movements": movements}))
    lines = [
        veil.text(f"claim CLM-{n:05} of payer HH-{n * 7:06} could not be posted on 2026-03-03") for n in range(2_000)
    ]
    took = time.process_time() - started
    assert "CLM-" not in masked and "HH-0" not in masked and "HH-REF" not in masked
    assert set(lines) <= {
        f"claim ***{n:02} of payer ***{m:02} could not be posted on 2026-03-03" for n in range(100) for m in range(100)
    }
    assert took < 3.0, f"{took:.1f} s"
