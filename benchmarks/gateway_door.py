"""What the benchmark of the gateway serves: the same three handlers, bare under Starlette and behind the whole door."""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import random
import sys
import tempfile
import time
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import uvloop
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet
from pydantic import Field
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hilum.audit.access import AccessLog
from hilum.authoring import Api, Confidential, Contract, Financial, Page, PageRequest
from hilum.authoring.estate import Estate
from hilum.authoring.estate_door import ApiSpec, Limits, Slo, VersionSpec
from hilum.authoring.estate_identity import IdentitySpec, IssuerSpec, ServiceSpec
from hilum.gateway.admission import Admission
from hilum.gateway.answers import Shown
from hilum.gateway.cursors import Cursors
from hilum.gateway.decisions import Decisions
from hilum.gateway.door import Door
from hilum.gateway.etags import Tags
from hilum.gateway.grants import BreakGlassGrants
from hilum.gateway.idempotency import IdempotencyKeys
from hilum.gateway.incidents import Incidents
from hilum.gateway.platform import OwnPlatform
from hilum.gateway.running import Handlers
from hilum.gateway.stages import Stages
from hilum.gateway.usage import EVERY_SECONDS, Usage
from hilum.governance.loader import load_estate
from hilum.masterdata.book import CrosswalkBook
from hilum.model.where import Where
from hilum.runtime.allowances import Allowances
from hilum.runtime.breakers import Breakers
from hilum.runtime.connections import Connections
from hilum.runtime.deliveries import Deliveries
from hilum.runtime.intake import Intake
from hilum.runtime.loops import standing
from hilum.security.identity import Authenticator, PublicKeys, Revocations
from hilum.security.policies import Policies
from hilum.security.sealing.key_file import LocalKeyFile
from hilum.security.sealing.protected import Protection
from hilum.security.sealing.sealer import open_sealer
from hilum.store.pool import open_pool
from hilum.transports.http import serve

LAKESHORE = Path(__file__).parents[1] / "estates" / "lakeshore"
ISSUER = "https://sso.lakeshore.test"
LISTED = 20


class Line(Contract, version=1, owner="supply-chain"):
    """One line of an order."""

    item: str
    description: str
    quantity: Annotated[int, Field(gt=0)]
    price: Annotated[Decimal, Financial]


class Order(Contract, version=1, owner="supply-chain"):
    """An order of three lines, with a field that nobody here may see."""

    number: str
    revision: int
    facility: str
    supplier: str
    department: str
    ordered_on: date
    total: Annotated[Decimal, Financial]
    bank_account: Annotated[str | None, Confidential] = None
    lines: tuple[Line, ...]


class Note(Contract, version=1, owner="supply-chain"):
    """What is changed."""

    text: Annotated[str, Field(max_length=200)]
    wanted_on: date
    lines: tuple[Line, ...]


def now() -> datetime:
    return datetime.now(UTC)


def an_order(number: str) -> Order:
    lines = tuple(
        Line(item=f"KNEE-{n}", description="Tibial tray, cemented, size 4", quantity=2, price=Decimal("1250.00"))
        for n in range(3)
    )
    return Order(
        number=number, revision=3, facility="ST-MARY", supplier="ORTHO", department="OR-1", ordered_on=date(2026, 11, 2),
        total=Decimal("7500.00"), bank_account="DE-440010023", lines=lines,
    )  # fmt: skip


orders = Api("orders")
OF_ORDERS = {"facility": "facility", "supplier": "supplier", "department": "department"}


@orders.get("/orders/{number}", resource="Order", attributes=OF_ORDERS)
async def order(number: str) -> Order | None:
    """One order."""
    return an_order(number)


@orders.list("/orders", resource="Order", attributes=OF_ORDERS)
async def list_orders(where: Where, page: PageRequest) -> Page[Order]:
    """Twenty orders."""
    return Page(tuple(an_order(f"PO-{n}") for n in range(page.limit)), "20")


def about(number: str) -> dict[str, str]:
    return {"facility": "ST-MARY", "supplier": "ORTHO", "department": "OR-1"}


async def about_order(number: str) -> dict[str, str]:
    return about(number)


@orders.put("/orders/{number}", resource="Order", attributes=OF_ORDERS, about=about_order)
async def change(number: str, body: Note) -> Order | None:
    """Change one: decided, done and durably recorded."""
    return an_order(number)


async def bare(url: str) -> Starlette:
    """The framework alone: route, handler, contract to JSON. Nobody is asked who they are.

    What is posted is also written: one row, durable before the answer, by the pool's own ``execute``. Whatever records a
    change pays at least that.
    """
    pool = await open_pool(url, min_size=2, max_size=16)
    await pool.execute("CREATE TABLE written (id bigint GENERATED ALWAYS AS IDENTITY, at timestamptz, note bytea)")

    async def one(request: Request) -> Response:
        found = await order(request.path_params["number"])
        assert found is not None
        return Response(found.model_dump_json(), media_type="application/json")

    async def several(request: Request) -> Response:
        page = await list_orders(None, PageRequest(int(request.query_params["limit"])))  # type: ignore[arg-type]
        items = ",".join(item.model_dump_json() for item in page.items)
        return Response(f'{{"items":[{items}],"next":null}}', media_type="application/json")

    async def changed(request: Request) -> Response:
        Note.model_validate_json(await request.body())
        found = await order(request.path_params["number"])
        assert found is not None
        return Response(found.model_dump_json(), media_type="application/json")

    async def written(request: Request) -> Response:
        body = await request.body()
        await pool.execute("INSERT INTO written (at, note) VALUES ($1, $2)", now(), body)
        return await changed(request)

    place = "/orders/v1/orders"
    return Starlette(
        routes=[
            Route(place, several),
            Route(place + "/{number}", one),
            Route(place + "/{number}", changed, methods=["PUT"]),
            Route(place + "/{number}", written, methods=["POST"]),
        ]
    )


