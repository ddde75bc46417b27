"""An ERP of these tests' own: they close its periods, agree its prices and count its journals."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from tests.crash.worlds import LAKESHORE

from hilum.testing.neighbours.tryton import Tryton
from hilum.testing.neighbours.tryton_seed import ErpSeed


@pytest.fixture(scope="session")
def erp() -> Iterator[Tryton]:
    """Seeded as everybody's, shared by the tests of this folder alone."""
    with Tryton(ErpSeed.from_estate(LAKESHORE, today=datetime.now(UTC).date())) as tryton:
        yield tryton
