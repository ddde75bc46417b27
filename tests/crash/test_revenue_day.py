"""A day at Lakeshore, made from a seed, on the whole platform and a real ERP of its own: every book says what the day's maker says.

The day is a fortieth of a real one (``benchmarks/revenue_day.py`` plays a whole one). The worker is killed in its middle.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import asyncpg
import pytest
from tests.crash.worlds import LAKESHORE, a_hospital
from tests.security.canary_parts import in_database_words, words_of

from hilum.runtime import closing
from hilum.runtime.closing import LINES, Period
from hilum.store.postgres_server import EmbeddedPostgres
from hilum.testing.neighbours.tryton import Tryton
from hilum.testing.neighbours.tryton_desk import Desk
from hilum.testing.neighbours.tryton_seed import ErpSeed
from hilum.testing.revenue_day import RevenueDay, make_revenue_day
from hilum.testing.revenue_day_books import RevenueBooks
from hilum.testing.revenue_day_play import RevenueDayPlay

pytestmark = [pytest.mark.erp, pytest.mark.slow]

# The clock's moments of the morning after are over in every zone of the country.
ON = datetime.now(UTC).date() - timedelta(days=2)
SIZE, SEED = 0.025, 7


@dataclass
class Played:
    """The day as it was played, once, and what its maker expects of it."""

    play: RevenueDayPlay
    day: RevenueDay
    books: RevenueBooks
    desk: Desk


@pytest.fixture(scope="module")
def played(
    postgres: EmbeddedPostgres, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Played]:
    place = tmp_path_factory.mktemp("revenue-day")
    day = make_revenue_day(SEED, on=ON, size=SIZE)
    # An ERP of its own: the day's ledger is compared as a whole.
    with (
        Tryton(ErpSeed.from_estate(LAKESHORE, today=datetime.now(UTC).date())) as erp,
        a_hospital(place, erp, postgres=postgres, template=migrated_template) as hospital,
        erp.desk() as desk,
        RevenueDayPlay(hospital, day) as play,
    ):
        play.opens(desk)
        hospital.insures(*day.members)
        play.whole_day(meanwhile=lambda: hospital.kill("worker-1"))
        yield Played(play, day, day.books(), desk)
        assert hospital.hilum("audit", "verify")["whole"]


def test_the_ledger_is_the_generators_to_the_cent_at_every_facility_and_cost_centre(played: Played) -> None:
    assert played.play.played.codes == {"AA": sum(each.by == "ehr" for each in played.day.arrivals)}
    assert played.play.refused() == []
    assert played.play.trial_balance(played.desk) == played.books.trial_balance
    facilities: dict[tuple[str, str], Decimal] = {}
    centres: dict[tuple[str, str], Decimal] = {}
    for key, sums in played.play.journals(played.desk).items():
        assert not sum(sums.values()), f"{key} does not balance"
        for (account, centre), amount in sums.items():
            at = key.rpartition("/")[2], account
            facilities[at] = facilities.get(at, Decimal(0)) + amount
            if account.startswith("41"):
                centres[centre, account] = centres.get((centre, account), Decimal(0)) + amount
    assert {at: amount for at, amount in facilities.items() if amount} == played.books.by_facility
    assert {at: amount for at, amount in centres.items() if amount} == played.books.by_cost_centre


def test_claims_deposits_and_work_stand_as_the_generator_says(played: Played) -> None:
    assert played.play.claims() == played.books.claims
    assert played.play.cash() == played.books.cash
    assert played.play.work() == played.books.work
    facts = played.play.facts()
    assert {name: facts[name] for name in played.books.facts} == played.books.facts
    [denials] = played.play.hospital.query(
        "SELECT count(*) AS found, sum(amount) AS usd FROM denial WHERE state = 'open'"
    )
    assert (denials["found"], denials["usd"]) == (played.books.denials, played.books.denied)


def test_books_agree_billing_has_all_of_it_and_the_close_has_the_generators_numbers(played: Played) -> None:
    assert played.play.hospital.query("SELECT * FROM book_difference WHERE closed_at IS NULL") == []
    compared = played.play.hospital.query("SELECT books, sum(compared) AS n FROM book_comparison GROUP BY books")
    assert {each["books"] for each in compared if each["n"]} >= {"staged-ledger", "ledger-foreign"}
    assert played.play.billed({each.service_on for each in played.day.charges}) == played.books.billed
    shown = played.play.checklist(f"{ON:%Y-%m}")
    for facility, lines in played.books.checklist.items():
        assert {name: shown[facility][name] for name in lines} == lines, facility
    held = [each for each in played.day.charges if not each.collects]
    assert sum(lines["charges-held"].count for lines in played.books.checklist.values()) == len(held) > 0


def test_the_same_day_once_more_changes_nothing(played: Played) -> None:
    play, desk = played.play, played.desk
    before = play.trial_balance(desk), play.journals(desk), play.facts(), play.claims(), play.cash(), play.work()
    play.whole_day()
    assert (
        play.trial_balance(desk), play.journals(desk), play.facts(), play.claims(), play.cash(), play.work()
    ) == before  # fmt: skip
    assert play.billed({each.service_on for each in played.day.charges}) == played.books.billed


def test_nobody_of_the_day_can_be_read_in_the_database_the_logs_or_at_the_terminal(played: Played) -> None:
    names = {value for each in played.day.encounters for value in (each.patient.mrn, each.patient.account)}
    names |= {claim.number for claim in played.day.claims} | {member["member"] for member in played.day.members}
    assert len(names) > 500
    hospital = played.play.hospital
    assert in_database_words(hospital.database_url, names) == {}
    logs = b"\n".join(path.read_bytes() for path in (hospital.data / "logs").rglob("*") if path.is_file())
    assert words_of(logs) & names == set()
    month = f"{ON:%Y-%m}"
    for command in (
        ("queue", "list"), ("status",), ("files",), ("close", "status", "--period", month), ("schedule", "list"),
    ):  # fmt: skip
        said = json.dumps(hospital.hilum(*command)).encode()
        assert words_of(said) & names == set(), command
    lists = hospital.on_database(_close_lists)
    assert len(lists) > 5 and words_of(json.dumps(lists).encode()) & names == set()


async def _close_lists(pool: asyncpg.Pool) -> list[str]:
    """Every record behind a number of the close, as people read it."""
    period, now = Period.of(ON), datetime.now(UTC)
    async with pool.acquire() as connection:
        return [
            f"{each.record} {each.detail}"
            for facility in ("ST-MARY", "HARBOR-VIEW", "NORTH-POINT")
            for line in LINES
            for each in await closing.records(connection, line, facility, period, now=now, limit=10_000)
        ]
