"""Who saw what: reads of protected data, searches, exports, replays, policy changes, approvals, sign-ins and denials.

An access is durable before its answer leaves, and yet cheap: whatever was asked while the last commit ran is the next
commit. Each process writes an audit shard of its own, so that nobody waits for another's lock. Entries name what was
seen by address, who saw it and why; a protected value that somebody searched for appears as a keyed token only.
(45 CFR 164.312(b) audit controls; 164.308(a)(1)(ii)(D) information system activity review.)
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any, Protocol

import asyncpg

from hilum.audit.entry import MalformedEntry, at_text, canonical_detail, entry_bytes
from hilum.authoring.caller import Caller
from hilum.store.given_rows import GivenRows
from hilum.store.group_commit import GroupCommit
from hilum.store.kept_connection import KeptConnection

log = logging.getLogger(__name__)

READ, SEARCH, EXPORT, REPLAY = "read", "search", "export", "replay"
POLICY, APPROVAL, LOGIN, LOGOUT, DENIAL = "policy_change", "approval", "login", "logout", "denial"
BREAK_GLASS, ADMINISTRATION, CHANGE = "break_glass", "administration", "change"
KINDS = frozenset(
    {READ, SEARCH, EXPORT, REPLAY, POLICY, APPROVAL, LOGIN, LOGOUT, DENIAL, BREAK_GLASS, ADMINISTRATION, CHANGE}
)
"""What is recorded; the entry's action is ``access.<kind>``."""

SUBJECTS_AN_ENTRY = 200
"""An answer about more than that is recorded in several entries."""
WITHHELD = "withheld"
FIRST_SHARD = 1_000_000
_MOST_BATCH = 500
_MOST_SUBJECT_CHARACTERS = 400
_MOST_ACTOR_CHARACTERS = 150
_UNSPEAKABLE = re.compile(r"[\s\x00-\x1f\x7f\ud800-\udfff]")


class Tokens(Protocol):
    """Keyed tokens of protected values: the same value of the same kind gives the same token, and only the key's holder
    can make one."""

    def search_token(self, kind: str, value: str) -> str: ...


class NotRecorded(RuntimeError):
    """An access could not be recorded, so its answer must not be given; the text says why."""


def sought(kind: str, value: str, tokens: Tokens | None) -> str:
    """A protected search value as an entry may name it: its token, or that it is withheld where there is no key."""
    return WITHHELD if tokens is None else tokens.search_token(kind, value)


@dataclass(frozen=True, slots=True)
class Access:
    """One answer, or one refusal, as it is recorded.

    ``subjects`` are the addresses that the answer is about (``m/1/7``, ``c/implant_usage/U-1``, ``Supplier/ORTHO``): never
    a protected value, whose token takes its place. ``shown`` and ``masked`` are data classes. ``filter`` is what was
    asked for by name; ``sought`` are tokens by kind of the protected values among it. ``found`` counts the records of an
    answer where there are more than subjects. ``detail`` holds what else an auditor needs: strings, integers, booleans.
    """

    caller: Caller
    kind: str
    operation: str
    resource: str = ""
    subjects: tuple[str, ...] = ()
    shown: frozenset[str] = frozenset()
    masked: frozenset[str] = frozenset()
    filter: Mapping[str, str] = field(default_factory=dict)
    sought: Mapping[str, str] = field(default_factory=dict)
    found: int | None = None
    peer: str = ""
    policies: tuple[str, ...] = ()
    policy_version: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"{self.kind!r} is no kind of access; one of {', '.join(sorted(KINDS))}")


def actor_of(caller: Caller) -> str:
    """The caller as entries name it. What stood in a refused sign-in may hold anything, so it is made speakable."""
    name = _UNSPEAKABLE.sub("_", caller.id)[:_MOST_ACTOR_CHARACTERS]
    return f"{caller.kind}:{name if name else 'nobody'}"


