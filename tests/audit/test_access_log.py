"""The access log: who saw what is durable before the answer leaves, and found again by subject, patient and person."""

import asyncio
import hmac
from datetime import timedelta
from typing import Any

import pytest

from hilum.audit.access import Access, AccessLog, NotRecorded, actor_of, session_mark, sought
from hilum.audit.who_saw import sought_marks, subject_marks, who_saw
from hilum.authoring.caller import NOBODY, Caller

ANA = Caller(
    "person", "ana", "https://id.lakeshore", frozenset({"auditor"}), purpose="audit", session="s3cret", trace_id="t-1"
)
AP_BOT = Caller("service", "ap-bot", "hilum", break_glass=None)


class PaperTokens:
    def search_token(self, kind: str, value: str) -> str:
        return hmac.digest(b"the site's key", f"{kind}\x1f{value}".encode(), "sha256").hex()[:24]


def read(subject: str, caller: Caller = ANA, **more: Any) -> Access:
    return Access(caller, "read", "tower.thread", "Thread", (subject,), **more)


@pytest.fixture
def access_log(office: Any) -> Any:
    return AccessLog(office.pool, "tower", clock=office.clock)


def asks(office: Any, **how: Any) -> Any:
    async def work() -> Any:
        async with office.pool.acquire() as connection:
            return await who_saw(connection, **how)

    return office.run(work())


def test_a_read_is_on_record_with_who_what_why_and_where_from(office: Any, access_log: Any) -> None:
    office.run(access_log.record(read("c/implant_usage/U-1", shown=frozenset({"phi"}), peer="10.1.2.3")))
    (seen,) = asks(office, marks=subject_marks(["c/implant_usage/U-1"]))
    assert (seen.actor, seen.kind, seen.operation, seen.purpose) == ("person:ana", "read", "tower.thread", "audit")
    assert (seen.shown, seen.peer, seen.trace, seen.issuer) == (("phi",), "10.1.2.3", "t-1", "https://id.lakeshore")
    assert seen.session == session_mark("s3cret") and "s3cret" not in str(office.rows("SELECT entry FROM audit_entry"))


def test_a_patient_sought_by_number_is_found_by_token_and_the_number_is_nowhere(office: Any, access_log: Any) -> None:
    account = "A-7730042"
    token = sought("account", account, PaperTokens())
    office.run(access_log.record(Access(ANA, "search", "tower.search", "Thread", found=0, sought={"account": token})))
    (seen,) = asks(office, marks=sought_marks(account, ["mrn", "account"], PaperTokens()))
    assert seen.kind == "search" and seen.found == 0
    stored = [bytes(r[0]) for r in office.rows("SELECT entry FROM hilum.audit_entry")]
    stored += [r[0].encode() for r in office.rows("SELECT mark FROM hilum.access_mark")]
    assert stored and not any(account.encode() in text for text in stored)


def test_without_a_key_a_protected_value_is_withheld(office: Any) -> None:
    assert sought("account", "A-7730042", None) == "withheld"
    assert sought_marks("A-7730042", ["account"], None) == []


def test_what_a_person_saw_since_a_time(office: Any, access_log: Any) -> None:
    office.run(access_log.record(read("c/implant_usage/U-1")))
    office.now += timedelta(hours=1)
    later = office.now
    office.run(access_log.record(read("c/implant_usage/U-2")))
    office.run(access_log.record(read("c/implant_usage/U-2", AP_BOT)))
    assert [s.subjects for s in asks(office, actor="person:ana")] == [
        ("c/implant_usage/U-1",),
        ("c/implant_usage/U-2",),
    ]
    assert [s.actor for s in asks(office, marks=subject_marks(["c/implant_usage/U-2"]))] == [
        "person:ana",
        "service:ap-bot",
    ]
    assert [s.actor for s in asks(office, since=later)] == ["person:ana", "service:ap-bot"]
    assert [s.subjects for s in asks(office, actor="person:ana", since=later)] == [("c/implant_usage/U-2",)]
    assert len(asks(office, limit=2)) == 2 and asks(office, actor="person:an") == []
    assert asks(office, kind="search") == []


