"""Master data looked over: what does not fit becomes a steward's work item with a proposed match, and goes when it is mended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import asyncpg

from hilum.audit.entry import Entry
from hilum.audit.writer import append
from hilum.authoring.estate import Estate
from hilum.masterdata import registry
from hilum.masterdata.crosswalks import CrosswalkRefused, set_entry
from hilum.masterdata.entries import CrosswalkEntry
from hilum.masterdata.mismatches import Mismatch, Picture, Waiting, certain, mismatches
from hilum.masterdata.posting_tables import RULES_FILE, read_rules
from hilum.masterdata.tables import TableUnreadable, read_records
from hilum.model.posting import PostingRule
from hilum.runtime import work_items

ACTOR = "system:master-data"
CAUSE = "MasterMismatch"
QUEUE = "master-data"
"""Where stewards find what no kind of master record has a queue for."""
_REMEDY = (
    "Read the proposal: `hilum master accept ITEM` takes it, `hilum master reject ITEM` refuses it, `hilum crosswalk set` maps by hand. "
    "What has to be changed at the owner or in the estate's tables is changed there. The item goes by itself when all fits."
)


@dataclass(frozen=True)
class Looked:
    """What a look over all master data came to."""

    found: int
    opened: int
    mended: int
    matched: int  # Certain ones that the estate lets count without a person.


async def look_over(connection: asyncpg.Connection, estate: Estate, *, now: datetime) -> Looked:
    """Find every mismatch of now, in the caller's transaction. Looking again without a change changes nothing."""
    # One look at a time: two would each open what the other closes.
    await connection.execute("SELECT pg_advisory_xact_lock(hashtext('hilum.master_mismatch'))")
    picture = await paint(connection, estate, now=now)
    # Ten thousand records take a second or two: the loop goes on meanwhile.
    found = await asyncio.to_thread(mismatches, picture)
    exact = certain(found, estate.crosswalks)
    matched = 0
    for one in exact:
        matched += await _matched(connection, one, now)
    if matched:
        found = await asyncio.to_thread(mismatches, await paint(connection, estate, now=now))
    standing = {
        (row["kind"], row["subject"], row["code"], row["facility"]): row
        for row in await connection.fetch("SELECT * FROM master_mismatch WHERE state = 'open'")
    }
    opened = 0
    for one in found:
        opened += await _keep(connection, one, standing.pop(one.identity, None), now)
    for row in standing.values():
        await _mended(connection, row, now)
    return Looked(len(found), opened, len(standing), matched)


async def paint(connection: asyncpg.Connection, estate: Estate, *, now: datetime) -> Picture:
    """Everything that has to fit, as it is in the database and the estate's tables."""
    zone = ZoneInfo(estate.time_zone)
    rows = await connection.fetch(
        """SELECT crosswalk, code, target, facility, valid_from, valid_to, origin FROM crosswalk_entry
            WHERE crosswalk = ANY($1) ORDER BY crosswalk, code, facility, valid_from, origin""",
        list(estate.crosswalks),
    )
    rejected = await connection.fetch("SELECT subject, code, facility, proposed FROM master_rejection")
    unposted = await connection.fetch(
        """SELECT account, sum(abs(moved)) AS amount
             FROM (SELECT e.debit AS account, e.moved FROM staged_entry e JOIN posting_journal j USING (source, facility)
                    WHERE j.number IS NULL AND e.debit <> ''
                   UNION ALL
                   SELECT e.credit, e.moved FROM staged_entry e JOIN posting_journal j USING (source, facility)
                    WHERE j.number IS NULL AND e.credit <> '') AS sides
            GROUP BY account"""
    )
    return Picture(
        now=now,
        zone=zone,
        facilities=estate.facilities,
        specs=estate.master,
        crosswalks=estate.crosswalks,
        entries=[CrosswalkEntry(*row) for row in rows],
        records=await registry.read_records(connection, estate.master, zone),
        queue=QUEUE,
        rules=_rules(estate),
        tables={name: _table(estate, spec.table) for name, spec in estate.master.items() if spec.table},
        waiting=await _waiting(connection, estate),
        unposted={row["account"]: row["amount"] for row in unposted},
        rejected=frozenset((r["subject"], r["code"], r["facility"], r["proposed"]) for r in rejected),
    )


class Watch:
    """Looks all master data over whenever something of it changed, and on every new day."""

    def __init__(self, pool: asyncpg.Pool, estate: Estate, *, clock: Callable[[], datetime]) -> None:
        self._pool = pool
        self._estate = estate
        self._clock = clock
        self._seen: tuple[object, ...] | None = None

    async def run_once(self) -> int:
        """Returns 0, for loops: what was found is in the queue."""
        if not self._estate.master:
            return 0
        now = self._clock()
        async with self._pool.acquire() as connection:
            seen = await self._changes(connection, now)
            if seen == self._seen:
                return 0
            async with connection.transaction():
                await look_over(connection, self._estate, now=now)
        self._seen = seen
        return 0

    async def _changes(self, connection: asyncpg.Connection, now: datetime) -> tuple[object, ...]:
        row = await connection.fetchrow(
            """SELECT (SELECT version FROM crosswalk_version) AS crosswalks, (SELECT version FROM master_change) AS records,
                      (SELECT count(*) FROM master_rejection) AS rejected,
                      (SELECT (count(*), max(updated_at), sum(at_risk_usd))::text FROM work_item
                        WHERE state = 'open' AND split_part(cause, ':', 1) = ANY($1)) AS waiting""",
            list(_waits(self._estate)),
        )
        day = now.astimezone(ZoneInfo(self._estate.time_zone)).date()
        return (*row.values(), day, *self._tables())

    def _tables(self) -> Iterable[float]:
        files = {RULES_FILE} | {spec.table.rpartition(":")[0] for spec in self._estate.master.values() if spec.table}
        for file in sorted(files):
            path = self._estate.root / file
            yield path.stat().st_mtime if path.exists() else 0.0


