"""The approval desk: flows ask for approvals as they ask any system, and cases go on when somebody has decided.

It stands in the platform's own database (decisions/0014), so that a question is one query and a command one transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar

import asyncpg
import orjson

from hilum.authoring.approving import ApprovalAsked, ApprovalStanding
from hilum.authoring.caller import PERSON, SERVICE, Caller
from hilum.authoring.estate import Estate
from hilum.runtime import approvals, work_items
from hilum.runtime.approvals import Approval, ApprovalRefused, Names

NEEDS_APPROVAL = "NeedsApproval"


class ApprovalDesk:
    """Plays the role ``authoring.approving.ApprovalDesk``."""

    idempotent_commands: ClassVar[frozenset[str]] = frozenset({"ask"})

    def __init__(self, pool: asyncpg.Pool, estate: Estate, *, clock: Callable[[], datetime]) -> None:
        self._pool = pool
        self._names = Names(estate)
        self._clock = clock

    async def ask(self, asked: ApprovalAsked, *, key: str) -> ApprovalStanding:
        now = self._clock()
        kind, _, name = asked.requested_by.partition(":")
        attributes = asked.model_dump(include={"facility", "supplier", "department", "amount_usd"}, exclude_none=True)
        caller = Caller(kind if kind in (PERSON, SERVICE) else SERVICE, name)
        async with self._pool.acquire() as connection, connection.transaction():
            known = await self._decided(connection, asked, attributes)
            if known is not None:
                behind = await approvals.everyone_behind(connection, caller, [caller.actor], self._names, now=now)
                if known.state == approvals.REJECTED or await approvals.is_agreed_without(connection, known, behind):
                    return _standing(known, now)
            made = await approvals.request(
                connection, kind=asked.kind, subject=asked.subject, digest=asked.digest, caller=caller, names=self._names,
                now=now, expires_at=now + timedelta(hours=asked.expires_in_hours), attributes=attributes, by_desk=True,
            )  # fmt: skip
        return _standing(made, now)

    async def _decided(
        self, connection: asyncpg.Connection, asked: ApprovalAsked, attributes: Mapping[str, Any]
    ) -> Approval | None:
        """What was decided last about exactly this; of other attributes it was decided by whom they let decide."""
        row = await connection.fetchrow(
            """SELECT id, state FROM approval WHERE kind = $1 AND subject = $2 AND digest = $3 AND attributes = $4::jsonb
                  AND state NOT IN ('withdrawn', 'expired') ORDER BY id DESC LIMIT 1 FOR UPDATE""",
            asked.kind, asked.subject, asked.digest, orjson.dumps(dict(attributes)).decode(),
        )  # fmt: skip
        if row is None or row["state"] == approvals.OPEN:
            return None
        return await approvals.read(connection, row["id"])

    async def standing(self, number: int) -> ApprovalStanding | None:
        async with self._pool.acquire() as connection:
            try:
                found = await approvals.read(connection, number)
            except ApprovalRefused:
                return None
        return _standing(found, self._clock())

    async def ping(self) -> None:
        await self._pool.fetchval("SELECT 1")

    async def close(self) -> None:
        pass


async def go_on(connection: asyncpg.Connection, decided: Approval, *, now: datetime, actor: str) -> list[str]:
    """Let the cases that waited for this decision go on; returns them. Inside the decision's own transaction."""
    item = await connection.fetchval(
        "SELECT id FROM work_item WHERE cause = $1 AND state = 'open'",
        f"{NEEDS_APPROVAL}:{decided.kind} {decided.subject}",
    )
    return [] if item is None else await work_items.release(connection, item, now=now, actor=actor)


def _standing(approval: Approval, now: datetime) -> ApprovalStanding:
    expired = approval.state == approvals.OPEN and approval.expires_at <= now
    return ApprovalStanding.model_validate(
        {"number": approval.id, "state": approvals.EXPIRED if expired else approval.state}
    )
