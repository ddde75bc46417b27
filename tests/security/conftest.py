"""What the tests of grants and approvals share: a real database, Lakeshore's policies, and its people."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.security.duties import EVERYWHERE, Records

from hilum.authoring.estate import Estate
from hilum.authoring.estate_identity import ServiceSpec
from hilum.security.policies import Policies
from hilum.store.pool import open_pool

LAKESHORE = Path(__file__).parents[2] / "estates" / "lakeshore"


@pytest.fixture(scope="session")
def lakeshore_policies() -> Policies:
    return Policies({f"policies/{file.name}": file.read_text() for file in (LAKESHORE / "policies").glob("*.cedar*")})


@pytest.fixture
def lakeshore() -> Estate:
    """Lakeshore as far as grants and approvals look at it."""
    return Estate(
        LAKESHORE,
        "lakeshore",
        facilities={code: code for code in sorted(EVERYWHERE)},
        queues={"privacy": "compliance"},
        same_person={"ana": ("a.silva", "248289761001")},
        services={"ap-bot": ServiceSpec(name="ap-bot", owner="person:ana")},
    )


@pytest.fixture
def records(database_url: str) -> Iterator[Records]:
    with asyncio.Runner() as runner:
        pool = runner.run(open_pool(database_url, min_size=1, max_size=8, application_name="test"))
        yield Records(runner, pool)
        runner.run(pool.close())
