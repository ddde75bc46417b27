"""Which entry answers: the facility's before the network's, the steward's before the table's, the latest first."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.masterdata.entries import STEWARD, TABLE, CrosswalkEntry, Snapshot, UnknownCrosswalk
from hilum.masterdata.export import export_rows

CHICAGO = ZoneInfo("America/Chicago")
NOON = datetime(2025, 6, 15, 17, tzinfo=UTC)


def entry(target, *, facility="", since=date.min, until=date.max, origin=TABLE, code="IMP-1"):
    return CrosswalkEntry("items", code, target, facility, since, until, origin)


JUNE, JULY = date(2025, 6, 1), date(2025, 7, 1)

ROWS = {
    "one entry answers": ([entry("KNEE-99")], "ST-MARY", "KNEE-99"),
    "a facility's own entry beats the network's": (
        [entry("NETWORK"), entry("MARY", facility="ST-MARY")],
        "ST-MARY",
        "MARY",
    ),
    "another facility has the network's": (
        [entry("NETWORK"), entry("MARY", facility="ST-MARY")],
        "HARBOR-VIEW",
        "NETWORK",
    ),
    "without a facility the network answers": ([entry("NETWORK"), entry("MARY", facility="ST-MARY")], "", "NETWORK"),
    "a facility's entry is nobody else's": ([entry("MARY", facility="ST-MARY")], "HARBOR-VIEW", None),
    "a steward beats the table": ([entry("TABLE"), entry("STEWARD", origin=STEWARD)], "ST-MARY", "STEWARD"),
    "a steward beats a later row of the table": (
        [entry("TABLE", since=JUNE), entry("STEWARD", origin=STEWARD)],
        "ST-MARY",
        "STEWARD",
    ),
    "the facility's table beats the network's steward": (
        [entry("TABLE", facility="ST-MARY"), entry("STEWARD", origin=STEWARD)],
        "ST-MARY",
        "TABLE",
    ),
    "what came into force last wins": (
        [entry("LATER", since=JUNE, origin=STEWARD), entry("EARLIER", origin=STEWARD)],
        "",
        "LATER",
    ),
    "what is not yet in force does not count": ([entry("TODAY"), entry("JULY", since=JULY)], "", "TODAY"),
    "what has ended does not count": (
        [entry("TABLE"), entry("STEWARD", origin=STEWARD, until=date(2025, 6, 14))],
        "",
        "TABLE",
    ),
    "the last day counts": ([entry("KNEE-99", until=date(2025, 6, 15))], "", "KNEE-99"),
    "the first day counts": ([entry("KNEE-99", since=date(2025, 6, 15))], "", "KNEE-99"),
    "another code is another code": ([entry("KNEE-99", code="IMP-2")], "", None),
}


@pytest.mark.parametrize("row", ROWS)
def test_precedence(row):
    entries, facility, expected = ROWS[row]
    for order in (entries, entries[::-1]):
        assert Snapshot(["items"], order, CHICAGO).lookup("items", "IMP-1", facility, NOON) == expected


def test_a_day_begins_in_the_estates_time_zone():
    snapshot = Snapshot(["items"], [entry("JULY", since=JULY)], CHICAGO)
    assert snapshot.lookup("items", "IMP-1", "", datetime(2025, 7, 1, 4, 59, tzinfo=UTC)) is None
    assert snapshot.lookup("items", "IMP-1", "", datetime(2025, 7, 1, 5, 0, tzinfo=UTC)) == "JULY"


def test_an_unknown_crosswalk_is_a_mistake_and_an_empty_one_is_not():
    snapshot = Snapshot(["items", "locations"], [entry("KNEE-99")], CHICAGO)
    assert snapshot.lookup("locations", "OR", "", NOON) is None
    with pytest.raises(KeyError) as raised:
        snapshot.lookup("itmes", "IMP-1", "", NOON)
    assert isinstance(raised.value, UnknownCrosswalk)
    assert str(raised.value) == "there is no crosswalk 'itmes'; the estate declares items, locations"


# --- a slow reading of the rules, against which any set of entries is held -----------------------------------------

DAYS = [date(2025, 1, 1) + timedelta(days=n) for n in range(10)]


@st.composite
def entries(draw):
    """Any entries that the database can hold: one for each code, facility, first day and origin."""
    found = {}
    for _ in range(draw(st.integers(0, 12))):
        since = draw(st.sampled_from([date.min, *DAYS]))
        until = draw(st.sampled_from([d for d in [*DAYS, date.max] if d >= since]))
        facility, origin = draw(st.sampled_from(["", "ST-MARY"])), draw(st.sampled_from([TABLE, STEWARD]))
        code, target = draw(st.sampled_from(["IMP-1", "IMP-2"])), draw(st.sampled_from(["A", "B", "C"]))
        found[(code, facility, since, origin)] = entry(
            target, facility=facility, since=since, until=until, origin=origin, code=code
        )
    return list(found.values())


def slowly(all_entries, code, facility, day):
    """The rules as sentences, one after the other."""
    in_force = [e for e in all_entries if e.code == code and e.valid_from <= day <= e.valid_to]
    own = [e for e in in_force if facility and e.facility == facility]
    candidates = own if own else [e for e in in_force if e.facility == ""]
    stewards = [e for e in candidates if e.origin == STEWARD]
    candidates = stewards if stewards else candidates
    return max(candidates, key=lambda e: e.valid_from).target if candidates else None


def at_noon(day):
    return datetime(day.year, day.month, day.day, 12, tzinfo=CHICAGO)


@settings(max_examples=200, deadline=None)
@given(entries())
def test_the_snapshot_reads_the_rules_as_they_are_written(all_entries):
    snapshot = Snapshot(["items"], all_entries, CHICAGO)
    for code in ("IMP-1", "IMP-2"):
        for facility in ("", "ST-MARY", "HARBOR-VIEW"):
            for day in DAYS:
                assert snapshot.lookup("items", code, facility, at_noon(day)) == slowly(
                    all_entries, code, facility, day
                )


@settings(max_examples=200, deadline=None)
@given(entries())
def test_what_is_exported_answers_every_look_up_as_before_and_never_twice(all_entries):
    rows = export_rows(all_entries)
    exported = [CrosswalkEntry("items", r.code, r.target, r.facility, r.valid_from, r.valid_to) for r in rows]
    before, after = Snapshot(["items"], all_entries, CHICAGO), Snapshot(["items"], exported, CHICAGO)
    for code in ("IMP-1", "IMP-2"):
        for facility in ("", "ST-MARY"):
            own = [r for r in rows if r.code == code and r.facility == facility]
            for day in [*DAYS, date(2020, 1, 1), date(2030, 1, 1)]:
                assert before.lookup("items", code, facility, at_noon(day)) == after.lookup(
                    "items", code, facility, at_noon(day)
                )
                assert sum(r.valid_from <= day <= r.valid_to for r in own) <= 1
