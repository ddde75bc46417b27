"""At the terminal one login is one person, whomever ``--as`` names: two-person rules compare both, the log says both."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import asyncpg
import orjson
import pytest
from tests.security.duties import NOON, Records, somebody

from hilum.audit.access import READ, Access, recorded
from hilum.audit.entry import Entry
from hilum.authoring.caller import Actor, Caller
from hilum.authoring.estate import Estate
from hilum.identity import service_keys
from hilum.runtime import approvals, break_glass, legal_holds
from hilum.runtime.approvals import Approval, ApprovalRefused, Names, payload_digest
from hilum.runtime.break_glass import BreakGlassRefused
from hilum.runtime.legal_holds import HoldRefused
from hilum.security.policies import Policies

DIGEST = payload_digest({"number": "INV-7", "amount_usd": 900})


def at_terminal(login: str, caller: Caller) -> Caller:
    """``caller`` as who ``--as`` names, at the terminal of ``login``."""
    return replace(caller, login=f"person:{login}")


ANA, BEN, CHRIS = (somebody(name, "ap-analyst") for name in ("ana", "ben", "chris"))
AUDITOR = somebody("audra", "compliance-auditor", purpose="audit")


class Duties:
    def __init__(self, records: Records, policies: Policies, estate: Estate) -> None:
        self.records, self.policies, self.estate, self.names = records, policies, estate, Names(estate)

    def asks(self, caller: Caller, *, quorum: int = 1) -> Approval:
        return self.records.do(
            lambda connection: approvals.request(
                connection, kind="Invoice", subject="INV-7", digest=DIGEST, caller=caller, names=self.names, now=NOON,
                expires_at=NOON + timedelta(days=2), attributes={"facility": "ST-MARY", "amount_usd": 900}, quorum=quorum,
            )
        )  # fmt: skip

    def decides(self, caller: Caller, approval: Approval, *, approves: bool = True) -> Approval:
        return self.records.do(
            lambda connection: approvals.decide(
                connection, approval.id, caller=caller, approves=approves, digest=DIGEST, policies=self.policies,
                names=self.names, now=NOON,
            )
        )  # fmt: skip

    def breaks_glass(self, caller: Caller, **more: Any) -> int:
        return self.records.do(
            lambda connection: break_glass.ask(
                connection, caller, reason="charges stuck", facility="ST-MARY", purpose="emergency",
                policies=self.policies, estate=self.estate, now=NOON, minutes=5, **more,
            )
        ).id  # fmt: skip

    def reviews(self, caller: Caller, grant: int) -> break_glass.Grant:
        return self.records.do(
            lambda connection: break_glass.review(
                connection, grant, caller=caller, finding="as the reason says", justified=True, policies=self.policies,
                names=self.names, now=NOON + timedelta(hours=1),
            )
        )  # fmt: skip

    def lifts(self, hold: int, caller: Caller) -> str:
        return self.records.do(
            lambda connection: legal_holds.lift(
                connection,
                hold,
                reason="settled",
                actor=caller.actor,
                now=NOON,
                behind=self.names.behind_caller(caller),
            )
        ).state

    def holds(self, actor: str) -> int:
        return self.records.do(
            lambda connection: legal_holds.place(
                connection, reason="dispute", actor=actor, now=NOON, facility="ST-MARY"
            )
        )


@pytest.fixture
def duties(records: Records, lakeshore_policies: Policies, lakeshore: Estate) -> Duties:
    return Duties(records, lakeshore_policies, lakeshore)


def test_an_author_does_not_approve_by_naming_somebody_else(duties: Duties) -> None:
    asked = duties.asks(at_terminal("ana", ANA))
    with pytest.raises(ApprovalRefused, match="has a part in it"):
        duties.decides(at_terminal("ana", BEN), asked)


def test_nor_does_who_asked_under_another_name_approve_under_a_third_or_at_the_page_as_themselves(
    duties: Duties,
) -> None:
    asked = duties.asks(at_terminal("chris", ANA))
    for caller in (at_terminal("chris", BEN), CHRIS, at_terminal("ops", CHRIS), ANA):
        with pytest.raises(ApprovalRefused, match="has a part in it"):
            duties.decides(caller, asked)
    assert duties.decides(BEN, asked).state == "approved"


def test_the_terminal_of_an_author_is_the_authors_by_any_of_their_names(duties: Duties) -> None:
    asked = duties.asks(ANA)
    with pytest.raises(ApprovalRefused, match="has a part in it"):
        duties.decides(at_terminal("A.Silva", BEN), asked)


def test_one_login_is_one_voice_of_a_quorum(duties: Duties) -> None:
    asked = duties.asks(ANA, quorum=2)
    assert duties.decides(at_terminal("ops", BEN), asked).state == "open"
    with pytest.raises(ApprovalRefused, match=r"person:ops has decided approval \d+ before, as person:ben"):
        duties.decides(at_terminal("ops", CHRIS), asked)
    assert duties.decides(at_terminal("ops", BEN), asked).state == "open", "saying it again changes nothing"
    assert duties.decides(at_terminal("chris", CHRIS), asked).state == "approved"


def test_who_registered_a_programs_key_does_not_approve_what_the_program_asks_for(duties: Duties) -> None:
    """They may hold its private half, and would ask as the program what they then approve as themselves."""
    ben = at_terminal("chris", BEN)

    async def registered(connection: asyncpg.Connection) -> None:
        await service_keys.register(
            connection, "ap-bot", service_keys.new_pair()[1], name="robot.pem", now=NOON, by=ben.actor,
            behind=duties.names.behind_caller(ben),
        )  # fmt: skip

    duties.records.do(registered)
    asked = duties.asks(Caller("service", "ap-bot", roles=frozenset({"ap-analyst"}), facilities=ANA.facilities))
    for caller in (BEN, CHRIS, ANA, at_terminal("ben", somebody("dora", "ap-analyst"))):
        with pytest.raises(ApprovalRefused, match="has a part in it"):
            duties.decides(caller, asked)
    assert duties.decides(somebody("dora", "ap-analyst"), asked).state == "approved"


def test_who_broke_the_glass_as_somebody_else_does_not_review_it(duties: Duties) -> None:
    ana = somebody("ana", "operator")
    grant = duties.breaks_glass(at_terminal("audra", ana))
    with pytest.raises(BreakGlassRefused, match="somebody else reviews it"):
        duties.reviews(AUDITOR, grant)
    with pytest.raises(BreakGlassRefused, match="somebody else reviews it"):
        duties.reviews(at_terminal("audra", replace(AUDITOR, id="otto")), grant)
    assert duties.reviews(at_terminal("otto", replace(AUDITOR, id="otto")), grant).justified


def test_the_second_person_told_is_not_the_login_that_asks(duties: Duties) -> None:
    with pytest.raises(BreakGlassRefused, match="the second person is somebody else"):
        duties.breaks_glass(at_terminal("ben", somebody("ana", "operator")), told="ben")


def test_one_login_does_not_lift_a_hold_alone(duties: Duties) -> None:
    hold = duties.holds("person:ana")
    assert duties.lifts(hold, at_terminal("ops", ANA)) == "lift asked"
    for caller in (at_terminal("ops", BEN), somebody("ops"), somebody("OPS"), somebody("a.silva"), ANA):
        with pytest.raises(HoldRefused, match="another person has to confirm it"):
            duties.lifts(hold, caller)
    assert duties.lifts(hold, at_terminal("ben", BEN)) == "lifted"


def test_a_request_taken_back_binds_nobody(duties: Duties) -> None:
    hold = duties.holds("person:ana")
    duties.lifts(hold, at_terminal("ops", ANA))
    duties.records.do(lambda connection: legal_holds.withdraw(connection, hold, actor="person:ops", now=NOON))
    assert duties.lifts(hold, BEN) == "lift asked"
    assert duties.lifts(hold, somebody("ops")) == "lifted"


def test_every_entry_of_the_terminal_names_the_login_beside_the_actor(duties: Duties) -> None:
    asked = duties.asks(at_terminal("ops", ANA))
    duties.decides(at_terminal("ben", BEN), asked)
    said = duties.records.said(f"approval/{asked.id}")
    assert [(who, detail["by"]) for who, _, detail in said] == [
        ("person:ana", "person:ops"), ("person:ben", "person:ben"), ("person:ben", "person:ben"),
    ]  # fmt: skip
    (access,) = recorded(Access(at_terminal("ops", ANA), READ, "cli.trace"), NOON)
    assert orjson.loads(access.entry)["detail"]["by"] == "person:ops"
    (from_the_page,) = recorded(Access(ANA, READ, "tower.thread"), NOON)
    assert "by" not in orjson.loads(from_the_page.entry)["detail"]


def test_nobody_writes_another_login_into_their_own_entry() -> None:
    entry = Entry(NOON, Actor("person:ana", "person:ops"), "work.assigned", "w/1", {"by": "person:ben"})
    assert orjson.loads(entry.canonical())["detail"] == {"by": "person:ops"}
