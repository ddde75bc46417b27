"""Patient data is shown to the role it is for, for the purpose it is for; and beyond that under one's own broken glass only.

Lakeshore's own billing API and policies, with the simulated billing system behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest
from tests.connectors.benches import billing_at, noon, usage
from tests.gateway.lakeshore_door import STAFF, lakeshore, lakeshore_door
from tests.gateway.supply_door import SupplyDoor
from tests.gateway.supply_estate import supply_estate

from hilum.authoring.caller import PERSON, Caller
from hilum.authoring.estate_door import ConsumerSpec
from hilum.connectors.billing_hl7v2 import BillingAccounts, BillingHl7
from hilum.gateway.idempotency import fingerprint
from hilum.model import FacilityCode
from hilum.runtime import break_glass
from hilum.security.policies import Policies
from hilum.testing.neighbours.launch import simulated_billing
from hilum.testing.neighbours.process import Neighbour

Story = Callable[[SupplyDoor], Coroutine[Any, Any, None]]
Tell = Callable[..., None]
ACCOUNTS = "/billing/v1/patient-accounts"
MARY, HARBOR = "CANARY-A-1", "CANARY-B-1"
ESTATE = lakeshore()
POLICIES = Policies(ESTATE.policies)


@pytest.fixture(scope="module")
def billing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Neighbour]:
    place = tmp_path_factory.mktemp("billing")
    token = place / "token"
    token.write_text("api-token")

    async def charges(neighbour: Neighbour) -> None:
        sender = billing_at(neighbour)
        await sender.charge_usage(usage("U-1", account=MARY), key="U-1/tell_billing")
        elsewhere = {"facility": FacilityCode("HARBOR-VIEW"), "account_authority": "HARBOR-VIEW"}
        there = usage("U-2", account=HARBOR).model_copy(update=elsewhere)
        await sender.charge_usage(there, key="U-2/tell_billing")
        await sender.close()

    with simulated_billing(place, token_file=token) as neighbour:
        asyncio.run(charges(neighbour))
        yield neighbour


class Interrupted:
    """Billing, with something that happens while it is asked."""

    def __init__(self, billing: BillingHl7, meanwhile: Callable[[], Awaitable[None]]) -> None:
        self._billing = billing
        self._meanwhile = meanwhile

    def __getattr__(self, name: str) -> Any:
        return getattr(self._billing, name)

    async def account_status(self, handle: str) -> Any:
        found = await self._billing.account_status(handle)
        await self._meanwhile()
        return found


@pytest.fixture
def tell(database_url: str, tmp_path: Path, billing: Neighbour) -> Tell:
    def telling(story: Story, interrupted: bool = False) -> None:
        async def nobody(message: bytes) -> bytes:
            raise AssertionError("no message is sent in these stories")

        async def told() -> None:
            real = BillingHl7(nobody, clock=noon, accounts=BillingAccounts(billing.url, "api-token"))
            opened: list[SupplyDoor] = []
            connector = Interrupted(real, lambda: end_all(opened[0])) if interrupted else real
            async with lakeshore_door(database_url, tmp_path / "w.json", connectors={"billing": connector}) as door:
                opened.append(door)
                await story(door)
            await real.close()

        asyncio.run(told())

    return telling


async def end_all(door: SupplyDoor) -> None:
    """Everybody ends their grants by hand."""
    async with door.pool.acquire() as connection, connection.transaction():
        for grant in await break_glass.grants(connection):
            if grant.in_force(door.clock()):
                holder = person(grant.person.removeprefix("person:"))
                await break_glass.end(connection, grant.id, caller=holder, policies=POLICIES, now=door.clock())


def person(who: str) -> Caller:
    roles, facilities = STAFF[who]
    return Caller(PERSON, who, roles=frozenset(roles), facilities=frozenset(facilities))


async def breaks(door: SupplyDoor, who: str, facility: str, minutes: int = 5, purpose: str = "emergency") -> str:
    """Break the glass as the terminal and the page do; the grant's number as the header says it."""
    async with door.pool.acquire() as connection, connection.transaction():
        grant = await break_glass.ask(
            connection, person(who), reason="charges stuck before surgery", facility=facility, purpose=purpose,
            minutes=minutes, policies=POLICIES, estate=ESTATE, now=door.clock(),
        )  # fmt: skip
    return str(grant.id)


