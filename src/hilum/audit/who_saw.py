"""Asking the access log: who saw this subject, this patient; what did this person see; since when."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

import asyncpg

from hilum.audit.access import Tokens, marks_of
from hilum.audit.entry import MalformedEntry, parse
from hilum.audit.parts import Leaf
from hilum.audit.verifier import Damage, VerifyReport

MARKS_EXPIRED = "purge/access_mark"
"""Subject of the entries by which retention removed marks; detail ``before``, an instant as entries spell it."""

_BEGINNING = b'{"action":"access.'


@dataclass(frozen=True, slots=True)
class Seen:
    """One access, as an auditor reads it. ``entry_intact`` is False when its entry is gone or cannot be read."""

    at: datetime
    shard: int
    seq: int
    actor: str = "?"
    kind: str = "?"
    operation: str = ""
    resource: str = ""
    subjects: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()
    masked: tuple[str, ...] = ()
    purpose: str = ""
    break_glass: str = ""
    peer: str = ""
    issuer: str = ""
    session: str = ""
    trace: str = ""
    found: int | None = None
    filter: dict[str, str] = field(default_factory=dict)
    sought: dict[str, str] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)
    entry_intact: bool = True

    def as_fields(self) -> dict[str, Any]:
        return asdict(self)


def subject_marks(subjects: Iterable[str]) -> list[str]:
    return [f"subject:{subject}" for subject in subjects]


def sought_marks(value: str, kinds: Iterable[str], tokens: Tokens | None) -> list[str]:
    """The marks of searches for a protected value, under each kind it may have been sought as."""
    return [] if tokens is None else [f"sought:{kind}:{tokens.search_token(kind, value)}" for kind in kinds]


async def who_saw(
    connection: asyncpg.Connection,
    *,
    marks: Sequence[str] | None = None,
    actor: str | None = None,
    kind: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = 200,
) -> list[Seen]:
    """The newest ``limit`` accesses, oldest first: those with any of ``marks`` (None: all), by ``actor``, in that time."""
    if marks is not None:
        condition = "m.mark = ANY($1::text[])"
    elif actor is not None:
        condition, marks = "m.mark = ANY($1::text[])", [f"actor:{actor}"]
    else:
        # Every access has one actor, so the actors' marks are all accesses once.
        condition, marks = "starts_with(m.mark, ($1::text[])[1])", ["actor:"]
    found = await connection.fetch(
        f"""WITH chosen AS (
               SELECT DISTINCT m.at, m.shard, m.seq FROM hilum.access_mark AS m
                WHERE {condition} AND ($3::timestamptz IS NULL OR m.at >= $3) AND ($4::timestamptz IS NULL OR m.at < $4)
                  AND ($2::text IS NULL OR EXISTS (SELECT FROM hilum.access_mark AS a
                        WHERE a.shard = m.shard AND a.seq = m.seq AND a.mark = 'actor:' || $2)))
           SELECT c.at, c.shard, c.seq, e.entry FROM chosen AS c LEFT JOIN hilum.audit_entry AS e USING (shard, seq)
            WHERE $5::bytea IS NULL OR e.entry IS NULL OR position($5 IN e.entry) = 1
            ORDER BY c.at DESC, c.shard, c.seq DESC LIMIT $6""",
        list(marks), actor, since, until, None if kind is None else _BEGINNING + kind.encode() + b'"', limit,
    )  # fmt: skip
    return [_seen(record) for record in reversed(found)]


def _seen(record: asyncpg.Record) -> Seen:
    place = (record["at"], record["shard"], record["seq"])
    try:
        fields = parse(record["entry"]) if record["entry"] is not None else None
    except MalformedEntry:
        fields = None
    if fields is None:
        return Seen(*place, entry_intact=False)
    detail = fields["detail"]
    return Seen(
        *place,
        actor=fields["actor"],
        kind=fields["action"].removeprefix("access."),
        subjects=tuple(detail.get("subjects", ())),
        shown=tuple(detail.get("shown", ())),
        masked=tuple(detail.get("masked", ())),
        found=detail.get("found"),
        filter=detail.get("filter", {}),
        sought=detail.get("sought", {}),
        more=detail.get("more", {}),
        **{name: detail[name] for name in _TEXTS if name in detail},
    )


_TEXTS = ("operation", "resource", "purpose", "break_glass", "peer", "issuer", "session", "trace")


class MarkCheck:
    """Compares the marks by which accesses are found with the entries that they find: who hides a mark is named."""

    def __init__(self, connection: asyncpg.Connection, report: VerifyReport, expired_before: str) -> None:
        self._connection = connection
        self._report = report
        self._expired_before = expired_before

    @classmethod
    async def begin(cls, connection: asyncpg.Connection, report: VerifyReport) -> MarkCheck | None:
        if await connection.fetchval("SELECT to_regclass('hilum.access_mark')") is None:
            return None
        before = ""
        for record in await connection.fetch("SELECT entry FROM hilum.audit_entry WHERE subject = $1", MARKS_EXPIRED):
            try:
                before = max(before, str(parse(record["entry"])["detail"].get("before", before)))
            except MalformedEntry:
                continue  # The tree reports it.
        return cls(connection, report, before)

    async def check(self, leaves: Sequence[Leaf]) -> None:
        """That each access among the leaves has the marks it says, no fewer and no more."""
        due: dict[tuple[int, int], tuple[Leaf, set[str]]] = {}
        for leaf in leaves:
            if leaf.entry is None or leaf.shard is None or leaf.seq is None or not leaf.entry.startswith(_BEGINNING):
                continue
            try:
                fields = parse(leaf.entry)
            except MalformedEntry:
                continue
            if fields["at"] >= self._expired_before:
                due[leaf.shard, leaf.seq] = (leaf, set(marks_of(fields["actor"], fields["detail"])))
        if not due:
            return
        standing: dict[tuple[int, int], set[str]] = {place: set() for place in due}
        for record in await self._connection.fetch(
            """SELECT m.shard, m.seq, m.mark FROM hilum.access_mark AS m
                 JOIN unnest($1::int[], $2::bigint[]) AS p(shard, seq) USING (shard, seq)""",
            [shard for shard, _ in due], [seq for _, seq in due],
        ):  # fmt: skip
            standing[record["shard"], record["seq"]].add(record["mark"])
        for place, (leaf, marks) in due.items():
            for what, names in (("is missing", marks - standing[place]), ("was added", standing[place] - marks)):
                for name in sorted(names):
                    text = f"the mark {name!r} {what} by which the access of leaf {leaf.leaf} is found"
                    damage = Damage("mark-changed", text, leaf.leaf, leaf.shard, leaf.seq, leaf.subject)
                    self._report.add(damage)

    async def finish(self) -> None:
        """That no mark leads to an entry that does not exist."""
        for record in await self._connection.fetch(
            """SELECT m.mark, m.shard, m.seq FROM hilum.access_mark AS m LEFT JOIN hilum.audit_entry AS e USING (shard, seq)
                WHERE e.entry IS NULL OR position($1::bytea IN e.entry) <> 1 ORDER BY m.shard, m.seq LIMIT 100""",
            _BEGINNING,
        ):
            text = f"the mark {record['mark']!r} leads to entry {record['seq']} of shard {record['shard']}, which records no access"
            self._report.add(Damage("mark-changed", text, None, record["shard"], record["seq"]))
