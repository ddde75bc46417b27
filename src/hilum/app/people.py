"""The page's people: where they sign in, what they may see, and the record of what they saw."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import asyncpg

from hilum.app.identity import new_secret, provider_keys, signing_keys
from hilum.app.told import now
from hilum.audit.access import AccessLog
from hilum.authoring.estate import Estate
from hilum.authoring.estate_identity import LOCAL
from hilum.identity.places import ISSUER, place
from hilum.identity.sessions import Lifetimes
from hilum.security.identity import CallerRules, KeySource
from hilum.security.identity.reaching import Providers, Saw
from hilum.security.identity.relying_party import RelyingParty
from hilum.security.policies import Policies
from hilum.security.secrets import resolve_secret
from hilum.tower.people import People


@dataclass
class OpenPeople:
    """``people`` for the page, and what they hold open."""

    people: People
    access: AccessLog
    providers: Providers

    async def close(self) -> None:
        await self.access.close()
        await self.providers.close()


def open_people(
    estate: Estate,
    pool: asyncpg.Pool,
    data: Path,
    policy: Policies,
    *,
    process: str,
    saw: Saw | None = None,
) -> OpenPeople:
    """Everything the page needs to know who looks. ``saw`` is told of the certificates by which providers prove themselves."""
    providers = Providers(estate.identity, data, saw=saw)
    keys: Mapping[str, KeySource] = {
        **provider_keys(estate.identity, providers),
        LOCAL: signing_keys(estate, pool, None),
    }

    async def local_url() -> str | None:
        if estate.identity.url is not None:
            return estate.identity.url
        async with pool.acquire() as connection:
            return await place(connection, ISSUER)

    provider = RelyingParty(
        estate.identity, CallerRules(estate, today=lambda: now().date()), providers=providers, keys=keys,
        local_url=local_url, secret_of=lambda reference: resolve_secret(reference, data), clock=now, monotonic=time.monotonic,
    )  # fmt: skip
    access = AccessLog(pool, process, clock=now)
    spec = estate.identity
    lifetimes = Lifetimes(timedelta(hours=spec.session_hours), timedelta(minutes=spec.idle_minutes))
    people = People(pool, spec, policy, provider, access, clock=now, secret=new_secret, lifetimes=lifetimes)
    return OpenPeople(people, access, providers)
