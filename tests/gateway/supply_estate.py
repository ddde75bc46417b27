"""A small estate with a governed door: orders, accounts and what can go wrong with them, on a warehouse kept in a file."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, ClassVar

import orjson
from pydantic import Field, model_validator

from hilum.authoring import (
    Accepted,
    Api,
    Caller,
    Confidential,
    Contract,
    Created,
    Financial,
    Page,
    PageRequest,
    Phi,
    Platform,
    Problem,
    Rejected,
    System,
    Unavailable,
    command,
    question,
)
from hilum.authoring.estate import Estate
from hilum.authoring.estate_door import ApiSpec, ConsumerSpec, Limits, Slo, VersionSpec
from hilum.authoring.estate_identity import ClaimNames, Grant, IdentitySpec, IssuerSpec, ServiceSpec
from hilum.model.identifiers import AccountNumber
from hilum.model.where import Where

ISSUER = "https://sso.lakeshore.test"
AUDIENCE = "hilum"


class OrderLine(Contract, version=1, owner="supply"):
    """One line."""

    item: str
    quantity: Annotated[int, Field(gt=0, le=1000)]
    price: Annotated[Decimal, Financial]


class Order(Contract, version=1, owner="supply"):
    """An order as the warehouse keeps it."""

    number: str
    revision: int
    facility: str
    supplier: str
    bank_account: Annotated[str | None, Confidential] = None
    note: str = ""
    lines: tuple[OrderLine, ...] = ()


class OrderQuery(Contract, version=1, owner="supply"):
    """How orders are looked for."""

    supplier: str | None = None
    item: tuple[str, ...] = ()
    urgent: bool | None = None
    since: date | None = None


class OrderRequest(Contract, version=1, owner="supply"):
    """What is to be ordered."""

    facility: str
    supplier: str
    amount: Decimal
    lines: Annotated[tuple[str, ...], Field(max_length=50)] = ()
    wanted_by: date | None = None

    @model_validator(mode="after")
    def _not_from_nobody(self) -> OrderRequest:
        if self.supplier == "NOBODY":
            raise ValueError("SECRET-VALUE is nobody's")
        return self


class Note(Contract, version=1, owner="supply"):
    """A note on an order."""

    text: Annotated[str, Field(max_length=200)]


class Account(Contract, version=1, owner="billing"):
    """A patient's account."""

    account: Annotated[AccountNumber, Phi]
    facility: str
    patient: Annotated[str, Phi]
    balance: Annotated[Decimal, Financial]
    born: Annotated[date | None, Phi] = None


class AccountSearch(Contract, version=1, owner="billing"):
    """By whom an account is looked for: in a body, for no address may name a patient."""

    patient: Annotated[str, Phi]


class Usage(Contract, version=1, identities=["usage_id"], owner="supply"):
    """A usage that a program reports."""

    usage_id: str
    item: str


class ClosedPeriod(Rejected, queue="ap"):
    """Open the period in the ERP, or date it later."""


class Warehouse(System):
    """What the orders' API asks and commands."""

    @question
    def order(self, number: str) -> Order | None:
        """One order."""
        raise AssertionError

    @question
    def orders(self, after: int, limit: int) -> list[Order]:
        """Orders after a position."""
        raise AssertionError

    @command
    def place(self, request: OrderRequest, key: str | None = None) -> str:
        """Place an order; its number comes back."""
        raise AssertionError

    @command
    def annotate(self, number: str, text: str, key: str | None = None) -> int:
        """Write a note; the new revision comes back."""
        raise AssertionError


