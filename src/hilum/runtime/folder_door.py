"""The folder door, and that of files that came by SFTP: a message cut from a file becomes a reception, and what was stored is
known by its place in the file."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

import asyncpg

from hilum.runtime.intake import Intake, Receipt
from hilum.runtime.reception import Reader

TRANSPORT = "folder"
_CLOCK_SLACK = timedelta(minutes=1)  # Between the clock that named the claim and one that was set back since.

Outcome = tuple[str, str, str]
"""Status, reference and, for what was refused, why."""


class FolderDoor:
    """One system's dropped files. ``type_field`` names the member of a JSON document that says its type."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        intake: Intake,
        reader: Reader,
        system: str,
        *,
        type_field: str,
        transport: str = TRANSPORT,
    ) -> None:
        self._pool = pool
        self._intake = intake
        self._reader = reader
        self._system = system
        self._type_field = type_field
        self._transport = transport

    async def take(self, kind: str, data: bytes, peer: str) -> Outcome:
        """Store one message (``hl7v2``, ``x12``, ``bai2``, ``table`` or ``json``); ``peer`` is the file's digest and the message's place in it."""
        if kind == "json":
            reception = self._reader.json(self._system, self._transport, peer, data, self._type_field)
        elif kind in ("x12", "bai2", "table"):
            read = {"x12": self._reader.x12, "bai2": self._reader.bai2, "table": self._reader.table}[kind]
            reception = await asyncio.to_thread(read, self._system, self._transport, peer, data)
        else:
            reception, _ = self._reader.hl7(self._system, self._transport, peer, data)
        receipt: Receipt = await self._intake.submit(reception, lambda receipt: receipt)
        problem = receipt.reception.problem
        return receipt.status, receipt.subject, str(problem) if problem is not None else ""

    async def stored(self, peers: Sequence[str], since: datetime) -> dict[str, Outcome]:
        """Which of these were stored since a claim: whoever goes on with a dead process's file asks before taking in."""
        rows = await self._pool.fetch(
            """SELECT DISTINCT ON (peer) peer, status, shard, seq, error FROM message
                WHERE system = $1 AND transport = $2 AND received_at >= $3 AND peer = ANY($4) ORDER BY peer, received_at""",
            self._system, self._transport, since - _CLOCK_SLACK, list(peers),
        )  # fmt: skip
        return {
            r["peer"]: (r["status"], f"m/{r['shard']}/{r['seq']}", r["error"] if r["error"] is not None else "")
            for r in rows
        }
