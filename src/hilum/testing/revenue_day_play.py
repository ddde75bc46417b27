"""Plays a revenue day to a hospital's platform through its real doors, and reads what came of it in everybody's books."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import asyncpg

from hilum.processes.patient_to_cash.cash import CashDue
from hilum.processes.patient_to_cash.charge_posting import ChargesDue
from hilum.processes.patient_to_cash.claim_watch import ClaimsAgeingDue
from hilum.processes.patient_to_cash.reconciliation import ComparisonDue
from hilum.runtime import closing
from hilum.testing.hospital import Hospital, NotSettled
from hilum.testing.neighbours.launch import SimulatedEhr
from hilum.testing.neighbours.tryton_desk import Desk
from hilum.testing.revenue_day import RevenueDay
from hilum.testing.revenue_day_arrivals import FOLDERS, Arrival
from hilum.testing.revenue_day_books import Checked
from hilum.testing.revenue_day_catalogue import HOSPITALS

_UNDER_WAY = 200
"""So many messages of a facility are handed over before the first one's acknowledgement is looked at."""
_OF_THE_CLOCK = tuple(each.type_name() for each in (ChargesDue, CashDue, ClaimsAgeingDue, ComparisonDue))
_FILES = (".x12", ".835", ".csv", ".bai")


@dataclass
class Played:
    """What became of what was sent: acknowledgements by code, and how long each part took."""

    codes: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, float] = field(default_factory=dict)

    @contextlib.contextmanager
    def timed(self, part: str) -> Iterator[None]:
        begun = time.perf_counter()
        yield
        self.seconds[part] = self.seconds.get(part, 0.0) + time.perf_counter() - begun