async def handles(door: SupplyDoor) -> dict[str, str]:
    """Account number to handle, as an auditor who audits sees them."""
    listed = await door.ask("carl", "GET", ACCOUNTS, headers={"purpose-of-use": "audit"})
    assert listed.status_code == 200, listed.text
    return {account["account"]: account["handle"] for account in listed.json()["items"]}


async def sees(door: SupplyDoor, who: str, handle: str, **headers: str) -> str | int:
    """The account number as it is shown, or the status of the refusal."""
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = await door.ask(who, "GET", f"{ACCOUNTS}/{handle}", headers=told)
    return answer.status_code if answer.status_code != 200 else str(answer.json()["account"])


def test_the_purpose_shows_patients_to_the_role_that_needs_them_for_it_and_to_no_other(tell: Tell) -> None:
    async def story(door: SupplyDoor) -> None:
        mary = (await handles(door))[MARY]
        purposes = (None, "operations", "payment", "treatment", "audit")
        shown = {
            who: [p for p in purposes if await sees(door, who, mary, **({"purpose_of_use": p} if p else {})) == MARY]
            for who in ("rita", "nora", "carl")
        }
        assert shown == {"rita": ["payment"], "nora": ["treatment"], "carl": ["audit"]}
        assert await sees(door, "rita", mary) == "***-1"
        assert await sees(door, "hugo", mary, purpose_of_use="treatment") == 404, "another hospital's is none of theirs"
        assert await sees(door, "ana", mary, purpose_of_use="payment") == 403, "a purpose is no role"
        read = [a["detail"] for a in await door.accesses() if a["action"] == "access.read"]
        assert [(d["purpose"], d["shown"]) for d in read if "phi" in d.get("shown", ())] == [
            ("payment", ["phi"]), ("treatment", ["phi"]), ("audit", ["phi"]),
        ]  # fmt: skip

    tell(story)


def test_what_is_no_purpose_is_refused_in_words_that_name_the_purposes(tell: Tell) -> None:
    async def story(door: SupplyDoor) -> None:
        mary = (await handles(door))[MARY]
        authorized = ("authorization", f"Bearer {door.sso.token('rita')}")

        async def refused(*headers: tuple[str, str]) -> httpx2.Response:
            answer = await door.client.get(f"{ACCOUNTS}/{mary}", headers=[authorized, *headers])
            assert answer.status_code == 400 and MARY not in answer.text, answer.text
            assert answer.json()["type"] == "/problems/malformed"
            return answer

        for word in ("curiosity", "Payment", "payment, treatment", "payment;q=1", "", "emergency", "TREAT"):
            problem = (await refused(("purpose-of-use", word))).json()
            assert "treatment, payment, operations, audit" in problem["detail"], word
            assert problem["errors"][0]["in"] == "header" and problem["errors"][0]["pointer"] == "#/Purpose-Of-Use"
        assert "break the glass" in (await refused(("purpose-of-use", "emergency"))).json()["detail"]
        for pair in (("payment", "payment"), ("operations", "payment"), ("payment", "")):
            await refused(*(("purpose-of-use", word) for word in pair))
        for word in ("0", "-1", "1, 2", "g/1", "1" * 19, "one", ""):
            await refused(("break-glass", word))
        await refused(("break-glass", "1"), ("break-glass", "1"))
        assert not [a for a in await door.accesses() if a["actor"] == "person:rita"]

    tell(story)


