"""Documents and metrics have allowances too: of the person or program that reads them, or of the address that says not who."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError
from tests.gateway.supply_door import SupplyDoor
from tests.gateway.supply_estate import POLICIES, supply_estate

from hilum.authoring.estate import Estate
from hilum.authoring.estate_transport import HttpDoor, PageLimits
from hilum.gateway.documents import document_routes
from hilum.runtime.allowances import Allowances, Taken
from hilum.security.policies import Policies

READERS = (
    POLICIES + '@id("documents") permit (principal, action == Hilum::Action::"read", resource is Hilum::Document);'
)


def slow_reading(burst: int = 2) -> Estate:
    """An estate whose readers may open two pages, and one more each minute."""
    estate = supply_estate()
    estate.doors = {"gateway": HttpDoor(pages=PageLimits(requests_per_minute=1, burst=burst))}
    return estate


def at(door: Callable[..., None], story: Any, estate: Estate | None = None) -> None:
    estate = estate if estate is not None else slow_reading()
    door(
        story, estate=estate, point=Policies({"policies/supply.cedar": READERS}),
        pages=lambda admit: document_routes(estate, admit),
    )  # fmt: skip


def test_who_reads_too_much_is_told_when_to_come_back(door: Callable[..., None]) -> None:
    async def story(one: SupplyDoor) -> None:
        first = await one.ask("ana", "GET", "/docs")
        assert first.status_code == 200
        assert first.headers["ratelimit-policy"] == '"rate";q=2;w=120' and first.headers["ratelimit"].startswith(
            '"rate";r=1'
        )
        assert (await one.ask("ana", "GET", "/openapi.json")).status_code == 200
        refused = await one.ask("ana", "GET", "/docs")
        assert refused.status_code == 429 and refused.headers["content-type"] == "application/problem+json"
        assert refused.json()["type"] == "/problems/too-many-requests"
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert (await one.ask("ben", "GET", "/docs")).status_code == 200, "another reader has an allowance of his own"
        assert (await one.ask("ana", "GET", "/docs/static/page.css")).status_code == 429

    at(door, story)


def test_metrics_are_counted_with_the_documents(door: Callable[..., None]) -> None:
    async def story(one: SupplyDoor) -> None:
        assert [(await one.ask("olga", "GET", "/metrics")).status_code for _ in range(3)] == [200, 200, 429]

    at(door, story)


def test_whoever_says_not_who_he_is_has_his_addresss_allowance_and_so_has_a_forged_token(
    door: Callable[..., None],
) -> None:
    async def story(one: SupplyDoor) -> None:
        forged = {"authorization": "Bearer ey.ey.ey"}
        assert (await one.ask(None, "GET", "/docs")).status_code == 401
        assert (await one.ask(None, "GET", "/metrics", headers=forged)).status_code == 401
        assert (await one.ask(None, "GET", "/docs")).status_code == 429
        assert (await one.ask(None, "GET", "/metrics", headers=forged)).status_code == 429
        assert (await one.ask(None, "GET", "/health")).status_code == 200, "liveness is nobody's reading"
        assert (await one.ask("ana", "GET", "/docs")).status_code == 200

    at(door, story)


def test_all_processes_count_together(door: Callable[..., None]) -> None:
    async def story(one: SupplyDoor) -> None:
        other = Allowances(one.pool, time_zone="UTC", monotonic=one.stages.allowances._monotonic)  # type: ignore[attr-defined]
        for _ in range(2):
            assert (await other.take("page:peer:127.0.0.1", 1, 2)).allowed
        assert (await one.ask(None, "GET", "/docs")).status_code == 429

    at(door, story)


def test_when_nobody_can_count_nothing_is_shown(door: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    async def store_away(self: Any, key: str, *agreed: Any) -> Taken:
        return Taken(False, 2, 0, 5.0, 5.0, refused="store")

    async def story(one: SupplyDoor) -> None:
        monkeypatch.setattr(Allowances, "take", store_away)
        refused = await one.ask("ana", "GET", "/docs")
        assert refused.status_code == 503 and refused.headers["retry-after"] == "5"

    at(door, story)


def test_an_estate_that_says_nothing_is_generous(door: Callable[..., None]) -> None:
    async def story(one: SupplyDoor) -> None:
        assert {(await one.ask("ana", "GET", "/docs")).status_code for _ in range(100)} == {200}

    at(door, story, supply_estate())


@pytest.mark.parametrize("wrong", [{"burst": 0}, {"requests_per_minute": 0}, {"per_second": 1}])
def test_limits_that_are_none_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        HttpDoor.model_validate({"pages": wrong})
