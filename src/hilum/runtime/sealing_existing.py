"""Sealing what earlier releases stored in clear, before any process of the platform starts.

Each part goes through its table a stretch of pages at a time and commits as it goes: interrupted, it goes on; what is
sealed already is passed over. A part is gone through again when the estate comes to protect more. At the end the tables
are written anew, so that no dead row keeps the clear text. Backups and archived WAL from before hold what they held, and
so does the audit log: a case whose id is made of a protected field was recorded under that id, and stays so.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

import asyncpg
import orjson

from hilum.authoring.estate import Estate
from hilum.runtime.reception import ordering_of
from hilum.security.sealing.protected import Protection, is_protected
from hilum.store import sealed_places
from hilum.store.sealed import TEXT_MAGIC

log = logging.getLogger(__name__)

PAGES = 256
_SEALED = "substring({0} FROM 1 FOR 4) = '\\x93485301'::bytea"
_JOURNAL = "dbos.operation_outputs"


@dataclass(frozen=True)
class _Part:
    """One table: which of its rows are in clear, and what becomes of a stretch of them."""

    name: str
    table: str
    columns: str
    clear: str
    data_classes: tuple[str, ...]
    statement: str
    row: Callable[[Mapping[str, Any]], tuple[Any, ...] | None]


class SealExisting:
    """One pass over a database. ``clock`` says when what has no time of its own is sealed."""

    def __init__(
        self, pool: asyncpg.Pool, estate: Estate, protection: Protection, clock: Callable[[], datetime]
    ) -> None:
        self._pool = pool
        self._estate = estate
        self._protection = protection
        self._sealer = protection.sealer
        self._now = clock()

    async def run(self) -> dict[str, int]:
        """Seal every part that is not done; how many rows of which were in clear."""
        found: dict[str, int] = {}
        for part in self._parts():
            if await self._pool.fetchval(
                "SELECT done_at IS NOT NULL FROM hilum.sealing_progress WHERE part = $1", part.name
            ):
                continue
            sealed = 0
            for table in await self._tables(part.table):
                sealed += await self._through(part, table)
            if sealed:
                found[part.table] = found.get(part.table, 0) + sealed
                log.warning("sealed %d rows of %s that an earlier release stored in clear", sealed, part.table)
            await self._pool.execute(
                """INSERT INTO hilum.sealing_progress (part, rows_sealed, done_at) VALUES ($1, $2, $3)
                   ON CONFLICT (part) DO UPDATE SET rows_sealed = sealing_progress.rows_sealed + $2, done_at = $3""",
                part.name, sealed, self._now,
            )  # fmt: skip
        for table in found:
            for each in await self._tables(table):
                await self._pool.execute(f"VACUUM FULL {each}", timeout=None)
        return found

    # --- going through

    async def _tables(self, table: str) -> list[str]:
        """The table, or its partitions; nothing where it was never made."""
        rows = await self._pool.fetch(
            """SELECT c.oid::regclass::text AS name FROM pg_class c
                WHERE c.relkind = 'r' AND (c.oid = to_regclass($1) OR c.oid IN (
                      SELECT inhrelid FROM pg_inherits WHERE inhparent = to_regclass($1)))""",
            table,
        )
        return [row["name"] for row in rows]

    async def _through(self, part: _Part, table: str) -> int:
        pages = await self._pool.fetchval(
            "SELECT pg_relation_size($1::regclass) / current_setting('block_size')::int", table
        )
        sealed = 0
        for first in range(0, pages, PAGES):
            # What is written anew lands in other pages, is sealed, and is passed over there.
            rows = await self._pool.fetch(
                f"""SELECT ctid, {part.columns} FROM {table}
                     WHERE ctid >= '({first},0)'::tid AND ctid < '({first + PAGES},0)'::tid AND {part.clear}""",
                timeout=None,
            )
            if not rows:
                continue
            await self._keys(part.data_classes, rows)
            values = [new for row in rows if (new := part.row(row)) is not None]
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.executemany(part.statement.format(table=table), values, timeout=None)
            sealed += len(values)
        return sealed

    async def _keys(self, data_classes: tuple[str, ...], rows: list[Any]) -> None:
        moments = {self._at(row) for row in rows}
        for data_class in data_classes:
            for at in moments:
                await self._sealer.ready(data_class, at, len(rows))

    def _at(self, row: Mapping[str, Any]) -> datetime:
        at: datetime = row["at"] if "at" in row and row["at"] is not None else self._now
        return at.replace(minute=0, second=0, microsecond=0)

    # --- the parts

    def _parts(self) -> list[_Part]:
        """Names say what is protected: a part done under another classification is gone through again."""
        protects = sorted(
            f"{name}:{self._protection.seals(name)}:{self._ordering(name)}" for name in self._estate.contracts
        )
        version = sha256("\n".join([*protects, *sorted(self._protection.kinds)]).encode()).hexdigest()[:12]
        return [
            _Part(
                "fact", "hilum.fact", "identity, agreed", "octet_length(identity) = 16", (),
                "UPDATE {table} SET identity = $2, agreed = $3 WHERE ctid = $1", self._fact,
            ),
            _Part(
                "message", "hilum.message", "shard, seq, received_at AS at, raw", f"NOT {_SEALED.format('raw')}", ("message",),
                "UPDATE {table} SET raw = $2 WHERE ctid = $1", self._message,
            ),
            _Part(
                f"event {version}", "hilum.event", "shard, seq, at, type, key, payload", f"NOT {_SEALED.format('payload')}",
                ("event",), "UPDATE {table} SET payload = $2, key = $3 WHERE ctid = $1", self._event,
            ),
            _Part(
                f"business_key {version}", "hilum.business_key", "value, kind",
                f"value NOT LIKE '~%' AND kind IN ({_texts(self._protection.kinds)})", (),
                "UPDATE {table} SET value = $2 WHERE ctid = $1",
                lambda row: (row["ctid"], self._protection.searched(row["kind"], row["value"])),
            ),
            _Part(
                f"flow_case {version}", "hilum.flow_case", "flow, ordering_key",
                f"ordering_key NOT LIKE '~%' AND flow IN ({_texts(self._token_flows())})", (),
                "UPDATE {table} SET ordering_key = $2 WHERE ctid = $1",
                lambda row: (row["ctid"], self._sealer.order_token(row["ordering_key"])),
            ),
            _Part(
                f"feed_parked {version}", "hilum.feed_parked", "feed, key",
                f"key <> '' AND key NOT LIKE '~%' AND feed IN ({_texts(self._token_feeds())})", (),
                "UPDATE {table} SET key = $2 WHERE ctid = $1",
                lambda row: (row["ctid"], self._sealer.order_token(row["key"])),
            ),
            _Part(
                "delivery", "hilum.delivery", "key, created_at AS at, request, response",
                f"NOT {_SEALED.format('request')}", ("delivery",),
                "UPDATE {table} SET request = $2, response = $3 WHERE ctid = $1", self._delivery,
            ),
            _Part(
                f"feed_result {version}", "hilum.feed_result", "feed, shard, event_seq, at, receipt",
                f"receipt <> '' AND receipt NOT LIKE '{TEXT_MAGIC}%' AND feed IN ({_texts(self._sealed_feeds())})", ("event",),
                "UPDATE {table} SET receipt = $2 WHERE ctid = $1", self._receipt,
            ),
            _Part(
                "journal", _JOURNAL, "workflow_uuid, function_name, output", "output LIKE '{\"ok\":%'", ("journal",),
                "UPDATE {table} SET output = $2 WHERE ctid = $1", self._step,
            ),
        ]  # fmt: skip

    def _ordering(self, event_type: str) -> str:
        return ordering_of(self._estate, self._estate.contracts[event_type])

    def _token_flows(self) -> list[str]:
        return [f.name for f in self._estate.flows.values() if is_protected(f.on, f.ordering)]

    def _token_feeds(self) -> list[str]:
        return [f.name for f in self._estate.feeds.values() if any(is_protected(c, f.key) for c in f.on)]

    def _sealed_feeds(self) -> list[str]:
        return [f.name for f in self._estate.feeds.values() if any(self._protection.seals(c.type_name()) for c in f.on)]

    def _fact(self, row: Mapping[str, Any]) -> tuple[Any, ...]:
        agreed = row["agreed"]
        return row["ctid"], self._sealer.fact(row["identity"]), None if agreed is None else self._sealer.fact(agreed)

    def _message(self, row: Mapping[str, Any]) -> tuple[Any, ...]:
        place = sealed_places.message_raw(row["shard"], row["seq"])
        return row["ctid"], self._sealer.seal(row["raw"], "message", place, self._at(row))

    def _event(self, row: Mapping[str, Any]) -> tuple[Any, ...] | None:
        kind = row["type"]
        if not self._protection.seals(kind):
            return None
        place = sealed_places.event_payload(row["shard"], row["seq"])
        ordering = self._ordering(kind) if kind in self._estate.contracts else ""
        key = row["key"] if row["key"].startswith("~") else self._protection.ordered(kind, ordering, row["key"])
        return row["ctid"], self._sealer.seal(row["payload"], "event", place, self._at(row)), key

    def _delivery(self, row: Mapping[str, Any]) -> tuple[Any, ...]:
        seal, key, response = self._sealer.sealing("delivery", self._at(row)), row["key"], row["response"]
        sealed = None if response is None else seal(response, sealed_places.delivery_response(key))
        return row["ctid"], seal(row["request"], sealed_places.delivery_request(key)), sealed

    def _receipt(self, row: Mapping[str, Any]) -> tuple[Any, ...]:
        place = sealed_places.receipt(row["feed"], row["shard"], row["event_seq"])
        return row["ctid"], self._sealer.seal_text(row["receipt"], "event", place, self._at(row))

    def _step(self, row: Mapping[str, Any]) -> tuple[Any, ...] | None:
        try:
            envelope = orjson.loads(row["output"])
        except orjson.JSONDecodeError:
            return None
        place = sealed_places.step_result(row["workflow_uuid"], row["function_name"])
        plain = orjson.dumps(envelope["ok"]).decode()
        return row["ctid"], orjson.dumps(
            {"sealed": self._sealer.seal_text(plain, "journal", place, self._now)}
        ).decode()


def _texts(names: Any) -> str:
    """Names of this estate as an SQL list; one that is nobody's when there are none."""
    return ", ".join("'" + str(name).replace("'", "''") + "'" for name in sorted(names)) or "NULL"
