"""Finding entries: by subject, actor, action and time, the newest first to be found and the oldest first to be read."""

import heapq
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg
import orjson

from hilum.audit.entry import MalformedEntry, at_text, parse

_PAGE = 1000


@dataclass(frozen=True, slots=True)
class FoundEntry:
    """An entry where it stands. ``fields`` is None when its bytes cannot be read."""

    shard: int
    seq: int
    subject: str
    fields: dict[str, Any] | None

    @property
    def at(self) -> str:
        return "" if self.fields is None else str(self.fields["at"])

    def as_fields(self) -> dict[str, Any]:
        return {"shard": self.shard, "seq": self.seq, "subject": self.subject, "entry": self.fields}


@dataclass(frozen=True, slots=True)
class EntryFilter:
    """Which entries. A subject that ends in * is a beginning; ``since`` needs its time zone."""

    subject: str | None = None
    actor: str | None = None
    action: str | None = None
    since: datetime | None = None

    def admits(self, found: FoundEntry) -> bool:
        if found.fields is None:
            # What cannot be read is shown to who asks for everything, not to who asks for something it may not be.
            return self.actor is None and self.action is None and self.since is None
        return (
            (self.actor is None or found.fields["actor"] == self.actor)
            and (self.action is None or found.fields["action"] == self.action)
            and not self.is_older(found)
        )

    def is_older(self, found: FoundEntry) -> bool:
        return self.since is not None and found.fields is not None and found.at < at_text(self.since)

    def needles(self) -> list[bytes]:
        """What the canonical bytes must contain: PostgreSQL passes over the rest without sending it."""
        wanted = {"actor": self.actor, "action": self.action}
        return [b'"%b":' % name.encode() + orjson.dumps(value) for name, value in wanted.items() if value is not None]


async def find_entries(connection: asyncpg.Connection, wanted: EntryFilter, limit: int = 50) -> list[FoundEntry]:
    """The newest ``limit`` entries that the filter admits, oldest first."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        if wanted.subject is not None:
            about = [found async for found in _about(connection, wanted, limit)]
        else:
            about = []
            for record in await connection.fetch("SELECT shard FROM hilum.audit_shard ORDER BY shard"):
                about.extend([found async for found in _newest_of(connection, record["shard"], wanted, limit)])
    return sorted(heapq.nlargest(limit, about, key=_order), key=_order)


def _order(found: FoundEntry) -> tuple[str, int, int]:
    return found.at, found.shard, found.seq


def _found(record: asyncpg.Record) -> FoundEntry:
    try:
        fields = parse(record["entry"])
    except MalformedEntry:
        fields = None
    return FoundEntry(record["shard"], record["seq"], record["subject"], fields)


_CONTAINS = "NOT EXISTS (SELECT FROM unnest({}::bytea[]) AS needle WHERE position(needle IN entry) = 0)"


async def _about(connection: asyncpg.Connection, wanted: EntryFilter, limit: int) -> AsyncIterator[FoundEntry]:
    subject = wanted.subject or ""
    if subject.endswith("*"):
        condition, first = "subject >= $1 AND subject < $1 || U&'\\+10FFFF'", subject[:-1]
    else:
        condition, first = "subject = $1", subject
    newest: list[tuple[tuple[str, int, int], FoundEntry]] = []
    async for record in connection.cursor(
        f"SELECT shard, seq, subject, entry FROM hilum.audit_entry WHERE {condition} AND {_CONTAINS.format('$2')}",
        first,
        wanted.needles(),
        prefetch=_PAGE,
    ):
        found = _found(record)
        if wanted.admits(found):
            # (at, shard, seq) is unique, so two entries are never compared themselves.
            push = heapq.heappush if len(newest) < limit else heapq.heappushpop
            push(newest, (_order(found), found))
    for _, found in newest:
        yield found


async def _newest_of(
    connection: asyncpg.Connection, shard: int, wanted: EntryFilter, limit: int
) -> AsyncIterator[FoundEntry]:
    """The newest admitted entries of a shard, read backwards."""
    taken, older = 0, 0
    async for record in connection.cursor(
        f"SELECT shard, seq, subject, entry FROM hilum.audit_entry WHERE shard = $1 AND {_CONTAINS.format('$2')} "
        "ORDER BY seq DESC",
        shard,
        wanted.needles(),
        prefetch=_PAGE,
    ):
        found = _found(record)
        # A shard's times rise with its numbers but for writers that waited for each other: a run of older ones ends it.
        older = older + 1 if wanted.is_older(found) else 0
        if older >= _PAGE:
            return
        if wanted.admits(found):
            yield found
            taken += 1
            if taken == limit:
                return
