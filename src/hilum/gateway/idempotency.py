"""Same key, same answer (draft-ietf-httpapi-idempotency-key-header): a repeated write is answered, not done again.

The row is leased before the handler runs; it holds the answer from the commit on that records the change. A process that
was killed in between leaves a lease that ends; the repeat then runs the handler again, and its commands, whose keys are
made of this one, find the effect that was made. Answers of the server's own failure (5xx) are not kept: the repeat is meant
to try again. That the state which ``If-Match`` names was found is kept with the lease: the repeat finds the state that the
effect made, and must not be refused for it.

What is kept is the handler's answer before anybody's eyes were considered. Who asks again may see more or less than the first
time, so each repeat is masked anew.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

import asyncpg
import orjson

from hilum.audit.access import Beside
from hilum.authoring.caller import OPERATIONS
from hilum.gateway.ports import Sealer
from hilum.gateway.problems import Headers, Refusal, retry_after
from hilum.store.given_rows import GivenRows
from hilum.store.group_commit import GroupCommit
from hilum.store.kept_connection import KeptConnection

RETENTION = timedelta(hours=24)
LEASE_MARGIN_SECONDS = 5.0
SEALED_AS = "answer"
_KEY = re.compile(r"[\x21\x23-\x7e]{1,255}")

_MOST_BATCH = 200
# Every statement locks rows in one order, so that no two processes ever wait for each other.
_LEASED = GivenRows("text", "text", "bytea", "bytea", "timestamptz", "timestamptz", "timestamptz")
_BEGIN = """
    INSERT INTO api_idempotency AS i (caller, operation, key, fingerprint, state, leased_until, created_at, expires_at)
    SELECT u.caller, u.operation, u.key, u.fingerprint, 'running', u.leased_until, u.created_at, u.expires_at
      FROM {given} AS u (caller, operation, key, fingerprint, leased_until, created_at, expires_at)
     ORDER BY u.caller, u.operation, u.key
    ON CONFLICT (caller, operation, key) DO UPDATE
       SET fingerprint = excluded.fingerprint, fence = i.fence + 1, status = NULL, headers = NULL, body = NULL,
           state = CASE WHEN i.expires_at <= excluded.created_at THEN 'running' ELSE i.state END,
           sealed = false, leased_until = excluded.leased_until, created_at = excluded.created_at,
           expires_at = excluded.expires_at
     WHERE i.expires_at <= excluded.created_at
        OR (i.state <> 'answered' AND i.leased_until <= excluded.created_at AND i.fingerprint = excluded.fingerprint)
    RETURNING i.caller, i.operation, i.key, i.fence, i.state
"""
_Wanted = tuple[str, str, bytes, bytes, datetime, datetime, datetime]

# A fence that is not the row's: another process has taken the key over meanwhile, and its answer counts.
_ANSWERS = ("text", "text", "bytea", "bigint", "smallint", "bytea", "bytea", "bool")
_KEPT, _KEPT_ALONE = GivenRows(*_ANSWERS, first=7), GivenRows(*_ANSWERS)
_KEEP = """
    WITH u (caller, operation, key, fence, status, headers, body, sealed) AS (SELECT * FROM {given} AS given)
    UPDATE api_idempotency AS i
       SET state = 'answered', status = u.status, headers = u.headers, body = u.body, sealed = u.sealed
      FROM u JOIN (SELECT k.caller, k.operation, k.key FROM api_idempotency AS k
                    WHERE (k.caller, k.operation, k.key) IN (SELECT u.caller, u.operation, u.key FROM u)
                    ORDER BY k.caller, k.operation, k.key FOR UPDATE) AS held USING (caller, operation, key)
     WHERE i.caller = u.caller AND i.operation = u.operation AND i.key = u.key AND i.fence = u.fence
       AND i.state <> 'answered'
