"""Brings a database to the shape this code expects: numbered SQL files, each applied once, in order, in a transaction."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from hilum.store.postgres_server import OLDEST_MAJOR

FOLDER = Path(__file__).parent / "migrations"
_LOCK = 0x48_49_4C_55_4D  # "HILUM": processes that start together apply one after the other.
_FILE = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")


class MigrationRefused(RuntimeError):
    """The database and the migration files do not belong together; nothing was changed."""


@dataclass(frozen=True)
class Migration:
    number: int
    name: str  # As the file is called, with its number.
    sql: str
    sha256: str


def read_migrations(folder: Path = FOLDER) -> list[Migration]:
    """The migrations of ``folder`` by number. MigrationRefused for a name that is not ``0001_name.sql`` or a number used twice."""
    migrations: dict[int, Migration] = {}
    for path in sorted(folder.glob("*.sql")):
        match = _FILE.fullmatch(path.name)
        if match is None:
            raise MigrationRefused(f"{path}: a migration is called like 0001_what_it_adds.sql")
        number = int(match[1])
        if number in migrations:
            raise MigrationRefused(
                f"{path}: number {number} is {migrations[number].name} already; take the next free one"
            )
        # The same file checked out with other line ends is the same migration.
        data = path.read_bytes().replace(b"\r\n", b"\n")
        migrations[number] = Migration(number, path.name, data.decode(), hashlib.sha256(data).hexdigest())
    return [migrations[number] for number in sorted(migrations)]


async def migrate(url: str, folder: Path | None = None) -> list[str]:
    """Apply to the database at ``url`` what it lacks; return the names of the files applied, in order.

    Safe to call from several processes at once. Raises MigrationRefused when the server is older than PostgreSQL 15, the
    database is newer than the files, or a file changed after it was applied.
    """
    migrations = read_migrations(folder or FOLDER)
    connection = await asyncpg.connect(
        url,
        server_settings={
            "application_name": "hilum migrate",
            "search_path": "hilum, public",
            "statement_timeout": "0",
            "timezone": "UTC",
        },
    )
    try:
        await _refuse_an_old_server(connection)
        # Held by the session, not a transaction: each migration commits by itself.
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
        await connection.execute(
            """CREATE SCHEMA IF NOT EXISTS hilum;
               CREATE TABLE IF NOT EXISTS hilum.schema_migration (
                   number     int PRIMARY KEY,
                   name       text NOT NULL,
                   sha256     text NOT NULL,
                   applied_at timestamptz NOT NULL DEFAULT now()
               )"""
        )
        applied = await connection.fetch("SELECT number, name, sha256 FROM hilum.schema_migration ORDER BY number")
        missing = _what_is_missing(migrations, applied)
        for migration in missing:
            await _apply(connection, migration)
        return [migration.name for migration in missing]
    finally:
        await connection.close()


async def _refuse_an_old_server(connection: asyncpg.Connection) -> None:
    version = connection.get_server_version()
    if version.major < OLDEST_MAJOR:
        raise MigrationRefused(
            f"the server is PostgreSQL {version.major}.{version.minor}; Hilum needs {OLDEST_MAJOR} or later: upgrade it, or give "
            "the URL of a newer one"
        )


def _what_is_missing(migrations: list[Migration], applied: list[asyncpg.Record]) -> list[Migration]:
    known = {migration.number: migration for migration in migrations}
    newest = max(known, default=0)
    for row in applied:
        migration = known.get(row["number"])
        if migration is None:
            what = "is newer than this version of Hilum" if row["number"] > newest else "has a migration that is gone"
            raise MigrationRefused(
                f"the database {what}: {row['name']} was applied; start the version of Hilum that has it"
            )
        if migration.sha256 != row["sha256"]:
            raise MigrationRefused(
                f"{migration.name} was changed after it was applied to this database: restore the file as it was, and put the "
                "change into a new migration"
            )
    done = {row["number"] for row in applied}
    missing = [migration for migration in migrations if migration.number not in done]
    for migration in missing:
        if done and migration.number < max(done):
            raise MigrationRefused(
                f"{migration.name} came after number {max(done):04} was applied to this database: give it the next free number"
            )
    return missing


async def _apply(connection: asyncpg.Connection, migration: Migration) -> None:
    try:
        async with connection.transaction():
            await connection.execute(migration.sql)
            await connection.execute(
                "INSERT INTO hilum.schema_migration (number, name, sha256) VALUES ($1, $2, $3)",
                migration.number,
                migration.name,
                migration.sha256,
            )
    except asyncpg.PostgresError as error:
        error.add_note(f"while applying the migration {migration.name}, which was rolled back whole")
        raise
    # What a file SET for itself does not reach the next one.
    await connection.execute("RESET ALL")
