"""What senders of X12 get back: one acknowledgement for each interchange, true to what became of it, never lost or doubled."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from tests.sealing_parts import protection_for

from hilum.authoring.estate import Estate, SystemSpec
from hilum.authoring.estate_transfer import Answers
from hilum.formats import x12
from hilum.runtime.folder_door import FolderDoor
from hilum.runtime.intake import Intake
from hilum.runtime.reception import Reader
from hilum.runtime.x12_answers import X12Answers, answer, answers_sent
from hilum.security.sealing.protected import Protection
from hilum.store.partitions import ensure_partitions
from hilum.store.pool import open_pool
from hilum.testing.clock import StoppedClock
from hilum.testing.faults import Injected, failing
from hilum.testing.remittances import PaidClaim, PayerRemittance, interchange
from hilum.transports.folder import FolderOutbox

CLOCK = StoppedClock()
LAKESHORE = Path(__file__).parents[2] / "estates" / "lakeshore"


def remittance(trace: str = "EFT-1", number: int = 1) -> bytes:
    claim = PaidClaim("CLM-1", Decimal("100.00"), Decimal("100.00"), [])
    return interchange([PayerRemittance(trace, [claim])], control_number=number)


def said(data: bytes | None) -> dict[str, list[str]]:
    """The segments that carry the verdict, by name."""
    assert data is not None
    segments: dict[str, list[str]] = {}
    for segment in data.decode().replace("\n", "").split("~"):
        name, _, rest = segment.partition("*")
        segments.setdefault(name, []).append(rest)
    return segments


def verdict(raw: bytes, kind: str = "999", refused: str | None = None) -> dict[str, list[str]]:
    return said(answer(raw, kind, refused=refused, control_number=7, now=CLOCK()).data)


def without_an_address(raw: bytes) -> bytes:
    """The first transaction lacks a segment that its guide requires; its count is right."""
    shorter = raw.replace(b"N3*1 HARBOR PLAZA~\n", b"", 1)
    return re.sub(rb"SE\*(\d+)\*0001", lambda found: b"SE*%d*0001" % (int(found[1]) - 1), shorter)


# --- what is said ----------------------------------------------------------------------------------------------------


def test_what_was_taken_is_accepted_to_whom_it_came_from() -> None:
    found = verdict(remittance())
    assert found["AK9"] == ["A*1*1*1"] and found["IK5"] == ["A"] and found["AK1"] == ["HP*1*005010X221A1"]
    assert found["ISA"][0].split("*")[5].strip() == "LAKESHORE" and found["ISA"][0].split("*")[7].strip() == "HARBOR"
    assert found["ISA"][0].split("*")[12] == "000000007"


def test_what_was_taken_with_something_wrong_in_it_is_accepted_and_the_errors_are_told() -> None:
    broken = without_an_address(remittance())
    assert not [f for f in x12.parse(broken).envelope_findings if f.severity == "error"]
    found = verdict(broken)
    assert found["AK9"][0].startswith("E*1*1*1") and "IK3" in found


@pytest.mark.parametrize(
    ("refused", "code"),
    [("1: transaction set 835 is not taken from bank at ST01", "1"), ("207: InvalidData at TRN", "5")],
)
def test_what_was_refused_is_rejected_with_the_reason_though_its_syntax_is_good(refused: str, code: str) -> None:
    found = verdict(remittance(), refused=refused)
    assert found["IK5"] == [f"R*{code}"] and found["AK9"] == ["R*1*1*0"]


def test_an_interchange_that_was_cut_is_rejected_as_a_whole() -> None:
    cut = remittance().replace(b"IEA*1*000000001~", b"IEA*1*000000002~")
    found = verdict(cut, refused="001: the control numbers do not match")
    assert found["TA1"][0].split("*")[3] == "R" and "AK9" not in found


def test_where_one_transaction_is_refused_all_are_because_none_was_taken() -> None:
    two = interchange([PayerRemittance("EFT-1", []), PayerRemittance("EFT-2", [])], control_number=1)
    assert verdict(two, refused="207: InvalidData")["AK9"] == ["R*2*2*0"]
    found = verdict(without_an_address(two), refused="207: InvalidData")
    assert found["AK9"] == ["R*2*2*0"] and [each[0] for each in found["IK5"]] == ["R", "R"]


def test_a_ta1_says_that_the_interchange_has_come_and_no_more() -> None:
    found = verdict(remittance(), "ta1")
    assert found["TA1"] == ["000000001*260303*0600*A*000"] and "AK9" not in found


def test_acknowledgements_are_not_acknowledged() -> None:
    theirs = answer(remittance(), "999", refused=None, control_number=7, now=CLOCK()).data
    assert theirs is not None
    assert answer(theirs, "999", refused=None, control_number=8, now=CLOCK()).data is None
    assert b"AK9" not in (answer(theirs, "ta1", refused=None, control_number=8, now=CLOCK()).data or b"")
    ta1 = answer(remittance(), "ta1", refused=None, control_number=7, now=CLOCK()).data
    assert ta1 is not None and answer(ta1, "ta1", refused=None, control_number=8, now=CLOCK()).data is None


def test_what_names_no_sender_is_answered_to_nobody() -> None:
    assert answer(b"ISA*nonsense", "999", refused="022: ...", control_number=1, now=CLOCK()).data is None


# --- how it goes back ------------------------------------------------------------------------------------------------


@dataclass
class Desk:
    """A platform that takes files of the clearinghouse and answers into a folder."""

    pool: asyncpg.Pool
    protection: Protection
    estate: Estate
    door: FolderDoor
    place: Path
    files: list[int] = field(default_factory=list)

    async def takes(self, raw: bytes) -> str:
        self.files.append(1)
        status, *_ = await self.door.take("x12", raw, f"file:{len(self.files)}#1")
        return status

    async def works(self) -> None:
        """A new process answers until nothing is owed."""
        outbox = {"clearinghouse": FolderOutbox(self.place)}
        answers = X12Answers(self.pool, self.estate, self.protection, outbox, clock=CLOCK)
        while await answers.run_once():
            pass

    def lying(self) -> list[str]:
        return sorted(p.name for p in self.place.iterdir()) if self.place.exists() else []


def desk(url: str, place: Path, story: Callable[[Desk], Coroutine[Any, Any, None]], kind: str = "999") -> None:
    async def run() -> None:
        pool = await open_pool(url, min_size=1, max_size=6, application_name="test")
        async with pool.acquire() as connection:
            await ensure_partitions(connection, CLOCK().date())
        estate = Estate(Path("estate"), "lakeshore")
        estate.systems["clearinghouse"] = SystemSpec(name="clearinghouse", answers=Answers(x12=kind))
        protection = await protection_for(pool, None, CLOCK)
        taker = Intake(pool, protection, name="intake-1", clock=CLOCK)
        await taker.start()
        door = FolderDoor(pool, taker, Reader(estate), "clearinghouse", type_field="type")
        made = Desk(pool, protection, estate, door, place / "outbox")
        await made.works()  # From now on what comes is answered.
        try:
            await story(made)
        finally:
            await taker.stop()
            await pool.close()

    asyncio.run(run())


def test_each_interchange_has_its_own_answer_under_its_own_number(database_url: str, tmp_path: Path) -> None:
    async def story(at: Desk) -> None:
        for number in (1, 2):
            assert await at.takes(remittance(f"EFT-{number}", number)) == "refused"  # This estate maps no 835.
        await at.works()
        await at.works()
        assert at.lying() == ["clearinghouse-000000001-1-1.x12", "clearinghouse-000000002-1-2.x12"]
        found = [said((at.place / name).read_bytes()) for name in at.lying()]
        assert [each["AK1"] for each in found] == [["HP*1*005010X221A1"], ["HP*2*005010X221A1"]]
        assert {each["IK5"][0] for each in found} == {"R*1"}
        async with at.pool.acquire() as connection:
            [day] = await answers_sent(connection, first=date(2026, 3, 2), last=date(2026, 3, 2), zone="UTC")
        assert (day.sent, day.refused, day.on_the_way) == (2, 2, 0)
        entries = await at.pool.fetchval(
            "SELECT count(*) FROM audit_entry WHERE convert_from(entry, 'utf8') LIKE '%message.answered%'"
        )
        assert entries == 2

    desk(database_url, tmp_path, story)


@pytest.mark.parametrize("point", ["answers.before_commit", "answers.put", "answers.ready", "answers.shown"])
@pytest.mark.parametrize("collected", [False, True])
def test_an_answer_that_met_a_crash_is_there_once_also_when_the_partner_took_it_at_once(
    database_url: str, tmp_path: Path, point: str, collected: bool
) -> None:
    async def story(at: Desk) -> None:
        await at.takes(remittance())
        taken: list[str] = []
        with failing(point), pytest.raises(Injected):
            await at.works()
        if collected:
            for name in at.lying():
                if not name.startswith("."):
                    taken.append(name)
                    (at.place / name).unlink()
        await at.works()
        await at.works()
        assert taken + at.lying() == ["clearinghouse-000000001-1-1.x12"]

    desk(database_url, tmp_path, story)


def test_two_workers_answer_once(database_url: str, tmp_path: Path) -> None:
    async def story(at: Desk) -> None:
        for number in range(1, 8):
            await at.takes(remittance(f"EFT-{number}", number))
        await asyncio.gather(*(at.works() for _ in range(3)))
        await at.works()
        assert len(at.lying()) == 7 and not [name for name in at.lying() if name.startswith(".")]

    desk(database_url, tmp_path, story)


class SlowOutbox(FolderOutbox):
    """A disk that takes its time."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.reached, self.goes_on = asyncio.Event(), asyncio.Event()

    async def put(self, name: str, data: bytes) -> None:
        self.reached.set()
        await self.goes_on.wait()
        await super().put(name, data)


