"""The keyring: data keys wrapped in the database, unwrapped in memory for a while, destroyed for good.

A key seals values of one data class in one period (``periods``). Nonces are random, so the number of values under one
key is bounded (NIST SP 800-38D section 8.3: below 2^32): processes reserve blocks of that number in the key's row before
they seal, and a key whose number is used up is followed by another. Random and not counted, because a database that is
restored from a backup would count the same numbers twice.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import date, datetime
from hashlib import sha256
from typing import Any

import asyncpg
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hilum.security.sealing.periods import ends_of, period_of
from hilum.security.sealing.wrapping import KeysLost, KeyWrapper
from hilum.store.sealed import KeyNotAtHand, NotOurs, Shredded

BLOCK_VALUES = 1 << 20
"""How many values a process reserves at once: at 8,000 messages a second for about a minute."""
_WRAPPING_LOCK = 0x48_4C_4B_45_59
LIMIT_VALUES = (1 << 32) - BLOCK_VALUES
CACHE_SECONDS = 600.0
"""How long an unwrapped key stays in memory before it is unwrapped anew."""
FRESH_SECONDS = 15.0
"""How old what is known of the table may be: a key destroyed by another process opens nothing here after that."""


@dataclass(slots=True)
class Current:
    """A key that seals now, and for how many values more."""

    id: int
    cipher: AESGCM
    left: int


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A data key as the table has it."""

    id: int
    data_class: str
    period: date
    ends: date | None
    generation: int
    wrapped: bytes | None
    wrapped_by: str
    reserved: int
    made_at: datetime
    retired_at: datetime | None
    destroyed_at: datetime | None
    certificate: str | None

    @property
    def about(self) -> bytes:
        return _about(self.data_class, self.period, self.generation)


@dataclass(frozen=True, slots=True)
class DestroyedKeys:
    """What a destruction destroyed, for its certificate. ``digest`` is SHA-256 over the destroyed wrapped keys in order of id."""

    data_class: str
    before: date
    certificate: str
    at: datetime
    ids: tuple[int, ...]
    first_period: date | None
    last_period: date | None
    values: int
    digest: str


