"""A small estate with APIs in every state of life, for tests of what is published about them."""

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated

from hilum.authoring import Api, Confidential, Contract, Created, Example, Financial, Page, PageRequest, Phi
from hilum.authoring.estate import Estate
from hilum.authoring.estate_door import ApiSpec, Slo, VersionSpec
from hilum.model import AccountNumber, Money
from hilum.model.where import Where


class SupplierQuery(Contract, version=1, owner="supply-chain"):
    """How suppliers are looked for."""

    name: str | None = None


class Supplier(Contract, version=1, owner="supply-chain"):
    """A supplier as the ERP knows it."""

    number: str
    name: str
    bank_account: Annotated[str | None, Confidential] = None


class OrderLine(Contract, version=1, owner="supply-chain"):
    """One line of an order."""

    item: str
    price: Annotated[Money, Financial]


class Order(Contract, version=1, owner="supply-chain"):
    """An order and for whose account."""

    number: str
    supplier: str
    account: Annotated[AccountNumber, Phi]
    lines: tuple[OrderLine, ...] = ()
    due: Annotated[date | None, Phi] = None


class OrderRequest(Contract, version=1, owner="supply-chain"):
    """What is asked to be ordered."""

    supplier: str
    account: AccountNumber
    price: Money


MEDLINE = Supplier(number="MEDLINE", name="Medline")
ORDER = Order(number="PO-7", supplier="MEDLINE", account=AccountNumber("A-1", "ST-MARY"))

erp = Api("erp")


@erp.list("/suppliers", resource="Supplier", attributes={"supplier": "number"}, stale_seconds=60, examples=(MEDLINE,))
def list_suppliers(query: SupplierQuery, where: Where, page: PageRequest) -> Page[Supplier]:
    """List suppliers. Only those the caller may see."""
    return Page((MEDLINE,))


@erp.get("/orders/{number}", resource="Order", attributes={"supplier": "supplier"}, etag="", examples=(ORDER,))
def order(number: str) -> Order | None:
    """Read one order."""
    return ORDER if number == "PO-7" else None


def _about(body: OrderRequest) -> dict[str, str]:
    return {"supplier": body.supplier}


@erp.post(
    "/orders",
    resource="Order",
    about=_about,
    examples=(
        Example(
            "An implant for an account",
            body=OrderRequest(supplier="MEDLINE", account=AccountNumber("A-1"), price=Money(amount=Decimal("4.50"))),
            answer=ORDER,
        ),
    ),
)
def place(body: OrderRequest) -> Created[Order]:
    """Place an order."""
    return Created(ORDER, "/orders/PO-7")


@erp.get("/orders/{number}", resource="Order", version=2, attributes={"supplier": "supplier"})
def order_v2(number: str) -> Order | None:
    """Read one order, as of version 2."""
    return ORDER


@erp.get("/drafts/{number}", resource="Order", version=3)
def draft(number: str) -> Order | None:
    """Nobody may see this yet."""
    return ORDER


def api_estate() -> Estate:
    spec = ApiSpec(
        name="erp",
        title="ERP",
        layer="system",
        owner="supply-chain",
        system="erp",
        audience=("hilum",),
        slo=Slo(availability=0.999, p95_milliseconds=800),
        versions={
            1: VersionSpec(state="deprecated", deprecated_on=date(2026, 6, 1), sunset_on=date(2027, 6, 1), successor=2),
            2: VersionSpec(state="published"),
            3: VersionSpec(state="draft"),
        },
    )
    return Estate(root=Path("."), name="small", title="Small", apis={"erp": erp}, api_specs={"erp": spec})
