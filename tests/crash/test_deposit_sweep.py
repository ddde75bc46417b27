"""The platform is killed wherever a statement's money could be lost or doubled, and stands in the ledger exactly once."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest
from tests.crash.payments import KNEE, TODAY, Payments, usd
from tests.crash.worlds import a_hospital, until

from hilum.store.postgres_server import EmbeddedPostgres
from hilum.testing.bank import Credited, statement
from hilum.testing.neighbours.tryton import Tryton
from hilum.testing.remittances import PayerRemittance

pytestmark = [pytest.mark.erp, pytest.mark.slow]

# What every flow passes is swept with remittances; these are the cash desk's own, and the ledger's.
POINTS = (
    "delivery.begun:record", "delivery.sent:record", "step.after:record_lines", "delivery.sent:stage", "delivery.sent:post_journal",
    "delivery.done:posted",
)  # fmt: skip


@pytest.fixture(scope="module")
def payments(
    erp: Tryton, postgres: EmbeddedPostgres, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Payments]:
    place = tmp_path_factory.mktemp("deposit-sweep")
    with (
        a_hospital(place, erp, postgres=postgres, template=migrated_template, faults=True, restart=False) as hospital,
        erp.desk() as desk,
    ):
        yield Payments(hospital, desk, count(1))


def test_a_statement_is_posted_once_wherever_the_platform_is_killed(payments: Payments) -> None:
    hospital = payments.hospital
    assert hospital.supervisor is not None
    payments.drops(*(PayerRemittance(f"EFT-SWEPT-{n}", [KNEE], paid_on=TODAY) for n in range(len(POINTS))))
    inbox = hospital.data / "inbox"
    for number, point in enumerate(POINTS):
        moved = [
            Credited(f"BR-{number}", usd("1200.00"), trace=f"EFT-SWEPT-{number}"),
            Credited(f"FEE-{number}", usd("15.00"), "698"),
        ]
        hospital.supervisor.start_ahead("worker-1")  # Its successor loads meanwhile, and waits for the name.
        hospital.dies_at(point)
        (inbox / "bank" / f"statement-{number}.bai").write_bytes(
            statement(moved, account="88112200", day=TODAY, number=number)
        )
        assert hospital.died() == "worker-1", point
        hospital.revives()
        until(lambda: len(list((inbox / "bank.done").glob("*.bai"))) > number)  # noqa: B023 - called at once.
        hospital.settles()
        posted = usd("1200.00") * (number + 1)
        assert payments.deposited() == {
            ("ST-MARY", "1010"): posted, ("ST-MARY", "1050"): -posted,
        }, point  # fmt: skip
    states = hospital.query("SELECT state, count(*) AS n FROM cash_standing GROUP BY state")
    assert [(row["state"], row["n"]) for row in states] == [("matched", 2 * len(POINTS))]
    lines = hospital.query("SELECT count(*) AS n FROM bank_line")[0]["n"]
    assert (
        lines
        == 2 * len(POINTS)
        == hospital.query("SELECT count(*) AS n FROM staged_entry WHERE source LIKE 'deposits/%'")[0]["n"]
    )
    assert hospital.hilum("audit", "verify")["whole"]
