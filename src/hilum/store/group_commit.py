"""Group commit: whatever was asked while the last commit ran is the next one.

No timer: who comes alone waits for one commit, who comes with others shares it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Asked = TypeVar("Asked")
Done = TypeVar("Done")


@dataclass(slots=True)
class _Waiting(Generic[Asked, Done]):
    asked: Asked
    future: asyncio.Future[Done]


class GroupCommit(Generic[Asked, Done]):
    """``commit`` is given what waits, at most ``most`` at a time and one batch after the other.

    It answers for each in order once all of them are durable. When it raises, nobody of the batch is answered: each is
    told the same error. Whoever stops waiting takes nothing away from the others.
    """

    def __init__(self, commit: Callable[[Sequence[Asked]], Awaitable[Sequence[Done]]], *, most: int) -> None:
        self._commit = commit
        self._most = most
        self._waiting: list[_Waiting[Asked, Done]] = []
        self._flushing: asyncio.Task[None] | None = None

    async def ask(self, asked: Asked) -> Done:
        """What ``commit`` answered, once it is durable."""
        loop = asyncio.get_running_loop()
        waiting: _Waiting[Asked, Done] = _Waiting(asked, loop.create_future())
        self._waiting.append(waiting)
        if self._flushing is None:
            self._flushing = loop.create_task(self._flush())
        return await waiting.future

    async def close(self) -> None:
        """Wait until everything that was asked is answered."""
        while self._flushing is not None and not self._flushing.done():
            await asyncio.wait([self._flushing])

    async def _flush(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
                try:
                    answers = await self._commit([waiting.asked for waiting in batch])
                except Exception as failure:  # noqa: BLE001 - Whatever it is, nobody of this batch may be answered.
                    for waiting in batch:
                        if not waiting.future.done():
                            waiting.future.set_exception(failure)
                else:
                    for waiting, answer in zip(batch, answers, strict=True):
                        if not waiting.future.done():
                            waiting.future.set_result(answer)
        finally:
            self._flushing = None
