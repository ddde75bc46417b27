"""Reading replay jobs and their results. Asking for one, stopping one and running them is in replay."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg
import orjson

from hilum.model.where import EVERYTHING, Where
from hilum.store.where_sql import platform_columns, sql_condition


@dataclass(frozen=True, slots=True)
class ReplayJob:
    """One replay. ``selection`` holds what was given of subject, system, type, status, since, until."""

    id: int
    selection: dict[str, Any]
    dry_run: bool
    state: str
    rate_per_second: float
    total: int | None
    done: int
    actor: str
    reason: str
    summary: str | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """What became of one original; ``copy`` is the message its bytes were taken in as again."""

    original: str
    copy: str | None
    change: str
    detail: str


@dataclass(frozen=True, slots=True)
class JobDetail:
    """A job with the first of its results, those that changed something before those that did not."""

    job: ReplayJob
    results: tuple[ReplayResult, ...]


_COLUMNS = "id, selection, dry_run, state, rate_per_second, total, done, actor, reason, summary, created_at, updated_at"


_ATTRIBUTES = platform_columns(author="actor", owner="actor")


async def list_jobs(connection: asyncpg.Connection, *, limit: int = 20, where: Where = EVERYTHING) -> list[ReplayJob]:
    """The newest jobs first. ``where`` by who asked for them (``author``, ``owner``)."""
    allowed = sql_condition(where, _ATTRIBUTES, first_parameter=2)
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM hilum.replay_job WHERE {allowed.text} ORDER BY id DESC LIMIT $1",
        limit, *allowed.parameters,
    )  # fmt: skip
    return [_job(row) for row in rows]


async def read_job(connection: asyncpg.Connection, job: int, *, most_results: int = 100) -> JobDetail | None:
    """One job; None when there is none of this number."""
    row = await connection.fetchrow(f"SELECT {_COLUMNS} FROM hilum.replay_job WHERE id = $1", job)
    if row is None:
        return None
    results = await connection.fetch(
        "SELECT original, copy, change, detail FROM hilum.replay_result WHERE job = $1 ORDER BY change = 'none', ordinal LIMIT $2",
        job, most_results,
    )  # fmt: skip
    return JobDetail(_job(row), tuple(ReplayResult(**r) for r in results))


def _job(row: asyncpg.Record) -> ReplayJob:
    return ReplayJob(**{**row, "selection": orjson.loads(row["selection"])})
