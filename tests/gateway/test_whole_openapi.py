"""Everything that is published, asked by a generator that reads the published document (schemathesis): whatever it sends,
nothing is a server error, nothing is answered outside the document, and nothing is answered to nobody.

The ERP behind is the real one; inventory, billing and the payer are the simulated ones.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.connectors.benches import KNEES_AT_ST_MARY
from tests.connectors.test_payer_x12 import ANNA
from tests.connectors.test_payer_x12 import connector as payer_at
from tests.gateway.lakeshore_door import FACILITIES, STAFF, LakeshoreSso, lakeshore
from tests.gateway.supply_door import supply_door

from hilum.authoring.estate import Estate
from hilum.authoring.estate_door import Limits
from hilum.connectors.billing_hl7v2 import BillingAccounts, BillingHl7
from hilum.connectors.inventory_rest import InventoryRest
from hilum.connectors.tryton import TrytonErp
from hilum.governance.openapi import openapi, published_operations
from hilum.security.policies import Policies
from hilum.testing.neighbours.launch import simulated_billing, simulated_inventory, simulated_payer
from hilum.testing.neighbours.tryton import Tryton
from hilum.transports.mllp import MllpClient

pytestmark = pytest.mark.erp

SCHEMA = schemathesis.openapi.from_dict(openapi(lakeshore()))
OFTEN = settings(
    max_examples=10, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), phases=[Phase.explicit, Phase.generate]
)  # fmt: skip
SELDOM = settings(OFTEN, max_examples=3)
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EVERY_ROLE = sorted({role for held, _ in STAFF.values() for role in held} - {"compliance-auditor"})
"""All of them in one person, but for the one that takes all others' rights away."""


class Everybody(LakeshoreSso):
    """A provider whose person ``omni`` has every role at every facility."""

    def token(self, who: str, **claims: Any) -> str:
        if who == "omni":
            claims = {"groups": [*EVERY_ROLE, *FACILITIES], **claims}
        return super().token(who, **claims)


def unhurried() -> Estate:
    """Lakeshore without limits that a generator would only run into."""
    estate = lakeshore()
    wide = Limits(requests_per_minute=100_000, burst=10_000, concurrency=64, timeout_seconds=30)
    specs = {name: spec.model_copy(update={"limits": wide}) for name, spec in estate.api_specs.items()}
    return replace(estate, api_specs=specs)


@dataclass
class Served:
    """The door while the tests ask it."""

    url: str
    tokens: dict[str, str]

    def as_(self, who: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tokens[who]}"}


@pytest.fixture(scope="module")
def door(
    tmp_path_factory: pytest.TempPathFactory, postgres: Any, migrated_template: str, erp: Tryton
) -> Iterator[Served]:
    """One door for all, on a loop in a thread of its own."""
    here = tmp_path_factory.mktemp("whole")
    for name in ("stock", "billing", "payer"):
        (here / name).write_text(f"{name}-token")
    shelves = [KNEES_AT_ST_MARY]
    with (
        simulated_inventory(
            here, token_file=here / "stock", positions=shelves, locations={"STM-OR1": "ST-MARY"}
        ) as stock,
        simulated_billing(here, token_file=here / "billing") as billing,
        simulated_payer(here, token_file=here / "payer", members=[ANNA]) as payer,
    ):
        url = postgres.create_database("hilum_whole_openapi", template=migrated_template)
        ready, told = threading.Event(), {}
        loop = asyncio.new_event_loop()
        finished = asyncio.Event()

        async def serving() -> None:
            mllp = MllpClient("127.0.0.1", billing.ports["mllp-port"], system="billing")
            accounts = BillingAccounts(billing.url, "billing-token", 5.0)
            systems = {
                "erp": TrytonErp(erp.base_url, erp.database, erp.api_key, timeout_seconds=20),
                "stock": InventoryRest(stock.url, "stock-token"),
                "billing": BillingHl7(mllp.exchange, clock=_now, ping=mllp.ping, close=mllp.close, accounts=accounts),
                "payer": payer_at(f"{payer.url}/270", token="payer-token"),
            }
            estate = unhurried()
            sso = Everybody()
            async with supply_door(
                url, here / "unused.json", estate=estate, sso=sso, point=Policies(estate.policies), connectors=systems
            ) as one:
                told["served"] = Served(one.served.url, {who: sso.token(who) for who in ("omni", "olaf")})
                ready.set()
                await finished.wait()
            for system in systems.values():
                await system.close()

        thread = threading.Thread(target=lambda: loop.run_until_complete(serving()), daemon=True)
        thread.start()
        assert ready.wait(60), "the door did not open"
        yield told["served"]
        loop.call_soon_threadsafe(finished.set)
        thread.join(30)


def _now() -> datetime:
    return datetime.now(UTC)


@SCHEMA.parametrize()
@OFTEN
def test_whoever_may_do_most_gets_what_the_document_says(case: schemathesis.Case, door: Served) -> None:
    case.call_and_validate(base_url=door.url, headers=door.as_("omni"), checks=CHECKS)


@SCHEMA.parametrize()
@SELDOM
def test_a_supplier_gets_what_the_document_says(case: schemathesis.Case, door: Served) -> None:
    case.call_and_validate(base_url=door.url, headers=door.as_("olaf"), checks=CHECKS)


@SCHEMA.parametrize()
@SELDOM
def test_without_a_token_nothing_is_answered(case: schemathesis.Case, door: Served) -> None:
    case.headers.pop("Authorization", None)
    answer = case.call_and_validate(base_url=door.url, checks=CHECKS)
    # Which addresses there are, and which methods they take, stands in the published document; all else asks who is there.
    assert answer.status_code in (401, 404, 405)
    assert answer.headers["content-type"] == ["application/problem+json"]
    if answer.status_code == 401:
        assert answer.headers["www-authenticate"][0].startswith("Bearer")


def test_every_published_operation_is_among_those_that_are_asked() -> None:
    asked = {f"{r.ok().method.upper()} {r.ok().path}" for r in SCHEMA.get_all_operations()}
    assert asked == {f"{o.method} {o.route}" for o in published_operations(lakeshore())}
    assert len(asked) > 40
