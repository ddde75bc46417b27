"""Secrets that were changed while a process runs: the next request carries the new one, and a 401 counts only after that."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest
from tests.object_store import ObjectStore, object_store
from tests.security.test_vault import ROOT, Bao, bao

from hilum.app.archive import head_places
from hilum.app.connectors import connect
from hilum.audit.places import PlaceAway
from hilum.authoring.estate import Estate, Policy, SystemSpec
from hilum.authoring.estate_evidence import EvidenceSpec
from hilum.authoring.estate_transport import EgressSpec
from hilum.authoring.failures import Refused
from hilum.model.identifiers import ItemNumber, LocationCode
from hilum.model.supply import Movement, Shelf
from hilum.security.renewing import LEAST_SECONDS, Renewing, Secret
from hilum.security.secrets import SecretMissing

__all__ = ["bao", "object_store"]

MOVEMENT = Movement(
    location=LocationCode(value="OR-3"), item=ItemNumber(value="KNEE-99"), quantity_each=1, reference="U-1", reason="used"
)  # fmt: skip
SHELF = {
    "location": "OR-3",
    "item": "KNEE-99",
    "on_hand": 4,
    "reorder_point": 1,
    "par": 6,
    "last_receipt": "R-1",
    "movement": "M-1",
}


def put(path: Path, value: str) -> None:
    """In place in one step, as whoever rotates secrets does."""
    part = path.with_suffix(".part")
    part.touch(mode=0o600)
    part.write_text(value)
    part.rename(path)


@dataclass
class Stock:
    """The inventory platform's door: it takes one token, and keeps what it was sent."""

    takes: str = "spring"
    heard: list[tuple[str, str, bytes]] = field(default_factory=list)
    on_refusal: Callable[[], None] = lambda: None

    def answer(self, request: httpx2.Request) -> httpx2.Response:
        token = request.headers["authorization"].removeprefix("Bearer ")
        self.heard.append((token, request.headers.get("idempotency-key", ""), request.content))
        if token == self.takes:
            return httpx2.Response(200, json=SHELF)
        self.on_refusal()
        return httpx2.Response(401)

    @property
    def tokens(self) -> list[str]:
        return [token for token, _, _ in self.heard]

    def way(self, secret: Secret) -> httpx2.AsyncClient:
        transport = Renewing(httpx2.MockTransport(self.answer), secret)
        return httpx2.AsyncClient(base_url="http://stock.example", transport=transport)


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    put(tmp_path / "stock-token", "spring\n")
    return tmp_path / "stock-token"