class RevenueDayPlay:
    """One hospital's day, which must lie at least two days back: a moment of the clock is not taken in before it comes. Each facility's EHR sends on a connection of its own, in order; files are dropped as they come."""

    def __init__(self, hospital: Hospital, day: RevenueDay, *, patience_seconds: float = 120.0) -> None:
        self.hospital, self.day = hospital, day
        self.played = Played()
        self._patience = patience_seconds
        self._nights = 0
        self._opening: dict[str, Decimal] = {}
        self._ehrs = {
            each.code: SimulatedEhr(
                hospital.directory, to=hospital.mllp_address, name=f"ehr-{each.code.lower()}", ack_timeout_seconds=5.0
            )
            for each in HOSPITALS
        }
        for folder in FOLDERS.values():
            (self._inbox / folder).mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> RevenueDayPlay:
        for ehr in self._ehrs.values():
            ehr.start()
        return self

    def __exit__(self, *_: object) -> None:
        for ehr in self._ehrs.values():
            ehr.stop()

    # --- what happens

    def whole_day(self, *, meanwhile: Callable[[], None] | None = None) -> None:
        """The day, the night that posts it, the morning, and another night. Afterwards everything is looked at that is due.

        ``meanwhile`` happens in the middle of the day.
        """
        self.sends(self.day.of(morning=False), meanwhile=meanwhile)
        self.night()
        self.sends(self.day.of(morning=True))
        self.night()
        self.looks()

    def sends(self, arrivals: Sequence[Arrival], *, meanwhile: Callable[[], None] | None = None) -> None:
        """All of it in its order, and wait until it was taken in and every case rests. ``meanwhile`` happens in its middle."""
        with self.played.timed("taken in"):
            before = self._ended()
            files = self._hand_over(arrivals, meanwhile)
            self._until(lambda: self._ended() >= before + files, "files to be taken in")
        with self.played.timed("worked through"):
            self._rests()

    def night(self) -> None:
        """What the clock does after midnight: charges are gathered and posted. Another night of the same day is a minute later."""
        self._nights += 1
        self._clock("charges posted", charges_due=f"{self.day.on + timedelta(days=1)}T02:{self._nights:02}")

    def looks(self) -> None:
        """What the clock does after a while: what waits too long is told, claims age, books are compared."""
        after = self.day.on + timedelta(days=1)
        self._clock("looked at", cash_due=f"{after}T06:15", claims_ageing=f"{after}T06:{9 + self._nights:02}")
        self._clock("compared", comparison_due=f"{after}T06:{20 + self._nights:02}")

    # --- what can be read

    def opens(self, desk: Desk) -> None:
        """What the ledger has before the day is not of the day."""
        self._opening = self.trial_balance(desk)

    def trial_balance(self, desk: Desk) -> dict[str, Decimal]:
        """The ERP's own: debits less credits of each account from posted entries, since ``opens``."""
        accounts = desk.search("account.account", [("code", "!=", None), ("type", "!=", None)])
        found = desk.read("account.account", accounts, ["code", "balance"], posted=True)
        opening = self._opening
        return {
            each["code"]: moved for each in found if (moved := each["balance"] - opening.get(each["code"], Decimal(0)))
        }

    def journals(self, desk: Desk) -> dict[str, dict[tuple[str, str], Decimal]]:
        """Every journal that was posted under a key (source and facility): (account, cost centre) to debits less credits."""
        moves = desk.search("account.move", [("state", "=", "posted"), ("description", "like", "%/%")])
        names = {each["id"]: each["description"] for each in desk.read("account.move", moves, ["description"])}
        lines = desk.read(
            "account.move.line", desk.search("account.move.line", [("move", "in", moves)]),
            ["move", "account.code", "debit", "credit", "analytic_lines"],
        )  # fmt: skip
        analytic = [each for line in lines for each in line["analytic_lines"]]
        centres = {
            each["id"]: each["account."]["code"]
            for each in desk.read("analytic_account.line", analytic, ["account.code"])
        }
        found: dict[str, dict[tuple[str, str], Decimal]] = {}
        for line in lines:
            sums = found.setdefault(names[line["move"]], {})
            centre = centres[line["analytic_lines"][0]] if line["analytic_lines"] else ""
            at = line["account."]["code"], centre
            sums[at] = sums.get(at, Decimal(0)) + line["debit"] - line["credit"]
        return found

    def claims(self) -> Counter[tuple[str, str]]:
        rows = self.hospital.query("SELECT facility, state, count(*) AS n FROM claim GROUP BY facility, state")
        return Counter({(row["facility"], row["state"]): row["n"] for row in rows})

    def cash(self) -> Counter[tuple[str, str]]:
        rows = self.hospital.query("SELECT side, state, count(*) AS n FROM cash_standing GROUP BY side, state")
        return Counter({(row["side"], row["state"]): row["n"] for row in rows})

    def work(self) -> Counter[str]:
        """Open work items by kind of cause."""
        rows = self.hospital.query("SELECT cause FROM work_item WHERE state = 'open'")
        return Counter(row["cause"].partition(":")[0] for row in rows)

    def checklist(self, period: str) -> dict[str, dict[str, Checked]]:
        """The close's, by facility and line: what `hilum close status` shows to whom policies let see it."""

        async def work(pool: asyncpg.Pool) -> dict[str, dict[str, Checked]]:
            async with pool.acquire() as connection:
                month, now = closing.Period.named(period), datetime.now(UTC)
                found = [await closing.checklist(connection, each.code, month, now=now) for each in HOSPITALS]
            return {
                each.facility: {line.name: Checked(line.count, line.amount_usd) for line in each.lines}
                for each in found
            }

        return self.hospital.on_database(work)

    def billed(self, days: Iterable[date]) -> dict[str, Decimal]:
        """What billing has charged, less credits, for services of these days, by facility."""
        token = (self.hospital.data / "secrets" / "billing-api-token").read_text()
        found: dict[str, Decimal] = {}
        for day in days:
            answer = self.hospital.billing.ask("GET", f"/api/charge-totals?day={day}", token=token)
            for each in answer["totals"]:
                found[each["facility"]] = found.get(each["facility"], Decimal(0)) + Decimal(each["amount"])
        return found

    def facts(self) -> dict[str, int]:
        """How many rows there are of what is only ever added."""
        names = (
            "charge", "claim", "claim_fact", "claim_batch", "claim_file_answer", "bank_line", "cash_advice", "denial",
            "staged_entry", "posting_source", "posting_journal", "patient_account", "charge_batch", "coverage_answer",
            "work_item",
        )  # fmt: skip
        counts = ", ".join(f"(SELECT count(*) FROM {name}) AS {name}" for name in names)
        [row] = self.hospital.query(f"SELECT {counts}")
        kinds = self.hospital.query("SELECT kind, count(*) AS n FROM posting_source GROUP BY kind")
        events = self.hospital.query(
            "SELECT type, count(*) AS n FROM event WHERE NOT (type = ANY($1)) GROUP BY type", list(_OF_THE_CLOCK)
        )
        return {
            **row, **{f"{each['kind']} staged": each["n"] for each in kinds}, **{each["type"]: each["n"] for each in events},
        }  # fmt: skip

    # --- how it is done

    @property
    def _inbox(self) -> Any:
        return self.hospital.data / "inbox"

    def _hand_over(self, arrivals: Sequence[Arrival], meanwhile: Callable[[], None] | None) -> int:
        under_way = Counter[str]()
        files = 0
        for number, each in enumerate(arrivals):
            if meanwhile is not None and number == len(arrivals) // 2:
                meanwhile()
            if each.by != "ehr":
                files += 1
                place = self._inbox / FOLDERS[each.by] / each.name
                part = self._inbox / f"{each.name}.part"
                part.write_bytes(each.data)
                part.rename(place)
                continue
            self._ehrs[each.facility].post(each.data.decode())
            under_way[each.facility] += 1
            if under_way[each.facility] >= _UNDER_WAY:
                self._outcome(each.facility)
                under_way[each.facility] -= 1
        for facility, count in under_way.items():
            for _ in range(count):
                self._outcome(facility)
        return files

    def _outcome(self, facility: str) -> None:
        self.played.codes[self._ehrs[facility].next_line(self._patience)["code"]] += 1

    def _ended(self) -> int:
        return sum(
            1
            for folder in FOLDERS.values()
            for end in ("done", "refused")
            for each in (self._inbox / f"{folder}.{end}").glob("*")
            if each.suffix in _FILES
        )

    def refused(self) -> list[str]:
        """Files that were refused."""
        places = [each for folder in FOLDERS.values() for each in (self._inbox / f"{folder}.refused").glob("*")]
        return sorted(each.name for each in places if each.suffix in _FILES)

    def _clock(self, part: str, **moments: str) -> None:
        """Have schedules done for moments of the estate's time, and wait for all that follows."""
        with self.played.timed(part):
            for schedule, at in moments.items():
                self.hospital.hilum("schedule", "run", schedule, "--at", at)
            waiting = (
                "SELECT 1 FROM schedule_moment WHERE name = ANY($1) AND asked_by <> 'system:clock' AND taken_at IS NULL"
            )
            self._until(lambda: not self.hospital.query(waiting, list(moments)), f"{', '.join(moments)} to be taken up")
            self._rests()

    def _rests(self) -> None:
        """Nothing can move any more, and whoever reads the log has read all of it."""
        self.hospital.settles(seconds=self._patience)
        self._until(self._all_read, "all events to be read")
        self.hospital.settles(seconds=self._patience)

    def _all_read(self) -> bool:
        [row] = self.hospital.query(
            """SELECT coalesce(sum(s.event_seq - c.seq), 0)::bigint AS unread
                 FROM intake_shard s JOIN consumer_cursor c ON c.shard = s.shard AND c.seq < s.event_seq"""
        )
        return not row["unread"]

    def _until(self, what: Callable[[], bool], name: str) -> None:
        deadline = time.monotonic() + self._patience
        while not what():
            if self.hospital.supervisor is not None and self.hospital.supervisor.restart:
                self.hospital.supervisor.watch()
            if time.monotonic() > deadline:
                raise NotSettled(f"within {self._patience:g} s it did not come to {name}")
            time.sleep(0.1)
