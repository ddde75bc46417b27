"""Lakeshore's own door: its APIs and policies as they are, with a test's provider and the systems a test needs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.gateway.supply_door import Sso, SupplyDoor, supply_door
from tests.gateway.supply_estate import ISSUER

from hilum.authoring.estate import Estate
from hilum.authoring.estate_identity import ClaimNames, Grant, IdentitySpec, IssuerSpec
from hilum.governance.loader import load_estate
from hilum.security.policies import Policies

LAKESHORE = Path(__file__).parents[2] / "estates" / "lakeshore"
AUDIENCES = ("lakeshore-systems", "lakeshore-internal", "lakeshore-suppliers", "lakeshore-mobile")
FACILITIES = ("ST-MARY", "HARBOR-VIEW", "NORTH-POINT")

STAFF: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "sam": (("supply-chain-analyst",), ("ST-MARY", "HARBOR-VIEW")),
    "ana": (("ap-analyst",), FACILITIES),
    "ben": (("ap-analyst",), FACILITIES),
    "rita": (("revenue-analyst",), ("ST-MARY",)),
    "dora": (("data-steward",), FACILITIES),
    "carl": (("compliance-auditor",), FACILITIES),
    "nora": (("clinician-mobile",), ("ST-MARY",)),
    "hugo": (("clinician-mobile",), ("HARBOR-VIEW",)),
    "eve": (("executive",), FACILITIES),
    "nobody": ((), ()),
}
"""Each with roles and facilities; their tokens name groups, as a provider's do."""

SUPPLIERS = {"mia": "MEDLINE", "olaf": "ORTHOVIA"}


def lakeshore() -> Estate:
    """The estate with a provider whose groups are called like roles and facilities."""
    estate = load_estate(LAKESHORE)
    roles = {role for held, _ in STAFF.values() for role in held} | {"supplier"}
    groups = {role: Grant(roles=(role,)) for role in roles} | {f: Grant(facilities=(f,)) for f in FACILITIES}
    issuer = IssuerSpec(url=ISSUER, client_id="hilum", claims=ClaimNames(supplier="supplier"), groups=groups)
    return replace(estate, identity=IdentitySpec(issuers={"sso": issuer}, sign_in="sso"))


class LakeshoreSso(Sso):
    """The provider: everybody's token is for all of Lakeshore's audiences."""

    def token(self, who: str, **claims: Any) -> str:
        held, facilities = STAFF.get(who, ((), ()))
        said: dict[str, Any] = {"aud": list(AUDIENCES), "groups": [*held, *facilities]}
        if who in SUPPLIERS:
            said = {**said, "groups": ["supplier"], "supplier": SUPPLIERS[who]}
        return super().token(who, **{**said, **claims})


@asynccontextmanager
async def lakeshore_door(
    url: str, place: Path, *, estate: Estate | None = None, connectors: Mapping[str, Any] = {}
) -> AsyncIterator[SupplyDoor]:
    """The door, served; ``connectors`` by system, for those that the test speaks to."""
    known = estate if estate is not None else lakeshore()
    async with supply_door(
        url, place, estate=known, sso=LakeshoreSso(), point=Policies(known.policies), connectors=connectors
    ) as door:
        yield door