def test_a_program_states_no_purpose_but_those_agreed_with_it(door: Callable[..., None]) -> None:
    """ap-bot may ask supply for payment's sake too, and legacy for nothing else; tight-bot for operations alone."""
    estate = supply_estate()
    supply = estate.api_specs["supply"]
    agreed = {
        "service:ap-bot": ConsumerSpec(purposes=("operations", "payment")),
        "service:tight-bot": ConsumerSpec(criticality="high"),
    }
    only = {"ap-bot": ConsumerSpec(purposes=("payment",))}
    specs = {
        **estate.api_specs,
        "supply": supply.model_copy(update={"consumers": agreed}),
        "legacy": estate.api_specs["legacy"].model_copy(update={"consumers": only}),
    }

    async def story(one: SupplyDoor) -> None:
        async def asks(who: str, *purpose: str, api: str = "/supply/v1/orders/PO-1") -> int:
            answer = await one.ask(who, "GET", api, headers={"purpose-of-use": purpose[0]} if purpose else {})
            if answer.status_code == 403:
                problem = answer.json()
                assert (
                    problem["type"] == "/problems/purpose-not-agreed"
                    and f"not for {[*purpose, 'operations'][0]}" in problem["detail"]
                )
            return answer.status_code

        assert [await asks("svc-ap-bot", p) for p in ("operations", "payment", "treatment")] == [200, 200, 403]
        assert [await asks("svc-tight-bot"), await asks("svc-tight-bot", "payment")] == [200, 403]
        assert [await asks("svc-ap-bot", *p, api="/legacy/v2/things/1") for p in ((), ("payment",))] == [403, 200]
        elsewhere = await asks("svc-ap-bot", "payment", api="/billing/v1/accounts/A-1001")
        assert elsewhere == 403, "agreed at one API, not at another"
        assert await asks("ana", "treatment") == 200, "of people the policies alone decide"
        denied = [a for a in await one.accesses() if a["action"] == "access.denial"]
        assert [(d["actor"], d["detail"]["purpose"], d["detail"]["policies"]) for d in denied] == [
            ("service:ap-bot", "treatment", ["gateway:agreed-purposes"]),
            ("service:tight-bot", "payment", ["gateway:agreed-purposes"]),
            ("service:ap-bot", "operations", ["gateway:agreed-purposes"]),
            ("service:ap-bot", "payment", ["gateway:agreed-purposes"]),
        ]
        assert (await one.ask("svc-ap-bot", "GET", "/supply/v1/orders/PO-1", headers={"break-glass": "1"})).json()[
            "type"
        ] == "/problems/grant-not-in-force"

    door(story, estate=replace(estate, api_specs=specs))


def test_a_kept_answer_is_not_given_again_for_another_purpose(door: Callable[..., None]) -> None:
    async def story(one: SupplyDoor) -> None:
        request = {"facility": "ST-MARY", "supplier": "ORTHO", "amount": 12.5}

        async def places(purpose: str) -> httpx2.Response:
            headers = {"idempotency-key": "K-1", "purpose-of-use": purpose}
            return await one.ask("ana", "POST", "/supply/v1/orders", body=request, headers=headers)

        assert (await places("payment")).status_code == 201
        assert (await places("payment")).headers["idempotency-replayed"] == "true"
        assert (await places("operations")).json()["type"] == "/problems/key-reused"

    door(story)
    plain = ("POST", b"/x", b"", b"{}", None)
    prints = {fingerprint(*plain), fingerprint(*plain, purpose="payment"), fingerprint(*plain, break_glass="1")}
    assert len({*prints, fingerprint(*plain, purpose="payment", break_glass="1")}) == 4
    assert fingerprint(*plain, purpose="operations") == fingerprint(*plain)


