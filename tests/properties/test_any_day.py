"""Any day: whatever is sent twice, goes away, dies, is counted or mapped, in the end units and money agree.

The day is drawn by hypothesis and played on the real platform with the real ERP behind a bad line. The suite plays the same
few days every time; ``HILUM_DAYS=40`` plays so many others. A failing day is printed as the steps that led to it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import count

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from tests.properties.lakeshore_world import Usage, World

from hilum.testing.neighbours.faulty_proxy import Fault
from hilum.testing.neighbours.tryton import Tryton

_numbers = count(1)
indexes = st.integers(0, 10_000)


class Worlds:
    """The world in use, until a day fails in it."""

    def __init__(self, erp: Tryton, directories: pytest.TempPathFactory) -> None:
        self._erp = erp
        self._directories = directories
        self.world: World | None = None

    def get(self) -> World:
        if self.world is None:
            self.world = World(self._erp, self._directories.mktemp("any-day"))
        return self.world

    def throw_away(self) -> None:
        world, self.world = self.world, None
        if world is not None:
            world.close()


class AnyDay(RuleBasedStateMachine):
    """A day's steps, in any order."""

    worlds: Worlds

    @initialize()
    def opens(self) -> None:
        self.world = self.worlds.get()
        self.today: list[Usage] = []
        self.finished = False

    # --- what is used

    @rule(
        place=indexes, quantity=st.integers(1, 2), told_by=st.sampled_from(["ehr", "scanner", "both", "scanner first"])
    )
    def is_used(self, place: int, quantity: int, told_by: str) -> None:
        where = self.world.memory.places[place % len(self.world.memory.places)]
        self._used(Usage(f"{self.world.token}-{next(_numbers)}", where, where.code, quantity), told_by)

    @rule(told_by=st.sampled_from(["ehr", "scanner"]), known_code=indexes)
    def is_used_under_an_unknown_code(self, told_by: str, known_code: int) -> None:
        memory = self.world.memory
        screws = next(place for place in memory.places if place.item == "SCREW-3")
        if not memory.unmapped or known_code % 2:
            memory.unmapped.append(f"IMP-{self.world.token}-{next(_numbers)}")
        self._used(Usage(f"{self.world.token}-{next(_numbers)}", screws, memory.unmapped[-1], 1), told_by)

    def _used(self, usage: Usage, told_by: str) -> None:
        self.today.append(usage)
        self.world.memory.usages[usage.number] = usage
        if told_by.startswith("scanner"):
            self.world.scan(usage)
        if told_by != "scanner":
            self.world.charge(usage, control_id=f"C-{usage.number}")
        if told_by == "both":
            self.world.scan(usage)

    @precondition(lambda self: self.today)
    @rule(which=indexes, how=st.sampled_from(["the same message", "another message", "a scan"]))
    def is_told_again(self, which: int, how: str) -> None:
        usage = self.today[which % len(self.today)]
        if how == "a scan":
            self.world.scan(usage)
        else:
            suffix = "" if how == "the same message" else f"-{next(_numbers)}"
            self.world.charge(usage, control_id=f"C-{usage.number}{suffix}")

    @rule(what=st.sampled_from(["ehr", "stock", "refused"]))
    def is_replayed(self, what: str) -> None:
        self.world.replays(**({"status": "refused"} if what == "refused" else {"system": what}))

    # --- what goes wrong

    @rule(how=st.sampled_from([Fault.DOWN, Fault.BUSY, Fault.SLOW]))
    def the_erp_goes_away(self, how: Fault) -> None:
        self.world.line.mode = how

    @rule()
    def the_erp_returns(self) -> None:
        self.world.line.mode = Fault.NONE

    @rule(request=st.sampled_from([r"POST .*/account\.move", r"/post", r"POST .*/purchase\.purchase"]))
    def an_answer_of_the_erp_is_lost(self, request: str) -> None:
        self.world.line.fail(request, Fault.ANSWER_LOST)

    @rule(who=st.sampled_from(["inventory", "billing"]), how=st.sampled_from(["cut", "down", "busy"]))
    def a_neighbour_fails_twice(self, who: str, how: str) -> None:
        getattr(self.world.hospital, who).fault(how, requests=2, path="/movements" if who == "inventory" else "mllp")

    @rule(role=st.sampled_from(["worker-1", "worker-2", "intake-1"]))
    def a_process_is_killed(self, role: str) -> None:
        self.world.kill(role)

    @rule()
    def what_died_revives(self) -> None:
        self.world.revive()

    @rule()
    def the_database_is_killed(self) -> None:
        self.world.kill_database()

    # --- what people do

    @rule(place=indexes, on_hand=st.integers(0, 12))
    def a_shelf_is_counted(self, place: int, on_hand: int) -> None:
        self.world.count(self.world.memory.places[place % len(self.world.memory.places)], on_hand)

    @precondition(lambda self: self.world.memory.unmapped)
    @rule()
    def a_code_is_mapped(self) -> None:
        self.world.hospital.maps("charge_code_to_item", self.world.memory.unmapped.pop(), "SCREW-3")

    @rule()
    def what_waits_is_released(self) -> None:
        for number, *_ in self.world.hospital.work_queue():
            self.world.hospital.releases(number)

    # --- how it ends

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        try:
            self.world.put_right()
            self.world.books_agree()
        except BaseException:
            self.worlds.throw_away()
            raise


@pytest.fixture
def worlds(erp: Tryton, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worlds]:
    opened = Worlds(erp, tmp_path_factory)
    yield opened
    opened.throw_away()


@pytest.mark.erp
@pytest.mark.slow
def test_after_any_day_units_and_money_agree(worlds: Worlds) -> None:
    AnyDay.worlds = worlds
    days = int(os.environ.get("HILUM_DAYS", "5"))
    run_state_machine_as_test(
        AnyDay,
        settings=settings(
            max_examples=days,
            stateful_step_count=14,
            deadline=None,
            derandomize="HILUM_DAYS" not in os.environ,
            print_blob=True,
            # A day takes seconds: its steps are printed as they were, not searched for fewer.
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
    world = worlds.get()
    assert world.hospital.hilum("audit", "verify")["whole"]
