"""Admission: how many requests are worked on at once, and who is let in first when there are more.

Two limits hold for each request: one of the process, which follows the event loop's lag (the processor is the bottleneck),
and one of its API, which follows the latency of its answers (the system behind is the bottleneck; one slow system leaves
the other APIs alone). Both grow by one while they are used up and all is well, and shrink by a fifth when it is not (AIMD,
as TCP does): too low a limit repairs itself in seconds, too high a one would not.

Of each limit a criticality may use a share, so that the less critical meets the end of the room first, and the critical
finds the last part of it empty. Who finds no room waits a little, the most critical first, in a queue with an end: longer
waits would only turn into answers that nobody waits for any more (503 with Retry-After is honest and cheap).
"""

from __future__ import annotations

import asyncio
import random
from bisect import insort
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import fmean
from types import TracebackType

from hilum.authoring.flow import CRITICALITIES
from hilum.gateway.ports import Overloaded

SHARES = {"critical": 1.0, "high": 0.9, "normal": 0.75, "low": 0.5}
"""The part of a limit that is open to a criticality."""
PATIENCE_SECONDS = {"critical": 1.0, "high": 0.5, "normal": 0.25, "low": 0.1}
QUEUE_PLACES = 128
RETRY_SECONDS = {"critical": 1.0, "high": 2.0, "normal": 5.0, "low": 10.0}

LEAST, FIRST, MOST = 4.0, 24.0, 256.0
EVERY_SECONDS = 0.2
LAG_SECONDS = 0.05
"""A loop that is this late has more to do than it can."""
SLOWER = 2.0
"""Answers that take this many times what they take when it is quiet wait for each other somewhere."""
QUIET_SECONDS = 0.005
QUIET_IN_FLIGHT = 2
MOST_TIMES = 5.0


class TooManyAtOnce(Exception):
    """A consumer has as many requests under way as were agreed: 429 with Retry-After."""

    def __init__(self, concurrency: int, retry_after_seconds: float = 1.0) -> None:
        super().__init__(f"{concurrency} requests of this consumer are under way, as many as were agreed")
        self.concurrency = concurrency
        self.retry_after_seconds = retry_after_seconds


@dataclass
class _Limit:
    """A limit on requests under way that finds its own height."""

    limit: float = FIRST
    in_flight: int = 0
    fullest: float = 0.0  # The greatest part of the limit that was used since it was last looked at.
    ratios: list[float] = field(default_factory=list)

    def has_room(self, rank: str) -> bool:
        return self.in_flight < max(self.limit * SHARES[rank], 1.0)

    def enter(self) -> None:
        self.in_flight += 1
        self.fullest = max(self.fullest, self.in_flight / self.limit)

    def look(self, congested: bool) -> None:
        if congested:
            self.limit = max(self.limit * 0.8, LEAST)
        elif self.fullest >= 0.5:
            # Half of it: more is open to low criticality only when the limit grows.
            self.limit = min(self.limit + 1, MOST)
        self.fullest = self.in_flight / self.limit
        self.ratios.clear()


@dataclass(order=True)
class _Waiter:
    rank: int
    number: int
    criticality: str = field(compare=False)
    api: str = field(compare=False)
    let_in: asyncio.Future[None] = field(compare=False)


class Turn:
    """One request under way, until its ``with`` ends."""

    __slots__ = ("_admission", "_api", "_began", "_consumer", "_operation", "_quiet")

    def __init__(
        self, admission: Admission, consumer: str, api: str, operation: str, began: float, quiet: bool
    ) -> None:
        self._admission = admission
        self._consumer = consumer
        self._api = api
        self._operation = operation
        self._began = began
        self._quiet = quiet

    def answered(self) -> None:
        """The handler has answered, so the time until now says how busy the system is. A refusal, quick as it is, says nothing."""
        self._admission._answered(self._api, self._operation, self._began, self._quiet)

    def __enter__(self) -> Turn:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._admission._left(self._consumer, self._api)


