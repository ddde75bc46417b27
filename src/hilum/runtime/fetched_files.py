"""What is known of files that were fetched from a partner's server. Names stand nowhere: a keyed digest tells them apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import asyncpg

from hilum.audit.entry import Entry
from hilum.audit.writer import append


class FetchedFiles:
    """One system's files: ``fetched`` (safe here), ``taken`` or ``refused`` (by whoever reads them), ``finished`` there."""

    def __init__(self, pool: asyncpg.Pool, system: str, *, clock: Callable[[], datetime]) -> None:
        self._pool = pool
        self._system = system
        self._clock = clock

    async def known(self, files: Sequence[bytes]) -> Mapping[bytes, str]:
        """The states of those among ``files`` that are known."""
        rows = await self._pool.fetch(
            "SELECT file, state FROM fetched_file WHERE system = $1 AND file = ANY($2)", self._system, list(files)
        )
        return {row["file"]: row["state"] for row in rows}

    async def fetched(self, file: bytes, size_bytes: int, sha256: bytes) -> None:
        """Its bytes are safe here. One that was finished before comes anew."""
        now = self._clock()
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(
                """INSERT INTO fetched_file AS f (system, file, state, size_bytes, sha256, found_at)
                   VALUES ($1, $2, 'fetched', $3, $4, $5)
                   ON CONFLICT (system, file) DO UPDATE SET state = 'fetched', sha256 = excluded.sha256,
                      times = f.times + 1, found_at = excluded.found_at, taken_at = NULL, finished_at = NULL, problem = ''
                    WHERE f.state = 'finished'""",
                self._system, file, size_bytes, sha256, now,
            )  # fmt: skip
            detail = {"sha256": sha256.hex(), "bytes": size_bytes}
            await append(connection, [Entry(now, "system:sftp", "file.fetched", f"system/{self._system}", detail)])

    async def refused(self, file: bytes, size_bytes: int, why: str) -> None:
        """It was not fetched at all, and stays at the partner's."""
        await self._pool.execute(
            """INSERT INTO fetched_file (system, file, state, size_bytes, problem, found_at)
               VALUES ($1, $2, 'refused', $3, $4, $5) ON CONFLICT DO NOTHING""",
            self._system, file, size_bytes, why, self._clock(),
        )  # fmt: skip

    async def taken(self, file: bytes, messages: int, refused: int, problem: str = "") -> None:
        """Whoever reads our folder is done with it: ``messages`` are stored, or ``problem`` says why none is."""
        await self._pool.execute(
            """UPDATE fetched_file SET state = $3, messages = $4, refused = $5, problem = $6, taken_at = $7
                WHERE system = $1 AND file = $2 AND state = 'fetched'""",
            self._system, file, "refused" if problem else "taken", messages, refused, problem, self._clock(),
        )  # fmt: skip

    async def finished(self, file: bytes) -> None:
        """It is gone from where it lay, or stays there on purpose."""
        await self._pool.execute(
            "UPDATE fetched_file SET state = 'finished', finished_at = $3 WHERE system = $1 AND file = $2",
            self._system, file, self._clock(),
        )  # fmt: skip

    async def gone(self, listed: Sequence[bytes]) -> None:
        """Of those that were taken, what is not among ``listed`` any more is finished."""
        await self._pool.execute(
            """UPDATE fetched_file SET state = 'finished', finished_at = $3
                WHERE system = $1 AND state = 'taken' AND file <> ALL($2)""",
            self._system, list(listed), self._clock(),
        )  # fmt: skip
