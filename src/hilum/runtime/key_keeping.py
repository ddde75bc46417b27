"""What operators do with keys, each recorded in the audit log: rotate what wraps, rotate what seals, shred."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import date, datetime

import asyncpg

from hilum.audit.entry import Entry
from hilum.audit.writer import append
from hilum.runtime import legal_holds
from hilum.runtime.dispatch import days_in_use
from hilum.security.sealing.keyring import DestroyedKeys, Keyring
from hilum.security.sealing.periods import NONE, PERIODS

SHREDDABLE = tuple(name for name, period in PERIODS.items() if period != NONE)


class ShredRefused(Exception):
    """The keys may not be destroyed now; the text says what stands against it."""


@dataclass(frozen=True, slots=True)
class ClassStanding:
    """The keys of one class of stored data. ``values`` were sealed at most."""

    data_class: str
    period: str
    living: int
    destroyed: int
    values: int
    first_period: date | None
    last_period: date | None


@dataclass(frozen=True, slots=True)
class KeyStanding:
    """All keys: by which key-encryption key they are wrapped, and how they stand by class."""

    wrapper: str
    wrapped_by: dict[str, int]
    classes: tuple[ClassStanding, ...]


class KeyKeeping:
    """An operator's hands on a keyring. ``actor`` goes into the audit log."""

    def __init__(self, pool: asyncpg.Pool, keyring: Keyring, *, actor: str, clock: Callable[[], datetime]) -> None:
        self._pool = pool
        self._keyring = keyring
        self._actor = actor
        self._clock = clock

    async def standing(self) -> KeyStanding:
        rows = await self._keyring.rows()
        wrapped_by: dict[str, int] = {}
        for row in rows:
            if row.wrapped is not None:
                wrapped_by[row.wrapped_by] = wrapped_by.get(row.wrapped_by, 0) + 1
        classes = []
        for name, period in PERIODS.items():
            of = [r for r in rows if r.data_class == name]
            living = [r.period for r in of if r.wrapped is not None]
            classes.append(
                ClassStanding(
                    name, period, len(living), len(of) - len(living), sum(r.reserved for r in of),
                    min(living, default=None), max(living, default=None),
                )
            )  # fmt: skip
        return KeyStanding(self._keyring.wrapper.key_id, wrapped_by, tuple(classes))

    async def rotate(self, *, forget: bool) -> tuple[str, int, list[str]]:
        """A new key-encryption key for every living data key: (its id, how many, the old ones destroyed).

        ``forget`` destroys the old ones: backups of the database from before can then be read by nobody.
        """
        new, changed, gone = await self._keyring.rotate_wrapping(forget=forget)
        detail = {"key": new, "rewrapped": changed, "destroyed": list(gone)}
        await self._record("keys.rotated", "k/wrapping", detail)
        return new, changed, gone

    async def rotate_data(self, data_class: str | None) -> int:
        """Let the data keys of a class (or of all) seal nothing new; how many."""
        now = self._clock()
        async with self._pool.acquire() as connection, connection.transaction():
            retired = await self._keyring.retire(connection, data_class, now)
            detail = {"class": data_class, "retired": retired}
            await append(connection, [Entry(now, self._actor, "keys.retired", f"k/{data_class or 'all'}", detail)])
        await self._keyring.refresh()
        return retired

    async def shred(
        self, data_class: str, before: date, *, reason: str, certificate: str | None = None
    ) -> DestroyedKeys:
        """Destroy the keys of a class for every period that ended on or before ``before``. Nothing brings back what they sealed.

        Days whose events open cases still need are kept. ShredRefused while a legal hold stands.
        """
        if data_class not in SHREDDABLE:
            raise ShredRefused(f"{data_class} has no keys by period; there are {', '.join(SHREDDABLE)}")
        if not reason.strip():
            raise ShredRefused("shredding needs a reason: it is what an auditor reads")
        now = self._clock()
        if before > now.date():
            raise ShredRefused(f"{before} is not over yet: what is still being stored would be lost")
        named = certificate if certificate is not None else f"K-{now:%Y%m%dT%H%M%SZ}"
        async with self._pool.acquire() as connection, connection.transaction():
            await legal_holds.while_none_is_placed(connection)
            holds = await legal_holds.holds(connection)
            if holds:
                ids = ", ".join(str(hold.id) for hold in holds)
                raise ShredRefused(
                    f"legal hold {ids} stands; a key opens a whole period, so let retention destroy what is not held"
                )
            keep: Collection[date] = await days_in_use(connection) if data_class in ("message", "event") else ()
            gone = await self._keyring.destroy(connection, data_class, before, certificate=named, now=now, keep=keep)
            detail = {
                "class": data_class, "before": before.isoformat(), "keys": len(gone.ids), "digest": gone.digest, "reason": reason,
            }  # fmt: skip
            await append(connection, [Entry(now, self._actor, "keys.shredded", f"k/{named}", detail)])
        if gone.ids:
            await self._keyring.erase_traces()
        await self._keyring.refresh()
        return gone

    async def _record(self, action: str, subject: str, detail: dict[str, object]) -> None:
        async with self._pool.acquire() as connection, connection.transaction():
            await append(connection, [Entry(self._clock(), self._actor, action, subject, detail)])
