"""Every way in which vendors say how long to wait, and which of their doors will close."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx2
import pytest
from tests.connectors.benches import TOKEN, movement

from hilum.authoring.failures import Throttled
from hilum.connectors.inventory_rest import InventoryRest
from hilum.connectors.vendor_answers import Announcement, Announcements, Listening, wait_seconds
from hilum.testing.neighbours.launch import simulated_inventory

DATE = "Sat, 21 Nov 2026 08:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        pytest.param({"retry-after": "30"}, 30.0, id="seconds"),
        pytest.param(
            {"retry-after": "Sat, 21 Nov 2026 08:02:00 GMT", "date": DATE}, 120.0, id="a date, by the vendor's clock"
        ),
        pytest.param({"retry-after": "Sat, 21 Nov 2026 07:00:00 GMT", "date": DATE}, 0.0, id="a date that is over"),
        pytest.param({"retry-after": "Sat, 21 Nov 2026 08:02:00 GMT"}, None, id="a date and no clock to read it by"),
        pytest.param({"ratelimit": '"minute";r=0;t=42, "day";r=500;t=40000'}, 42.0, id="the limit that is spent"),
        pytest.param(
            {"ratelimit": '"minute";r=0;t=42, "day";r=0;t=40000'}, 40000.0, id="the longer of two that are spent"
        ),
        pytest.param({"ratelimit": '"minute";r=9;t=42'}, None, id="no limit is spent"),
        pytest.param({"ratelimit-reset": "17"}, 17.0, id="the older draft"),
        pytest.param({"x-ratelimit-reset": "1795248060", "date": DATE}, 60.0, id="a time since 1970"),
        pytest.param({"retry-after": "5", "ratelimit-reset": "17"}, 5.0, id="Retry-After goes first"),
        pytest.param({"retry-after": "soon"}, None, id="words"),
        pytest.param({"retry-after": "-3"}, None, id="less than nothing"),
        pytest.param({}, None, id="nothing"),
    ],
)
def test_how_long_a_vendor_asks_us_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert wait_seconds(httpx2.Headers(headers)) == seconds


def test_what_a_vendor_announces_is_remembered_by_route_and_without_numbers() -> None:
    met = Announcements()
    link = '<https://vendor.example/v2>; rel="successor-version"'
    headers = {"deprecation": "@1767225600", "sunset": "Thu, 31 Dec 2026 23:59:59 GMT", "link": link}
    for number in (17, 18):
        met.met("GET", f"/patients/{number}/balance?name=x", headers)
    met.met("GET", "/health", {})
    assert met.take() == [
        Announcement(
            "GET /patients/.../balance",
            "2026-01-01T00:00:00+00:00",
            "2026-12-31T23:59:59+00:00",
            "https://vendor.example/v2",
        )
    ]
    assert met.take() == []


def test_announcements_are_heard_on_every_answer_of_a_connection() -> None:
    met = Announcements()

    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"Sunset": "Thu, 31 Dec 2026 23:59:59 GMT"}, json={})

    async def story() -> None:
        stock = InventoryRest("http://stock.example", TOKEN, transport=Listening(httpx2.MockTransport(answer), met))
        await stock.ping()
        await stock.close()

    asyncio.run(story())
    assert [announcement.route for announcement in met.take()] == ["GET /health"]


def test_a_platform_that_counts_our_requests_is_not_taken_for_one_that_is_away(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(TOKEN)

    async def story(url: str) -> None:
        stock = InventoryRest(url, TOKEN, timeout_seconds=2)
        with pytest.raises(Throttled) as told:
            await stock.take(movement("U-1"), key="U-1/take")
        assert told.value.retry_after_seconds == 7
        await stock.close()

    with simulated_inventory(tmp_path, token_file=token, positions=[]) as inventory:
        inventory.fault("throttled", seconds=7)
        asyncio.run(story(inventory.url))
