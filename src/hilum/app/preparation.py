"""What has to be true before any process of the platform starts."""

from __future__ import annotations

from pathlib import Path

import asyncpg

from hilum.app.doors import unready_doors
from hilum.app.sealing import protection_of
from hilum.app.told import Serve, now
from hilum.authoring.estate import Estate
from hilum.governance.loader import load_estate
from hilum.governance.overlay import OverlayRefused, overlaid
from hilum.governance.problems import EstateRefused
from hilum.masterdata.crosswalks import Crosswalks
from hilum.runtime import approvals
from hilum.runtime.policy_versions import put_in_force
from hilum.runtime.sealing_existing import SealExisting
from hilum.security.policies import Policies
from hilum.security.sealing.wrapping import KeysUnusable
from hilum.security.secrets import SecretUnusable, is_reference, resolve_secret
from hilum.store.migrations import MigrationRefused, migrate
from hilum.store.pool import open_pool

REFUSALS = (EstateRefused, KeysUnusable, MigrationRefused, OverlayRefused, SecretUnusable)
"""Why a platform does not start, each in words for whoever starts it."""


async def prepare(told: Serve) -> None:
    """Refuse what cannot run, migrate the database and bring the estate's tables into it."""
    estate = overlaid(load_estate(told.estate), told.overlay)
    _need_secrets(estate, told.data)
    await migrate(told.database_url)
    pool = await open_pool(told.database_url, min_size=1, max_size=2, application_name="hilum prepare")
    try:
        await Crosswalks(pool, now).sync_tables(estate)
        await _record_policies(estate, pool)
        protection = await protection_of(told, estate, pool, may_make=True)
        await SealExisting(pool, estate, protection, now).run()
    finally:
        await pool.close()


async def _record_policies(estate: Estate, pool: asyncpg.Pool) -> None:
    """Which policies the platform runs with from now on; a change stands in the audit log with who approved it."""
    policies = Policies(estate.policies)
    async with pool.acquire() as connection, connection.transaction():
        approval = await approvals.approved(connection, "Policy", estate.name, policies.version)
        by = () if approval is None else approval.approved_by
        await put_in_force(connection, policies, estate=estate.name, now=now(), approved_by=by)


def _need_secrets(estate: Estate, data: Path) -> None:
    """All secrets and certificates that are missing, and doors that must not open, at once and before anything starts."""
    problems = [f"  {line}" for line in unready_doors(estate, data)]
    for name, spec in estate.systems.items():
        listen = spec.listen.webhook
        hook = [s for s in (listen.secret, listen.previous_secret) if s is not None] if listen is not None else []
        fetched = spec.listen.sftp
        hook += [s for s in (fetched.key, fetched.passphrase) if s is not None] if fetched is not None else []
        for reference in (*hook, *(v for v in spec.connect.values() if isinstance(v, str) and is_reference(v))):
            try:
                resolve_secret(reference, data)
            except SecretUnusable as unusable:
                problems.append(f"  system {name}: {unusable}")
    if problems:
        raise SecretUnusable("These are needed before the platform can start:\n" + "\n".join(problems))