def session_mark(session: str) -> str:
    """A session as entries name it: enough to tell sessions apart, useless to whoever would take one over."""
    return sha256(b"hilum session\x00" + session.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class RecordedAccess:
    """An entry's subject and bytes, and the marks by which it is found."""

    subject: str
    entry: bytes
    marks: tuple[str, ...]


def recorded(access: Access, at: datetime) -> Iterator[RecordedAccess]:
    """The entries of one access, one for each ``SUBJECTS_AN_ENTRY`` subjects. MalformedEntry for a value with no JSON."""
    subjects = [_speakable(subject) for subject in access.subjects]
    parts = [subjects[i : i + SUBJECTS_AN_ENTRY] for i in range(0, len(subjects), SUBJECTS_AN_ENTRY)]
    if not parts:
        parts = [[]]
    actor = actor_of(access.caller)
    for number, part in enumerate(parts, start=1):
        detail = _detail(access, part)
        if len(parts) > 1:
            detail["part"] = f"{number}/{len(parts)}"
        subject = part[0] if part else _speakable(access.resource or access.operation)
        entry = entry_bytes(at_text(at), actor, f"access.{access.kind}", subject, canonical_detail(detail))
        yield RecordedAccess(subject, entry, marks_of(actor, detail))


def marks_of(actor: str, detail: Mapping[str, Any]) -> tuple[str, ...]:
    """The marks that belong to an entry, from what the entry itself says."""
    marks = [f"actor:{actor}", *(f"subject:{subject}" for subject in detail.get("subjects", ()))]
    marks += [f"sought:{kind}:{token}" for kind, token in detail.get("sought", {}).items() if token != WITHHELD]
    if "break_glass" in detail:
        marks.append(f"break_glass:{detail['break_glass']}")
    return tuple(dict.fromkeys(marks))


def _detail(access: Access, subjects: list[str]) -> dict[str, Any]:
    caller = access.caller
    given: dict[str, Any] = {
        "operation": access.operation,
        "resource": access.resource,
        "subjects": subjects,
        "shown": sorted(access.shown),
        "masked": sorted(access.masked),
        "filter": {_speakable(name): _speakable(value) for name, value in access.filter.items()},
        "sought": dict(access.sought),
        "peer": _speakable(access.peer) if access.peer else "",
        "issuer": caller.issuer,
        "by": caller.login,
        "session": session_mark(caller.session) if caller.session else "",
        "trace": caller.trace_id,
        "purpose": caller.purpose,
        "break_glass": caller.break_glass if caller.break_glass is not None else "",
        "policies": list(access.policies),
        "policy_version": access.policy_version,
    }
    detail = {name: value for name, value in given.items() if value not in ("", [], {})}
    if access.found is not None:
        detail["found"] = access.found
    if access.detail:
        detail["more"] = dict(access.detail)
    return detail


def _speakable(text: str) -> str:
    speakable = _UNSPEAKABLE.sub(" ", text)
    if len(speakable) > _MOST_SUBJECT_CHARACTERS:
        # Cut, yet still one and the same for the same text.
        speakable = f"{speakable[:_MOST_SUBJECT_CHARACTERS]}…{sha256(text.encode(errors='replace')).hexdigest()[:12]}"
    return speakable if speakable.strip() else "-"


@dataclass(frozen=True, slots=True)
class Beside:
    """What is committed with the record of an access, and only with it: ``statement`` is SQL that selects its rows from
    ``{given}``, the source of ``rows``; theirs are the parameters from ``$7`` on."""

    statement: str
    rows: GivenRows
    row: tuple[Any, ...]


_RECORD_ONE = """SELECT hilum.record_accesses(
    $1, ARRAY[$2::text], ARRAY[$3::bytea], ARRAY[$4::timestamptz], $5, array_fill($6::int, ARRAY[cardinality($5::text[])]))"""
_RECORD = "SELECT hilum.record_accesses($1, $2, $3, $4, $5, $6)"


@dataclass(frozen=True, slots=True)
class _Asked:
    records: list[RecordedAccess]
    at: datetime
    beside: Beside | None


class AccessLog:
    """Records the accesses of one process. ``name`` is the process's own: ``tower``, ``gateway-1``, ``cli``.

    Processes that share a name share a shard, which is correct and slower.
    """

    def __init__(self, pool: asyncpg.Pool, name: str, *, clock: Callable[[], datetime]) -> None:
        self._kept = KeptConnection(pool)
        self._name = name
        self._clock = clock
        self._shard: int | None = None
        self._commits = GroupCommit(self._commit, most=_MOST_BATCH)

    async def record(self, access: Access, *, beside: Beside | None = None) -> None:
        """Return once the access is durable, and ``beside`` with it. NotRecorded when they cannot be: then nothing may be
        answered."""
        at = self._clock()
        try:
            records = list(recorded(access, at))
        except MalformedEntry as malformed:
            raise NotRecorded(f"the access log cannot spell this access: {malformed}") from malformed
        try:
            await self._commits.ask(_Asked(records, at, beside))
        except Exception as failure:
            raise NotRecorded("the access could not be recorded; try again when the database answers") from failure

    async def _commit(self, batch: Sequence[_Asked]) -> list[None]:
        try:
            statements = list(dict.fromkeys(asked.beside.statement for asked in batch if asked.beside is not None))
            # Mostly one or none: what is committed beside is of one kind. What has nothing beside it goes with the first.
            for number, statement in enumerate(statements if statements else [""]):
                of_it = [a for a in batch if (a.beside.statement == statement if a.beside is not None else number == 0)]
                await self._commit_together(of_it)
        except Exception as failure:
            log.error("%d accesses could not be recorded: %s", len(batch), type(failure).__name__)
            raise
        return [None] * len(batch)

    async def _commit_together(self, batch: Sequence[_Asked]) -> None:
        """One statement, so one round trip and one commit."""
        subjects: list[str] = []
        entries: list[bytes] = []
        times: list[datetime] = []
        marks: list[str] = []
        ordinals: list[int] = []  # Of which entry each mark is, from 1.
        for asked in batch:
            for record in asked.records:
                subjects.append(record.subject)
                entries.append(record.entry)
                times.append(asked.at)
                marks.extend(record.marks)
                ordinals.extend([len(entries)] * len(record.marks))
        beside = [asked.beside for asked in batch if asked.beside is not None]
        one = len(entries) == 1
        values: list[Any] = [subjects, entries, times, marks, ordinals]
        if one:
            values = [subjects[0], entries[0], times[0], marks, 1]
        sql = _RECORD_ONE if one else _RECORD
        if beside:
            given = beside[0].statement.format(given=beside[0].rows.source(len(beside)))
            sql = f"WITH beside AS ({given}) {sql}"
            values += GivenRows.arguments([b.row for b in beside])
        async with self._kept as connection:
            if self._shard is None:
                self._shard = await _own_shard(connection, self._name)
            await connection.execute(sql, self._shard, *values)

    async def close(self) -> None:
        """Wait until everything that was asked is recorded or refused."""
        await self._commits.close()
        await self._kept.close()


async def _own_shard(connection: asyncpg.Connection, name: str) -> int:
    """The audit shard of this name, made on its first use."""
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(hashtext('hilum'), hashtext('access_shard'))")
        shard: int = await connection.fetchval(
            """WITH made AS (
                   INSERT INTO hilum.access_shard (name, shard)
                   SELECT $1, coalesce(max(shard), $2 - 1) + 1 FROM hilum.access_shard
                   ON CONFLICT (name) DO NOTHING RETURNING shard)
               SELECT shard FROM made UNION ALL SELECT shard FROM hilum.access_shard WHERE name = $1 LIMIT 1""",
            name, FIRST_SHARD,
        )  # fmt: skip
        await connection.execute("INSERT INTO hilum.audit_shard (shard) VALUES ($1) ON CONFLICT DO NOTHING", shard)
    return shard
