"""Retention: what is past its days leaves, but for what is held; each purge has a certificate.

Messages and events leave by the day, with their partition, or out of the default partition where a wrong clock put them.
A day with held rows is not dropped: everything else in it is deleted, and what is held stays where trace and verification
find it. With the last row of a day go the keys that sealed it, so that copies in backups are unreadable too. Facts are
never removed: a resend after years is still a resend.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg

from hilum.audit.entry import MESSAGE_EXPIRED, Entry, at_text
from hilum.audit.signing import Signer
from hilum.audit.writer import append
from hilum.authoring.estate import Estate
from hilum.runtime import legal_holds
from hilum.runtime.dispatch import days_in_use
from hilum.runtime.purge_certificates import ACTOR, certify
from hilum.security.sealing.keyring import DestroyedKeys, Keyring
from hilum.store.partitions import COLUMN, DEFAULTS, default_days, ensure_partitions, partitions

log = logging.getLogger(__name__)

_LOCK = "hashtextextended('hilum.retention', 0)"
_DIGEST = {"message": "digest", "event": "sha256(payload)"}


@dataclass(frozen=True, slots=True)
class RowRule:
    """Rows that leave one by one. ``setting`` is the rule's name in ``[retention]``; ``held`` is what a hold keeps."""

    setting: str
    table: str
    column: str
    held: str = ""


_IN_A_HELD_SPAN = """EXISTS (SELECT FROM hilum.legal_hold AS h WHERE h.lifted_at IS NULL
    AND (h.from_at IS NULL OR t.at >= h.from_at) AND (h.until_at IS NULL OR t.at < h.until_at){})"""
ROW_RULES = (
    # A hold by key keeps that key's rows; of any other nobody can say whose they are, so its span is kept whole.
    RowRule("search_keys", "business_key", "at",
            _IN_A_HELD_SPAN.format(" AND (cardinality(h.key_values) = 0 OR t.value = ANY(h.key_values))")),
    RowRule("access_log", "access_mark", "at", _IN_A_HELD_SPAN.format("")),
    RowRule("answers", "api_idempotency", "created_at"),
    RowRule("sessions", "issuer_session", "expires_at"),
    RowRule("sessions", "page_session", "expires_at"),
    RowRule("usage", "api_usage", "last_at"),
)  # fmt: skip
KEY_RULES = (("deliveries", "delivery"), ("deliveries", "journal"))
"""Setting and class of keys that are destroyed by the month, where rows stay and become unreadable."""


