"""Separation of duties: nobody decides what they made or asked for, under any name, and only what was asked."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.security.duties import NOON, Records, somebody

from hilum.authoring.approving import ApprovalAsked, ApprovalStanding
from hilum.authoring.caller import Caller
from hilum.authoring.estate import Estate
from hilum.runtime import approvals
from hilum.runtime.approval_desk import ApprovalDesk
from hilum.runtime.approvals import Approval, ApprovalRefused, Names, payload_digest
from hilum.security.policies import Policies

INVOICE = payload_digest({"number": "INV-7", "amount_usd": 900})
CHANGED = payload_digest({"number": "INV-7", "amount_usd": 9_000})
SMALL = {"facility": "ST-MARY", "amount_usd": 900}

ANA = somebody("ana", "ap-analyst")
BEN = somebody("ben", "ap-analyst")
EVE = somebody("eve", "executive")
AP_BOT = Caller("service", "ap-bot", roles=frozenset({"ap-analyst"}), facilities=ANA.facilities)


class Desk:
    """Where invoices wait to be approved."""

    def __init__(self, records: Records, policies: Policies, estate: Estate) -> None:
        self.records, self.policies, self.names = records, policies, Names(estate)

    def asks(self, caller: Caller = ANA, digest: str = INVOICE, **more: Any) -> Approval:
        at = more.pop("at", NOON)
        return self.records.do(self.question(caller, digest, at=at, **more))

    def question(self, caller: Caller = ANA, digest: str = INVOICE, *, at: datetime = NOON, **more: Any) -> Any:
        settings = {"attributes": SMALL, "policies": self.policies, **more}
        return lambda connection: approvals.request(
            connection, kind="Invoice", subject="INV-7", digest=digest, caller=caller, names=self.names, now=at,
            expires_at=at + timedelta(days=2), **settings,
        )  # fmt: skip

    def decision(self, caller: Caller, approval: Approval, **more: Any) -> Any:
        settings = {"digest": INVOICE, "approves": True, "now": NOON, **more}
        return lambda connection: approvals.decide(
            connection, approval.id, caller=caller, policies=self.policies, names=self.names, **settings
        )

    def decides(self, caller: Caller, approval: Approval, **more: Any) -> Approval:
        return self.records.do(self.decision(caller, approval, **more))

    def read(self, number: int) -> Approval:
        return self.records.do(lambda connection: approvals.read(connection, number))

    def is_approved(self, digest: str = INVOICE) -> bool:
        return self.records.do(lambda c: approvals.approved(c, "Invoice", "INV-7", digest)) is not None


@pytest.fixture
def desk(records: Records, lakeshore_policies: Policies, lakeshore: Estate) -> Desk:
    return Desk(records, lakeshore_policies, lakeshore)


def test_somebody_else_approves_and_the_record_says_who_and_what(desk: Desk):
    asked = desk.asks()
    assert not desk.is_approved()

    decided = desk.decides(BEN, asked, reason="matches order and receipt")

    assert (decided.state, decided.approved_by) == ("approved", ("person:ben",))
    assert desk.is_approved() and not desk.is_approved(CHANGED)
    entries = desk.records.said(f"approval/{asked.id}")
    assert [(who, what) for who, what, _ in entries] == [
        ("person:ana", "approval.requested"), ("person:ben", "approval.given"), ("person:ben", "approval.approved"),
    ]  # fmt: skip
    assert entries[1][2] == {
        "digest": INVOICE, "reason": "matches order and receipt", "policy_version": desk.policies.version,
    }  # fmt: skip


@pytest.mark.parametrize(
    "caller",
    [
        ANA,
        somebody("ANA", "ap-analyst"),
        somebody("a.silva", "ap-analyst"),
        somebody("248289761001", "ap-analyst", "executive"),
    ],
    ids=["herself", "in capitals", "her other login", "her number at the provider"],
)
def test_nobody_approves_what_they_asked_for_under_any_of_their_names(desk: Desk, caller: Caller):
    with pytest.raises(ApprovalRefused, match="has a part in it"):
        desk.decides(caller, desk.asks())
    assert not desk.is_approved()


def test_nobody_approves_what_their_program_asked_for_nor_does_the_program(desk: Desk):
    asked = desk.asks(AP_BOT)
    with pytest.raises(ApprovalRefused, match="has a part in it"):
        desk.decides(ANA, asked)
    with pytest.raises(ApprovalRefused, match="is no person"):
        desk.decides(AP_BOT, desk.asks(ANA))
    assert desk.decides(BEN, asked).state == "approved"


def test_an_author_who_let_somebody_else_ask_does_not_decide_either(desk: Desk):
    with pytest.raises(ApprovalRefused, match="has a part in it"):
        desk.decides(BEN, desk.asks(ANA, authors=["person:ben"]))


def test_only_whom_the_policies_let_approve_approves(desk: Desk):
    asked = desk.asks(attributes={"facility": "ST-MARY", "amount_usd": 50_000})
    with pytest.raises(ApprovalRefused, match=r"no policy permits it; .*executive"):
        desk.decides(BEN, asked)
    with pytest.raises(ApprovalRefused, match="no policy permits it"):
        desk.decides(somebody("rick", "department-requester"), asked)
    assert desk.decides(EVE, asked).state == "approved"


def test_what_changed_since_it_was_asked_is_not_approved(desk: Desk):
    asked = desk.asks()
    with pytest.raises(ApprovalRefused, match="has changed since"):
        desk.decides(BEN, asked, digest=CHANGED)
    anew = desk.asks(digest=CHANGED)
    assert anew.id != asked.id
    with pytest.raises(ApprovalRefused, match="is withdrawn"):
        desk.decides(BEN, asked)
    desk.decides(BEN, anew, digest=CHANGED)
    assert desk.is_approved(CHANGED) and not desk.is_approved()


def test_asking_and_deciding_again_changes_nothing(desk: Desk):
    asked = desk.asks()
    assert desk.asks() == asked
    assert desk.decides(BEN, asked) == desk.decides(BEN, asked)
    assert len(desk.records.said(f"approval/{asked.id}")) == 3
    with pytest.raises(ApprovalRefused, match="has decided approval"):
        desk.decides(BEN, asked, approves=False)


def test_a_decision_after_its_time_does_not_count(desk: Desk):
    asked = desk.asks()
    with pytest.raises(ApprovalRefused, match="expired at 2026-11-23 12:00"):
        desk.decides(BEN, asked, now=NOON + timedelta(days=2))
    assert desk.asks(at=NOON + timedelta(days=3)).id != asked.id


def test_a_quorum_needs_different_people_and_one_rejection_rejects(desk: Desk):
    asked = desk.asks(somebody("rick", "department-requester"), quorum=2)
    assert desk.decides(ANA, asked).state == "open"
    desk.decides(somebody("a.silva", "ap-analyst"), asked)  # The same person's same voice again.
    assert not desk.is_approved()
    assert desk.decides(BEN, asked).state == "approved"

    other = desk.asks(somebody("rick", "department-requester"), digest=CHANGED, quorum=2)
    assert desk.decides(ANA, other, digest=CHANGED, approves=False, reason="wrong price").state == "rejected"
    with pytest.raises(ApprovalRefused, match="is rejected"):
        desk.decides(BEN, other, digest=CHANGED)


def test_voices_that_come_at_once_are_counted_once_each(desk: Desk):
    asked = desk.asks(somebody("rick", "department-requester"), quorum=3)
    results = desk.records.at_once(*[desk.decision(ANA, asked) for _ in range(4)], desk.decision(BEN, asked))
    assert not [result for result in results if isinstance(result, Exception)]
    assert not desk.is_approved()
    given = [what for _, what, _ in desk.records.said(f"approval/{asked.id}")]
    assert given.count("approval.given") == 2


# --- who asks for what waits already


def test_who_asks_for_what_waits_has_a_part_in_it_too(desk: Desk):
    asked = desk.asks(ANA)
    joined = desk.asks(BEN, authors=["person:cleo"], quorum=2)
    assert (joined.id, joined.requested_by, joined.quorum) == (asked.id, "person:ana", 2)
    assert set(joined.authors) == {"person:ana", "person:ben", "person:cleo"}
    for name in ("ben", "cleo"):
        with pytest.raises(ApprovalRefused, match="has a part in it"):
            desk.decides(somebody(name, "ap-analyst"), asked)
    who, what, detail = desk.records.said(f"approval/{asked.id}")[-1]
    assert (who, what, detail["quorum"]) == ("person:ben", "approval.joined", 2)
    assert desk.asks(BEN).quorum == 2, "who asks for less leaves what was wanted"
    assert len(desk.records.said(f"approval/{asked.id}")) == 2


def test_a_voice_does_not_count_once_its_person_asks_for_the_same(desk: Desk):
    asked = desk.asks(ANA, quorum=2)
    desk.decides(BEN, asked)
    assert desk.asks(BEN).approved_by == ()
    assert desk.decides(EVE, asked).state == "open"
    assert desk.decides(somebody("dan", "ap-analyst"), asked).approved_by == ("person:eve", "person:dan")
    assert desk.is_approved()


def test_a_smaller_amount_asked_for_first_does_not_lower_who_decides(desk: Desk):
    small = desk.asks(ANA)
    large = desk.asks(ANA, attributes={"facility": "ST-MARY", "amount_usd": 900_000})
    assert large.id != small.id
    with pytest.raises(ApprovalRefused, match="is withdrawn"):
        desk.decides(BEN, small)
    with pytest.raises(ApprovalRefused, match="no policy permits it"):
        desk.decides(BEN, large)


def test_who_asked_for_this_payload_before_has_a_part_in_it_when_it_is_asked_for_anew(desk: Desk):
    desk.asks(BEN)
    anew = desk.asks(ANA, at=NOON + timedelta(days=3))
    with pytest.raises(ApprovalRefused, match="has a part in it"):
        desk.decides(BEN, anew, now=NOON + timedelta(days=3))


@pytest.mark.parametrize(
    "other", [{"digest": CHANGED}, {"attributes": {"facility": "HARBOR-VIEW", "amount_usd": 900}}], ids=["payload", "facility"]
)  # fmt: skip
def test_nobody_else_withdraws_what_somebody_asked_for(desk: Desk, other: dict[str, Any]):
    asked = desk.asks(ANA)
    with pytest.raises(ApprovalRefused, match="waits as person:ana asked for it"):
        desk.asks(BEN, **other)
    assert desk.asks(ANA) == asked
    assert desk.asks(AP_BOT, **other).id != asked.id, "her own program is she"


def test_who_may_not_ask_there_any_more_withdraws_nothing_there(desk: Desk):
    asked = desk.asks(ANA)
    moved = replace(ANA, facilities=frozenset({"HARBOR-VIEW"}))
    with pytest.raises(ApprovalRefused, match="own-facilities-only"):
        desk.asks(moved, digest=CHANGED, attributes={"facility": "HARBOR-VIEW"})
    assert desk.asks(ANA).id == asked.id


def test_first_requests_that_come_at_once_are_one_request(desk: Desk):
    askers = [ANA, BEN, EVE, somebody("cleo", "ap-analyst"), somebody("dan", "ap-analyst")]
    given = desk.records.at_once(*[desk.question(who) for who in askers])
    assert len({approval.id for approval in given}) == 1, given
    assert set(desk.asks(ANA).authors) == {who.actor for who in askers}


# --- flows


class Flow:
    """Asks the platform's desk, as the steps of flows do."""

    def __init__(self, desk: Desk, estate: Estate) -> None:
        self.desk = desk
        self.asks_here = ApprovalDesk(desk.records.pool, estate, clock=lambda: NOON)

    def asks(self, requested_by: str, digest: str = INVOICE, amount_usd: int = 900) -> ApprovalStanding:
        asked = ApprovalAsked(
            kind="Invoice", subject="INV-7", digest=digest, requested_by=requested_by, facility="ST-MARY", amount_usd=amount_usd
        )  # fmt: skip
        return self.desk.records.do(lambda _: self.asks_here.ask(asked, key="INV-7/agreed"))


