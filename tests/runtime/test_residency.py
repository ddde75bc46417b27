"""Residency: classified data that may not leave a region does not, by delivery, question or feed, and a person learns why."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from copy import copy
from typing import Annotated, Any

import pytest
from pydantic import BaseModel
from tests.runtime import feed_parts
from tests.runtime.feed_parts import feeding
from tests.runtime.platform_parts import parts

from hilum.authoring import System
from hilum.authoring.classification import Confidential, Phi
from hilum.authoring.estate_transport import Residency
from hilum.authoring.roles import Billing
from hilum.authoring.system import command
from hilum.model import DocumentRef, FacilityCode
from hilum.runtime import residency
from hilum.runtime.deliveries import Command
from hilum.runtime.residency import ResidencyForbids, ResidencyGuard


class Referral(BaseModel):
    account: Annotated[str, Phi]
    facility: FacilityCode | None = None


class Letter(BaseModel):
    referral: Referral
    text: str = ""


class Price(BaseModel):
    amount: str


class Registry(System):
    """A registry that takes referrals."""

    @command
    def refer(self, letter: Letter, key: str | None = None) -> DocumentRef:
        """Refer a patient."""
        raise AssertionError("answered by the run")


class Registrar:
    """Keeps what it was told."""

    idempotent_commands = frozenset({"refer"})

    def __init__(self) -> None:
        self.told: list[Any] = []

    async def refer(self, letter: Letter, *, key: str) -> DocumentRef:
        self.told.append(letter)
        return DocumentRef(system="registry", type="referral", number="R-1")

    async def lookup(self, letter: Letter) -> str:
        self.told.append(letter)
        return "known"


US = Residency({"phi": ("us",)})
MIXED = Residency({"phi": ("us",)}, {"TORONTO": {"phi": ("ca",)}, "LAB": {"confidential": ()}})


def letter(facility: str | None = "ST-MARY") -> Letter:
    return Letter(referral=Referral(account="A-1", facility=FacilityCode(facility) if facility else None))


@pytest.mark.parametrize(
    ("declared", "region", "serves", "thing", "rule"),
    {
        "an allowed region": (US, "us", (), letter(), None),
        "another region": (US, "eu", (), letter(), "phi stays in us"),
        "no region at all": (US, "", (), letter(), "has no region"),
        "nothing classified": (US, "eu", (), Price(amount="1"), None),
        "no rule": (Residency(), "eu", (), letter(), None),
        "a facility with a rule of its own": (
            MIXED,
            "us",
            (),
            Referral(account="A", facility=FacilityCode("TORONTO")),
            "phi of TORONTO stays in ca",
        ),
        "that facility at home": (MIXED, "ca", (), Referral(account="A", facility=FacilityCode("TORONTO")), None),
        "nobody knows whose, it could be Toronto's": (MIXED, "us", (), Referral(account="A"), "phi of TORONTO"),
        "nobody knows whose, but not Toronto's": (MIXED, "us", ("ST-MARY",), Referral(account="A"), None),
        "within a list": (US, "eu", (), [Price(amount="1"), letter()], "phi stays in us"),
        "within a dictionary": (US, "eu", (), {"a": {"b": letter()}}, "phi stays in us"),
    }.values(),
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_rule_holds(declared, region, serves, thing, rule):
    found = ResidencyGuard(declared, "registry", region, serves).of_things([thing])
    assert (found is None) == (rule is None)
    if rule is not None:
        assert rule in str(found)


def test_an_operation_marks_what_a_noun_cannot():
    guard = ResidencyGuard(US, "billing", "eu")
    usage = Billing.operations()["charge_usage"]

    class Plain(BaseModel):
        account: str = "A-1"

    assert guard.of_things([Plain()]) is None
    assert "phi stays in us" in str(guard.of_call(usage, {"usage": Plain()}))


def test_another_class_is_another_rule():
    class Account(BaseModel):
        iban: Annotated[str, Confidential] = "X"
        facility: str = "LAB"

    guard = ResidencyGuard(MIXED, "bank", "us")
    assert "confidential of LAB stays in no region" in str(guard.of_things([Account()]))


@pytest.mark.parametrize(("region", "goes"), [("us", True), ("eu", False)])
def test_a_delivery_is_refused_before_anything_is_written_or_sent_and_the_refusal_is_audited(
    database_url, region, goes
):
    async def story() -> None:
        async with parts(database_url) as p:
            registrar = Registrar()
            connection = p.connections.to("erp")
            connection.connector, connection.residency = registrar, ResidencyGuard(US, "erp", region)
            system = Registry("erp")
            told = Command(system, "refer", {"letter": letter()}, "refer/1", "referrals/1", "refer")
            if goes:
                await p.deliveries().command(told)
                await p.deliveries().ask(system, "lookup", {"letter": letter()})
                assert len(registrar.told) == 2
                return
            with pytest.raises(ResidencyForbids, match="phi stays in us, erp is in eu"):
                await p.deliveries().command(told)
            with pytest.raises(ResidencyForbids):
                await p.deliveries().ask(system, "lookup", {"letter": letter()})
            assert registrar.told == []
            assert await p.pool.fetchval("SELECT count(*) FROM delivery") == 0
            entries = [bytes(r["entry"]) for r in await p.pool.fetch("SELECT entry FROM audit_entry")]
            [kept_back] = [e for e in entries if b"delivery.forbidden" in e]
            assert b"phi stays in us" in kept_back and b"A-1" not in kept_back

    asyncio.run(asyncio.wait_for(story(), 30))


@pytest.mark.parametrize(("region", "goes"), [("us", True), ("eu", False)])
def test_a_feed_parks_what_must_not_leave_and_a_person_learns_the_rule(database_url, region, goes, monkeypatch):
    monkeypatch.setitem(feed_parts.AccountMoved.model_fields, "account", _phi(feed_parts.AccountMoved))
    _forget()

    async def story() -> None:
        async with feeding(database_url) as w:
            w.connections.to("billing").residency = ResidencyGuard(US, "billing", region)
            await w.moves("A1", "B1")
            await w.lanes().run_once()
            if goes:
                assert sorted(w.billing.taken) == ["A1", "B1"]
                return
            assert w.billing.calls == []
            assert {r["state"] for r in await w.pool.fetch("SELECT state FROM feed_parked")} == {"dead"}
            [item] = await w.pool.fetch("SELECT queue, title, remedy FROM work_item")
            assert item["queue"] == "integration"
            assert item["title"].endswith("phi stays in us, billing is in eu")
            assert "[residency]" in item["remedy"]

    try:
        asyncio.run(asyncio.wait_for(story(), 30))
    finally:
        _forget()


def _phi(shape: type[BaseModel]) -> Any:
    field = copy(shape.model_fields["account"])
    field.metadata = [*field.metadata, Phi]
    return field


def _forget() -> None:
    residency._classes.cache_clear()


def test_a_mapping_is_no_thing_of_its_own():
    things: Mapping[str, Any] = {"n": 1}
    assert ResidencyGuard(US, "registry", "eu").of_things([things, None, "text"]) is None