class WarehouseInFile:
    """The warehouse itself: a file of orders, so that it outlives processes that are killed. Searched by key, not idempotent."""

    idempotent_commands: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, place: Path) -> None:
        self.file = place
        self.away = False
        self.asked = 0
        self.slow_seconds = 0.0

    def read(self) -> dict[str, Any]:
        empty: dict[str, Any] = {"orders": {}, "keys": {}}
        return orjson.loads(self.file.read_bytes()) if self.file.exists() else empty

    def write(self, book: Mapping[str, Any]) -> None:
        self.file.write_bytes(orjson.dumps(book))

    def keep(self, order: Order) -> None:
        book = self.read()
        book["orders"][order.number] = order.model_dump(mode="json")
        self.write(book)

    async def _reached(self) -> None:
        self.asked += 1
        if self.slow_seconds:
            await asyncio.sleep(self.slow_seconds)
        if self.away:
            raise Unavailable("warehouse", "no route", retry_after_seconds=7)

    async def order(self, number: str) -> Order | None:
        await self._reached()
        found = self.read()["orders"].get(number)
        return Order.model_validate(found) if found is not None else None

    async def orders(self, after: int, limit: int) -> list[Order]:
        await self._reached()
        found = sorted(self.read()["orders"].values(), key=lambda o: str(o["number"]))
        return [Order.model_validate(o) for o in found[after : after + limit]]

    async def place(self, request: OrderRequest, key: str) -> str:
        await self._reached()
        book = self.read()
        if request.supplier == "CLOSED":
            raise ClosedPeriod("2026-10")
        number = f"PO-{len(book['orders']) + 1}"
        made = Order(number=number, revision=1, facility=request.facility, supplier=request.supplier)
        book["orders"][number] = made.model_dump(mode="json")
        book["keys"][key] = number
        self.write(book)
        return number

    async def find_place(self, request: OrderRequest, key: str) -> str | None:
        found: str | None = self.read()["keys"].get(key)
        return found

    async def annotate(self, number: str, text: str, key: str) -> int:
        await self._reached()
        book = self.read()
        book["orders"][number] |= {"note": text, "revision": book["orders"][number]["revision"] + 1}
        book["keys"][key] = book["orders"][number]["revision"]
        self.write(book)
        return int(book["orders"][number]["revision"])

    async def find_annotate(self, number: str, text: str, key: str) -> int | None:
        found: int | None = self.read()["keys"].get(key)
        return found

    async def ping(self) -> None:
        await self._reached()

    async def close(self) -> None:
        return None


warehouse = Warehouse("warehouse")
supply = Api("supply")
billing = Api("billing")


@supply.get("/orders/{number}", resource="Order", attributes={"facility": "facility", "supplier": "supplier"},
            etag="revision", stale_seconds=60)  # fmt: skip
def order(number: str) -> Order | None:
    """Read one order."""
    return warehouse.order(number)


@supply.list("/orders", resource="Order", attributes={"facility": "facility", "supplier": "supplier"})
def orders(query: OrderQuery, where: Where, page: PageRequest) -> Page[Order]:
    """List orders."""
    after = int(page.cursor) if page.cursor is not None else 0
    found = warehouse.orders(after, page.limit)
    kept = [o for o in found if where.matches({"facility": o.facility, "supplier": o.supplier})]
    kept = [o for o in kept if query.supplier is None or o.supplier == query.supplier]
    return Page(tuple(kept), str(after + page.limit) if len(found) == page.limit else None)


@supply.list("/leaking", resource="Order", attributes={"facility": "facility", "supplier": "supplier"})
def leaking(where: Where, page: PageRequest) -> Page[Order]:
    """A list that forgets to filter."""
    return Page(tuple(warehouse.orders(0, page.limit)))


def about_request(body: OrderRequest) -> Mapping[str, Any]:
    return {"facility": body.facility, "supplier": body.supplier}


@supply.post("/orders", resource="Order", about=about_request)
def place(body: OrderRequest) -> Created[Order]:
    """Place an order."""
    number = warehouse.place(body)
    found = warehouse.order(number)
    assert found is not None
    return Created(found, f"/orders/{number}")


def about_order(number: str) -> Mapping[str, Any] | None:
    found = warehouse.order(number)
    return {"facility": found.facility, "supplier": found.supplier} if found is not None else None


@supply.put("/orders/{number}", resource="Order", about=about_order, etag="revision")
def annotate(number: str, body: Note) -> Order | None:
    """Put a note on an order; the door compares the ETag."""
    warehouse.annotate(number, body.text)
    return warehouse.order(number)


@supply.patch("/orders/{number}", resource="Order", about=about_order, etag="revision")
def change(number: str, body: Note, etag: str | None) -> Order | None:
    """The same, comparing the ETag itself."""
    found = warehouse.order(number)
    if found is not None and etag is not None and str(found.revision) != etag:
        raise Problem(412, "changed-meanwhile", "Somebody was faster.")
    warehouse.annotate(number, body.text)
    return warehouse.order(number)


@supply.post("/orders/{number}/approvals", resource="Order", action="approve", about=about_order)
def approve(number: str, caller: Caller, key: str) -> Accepted[Note]:
    """Approve an order."""
    return Accepted(Note(text=f"{caller.actor}"), f"/orders/{number}")


@supply.delete("/orders/{number}", resource="Order", about=about_order)
def cancel(number: str) -> None:
    """Cancel an order."""


