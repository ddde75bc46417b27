"""`hilum trace` shows and counts what the policies let somebody read: by the facility of cases, events and messages."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import pytest
import typer
from tests.governance import test_policy_commands as commands
from tests.governance.test_policy_commands import Site

from hilum.cli.trace import trace
from hilum.runtime.thread_places import facilities_of
from hilum.store.partitions import ensure_partitions

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
PLACES = ("ST-MARY", "HARBOR-VIEW", "ST-MARY", "")


async def fill(connection: asyncpg.Connection) -> None:
    """Four messages with an event each, a resend of each, and cases of the first three, all known by one item."""
    await ensure_partitions(connection, NOON.date(), days_ahead=1)
    message = """INSERT INTO hilum.message (shard, seq, received_at, system, transport, peer, type, control_id, status, copy_of, digest, raw)
                 VALUES (1, $1, $2, 'ehr', 'mllp', '10.20.0.7', 'DFT^P03', $3, $4, $5, '', '')"""
    for n, facility in enumerate(PLACES, 1):
        await connection.execute(message, n, NOON, f"MSG-{n}", "accepted", None)
        await connection.execute(message, 10 + n, NOON, f"MSG-{n}", "duplicate", f"e/1/{n}")
        await connection.execute(
            """INSERT INTO hilum.event (shard, seq, at, type, version, key, facility, message_seq, mapping, payload)
               VALUES (1, $1, $2, 'ImplantUsed', 1, 'k', $3, $1, 'dft@1', '{}')""",
            n, NOON, facility,
        )  # fmt: skip
        if facility:
            await connection.execute(
                """INSERT INTO hilum.flow_case (id, flow, flow_version, ordering_key, criticality, facility, event_shard, event_seq,
                                                event_at, created_at, updated_at)
                   VALUES ($1, 'implant_usage', 1, 'k', 1, $2, 1, $3, $4, $4, $4)""",
                f"implant_usage/U-{n}", facility, n, NOON,
            )  # fmt: skip
    await connection.execute(message, 20, NOON, "MSG-20", "duplicate", "m/1/1")
    await connection.execute(message, 21, NOON, "MSG-21", "refused", None)


async def known_by(connection: asyncpg.Connection, *subjects: str) -> None:
    for subject in subjects:
        await connection.execute("INSERT INTO hilum.business_key VALUES ('IMP-1', 'item', $1, $2)", subject, NOON)


@pytest.fixture
def site(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Site:
    app = typer.Typer()
    for group in commands.app.registered_groups:
        app.registered_groups.append(group)
    app.command("trace")(trace)
    monkeypatch.setattr(commands, "app", app)
    site = Site(tmp_path, database_url, monkeypatch)
    estate = site.root / "estate.toml"
    estate.write_text(estate.read_text().replace("[terminal]\n", '[terminal]\nfacilities = ["HARBOR-VIEW"]\n'))
    site.database(fill)
    return site


def found(site: Site, *command: str) -> Any:
    return orjson.loads(site.gives("otto", "trace", *command, "--json").stdout)


def test_cases_events_and_messages_happened_where_their_events_did(site: Site) -> None:
    asked = ["c/implant_usage/U-2", "e/1/1", "e/1/4", "m/1/2", "m/1/4", "m/1/12", "m/1/20", "m/1/21", "e/1/99"]
    places = site.database(lambda c: facilities_of(c, asked))
    assert {address: sorted(of) for address, of in places.items()} == {
        "c/implant_usage/U-2": ["HARBOR-VIEW"], "e/1/1": ["ST-MARY"], "e/1/4": [""], "m/1/2": ["HARBOR-VIEW"], "m/1/4": [""],
        "m/1/12": ["HARBOR-VIEW"], "m/1/20": ["ST-MARY"], "m/1/21": [], "e/1/99": [],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("subjects", "shown"),
    [
        (("c/implant_usage/U-1", "c/implant_usage/U-2", "c/implant_usage/U-3"), {"c/implant_usage/U-2"}),
        (("e/1/1", "e/1/2", "e/1/3", "e/1/4"), {"c/implant_usage/U-2", "e/1/4"}),
        (("m/1/11", "m/1/12", "m/1/13", "m/1/14", "m/1/21"), {"c/implant_usage/U-2", "e/1/4", "m/1/21"}),
    ],
    ids=["cases", "events", "messages"],
)
@pytest.mark.parametrize("limit", ["1", "9"], ids=["in lines", "in full"])
def test_what_happened_elsewhere_is_neither_told_nor_counted(
    site: Site, subjects: tuple[str, ...], shown: set[str], limit: str
) -> None:
    site.database(lambda c: known_by(c, *subjects))
    told = found(site, "IMP-1", "--limit", limit)
    lines = told["summaries"] if limit == "1" else told["threads"]
    assert ({line["address"] for line in lines}, told["total"]) == (shown, len(shown))
    [seen] = [e["detail"] for e in site.entries("access.search") + site.entries("access.read")]
    assert "U-1" not in str(seen) and seen["found"] == len(shown)


@pytest.mark.parametrize("address", ["c/implant_usage/U-1", "e/1/1", "m/1/1", "m/1/11", "m/1/20"])
def test_one_thread_of_another_facility_is_refused_and_the_refusal_recorded(site: Site, address: str) -> None:
    refused = site.gives("otto", "trace", address, exit_code=1)
    assert refused.stdout == "" and "may not read this Thread" in refused.stderr
    assert len(site.entries("access.denial")) == 1
    assert site.entries("access.read") == []


def test_every_look_under_a_grant_is_a_use(site: Site) -> None:
    site.database(
        lambda c: c.execute(
            """INSERT INTO hilum.break_glass (person, reason, purpose, facility, granted_at, expires_at)
               VALUES ('person:otto', 'stuck', 'emergency', 'ST-MARY', now(), now() + interval '1 hour')"""
        )
    )
    site.gives("otto", "trace", "c/implant_usage/U-1")
    site.database(lambda c: known_by(c, "c/implant_usage/U-1", "c/implant_usage/U-3"))
    site.gives("otto", "trace", "IMP-1", "--limit", "1")
    used = [e["detail"]["subject"] for e in site.entries("break_glass.used")]
    assert used == ["c/implant_usage/U-1", "Thread"]
