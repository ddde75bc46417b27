"""A database that an earlier release filled in clear is sealed when the platform next starts, and nothing is lost by it.

The rows are written as that release wrote them: the SQL of its ``accept_batch``, its digests, its journal.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Annotated, Any

import asyncpg
import pytest
from tests.sealing_parts import protection_for, raw_messages

from hilum.audit.lineage import search
from hilum.authoring import Contract, Phi, System
from hilum.authoring.estate import Estate
from hilum.authoring.flow import Feed, Flow
from hilum.model import AccountNumber, Mrn
from hilum.runtime import sealing_existing
from hilum.runtime.intake import Intake
from hilum.runtime.reception import Reader, Reception, prepare
from hilum.runtime.sealing_existing import SealExisting
from hilum.security.sealing.protected import Protection
from hilum.store import sealed_places
from hilum.store.partitions import ensure_partitions
from hilum.store.pool import open_pool

LONG_AGO = datetime(2026, 9, 3, 10, tzinfo=UTC)
NOW = datetime(2026, 11, 21, 8, tzinfo=UTC)
JOAN, ACCOUNT, MRN = "MILLER^JOAN", "ACC-77120", "MRN-55501"


class Admitted(Contract, version=1, identities=[("account", "visit")], owner="patient-access"):
    """A patient came; told apart by account and visit, so that the identity itself is protected."""

    visit: str
    account: Annotated[AccountNumber, Phi]
    mrn: Annotated[Mrn, Phi]


class Weather(Contract, version=1, identities=["day"], owner="integration"):
    """Nothing about anybody."""

    day: str


def nothing(_: Any) -> None:
    return None


def sent(_: Any) -> bytes:
    return b""


def estate() -> Estate:
    feed = Feed(sent, (Admitted,), System("billing"), "admissions", "account", "normal", "patient-access")
    flow = Flow(nothing, Admitted, "admission", "visit", "normal", "patient-access", "Release it.", "account")
    return Estate(
        Path("estate"), "test", contracts={"Admitted": Admitted, "Weather": Weather}, feeds={"admissions": feed},
        flows={"admission": flow},
    )  # fmt: skip


def clock() -> datetime:
    return NOW


def admitted(visit: int) -> Admitted:
    return Admitted(visit=f"V-{visit}", account=AccountNumber(ACCOUNT, "ST-MARY"), mrn=Mrn(MRN, "ST-MARY"))


def old_identity(event: Admitted) -> bytes:
    """As the earlier release digested it: without a key."""
    digest = blake2b(b"Admitted\x1faccount+visit", digest_size=16)
    digest.update(b"\x1f" + str(event.account).encode())
    digest.update(b"\x1f" + event.visit.encode())
    return digest.digest()


async def fill(pool: asyncpg.Pool, messages: int) -> None:
    """What the earlier release left behind."""
    async with pool.acquire() as c:
        await ensure_partitions(c, LONG_AGO.date())
        await ensure_partitions(c, NOW.date())
        await c.execute(
            "INSERT INTO intake_shard (shard, name, message_seq, event_seq) VALUES (1, 'intake-1', $1, $1)", messages
        )
        for n in range(1, messages + 1):
            at, event = LONG_AGO + timedelta(days=n % 2), admitted(n)
            raw = f"MSH|^~\\&|EHR\rPID|1||{MRN}||{JOAN}|visit {n}".encode()
            await c.execute(
                """INSERT INTO message (shard, seq, received_at, system, transport, peer, type, control_id, status, digest, raw)
                   VALUES (1, $1, $2, 'ehr', 'mllp', '', 'ADT^A01', $3, 'accepted', $4, $5)""",
                n, at, f"C-{n}", sha256(raw).digest(), raw,
            )  # fmt: skip
            await c.execute(
                """INSERT INTO event (shard, seq, at, type, version, key, facility, message_seq, mapping, payload)
                   VALUES (1, $1, $2, 'Admitted', 1, $3, 'ST-MARY', $1, 'm@1', $4)""",
                n, at, f"{ACCOUNT}@ST-MARY", event.model_dump_json().encode(),
            )  # fmt: skip
            await c.execute(
                "INSERT INTO fact (identity, shard, event_seq, agreed, at) VALUES ($1, 1, $2, NULL, $3)",
                old_identity(event), n, at,
            )  # fmt: skip
            for value, kind, subject in (
                (ACCOUNT, "account", f"e/1/{n}"),
                (MRN, "mrn", f"e/1/{n}"),
                (f"C-{n}", "message", f"m/1/{n}"),
            ):
                await c.execute("INSERT INTO business_key VALUES ($1, $2, $3, $4)", value, kind, subject, at)
        await c.execute(
            """INSERT INTO flow_case (id, flow, flow_version, ordering_key, criticality, facility, event_shard, event_seq,
                                      event_at, state, created_at, updated_at)
               VALUES ('admission/V-1', 'admission', 1, $1, 2, 'ST-MARY', 1, 1, $2, 'waiting', $2, $2)""",
            f"{ACCOUNT}@ST-MARY", LONG_AGO + timedelta(days=1),
        )  # fmt: skip
        await c.execute(
            """INSERT INTO delivery (key, system, operation, case_id, step, state, request, response, created_at, updated_at)
               VALUES ('admission/V-1/tell', 'billing', 'charge_usage', 'admission/V-1', 'tell', 'done', $1, $2, $3, $3)""",
            f'{{"account":"{ACCOUNT}"}}'.encode(), f'{{"type":"charge","number":"7","note":"{ACCOUNT}"}}'.encode(), LONG_AGO,
        )  # fmt: skip
        await c.execute(
            "INSERT INTO delivery_case VALUES ('admission/V-1/tell', 'admission/V-1', 'tell', $1)", LONG_AGO
        )
        await c.execute(
            "INSERT INTO feed_parked VALUES ('admissions', 1, 2, $1, $2, 'dead', 1, 'closed', $1)",
            LONG_AGO,
            f"{ACCOUNT}@ST-MARY",
        )
        await c.execute("INSERT INTO feed_result VALUES ('admissions', 1, 1, $1, $2)", LONG_AGO, f"AA for {ACCOUNT}")
        await c.execute(
            """CREATE SCHEMA IF NOT EXISTS dbos;
               CREATE TABLE dbos.operation_outputs (workflow_uuid text, function_id int, function_name text, output text,
                   started_at_epoch_ms bigint, completed_at_epoch_ms bigint)"""
        )
        await c.execute(
            "INSERT INTO dbos.operation_outputs VALUES ('admission/V-1', 1, 'tell', $1, 1, 2), ('admission/V-1', 2, 'ask', $2, 3, 4)",
            f'{{"ok":{{"account":"{ACCOUNT}"}}}}', '{"kind":"rejected","cause":"IMP-9","function_id":2}',
        )  # fmt: skip


async def in_clear(pool: asyncpg.Pool) -> set[str]:
    """Tables in whose rows, or on whose pages, the patient can be read."""
    found = set()
    tables = await pool.fetch(
        """SELECT c.oid::regclass::text AS name, pg_relation_filepath(c.oid) AS file FROM pg_class c
             JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND n.nspname IN ('hilum', 'dbos')"""
    )
    await pool.execute("CHECKPOINT")
    base = Path(await pool.fetchval("SHOW data_directory"))
    for table in tables:
        pages = (base / table["file"]).read_bytes()
        text = await pool.fetchval(f"SELECT coalesce(string_agg(t::text, ''), '') FROM {table['name']} t")
        for canary in (ACCOUNT, MRN, JOAN):
            if canary in text or canary.encode() in pages or canary.encode().hex() in text:
                found.add(table["name"])
    return found


def upgraded(
    database_url: str, story: Callable[[asyncpg.Pool, Protection], Awaitable[None]], messages: int = 5
) -> None:
    async def run() -> None:
        pool = await open_pool(database_url, max_size=6)
        try:
            await fill(pool, messages)
            await story(pool, await protection_for(pool, estate(), clock))
        finally:
            await pool.close()

    asyncio.run(run())


def test_nothing_of_a_patient_is_left_in_any_row_or_on_any_page(database_url: str):
    async def story(pool: asyncpg.Pool, protection: Protection) -> None:
        assert len(await in_clear(pool)) >= 8, "the fixture is in clear, or this test would prove nothing"
        found = await SealExisting(pool, estate(), protection, clock).run()
        assert found == {
            "hilum.fact": 5, "hilum.message": 5, "hilum.event": 5, "hilum.business_key": 10, "hilum.flow_case": 1,
            "hilum.feed_parked": 1, "hilum.delivery": 1, "hilum.feed_result": 1, "dbos.operation_outputs": 1,
        }  # fmt: skip
        assert await in_clear(pool) == set()

    upgraded(database_url, story)


def test_what_was_sealed_is_what_had_been_stored(database_url: str):
    async def story(pool: asyncpg.Pool, protection: Protection) -> None:
        before = await pool.fetch("SELECT raw FROM message ORDER BY received_at, seq")
        await SealExisting(pool, estate(), protection, clock).run()
        sealer = protection.sealer
        assert await raw_messages(pool, sealer) == [r["raw"] for r in before]
        for row in await pool.fetch("SELECT * FROM event"):
            plain = await sealer.opened(row["payload"], sealed_places.event_payload(1, row["seq"]))
            assert Admitted.model_validate_json(plain) == admitted(row["seq"])
        # Each day's messages have that day's key, so that retention can destroy it.
        days = {r.period for r in await sealer.keyring.rows() if r.data_class == "message"}
        assert days == {(LONG_AGO + timedelta(days=d)).date() for d in (0, 1)}
        async with pool.acquire() as connection:
            for typed in (ACCOUNT, MRN.lower(), f"{ACCOUNT}@ST-MARY"):
                found = await search(connection, typed, estate=estate(), protection=protection)
                assert (found.total, typed in str(found)) == (5, False), typed
            [thread] = (
                await search(connection, "admission/V-1", estate=estate(), protection=protection, show_phi=True)
            ).threads
        assert thread.deliveries[0].request == {"account": ACCOUNT}
        assert (thread.steps[0].result, thread.steps[1].outcome) == ({"account": ACCOUNT}, "rejected")
        assert thread.events[0].payload["account"]["value"] == ACCOUNT

    upgraded(database_url, story)


def test_a_resend_of_what_the_earlier_release_took_is_still_a_resend(database_url: str):
    async def story(pool: asyncpg.Pool, protection: Protection) -> None:
        await SealExisting(pool, estate(), protection, clock).run()
        intake = Intake(pool, protection, name="intake-1", clock=clock)
        await intake.start()
        statuses = []
        for visit in (1, 6):
            raw = f"visit {visit}".encode()
            reception = Reception("ehr", "mllp", "", raw, sha256(raw).digest(), "ADT^A01", f"R-{visit}")
            reception.events = [prepare(admitted(visit), "account", "m@1")]
            statuses.append((await intake.submit(reception, lambda r: r)).status)
        await intake.stop()
        assert statuses == ["duplicate", "accepted"]
        keys = await pool.fetch("SELECT DISTINCT key FROM event")
        assert len(keys) == 1, "the new event is in the order of the old ones"
        parked = await pool.fetchval("SELECT key FROM feed_parked")
        ordered = await pool.fetchval("SELECT ordering_key FROM flow_case")
        assert keys[0]["key"] == parked == ordered and parked.startswith("~")

    upgraded(database_url, story)


def test_an_upgrade_that_was_interrupted_goes_on_where_it_was(database_url: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sealing_existing, "PAGES", 1)

    class Killed(BaseException):
        pass

    async def story(pool: asyncpg.Pool, protection: Protection) -> None:
        stretches = 0

        class Dies(SealExisting):
            async def _keys(self, *given: Any) -> None:
                nonlocal stretches
                stretches += 1
                if stretches == 6:
                    raise Killed
                await super()._keys(*given)

        with pytest.raises(Killed):
            await Dies(pool, estate(), protection, clock).run()
        left = await in_clear(pool)
        assert left
        await SealExisting(pool, estate(), protection, clock).run()
        assert len(await raw_messages(pool, protection.sealer)) == 300
        rows = await pool.fetch("SELECT relname FROM pg_class WHERE relname LIKE 'message_2026%' AND relkind = 'r'")
        assert rows
        for canary in (ACCOUNT, JOAN):
            for column, table in (("raw", "message"), ("payload", "event")):
                hit = await pool.fetchval(
                    f"SELECT count(*) FROM {table} WHERE position($1 IN {column}) > 0", canary.encode()
                )
                assert hit == 0, (canary, table)

    upgraded(database_url, story, messages=300)


def test_the_second_start_has_nothing_to_do_until_the_estate_protects_more(database_url: str):
    async def story(pool: asyncpg.Pool, protection: Protection) -> None:
        await SealExisting(pool, estate(), protection, clock).run()
        assert await SealExisting(pool, estate(), protection, clock).run() == {}
        await pool.execute(
            """INSERT INTO event (shard, seq, at, type, version, key, facility, message_seq, mapping, payload)
               VALUES (1, 99, $1, 'Weather', 1, 'Monday', '', 1, 'm@1', '{"day":"Monday"}')""",
            NOW,
        )

        class Weather(Contract, version=2, identities=["day"], owner="integration"):
            """Somebody decided that it is about somebody after all."""

            day: Annotated[str, Phi]

        stricter = estate()
        stricter.contracts["Weather"] = Weather
        more = Protection(protection.sealer, stricter)
        assert await SealExisting(pool, stricter, more, clock).run() == {"hilum.event": 1}
        row = await pool.fetchrow("SELECT key, payload FROM event WHERE seq = 99")
        assert row["key"] == protection.sealer.order_token("Monday")
        assert await more.opened(row["payload"], "event.payload/1/99") == b'{"day":"Monday"}'

    upgraded(database_url, story)


def test_the_keyed_identity_is_the_same_for_the_reader_of_today(database_url: str):
    """Old digests are keyed as they stand, so today's reader has to come to the same digest first."""

    async def story(pool: asyncpg.Pool, protection: Protection) -> None:
        [identity] = prepare(admitted(3), "account", "m@1").identities
        assert identity == old_identity(admitted(3))
        assert Reader(estate()) is not None

    upgraded(database_url, story, messages=1)
