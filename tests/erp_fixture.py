"""The real ERP for every test that asks: built once and cached, one server for the session."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hilum.testing.neighbours.faulty_proxy import FaultyProxy
from hilum.testing.neighbours.tryton import Tryton
from hilum.testing.neighbours.tryton_cache import NotInstallable
from hilum.testing.neighbours.tryton_seed import ErpSeed

LAKESHORE = Path(__file__).parents[1] / "estates" / "lakeshore"


@pytest.fixture(scope="session")
def erp() -> Iterator[Tryton]:
    """Lakeshore's ERP, shared: tests keep apart by their keys."""
    tryton = Tryton(ErpSeed.from_estate(LAKESHORE, today=datetime.now(UTC).date()))
    try:
        with tryton:
            yield tryton
    except NotInstallable as absent:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"the ERP cannot be installed here: {absent}")


@pytest.fixture
def erp_line(erp: Tryton) -> Iterator[FaultyProxy]:
    """The network between the platform and the ERP, which fails on request."""
    with FaultyProxy(erp.base_url) as proxy:
        yield proxy
