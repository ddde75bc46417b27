"""What does not fit is found before it stops anything, with the day, the reason and the match that is proposed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from hilum.authoring.estate import CrosswalkSpec
from hilum.authoring.estate_master import MasterSpec
from hilum.authoring.master import Telling, ToldRecord
from hilum.masterdata import registry
from hilum.masterdata.entries import CrosswalkEntry
from hilum.masterdata.mismatches import Mismatch, Picture, Waiting, mismatches
from hilum.masterdata.records import Records, Snapshot, Version
from hilum.model.posting import PostingRule

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
TODAY = NOON.date()
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
SPECS = {
    name: MasterSpec(name=name, owner_system=system, owner="finance", queue=f"{name}s", ends_within_days=30)
    for name, system in {
        "department": "ehr", "location": "ehr", "cost_centre": "erp", "ledger_account": "erp", "payer": "clearinghouse",
        "provider": "ehr",
    }.items()
}  # fmt: skip
FACILITIES = {"ST-MARY": "St. Mary Medical Center", "HARBOR-VIEW": "Harbor View Hospital"}


def crosswalk(name: str, **more: Any) -> CrosswalkSpec:
    return CrosswalkSpec.model_validate(
        {"name": name, "file": "t.csv", "from": "ehr", "to": "erp", "owner": "finance", **more}
    )


COST = crosswalk("department_to_cost_centre", codes="department", means="cost_centre", complete=True)
CLASS = crosswalk("payer_to_class", codes="payer", complete=True, waits=["UnknownPayer"], waits_named=True)
PAYEE = crosswalk("payee_to_facility", codes="provider", means="facility", waits=["UnknownPayee"])
STORES = crosswalk("department_to_location", codes="department", means="location")


def entry(code: str, target: str, facility: str = "", crosswalk: str = COST.name, **more: Any) -> CrosswalkEntry:
    return CrosswalkEntry(crosswalk, code, target, facility, **more)


def has(object: str, code: str, name: str = "", facility: str = "", at: datetime = LONG_AGO, **more: Any) -> Version:
    record = ToldRecord(object=object, code=code, name=name or None, facility=facility, **more)
    return registry._version(
        Telling(number="n", system=SPECS[object].owner_system, said_at=at, records=(record,)), record
    )


CENTRES = [
    has("cost_centre", "CC-ORTHO", "Orthopaedic theatres"), has("cost_centre", "CC-EYE", "Eye surgery"),
    has("cost_centre", "CC-GEN", "General surgery"),
]  # fmt: skip


def look(
    *versions: Version,
    entries: Sequence[CrosswalkEntry] = (),
    crosswalks: Sequence[CrosswalkSpec] = (COST,),
    snapshots: Sequence[Snapshot] = (),
    **more: Any,
) -> list[Mismatch]:
    picture = Picture(
        now=NOON, zone=UTC, facilities=FACILITIES, specs=SPECS, crosswalks={c.name: c for c in crosswalks}, entries=entries,
        records=Records(versions, snapshots, SPECS, UTC), queue="master-data", **more,
    )  # fmt: skip
    return mismatches(picture)


def test_what_fits_is_no_mismatch() -> None:
    assert look(*CENTRES, has("department", "OR"), entries=[entry("OR", "CC-ORTHO")]) == []


def test_before_an_owner_said_anything_nothing_is_unknown() -> None:
    assert look(entries=[entry("OR", "CC-ORTHO")], rules=[PostingRule("PAY", "payment", "1050", "1200")]) == []


def test_a_department_without_cost_centre_is_found_with_what_it_probably_means() -> None:
    [found] = look(*CENTRES, has("department", "EYE", "Eye Surgery", "HARBOR-VIEW"))
    assert (found.kind, found.code, found.facility, found.queue) == (
        "code_missing",
        "EYE",
        "HARBOR-VIEW",
        "departments",
    )
    assert found.from_day == TODAY and "It stops postings of HARBOR-VIEW" in found.why
    assert found.proposal is not None and found.proposal.target == "CC-EYE"


def test_an_entry_of_the_whole_network_is_enough_and_another_facilitys_is_not() -> None:
    eye = has("department", "EYE", "Eye", "HARBOR-VIEW")
    assert look(*CENTRES, eye, entries=[entry("EYE", "CC-EYE")]) == []
    assert [m.kind for m in look(*CENTRES, eye, entries=[entry("EYE", "CC-EYE", "ST-MARY")])] == ["code_missing"]


def test_a_code_of_the_network_may_have_an_entry_at_every_facility() -> None:
    both = [entry("EYE", "CC-EYE", "ST-MARY"), entry("EYE", "CC-GEN", "HARBOR-VIEW")]
    assert look(*CENTRES, has("department", "EYE"), entries=both) == []
    assert [m.code for m in look(*CENTRES, has("department", "EYE"), entries=both[:1])] == ["EYE"]


def test_a_department_that_opens_next_week_is_found_today() -> None:
    soon = has("department", "NICU", "Neonatal", at=NOON + timedelta(days=7))
    [found] = look(*CENTRES, soon)
    assert (found.code, found.from_day) == ("NICU", TODAY + timedelta(days=7))
    assert "It would stop postings of all facilities from 2026-11-28 on" in found.why
    assert look(*CENTRES, has("department", "FAR", at=NOON + timedelta(days=31))) == []


def test_a_department_out_of_use_needs_no_entry() -> None:
    assert (
        look(*CENTRES, has("department", "OLD"), has("department", "OLD", action="ended", at=NOON - timedelta(days=1)))
        == []
    )


def test_a_target_that_its_owner_does_not_know() -> None:
    [found] = look(*CENTRES, entries=[entry("EYE", "CC-EYES")])
    assert (found.kind, found.target) == ("target_unknown", "CC-EYES") and "erp has no cost centre CC-EYES" in found.why


@pytest.mark.parametrize(
    ("days", "found"), [(-3, TODAY), (10, TODAY + timedelta(days=10)), (30, TODAY + timedelta(days=30)), (31, None)]
)
def test_a_target_that_ends_is_found_as_long_before_as_the_estate_says(days: int, found: date | None) -> None:
    ends = has("cost_centre", "CC-EYE", action="ended", at=NOON + timedelta(days=days))
    seen = look(*CENTRES, ends, entries=[entry("EYE", "CC-EYE")])
    assert [m.from_day for m in seen] == ([found] if found is not None else [])
    assert all(m.kind == "target_ends" and m.target == "CC-EYE" for m in seen)


def test_the_last_day_of_a_record_is_one_of_its_own() -> None:
    centre = has("cost_centre", "CC-X", "Other", valid_to=TODAY + timedelta(days=9))
    [found] = look(centre, entries=[entry("X", "CC-X")])
    assert found.from_day == TODAY + timedelta(days=10)


def test_a_target_that_a_complete_list_lacks_has_ended() -> None:
    snapshots = [Snapshot("cost_centre", "", "erp", NOON - timedelta(days=1))]
    [found] = look(CENTRES[1], entries=[entry("EYE", "CC-EYE")], snapshots=snapshots)
    assert found.kind == "target_ends" and "has ended at erp" in found.why


def test_what_replaces_a_target_is_proposed_for_it() -> None:
    ends = has("cost_centre", "CC-EYE", action="ended", at=NOON + timedelta(days=10))
    new = has("cost_centre", "CC-800", "Ophthalmology", attributes={"replaces": "CC-EYE"})
    [found] = look(*CENTRES, ends, new, entries=[entry("EYE", "CC-EYE")])
    assert found.proposal is not None and (found.proposal.target, found.proposal.score) == ("CC-800", Decimal("0.98"))


def test_another_entry_from_that_day_on_mends_it() -> None:
    ends = has("cost_centre", "CC-EYE", action="ended", at=NOON + timedelta(days=10))
    successor = entry("EYE", "CC-GEN", valid_from=TODAY + timedelta(days=10), origin="steward")
    assert look(*CENTRES, ends, entries=[entry("EYE", "CC-EYE"), successor]) == []
    late = entry("EYE", "CC-GEN", valid_from=TODAY + timedelta(days=11), origin="steward")
    assert [m.from_day for m in look(*CENTRES, ends, entries=[entry("EYE", "CC-EYE"), late])] == [
        TODAY + timedelta(days=10)
    ]


def test_an_entry_that_ends_with_none_to_follow() -> None:
    ending = entry("EYE", "CC-EYE", valid_to=TODAY + timedelta(days=4))
    [found] = look(*CENTRES, entries=[ending])
    assert (found.kind, found.from_day) == ("entry_ends", TODAY + timedelta(days=5))
    assert found.proposal is not None and found.proposal.target == "CC-EYE"
    follows = entry("EYE", "CC-GEN", valid_from=TODAY + timedelta(days=5))
    assert look(*CENTRES, entries=[ending, follows]) == []
    closing = has("department", "EYE", valid_to=TODAY + timedelta(days=4))
    assert look(*CENTRES, closing, entries=[ending]) == []


def test_a_facilitys_store_is_never_proposed_for_another_facility() -> None:
    hbv = has("location", "HBV-OR", "Theatre store", "HARBOR-VIEW")
    spec = crosswalk(STORES.name, codes="department", means="location", complete=True)
    for facility, expected in (("ST-MARY", None), ("HARBOR-VIEW", "HBV-OR")):
        [found] = look(hbv, has("department", "OR", "Theatre store", facility), crosswalks=[spec])
        assert (found.proposal.target if found.proposal is not None else None) == expected


def test_a_payer_that_waits_is_found_with_its_dollars_and_the_class_of_its_like() -> None:
    known = has("payer", "HHP01", "Harbor Health Plan")
    [found] = look(
        known, crosswalks=[CLASS], entries=[entry("HHP01", "commercial", crosswalk=CLASS.name)],
        waiting=[Waiting(CLASS.name, "HHP02", "HARBOR HEALTH PLAN", Decimal("1200.00"))],
    )  # fmt: skip
    assert (found.code, found.at_risk_usd) == ("HHP02", Decimal("1200.00")) and "1200.00 USD wait for it" in found.why
    assert found.proposal is not None and found.proposal.target == "commercial"


def test_a_payee_is_of_the_facility_that_its_record_is_of() -> None:
    waiting = [Waiting(PAYEE.name, "1999999984", "", Decimal("9"))]
    [found] = look(has("provider", "1999999984", "HBV", "HARBOR-VIEW"), crosswalks=[PAYEE], waiting=waiting)
    assert found.facility == "" and found.proposal is not None and found.proposal.target == "HARBOR-VIEW"
    [network] = look(
        has("provider", "1999999984", attributes={"facility": "HARBOR-VIEW"}), crosswalks=[PAYEE], waiting=waiting
    )
    assert network.proposal is not None and network.proposal.target == "HARBOR-VIEW"


def test_two_codes_of_one_place_to_one_target_where_each_needs_its_own() -> None:
    spec = crosswalk(COST.name, codes="department", means="cost_centre", one_to_one=True)
    entries = [
        entry("EYE", "CC-EYE"),
        entry("OPH", "CC-EYE"),
        entry("EYE", "CC-GEN", "ST-MARY"),
        entry("OR", "CC-ORTHO"),
    ]
    [found] = look(*CENTRES, entries=entries, crosswalks=[spec])
    assert (found.kind, found.code) == ("shared_target", "CC-EYE") and "EYE, OPH lead to CC-EYE" in found.why


def test_names_that_differ_between_systems() -> None:
    spec = crosswalk(COST.name, codes="department", means="cost_centre", same_names=True)
    entries = [entry("EYE", "CC-EYE"), entry("OR", "CC-ORTHO")]
    versions = [*CENTRES, has("department", "EYE", "Pharmacy"), has("department", "OR", "Theatres, orthopedic")]
    [found] = look(*versions, entries=entries, crosswalks=[spec])
    assert (found.kind, found.code) == ("names_differ", "EYE")


RULES = [
    PostingRule("PAY", "payment", "1050", "1200"), PostingRule("CON", "contractual", "4900", "1200", facility="ST-MARY"),
    PostingRule("OLD", "denial", "1220", "1200", valid_to=TODAY - timedelta(days=1)),
]  # fmt: skip
CHART = [has("ledger_account", code, name, attributes={"postable": "yes"}) for code, name in (
    ("1050", "Remittances in transit"), ("1200", "Patient receivables"), ("4900", "Contractual allowances"),
)]  # fmt: skip


def test_an_account_that_closes_is_found_before_a_posting_breaks() -> None:
    ends = has("ledger_account", "1050", "Remittances in transit", valid_to=date(2026, 11, 30), at=NOON)
    new = has("ledger_account", "1055", "Remittances in transit (new)", attributes={"postable": "yes"})
    [found] = look(*CHART, ends, new, crosswalks=[], rules=RULES, unposted={"1050": Decimal("75.00")})
    assert (found.kind, found.subject, found.code) == ("rule_unpostable", "posting_rules", "1050")
    assert found.from_day == date(2026, 12, 1) and found.at_risk_usd == Decimal("75.00")
    assert (
        "needed by the posting rules PAY" in found.why
        and "stop postings of all facilities from 2026-12-01 on" in found.why
    )
    assert found.proposal is not None and found.proposal.target == "1055"


def test_a_rule_of_one_facility_stops_that_facility_alone() -> None:
    [found] = look(*CHART[:2], crosswalks=[], rules=RULES)
    assert (found.code, found.facility) == ("4900", "ST-MARY") and "It stops postings of ST-MARY" in found.why


def test_nothing_can_be_posted_to_an_account_that_only_sums_up() -> None:
    sums = has("ledger_account", "1200", "Receivables", attributes={"postable": "no"}, at=NOON)
    found = look(*CHART, sums, crosswalks=[], rules=RULES)
    assert {(m.code, m.facility) for m in found} == {("1200", ""), ("1200", "ST-MARY")}
    assert all("nothing can be posted to it" in m.why for m in found)


def test_a_rule_that_ends_before_its_account_is_no_mismatch() -> None:
    ends = has("ledger_account", "1050", valid_to=TODAY + timedelta(days=5), at=NOON)
    short = [PostingRule("PAY", "payment", "1050", "1200", valid_to=TODAY + timedelta(days=5))]
    assert look(*CHART, ends, crosswalks=[], rules=short) == []


def test_codes_of_the_estates_own_tables_are_held_against_their_owner() -> None:
    tables = {"cost_centre": {"CC-EYE": "Eye surgery", "CC-OLD": "Old wing", "CC-GEN": "Pharmacy"}}
    found = look(*CENTRES, crosswalks=[], tables=tables)
    assert {(m.kind, m.code) for m in found} == {("table_code", "CC-OLD"), ("names_differ", "CC-GEN")}


def test_a_refused_proposal_is_gone_and_the_mismatch_stays() -> None:
    [found] = look(
        *CENTRES, has("department", "EYE", "Eye Surgery"),
        rejected=frozenset({(COST.name, "EYE", "", "CC-EYE")}),
    )  # fmt: skip
    assert found.code == "EYE" and found.proposal is None


def test_an_entry_that_nobody_believes_any_more_is_no_mismatch() -> None:
    corrected = entry("EYE", "CC-EYE", origin="steward")
    assert look(*CENTRES, entries=[entry("EYE", "CC-EYES"), corrected]) == []
