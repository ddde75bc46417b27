"""Mismatches are work items that come, change and go with what they are about; what stewards decide is theirs, and audited."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import orjson
import pytest

from hilum.authoring.estate import CrosswalkSpec, Estate
from hilum.authoring.estate_master import MasterSpec
from hilum.authoring.master import ListTooShort, NoAuthority, Scope, Telling, ToldRecord
from hilum.masterdata.crosswalks import CrosswalkRefused, Crosswalks
from hilum.runtime import steward_decisions, stewardship, work_items
from hilum.runtime.master_desk import MasterDesk
from hilum.runtime.steward_decisions import DecisionRefused, MismatchLine
from hilum.runtime.stewardship import Looked
from hilum.store.pool import open_pool

T = TypeVar("T")
NOON = datetime(2026, 11, 21, 18, tzinfo=UTC)
DORA, OTTO = "person:dora", "person:otto"


@dataclass
class Office:
    """A steward's office: an estate, its database, and the time of day."""

    url: str
    estate: Estate
    now: datetime = NOON
    told: list[str] = field(default_factory=list)

    def on(self, work: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
        async def run() -> T:
            pool = await open_pool(self.url)
            try:
                async with pool.acquire() as connection, connection.transaction():
                    return await work(connection)
            finally:
                await pool.close()

        return asyncio.run(run())

    def looks(self) -> Looked:
        return self.on(lambda c: stewardship.look_over(c, self.estate, now=self.now))

    def hears(self, *records: ToldRecord, system: str = "erp", complete: str = "") -> Any:
        """What an owner says now, through the desk."""
        self.told.append(f"{system}/{len(self.told)}")
        telling = Telling(
            number=self.told[-1], system=system, said_at=self.now, records=records,
            complete=(Scope(object=complete),) if complete else (),
        )  # fmt: skip
        return self.tells(telling)

    def tells(self, telling: Telling) -> Any:
        async def run() -> Any:
            pool = await open_pool(self.url)
            try:
                return await MasterDesk(pool, self.estate, clock=lambda: self.now).tell(telling, key=telling.number)
            finally:
                await pool.close()

        return asyncio.run(run())

    def items(self, state: str = "open") -> list[asyncpg.Record]:
        return self.on(lambda c: c.fetch("SELECT * FROM hilum.work_item WHERE state = $1 ORDER BY id", state))

    def only(self) -> MismatchLine:
        [line] = self.on(steward_decisions.open_mismatches)
        return line

    def accepts(self, line: MismatchLine, by: str = DORA, *, may_release: bool = True) -> steward_decisions.Accepted:
        async def work(connection: asyncpg.Connection) -> steward_decisions.Accepted:
            waiting = await steward_decisions.waiting_for(connection, line, self.estate.crosswalks)
            return await steward_decisions.accept(
                connection, line, self.estate.crosswalks, by=by, behind=frozenset({by}), now=self.now,
                release=[item for item, _ in waiting] if may_release else [],
            )  # fmt: skip

        return self.on(work)

    def entries(self) -> list[tuple[str, str, str, str]]:
        rows = self.on(
            lambda c: c.fetch(
                "SELECT code, target, facility, changed_by FROM hilum.crosswalk_entry WHERE origin = 'steward'"
            )
        )
        return [tuple(row) for row in rows]

    def audit(self, action: str) -> list[dict[str, Any]]:
        rows = self.on(lambda c: c.fetch("SELECT entry FROM hilum.audit_entry ORDER BY shard, seq"))
        return [entry for row in rows if (entry := orjson.loads(row["entry"]))["action"] == action]

    def waits(self, cause: str, usd: str, detail: str = "", queue: str = "finance-master") -> int:
        found = work_items.Exceptional(queue, cause, cause, "Map it.", 24, f"c/post/{cause}", Decimal(usd), detail)
        return self.on(lambda c: work_items.join(c, found, now=self.now, actor="system:test"))


def centre(code: str, name: str, **more: Any) -> ToldRecord:
    return ToldRecord(object="cost_centre", code=code, name=name, **more)


def department(code: str, name: str, **more: Any) -> ToldRecord:
    return ToldRecord(object="department", code=code, name=name, **more)


def an_estate(root: Path) -> Estate:
    tables = root / "tables"
    tables.mkdir(parents=True)
    for name, rows in {
        "cost": "OR,CC-ORTHO,,,", "class": "HHP01,commercial,,,", "payee": "1234567893,ST-MARY,,,",
    }.items():  # fmt: skip
        (tables / f"{name}.csv").write_text(f"code,target,facility,valid_from,valid_to\n{rows}\n")
    estate = Estate(
        root, "office", time_zone="America/Chicago", facilities={"ST-MARY": "St. Mary", "HARBOR-VIEW": "Harbor View"}
    )
    for name, file, more in (
        ("department_to_cost_centre", "cost", {"codes": "department", "means": "cost_centre", "complete": True}),
        ("payer_to_class", "class", {"codes": "payer", "waits": ["UnknownPayer"], "waits_named": True}),
        (
            "payee_to_facility",
            "payee",
            {"codes": "provider", "means": "facility", "waits": ["UnknownPayee"], "two_people": True},
        ),
    ):
        estate.crosswalks[name] = CrosswalkSpec.model_validate(
            {"name": name, "file": f"tables/{file}.csv", "from": "ehr", "to": "erp", "owner": "finance", **more}
        )
    for name, system in {
        "department": "ehr",
        "cost_centre": "erp",
        "payer": "ehr",
        "provider": "ehr",
        "ledger_account": "erp",
    }.items():
        estate.master[name] = MasterSpec(name=name, owner_system=system, owner="finance", queue="master-data")
    return estate


@pytest.fixture
def office(database_url: str, tmp_path: Path) -> Iterator[Office]:
    estate = an_estate(tmp_path / "estate")

    async def load() -> None:
        pool = await open_pool(database_url)
        await Crosswalks(pool, lambda: NOON).sync_tables(estate)
        await pool.close()

    asyncio.run(load())
    yield Office(database_url, estate)


def test_a_mismatch_is_one_item_however_often_it_is_looked_at(office: Office) -> None:
    office.hears(centre("CC-ORTHO", "Orthopaedic theatres"), centre("CC-EYE", "Eye surgery"))
    office.hears(department("EYE", "Eye Surgery"), system="ehr")
    assert office.looks() == Looked(found=1, opened=1, mended=0, matched=0)
    assert office.looks() == Looked(found=1, opened=0, mended=0, matched=0)
    [item] = office.items()
    assert (item["queue"], item["owner"]) == ("master-data", "finance")
    assert item["title"] == "department to cost centre: EYE leads nowhere"
    [case] = office.on(lambda c: c.fetch("SELECT detail FROM hilum.work_item_case"))
    assert "It stops postings of all facilities" in case["detail"]
    assert "Proposed: CC-EYE (95%): the names are alike" in case["detail"]


def test_it_closes_by_itself_when_it_is_mended(office: Office) -> None:
    office.hears(centre("CC-ORTHO", "Orthopaedic theatres"), centre("CC-EYE", "Eye surgery"))
    office.hears(department("EYE", "Eye Surgery"), system="ehr")
    office.looks()

    async def by_hand(connection: asyncpg.Connection) -> None:
        await stewardship.set_entry(connection, "department_to_cost_centre", "EYE", "CC-EYE", by=DORA, now=NOON)

    office.on(by_hand)
    assert office.looks().mended == 1
    assert office.items() == [] and [i["state"] for i in office.items("resolved")] == ["resolved"]
    assert office.looks() == Looked(0, 0, 0, 0)


def test_accepting_writes_the_entry_under_the_stewards_name(office: Office) -> None:
    office.hears(centre("CC-EYE", "Eye surgery"), centre("CC-ORTHO", "Orthopaedic theatres"))
    office.hears(department("EYE", "Eye Surgery"), system="ehr")
    office.looks()
    done = office.accepts(office.only())
    assert (done.code, done.target) == ("EYE", "CC-EYE")
    assert office.entries() == [("EYE", "CC-EYE", "", DORA)]
    [accepted] = office.audit("master.accepted")
    assert accepted["actor"] == DORA and accepted["subject"] == "x/department_to_cost_centre/EYE"
    assert office.items() == [] and office.looks() == Looked(0, 0, 0, 0)


def test_what_waited_for_an_unknown_payer_goes_on_when_its_proposal_is_accepted(office: Office) -> None:
    office.hears(ToldRecord(object="payer", code="HHP01", name="Harbor Health Plan"), system="ehr")
    waiting = office.waits("UnknownPayer:HHP02", "1200.00", "HARBOR HEALTH PLAN")
    other = office.waits("UnknownPayer:AUTO", "5.00", "State Farm")
    office.looks()
    lines = {line.code: line for line in office.on(steward_decisions.open_mismatches)}
    assert (lines["HHP02"].proposed, lines["HHP02"].at_risk_usd) == ("commercial", Decimal("1200.00"))
    assert lines["AUTO"].proposed is None
    done = office.accepts(lines["HHP02"])
    assert done.released == ("c/post/UnknownPayer:HHP02",)
    states = {i["id"]: i["state"] for s in ("open", "released") for i in office.items(s)}
    assert states[waiting] == "released" and states[other] == "open"
    with pytest.raises(DecisionRefused, match="nothing is proposed"):
        office.accepts(lines["AUTO"])


def test_who_may_not_release_leaves_what_waited_to_those_who_may(office: Office) -> None:
    office.hears(ToldRecord(object="payer", code="HHP01", name="Harbor Health Plan"), system="ehr")
    waiting = office.waits("UnknownPayer:HHP02", "1200.00", "HARBOR HEALTH PLAN")
    office.looks()
    done = office.accepts(office.only(), may_release=False)
    assert (done.target, done.released) == ("commercial", ()) and [i["id"] for i in office.items()] == [waiting]
    assert office.looks() == Looked(0, 0, 0, 0)


def test_where_two_people_are_wanted_the_first_only_agrees(office: Office) -> None:
    office.hears(ToldRecord(object="provider", code="1999999984", attributes={"facility": "HARBOR-VIEW"}), system="ehr")
    office.waits("UnknownPayee:1999999984", "9.00")
    office.looks()
    line = office.only()
    assert office.accepts(line).target is None and office.entries() == []
    with pytest.raises(DecisionRefused, match="a second person"):
        office.accepts(line)
    assert office.entries() == [] and office.looks().found == 1
    assert office.accepts(line, by=OTTO).target == "HARBOR-VIEW"
    assert office.entries() == [("1999999984", "HARBOR-VIEW", "", OTTO)]
    assert [e["actor"] for e in office.audit("master.agreed")] == [DORA]


def test_an_agreement_is_to_one_proposal_and_not_to_the_next(office: Office) -> None:
    office.hears(ToldRecord(object="provider", code="1999999984", attributes={"facility": "HARBOR-VIEW"}), system="ehr")
    office.waits("UnknownPayee:1999999984", "9.00")
    office.looks()
    office.accepts(office.only())
    office.now += timedelta(hours=1)
    office.hears(ToldRecord(object="provider", code="1999999984", attributes={"facility": "ST-MARY"}), system="ehr")
    office.looks()
    line = office.only()
    assert line.proposed == "ST-MARY" and office.accepts(line, by=OTTO).target is None and office.entries() == []


def test_a_refused_proposal_is_not_made_again(office: Office) -> None:
    office.hears(centre("CC-ORTHO", "Orthopaedic theatres"), centre("CC-EYE", "Eye surgery"))
    office.hears(department("EYE", "Eye Surgery"), system="ehr")
    office.looks()
    line = office.only()
    office.on(lambda c: steward_decisions.reject(c, line, by=DORA, reason="another wing", now=NOON))
    assert office.looks().found == 1
    assert office.only().proposed is None and len(office.items()) == 1
    with pytest.raises(DecisionRefused, match="nothing is proposed"):
        office.accepts(line)


def test_what_a_person_skipped_stays_away_until_it_is_another_thing(office: Office) -> None:
    office.hears(centre("CC-ORTHO", "Orthopaedic theatres"))
    office.hears(department("EYE", "Eye"), system="ehr")
    office.looks()
    [item] = office.items()
    office.on(lambda c: work_items.skip(c, item["id"], now=NOON, actor=DORA, reason="closes next week"))
    office.looks()
    assert office.items() == []
    office.hears(centre("CC-EYE", "Eye"))
    office.looks()
    assert len(office.items()) == 1 and office.only().proposed == "CC-EYE"


def test_the_estate_may_let_exact_matches_count_without_a_person(office: Office) -> None:
    name = "department_to_cost_centre"
    office.estate.crosswalks[name] = office.estate.crosswalks[name].model_copy(update={"exact_matches": True})
    office.hears(centre("CC-ORTHO", "Orthopaedic theatres"), centre("EYE", "Eye surgery"), centre("PED", "Pediatrics"))
    office.hears(department("EYE", "Eye surgery"), department("PEDS", "Pediatrics"), system="ehr")
    assert office.looks() == Looked(found=1, opened=1, mended=0, matched=1)
    assert office.entries() == [("EYE", "EYE", "", "system:master-data")]
    assert (office.only().code, office.only().proposed) == ("PEDS", "PED")


def test_nothing_is_matched_without_a_person_otherwise(office: Office) -> None:
    office.hears(centre("CC-ORTHO", "Orthopaedic theatres"), centre("EYE", "Eye surgery"))
    office.hears(department("EYE", "Eye surgery"), system="ehr")
    assert office.looks().matched == 0 and office.entries() == [] and office.only().score == Decimal(1)


def test_a_target_outside_the_crosswalks_list_is_refused_and_nothing_is_done(office: Office) -> None:
    office.hears(centre("CC-ORTHO", "Orthopaedic theatres"), centre("CC-EYE", "Eye surgery"))
    office.hears(department("EYE", "Eye Surgery"), system="ehr")
    office.looks()
    office.on(lambda c: c.execute("UPDATE hilum.crosswalk SET targets = 'tables/x.csv:y'"))
    with pytest.raises(CrosswalkRefused):
        office.accepts(office.only())
    assert len(office.items()) == 1 and office.entries() == []


def test_half_a_list_waits_for_a_person_who_may_find_it_right(office: Office) -> None:
    office.hears(*(centre(f"CC-{n}", f"Centre {n}") for n in range(10)), complete="cost_centre")
    office.now += timedelta(days=1)
    half = Telling(
        number="erp/half", system="erp", said_at=office.now, records=(centre("CC-0", "Centre 0"),),
        complete=(Scope(object="cost_centre"),),
    )  # fmt: skip
    with pytest.raises(ListTooShort) as short:
        office.tells(half)
    assert short.value.cause == "erp/half" and "9 of 10 in use are not in it" in short.value.detail
    item = office.waits("ListTooShort:erp/half", "0", queue="master-data")

    async def accept(connection: asyncpg.Connection) -> None:
        number = await steward_decisions.too_short(connection, item)
        assert number == "erp/half"
        await steward_decisions.accept_list(connection, item, number, by=DORA, now=NOON)

    office.on(accept)
    assert office.tells(half).gone == 9 and office.items() == []
    assert office.audit("master.allowed")[0]["actor"] == DORA


def test_what_has_no_authority_is_refused_and_the_rest_is_taken(office: Office) -> None:
    with pytest.raises(NoAuthority) as without:
        office.hears(centre("CC-ORTHO", "Orthopaedic theatres"), department("EYE", "Eye"))
    assert without.value.cause == "department by erp: ehr owns it"
    rows = office.on(lambda c: c.fetch("SELECT object, code FROM hilum.master_version"))
    assert [tuple(row) for row in rows] == [("cost_centre", "CC-ORTHO")]


def test_the_watch_looks_when_something_changed_and_on_a_new_day(office: Office) -> None:
    async def run() -> list[int]:
        pool = await open_pool(office.url)
        watch = stewardship.Watch(pool, office.estate, clock=lambda: office.now)
        desk = MasterDesk(pool, office.estate, clock=lambda: office.now)
        seen = []

        async def looked() -> None:
            await watch.run_once()
            seen.append(await pool.fetchval("SELECT count(*) FROM hilum.master_mismatch WHERE state = 'open'"))

        async def hears(number: str, system: str, *records: ToldRecord) -> None:
            await desk.tell(Telling(number=number, system=system, said_at=office.now, records=records), key=number)

        await looked()
        await hears("1", "erp", centre("CC-ORTHO", "Orthopaedic theatres", valid_to=date(2026, 12, 31)))
        await looked()
        await pool.execute("UPDATE hilum.crosswalk_entry SET target = 'CC-ORTHOO' WHERE code = 'OR'")
        await looked()  # Nobody announced it: not looked at.
        office.now += timedelta(days=1)
        await looked()
        await pool.close()
        return seen

    assert asyncio.run(run()) == [0, 0, 0, 1]


def test_an_unposted_account_that_closes_says_how_much_waits_for_it(office: Office) -> None:
    (office.estate.root / "tables" / "posting_rules.csv").write_text(
        "rule,kind,reason,charge_class,facility,payer_class,debit,credit,cost_centre,valid_from,valid_to\n"
        "PAY,payment,,,,,1050,1200,,,\n"
    )

    async def staged(connection: asyncpg.Connection) -> None:
        await connection.execute(
            """INSERT INTO hilum.posting_source VALUES ('remittance/1', 'remittance', 'EFT-1', 'HHP01', '2026-11-20', 75, '\\x00', '\\x00', 1, now());
               INSERT INTO hilum.posting_journal (source, facility, total) VALUES ('remittance/1', 'ST-MARY', 75);
               INSERT INTO hilum.staged_entry (source, line, kind, facility, moved, debit, credit, rule)
               VALUES ('remittance/1', 'c1', 'payment', 'ST-MARY', 75, '1050', '1200', 'PAY')"""
        )  # fmt: skip

    office.on(staged)
    office.hears(
        ToldRecord(object="ledger_account", code="1050", name="In transit", valid_to=date(2026, 11, 30)),
        ToldRecord(object="ledger_account", code="1200", name="Receivables"),
    )
    office.looks()
    line = office.only()
    assert (line.code, line.from_day, line.at_risk_usd) == ("1050", date(2026, 12, 1), Decimal("75.00"))
    with pytest.raises(DecisionRefused):
        office.accepts(line)
