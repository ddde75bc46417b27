"""The generated day is what the estate takes, and its books agree with themselves."""

from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest

from hilum.governance.loader import load_estate
from hilum.processes.implant_usage import ImplantUsed
from hilum.runtime.reception import Reader, Reception
from hilum.testing.day import Action, Day, make_day

LAKESHORE = Path(__file__).parents[2] / "estates" / "lakeshore"
TABLES = LAKESHORE / "tables"


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader(load_estate(LAKESHORE))


@pytest.fixture(scope="module", params=[1, 7, 2026])
def day(request: pytest.FixtureRequest) -> Day:
    return make_day(request.param, tables=TABLES)


def read(reader: Reader, action: Action) -> Reception:
    if action.actor == "inventory":
        return reader.json("stock", "webhook", "", action.message.encode(), "type")
    return reader.hl7("ehr", "mllp", "", action.message.encode())[0]


def test_the_same_seed_is_the_same_day_and_another_seed_is_not() -> None:
    assert make_day(7, tables=TABLES) == make_day(7, tables=TABLES)
    assert make_day(7, tables=TABLES).actions != make_day(8, tables=TABLES).actions


def test_the_estate_takes_every_message_but_the_malformed_one(reader: Reader, day: Day) -> None:
    for action in day.actions:
        problem = read(reader, action).problem
        assert (problem is None) == action.accepted, f"{problem}\n{action.message}"
    assert sum(not action.accepted for action in day.actions) == day.sent.refused == 1


def test_what_the_estate_reads_is_what_happened(reader: Reader, day: Day) -> None:
    usages = {usage.usage_id: usage for usage in day.usages}
    for action in day.actions:
        if not action.accepted or not action.usage_ids:
            continue
        events = [ImplantUsed.model_validate_json(event.payload) for event in read(reader, action).events]
        assert tuple(event.usage_id for event in events) == action.usage_ids
        for event in events:
            usage = usages[event.usage_id]
            assert event.charge_code is not None and event.charge_code.value == usage.charge_code
            assert event.quantity == usage.quantity
            assert (event.account.value, event.account.authority) == (usage.patient.account, usage.facility)
            assert (event.facility.value, event.department.value) == (usage.facility, usage.department)
            assert event.used_at == usage.at
            assert event.charge_usd == usage.charge_usd
            assert event.serial == (usage.device.serial if usage.device is not None else None)


def test_however_often_it_is_reported_a_usage_is_one_fact(reader: Reader, day: Day) -> None:
    known: set[bytes] = set()
    facts = reports = repeated = 0
    for action in day.actions:
        fresh = False
        for event in read(reader, action).events:
            new = not known.intersection(event.identities)
            known.update(event.identities)
            fresh |= new
            if event.type == "ImplantUsed":
                reports += 1
                facts += new
        repeated += action.accepted and not fresh

    assert (facts, reports, repeated) == (day.sent.facts, day.sent.usage_reports, day.sent.repeated)
    assert facts == len(day.usages) < reports


def test_a_day_has_everything_that_real_days_have(day: Day) -> None:
    waiting = {(w.failure, w.cause): w.cases for w in day.books().work_items}

    assert waiting == {
        ("UnknownItem", "IMP-2050"): 12,
        ("UnknownDepartment", "HYBRID at ST-MARY"): 2,
        ("NoContractPrice", "MESH-20"): 2,
        ("StockBelowZero", "PACER-2 at STM-CATH"): 2,
    }
    assert day.books().replenished
    assert {usage.facility for usage in day.usages} == {"ST-MARY", "HARBOR-VIEW", "NORTH-POINT"}
    assert any(len(action.usage_ids) == 2 for action in day.actions)
    assert {action.actor for action in day.actions if action.repeats} == {"ehr", "inventory"}
    assert list(day.actions) == sorted(day.actions, key=lambda action: action.at)


def test_units_and_money_of_the_books_are_those_of_the_usages(day: Day) -> None:
    books = day.books()
    taken = sum(p.on_hand for p in day.positions) - sum(books.on_hand.values())
    completed = [usage for usage in day.usages if usage.usage_id in books.charged]
    unpriced = [usage for usage in day.usages if usage.item == "MESH-20"]

    assert taken == sum(usage.quantity for usage in [*completed, *unpriced])
    prices = {p.item: p.contract_price_usd for p in day.catalogue.products.values()}
    assert books.total_cost_usd == sum((prices[u.item or ""] or Decimal(0)) * u.quantity for u in completed)
    assert min(books.on_hand.values()) >= 0


def test_every_exception_has_a_remedy_after_which_nothing_waits(day: Day) -> None:
    books = day.books(day.remedies())

    assert books.work_items == ()
    assert books.charged == {usage.usage_id for usage in day.usages}
    assert books.total_cost_usd > day.books().total_cost_usd


def test_patients_are_registered_before_and_leave_after_their_implants(day: Day) -> None:
    moves: dict[str, list[str]] = {}
    for action in day.actions:
        if action.actor == "ehr" and action.accepted and not action.repeats:
            lines = action.message.split("\r")
            account = lines[2].split("|")[18].split("^")[0]
            moves.setdefault(account, []).append(lines[0].split("|")[8].split("^")[1])

    kinds = Counter(first for first, *_ in moves.values())
    assert kinds == {"A04": day.sent.registrations}
    assert all("A03" not in told[:-1] for told in moves.values())


def test_every_control_id_is_one_message_and_fits_its_field(day: Day) -> None:
    messages: dict[str, str] = {}
    for action in day.actions:
        if action.actor == "ehr":
            assert messages.setdefault(action.control_id, action.message) == action.message
            assert len(action.control_id) <= 20


def test_a_day_too_short_for_its_exceptions_says_how_many_it_needs() -> None:
    with pytest.raises(ValueError, match="need 27"):
        make_day(1, usages=10, tables=TABLES)


def test_a_quiet_day_has_no_exceptions() -> None:
    day = make_day(
        3,
        usages=8,
        tables=TABLES,
        unknown_items=0,
        unmapped_departments=0,
        unpriced=0,
        overdrawn=0,
        pairs=0,
        malformed=0,
    )

    assert day.books().work_items == ()
    assert day.books().journals == 8
