"""The terminal's own accesses: what a command shows is recorded before it is shown, as any other door's answers are."""

from __future__ import annotations

from pathlib import Path

import asyncpg

from hilum.audit.access import Access, AccessLog
from hilum.authoring.estate import Estate
from hilum.cli.platform import now
from hilum.security.sealing.choice import wrapper_of
from hilum.security.sealing.protected import Protection
from hilum.security.sealing.sealer import Sealer, open_sealer
from hilum.security.sealing.wrapping import KeysLost, KeysUnusable
from hilum.security.secrets import SecretUnusable


async def record(pool: asyncpg.Pool, *accesses: Access) -> None:
    """Record what is about to be shown; NotRecorded, and nothing is shown, when it cannot be."""
    log = AccessLog(pool, "cli", clock=now)
    for access in accesses:
        await log.record(access)
    await log.close()


async def open_keys(pool: asyncpg.Pool, data: Path, estate: Estate | None) -> Sealer:
    """The platform's sealer; KeysUnusable or SecretUnusable in words where this terminal cannot read its keys."""
    keys, settings = ("file", {}) if estate is None else (estate.protection.keys, estate.protection.settings)
    return await open_sealer(pool, await wrapper_of(pool, keys, settings, data), now)


async def keys_at_hand(pool: asyncpg.Pool, data: Path, estate: Estate | None) -> Sealer | None:
    """The platform's sealer, which makes search tokens too, where this terminal may read its keys; None otherwise."""
    try:
        return await open_keys(pool, data, estate)
    except (KeysLost, KeysUnusable, SecretUnusable):
        return None


async def protection_at_hand(pool: asyncpg.Pool, data: Path, estate: Estate | None) -> Protection | None:
    """What opens sealed values here; None where the keys are not at hand, and then content is shown as sealed."""
    sealer = await keys_at_hand(pool, data, estate)
    if sealer is None:
        return None
    return Protection(sealer, estate if estate is not None else Estate(data, "unknown"))