@supply.delete("/suppliers/{supplier}/orders/{number}", resource="Order")
async def cancel_of(supplier: str, number: str) -> None:
    """A write that says nothing about what it is about."""


@supply.post("/usages", resource="InventoryPosition")
async def report(body: Usage, caller: Caller, platform: Platform) -> Accepted[Note]:
    """Take a fact in."""
    taken = await platform.submit(body, source="supply", actor=caller.actor)
    return Accepted(Note(text=f"{taken.known}"), f"/usages/{taken.address}")


@supply.get("/wrong/{how}", resource="Order")
async def wrong(how: str) -> Order | None:
    """Everything that can go wrong."""
    match how:
        case "bug":
            raise KeyError("MRN-SECRET")
        case "outside":
            return Order.model_construct(number=7, revision="x", facility="ST-MARY", supplier="S")  # type: ignore[arg-type]
        case "outside-shape":
            return Order(number=None, revision=1, facility="ST-MARY", supplier="S")  # type: ignore[arg-type]
        case "other-shape":
            return Note(text="no order")  # type: ignore[return-value]
        case "huge":
            return Order(number="PO-1", revision=10**30, facility="ST-MARY", supplier="S")
        case "forever":
            raise Unavailable("erp", "down", retry_after_seconds=float("inf"))
        case "slow":
            await asyncio.sleep(30)
        case "problem":
            raise Problem(409, "closed-period", "The period is closed.", period="2026-10")
        case "rejected":
            raise ClosedPeriod("2026-10", "detail that stays inside")
        case "away":
            raise Unavailable("erp", "connection refused by 10.0.0.7", retry_after_seconds=3)
    return None


@supply.get("/stuck", resource="Order")
def stuck() -> Order | None:
    """A plain function that does not come back in time."""
    time.sleep(1.5)
    return None


@supply.get("/commanding", resource="Order")
def commanding() -> Order | None:
    """A read that writes."""
    warehouse.annotate("PO-1", "by a read")
    return None


@billing.get("/accounts/{account}", resource="PatientAccount", attributes={"facility": "facility"}, etag="")
async def account(account: str) -> Account | None:
    """Read an account."""
    if account != "A-1001":
        return None
    return Account(
        account=AccountNumber("A-1001", "ST-MARY"), facility="ST-MARY", patient="Maria Alvarez", balance=Decimal("12.50"),
        born=date(1961, 4, 2),
    )  # fmt: skip


@billing.search("/accounts/search", resource="PatientAccount", attributes={"facility": "facility"})
async def find_account(body: AccountSearch) -> Account | None:
    """Find an account by its patient."""
    return await account("A-1001") if body.patient == "Maria Alvarez" else None


legacy = Api("legacy")


@legacy.get("/things/{number}", resource="Item")
async def old_thing(number: int) -> Note | None:
    """Deprecated."""
    return Note(text=f"{number}")


@legacy.get("/things/{number}", resource="Item", version=2)
async def thing(number: int) -> Note | None:
    """Published."""
    return Note(text=f"{number}")


@legacy.get("/things/{number}", resource="Item", version=3)
async def draft_thing(number: int) -> Note | None:
    """Nobody may reach this."""
    return Note(text="a draft was reached")


@legacy.get("/things/{number}", resource="Item", version=4)
async def retired_thing(number: int) -> Note | None:
    """Retired."""
    return Note(text="a retired version was reached")


@legacy.get("/things/{number}", resource="Item", version=5)
async def forgotten_thing(number: int) -> Note | None:
    """In no version of the specification."""
    return Note(text="an ungoverned version was reached")


ungoverned = Api("ungoverned")


@ungoverned.get("/secrets", resource="Item")
async def secrets() -> Note | None:
    """An API without a specification."""
    return Note(text="an ungoverned API was reached")


