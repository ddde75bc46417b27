"""The master data desk as flows speak to it: a system like any other, in the platform's own database (decisions/0014)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import ClassVar

import asyncpg

from hilum.audit.entry import Entry
from hilum.audit.writer import append
from hilum.authoring.estate import Estate
from hilum.authoring.master import ListTooShort, NoAuthority, Taken, Telling
from hilum.masterdata import registry


class MasterDesk:
    """Plays the role ``authoring.master.MasterDesk``."""

    idempotent_commands: ClassVar[frozenset[str]] = frozenset({"tell"})

    def __init__(self, pool: asyncpg.Pool, estate: Estate, *, clock: Callable[[], datetime]) -> None:
        self._pool = pool
        self._estate = estate
        self._clock = clock

    async def moment(self) -> datetime:
        return self._clock()

    async def tell(self, telling: Telling, *, key: str) -> Taken:
        """ListTooShort when nothing of it was taken; NoAuthority when all was taken but what another system owns."""
        now = self._clock()
        async with self._pool.acquire() as connection, connection.transaction():
            taken = await registry.take(connection, telling, self._estate.master, now=now)
            if taken.news or taken.gone:
                detail = {"records": len(telling.records), "news": taken.news, "gone": taken.gone}
                await append(
                    connection, [Entry(now, f"system:{telling.system}", "master.told", f"md/{telling.number}", detail)]
                )
        if taken.too_short:
            raise ListTooShort(telling.number, detail="; ".join(taken.too_short))
        if taken.refused:
            first, *others = taken.refused
            more = f"; and {len(others)} more: {'; '.join(others[:10])}" if others else ""
            raise NoAuthority(first, detail=f"{telling.number}{more}")
        return taken

    async def ping(self) -> None:
        await self._pool.fetchval("SELECT 1")

    async def close(self) -> None:
        pass
