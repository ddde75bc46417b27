"""The platform's own store for handlers that take ``platform`` (``authoring.platform.Platform``)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, TypeVar

import asyncpg

from hilum.authoring.contract import Contract
from hilum.authoring.estate import Estate
from hilum.authoring.failures import InvalidData, Unavailable
from hilum.authoring.platform import Submitted
from hilum.runtime.intake import Intake, Receipt
from hilum.runtime.reception import DUPLICATE, REFUSED, stated
from hilum.security.decisions import PolicyPoint

T = TypeVar("T")


class OwnPlatform:
    """``intake`` writes a shard of this process's own; it is started and stopped by whoever made it."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        estate: Estate,
        intake: Intake,
        *,
        policies: PolicyPoint,
        clock: Callable[[], datetime],
    ) -> None:
        self._pool = pool
        self._estate = estate
        self._intake = intake
        self._policies = policies
        self._clock = clock
        self._loop = asyncio.get_running_loop()

    @property
    def pool(self) -> asyncpg.Pool:
        return self._pool

    @property
    def estate(self) -> Estate:
        return self._estate

    @property
    def policies(self) -> PolicyPoint:
        return self._policies

    def now(self) -> datetime:
        return self._clock()

    async def submit(self, fact: Contract, *, source: str, actor: str) -> Submitted:
        reception = stated(self._estate, fact, source=source, peer=actor)
        if not reception.events[0].identities:
            raise InvalidData(type(fact).type_name(), "none of its identities is complete")
        try:
            receipt: Receipt = await self._intake.submit(reception, lambda receipt: receipt)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as away:
            raise Unavailable("store", type(away).__name__) from away
        if receipt.status == REFUSED:
            # The bytes are kept as evidence; that they were taken in would be untrue.
            raise InvalidData(type(fact).type_name(), str(receipt.reception.problem))
        return Submitted(receipt.subject, receipt.status == DUPLICATE)

    def wait_for(self, work: Awaitable[T]) -> T:
        async def working() -> Any:
            return await work

        found: T = asyncio.run_coroutine_threadsafe(working(), self._loop).result()
        return found