POLICIES = """
@id("buyers") permit (principal, action in [Hilum::Action::"read", Hilum::Action::"list", Hilum::Action::"create",
  Hilum::Action::"update", Hilum::Action::"delete", Hilum::Action::"approve"], resource is Hilum::Order)
when { principal.roles.contains("buyer") && resource has facility && principal.facilities.contains(resource.facility) };
@id("suppliers") permit (principal, action in [Hilum::Action::"read", Hilum::Action::"list"], resource is Hilum::Order)
when { principal has supplier && resource has supplier && resource.supplier == principal.supplier };
@id("auditors") permit (principal, action in [Hilum::Action::"read", Hilum::Action::"list", Hilum::Action::"search"], resource)
when { principal.roles.contains("auditor") };
@id("clerks") permit (principal, action in [Hilum::Action::"read", Hilum::Action::"search"], resource is Hilum::PatientAccount)
when { principal.roles.contains("clerk") };
@id("money") permit (principal, action == Hilum::Action::"see", resource)
when { resource has data_class && resource.data_class == "financial"
  && (principal.roles.contains("buyer") || principal.roles.contains("clerk")) };
@id("patients") permit (principal, action == Hilum::Action::"see", resource)
when { resource has data_class && resource.data_class == "phi" && principal.roles.contains("clerk")
  && resource has facility && principal.facilities.contains(resource.facility) };
@id("banks") permit (principal, action == Hilum::Action::"see", resource is Hilum::Order)
when { resource has data_class && resource.data_class == "confidential" && principal has supplier
  && resource has supplier && resource.supplier == principal.supplier };
@id("things") permit (principal, action == Hilum::Action::"read", resource is Hilum::Item);
@id("usages") permit (principal, action == Hilum::Action::"create", resource is Hilum::InventoryPosition)
when { principal.roles.contains("reporter") };
@id("metrics") permit (principal, action == Hilum::Action::"read", resource == Hilum::Dashboard::"metrics")
when { principal.roles.contains("operator") };
"""

PEOPLE: dict[str, dict[str, Any]] = {
    "ana": {"groups": ["buyers", "st-mary"]},
    "ben": {"groups": ["buyers", "st-luke"]},
    "carla": {"groups": ["auditors"]},
    "dora": {"groups": ["clerks", "st-mary"]},
    "emil": {"groups": ["clerks", "st-luke"]},
    "olga": {"groups": ["operators", "reporters"]},
    "otto": {"groups": [], "supplier": "ORTHO"},
    "nobody-special": {"groups": []},
}

LIMITS = Limits(
    requests_per_minute=60_000, burst=5_000, concurrency=64, timeout_seconds=5, max_body_bytes=4096, max_depth=8
)


def supply_estate(root: Path = Path("estate"), limits: Limits = LIMITS) -> Estate:
    """The estate, all of it in memory."""

    def spec(name: str, versions: dict[int, VersionSpec], **more: Any) -> ApiSpec:
        return ApiSpec(
            name=name, title=name.title(), layer="system", owner="supply", audience=(AUDIENCE,),
            slo=Slo(availability=0.999, p95_milliseconds=200), limits=limits, versions=versions, **more,
        )  # fmt: skip

    published = {1: VersionSpec(state="published")}
    tight = Limits(requests_per_minute=60, burst=3, concurrency=64, timeout_seconds=5, max_body_bytes=4096)
    return Estate(
        root=root,
        name="small",
        queues={"integration": "integration-team"},
        contracts={"Usage": Usage},
        apis={"supply": supply, "billing": billing, "legacy": legacy, "ungoverned": ungoverned},
        api_specs={
            "supply": spec("supply", published, consumers={"service:tight-bot": ConsumerSpec(limits=tight)}),
            "billing": spec("billing", published),
            "legacy": spec(
                "legacy",
                {
                    1: VersionSpec(
                        state="deprecated", deprecated_on=date(2026, 6, 1), sunset_on=date(2027, 6, 1), successor=2
                    ),
                    2: VersionSpec(state="published"),
                    3: VersionSpec(state="draft"),
                    4: VersionSpec(state="retired", sunset_on=date(2026, 1, 1), successor=2),
                },
            ),
        },
        identity=IdentitySpec(
            issuers={
                "sso": IssuerSpec(
                    url=ISSUER,
                    client_id="hilum",
                    claims=ClaimNames(supplier="supplier"),
                    groups={
                        "buyers": Grant(roles=("buyer",)), "auditors": Grant(roles=("auditor",)),
                        "clerks": Grant(roles=("clerk",)), "operators": Grant(roles=("operator",)),
                        "reporters": Grant(roles=("reporter",)), "st-mary": Grant(facilities=("ST-MARY",)),
                        "st-luke": Grant(facilities=("ST-LUKE",)),
                    },
                )
            },
            sign_in="sso",
        ),
        services={
            name: ServiceSpec(
                name=name, owner="supply", roles=("buyer",), facilities=("ST-MARY",), expires=date(2030, 1, 1),
                issuer="sso", subject=f"svc-{name}",
            )
            for name in ("ap-bot", "tight-bot")
        },
    )  # fmt: skip
