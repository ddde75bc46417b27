"""The platform is killed at every point that a message passes, and what it asks for still happens exactly once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

import pytest
from tests.crash.worlds import Ledger, a_hospital, happened_once

from hilum.runtime.supervisor import Supervisor
from hilum.store.postgres_server import EmbeddedPostgres
from hilum.testing.hospital import Hospital
from hilum.testing.neighbours.tryton import Tryton

pytestmark = [pytest.mark.erp, pytest.mark.slow]

SHELF = ("STM-OR1", "KNEE-99")
KNEE_CODE = "IMP-1001"

# The sweep takes its points from a calm run. These must be among them, or the calm run went somewhere else.
LANDMARKS = {
    "intake.before_commit", "intake.after_commit", "dispatch.before_commit", "feed.after_commit", "case.claimed",
    "step.before:known_item", "step.after:contract_price", "step.after:replenish", "delivery.begun:take",
    "delivery.sent:order_replenishment", "delivery.sent:post_journal", "delivery.done:charge_usage", "case.finished",
}  # fmt: skip


@dataclass
class World:
    """A hospital whose knee shelf falls to its reorder point with every usage."""

    hospital: Hospital
    ledger: Ledger
    numbers: Iterator[int]

    @property
    def supervisor(self) -> Supervisor:
        assert self.hospital.supervisor is not None
        return self.hospital.supervisor

    def next_name(self) -> str:
        return f"SWEEP-{next(self.numbers)}"

    def goods_arrive(self, usage: str) -> None:
        """The next usage brings the shelf to its reorder point again."""
        self.hospital.receives(*SHELF, 1, receipt=f"RC-{usage}")

    def happened_once(self, usage: str) -> None:
        happened_once(self.hospital, self.ledger, usage)
        assert len(self.ledger.orders(*SHELF, f"RC-{usage}")) == 1, f"orders for the shelf that {usage} left low"

    def registered_once(self, account: str) -> None:
        [found] = [a for a in self.hospital.billing.ask("GET", "/accounts") if a["number"] == f"ACC-{account}"]
        assert found["history"] == ["A04"]

    def acknowledged(self) -> dict[str, object]:
        outcome = self.hospital.ehr.next_line(30)
        assert outcome["code"] == "AA"
        return outcome

    def stored(self, control_id: str) -> int:
        found = self.hospital.query("SELECT 1 FROM message WHERE control_id = $1 AND status <> 'refused'", control_id)
        return len(found)


@pytest.fixture(scope="module")
def world(
    erp: Tryton, postgres: EmbeddedPostgres, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    place = tmp_path_factory.mktemp("crash-sweep")
    with (
        a_hospital(place, erp, postgres=postgres, template=migrated_template, faults=True, restart=False) as hospital,
        erp.desk() as desk,
    ):
        hospital.shelf(*SHELF, on_hand=2, reorder_point=2, par=3)
        yield World(hospital, Ledger(desk), count(1))


def test_a_usage_happens_once_wherever_the_platform_is_killed(world: World) -> None:
    hospital = world.hospital
    calm = world.next_name()
    world.goods_arrive(calm)
    hospital.registers_later(calm)
    hospital.uses_later(calm, KNEE_CODE)
    world.acknowledged()
    world.acknowledged()
    hospital.settles()
    world.happened_once(calm)
    world.registered_once(calm)
    points = hospital.points_passed()
    assert set(points) >= LANDMARKS

    world.supervisor.start_ahead("worker-1")
    for point in points:
        usage = world.next_name()
        control_id = f"A{usage}" if point.startswith("feed.") else f"C{usage}"
        hospital.dies_at(point)
        if point.startswith("feed."):
            hospital.registers_later(usage)
        else:
            world.goods_arrive(usage)
            hospital.uses_later(usage, KNEE_CODE)
        role = hospital.died()
        assert role == ("intake-1" if point.startswith("intake.") else "worker-1"), point
        if role == "intake-1":
            # Killed before its commit it has nothing, killed after it has all: and nobody was told either way.
            assert world.stored(control_id) == (point == "intake.after_commit")
        hospital.revives()
        world.supervisor.start_ahead("worker-1")  # Its successor loads meanwhile, and waits for the name.
        outcome = world.acknowledged()
        assert (outcome["attempts"] > 1) == (role == "intake-1")
        assert world.stored(control_id) == (2 if point == "intake.after_commit" else 1)
        hospital.settles()
        if point.startswith("feed."):
            world.registered_once(usage)
        else:
            world.happened_once(usage)

    books = hospital.hilum("reconcile")
    assert books["reconciled"], books["differences"]
    usages = 1 + sum(not point.startswith("feed.") for point in points)
    assert [books[count] for count in ("facts", "units_taken", "journals", "orders", "charges")] == [usages] * 5
    assert hospital.hilum("audit", "verify")["whole"]
