"""Separation of duties: nobody decides what they made or asked for, under any name, and only what was asked."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.security.duties import NOON, Records, somebody

from hilum.authoring.caller import Caller
from hilum.authoring.estate import Estate
from hilum.runtime import approvals
from hilum.runtime.approvals import Approval, ApprovalRefused, Names, payload_digest
from hilum.security.policies import Policies

INVOICE = payload_digest({"number": "INV-7", "amount_usd": 900})
CHANGED = payload_digest({"number": "INV-7", "amount_usd": 9_000})

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
        settings = {"attributes": {"facility": "ST-MARY", "amount_usd": 900}, **more}
        return self.records.do(
            lambda connection: approvals.request(
                connection, kind="Invoice", subject="INV-7", digest=digest, caller=caller, names=self.names, now=at,
                expires_at=at + timedelta(days=2), **settings,
            )
        )  # fmt: skip

    def decision(self, caller: Caller, approval: Approval, **more: Any) -> Any:
        settings = {"digest": INVOICE, "approves": True, "now": NOON, **more}
        return lambda connection: approvals.decide(
            connection, approval.id, caller=caller, policies=self.policies, names=self.names, **settings
        )

    def decides(self, caller: Caller, approval: Approval, **more: Any) -> Approval:
        return self.records.do(self.decision(caller, approval, **more))

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


def test_an_approval_that_does_not_exist_is_refused(desk: Desk):
    with pytest.raises(ApprovalRefused, match="there is no approval 77"):
        desk.records.do(lambda c: approvals.read(c, 77))