async def _keep(connection: asyncpg.Connection, one: Mismatch, known: asyncpg.Record | None, now: datetime) -> int:
    """Open a mismatch or bring what is known of it up to date; 1 when it is new."""
    proposal = one.proposal
    values = (
        one.target, one.from_day, one.why, proposal.target if proposal is not None else None,
        proposal.score if proposal is not None else None, proposal.reason if proposal is not None else None,
        one.at_risk_usd,
    )  # fmt: skip
    if known is None:
        item = await work_items.tally(connection, _exceptional(one), now=now, actor=ACTOR)
        await connection.execute(
            """INSERT INTO master_mismatch (kind, subject, code, facility, target, from_day, why, proposed, score, reason,
                                            at_risk_usd, work_item, found_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)""",
            *one.identity, *values, item, now,
        )  # fmt: skip
        return 1
    same = values == tuple(
        known[column] for column in ("target", "from_day", "why", "proposed", "score", "reason", "at_risk_usd")
    )
    state = await connection.fetchval("SELECT state FROM work_item WHERE id = $1", known["work_item"])
    # What a person has skipped stays away until it is another thing; what they let go is still not mended.
    if state == work_items.OPEN or not same or state != work_items.SKIPPED:
        if same and state == work_items.OPEN:
            return 0
        item = await work_items.tally(connection, _exceptional(one), now=now, actor=ACTOR)
        agreed_by = known["agreed_by"] if known["proposed"] == values[3] else None
        await connection.execute(
            """UPDATE master_mismatch SET target = $2, from_day = $3, why = $4, proposed = $5, score = $6, reason = $7,
                      at_risk_usd = $8, work_item = $9, agreed_by = $10 WHERE id = $1""",
            known["id"], *values, item, agreed_by,
        )  # fmt: skip
    return 0


async def _mended(connection: asyncpg.Connection, row: asyncpg.Record, now: datetime) -> None:
    await connection.execute(
        "UPDATE master_mismatch SET state = 'mended', closed_at = $2 WHERE id = $1", row["id"], now
    )
    if await connection.fetchval("SELECT state FROM work_item WHERE id = $1", row["work_item"]) == work_items.OPEN:
        await work_items.resolve(connection, row["work_item"], now=now, actor=ACTOR)


async def _matched(connection: asyncpg.Connection, one: Mismatch, now: datetime) -> int:
    assert one.proposal is not None
    try:
        async with connection.transaction():
            await set_entry(
                connection, one.subject, one.code, one.proposal.target, by=ACTOR, facility=one.facility, now=now
            )
    except CrosswalkRefused:
        return 0  # It stays a person's work.
    detail = {"target": one.proposal.target, "score": str(one.proposal.score), "reason": one.proposal.reason}
    await append(connection, [Entry(now, ACTOR, "master.matched", f"x/{one.subject}/{one.code}", detail)])
    return 1


def _exceptional(one: Mismatch) -> work_items.Exceptional:
    proposal = "Nothing is proposed."
    if one.proposal is not None:
        proposal = f"Proposed: {one.proposal.target} ({one.proposal.score:.0%}): {one.proposal.reason}."
    return work_items.Exceptional(
        queue=one.queue,
        cause=":".join((CAUSE, *one.identity)),
        title=one.title,
        remedy=_REMEDY,
        due_hours=24,
        subject=f"md/{'/'.join(one.identity)}",
        at_risk_usd=one.at_risk_usd,
        detail=f"{one.why}. {proposal}",
        owner=one.owner,
    )


def _waits(estate: Estate) -> dict[str, str]:
    """Rejection to the crosswalk whose entry lets go what waits for it."""
    return {rejection: spec.name for spec in estate.crosswalks.values() for rejection in spec.waits}


async def _waiting(connection: asyncpg.Connection, estate: Estate) -> list[Waiting]:
    waits = _waits(estate)
    rows = await connection.fetch(
        """SELECT w.cause, w.at_risk_usd,
                  (SELECT c.detail FROM work_item_case c WHERE c.work_item = w.id ORDER BY c.at, c.subject LIMIT 1) AS detail
             FROM work_item w WHERE w.state = 'open' AND split_part(w.cause, ':', 1) = ANY($1) ORDER BY w.id""",
        list(waits),
    )
    found = []
    for row in rows:
        rejection, _, code = row["cause"].partition(":")
        spec = estate.crosswalks[waits[rejection]]
        name = row["detail"] if spec.waits_named and row["detail"] is not None else ""
        found.append(Waiting(spec.name, code, name, Decimal(row["at_risk_usd"])))
    return found


def _rules(estate: Estate) -> tuple[PostingRule, ...]:
    try:
        return read_rules(estate.root, RULES_FILE).rules
    except TableUnreadable:
        return ()  # An estate without revenue books; a table that is broken stops postings in its own words.


def _table(estate: Estate, reference: str) -> Mapping[str, str]:
    file, _, column = reference.rpartition(":")
    try:
        rows = read_records(estate.root, file, (column,))
        return {cells[column]: cells.get("name", "") for _, cells in rows if cells[column]}
    except TableUnreadable:
        return {}
