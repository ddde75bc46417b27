"""The keys of a process: opened when it starts, from where the estate says they are kept."""

from __future__ import annotations

import asyncpg

from hilum.app.told import Serve, now
from hilum.authoring.estate import Estate
from hilum.security.sealing.choice import wrapper_of
from hilum.security.sealing.protected import Protection
from hilum.security.sealing.sealer import open_sealer


async def protection_of(told: Serve, estate: Estate, pool: asyncpg.Pool, *, may_make: bool = False) -> Protection:
    """What seals and opens in this process. KeysUnusable, in words for an operator, when the keys are not there.

    Only the preparation of a start may make the first key file: a process that finds none has lost it.
    """
    spec = estate.protection
    wrapper = await wrapper_of(pool, spec.keys, spec.settings, told.data, may_make=may_make)
    return Protection(await open_sealer(pool, wrapper, now), estate)
