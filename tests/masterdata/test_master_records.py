"""A master record is what its owner said, in the owner's own time, whatever the order in which it arrived."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import permutations

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hilum.authoring.estate_master import MasterSpec
from hilum.authoring.master import Scope, Taken, Telling, ToldRecord
from hilum.masterdata import registry
from hilum.masterdata.records import MasterRecord, Records, Snapshot, Version, fold
from hilum.store.pool import open_pool

MONDAY = datetime(2026, 3, 2, 6, tzinfo=UTC)
SPECS = {
    "cost_centre": MasterSpec(name="cost_centre", owner_system="erp", most_gone_percent=50),
    "location": MasterSpec(name="location", owner_system="ehr", facilities={"NORTH-POINT": "stock"}),
}


def day(number: int) -> datetime:
    return MONDAY + timedelta(days=number)


def eye(action: str = "stated", **given: object) -> ToldRecord:
    return ToldRecord.model_validate({"object": "cost_centre", "code": "CC-EYE", "action": action, **given})


def said(at: datetime, *records: ToldRecord, complete: bool = False, system: str = "erp") -> Telling:
    number = f"{system}/{at.isoformat()}/{len(records)}/{'all' if complete else 'some'}"
    scopes = (Scope(object="cost_centre"),) if complete else ()
    return Telling(number=number, system=system, said_at=at, records=records, complete=scopes)


def told(url: str, *tellings: Telling) -> list[Taken]:
    async def work() -> list[Taken]:
        pool = await open_pool(url)
        try:
            found = []
            for telling in tellings:
                async with pool.acquire() as connection, connection.transaction():
                    found.append(await registry.take(connection, telling, SPECS, now=MONDAY))
            return found
        finally:
            await pool.close()

    return asyncio.run(work())


def known(url: str) -> Records:
    async def work() -> Records:
        pool = await open_pool(url)
        try:
            async with pool.acquire() as connection:
                return await registry.read_records(connection, SPECS, UTC)
        finally:
            await pool.close()

    return asyncio.run(work())


def record(url: str, at: datetime, code: str = "CC-EYE") -> MasterRecord | None:
    return known(url).find("cost_centre", code, "", at)


# Name, what is said on which day, and what is so on day 5: (name, in use).
EVENTS: dict[str, tuple[list[tuple[int, ToldRecord]], tuple[str, bool] | None]] = {
    "added": ([(0, eye(name="Eye surgery"))], ("Eye surgery", True)),
    "added, then renamed": ([(0, eye(name="Eye")), (1, eye("updated", name="Eye surgery"))], ("Eye surgery", True)),
    "updated without a name keeps it": (
        [(0, eye(name="Eye")), (1, eye("updated", attributes={"kind": "theatre"}))], ("Eye", True),
    ),
    "ended": ([(0, eye(name="Eye")), (1, eye("ended"))], ("Eye", False)),
    "an update does not bring back what ended": (
        [(0, eye(name="Eye")), (1, eye("ended")), (2, eye("updated", name="Eyes"))], ("Eyes", False),
    ),
    "ended and resumed": ([(0, eye(name="Eye")), (1, eye("ended")), (2, eye("resumed"))], ("Eye", True)),
    "stated anew after its end": ([(0, eye(name="Eye")), (1, eye("ended")), (2, eye(name="Eye 2"))], ("Eye 2", True)),
    "its end is still to come": ([(0, eye(name="Eye")), (9, eye("ended"))], ("Eye", True)),
    "updated before anybody said it was there": ([(1, eye("updated", name="Eye"))], ("Eye", True)),
    "ended before anybody said it was there": ([(1, eye("ended"))], ("", False)),
    "nothing that counts by then": ([(9, eye(name="Eye"))], None),
}  # fmt: skip


@pytest.mark.parametrize("name", EVENTS)
def test_what_an_owner_says_comes_to_one_record_in_every_order(name: str) -> None:
    events, expected = EVENTS[name]
    for order in permutations(events):
        found = fold([version(at, each) for at, each in order], (), day(5))
        assert (None if found is None else (found.name, found.active)) == expected


def version(at: int, record: ToldRecord) -> Version:
    return registry._version(said(day(at), record), record)


def test_attributes_are_merged_and_taken_away_one_by_one() -> None:
    first = version(0, eye(attributes={"kind": "theatre", "floor": "2"}))
    second = version(1, eye("updated", attributes={"floor": None, "wing": "B"}))
    found = fold([second, first], (), day(2))
    assert found is not None and dict(found.attributes) == {"kind": "theatre", "wing": "B"}


def test_a_late_version_changes_the_past_and_not_the_present(database_url: str) -> None:
    told(database_url, said(day(3), eye(name="Eye surgery")), said(day(1), eye(name="Ophthalmology")))
    now, then = record(database_url, day(4)), record(database_url, day(2))
    assert now is not None and now.name == "Eye surgery"
    assert then is not None and then.name == "Ophthalmology"


def test_the_same_list_every_night_adds_nothing(database_url: str) -> None:
    nights = [said(day(night), eye(name="Eye"), complete=True) for night in range(5)]
    taken = told(database_url, *nights, *nights)
    assert [each.news for each in taken] == [1, *[0] * 9]
    assert len(versions(database_url)) == 1


def test_what_a_complete_list_lacks_is_out_of_use_and_never_deleted(database_url: str) -> None:
    both = (eye(name="Eye"), eye(code="CC-GEN", name="General"))
    told(database_url, said(day(0), *both, complete=True), said(day(1), both[0], complete=True))
    gone, stays = record(database_url, day(2), "CC-GEN"), record(database_url, day(2))
    assert gone is not None and gone.ended_at == day(1) and gone.name == "General"
    assert stays is not None and stays.active
    [taken] = told(database_url, said(day(2), *both, complete=True))
    back = record(database_url, day(3), "CC-GEN")
    assert taken.news == 1 and back is not None and back.active


def test_half_a_list_is_not_applied_until_a_person_finds_it_right(database_url: str) -> None:
    codes = [eye(code=f"CC-{n}", name=f"Centre {n}") for n in range(10)]
    half = said(day(1), *codes[:4], eye(code="CC-NEW"), complete=True)
    [_, refused] = told(database_url, said(day(0), *codes, complete=True), half)
    assert refused.news == refused.gone == 0
    assert refused.too_short == (
        "cost_centre: 6 of 10 in use are not in it (CC-4, CC-5, CC-6, CC-7, CC-8); at most 50 % may be",
    )
    assert len(versions(database_url)) == 10

    async def allow() -> None:
        connection = await asyncpg.connect(database_url, server_settings={"search_path": "hilum"})
        await registry.allow(connection, half.number, by="person:dora", now=MONDAY)
        await connection.close()

    asyncio.run(allow())
    [taken] = told(database_url, half)
    assert (taken.news, taken.gone, taken.too_short) == (1, 6, ())


def test_exactly_as_much_as_may_be_gone_is_applied(database_url: str) -> None:
    codes = [eye(code=f"CC-{n}") for n in range(10)]
    [_, taken] = told(database_url, said(day(0), *codes, complete=True), said(day(1), *codes[:5], complete=True))
    assert (taken.gone, taken.too_short) == (5, ())


def test_who_has_no_authority_is_not_mixed_in(database_url: str) -> None:
    [taken] = told(database_url, said(day(0), eye(name="Stock's idea of it"), complete=True, system="stock"))
    assert taken.refused == ("cost_centre by stock: erp owns it",) and taken.news == 0
    assert record(database_url, day(1)) is None and not known(database_url).told("cost_centre")


def test_a_facility_with_an_authority_of_its_own_hears_nobody_else(database_url: str) -> None:
    def store(name: str, facility: str = "") -> ToldRecord:
        return ToldRecord(object="location", code="OR-STORE", facility=facility, name=name)

    of_ehr = Telling(
        number="ehr/1", system="ehr", said_at=day(0), records=(store("Network"), store("Not theirs", "NORTH-POINT"))
    )
    of_stock = Telling(number="stock/1", system="stock", said_at=day(0), records=(store("North", "NORTH-POINT"),))
    [first, second] = told(database_url, of_ehr, of_stock)
    assert first.refused == ("location of NORTH-POINT by ehr: stock owns it",) and not second.refused
    records = known(database_url)
    at = {place: records.find("location", "OR-STORE", place, day(1)) for place in ("ST-MARY", "NORTH-POINT")}
    assert {place: found.name for place, found in at.items() if found} == {"ST-MARY": "Network", "NORTH-POINT": "North"}
    assert records.find("location", "ELSEWHERE", "NORTH-POINT", day(1)) is None


def test_the_networks_record_does_not_count_where_a_facility_has_another_authority(database_url: str) -> None:
    network = ToldRecord(object="location", code="OR-STORE", name="Network")
    told(database_url, Telling(number="ehr/1", system="ehr", said_at=day(0), records=(network,)))
    assert known(database_url).find("location", "OR-STORE", "NORTH-POINT", day(1)) is None


def test_what_was_said_cannot_be_changed_or_removed(database_url: str) -> None:
    told(database_url, said(day(0), eye(name="Eye")))

    async def attack(sql: str) -> None:
        connection = await asyncpg.connect(database_url)
        try:
            await connection.execute(sql)
        finally:
            await connection.close()

    for sql in (
        "UPDATE hilum.master_version SET name = 'Other'",
        "UPDATE hilum.master_version SET again_at = again_at - interval '1 day'",
        "DELETE FROM hilum.master_version",
        "TRUNCATE hilum.master_version",
    ):
        with pytest.raises(asyncpg.RestrictViolationError):
            asyncio.run(attack(sql))


def versions(url: str) -> Sequence[asyncpg.Record]:
    async def work() -> Sequence[asyncpg.Record]:
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetch("SELECT * FROM hilum.master_version")
        finally:
            await connection.close()

    return asyncio.run(work())


CODES = ("CC-A", "CC-B", "CC-C")


@st.composite
def tellings(draw: st.DrawFn) -> list[Telling]:
    """A few things an owner says on different days, complete lists among them."""
    found = []
    for at in draw(st.lists(st.integers(0, 8), min_size=2, max_size=5, unique=True)):
        complete = draw(st.booleans())
        codes = draw(st.lists(st.sampled_from(CODES), min_size=1, max_size=3, unique=True))
        actions = ("stated",) if complete else ("stated", "updated", "ended", "resumed")
        records = [
            eye(draw(st.sampled_from(actions)), code=code, name=draw(st.sampled_from((None, "One", "Two"))))
            for code in codes
        ]
        found.append(said(day(at), *records, complete=complete))
    return found


@given(told_in=tellings(), data=st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_records_of_today_are_the_same_in_whatever_order_things_are_told(
    database_url: str, told_in: list[Telling], data: st.DataObject
) -> None:
    generous = {"cost_centre": MasterSpec(name="cost_centre", owner_system="erp", most_gone_percent=100)}

    async def in_order(order: Sequence[Telling]) -> list[tuple[str, str, bool]]:
        connection = await asyncpg.connect(database_url, server_settings={"search_path": "hilum, public"})
        transaction = connection.transaction()
        await transaction.start()
        try:
            for telling in order:
                await registry.take(connection, telling, generous, now=MONDAY)
            records = await registry.read_records(connection, generous, UTC)
            return [(r.code, r.name, r.active) for r in records.at("cost_centre", day(9))]
        finally:
            await transaction.rollback()
            await connection.close()

    shuffled = data.draw(st.permutations(told_in))
    twice = [*shuffled, *data.draw(st.permutations(told_in))]
    by_time = sorted(told_in, key=lambda telling: telling.said_at)
    expected = asyncio.run(in_order(by_time))
    assert asyncio.run(in_order(shuffled)) == expected
    assert asyncio.run(in_order(twice)) == expected


def test_a_record_is_in_force_on_its_own_days_alone() -> None:
    found = fold([version(0, eye(valid_from=date(2026, 3, 4), valid_to=date(2026, 3, 6)))], (), day(0))
    assert found is not None
    assert [found.in_force(date(2026, 3, d)) for d in (3, 4, 6, 7)] == [False, True, True, False]


def test_a_list_of_another_system_ends_nothing() -> None:
    found = fold([version(0, eye(name="Eye"))], [Snapshot("cost_centre", "", "stock", day(1))], day(2))
    assert found is not None and found.active
