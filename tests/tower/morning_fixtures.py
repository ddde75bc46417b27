"""The fixtures of the played morning, for every folder whose tests look at one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import count

import pytest
from tests.tower.lakeshore_day import play

from hilum.store.postgres_server import EmbeddedPostgres

_numbers = count(1)
_played: dict[int, str] = {}  # Two folders share the fixture, and pytest would play the morning for each.


@pytest.fixture(scope="session")
def morning_template(
    postgres: EmbeddedPostgres, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> str:
    """The name of a database in which the morning was played, to be copied."""
    if id(postgres) not in _played:
        name = "hilum_morning"
        url = postgres.create_database(name, template=migrated_template)
        asyncio.run(play(url, tmp_path_factory.mktemp("morning-audit")))
        _played[id(postgres)] = name
    return _played[id(postgres)]


@pytest.fixture
def morning_url(postgres: EmbeddedPostgres, morning_template: str) -> Iterator[str]:
    """A copy of the morning for this test alone."""
    name = f"hilum_morning_{next(_numbers)}"
    yield postgres.create_database(name, template=morning_template)
    postgres.drop_database(name)