class Retention:
    """Purges one database. ``keyring`` destroys the keys of what is gone; without one nothing was sealed."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        estate: Estate,
        signer: Signer,
        keyring: Keyring | None,
        *,
        clock: Callable[[], datetime],
    ) -> None:
        self._pool = pool
        self._estate = estate
        self._signer = signer
        self._keyring = keyring
        self._clock = clock

    async def run_once(self) -> int:
        """Make the partitions to come, purge what is past its days; always 0. One process at a time."""
        async with self._pool.acquire() as connection:
            await ensure_partitions(connection, self._clock().date())
            if not await connection.fetchval(f"SELECT pg_try_advisory_lock({_LOCK})"):
                return 0
            try:
                destroyed = await self._purge_days(connection)
                destroyed += await self._purge_rows(connection)
                destroyed += await self._destroy_months(connection)
                await self._clear_packages(connection)
            finally:
                if not connection.is_closed():
                    await connection.fetchval(f"SELECT pg_advisory_unlock({_LOCK})")
        if destroyed and self._keyring is not None:
            await self._keyring.erase_traces()
        return 0

    def _before(self, setting: str) -> date:
        """The first day (UTC) that is still kept."""
        days: int = getattr(self._estate.keeps(), setting)
        return (self._clock().astimezone(UTC) - timedelta(days=days)).date()

    # --- messages and events

    async def _purge_days(self, connection: asyncpg.Connection) -> int:
        before = self._before("messages")
        standing = [*await partitions(connection), *await default_days(connection, before)]
        days = sorted({day for _, _, day in standing if day < before})
        return sum([await self._purge_day(connection, day, before) for day in days])

    async def _purge_day(self, connection: asyncpg.Connection, day: date, before: date) -> int:
        now = self._clock()
        begin, end = _midnight(day), _midnight(day + timedelta(days=1))
        async with connection.transaction():
            # A day of a large hospital takes longer to look through than anything else may.
            await connection.execute("SET LOCAL statement_timeout = 0")
            await legal_holds.while_none_is_placed(connection)
            used = await days_in_use(connection)
            held = await legal_holds.mark_held(connection, begin, end)
            tables: list[dict[str, Any]] = []
            left: list[tuple[int, dict[str, int]]] = []  # Shard, and which of its messages.
            for table, name, of in [*await partitions(connection), *await default_days(connection, before)]:
                if of != day or (table == "event" and day in used):
                    continue
                purged = await self._purge_partition(connection, table, name, (begin, end))
                if purged is not None:
                    tables.append(purged)
                    if table == "message":
                        # Rows of the default partition are not all there was up to their numbers: their runs are told.
                        stray = name in DEFAULTS
                        left = [(r["shard"], {**({"from_seq": r["first"]} if stray else {}), "through_seq": r["last"]})
                                for r in purged["ranges"]]  # fmt: skip
            if not any(purged["rows"] for purged in tables):
                return 0  # A day on which nothing arrived leaves without a word.
            keys = await self._destroy_days(connection, day, [t["table"] for t in tables], f"purge of {day}", now)
            says = {
                "estate": self._estate.name,
                "day": day.isoformat(),
                "before": before.isoformat(),
                "kept_days": self._estate.keeps().messages,
                "tables": tables,
                "keys_destroyed": keys,
                "holds": [{"hold": number, "rows": count} for number, count in sorted(held.items())],
            }
            await certify(
                connection, self._signer, rule="messages", table_name="+".join(t["table"] for t in tables),
                rows=sum(t["rows"] for t in tables), held_rows=sum(t["held_rows"] for t in tables), says=says, now=now,
                subject=f"purge/{day.isoformat()}",
            )  # fmt: skip
            await append(connection, [Entry(now, ACTOR, MESSAGE_EXPIRED, f"m/{shard}", which) for shard, which in left])
        log.info("retention purged %s of %s", " and ".join(t["table"] for t in tables), day)
        return len(keys)

    async def _purge_partition(
        self, connection: asyncpg.Connection, table: str, name: str, span: tuple[datetime, datetime]
    ) -> dict[str, Any] | None:
        """Remove what is not held of one day; what was removed as a certificate tells it, None when nothing was."""
        within = f"p.{COLUMN[table]} >= $1 AND p.{COLUMN[table]} < $2"
        free = f"{within} AND NOT EXISTS (SELECT FROM held_{table} AS h WHERE h.shard = p.shard AND h.seq = p.seq)"
        shared = name in DEFAULTS
        run = "seq - row_number() OVER (PARTITION BY shard ORDER BY seq)" if shared else "0"
        rows = await connection.fetch(
            f"""SELECT shard, min(seq) AS first, max(seq) AS last, count(*) AS rows,
                       encode(sha256(string_agg(digest, ''::bytea ORDER BY seq)), 'hex') AS sha256
                  FROM (SELECT shard, seq, {_DIGEST[table]} AS digest, {run} AS run FROM hilum.{name} AS p WHERE {free}) AS r
                 GROUP BY shard, run ORDER BY shard, first""",
            *span,
        )
        held = await connection.fetchval(
            f"SELECT count(*) FROM hilum.{name} AS p WHERE {within} AND NOT ({free})", *span
        )
        if held and not rows:
            return None
        if held or shared:
            await connection.execute(f"DELETE FROM hilum.{name} AS p WHERE {free}", *span)
        else:
            await connection.execute(f"DROP TABLE hilum.{name}")
        return {
            "table": table,
            "how": "deleted but for what is held" if held else "deleted" if shared else "dropped",
            "rows": sum(row["rows"] for row in rows),
            "held_rows": held,
            "ranges": [dict(row) for row in rows],
        }

    async def _destroy_days(
        self, connection: asyncpg.Connection, day: date, tables: list[str], why: str, now: datetime
    ) -> list[dict[str, Any]]:
        """Destroy the keys of ``day`` for tables of which nothing of that day is left."""
        if self._keyring is None:
            return []
        standing = [*await partitions(connection), *await default_days(connection, day + timedelta(days=1))]
        found = []
        for table in tables:
            kept = {of for t, _, of in standing if t == table}
            destroyed = await self._keyring.destroy(
                connection, table, day + timedelta(days=1), certificate=why, now=now, keep=kept
            )
            if destroyed.ids:
                found.append(_destroyed(destroyed))
        return found

    # --- rows and months

    async def _purge_rows(self, connection: asyncpg.Connection) -> int:
        for rule in ROW_RULES:
            if await connection.fetchval("SELECT to_regclass($1)", f"hilum.{rule.table}") is not None:
                await self._purge_rule(connection, rule)
        return 0

    async def _purge_rule(self, connection: asyncpg.Connection, rule: RowRule) -> None:
        """Delete by whole days, so that a rule has one certificate a day at most."""
        cutoff = _midnight(self._before(rule.setting))
        free = f"NOT {rule.held}" if rule.held else "true"
        async with connection.transaction():
            await connection.execute("SET LOCAL statement_timeout = 0")
            await legal_holds.while_none_is_placed(connection)
            gone = await connection.fetch(
                f"""WITH gone AS (DELETE FROM hilum.{rule.table} AS t WHERE t.{rule.column} < $1 AND {free}
                                  RETURNING (t.{rule.column} AT TIME ZONE 'UTC')::date AS day, sha256(convert_to(t::text, 'UTF8')) AS row)
                    SELECT day::text, count(*) AS rows, encode(sha256(string_agg(row, ''::bytea ORDER BY row)), 'hex') AS sha256
                      FROM gone GROUP BY day ORDER BY day""",
                cutoff,
            )  # fmt: skip
            if not gone:
                return
            held = await connection.fetchval(
                f"SELECT count(*) FROM hilum.{rule.table} WHERE {rule.column} < $1", cutoff
            )
            says = {
                "estate": self._estate.name,
                "before": at_text(cutoff),
                "kept_days": getattr(self._estate.keeps(), rule.setting),
                "days": [dict(row) for row in gone],
            }
            await certify(
                connection, self._signer, rule=rule.setting, table_name=rule.table, rows=sum(r["rows"] for r in gone),
                held_rows=held, says=says, now=self._clock(),
            )  # fmt: skip
        log.info("retention purged %s by the rule %s", rule.table, rule.setting)

    async def _destroy_months(self, connection: asyncpg.Connection) -> int:
        """Destroy keys of months whose rows stay: what was sent and answered, and what steps gave."""
        if self._keyring is None:
            return 0
        count = 0
        for setting, data_class in KEY_RULES:
            before = self._before(setting)
            now = self._clock()
            async with connection.transaction():
                await legal_holds.while_none_is_placed(connection)
                destroyed = await self._keyring.destroy(
                    connection, data_class, before, certificate=f"retention of {setting}", now=now,
                    keep=await self._months_needed(connection, before),
                )  # fmt: skip
                if destroyed.ids:
                    says = {
                        "estate": self._estate.name,
                        "before": before.isoformat(),
                        "kept_days": getattr(self._estate.keeps(), setting),
                        "keys_destroyed": [_destroyed(destroyed)],
                    }
                    await certify(
                        connection, self._signer, rule=setting, table_name=f"data_key:{data_class}", rows=0, held_rows=0,
                        says=says, now=now,
                    )  # fmt: skip
                    count += len(destroyed.ids)
        return count

    async def _months_needed(self, connection: asyncpg.Connection, before: date) -> set[date]:
        """The first days of months that a hold covers, or in which a case was opened that is not done yet."""
        rows = await connection.fetch(
            """SELECT DISTINCT date_trunc('month', created_at AT TIME ZONE 'UTC')::date AS month FROM hilum.flow_case
                WHERE state NOT IN ('done', 'skipped') AND created_at < $1""",
            _midnight(before),
        )
        needed = {row["month"] for row in rows}
        months = await connection.fetch("SELECT DISTINCT period, ends FROM hilum.data_key WHERE ends IS NOT NULL")
        for hold in await legal_holds.holds(connection):
            for row in months:
                begins_in_time = hold.until_at is None or _midnight(row["period"]) < hold.until_at
                if begins_in_time and (hold.from_at is None or _midnight(row["ends"]) > hold.from_at):
                    needed.add(row["period"])
        return needed

    async def _clear_packages(self, connection: asyncpg.Connection) -> None:
        """Packages that the archive keeps need not be kept here as well."""
        cutoff = _midnight(self._before("packages"))
        async with connection.transaction():
            rows = await connection.fetch(
                """UPDATE hilum.evidence_package SET content = NULL WHERE kept_at < $1 AND content IS NOT NULL
                   RETURNING digest, size_bytes, kept_in, kept_as""",
                cutoff,
            )
            if rows:
                says = {"estate": self._estate.name, "before": at_text(cutoff), "packages": [dict(row) for row in rows]}
                await certify(
                    connection, self._signer, rule="packages", table_name="evidence_package", rows=len(rows), held_rows=0,
                    says=says, now=self._clock(),
                )  # fmt: skip


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _destroyed(keys: DestroyedKeys) -> dict[str, Any]:
    return {
        "class": keys.data_class,
        "keys": list(keys.ids),
        "from": None if keys.first_period is None else keys.first_period.isoformat(),
        "to": None if keys.last_period is None else keys.last_period.isoformat(),
        "sha256": keys.digest,
    }