def bench_estate() -> Estate:
    # Ten thousand a second: more than is asked here, and tokens live their second, as those of smaller limits do.
    limits = Limits(requests_per_minute=600_000, burst=80_000, concurrency=256)
    return Estate(
        root=Path("."),
        name="bench",
        apis={"orders": orders},
        api_specs={
            "orders": ApiSpec(
                name="orders", layer="system", audience=("hilum",), limits=limits, versions={1: VersionSpec(state="published")},
                slo=Slo(availability=0.999, p95_milliseconds=200),
            )
        },
        identity=IdentitySpec(issuers={"sso": IssuerSpec(url=ISSUER)}),
        services={
            "bench": ServiceSpec(
                name="bench", owner="supply-chain", roles=("supply-chain-analyst",), facilities=("ST-MARY",),
                expires=date(2100, 1, 1), issuer="sso", subject="bench",
            )
        },
    )  # fmt: skip


def token(key: ECKey) -> str:
    at = int(time.time())
    said = {
        "iss": ISSUER,
        "sub": "bench",
        "aud": "hilum",
        "iat": at,
        "exp": at + 3000,
        "client_id": "bench",
        "jti": "1",
    }
    return jwt.encode({"alg": "ES256", "typ": "at+jwt", "kid": "k1"}, said, key)


async def whole_door(url: str, keys: Path) -> tuple[Door, str]:
    """The door as the gateway process wires it, on the policies of Lakeshore."""
    estate = bench_estate()
    pool = await open_pool(url, min_size=2, max_size=16)
    key = ECKey.generate_key("P-256", {"kid": "k1"})
    protection = Protection(await open_sealer(pool, LocalKeyFile.make(keys), now), estate)
    deliveries = Deliveries(
        pool, Connections({}), Breakers(pool, clock=now, rng=random.Random()), protection, executor="bench", clock=now,
        rng=random.Random(),
    )  # fmt: skip
    revocations = Revocations(pool, clock=now, monotonic=time.monotonic)
    await revocations.run_once()
    handlers = Handlers(deliveries, CrosswalkBook(pool, now, ZoneInfo("UTC")))
    usage = Usage(pool, clock=now)
    policies = Policies(load_estate(LAKESHORE).policies)
    decisions = Decisions(policies)
    cursors = Cursors(b"k" * 32, os.urandom)
    admission = Admission(monotonic=time.monotonic, rng=random.Random())
    jwks: dict[str, Any] = KeySet([key]).as_dict(private=False)
    stages = Stages(
        authenticator=Authenticator(estate, {"sso": PublicKeys(jwks)}, revocations, clock=now),
        allowances=Allowances(pool, time_zone="UTC", monotonic=time.monotonic),
        admission=admission,
        decisions=decisions,
        keys=IdempotencyKeys(pool, clock=now, sealer=protection.sealer),
        handlers=handlers,
        shown=Shown(decisions, Tags(b"k" * 32), cursors),
        cursors=cursors,
        accesses=AccessLog(pool, "bench", clock=now),
        grants=BreakGlassGrants(pool, clock=now),
        incidents=Incidents(pool, estate, usage, clock=now),
        platform=OwnPlatform(
            pool, estate, Intake(pool, protection, name="bench", clock=now), policies=policies, clock=now
        ),
        clock=now,
        token=os.urandom,
    )

    async def healthy() -> bool:
        return True

    async def look() -> int:
        await revocations.run_once()
        return 0

    loops = [
        standing("revocations", look, every_seconds=1.0),
        standing("usage", usage.write, every_seconds=EVERY_SECONDS),
    ]
    _standing.extend(asyncio.create_task(loop) for loop in [*loops, admission.watch()])
    return Door(estate, stages, usage, monotonic=time.monotonic, healthy=healthy), token(key)


_standing: list[asyncio.Task[None]] = []


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["bare", "door"])
    parser.add_argument("--url", default="")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        app: Any
        app, said = (
            (await bare(given.url), "")
            if given.what == "bare"
            else await whole_door(given.url, Path(folder) / "keys.json")
        )
        served = await serve(app, "127.0.0.1", 0)
        print(json.dumps({"port": served.port, "pid": os.getpid(), "token": said}), flush=True)
        await asyncio.to_thread(sys.stdin.read)
        await served.stop()


if __name__ == "__main__":
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)  # As the gateway process has it; the bare endpoint gains as much.
    uvloop.run(main())
