"""A database grows with the code, once, in order, and never out of step with it."""

import asyncio
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from hilum.store.migrations import FOLDER, MigrationRefused, _refuse_an_old_server, migrate, read_migrations
from hilum.store.postgres_server import EmbeddedPostgres

_numbers = count(1)


@pytest.fixture
def empty_url(postgres: EmbeddedPostgres) -> Iterator[str]:
    """An empty database."""
    name = f"hilum_empty_{next(_numbers)}"
    yield postgres.create_database(name)
    postgres.drop_database(name)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The migrations of a small hospital's store room."""
    (tmp_path / "0001_items.sql").write_text("CREATE TABLE item (number text PRIMARY KEY);\n")
    (tmp_path / "0002_stock.sql").write_text(
        "CREATE TABLE stock (item text REFERENCES item, on_hand_each int);\nINSERT INTO item VALUES ('KNEE-99');\n"
    )
    return tmp_path


def ask(url: str, query: str) -> list[tuple[Any, ...]]:
    async def work() -> list[tuple[Any, ...]]:
        connection = await asyncpg.connect(url)
        try:
            return [tuple(row) for row in await connection.fetch(query)]
        finally:
            await connection.close()

    return asyncio.run(work())


def test_each_file_is_applied_once_in_order_into_the_schema_hilum(empty_url: str, folder: Path) -> None:
    assert asyncio.run(migrate(empty_url, folder)) == ["0001_items.sql", "0002_stock.sql"]
    assert asyncio.run(migrate(empty_url, folder)) == []

    assert ask(empty_url, "SELECT number FROM hilum.item") == [("KNEE-99",)]
    recorded = ask(empty_url, "SELECT number, name, length(sha256), applied_at IS NOT NULL FROM hilum.schema_migration")
    assert sorted(recorded) == [(1, "0001_items.sql", 64, True), (2, "0002_stock.sql", 64, True)]


def test_a_file_added_later_is_applied_alone(empty_url: str, folder: Path) -> None:
    asyncio.run(migrate(empty_url, folder))
    (folder / "0003_bins.sql").write_text("CREATE TABLE bin (name text);")

    assert asyncio.run(migrate(empty_url, folder)) == ["0003_bins.sql"]


def test_the_shipped_migrations_apply_to_an_empty_database(empty_url: str) -> None:
    applied = asyncio.run(migrate(empty_url))

    assert applied == [path.name for path in sorted(FOLDER.glob("*.sql"))]
    assert ask(empty_url, "SELECT count(*) FROM hilum.message") == [(0,)]


def test_processes_that_start_together_apply_each_file_once(empty_url: str, folder: Path) -> None:
    (folder / "0003_slow.sql").write_text("SELECT pg_sleep(0.3); CREATE TABLE slow (x int);")

    async def together() -> list[list[str]]:
        return await asyncio.gather(*(migrate(empty_url, folder) for _ in range(5)))

    applied = sorted(asyncio.run(together()), key=len)

    assert applied == [[], [], [], [], ["0001_items.sql", "0002_stock.sql", "0003_slow.sql"]]


def test_a_file_that_fails_leaves_nothing_of_itself_and_everything_before_it(empty_url: str, folder: Path) -> None:
    (folder / "0003_bad.sql").write_text("CREATE TABLE half (x int);\nSELECT 1/0;")

    with pytest.raises(asyncpg.DivisionByZeroError) as refused:
        asyncio.run(migrate(empty_url, folder))

    assert "0003_bad.sql" in refused.value.__notes__[0]
    assert ask(empty_url, "SELECT max(number) FROM hilum.schema_migration") == [(2,)]
    assert ask(empty_url, "SELECT to_regclass('hilum.half') IS NULL") == [(True,)]
    (folder / "0003_bad.sql").write_text("CREATE TABLE half (x int);")
    assert asyncio.run(migrate(empty_url, folder)) == ["0003_bad.sql"]


def test_what_one_file_sets_does_not_reach_the_next(empty_url: str, folder: Path) -> None:
    (folder / "0003_sets.sql").write_text("SET search_path = public; SET TIME ZONE 'Asia/Tokyo';")
    (folder / "0004_bins.sql").write_text("CREATE TABLE bin AS SELECT current_setting('timezone') AS zone;")

    asyncio.run(migrate(empty_url, folder))

    assert ask(empty_url, "SELECT zone FROM hilum.bin") == [("UTC",)]


def test_a_file_edited_after_it_was_applied_is_refused(empty_url: str, folder: Path) -> None:
    asyncio.run(migrate(empty_url, folder))
    (folder / "0001_items.sql").write_text("CREATE TABLE item (number text PRIMARY KEY, name text);\n")
    (folder / "0003_bins.sql").write_text("CREATE TABLE bin (name text);")

    with pytest.raises(MigrationRefused, match=r"0001_items\.sql was changed after it was applied"):
        asyncio.run(migrate(empty_url, folder))

    assert ask(empty_url, "SELECT to_regclass('hilum.bin') IS NULL") == [(True,)]


def test_the_same_file_with_other_line_ends_is_the_same(empty_url: str, folder: Path) -> None:
    asyncio.run(migrate(empty_url, folder))
    file = folder / "0002_stock.sql"
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))

    assert asyncio.run(migrate(empty_url, folder)) == []


def test_a_database_newer_than_the_code_is_refused(empty_url: str, folder: Path) -> None:
    asyncio.run(migrate(empty_url, folder))
    (folder / "0002_stock.sql").unlink()

    with pytest.raises(MigrationRefused, match=r"the database is newer than this version of Hilum: 0002_stock\.sql"):
        asyncio.run(migrate(empty_url, folder))


def test_a_file_gone_from_the_middle_is_refused(empty_url: str, folder: Path) -> None:
    asyncio.run(migrate(empty_url, folder))
    (folder / "0001_items.sql").unlink()

    with pytest.raises(MigrationRefused, match=r"has a migration that is gone: 0001_items\.sql"):
        asyncio.run(migrate(empty_url, folder))


def test_a_number_below_one_already_applied_is_refused(empty_url: str, folder: Path) -> None:
    late = (folder / "0001_items.sql").rename(folder / "0000_items.sql")
    (folder / "0002_stock.sql").rename(folder / "0003_stock.sql")
    asyncio.run(migrate(empty_url, folder))
    (folder / "0002_bins.sql").write_text("CREATE TABLE bin (name text);")

    with pytest.raises(MigrationRefused, match=r"0002_bins\.sql came after number 0003 was applied"):
        asyncio.run(migrate(empty_url, folder))
    assert late.exists()


@pytest.mark.parametrize(
    ("name", "complaint"),
    [("0002_other.sql", "number 2 is 0002_other.sql already"), ("3_bins.sql", "a migration is called like")],
)
def test_a_file_with_a_name_that_cannot_be_ordered_is_refused(folder: Path, name: str, complaint: str) -> None:
    (folder / name).write_text("SELECT 1;")

    with pytest.raises(MigrationRefused, match=complaint):
        read_migrations(folder)


def test_a_server_older_than_fifteen_is_refused() -> None:
    class Bookworm:
        """What a connection to PostgreSQL 14 says of its server: none is at hand to ask."""

        def get_server_version(self) -> asyncpg.types.ServerVersion:
            return asyncpg.types.ServerVersion(14, 9, 0, "final", 0)

    with pytest.raises(MigrationRefused, match=r"the server is PostgreSQL 14\.9; Hilum needs 15 or later"):
        asyncio.run(_refuse_an_old_server(Bookworm()))
