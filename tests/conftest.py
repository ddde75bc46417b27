"""A real PostgreSQL for every test that asks: one server for the session, one database for each test."""

import asyncio
import os
from collections.abc import Generator, Iterator
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from hilum.store.migrations import migrate
from hilum.store.postgres_server import EmbeddedPostgres
from tests.erp_fixture import erp, erp_line  # noqa: F401 - fixtures of the whole suite.

TESTS = Path(__file__).parent
# How long an example takes says how busy the machine is, and nothing of what is tested.
settings.register_profile("hilum", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("hilum")
# The session's data is thrown away, so it need not survive a power cut. Commits still reach the operating system before
# they are acknowledged: tests that kill processes see what production would.
THROWN_AWAY = {"fsync": "off", "full_page_writes": "off", "shared_buffers": "128MB"}


# Files are handed out in this order: one that takes minutes and comes last would keep a single process busy at the end.
LONGEST_FIRST = ("crash", "properties", "connectors", "security", "gateway", "fuzz")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The folders whose files take longest come first; the order within a folder stays."""

    def rank(item: pytest.Item) -> int:
        folder = item.path.relative_to(TESTS).parts[0]
        return LONGEST_FIRST.index(folder) if folder in LONGEST_FIRST else len(LONGEST_FIRST)

    items.sort(key=rank)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a skip is a failure: everything a test needs has to be there, or the suite promises what nobody looked at."""
    report = yield
    if os.environ.get("CI") and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, which CI does not allow: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """The session's server."""
    with EmbeddedPostgres(tmp_path_factory.mktemp("postgres") / "server", settings=THROWN_AWAY) as server:
        yield server


@pytest.fixture(scope="session")
def migrated_template(postgres: EmbeddedPostgres) -> str:
    """The name of a database with all migrations, to be copied."""
    name = "hilum_template"
    asyncio.run(migrate(postgres.create_database(name)))
    return name


_numbers = count(1)


@pytest.fixture
def database_url(postgres: EmbeddedPostgres, migrated_template: str) -> Iterator[str]:
    """A fresh, migrated database of this test alone."""
    name = f"hilum_test_{next(_numbers)}"
    yield postgres.create_database(name, template=migrated_template)
    postgres.drop_database(name)
