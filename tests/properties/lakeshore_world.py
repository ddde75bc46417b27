"""One Lakeshore for many days: the hospital, a bad line to its ERP, and what its people remember of the day.

``Memory`` is kept by hand and never asks the platform: it knows what was used where and what each shelf was counted to.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg

from hilum.runtime import replay
from hilum.testing.hospital import ErpAddress, Hospital
from hilum.testing.neighbours.faulty_proxy import Fault, FaultyProxy
from hilum.testing.neighbours.tryton import Tryton

LAKESHORE = Path(__file__).parents[2] / "estates" / "lakeshore"
POLICY = {"timeout_seconds": 3, "attempts": 2, "backoff_seconds": 0.05, "breaker_open_seconds": 0.5}

PRICES = {"KNEE-99": Decimal("4810.00"), "SCREW-3": Decimal("38.15"), "STENT-12": Decimal("1249.75")}


@dataclass
class Place:
    """A shelf, with what its people know of it."""

    location: str
    item: str
    department: str
    code: str
    start: int
    reorder_point: int = 4
    adjusted: int = 0  # By counts, all together.
    taken_before: int = 0  # Up to the last count.
    order_due: bool = False


@dataclass(frozen=True)
class Usage:
    """One implant as it was used."""

    number: str
    place: Place
    code: str
    quantity: int


@dataclass
class Memory:
    """What happened, told by those to whom it happened."""

    places: list[Place]
    usages: dict[str, Usage] = field(default_factory=dict)
    unmapped: list[str] = field(default_factory=list)

    def expected_on_hand(self, place: Place, taken: int) -> int:
        return place.start + place.adjusted - taken


def until(what: Callable[[], bool], why: str, *, seconds: float = 40.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, f"after {seconds:g} s still not: {why}"
        time.sleep(0.05)


class World:
    """Opened once; thrown away and opened anew after a day whose books did not agree."""

    def __init__(self, erp: Tryton, directory: Path) -> None:
        self.token = secrets.token_hex(3).upper()
        self._stack = ExitStack()
        self.line = self._stack.enter_context(FaultyProxy(erp.base_url, delay_seconds=1.0))
        self.desk = self._stack.enter_context(erp.desk())
        address = ErpAddress(self.line.url, erp.database, erp.api_key)
        self.hospital = self._stack.enter_context(
            Hospital(directory, estate=LAKESHORE, erp=address, workers=2, policy=POLICY)
        )
        self.memory = Memory(
            [
                Place("STM-OR1", "KNEE-99", "OR", "IMP-1001", start=40),
                Place("STM-OR1", "SCREW-3", "OR", "IMP-1005", start=60),
                Place("STM-CATH", "STENT-12", "CATH", "IMP-1003", start=5),
            ]
        )
        for place in self.memory.places:
            self.hospital.shelf(
                place.location, place.item, on_hand=place.start, reorder_point=place.reorder_point, par=20, receipt=self.receipt
            )  # fmt: skip
        self._posted = 0

    @property
    def receipt(self) -> str:
        return f"RC-{self.token}"

    def close(self) -> None:
        self._stack.close()

    # --- what people and machines do

    def charge(self, usage: Usage, *, control_id: str) -> None:
        """The EHR sends a charge; its answer is heard later."""
        self.hospital.uses_later(
            usage.number, usage.code, quantity=usage.quantity, department=usage.place.department, control_id=control_id
        )
        self._posted += 1

    def scan(self, usage: Usage) -> None:
        self.hospital.scans(usage.number, usage.code, quantity=usage.quantity, department=usage.place.department)

    def everything_is_answered(self) -> None:
        """Every sender has got its yes, now that all processes are back."""
        self.revive()
        while self._posted:
            until(self._heard_one, "the EHR was answered", seconds=60)
        self.hospital.reported(seconds=40)

    def _heard_one(self) -> bool:
        self.watch()
        try:
            outcome = self.hospital.ehr.next_line(0.2)
        except RuntimeError as silence:
            if "said nothing" not in str(silence):
                raise
            return False
        assert outcome["code"] == "AA", outcome
        self._posted -= 1
        return True

    def watch(self) -> None:
        """Let the supervisor look once: it starts again what died."""
        assert self.hospital.supervisor is not None
        self.hospital.supervisor.watch()

    def kill(self, role: str) -> None:
        assert self.hospital.supervisor is not None
        [found] = [r for r in self.hospital.supervisor.roles if r.name == role]
        if found.process is not None and found.process.poll() is None:
            self.hospital.kill(role)

    def revive(self) -> None:
        until(self._all_alive, "all processes run")

    def _all_alive(self) -> bool:
        self.watch()
        assert self.hospital.supervisor is not None
        return all(r.process is not None and r.process.poll() is None for r in self.hospital.supervisor.roles)

    def kill_database(self) -> None:
        """kill -9 of the server's main process, which is the parent of every other."""
        [writer] = self.hospital.query("SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'")
        parent = int(Path(f"/proc/{writer['pid']}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill(parent, signal.SIGKILL)
        until(self._database_answers, "the database is back")

    def _database_answers(self) -> bool:
        self.watch()
        try:
            self.hospital.query("SELECT 1")
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False
        return True

    def replays(self, **selection: Any) -> None:
        async def work(pool: asyncpg.Pool) -> None:
            async with pool.acquire() as connection:
                await replay.request(
                    connection, replay.Selection(**selection), dry_run=False, rate_per_second=500,
                    actor="person:analyst", reason="a property", now=datetime.now(UTC),
                )  # fmt: skip

        self.hospital.on_database(work)

    # --- shelves

    def taken(self, place: Place) -> int:
        """What was taken from a shelf by the inventory platform's own book, each usage at most once."""
        total = 0
        for usage in self.memory.usages.values():
            if usage.place is place:
                moves = self.hospital.movements(usage.number)
                assert len(moves) <= 1, f"{usage.number} was taken {len(moves)} times"
                total += usage.quantity if moves else 0
        return total

    def count(self, place: Place, on_hand: int) -> None:
        """Somebody counts a shelf while nothing moves on it, and first finds what the day should have left there."""
        self.everything_is_answered()
        until(lambda: self._still(place), f"everything used from {place.location} {place.item} was taken or waits")
        self._close_period(place)
        found = self.hospital.on_hand(place.location, place.item)
        place.adjusted += on_hand - found
        self.hospital.counts(place.location, place.item, on_hand)

    def _close_period(self, place: Place) -> None:
        """Between two counts a shelf only falls: if it ends low and something was taken, an order is due."""
        taken = self.taken(place)
        found = self.hospital.on_hand(place.location, place.item)
        assert found == self.memory.expected_on_hand(place, taken), f"{place.location} {place.item}"
        if taken > place.taken_before and found <= place.reorder_point:
            place.order_due = True
        place.taken_before = taken

    def _still(self, place: Place) -> bool:
        self.watch()
        wanted = [u.number for u in self.memory.usages.values() if u.place is place]
        rows = self.hospital.query(
            "SELECT id, state, step FROM flow_case WHERE id = ANY($1)", [f"implant_usage/{n}" for n in wanted]
        )
        states = {r["id"].partition("/")[2]: r["state"] for r in rows}
        return all(
            states.get(n) in ("done", "waiting", "stopped") or (n in states and self.hospital.movements(n))
            for n in wanted
        )

    # --- the end of the day

    def put_right(self) -> None:
        """Everything is back, every exception gets its remedy and is released, until nothing waits and nothing moves."""
        self.line.mode = Fault.NONE
        self.everything_is_answered()
        for _ in range(6):
            self.hospital.settles(seconds=60)
            items = self.hospital.work_queue()
            if not items:
                break
            assert {queue for _, queue, _, _ in items} <= {"item-master", "inventory-control"}, items
            for code in self.memory.unmapped:
                self.hospital.maps("charge_code_to_item", code, "SCREW-3")
            self.memory.unmapped.clear()
            for place in self.memory.places:
                self.count(place, 60)
            for number, *_ in items:
                self.hospital.releases(number)
        until(self._replayed, "every replay has ended")
        cases = self.hospital.settles(seconds=60)
        assert set(cases) <= {"done"}, cases
        assert self.hospital.work_queue() == []

    def _replayed(self) -> bool:
        self.watch()
        open_jobs = self.hospital.query("SELECT count(*) AS n FROM replay_job WHERE state IN ('queued', 'running')")
        return bool(open_jobs[0]["n"] == 0)

    def books_agree(self) -> None:
        """Three books against memory, and then the platform's own comparison."""
        usages = self.memory.usages
        facts = [json.loads(e["payload"]) for e in self.hospital.events() if e["type"] == "ImplantUsed"]
        assert sorted(f["usage_id"] for f in facts) == sorted(usages)
        for place in self.memory.places:
            self._close_period(place)
            of_place = sum(u.quantity for u in usages.values() if u.place is place)
            assert place.taken_before == of_place, f"units taken from {place.location} {place.item}"
        assert self._ledger() == {u.number: u.quantity * PRICES[u.place.item] for u in usages.values()}
        charged = sorted(c["usage_id"] for c in self.hospital.charges())
        assert charged == sorted(usages)
        for place in self.memory.places:
            reference = f"replenish/{place.location}/{place.item}/{self.receipt}"
            orders = self.desk.search("purchase.purchase", [("reference", "=", reference)])
            assert len(orders) == int(place.order_due), f"orders for {place.location} {place.item}"
        books = self.hospital.hilum("reconcile")
        assert books["reconciled"], books["differences"]

    def _ledger(self) -> dict[str, Decimal]:
        """What the ERP's own people find posted, by usage; two journals of one usage would be twice its cost."""
        prefix = f"implant_usage/{self.token}-"
        moves = self.desk.search("account.move", [("description", "like", f"{prefix}%")])
        posted: dict[str, Decimal] = {}
        for move in self.desk.read("account.move", moves, ["description", "state", "lines"]):
            usage = move["description"].split("/")[1]
            assert move["state"] == "posted", f"a draft of {usage} was left behind"
            lines = self.desk.read("account.move.line", move["lines"], ["debit", "credit"])
            assert sum(line["debit"] for line in lines) == sum(line["credit"] for line in lines)
            posted[usage] = posted.get(usage, Decimal(0)) + sum((line["debit"] for line in lines), Decimal(0))
        return posted