def run(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(story())


def test_a_file_that_was_replaced_is_used_from_the_next_request_on(kept: Path) -> None:
    async def story() -> None:
        stock = Stock()
        async with stock.way(Secret("file:stock-token", kept.parent)) as way:
            assert (await way.get("/health")).status_code == 200
            put(kept, "summer\n")
            stock.takes = "summer"
            assert (await way.get("/health")).status_code == 200
        assert stock.tokens == ["spring", "summer"], "without a refusal in between"

    run(story)


def test_a_401_is_answered_by_reading_the_secret_anew_and_repeating_the_same_request(kept: Path) -> None:
    """The file is replaced between the reading and the refusal: the hardest moment for whoever rotates."""

    async def story() -> None:
        stock = Stock(takes="summer", on_refusal=lambda: put(kept, "summer"))
        async with stock.way(Secret("file:stock-token", kept.parent)) as way:
            answer = await way.post("/movements", json={"quantity": 1}, headers={"idempotency-key": "K-1"})
        assert answer.status_code == 200 and stock.tokens == ["spring", "summer"]
        assert {(key, content) for _, key, content in stock.heard} == {("K-1", b'{"quantity":1}')}

    run(story)


def test_a_401_that_a_new_reading_does_not_change_counts_at_once(kept: Path) -> None:
    async def story() -> None:
        stock = Stock(takes="winter")
        async with stock.way(Secret("file:stock-token", kept.parent)) as way:
            assert (await way.get("/health")).status_code == 401
        assert stock.tokens == ["spring"]

    run(story)


def test_a_system_that_refuses_the_new_secret_too_is_asked_no_third_time(kept: Path) -> None:
    async def story() -> None:
        stock = Stock(takes="winter", on_refusal=lambda: put(kept, "summer"))
        async with stock.way(Secret("file:stock-token", kept.parent)) as way:
            assert (await way.get("/health")).status_code == 401
        assert stock.tokens == ["spring", "summer"]

    run(story)


def test_requests_that_were_under_way_together_all_get_the_new_secret(kept: Path) -> None:
    async def story() -> None:
        stock = Stock(takes="summer", on_refusal=lambda: put(kept, "summer"))
        async with stock.way(Secret("file:stock-token", kept.parent)) as way:
            answers = await asyncio.gather(*(way.get("/health") for _ in range(8)))
        assert {answer.status_code for answer in answers} == {200}

    run(story)


@pytest.mark.parametrize("trouble", ["gone", "empty", "open to all"])
def test_what_cannot_be_read_leaves_the_last_good_value_in_use_and_is_told_once(
    kept: Path, trouble: str, caplog: pytest.LogCaptureFixture
) -> None:
    secret = Secret("file:stock-token", kept.parent)
    if trouble == "gone":
        kept.unlink()
    elif trouble == "empty":
        put(kept, "")
    else:
        put(kept, "summer")
        kept.chmod(0o644)
    assert [secret.now() for _ in range(3)] == ["spring"] * 3
    assert caplog.text.count("what was read before stays in use") == 1 and "summer" not in caplog.text
    put(kept, "autumn")
    assert secret.now() == "autumn"


def test_a_secret_that_was_never_there_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(SecretMissing):
        Secret("file:nothing", tmp_path)


def test_a_secret_changed_in_vault_is_read_past_what_is_kept_when_a_system_refuses(bao: Bao, tmp_path: Path) -> None:
    bao.keeps("hilum/stock", token="spring")
    moment = [0.0]
    environment = bao.environment(VAULT_TOKEN=ROOT)
    secret = Secret("vault:secret/hilum/stock#token", tmp_path, environment, moment=lambda: moment[0])

    async def story() -> None:
        stock = Stock()
        async with stock.way(secret) as way:
            await way.get("/health")
            bao.keeps("hilum/stock", token="summer")
            assert secret.now() == "spring", "Vault is not asked before each request"
            stock.takes = "summer"
            assert (await way.get("/health")).status_code == 200
            assert stock.tokens == ["spring", "spring", "summer"]
            bao.keeps("hilum/stock", token="autumn")
            stock.takes = "autumn"
            assert (await way.get("/health")).status_code == 401, "Vault was asked a moment ago"
            moment[0] += LEAST_SECONDS
            assert (await way.get("/health")).status_code == 200

    run(story)


# --- as the platform makes them ----------------------------------------------------------------------------------


@asynccontextmanager
async def stock_on_a_socket(stock: Stock) -> AsyncIterator[str]:
    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            lines = dict(line.split(": ", 1) for line in head.splitlines()[1:] if line)
            lines = {name.lower(): value for name, value in lines.items()}
            body = await reader.readexactly(int(lines.get("content-length", "0")))
            request = httpx2.Request("POST", "http://stock.example", headers=lines, content=body)
            answer = stock.answer(request)
            said = answer.content
            writer.write(
                b"HTTP/1.1 %d OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % (answer.status_code, len(said))
                + said
            )
            await writer.drain()
        except asyncio.IncompleteReadError:
            pass
        writer.close()

    listening = await asyncio.start_server(take, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    finally:
        listening.close()


def test_a_delivery_after_the_rotation_goes_through_and_no_process_is_restarted(kept: Path) -> None:
    async def story() -> None:
        stock = Stock()
        async with stock_on_a_socket(stock) as url:
            spec = SystemSpec(
                name="stock", egress=EgressSpec(networks=("127.0.0.0/8",)), policy=Policy(timeout_seconds=5),
                connect={"connector": "inventory_rest", "url": url, "token": "file:stock-token"},
            )  # fmt: skip
            connections = connect(Estate(Path(), "lakeshore", systems={"stock": spec}), kept.parent)
            take = connections.to("stock").connector.take
            shelf: Shelf = await take(MOVEMENT, key="K-1")
            stock.takes, stock.on_refusal = "summer", lambda: put(kept, "summer")
            assert (await take(MOVEMENT, key="K-2")) == shelf
            stock.takes, stock.on_refusal = "winter", lambda: None
            with pytest.raises(Refused, match="answered 401"):
                await take(MOVEMENT, key="K-3")
            await connections.close()
        assert stock.tokens == ["spring", "spring", "summer", "summer"]
        assert all(orjson.loads(content)["item"] == "KNEE-99" for _, _, content in stock.heard)

    run(story)


def test_the_credentials_of_an_object_store_are_those_of_the_file_as_it_is_now(
    object_store: ObjectStore, tmp_path: Path
) -> None:
    bucket = object_store.bucket("rotated")
    put(tmp_path / "store", "AKIAOLD:revoked")
    place = f"s3://{bucket}/x?endpoint={object_store.url}&credentials=file:store"
    (heads,) = head_places(Estate(tmp_path, "lakeshore", evidence=EvidenceSpec(publish_to=(place,))), tmp_path)
    with pytest.raises(PlaceAway, match="InvalidAccessKeyId"):
        heads.newest()
    put(tmp_path / "store", object_store.secret)
    assert heads.newest() is None