class Admission:
    """Lets requests in. One for each process; ``watch`` runs beside it and measures the event loop.

    with await admission.admit("erp", "erp.list_orders", "erp:service:ap-bot", 16, "normal") as turn:
        result = await handler()
        turn.answered()
    """

    def __init__(
        self, *, monotonic: Callable[[], float], rng: random.Random, first: float = FIRST, places: int = QUEUE_PLACES
    ) -> None:
        self._monotonic = monotonic
        self._rng = rng
        self._first = first
        self._places = places
        self._all = _Limit(first * 2)
        self._of_api: dict[str, _Limit] = {}
        self._of_consumer: dict[str, int] = {}
        self._quiet: dict[str, float] = {}  # How many seconds an operation takes when hardly anybody is in its way.
        self._waiting: list[_Waiter] = []
        self._number = 0
        self._lag_seconds = 0.0
        self._looked_at = monotonic()

    def knock(self, criticality: str) -> None:
        """Refuse at the door what would be refused inside anyway, before it costs a signature check. ``Overloaded`` then."""
        rank = CRITICALITIES.index(criticality)
        full = len(self._waiting) >= self._places and self._waiting[-1].rank <= rank
        if full or (self._lag_seconds > LAG_SECONDS and not self._all.has_room(criticality)):
            raise self._overloaded(criticality)

    async def admit(self, api: str, operation: str, consumer: str, concurrency: int, criticality: str) -> Turn:
        """A turn for one request of ``consumer`` (caller and API), at once or within its criticality's patience.

        ``TooManyAtOnce`` when the consumer has ``concurrency`` requests under way (in this process), ``Overloaded`` when
        there is no room: the less critical, the sooner.
        """
        at_once = self._of_consumer.get(consumer, 0)
        if at_once >= concurrency:
            raise TooManyAtOnce(concurrency)
        self._of_consumer[consumer] = at_once + 1
        try:
            if not self._enters(api, criticality):
                await self._wait(api, criticality)
        except BaseException:
            self._consumer_left(consumer)
            raise
        quiet = self._of_api[api].in_flight <= QUIET_IN_FLIGHT
        return Turn(self, consumer, api, operation, self._monotonic(), quiet)

    async def watch(self) -> None:
        """Measure the event loop's lag and let the limits follow, for ever."""
        while True:
            before = self._monotonic()
            await asyncio.sleep(EVERY_SECONDS / 4)
            late = self._monotonic() - before - EVERY_SECONDS / 4
            self._lag_seconds = max(late, self._lag_seconds * 0.7)
            self._look()

    def standing(self) -> dict[str, float]:
        """What is under way and what waits, for metrics."""
        return {
            "in_flight": self._all.in_flight,
            "limit": self._all.limit,
            "waiting": len(self._waiting),
            "lag_seconds": self._lag_seconds,
            **{f"limit.{api}": limit.limit for api, limit in self._of_api.items()},
        }

    # -- inside

    def _enters(self, api: str, criticality: str) -> bool:
        """Take room for one request when both limits have it and nobody as critical waits for the same."""
        limit = self._of_api.get(api)
        if limit is None:
            limit = self._of_api[api] = _Limit(self._first)
        rank = CRITICALITIES.index(criticality)
        if any(waiter.api == api and waiter.rank <= rank for waiter in self._waiting):
            return False
        return self._takes(limit, criticality)

    def _takes(self, limit: _Limit, criticality: str) -> bool:
        if not (limit.has_room(criticality) and self._all.has_room(criticality)):
            # Somebody was turned away: this is as full as it gets for them.
            limit.fullest = max(limit.fullest, limit.in_flight / limit.limit)
            return False
        limit.enter()
        self._all.enter()
        return True

    async def _wait(self, api: str, criticality: str) -> None:
        rank = CRITICALITIES.index(criticality)
        if len(self._waiting) >= self._places:
            last = self._waiting[-1]
            if last.rank <= rank:
                raise self._overloaded(criticality)
            self._waiting.pop()
            last.let_in.set_exception(self._overloaded(last.criticality))
        loop = asyncio.get_running_loop()
        self._number += 1
        waiter = _Waiter(rank, self._number, criticality, api, loop.create_future())
        insort(self._waiting, waiter)
        patience = loop.call_later(PATIENCE_SECONDS[criticality], self._gives_up, waiter)
        try:
            await waiter.let_in
        except asyncio.CancelledError:
            if waiter.let_in.done() and not waiter.let_in.cancelled() and waiter.let_in.exception() is None:
                self._give_room(api)  # Let in and gone away in the same instant.
            elif waiter in self._waiting:
                self._waiting.remove(waiter)
            raise
        finally:
            patience.cancel()

    def _gives_up(self, waiter: _Waiter) -> None:
        if not waiter.let_in.done():
            self._waiting.remove(waiter)
            waiter.let_in.set_exception(self._overloaded(waiter.criticality))

    def _left(self, consumer: str, api: str) -> None:
        self._consumer_left(consumer)
        self._give_room(api)

    def _answered(self, api: str, operation: str, began: float, quiet: bool) -> None:
        seconds = self._monotonic() - began
        usual = self._quiet.setdefault(operation, seconds)
        limit = self._of_api[api]
        if quiet and limit.in_flight <= QUIET_IN_FLIGHT:
            # A mean and no minimum: operations have long and short answers, and neither is a sign of anything.
            usual = self._quiet[operation] = usual + (seconds - usual) * 0.1
        limit.ratios.append(min(seconds / max(usual, QUIET_SECONDS), MOST_TIMES))

    def _give_room(self, api: str) -> None:
        self._of_api[api].in_flight -= 1
        self._all.in_flight -= 1
        self._look()
        self._let_in()

    def _let_in(self) -> None:
        """Whoever waits and finds room now, the most critical first."""
        for waiter in list(self._waiting):
            if not waiter.let_in.done() and self._takes(self._of_api[waiter.api], waiter.criticality):
                self._waiting.remove(waiter)
                waiter.let_in.set_result(None)

    def _consumer_left(self, consumer: str) -> None:
        left = self._of_consumer[consumer] - 1
        if left:
            self._of_consumer[consumer] = left
        else:
            del self._of_consumer[consumer]

    def _look(self) -> None:
        now = self._monotonic()
        if now - self._looked_at < EVERY_SECONDS:
            return
        self._looked_at = now
        self._all.look(congested=self._lag_seconds > LAG_SECONDS)
        for limit in self._of_api.values():
            limit.look(congested=len(limit.ratios) >= 3 and fmean(limit.ratios) > SLOWER)
        self._let_in()

    def _overloaded(self, criticality: str) -> Overloaded:
        # Spread out, so that those who were sent away together do not come back together.
        longest = RETRY_SECONDS[criticality]
        return Overloaded("there is more to do than can be done now", self._rng.uniform(longest / 2, longest))
