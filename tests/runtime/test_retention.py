"""What is past its days leaves with a certificate; what is held, in use or a fact stays."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from tests.sealing_parts import protection_for
from tests.tower.lakeshore_day import dft
from tests.tower.lakeshore_day import lakeshore as read_lakeshore

from hilum.audit.access import Access, AccessLog
from hilum.audit.lineage import search
from hilum.audit.sequencer import Sequencer
from hilum.audit.signing import Signer
from hilum.audit.verify import verify_database
from hilum.authoring.caller import Caller
from hilum.authoring.estate import Estate
from hilum.authoring.estate_evidence import RetentionSpec
from hilum.runtime import legal_holds
from hilum.runtime.intake import Intake
from hilum.runtime.key_keeping import KeyKeeping
from hilum.runtime.legal_holds import HoldRefused, LegalHold
from hilum.runtime.purge_certificates import PurgeCertificate, certificates
from hilum.runtime.reception import Problem, Reader, Reception
from hilum.runtime.retention import Retention
from hilum.security.sealing.protected import Protection
from hilum.store.partitions import ensure_partitions, partitions
from hilum.store.pool import open_pool
from hilum.store.sealed import Shredded
from hilum.testing.clock import StoppedClock

MARCH_2 = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def lakeshore() -> Estate:
    """The reference estate, read once; each test gets a copy whose settings it may change."""
    return replace(_read())


@cache
def _read() -> Estate:
    return read_lakeshore()


class House:
    """A database that takes in usages on days of its own choosing, and purges them later."""

    def __init__(self, pool: asyncpg.Pool, protection: Protection, keys: Path) -> None:
        self.pool = pool
        self.protection = protection
        self.clock = StoppedClock(MARCH_2)
        self.estate = lakeshore()
        self.signer = Signer.open(keys)
        self.sequencer = Sequencer(pool, self.signer, self.clock, heads_file=keys / "heads.jsonl")
        self.intake = Intake(pool, protection, name="intake-1", clock=self.clock)
        self.reader = Reader(self.estate)
        self.retention = Retention(pool, self.estate, self.signer, protection.sealer.keyring, clock=self.clock)

    async def takes(
        self, *usages: str, at: datetime = MARCH_2, facility: str = "ST-MARY", account: str = ""
    ) -> list[str]:
        self.clock.at = at
        async with self.pool.acquire() as connection:
            await ensure_partitions(connection, at.date(), days_ahead=1)
        found = []
        for usage in usages:
            raw = dft(f"MSG-{usage}", usage, "IMP-1001", "6200.00").replace(b"ST-MARY", facility.encode())
            if account:
                raw = raw.replace(b"ACC-100100", account.encode())
            reception = self.reader.hl7("ehr", "mllp", "10.20.0.7", raw)[0]
            found.append((await self.intake.submit(reception, lambda r: r)).subject)
        return found

    async def takes_rubbish(self, at: datetime) -> str:
        self.clock.at = at
        reception = Reception.refused("ehr", "mllp", "10.20.0.7", b"GET /", Problem("207", "no HL7", "MSH", True))
        return str((await self.intake.submit(reception, lambda r: r)).subject)

    async def purges(self, after: timedelta = timedelta(days=91)) -> list[PurgeCertificate]:
        """Let time pass after the second of March, purge, and give what was certified by it, the oldest first."""
        before = {c.id for c in await self.certificates()}
        self.clock.at = MARCH_2 + after
        await self.retention.run_once()
        return [c for c in reversed(await self.certificates()) if c.id not in before]

    async def certificates(self) -> list[PurgeCertificate]:
        async with self.pool.acquire() as connection:
            return await certificates(connection)

    async def holds(self, **what: Any) -> int:
        async with self.pool.acquire() as connection:
            return await legal_holds.place(
                connection, reason="Rivera v. Lakeshore", actor="person:ana", now=self.clock(), **what
            )

    async def lifts(self, number: int, actor: str) -> LegalHold:
        async with self.pool.acquire() as connection:
            return await legal_holds.lift(connection, number, reason="settled", actor=actor, now=self.clock())

    async def stored(self, table: str) -> list[str]:
        letter = table[0]
        rows = await self.pool.fetch(f"SELECT shard, seq FROM {table} ORDER BY shard, seq")
        return [f"{letter}/{r['shard']}/{r['seq']}" for r in rows]

    async def verifies(self) -> Any:
        await self.sequencer.run_once()
        return await verify_database(self.pool, public_key=self.signer.public_key, protection=self.protection)

    async def raw(self, seq: int) -> bytes:
        value = await self.pool.fetchval("SELECT raw FROM message WHERE seq = $1", seq)
        return await self.protection.opened(value, f"message.raw/1/{seq}")


Story = Callable[[House], Awaitable[None]]


@pytest.fixture
def tell(database_url: str, tmp_path: Path) -> Callable[[Story], None]:
    def told(story: Story) -> None:
        async def work() -> None:
            async with await open_pool(database_url, min_size=1, max_size=6) as pool:
                house = House(pool, await protection_for(pool, lakeshore(), StoppedClock(MARCH_2)), tmp_path / "audit")
                await house.intake.start()
                try:
                    await story(house)
                finally:
                    await house.intake.stop()

        asyncio.run(work())

    return told


def test_a_day_past_its_retention_leaves_with_a_signed_certificate(tell: Callable[[Story], None]) -> None:
    async def story(house: House) -> None:
        await house.takes("U-1", "U-2")
        await house.takes("U-3", at=MARCH_2 + timedelta(days=3))
        digests = await house.pool.fetch("SELECT digest FROM message WHERE seq <= 2 ORDER BY seq")
        (certificate,) = await house.purges()
        said = certificate.fields
        assert (certificate.rule, certificate.rows, certificate.held_rows) == ("messages", 4, 0)
        assert (said["day"], said["before"], said["kept_days"]) == ("2026-03-02", "2026-03-03", 90)
        message = next(t for t in said["tables"] if t["table"] == "message")
        from hashlib import sha256

        expected = sha256(b"".join(r["digest"] for r in digests)).hexdigest()
        assert message["ranges"] == [{"shard": 1, "first": 1, "last": 2, "rows": 2, "sha256": expected}]
        assert certificate.is_signed_by(house.signer.public_key)
        assert await house.stored("message") == ["m/1/3"] and await house.stored("event") == ["e/1/3"]
        report = await house.verifies()
        assert report.whole and report.messages_expired == 2
        assert await house.purges() == []

    tell(story)


def test_a_purge_is_named_in_the_log_by_its_certificates_digest(tell: Callable[[Story], None]) -> None:
    async def story(house: House) -> None:
        await house.takes("U-1")
        (certificate,) = await house.purges()
        from hashlib import sha256

        import orjson

        entry = await house.pool.fetchval("SELECT entry FROM audit_entry WHERE subject = 'purge/2026-03-02'")
        detail = orjson.loads(entry)["detail"]
        assert detail["certificate"] == certificate.id
        assert detail["sha256"] == sha256(certificate.statement).hexdigest()
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
            await house.pool.execute("DELETE FROM purge_certificate")

    tell(story)


@pytest.mark.parametrize(
    ("statement", "kind", "words"),
    [
        ("DELETE FROM purge_certificate", "certificate-missing", "is gone"),
        ("UPDATE purge_certificate SET statement = statement || ' '", "certificate-changed", "not the one that was issued"),
        ("UPDATE purge_certificate SET signature = set_byte(signature, 1, 1)", "certificate-changed", "not signed"),
        ("INSERT INTO purge_certificate (at, rule, table_name, rows, held_rows, statement, key_id, signature) "
         "SELECT at, rule, table_name, rows, held_rows, statement, key_id, signature FROM purge_certificate",
         "certificate-changed", "was added"),
    ],
)  # fmt: skip
def test_a_tampered_certificate_is_named(tell: Callable[[Story], None], statement: str, kind: str, words: str) -> None:
    async def story(house: House) -> None:
        await house.takes("U-1")
        await house.purges()
        assert (await house.verifies()).whole
        async with house.pool.acquire() as connection, connection.transaction():
            await connection.execute("SET LOCAL session_replication_role = replica")
            await connection.execute(statement)
        report = await house.verifies()
        assert [damage.kind for damage in report.damages] == [kind] and words in report.damages[0].text

    tell(story)


def test_the_keys_of_a_purged_day_are_destroyed(tell: Callable[[Story], None]) -> None:
    async def story(house: House) -> None:
        await house.takes("U-1")
        sealed = await house.pool.fetchval("SELECT raw FROM message")
        assert b"RIVERA" not in sealed and b"RIVERA" in await house.raw(1)
        (certificate,) = await house.purges()
        assert [k["class"] for k in certificate.fields["keys_destroyed"]] == ["event", "message"]
        with pytest.raises(Shredded, match="purge of 2026-03-02"):
            await house.protection.opened(sealed, "message.raw/1/1")

    tell(story)


def test_a_resend_after_the_purge_is_still_a_resend(tell: Callable[[Story], None]) -> None:
    async def story(house: House) -> None:
        await house.takes("U-1")
        await house.purges()
        await house.takes("U-1", at=MARCH_2 + timedelta(days=92))
        assert await house.stored("event") == []
        assert await house.pool.fetchval("SELECT status FROM message") == "duplicate"

    tell(story)


def test_the_events_of_open_cases_stay_with_their_key(tell: Callable[[Story], None]) -> None:
    async def story(house: House) -> None:
        await house.takes("U-1")
        await house.pool.execute(
            """INSERT INTO flow_case (id, flow, flow_version, ordering_key, criticality, facility, event_shard, event_seq, event_at,
                                      state, created_at, updated_at)
               SELECT 'implant_usage/U-1', 'implant_usage', 1, 'U-1', 1, 'ST-MARY', shard, seq, at, 'waiting', at, at FROM event"""
        )
        (certificate,) = await house.purges()
        assert [t["table"] for t in certificate.fields["tables"]] == ["message"]
        assert await house.stored("event") == ["e/1/1"] and await house.stored("message") == []
        payload = await house.pool.fetchval("SELECT payload FROM event")
        assert b"U-1" in await house.protection.opened(payload, "event.payload/1/1")
        await house.pool.execute("UPDATE flow_case SET state = 'done'")
        (later,) = await house.purges()
        assert [t["table"] for t in later.fields["tables"]] == ["event"] and await house.stored("event") == []

    tell(story)


# --- what a wrong clock dated ------------------------------------------------------------------------------------

WRONG_CLOCK = datetime(2021, 1, 1, 3, 0, tzinfo=UTC)


async def dated_wrong(house: House, *usages: str) -> list[str]:
    """Messages that an intake took in while its machine believed it was 2021: no partition is of that day."""
    house.clock.at = WRONG_CLOCK
    found = []
    for usage in usages:
        reception = house.reader.hl7("ehr", "mllp", "10.20.0.7", dft(f"MSG-{usage}", usage, "IMP-1001", "6200.00"))[0]
        found.append((await house.intake.submit(reception, lambda r: r)).subject)
    house.clock.at = MARCH_2
    return found


def test_what_a_wrong_clock_dated_leaves_too_with_its_own_certificate(tell: Callable[[Story], None]) -> None:
    async def story(house: House) -> None:
        await house.takes("U-1")
        assert await dated_wrong(house, "U-2", "U-3") == ["m/1/2", "m/1/3"]
        await house.takes("U-4")
        await dated_wrong(house, "U-5")
        assert await house.pool.fetchval("SELECT count(*) FROM message_default") == 3
        sealed = await house.pool.fetchval("SELECT raw FROM message WHERE seq = 2")
        (certificate,) = await house.purges(timedelta(days=1))
        said = certificate.fields
        assert (certificate.rows, said["day"]) == (6, "2021-01-01")
        message = next(t for t in said["tables"] if t["table"] == "message")
        assert message["how"] == "deleted"
        assert [(r["first"], r["last"], r["rows"]) for r in message["ranges"]] == [(2, 3, 2), (5, 5, 1)]
        assert certificate.is_signed_by(house.signer.public_key)
        assert await house.stored("message") == ["m/1/1", "m/1/4"] == [f"m{e[1:]}" for e in await house.stored("event")]
        with pytest.raises(Shredded, match="purge of 2021-01-01"):
            await house.protection.opened(sealed, "message.raw/1/2")
        report = await house.verifies()
        assert report.whole and (report.messages_expired, report.messages_checked) == (3, 2)
        assert await house.purges(timedelta(days=1)) == []

    tell(story)


def test_the_purge_of_what_a_wrong_clock_dated_excuses_no_neighbour(tell: Callable[[Story], None]) -> None:
    async def story(house: House) -> None:
        await house.takes("U-1")
        await dated_wrong(house, "U-2")
        await house.purges(timedelta(days=1))
        async with house.pool.acquire() as connection, connection.transaction():
            await connection.execute("SET LOCAL session_replication_role = replica")
            await connection.execute("DELETE FROM message WHERE seq = 1")
        report = await house.verifies()
        assert [(d.kind, d.subject) for d in report.damages] == [("message-missing", "m/1/1")]

    tell(story)


def test_a_hold_keeps_what_a_wrong_clock_dated(tell: Callable[[Story], None]) -> None:
    async def story(house: House) -> None:
        await dated_wrong(house, "U-1")
        await house.takes("U-2")
        await house.holds(facility="ST-MARY", until_at=WRONG_CLOCK + timedelta(days=1))
        assert await house.purges(timedelta(days=1)) == []
        assert await house.stored("message") == ["m/1/1", "m/1/2"] and b"U-1" in await house.raw(1)

    tell(story)


def test_a_day_that_a_fast_clock_used_already_still_takes_messages_in(tell: Callable[[Story], None]) -> None:
    async def story(house: House) -> None:
        tomorrow_month = MARCH_2 + timedelta(days=30)
        house.clock.at = tomorrow_month
        reception = house.reader.hl7("ehr", "mllp", "10.20.0.7", dft("MSG-U-1", "U-1", "IMP-1001", "6200.00"))[0]
        await house.intake.submit(reception, lambda r: r)
        await house.takes("U-2", at=tomorrow_month)
        async with house.pool.acquire() as connection:
            made = {(table, day) for table, _, day in await partitions(connection)}
        assert ("message", tomorrow_month.date()) not in made
        assert ("message", tomorrow_month.date() + timedelta(days=1)) in made
        assert await house.stored("message") == ["m/1/1", "m/1/2"]
        (certificate,) = await house.purges(timedelta(days=121))
        assert (certificate.rows, await house.stored("message")) == (4, [])

    tell(story)


# --- holds -------------------------------------------------------------------------------------------------------


def test_a_held_patients_messages_stay_where_they_are_found_and_verified(tell: Callable[[Story], None]) -> None:
    async def story(house: House) -> None:
        await house.takes("U-1", "U-2")
        await house.takes("U-3", account="ACC-RIVERA")
        await house.takes("U-3", account="ACC-RIVERA")  # A resend of the same fact is held with it.
        number = await house.holds(
            key_values=house.protection.search_values("ACC-RIVERA"), key_shown="an account of ST-MARY"
        )
        (certificate,) = await house.purges()
        said = certificate.fields
        assert (certificate.rows, certificate.held_rows) == (4, 3)
        assert said["holds"] == [{"hold": number, "rows": 3}] and said["keys_destroyed"] == []
        assert {t["how"] for t in said["tables"]} == {"deleted but for what is held"}
        assert await house.stored("message") == ["m/1/3", "m/1/4"] and await house.stored("event") == ["e/1/3"]
        assert b"ACC-RIVERA" in await house.raw(3)
        async with house.pool.acquire() as connection:
            found = await search(connection, "U-3", estate=house.estate, protection=house.protection)
        assert [m.address for m in found.threads[0].messages] == ["m/1/3", "m/1/4"]
        report = await house.verifies()
        assert report.whole and (report.messages_expired, report.messages_checked) == (2, 2)
        assert await house.purges() == []
        rows = [bytes(r[0]) for r in await house.pool.fetch("SELECT statement FROM purge_certificate")]
        assert not any(b"ACC-RIVERA" in row for row in rows)

    tell(story)


async def purge(house: House) -> None:
    await house.purges()


async def months(house: House) -> None:
    house.estate.retention = RetentionSpec(messages=3650, search_keys=3650, deliveries=30)
    await house.purges()


async def shred(house: House) -> None:
    house.clock.at = MARCH_2 + timedelta(days=91)
    keeping = KeyKeeping(house.pool, house.protection.sealer.keyring, actor="person:ana", clock=house.clock)
    await keeping.shred("delivery", date(2026, 5, 1), reason="erasure order 7")


@pytest.mark.parametrize(("destroys", "look"), [(purge, "mark_held"), (months, "holds"), (shred, "holds")])
def test_what_stands_when_a_hold_is_acknowledged_stands_afterwards(
    tell: Callable[[Story], None], monkeypatch: pytest.MonkeyPatch, destroys: Story, look: str
) -> None:
    """Another connection places a hold between the look at the holds and the destruction."""
    real = getattr(legal_holds, look)
    day = MARCH_2.replace(hour=0)

    async def story(house: House) -> None:
        async def standing() -> tuple[list[str], int]:
            living = await house.pool.fetchval("SELECT count(*) FROM data_key WHERE wrapped IS NOT NULL")
            return await house.stored("message"), living

        async def placed() -> tuple[list[str], int]:
            await house.holds(facility="ST-MARY")
            return await standing()

        async def waits() -> bool:
            blocked = """SELECT count(*) FROM pg_locks AS l JOIN pg_database AS d ON d.oid = l.database
                          WHERE d.datname = current_database() AND l.locktype = 'advisory' AND NOT l.granted"""
            return bool(await house.pool.fetchval(blocked))

        placing: list[asyncio.Task[tuple[list[str], int]]] = []

        async def looked(connection: asyncpg.Connection, *span: datetime) -> Any:
            found = await real(connection, *span)
            if not placing and span[:1] in ((), (day,)):
                placing.append(asyncio.create_task(placed()))
                while not placing[0].done() and not await waits():
                    pass
            return found

        await house.takes("U-1")
        await house.protection.sealer.sealed(b"to billing", "delivery", "delivery.request/U-1", MARCH_2)
        before = await standing()
        monkeypatch.setattr(legal_holds, look, looked)
        await destroys(house)
        assert await placing[0] == await standing() != before, (
            "it is acknowledged after what it could not keep has left"
        )

    tell(story)


def test_what_is_of_no_one_facility_is_kept_by_a_hold_on_any(tell: Callable[[Story], None]) -> None:
    async def story(house: House) -> None:
        await house.takes("U-1", "U-2", "U-3")
        await house.takes("U-2")
        await house.pool.execute("UPDATE event SET facility = '' WHERE seq = 2")
        await house.holds(facility="HARBOR-VIEW")
        await house.purges()
        assert (await house.stored("message"), await house.stored("event")) == (["m/1/2", "m/1/4"], ["e/1/2"])

    tell(story)


def test_a_lifted_hold_lets_go_of_what_it_kept(tell: Callable[[Story], None]) -> None:
    async def story(house: House) -> None:
        await house.takes("U-1")
        number = await house.holds(facility="ST-MARY")
        assert await house.purges() == []
        await house.lifts(number, "person:ana")
        assert await house.purges() == []
        await house.lifts(number, "person:ben")
        (certificate,) = await house.purges()
        assert certificate.rows == 2 and [k["class"] for k in certificate.fields["keys_destroyed"]] == [
            "event",
            "message",
        ]

    tell(story)


def test_a_hold_on_a_facility_keeps_its_own_and_what_nobody_can_attribute(tell: Callable[[Story], None]) -> None:
    async def story(house: House) -> None:
        await house.takes("U-1")
        await house.takes("U-2", facility="HARBOR-VIEW")
        await house.takes("U-2", facility="HARBOR-VIEW")
        await house.takes("U-1")
        refused = await house.takes_rubbish(MARCH_2)
        await house.holds(facility="HARBOR-VIEW")
        await house.purges()
        assert await house.stored("message") == ["m/1/2", "m/1/3", refused]
        assert await house.stored("event") == ["e/1/2"]

    tell(story)


def test_a_hold_on_a_period_keeps_that_period(tell: Callable[[Story], None]) -> None:
    async def story(house: House) -> None:
        await house.takes("U-1")
        await house.takes("U-2", at=MARCH_2 + timedelta(hours=5))
        await house.takes("U-3", at=MARCH_2 + timedelta(days=1))
        await house.holds(from_at=MARCH_2 + timedelta(hours=4), until_at=MARCH_2 + timedelta(hours=24))
        first, second = await house.purges(timedelta(days=95))
        assert (first.rows, first.held_rows, second.rows, second.held_rows) == (2, 2, 2, 0)
        assert await house.stored("message") == ["m/1/2"]

    tell(story)


def test_what_a_hold_names_is_all_of_it_at_once(tell: Callable[[Story], None]) -> None:
    async def story(house: House) -> None:
        await house.takes("U-1", account="ACC-RIVERA")
        await house.takes("U-2", account="ACC-RIVERA", facility="HARBOR-VIEW")
        await house.takes("U-3", facility="HARBOR-VIEW")
        await house.holds(
            key_values=house.protection.search_values("ACC-RIVERA"), key_shown="~", facility="HARBOR-VIEW"
        )
        await house.purges()
        assert await house.stored("event") == ["e/1/2"]

    tell(story)


def test_two_persons_lift_a_hold(tell: Callable[[Story], None]) -> None:
    async def story(house: House) -> None:
        number = await house.holds(facility="ST-MARY")
        asked = await house.lifts(number, "person:ana")
        assert (asked.state, asked.lift_asked_by, asked.covers) == ("lift asked", "person:ana", "facility ST-MARY")
        with pytest.raises(HoldRefused, match="another person has to confirm"):
            await house.lifts(number, "person:ana")
        async with house.pool.acquire() as connection:
            await legal_holds.withdraw(connection, number, actor="person:cleo", now=house.clock())
        assert (await house.lifts(number, "person:ben")).state == "lift asked"
        assert (await house.lifts(number, "person:ana")).state == "lifted"
        with pytest.raises(HoldRefused, match="was lifted by person:ana"):
            await house.lifts(number, "person:ben")
        with pytest.raises(HoldRefused, match="There is no hold 99"):
            await house.lifts(99, "person:ben")
        with pytest.raises(asyncpg.CheckViolationError):
            await house.pool.execute("UPDATE legal_hold SET lifted_by = lift_asked_by")
        entries = await house.pool.fetch(
            "SELECT entry FROM audit_entry WHERE subject = $1 ORDER BY seq", f"hold/{number}"
        )
        assert [bytes(r[0]).split(b'"')[3] for r in entries] == [
            b"hold.placed", b"hold.lift_asked", b"hold.lift_withdrawn", b"hold.lift_asked", b"hold.lifted",
        ]  # fmt: skip

    tell(story)


@pytest.mark.parametrize(
    ("what", "words"),
    [({}, "Say what is held"), ({"from_at": MARCH_2, "until_at": MARCH_2}, "ends before it begins")],
)
def test_a_hold_that_holds_nothing_is_refused(tell: Callable[[Story], None], what: dict[str, Any], words: str) -> None:
    async def story(house: House) -> None:
        with pytest.raises(HoldRefused, match=words):
            await house.holds(**what)

    tell(story)


# --- rows and months ---------------------------------------------------------------------------------------------


def test_search_keys_and_access_marks_leave_after_their_own_time_and_verification_knows(
    tell: Callable[[Story], None],
) -> None:
    async def story(house: House) -> None:
        await house.takes("U-1")
        access_log = AccessLog(house.pool, "tower", clock=house.clock)
        await access_log.record(Access(Caller("person", "ana"), "read", "tower.thread", "Thread", ("m/1/1",)))
        keys = await house.pool.fetchval("SELECT count(*) FROM business_key")
        await house.purges()
        assert await house.pool.fetchval("SELECT count(*) FROM business_key") == keys
        made = await house.purges(timedelta(days=2193))
        by_rule = {c.rule: c for c in made if not c.table_name.startswith("data_key")}
        assert (by_rule["search_keys"].rows, by_rule["access_log"].rows) == (keys, 2)
        assert await house.pool.fetchval("SELECT count(*) FROM access_mark") == 0
        assert (await house.verifies()).whole

    tell(story)


def test_a_hold_keeps_the_keys_by_which_it_finds(tell: Callable[[Story], None]) -> None:
    async def story(house: House) -> None:
        await house.takes("U-1", account="ACC-RIVERA")
        await house.takes("U-2")
        values = house.protection.search_values("ACC-RIVERA")
        await house.holds(key_values=values, key_shown="an account")
        made = await house.purges(timedelta(days=2193))
        left = {r["value"] for r in await house.pool.fetch("SELECT value FROM business_key")}
        assert left and left <= set(values)
        assert await house.stored("event") == ["e/1/1"]
        assert made

    tell(story)


def test_what_was_sent_becomes_unreadable_by_the_month_unless_it_is_held(tell: Callable[[Story], None]) -> None:
    async def story(house: House) -> None:
        house.estate.retention = RetentionSpec(messages=30, search_keys=30, deliveries=30)
        sealer = house.protection.sealer
        sealed = await sealer.sealed(b"to billing: ACC-RIVERA", "delivery", "delivery.request/U-1", MARCH_2)
        assert await house.purges(timedelta(days=31)) == []
        hold = await house.holds(from_at=MARCH_2 - timedelta(days=3), until_at=MARCH_2)
        assert await house.purges(timedelta(days=62)) == []
        await house.lifts(hold, "person:ana")
        await house.lifts(hold, "person:ben")
        (certificate,) = await house.purges(timedelta(days=62))
        assert (certificate.table_name, certificate.rule) == ("data_key:delivery", "deliveries")
        assert certificate.fields["keys_destroyed"][0]["from"] == "2026-03-01"
        with pytest.raises(Shredded):
            await sealer.opened(sealed, "delivery.request/U-1")

    tell(story)


def test_a_package_leaves_the_shelf_once_the_archive_has_it_for_a_while(tell: Callable[[Story], None]) -> None:
    async def story(house: House) -> None:
        for digest, kept in (("a" * 64, MARCH_2), ("b" * 64, None)):
            await house.pool.execute(
                """INSERT INTO evidence_package (digest, subject, size_bytes, head_size, made_at, content, kept_at, kept_in, kept_as)
                   VALUES ($1, 'key/U-1', 2, 1, $2, 'PK', $3, 'archive', $1)""",
                digest, MARCH_2, kept,
            )  # fmt: skip
        (certificate,) = await house.purges(timedelta(days=31))
        assert (certificate.rule, certificate.rows) == ("packages", 1)
        left = await house.pool.fetch("SELECT digest FROM evidence_package WHERE content IS NOT NULL")
        assert [r["digest"] for r in left] == ["b" * 64]

    tell(story)


def test_days_on_which_nothing_arrived_leave_without_a_certificate(tell: Callable[[Story], None]) -> None:
    async def story(house: House) -> None:
        async with house.pool.acquire() as connection:
            await ensure_partitions(connection, MARCH_2.date())
        assert await house.purges() == []
        async with house.pool.acquire() as connection:
            assert min(day for _, _, day in await partitions(connection)) >= date(2026, 3, 3)

    tell(story)


def test_one_process_purges_at_a_time(tell: Callable[[Story], None]) -> None:
    async def story(house: House) -> None:
        await house.takes("U-1")
        async with house.pool.acquire() as other:
            await other.fetchval("SELECT pg_advisory_lock(hashtextextended('hilum.retention', 0))")
            assert await house.purges() == []
        assert len(await house.purges()) == 1

    tell(story)
