"""Where nobody has said yet who they are, an address has so many requests, so many at once, and so long for each body."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from tests.gateway.supply_door import SupplyDoor
from tests.gateway.supply_estate import supply_estate

from hilum.authoring.estate_transport import HttpDoor, PageLimits
from hilum.gateway import addresses, contents
from hilum.gateway.addresses import OpenRequests, TooManyOpen, counted_as
from hilum.gateway.identity import forms

SLOW = b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\na"


async def _token(request: Request) -> Response:
    return PlainTextResponse((await forms.form(request)).get("grant_type") or "none")


def at(door: Callable[..., None], story: Any, burst: int = 1000) -> None:
    """A door with a page that reads forms and asks nobody who they are."""
    estate = supply_estate()
    estate.doors = {"gateway": HttpDoor(pages=PageLimits(requests_per_minute=1, burst=burst))}
    signing_in = Starlette(routes=[Route("/token", _token, methods=["POST"])])
    door(story, estate=estate, pages=lambda admit: [Mount("/identity", signing_in)], open_paths=("/identity",))


async def begun(one: SupplyDoor, head: bytes = b"POST /identity/token HTTP/1.1\r\nHost: x\r\n") -> asyncio.StreamReader:
    """A request whose body is announced and does not come."""
    reader, writer = await asyncio.open_connection(one.served.host, one.served.port)
    writer.write(head + SLOW)
    await writer.drain()
    reader.writer = writer  # type: ignore[attr-defined] - Open as long as the reader is.
    return reader


async def open_are(one: SupplyDoor, many: int) -> None:
    """Wait until the door has begun, or ended, that many of them."""
    for _ in range(2_000):
        if one.door._open._open.total() == many:
            return
        await asyncio.sleep(0.005)
    raise AssertionError(f"{one.door._open._open} and not {many} are open")


async def status_of(reader: asyncio.StreamReader) -> int:
    """The status of what the door answers before it closes the connection."""
    answer = await asyncio.wait_for(reader.read(), 20)
    assert b"connection: close" in answer.lower()
    return int(answer.split(b" ", 2)[1])


def test_a_form_that_does_not_arrive_is_not_waited_for(
    door: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forms, "BODY_SECONDS", 0.1)

    async def story(one: SupplyDoor) -> None:
        assert await status_of(await begun(one)) == 408
        answer = await one.client.post("/identity/token", data={"grant_type": "refresh_token"})
        assert answer.status_code == 200 and answer.text == "refresh_token"

    at(door, story)


def test_no_body_is_waited_for_longer_than_ten_seconds() -> None:
    assert forms.BODY_SECONDS == contents.BODY_SECONDS == 10


def test_one_address_holds_few_of_the_doors_places(door: Callable[..., None]) -> None:
    async def story(one: SupplyDoor) -> None:
        held = [await begun(one) for _ in range(addresses.MOST_OPEN)]
        await open_are(one, addresses.MOST_OPEN)
        for _ in range(3):
            assert await status_of(await begun(one)) == 429
        # The door's other callers, and those who say who they are from the same address, go on.
        assert (await one.ask("ana", "GET", "/supply/v1/orders/PO-1")).status_code == 200
        for reader in held:
            reader.writer.close()  # type: ignore[attr-defined]
        await open_are(one, 0)
        assert (await one.client.post("/identity/token", data={"grant_type": "x"})).status_code == 200

    at(door, story)


def test_an_address_has_so_many_requests_to_open_paths(door: Callable[..., None]) -> None:
    async def story(one: SupplyDoor) -> None:
        form = {"grant_type": "x"}
        told = [(await one.client.post("/identity/token", data=form)) for _ in range(4)]
        assert [answer.status_code for answer in told] == [200, 200, 429, 429]
        assert told[2].headers["content-type"] == "application/problem+json"
        assert told[2].json()["type"] == "/problems/too-many-requests"
        assert 1 <= int(told[2].headers["retry-after"]) <= 60
        assert (await one.client.get("/identity/nothing")).status_code == 429, "what is not there is counted too"
        assert (await one.client.get("/health")).status_code == 200
        assert (await one.ask("ana", "GET", "/supply/v1/orders/PO-1")).status_code == 200

    at(door, story, burst=2)


@pytest.mark.parametrize(
    ("peer", "counted"),
    [
        ("10.1.2.3", "10.1.2.3"),
        ("2001:db8:0:1:aaaa:bbbb:cccc:dddd", "2001:db8:0:1::/64"),
        ("2001:db8:0:1::7", "2001:db8:0:1::/64"),
        ("2001:db8:0:2::7", "2001:db8:0:2::/64"),
        ("::ffff:10.1.2.3", "10.1.2.3"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("/run/hilum.sock", "/run/hilum.sock"),
    ],
)
def test_a_network_of_ipv6_is_one_address(peer: str, counted: str) -> None:
    assert counted_as(peer) == counted


def test_a_place_is_free_again_however_its_request_ended() -> None:
    requests = OpenRequests(most=1)
    for _ in range(3):
        with pytest.raises(OSError), requests.one("10.1.2.3"):
            with pytest.raises(TooManyOpen), requests.one("10.1.2.3"):
                raise AssertionError("a second one was let in")
            with requests.one("10.1.2.4"):
                raise OSError
    assert not requests._open, "nothing is remembered of who is gone"