def test_accesses_that_come_while_a_commit_runs_share_the_next(office: Any, access_log: Any) -> None:
    async def crowd() -> None:
        await asyncio.gather(*(access_log.record(read(f"c/implant_usage/U-{n}")) for n in range(400)))

    office.run(crowd())
    transactions = office.rows("SELECT count(DISTINCT xmin::text) AS n FROM hilum.audit_entry")[0]["n"]
    assert transactions <= 2
    assert office.rows("SELECT count(*) AS n FROM hilum.audit_entry")[0]["n"] == 400
    office.sequences()
    assert office.verifies().whole


def test_two_processes_write_shards_of_their_own(office: Any, access_log: Any) -> None:
    gateway = AccessLog(office.pool, "gateway-1", clock=office.clock)
    office.run(access_log.record(read("Supplier/ORTHO")))
    office.run(gateway.record(read("Supplier/ORTHO", AP_BOT)))
    again = AccessLog(office.pool, "tower", clock=office.clock)
    office.run(again.record(read("Supplier/ORTHO")))
    shards = [r["shard"] for r in office.rows("SELECT shard FROM hilum.audit_entry ORDER BY shard, seq")]
    assert shards == [1_000_000, 1_000_000, 1_000_001]


def test_an_answer_about_many_is_recorded_whole(office: Any, access_log: Any) -> None:
    subjects = tuple(f"Supplier/S-{n}" for n in range(450))
    office.run(access_log.record(Access(ANA, "search", "GET /v1/suppliers", "Supplier", subjects, found=450)))
    found = asks(office, actor="person:ana")
    assert [len(s.subjects) for s in found] == [200, 200, 50]
    assert asks(office, marks=subject_marks(["Supplier/S-449"]))[0].subjects[-1] == "Supplier/S-449"


def test_what_cannot_be_recorded_is_not_answered(office: Any, access_log: Any) -> None:
    office.run(access_log.record(read("w/1")))
    office.tampers("DELETE FROM hilum.audit_shard")
    with pytest.raises(NotRecorded, match="could not be recorded"):
        office.run(access_log.record(read("w/2")))


def test_hostile_names_and_filters_are_recorded_and_break_nothing(office: Any, access_log: Any) -> None:
    intruder = Caller("person", "ana\n\x00 ' OR 1=1 --" + "x" * 500 + "\ud800", "elsewhere")
    refused = Access(
        intruder, "login", "sign-in", filter={"name\x00": "a\ud800b\n"}, detail={"outcome": "wrong"}, peer="::1\n"
    )
    office.run(access_log.record(refused))
    office.run(access_log.record(read("x" * 1000 + "\n\x00")))
    (seen,) = asks(office, actor=actor_of(intruder))
    assert seen.filter == {"name ": "a b "} and seen.more == {"outcome": "wrong"}
    assert actor_of(NOBODY) == "anonymous:nobody"
    office.sequences()
    assert office.verifies().whole


def test_an_unknown_kind_of_access_is_a_defect() -> None:
    with pytest.raises(ValueError, match="no kind of access"):
        Access(ANA, "peek", "tower")


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("DELETE FROM hilum.access_mark WHERE mark = 'subject:c/implant_usage/U-1'", "is missing"),
        ("DELETE FROM hilum.access_mark WHERE mark = 'actor:person:ana'", "is missing"),
        ("UPDATE hilum.access_mark SET mark = 'actor:person:bob' WHERE mark = 'actor:person:ana'", "was added"),
        ("INSERT INTO hilum.access_mark VALUES ('actor:person:bob', now(), 1000000, 77)", "records no access"),
        ("INSERT INTO hilum.access_mark VALUES ('actor:person:bob', now(), 0, 1)", "records no access"),
    ],
)
def test_a_hidden_or_invented_access_is_named(office: Any, access_log: Any, statement: str, words: str) -> None:
    office.records("w/1")
    office.run(access_log.record(read("c/implant_usage/U-1")))
    office.sequences()
    assert office.verifies().whole
    office.tampers(statement)
    report = office.verifies()
    assert {d.kind for d in report.damages} == {"mark-changed"}
    assert any(words in d.text for d in report.damages)
    assert report.first.shard in (0, 1_000_000)