"""
RUNNING, CONFIRMED, ANSWERED = "running", "confirmed", "answered"
"""What a row is. Confirmed: running, and its ``If-Match``, which is in its fingerprint, was the state when it began."""


@dataclass(frozen=True)
class Begun:
    """The right to run the handler for a key. ``name`` is the same for every repeat of the same request; ``confirmed``: one
    of them, which did not come to its answer, found the state that ``If-Match`` names."""

    caller: str
    operation: str
    key: bytes
    fence: int
    name: str
    confirmed: bool = False


@dataclass(frozen=True)
class Replayed:
    """The answer of the first request with the key. ``unmasked``: the handler's own, which is nobody's to see as it is."""

    status: int
    content_type: bytes
    headers: Headers
    body: bytes
    unmasked: bool = False


def key_in(header: str | None, *, required: bool) -> str | None:
    """The key of a request; both the draft's quoted text and the bare one that most clients send are taken."""
    if header is None:
        if required:
            raise Refusal("idempotency-key-missing")
        return None
    key = header[1:-1] if len(header) > 2 and header[0] == header[-1] == '"' else header
    if not _KEY.fullmatch(key):
        raise Refusal("malformed", "an Idempotency-Key has 1 to 255 visible ASCII characters, quoted or not")
    return key


def fingerprint(
    method: str,
    path: bytes,
    query: bytes,
    body: bytes,
    if_match: str | None,
    *,
    purpose: str = OPERATIONS,
    break_glass: str | None = None,
) -> bytes:
    """What has to be the same when a key is repeated; parts are told apart by their lengths.

    Another purpose or grant makes another request: what was done under one is not asked for again under another. Roles and
    bonds are no part of it, for whoever's changed must still not have the effect twice.
    """
    parts = [method.encode(), path, query, body, b"" if if_match is None else if_match.encode()]
    if purpose != OPERATIONS or break_glass is not None:
        parts += [purpose.encode(), b"" if break_glass is None else break_glass.encode()]
    digest = sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.digest()


