"""Where the database is, and what every connection to it can rely on."""

import asyncio
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from hilum.store.pool import open_pool, resolve_database_url
from hilum.store.postgres_server import EmbeddedPostgres


def test_every_connection_sees_hilum_first_in_utc_and_json_as_text(database_url: str) -> None:
    async def work() -> list[Any]:
        pool = await open_pool(database_url, min_size=1, max_size=2, application_name="hilum intake")
        try:
            names = ("search_path", "timezone", "application_name", "statement_timeout")
            settings = [await pool.fetchval("SELECT current_setting($1)", name) for name in names]
            return [*settings, await pool.fetchval("""SELECT '{"item": "KNEE-99"}'::jsonb""")]
        finally:
            await pool.close()

    assert asyncio.run(work()) == ["hilum, public", "UTC", "hilum intake", "30s", '{"item": "KNEE-99"}']


def test_a_statement_that_takes_too_long_is_cancelled(database_url: str) -> None:
    async def work() -> None:
        pool = await open_pool(database_url, min_size=1, max_size=1, statement_timeout_seconds=0.1)
        try:
            await pool.execute("SELECT pg_sleep(30)")
        finally:
            await pool.close()

    with pytest.raises(asyncpg.QueryCanceledError):
        asyncio.run(work())


def test_the_configured_url_goes_before_the_environment_and_that_before_the_embedded_server(tmp_path: Path) -> None:
    environment = {"HILUM_DATABASE_URL": "postgresql://hilum@db.lakeshore.example/hilum"}

    assert resolve_database_url("postgres://other/hilum", environment, tmp_path) == "postgres://other/hilum"
    assert resolve_database_url(None, environment, tmp_path) == environment["HILUM_DATABASE_URL"]
    assert resolve_database_url(None, {}, tmp_path) is None
    assert resolve_database_url(None, {}) is None


def test_the_embedded_server_that_runs_on_the_directory_is_found(postgres: EmbeddedPostgres) -> None:
    assert resolve_database_url(None, {}, postgres.data_dir) == postgres.url


def test_what_is_no_url_of_postgresql_is_refused_without_its_password() -> None:
    with pytest.raises(ValueError, match="HILUM_DATABASE_URL is not of the form") as refused:
        resolve_database_url(None, {"HILUM_DATABASE_URL": "mysql://hilum:secret@db/hilum"})

    assert "secret" not in str(refused.value)