class Keyring:
    """All data keys of one database. ``clock`` gives the time that new rows carry."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        wrapper: KeyWrapper,
        clock: Callable[[], datetime],
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pool = pool
        self.wrapper = wrapper
        self._clock = clock
        self._monotonic = monotonic
        self._rows: dict[int, KeyRow] = {}
        self._ciphers: dict[int, tuple[AESGCM, float]] = {}
        self._current: dict[tuple[str, date], Current] = {}
        self._fresh_until = float("-inf")
        self._changing = asyncio.Lock()

    # --- sealing

    async def ready(self, data_class: str, at: datetime, values: int) -> None:
        """Have a key with which ``values`` more values of this class and time may be sealed."""
        if self._monotonic() >= self._fresh_until:
            await self.refresh()
        place = (data_class, period_of(data_class, at))
        current = self._current.get(place)
        if current is None or current.left < values:
            async with self._changing:
                current = self._current.get(place)
                if current is None or current.left < values:
                    self._current[place] = await self._provide(*place, max(values, BLOCK_VALUES))

    def current(self, data_class: str, at: datetime) -> Current:
        """The key to seal with; who seals counts ``left`` down. KeyNotAtHand without ``ready``."""
        current = self._current.get((data_class, period_of(data_class, at)))
        if current is None or current.left <= 0:
            raise KeyNotAtHand(f"no key is ready to seal {data_class} data of {at:%Y-%m-%d}")
        return current

    async def _provide(self, data_class: str, period: date, block: int) -> Current:
        """Reserve a block of the newest key, or make the next key: whoever loses a race takes the winner's."""
        while True:
            row = await self._pool.fetchrow(
                """UPDATE hilum.data_key SET reserved = reserved + $3::bigint
                    WHERE id = (SELECT id FROM hilum.data_key WHERE data_class = $1 AND period = $2
                                   AND wrapped IS NOT NULL AND retired_at IS NULL ORDER BY generation DESC LIMIT 1)
                      AND reserved + $3::bigint <= $4 AND wrapped IS NOT NULL AND retired_at IS NULL
                RETURNING *""",
                data_class, period, block, LIMIT_VALUES,
            )  # fmt: skip
            if row is not None:
                key = _row(row)
                self._rows[key.id] = key
                return Current(key.id, await self._unwrapped(key), block)
            await self._make(data_class, period)

    async def _make(self, data_class: str, period: date) -> None:
        key = AESGCM.generate_key(256)
        async with self._pool.acquire() as connection, connection.transaction():
            # While the wrapping key is rotated nobody wraps: a key under one that is being destroyed would be lost.
            await connection.execute("SELECT pg_advisory_xact_lock_shared($1)", _WRAPPING_LOCK)
            last = await connection.fetchval(
                "SELECT coalesce(max(generation), 0) FROM hilum.data_key WHERE data_class = $1 AND period = $2",
                data_class, period,
            )  # fmt: skip
            generation = last + 1
            about = _about(data_class, period, generation)
            wrapped = await asyncio.to_thread(self.wrapper.wrap, key, about)
            wrapped_by = self.wrapper.key_id
            # What is wrapped is opened once before anything is sealed with it: a wrapper that cannot is met now.
            if await asyncio.to_thread(self.wrapper.unwrap, wrapped, about, wrapped_by) != key:
                raise KeysLost(f"the key wrapper {wrapped_by} does not give back what it wrapped")
            await connection.execute(
                """INSERT INTO hilum.data_key (data_class, period, ends, generation, wrapped, wrapped_by, made_at)
                   VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (data_class, period, generation) DO NOTHING""",
                data_class, period, ends_of(data_class, period), generation, wrapped, wrapped_by, self._clock(),
            )  # fmt: skip

    # --- opening

    def cipher(self, key_id: int) -> AESGCM:
        """The key of a sealed value. Shredded when it was destroyed, KeyNotAtHand without ``load``."""
        held = self._ciphers.get(key_id)
        if held is not None:
            return held[0]
        row = self._rows.get(key_id)
        if row is not None and row.destroyed_at is not None:
            raise Shredded(str(row.certificate))
        raise KeyNotAtHand(f"the data key {key_id} is not loaded")

    def row(self, key_id: int) -> KeyRow | None:
        return self._rows.get(key_id)

    async def load(self, ids: Iterable[int]) -> None:
        """Have these keys at hand; those that were destroyed or never were stay away, which opening will say."""
        if self._monotonic() >= self._fresh_until:
            await self.refresh()
        missing = [n for n in set(ids) if n not in self._ciphers]
        if not missing:
            return
        if any(n not in self._rows for n in missing):
            await self.refresh()
        for number in missing:
            row = self._rows.get(number)
            if row is None:
                raise NotOurs(f"the value was sealed with the data key {number}, which this database does not have")
            if row.wrapped is not None:
                await self._unwrapped(row)

    async def _unwrapped(self, row: KeyRow) -> AESGCM:
        held = self._ciphers.get(row.id)
        if held is None:
            held = AESGCM(await self.material(row)), self._monotonic() + CACHE_SECONDS
            self._ciphers[row.id] = held
        return held[0]

    async def material(self, row: KeyRow) -> bytes:
        """The unwrapped key itself; for tokens, whose key is no cipher."""
        if row.wrapped is None:
            raise Shredded(str(row.certificate))
        # A wrapper may ask another machine: never in the event loop.
        return await asyncio.to_thread(self.wrapper.unwrap, row.wrapped, row.about, row.wrapped_by)

    async def refresh(self) -> int:
        """Read the table anew: what was destroyed or retired elsewhere is forgotten here. Returns 0, for loops."""
        rows = await self._pool.fetch("SELECT * FROM hilum.data_key")
        self._rows = {row["id"]: _row(row) for row in rows}
        moment = self._monotonic()
        usable = {n for n, row in self._rows.items() if row.wrapped is not None}
        self._ciphers = {n: held for n, held in self._ciphers.items() if n in usable and held[1] > moment}
        self._current = {
            place: c
            for place, c in self._current.items()
            if c.id in self._ciphers and self._rows[c.id].retired_at is None
        }
        self._fresh_until = moment + FRESH_SECONDS
        return 0

    async def rows(self) -> list[KeyRow]:
        """Every key, living or destroyed, in the order in which they were made."""
        await self.refresh()
        return sorted(self._rows.values(), key=lambda row: row.id)

    # --- keeping

    async def rotate_wrapping(self, *, forget: bool = False) -> tuple[str, int, list[str]]:
        """A new key-encryption key, and every living data key under it: (its id, how many, the earlier ones destroyed).

        No sealed value is touched. With ``forget`` the earlier key-encryption keys are destroyed: backups of the database
        from before are then read by nobody.
        """
        async with self._pool.acquire() as connection:
            await connection.execute("SELECT pg_advisory_lock($1)", _WRAPPING_LOCK)
            try:
                new = await asyncio.to_thread(self.wrapper.rotate)
                changed = await self.rewrap()
                gone: list[str] = []
                if forget:
                    in_use = frozenset(row.wrapped_by for row in self._rows.values() if row.wrapped is not None)
                    gone = await asyncio.to_thread(self.wrapper.forget, in_use)
            finally:
                await connection.execute("SELECT pg_advisory_unlock($1)", _WRAPPING_LOCK)
        return new, changed, gone

    async def rewrap(self) -> int:
        """Bring every living data key under the current key-encryption key; how many were not. Safe to repeat."""
        changed = 0
        for row in await self.rows():
            if row.wrapped is None or row.wrapped_by == self.wrapper.key_id:
                continue
            wrapped = await asyncio.to_thread(self.wrapper.wrap, await self.material(row), row.about)
            changed += await self._pool.fetchval(
                """WITH changed AS (UPDATE hilum.data_key SET wrapped = $2, wrapped_by = $3
                                     WHERE id = $1 AND wrapped = $4 RETURNING 1) SELECT count(*) FROM changed""",
                row.id, wrapped, self.wrapper.key_id, row.wrapped,
            )  # fmt: skip
        await self.refresh()
        return changed

    async def retire(self, connection: asyncpg.Connection, data_class: str | None, now: datetime) -> int:
        """Let every key of a class (None: of all but the index) seal nothing new: the next value gets a new key. How many."""
        retired = await connection.fetch(
            """UPDATE hilum.data_key SET retired_at = $2 WHERE retired_at IS NULL AND wrapped IS NOT NULL
                  AND data_class <> 'index' AND ($1::text IS NULL OR data_class = $1) RETURNING id""",
            data_class, now,
        )  # fmt: skip
        return len(retired)

    async def destroy(
        self,
        connection: asyncpg.Connection,
        data_class: str,
        before: date,
        *,
        certificate: str,
        now: datetime,
        keep: Collection[date] = (),
    ) -> DestroyedKeys:
        """Destroy the keys of all periods of ``data_class`` that ended on or before ``before``, but those in ``keep``.

        Works inside the caller's transaction, so that the keys go together with the entry that says so; the rows stay
        with ``certificate``, and opening says Shredded. Keys without a period are never met by a date. Afterwards, outside
        the transaction: ``erase_traces``.
        """
        rows = await connection.fetch(
            """SELECT * FROM hilum.data_key WHERE data_class = $1 AND wrapped IS NOT NULL AND ends <= $2
                  AND NOT period = ANY($3::date[]) ORDER BY id FOR UPDATE""",
            data_class, before, list(keep),
        )  # fmt: skip
        await connection.execute(
            """UPDATE hilum.data_key SET wrapped = NULL, destroyed_at = $2, retired_at = coalesce(retired_at, $2), certificate = $3
                WHERE id = ANY($1)""",
            [r["id"] for r in rows], now, certificate,
        )  # fmt: skip
        self._fresh_until = float("-inf")
        for r in rows:
            self._ciphers.pop(r["id"], None)
        return DestroyedKeys(
            data_class, before, certificate, now,
            tuple(r["id"] for r in rows),
            min((r["period"] for r in rows), default=None), max((r["period"] for r in rows), default=None),
            sum(r["reserved"] for r in rows),
            sha256(b"".join(r["wrapped"] for r in rows)).hexdigest(),
        )  # fmt: skip

    async def erase_traces(self) -> None:
        """Write the table anew, so that its pages do not keep what a destroyed key was. Not inside a transaction."""
        await self._pool.execute("VACUUM FULL hilum.data_key")


def _row(row: Any) -> KeyRow:
    return KeyRow(**dict(row))


def _about(data_class: str, period: date, generation: int) -> bytes:
    return f"hilum data key/{data_class}/{period.isoformat()}/{generation}".encode()
