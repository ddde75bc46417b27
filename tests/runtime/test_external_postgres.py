"""The platform on somebody else's PostgreSQL 15: by URL, over TCP, with a password and no superuser's rights."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from hilum.runtime.supervisor import NotStarted
from hilum.store.migrations import migrate
from hilum.store.postgres_server import EmbeddedPostgres, PostgresFailed, find_binaries
from hilum.testing.hospital import ErpAddress, Hospital

LAKESHORE = Path(__file__).parents[2] / "estates" / "lakeshore"
ADDRESS = "127.0.15.1"  # An address of the loopback network on which no other server listens.


@dataclass(frozen=True)
class Theirs:
    """Their server, and how their administrator made us a database."""

    url: str
    password: str


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Theirs]:
    try:
        binaries = find_binaries(major=15)
    except PostgresFailed as absent:
        pytest.skip(f"PostgreSQL 15 is not installed here: {absent}")
    place = tmp_path_factory.mktemp("theirs")
    place.parent.chmod(0o755)
    place.chmod(0o755)
    rules = place / "pg_hba.conf"
    rules.write_text("local all all peer map=hilum\nhost hilum_prod hilum_app 127.0.0.0/8 scram-sha-256\n")
    rules.chmod(0o644)
    settings = {"listen_addresses": ADDRESS, "hba_file": str(rules), "fsync": "off"}
    password = secrets.token_hex(8)
    with EmbeddedPostgres(place / "server", binaries=binaries.directory, settings=settings) as server:

        async def make() -> None:
            connection = await asyncpg.connect(server.url)
            await connection.execute(
                f"CREATE ROLE hilum_app LOGIN NOSUPERUSER NOCREATEROLE NOCREATEDB PASSWORD '{password}'"
            )
            await connection.execute("CREATE DATABASE hilum_prod OWNER hilum_app")
            await connection.close()

        asyncio.run(make())
        yield Theirs(f"postgresql://hilum_app:{password}@{ADDRESS}:5432/hilum_prod", password)


def test_the_schema_is_made_there_once_and_needs_no_superuser(theirs: Theirs) -> None:
    async def story() -> None:
        assert "0001_core.sql" in await migrate(theirs.url)
        assert await migrate(theirs.url) == []
        connection = await asyncpg.connect(theirs.url)
        version, superuser = await connection.fetchrow(
            "SELECT current_setting('server_version_num')::int / 10000, rolsuper FROM pg_roles WHERE rolname = current_user"
        )
        await connection.close()
        assert (version, superuser) == (15, False)

    asyncio.run(story())


def test_the_platform_runs_there_and_its_password_is_in_no_argument(theirs: Theirs, tmp_path: Path) -> None:
    no_erp = ErpAddress("http://127.0.0.1:9", "erp", "none")
    with Hospital(tmp_path, estate=LAKESHORE, erp=no_erp, database_url=theirs.url) as hospital:
        hospital.shelf("STM-OR1", "KNEE-99", on_hand=3)
        assert hospital.uses("U-1", "IMP-1001")["code"] == "AA"
        hospital.scans("U-1", "IMP-1001")
        hospital.reported(seconds=20)
        assert hospital.uses("U-2", "IMP-7777")["code"] == "AA"
        for _ in range(400):
            states = {r["id"]: r["state"] for r in hospital.query("SELECT id, state FROM flow_case")}
            if states == {"implant_usage/U-1": "parked", "implant_usage/U-2": "waiting"}:
                break
            asyncio.run(asyncio.sleep(0.05))
        else:
            raise AssertionError(f"the cases did not come to rest: {states}")
        assert hospital.on_hand("STM-OR1", "KNEE-99") == 2, "one fact took one unit"
        assert hospital.hilum("audit", "verify")["whole"]
        assert hospital.supervisor is not None
        for role in hospital.supervisor.roles:
            assert role.process is not None
            arguments = Path(f"/proc/{role.process.pid}/cmdline").read_bytes().decode()
            assert theirs.password not in arguments, f"everybody on this machine can read {role.name}'s password"
        for log in (hospital.data / "logs").iterdir():
            assert theirs.password not in log.read_text()
        runtime = hospital.data / "runtime.json"
        assert os.stat(runtime).st_mode & 0o077 == 0, "only its owner reads where the database is"


@pytest.mark.parametrize("wrong", ["another password", "another database", "nobody there"])
def test_a_database_that_does_not_let_us_in_is_one_sentence(theirs: Theirs, tmp_path: Path, wrong: str) -> None:
    url = {
        "another password": theirs.url.replace(theirs.password, "guess"),
        "another database": theirs.url.replace("hilum_prod", "elsewhere"),
        "nobody there": theirs.url.replace(ADDRESS, "127.0.15.2"),
    }[wrong]
    no_erp = ErpAddress("http://127.0.0.1:9", "erp", "none")
    with pytest.raises(NotStarted) as refused, Hospital(tmp_path, estate=LAKESHORE, erp=no_erp, database_url=url):
        raise AssertionError("it started")
    said = str(refused.value)
    assert said.startswith("The database cannot be used: ")
    assert "\n" not in said
    assert theirs.password not in said
    assert "guess" not in said
