"""People of Lakeshore, and a database in which grants and approvals are kept."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import asyncpg

from hilum.audit.search import EntryFilter, FoundEntry, find_entries
from hilum.authoring.caller import Caller

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
EVERYWHERE = frozenset({"ST-MARY", "HARBOR-VIEW", "NORTH-POINT"})


def somebody(name: str, *roles: str, purpose: str = "operations") -> Caller:
    return Caller("person", name, roles=frozenset(roles), facilities=EVERYWHERE, purpose=purpose)


class Records:
    """The test's database: work in one transaction, and what the audit log says afterwards."""

    def __init__(self, runner: asyncio.Runner, pool: asyncpg.Pool) -> None:
        self._runner = runner
        self.pool = pool

    def do(self, work: Callable[[asyncpg.Connection], Awaitable[Any]]) -> Any:
        async def done() -> Any:
            async with self.pool.acquire() as connection, connection.transaction():
                return await work(connection)

        return self._runner.run(done())

    def at_once(self, *works: Callable[[asyncpg.Connection], Awaitable[Any]]) -> list[Any]:
        """Each in a transaction of its own, all at the same time; what each gave or raised."""

        async def one(work: Callable[[asyncpg.Connection], Awaitable[Any]]) -> Any:
            async with self.pool.acquire() as connection, connection.transaction():
                return await work(connection)

        async def all_of_them() -> list[Any]:
            return await asyncio.gather(*(one(work) for work in works), return_exceptions=True)

        return self._runner.run(all_of_them())

    def said(self, subject: str) -> list[tuple[str, str, dict[str, Any]]]:
        """Who, what and detail of every audit entry about a subject, in order."""

        async def find() -> list[FoundEntry]:
            async with self.pool.acquire() as connection:
                return await find_entries(connection, EntryFilter(subject), 100)

        found = self._runner.run(find())
        return [(entry.fields["actor"], entry.fields["action"], entry.fields["detail"]) for entry in found]
