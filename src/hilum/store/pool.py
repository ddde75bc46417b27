"""Where the database is, and connections to it as all of Hilum expects them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from hilum.store.postgres_server import running_url

DATABASE_URL = "HILUM_DATABASE_URL"


def resolve_database_url(
    configured: str | None, environment: Mapping[str, str], data_dir: Path | None = None
) -> str | None:
    """What is ``configured``, else the variable HILUM_DATABASE_URL, else the embedded server that runs on ``data_dir``.

    None when there is none of them: the caller then starts an EmbeddedPostgres. ValueError for what is not a URL of
    PostgreSQL; the text does not repeat it, for it may hold a password.
    """
    for source, url in (("the configured database URL", configured), (DATABASE_URL, environment.get(DATABASE_URL))):
        if url:
            if urlsplit(url).scheme not in ("postgresql", "postgres"):
                raise ValueError(f"{source} is not of the form postgresql://user@host:5432/database")
            return url
    return running_url(data_dir) if data_dir is not None else None


async def open_pool(
    url: str,
    *,
    min_size: int = 1,
    max_size: int = 10,
    application_name: str = "hilum",
    statement_timeout_seconds: float | None = 30.0,
    idle_transaction_timeout_seconds: float | None = None,
) -> asyncpg.Pool:
    """A pool whose connections see the schema hilum first, tell time in UTC, and give json and jsonb as ``str``.

    A statement that takes longer than ``statement_timeout_seconds`` fails with asyncpg.QueryCanceledError; None lets it run.
    PostgreSQL ends a session that does nothing inside a transaction for ``idle_transaction_timeout_seconds``.
    """
    return await asyncpg.create_pool(
        url,
        min_size=min_size,
        max_size=max_size,
        server_settings={
            "application_name": application_name,
            "search_path": "hilum, public",
            "timezone": "UTC",
            "statement_timeout": str(int((statement_timeout_seconds or 0) * 1000)),
            # A process that hangs inside a transaction must not stop its peers with the locks it holds.
            "idle_in_transaction_session_timeout": str(int((idle_transaction_timeout_seconds or 0) * 1000)),
            # A process that was killed inside a transaction must not hold its locks for the default two hours.
            "tcp_keepalives_idle": "60",
        },
    )