@pytest.fixture
def flow(desk: Desk, lakeshore: Estate) -> Flow:
    return Flow(desk, lakeshore)


def test_a_flow_that_asks_for_what_waits_makes_its_author_one_of_the_authors(desk: Desk, flow: Flow):
    asked = desk.asks(ANA)
    assert flow.asks("person:ben").number == asked.id
    with pytest.raises(ApprovalRefused, match="has a part in it"):
        desk.decides(BEN, asked)
    desk.decides(EVE, asked)
    assert flow.asks("person:ben").state == "approved"


def test_a_flow_does_not_take_what_its_author_agreed_to_himself(desk: Desk, flow: Flow):
    desk.decides(BEN, desk.asks(ANA))
    asked = flow.asks("person:ben")
    assert asked.state == "open"
    for who in (ANA, BEN):
        with pytest.raises(ApprovalRefused, match="has a part in it"):
            desk.decides(who, desk.read(asked.number))
    desk.decides(EVE, desk.read(asked.number))
    assert flow.asks("person:ben") == asked.model_copy(update={"state": "approved"})


def test_a_flow_does_not_take_what_was_agreed_to_as_less(desk: Desk, flow: Flow):
    desk.decides(BEN, desk.asks(ANA))
    assert flow.asks("person:rick", amount_usd=900_000).state == "open"
    assert flow.asks("person:rick").state == "approved"


def test_a_flow_replaces_what_others_asked_for_of_another_payload(desk: Desk, flow: Flow):
    asked = desk.asks(ANA)
    assert flow.asks("person:rick", digest=CHANGED).number != asked.id
    assert desk.read(asked.id).state == "withdrawn"


def test_an_approval_that_does_not_exist_is_refused(desk: Desk):
    with pytest.raises(ApprovalRefused, match="there is no approval 77"):
        desk.records.do(lambda c: approvals.read(c, 77))