def test_broken_glass_opens_its_facility_to_its_holder_and_every_use_is_written_down(tell: Tell) -> None:
    async def story(door: SupplyDoor) -> None:
        found = await handles(door)
        mary, harbor = found[MARY], found[HARBOR]
        assert await sees(door, "hugo", mary) == 404
        grant = await breaks(door, "hugo", "ST-MARY")
        assert await sees(door, "hugo", mary) == 404, "a grant opens nothing to a request that does not name it"
        assert await sees(door, "hugo", mary, break_glass=grant) == MARY
        assert await sees(door, "hugo", harbor, break_glass=grant) == "***-1", (
            "it says the purpose, and opens one place"
        )
        assert await sees(door, "hugo", harbor, purpose_of_use="treatment") == HARBOR
        assert await sees(door, "hugo", mary, break_glass=grant, purpose_of_use="emergency") == 400
        assert await sees(door, "hugo", mary, break_glass=grant, purpose_of_use="treatment") == 400
        listed = await door.ask("hugo", "GET", ACCOUNTS, headers={"break-glass": grant})
        assert {a["account"] for a in listed.json()["items"]} == {MARY, "***-1"}
        searched = await door.ask(
            "hugo", "POST", f"{ACCOUNTS}/search", body={"account": MARY, "account_authority": "ST-MARY"},
            headers={"break-glass": grant},
        )  # fmt: skip
        assert searched.json()["account"] == MARY

        async with door.pool.acquire() as connection:
            assert (await break_glass.read(connection, int(grant))).uses == 4
            rows = await connection.fetch("SELECT entry FROM audit_entry WHERE subject = $1 ORDER BY seq", f"g/{grant}")
        used = [e["detail"] for e in map(orjson.loads, (r["entry"] for r in rows)) if e["action"] == "break_glass.used"]
        assert [(d["operation"].partition("@")[0], d["subject"]) for d in used] == [
            ("billing.read_account", f"PatientAccount/{mary}"), ("billing.read_account", "PatientAccount"),
            ("billing.list_accounts", f"PatientAccount/{mary}"), ("billing.search_account", f"PatientAccount/{mary}"),
        ]  # fmt: skip
        under = [a["detail"] for a in await door.accesses() if a["detail"].get("break_glass") == grant]
        assert len(under) == 4 and {d["purpose"] for d in under} == {"emergency"}
        assert MARY not in str(rows) + str(await door.accesses())

    tell(story)


def test_nobody_looks_under_anothers_grant_or_one_that_never_was(tell: Tell) -> None:
    async def story(door: SupplyDoor) -> None:
        harbor = (await handles(door))[HARBOR]
        grant = await breaks(door, "rita", "HARBOR-VIEW")
        for who, number in (("nora", grant), ("carl", grant), ("rita", str(int(grant) + 1)), ("rita", "9" * 18)):
            answer = await door.ask(who, "GET", f"{ACCOUNTS}/{harbor}", headers={"break-glass": number})
            assert (answer.status_code, answer.json()["type"]) == (403, "/problems/grant-not-in-force"), (who, number)
        assert await sees(door, "rita", harbor, break_glass=grant) == HARBOR
        denied = [a for a in await door.accesses() if a["action"] == "access.denial"]
        assert [(d["actor"], d["detail"]["policies"]) for d in denied] == [
            (f"person:{who}", ["gateway:break-glass"]) for who in ("nora", "carl", "rita", "rita")
        ]

    tell(story)


@pytest.mark.parametrize("ends", ["by time", "by hand"])
def test_a_grant_ends_by_time_and_by_hand(tell: Tell, ends: str) -> None:
    async def story(door: SupplyDoor) -> None:
        mary = (await handles(door))[MARY]
        grant = await breaks(door, "hugo", "ST-MARY", minutes=5)
        door.clock.ahead = timedelta(minutes=4, seconds=50)
        assert await sees(door, "hugo", mary, break_glass=grant) == MARY
        if ends == "by time":
            door.clock.ahead = timedelta(minutes=5, seconds=1)
        else:
            await end_all(door)
        assert await sees(door, "hugo", mary, break_glass=grant) == 403
        assert await sees(door, "hugo", mary) == 404

    tell(story)


def test_what_was_found_under_a_grant_that_ended_meanwhile_is_not_shown(tell: Tell) -> None:
    async def story(door: SupplyDoor) -> None:
        mary = (await handles(door))[MARY]
        grant = await breaks(door, "hugo", "ST-MARY")
        assert await sees(door, "hugo", mary, break_glass=grant) == 403
        async with door.pool.acquire() as connection:
            assert (await break_glass.read(connection, int(grant))).uses == 0

    tell(story, interrupted=True)


def test_a_grant_for_another_purpose_than_an_emergency_is_made_for_that_one(tell: Tell) -> None:
    async def story(door: SupplyDoor) -> None:
        found = await handles(door)
        grant = await breaks(door, "nora", "HARBOR-VIEW", purpose="treatment")
        assert await sees(door, "nora", found[MARY], break_glass=grant) == MARY
        assert await sees(door, "nora", found[HARBOR], break_glass=grant, purpose_of_use="treatment") == HARBOR
        assert await sees(door, "nora", found[HARBOR], break_glass=grant, purpose_of_use="operations") == 400

    tell(story)
