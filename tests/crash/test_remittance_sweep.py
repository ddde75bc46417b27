"""The platform is killed at every point that a remittance passes, and its money stands in the ledger exactly once."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest
from tests.crash.payments import DENIED, KNEE, TAKEN_BACK, TODAY, Payments, usd
from tests.crash.worlds import a_hospital, until

from hilum.store.postgres_server import EmbeddedPostgres
from hilum.testing.neighbours.tryton import Tryton
from hilum.testing.remittances import PayerRemittance

pytestmark = [pytest.mark.erp, pytest.mark.slow]

# The sweep takes its points from a calm run. These must be among them, or the calm run went somewhere else.
LANDMARKS = {
    "folder.claimed", "intake.before_commit", "intake.after_commit", "folder.before_receipt", "folder.moved",
    "dispatch.before_commit", "case.claimed", "step.before:must_balance", "step.after:stage_remittance",
    "delivery.begun:stage", "delivery.sent:stage", "delivery.begun:post_journal", "delivery.sent:post_journal",
    "delivery.done:posted", "case.finished",
}  # fmt: skip
BOOKS = {
    ("ST-MARY", "1050"): usd("1200.00") - usd("180.00") - usd("75.00"),
    ("ST-MARY", "1200"): -usd("1500.00") + usd("300.00") - usd("450.00"),
    ("ST-MARY", "1210"): usd("80.00"),
    ("ST-MARY", "1220"): usd("450.00"),
    ("ST-MARY", "2150"): usd("75.00"),
    ("ST-MARY", "4900"): usd("100.00"),
}


@pytest.fixture(scope="module")
def payments(
    erp: Tryton, postgres: EmbeddedPostgres, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Payments]:
    place = tmp_path_factory.mktemp("remittance-sweep")
    with (
        a_hospital(place, erp, postgres=postgres, template=migrated_template, faults=True, restart=False) as hospital,
        erp.desk() as desk,
    ):
        yield Payments(hospital, desk, count(1))


def remittance(name: str) -> PayerRemittance:
    return PayerRemittance(name, [KNEE, DENIED, TAKEN_BACK], paid_on=TODAY, moved=[("WO", usd("75.00"))])


def test_a_remittance_is_posted_once_wherever_the_platform_is_killed(payments: Payments) -> None:
    hospital = payments.hospital
    assert hospital.supervisor is not None
    payments.drops(remittance("SWEEP-0"))
    assert payments.books("remittance/HHP01/SWEEP-0") == BOOKS
    passed = hospital.points_passed()
    assert set(passed) >= LANDMARKS
    at_the_door = [point for point in passed if point.startswith(("intake.", "folder."))]
    points = at_the_door + [point for point in passed if point not in at_the_door]

    for number, point in enumerate(points, start=1):
        before = payments.ended()
        if point not in at_the_door:
            hospital.supervisor.start_ahead("worker-1")  # Its successor loads meanwhile, and waits for the name.
        hospital.dies_at(point)
        payments.drops_unseen(remittance(f"SWEEP-{number}"))
        role = hospital.died()
        assert role == ("intake-1" if point in at_the_door else "worker-1"), point
        hospital.revives()
        until(lambda: payments.ended() > before)  # noqa: B023 - called at once.
        hospital.settles()
        assert payments.books(f"remittance/HHP01/SWEEP-{number}") == BOOKS, point
        assert payments.state(f"HHP01/SWEEP-{number}") == "done", point

    rows = hospital.query("SELECT count(*) AS sources, sum(amount) AS paid FROM posting_source")
    assert (rows[0]["sources"], rows[0]["paid"]) == (len(points) + 1, (len(points) + 1) * usd("945.00"))
    assert not hospital.query("SELECT 1 FROM posting_journal WHERE number IS NULL")
    entries = hospital.query("SELECT count(*) AS entries FROM staged_entry")[0]["entries"]
    assert entries == (len(points) + 1) * 8
    facts = hospital.query("SELECT count(*) AS facts, count(DISTINCT source) AS sources FROM claim_fact")[0]
    assert (facts["facts"], facts["sources"]) == ((len(points) + 1) * 3, len(points) + 1)  # Three claims of each.
    assert hospital.hilum("audit", "verify")["whole"]