def test_a_slow_worker_does_not_repeat_what_another_delivered_meanwhile(database_url: str, tmp_path: Path) -> None:
    async def story(at: Desk) -> None:
        await at.takes(remittance())
        slow = SlowOutbox(at.place)
        desk = X12Answers(at.pool, at.estate, at.protection, {"clearinghouse": slow}, clock=CLOCK)
        working = asyncio.create_task(desk.run_once())
        await slow.reached.wait()
        await at.works()
        collected = at.lying()
        for name in collected:
            (at.place / name).unlink()
        slow.goes_on.set()
        await working
        await at.works()
        assert collected + at.lying() == ["clearinghouse-000000001-1-1.x12"]

    desk(database_url, tmp_path, story)


def test_an_outbox_that_cannot_be_written_keeps_what_is_owed(database_url: str, tmp_path: Path) -> None:
    async def story(at: Desk) -> None:
        at.place.write_bytes(b"a file in its place")
        await at.takes(remittance())
        await at.works()
        assert await at.pool.fetchval("SELECT state FROM x12_answer") == "made"
        at.place.unlink()
        await at.works()
        assert len(at.lying()) == 1

    desk(database_url, tmp_path, story)


def test_what_came_before_the_agreement_is_not_answered_and_other_formats_never_are(
    database_url: str, tmp_path: Path
) -> None:
    async def story(at: Desk) -> None:
        await at.door.take("json", b'{"type": "x"}', "file:9#1")
        await at.works()
        assert at.lying() == []
        assert await at.pool.fetchval("SELECT state FROM x12_answer") == "none"
        await at.pool.execute("TRUNCATE message_cursor, x12_answer")
        CLOCK.passes(seconds=1)
        await at.works()
        assert at.lying() == [] and await at.pool.fetchval("SELECT count(*) FROM x12_answer") == 0

    desk(database_url, tmp_path, story)
