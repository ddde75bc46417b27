"""Which policies are in force, and since when: a change is noticed at the next start and stands in the audit log."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import asyncpg
import orjson

from hilum.audit.entry import Entry
from hilum.audit.writer import append
from hilum.security.policies import Policies

POLICY_CHANGED = "policy.changed"
"""Detail: ``old`` and ``new`` digest (null at first), ``changed`` (file names), ``approved_by``. Subject: ``policy/<estate>``."""


@dataclass(frozen=True)
class InForce:
    """The policies a platform runs with, as they were recorded at its start."""

    digest: str
    since: datetime
    files: dict[str, str]


async def in_force(connection: asyncpg.Connection) -> InForce | None:
    """What the platform runs with; None before its first start with policies."""
    row = await connection.fetchrow(
        "SELECT f.digest, f.since, v.files FROM hilum.policy_in_force f JOIN hilum.policy_version v USING (digest)"
    )
    return None if row is None else InForce(row["digest"], row["since"], orjson.loads(row["files"]))


async def put_in_force(
    connection: asyncpg.Connection, policies: Policies, *, estate: str, now: datetime, approved_by: tuple[str, ...] = ()
) -> bool:
    """Record that the platform runs with ``policies``; whether that is a change. Audited in the caller's transaction.

    Processes that start together agree: the first records the change, the others find it recorded.
    """
    await connection.execute("LOCK TABLE hilum.policy_in_force IN SHARE ROW EXCLUSIVE MODE")
    before = await in_force(connection)
    if before is not None and before.digest == policies.version:
        return False
    await connection.execute(
        "INSERT INTO hilum.policy_version (digest, files, first_seen_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        policies.version, orjson.dumps(dict(policies.texts)).decode(), now,
    )  # fmt: skip
    await connection.execute(
        """INSERT INTO hilum.policy_in_force (digest, since) VALUES ($1, $2)
           ON CONFLICT (one) DO UPDATE SET digest = excluded.digest, since = excluded.since""",
        policies.version, now,
    )  # fmt: skip
    old = {} if before is None else before.files
    changed = sorted(name for name in old.keys() | policies.texts.keys() if old.get(name) != policies.texts.get(name))
    detail = {
        "old": None if before is None else before.digest,
        "new": policies.version,
        "changed": changed,
        "approved_by": list(approved_by),
    }
    await append(connection, [Entry(now, "system:platform", POLICY_CHANGED, f"policy/{estate}", detail)])
    return True
