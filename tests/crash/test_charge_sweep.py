"""The platform is killed on the way of charges, from the log to the journal, and every dollar stands in the ledger exactly once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import count

import pytest
from tests.crash.charging import YESTERDAY, Charging, charge
from tests.crash.payments import Payments, usd
from tests.crash.worlds import a_hospital

from hilum.store.postgres_server import EmbeddedPostgres
from hilum.testing.neighbours.tryton import Tryton

pytestmark = [pytest.mark.erp, pytest.mark.slow]

NORTH = "NORTH-POINT"  # The ERP is everybody's in a session: each module has charges at places of its own.
COLLECTING = ("collect.before_commit", "collect.after_commit")
POSTING = (
    "delivery.begun:stage_charges", "delivery.sent:stage_charges", "step.after:stage_charges", "delivery.sent:post_journal",
    "delivery.done:posted",
)  # fmt: skip


@pytest.fixture(scope="module")
def hospital(
    erp: Tryton, postgres: EmbeddedPostgres, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Charging]:
    place = tmp_path_factory.mktemp("charge-sweep")
    with (
        a_hospital(place, erp, postgres=postgres, template=migrated_template, faults=True, restart=False) as hospital,
        erp.desk() as desk,
    ):
        yield Charging(Payments(hospital, desk, count(1)), count(1))


def test_charges_are_collected_and_posted_once_wherever_the_worker_is_killed(hospital: Charging) -> None:
    platform = hospital.payments.hospital
    assert platform.supervisor is not None
    days = [YESTERDAY - timedelta(days=number) for number in range(len(COLLECTING) + len(POSTING))]
    for point, day in zip((*COLLECTING, *POSTING), days, strict=True):
        name = f"K-{day:%m%d}"
        lines = [charge(f"{name}-{n}", "10.00", service_on=day) for n in range(5)]
        lines.append(charge(f"{name}-0", "4.00", kind="CR", service_on=day))
        platform.supervisor.start_ahead("worker-1")  # Its successor loads meanwhile, and waits for the name.
        if point in COLLECTING:
            platform.dies_at(point)
        assert hospital.sends(*lines, facility=NORTH) == "AA"
        if point in POSTING:
            hospital.collected(f"ehr/{name}-4")
            platform.dies_at(point)
            hospital.night_falls()
        assert platform.died(seconds=120) == "worker-1", point
        platform.revives()
        hospital.collected(*(f"ehr/{name}-{n}" for n in range(5)), f"ehr/{name}-0/credit")
        if point in COLLECTING:
            hospital.night_falls()
        hospital.night_ends()
        assert hospital.payments.books(f"charges/{NORTH}/{day}/1") == {
            (NORTH, "1200"): usd("46.00"), (NORTH, "4140"): usd("-46.00"),
        }, point  # fmt: skip
    rows = platform.query("SELECT count(*) AS charges, sum(amount) AS amount FROM charge")[0]
    assert (rows["charges"], rows["amount"]) == (6 * len(days), usd("46.00") * len(days))
    entries = platform.query("SELECT count(*) AS entries, count(DISTINCT line) AS lines FROM staged_entry")[0]
    assert entries["entries"] == entries["lines"] == 6 * len(days)
    assert len(hospital.batches(NORTH)) == len(days)
    assert not platform.query("SELECT 1 FROM posting_journal WHERE number IS NULL")
    assert platform.hilum("audit", "verify")["whole"]