class IdempotencyKeys:
    """The keys of all callers, shared by every process of the door."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        *,
        clock: Callable[[], datetime],
        sealer: Sealer | None = None,
        retention: timedelta = RETENTION,
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._sealer = sealer
        self._retention = retention
        self._kept = KeptConnection(pool)
        self._leases = GroupCommit(self._lease, most=_MOST_BATCH)

    async def begin(
        self, caller: str, operation: str, key: str, print_: bytes, *, timeout_seconds: float
    ) -> Begun | Replayed:
        """Lease the key, or give the answer it has. ``Refusal`` 422 for another request, 409 while the first still runs."""
        now = self._clock()
        digest = sha256(key.encode()).digest()
        until = now + timedelta(seconds=timeout_seconds + LEASE_MARGIN_SECONDS)
        for _ in range(3):
            leased = await self._leases.ask((caller, operation, digest, print_, until, now, now + self._retention))
            if isinstance(leased, asyncpg.DataError):
                raise leased
            if leased is not None:
                whose = sha256(f"{caller}\0{key}".encode()).hexdigest()[:24]
                name = f"api/{operation}/{whose}-{print_[:6].hex()}"
                fence, state = leased
                return Begun(caller, operation, digest, fence, name, state == CONFIRMED)
            row = await self._pool.fetchrow(
                """SELECT fingerprint, state, leased_until, status, headers, body, sealed FROM api_idempotency
                    WHERE caller = $1 AND operation = $2 AND key = $3""",
                caller, operation, digest,
            )  # fmt: skip
            if row is None:
                continue  # Given back between the two statements: take it.
            if row["fingerprint"] != print_:
                raise Refusal("key-reused")
            if row["state"] != ANSWERED:
                left = (row["leased_until"] - now).total_seconds()
                raise Refusal("still-running", headers=(retry_after(min(left, 2.0)),))
            return await self._replayed(row, caller, operation, digest)
        raise Refusal("still-running", headers=(retry_after(1),))

    async def confirm(self, begun: Begun) -> None:
        """Note that the state which ``If-Match`` names was found, before the handler runs. ``Refusal`` 409 when somebody else
        has taken the key over meanwhile."""
        if begun.confirmed:
            return
        done: str = await self._pool.execute(
            """UPDATE api_idempotency SET state = 'confirmed'
                WHERE caller = $1 AND operation = $2 AND key = $3 AND fence = $4 AND state = 'running'""",
            begun.caller, begun.operation, begun.key, begun.fence,
        )  # fmt: skip
        if done != "UPDATE 1":
            raise Refusal("still-running", headers=(retry_after(1),))

    async def has_commanded(self, begun: Begun) -> bool:
        """Whether the request, or the earlier one that it repeats, has sent a command to a system."""
        return bool(await self._pool.fetchval("SELECT EXISTS (SELECT FROM delivery WHERE case_id = $1)", begun.name))

    async def answered(
        self,
        begun: Begun,
        status: int,
        content_type: bytes,
        headers: Sequence[tuple[bytes, bytes]],
        body: bytes,
        *,
        unmasked: bool = False,
    ) -> Beside:
        """The answer, sealed, as it is kept in one commit with the record of the change that it answers."""
        sealed = self._sealer is not None and bool(body)
        if self._sealer is not None and body:
            place = _place(begun.caller, begun.operation, begun.key)
            body = await self._sealer.sealed(body, SEALED_AS, place, self._clock())
        pairs = [(b"content-type", content_type), *headers]
        lines = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in pairs]
        told = orjson.dumps({"headers": lines, "unmasked": unmasked})
        return Beside(_KEEP, _KEPT, (begun.caller, begun.operation, begun.key, begun.fence, status, told, body, sealed))

    async def finish(
        self, begun: Begun, status: int, content_type: bytes, headers: Sequence[tuple[bytes, bytes]], body: bytes
    ) -> None:
        """Keep an answer by itself: a refusal, which changed nothing."""
        kept = await self.answered(begun, status, content_type, headers, body)
        await self._pool.execute(_KEEP.format(given=_KEPT_ALONE.source(1)), *kept.row)

    async def give_back(self, begun: Begun) -> None:
        """The handler ended without an answer worth keeping: a repeat runs it at once.

        What was confirmed stays: the effect may have been made, and then the repeat finds another state than it names.
        """
        await self._pool.execute(
            """WITH kept AS (
                   UPDATE api_idempotency SET leased_until = least(leased_until, $5::timestamptz)
                    WHERE caller = $1 AND operation = $2 AND key = $3 AND fence = $4 AND state = 'confirmed')
               DELETE FROM api_idempotency
                WHERE caller = $1 AND operation = $2 AND key = $3 AND fence = $4 AND state = 'running'""",
            begun.caller, begun.operation, begun.key, begun.fence, self._clock(),
        )  # fmt: skip

    async def forget_expired(self) -> int:
        """Remove what is past its retention, but what somebody works on right now. Returns how many."""
        done: str = await self._pool.execute(
            """DELETE FROM api_idempotency WHERE (caller, operation, key) IN (
                   SELECT caller, operation, key FROM api_idempotency WHERE expires_at <= $1 FOR UPDATE SKIP LOCKED)""",
            self._clock(),
        )
        return int(done.rpartition(" ")[2])

    async def close(self) -> None:
        """Wait until nobody waits for a lease any more."""
        await self._leases.close()
        await self._kept.close()

    async def _lease(self, asked: Sequence[_Wanted]) -> list[tuple[int, str] | asyncpg.DataError | None]:
        """The fence and state of each, None for those that are not to be had, in one statement and one commit."""
        first = {wanted[:3]: wanted for wanted in reversed(asked)}
        try:
            async with self._kept as connection:
                sql = _BEGIN.format(given=_LEASED.source(len(first)))
                rows = await connection.fetch(sql, *GivenRows.arguments(list(first.values())))
        except asyncpg.DataError as refused:
            # A name that no column takes is the trouble of whoever bears it, and of nobody who came at the same time.
            return [refused] if len(asked) == 1 else [fence for one in asked for fence in await self._lease([one])]
        fences = {(row["caller"], row["operation"], row["key"]): (row["fence"], row["state"]) for row in rows}
        # The same key twice at once: it is the first one's, and the other finds it running.
        return [fences.get(wanted[:3]) if first[wanted[:3]] is wanted else None for wanted in asked]

    async def _replayed(self, row: asyncpg.Record, caller: str, operation: str, key: bytes) -> Replayed:
        body: bytes = row["body"]
        if row["sealed"]:
            if self._sealer is None:
                raise RuntimeError("an answer was sealed, and this process has no key to open it with")
            body = await self._sealer.opened(body, _place(caller, operation, key))
        kept = orjson.loads(row["headers"])
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in kept["headers"]]
        return Replayed(row["status"], headers[0][1], headers[1:], body, kept["unmasked"])


def _place(caller: str, operation: str, key: bytes) -> str:
    return f"api_idempotency/{caller}/{operation}/{key.hex()}"
