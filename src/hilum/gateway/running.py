"""Running a handler: on the loop or in a thread, within its time, with the systems at hand that it asks and commands."""

from __future__ import annotations

import asyncio
import concurrent.futures
import inspect
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import lru_cache
from typing import Any, TypeVar

from hilum.authoring.flow import Step
from hilum.authoring.running import running_in
from hilum.authoring.system import System
from hilum.gateway.ports import Overloaded
from hilum.masterdata.book import CrosswalkBook
from hilum.runtime.deliveries import Command, Deliveries

T = TypeVar("T")

THREADS = 32
MOST_WAITING = 4
"""So many requests for each thread may wait for one; more are refused, for they would only wait for their time-out."""


_is_async = lru_cache(1024)(inspect.iscoroutinefunction)


class OutOfTime(TimeoutError):
    """The handler did not answer within its time. What it has begun may still come to its end."""


class CommandInQuestion(TypeError):
    """An operation that only reads, or the ``about`` of one that writes, commanded a system."""


class ApiRun:
    """What a plain handler's questions and commands go through; its methods are called in the handler's thread.

    ``key`` names the request: a repeat with the same ``Idempotency-Key`` has the same, so a command has one effect
    however often the request is made. None for requests that change nothing.
    """

    def __init__(
        self,
        deliveries: Deliveries,
        book: CrosswalkBook,
        loop: asyncio.AbstractEventLoop,
        *,
        operation: str,
        key: str | None,
        deadline: float,
    ) -> None:
        self._deliveries = deliveries
        self._book = book
        self._loop = loop
        self._operation = operation
        self._key = key
        self._deadline = deadline
        self._commands = 0

    def step(self, step: Step[Any, Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """A request has no journal: its step is simply run."""
        return step.function(*args, **kwargs)

    def ask(self, system: System, operation: str, arguments: Mapping[str, Any]) -> Any:
        return self._wait_for(self._deliveries.ask(system, operation, arguments), give_up=True)

    def command(self, system: System, operation: str, arguments: Mapping[str, Any], key: str | None) -> Any:
        """A command goes on when its request is out of time: its outcome is recorded, and a repeat finds it."""
        if self._key is None:
            raise CommandInQuestion(f"{self._operation} reads and may command nothing; declare it as a write")
        self._commands += 1
        if key is None:
            key = self._key + (f":{self._commands}" if self._commands > 1 else "")
        command = Command(system, operation, arguments, key, self._key, self._operation)
        return self._wait_for(self._deliveries.command(command), give_up=False)

    def lookup(self, crosswalk: str, value: str, facility: str, on: datetime | None) -> str | None:
        """Nothing is unknown before the database was asked: a steward's entry of a moment ago may not be here yet."""
        found = self._book.lookup(crosswalk, value, facility, on)
        if found is None:
            self._wait_for(self._book.refresh(), give_up=True)
            found = self._book.lookup(crosswalk, value, facility, on)
        return found

    def _wait_for(self, work: Coroutine[Any, Any, T], *, give_up: bool) -> T:
        left = self._deadline - self._loop.time()
        if left <= 0:
            work.close()
            raise OutOfTime
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        done, _ = concurrent.futures.wait([future], timeout=left)
        if not done:
            if give_up:
                future.cancel()
            raise OutOfTime
        return future.result()


class Handlers:
    """Runs handlers. Async ones share the loop; plain ones have so many threads and no more."""

    def __init__(self, deliveries: Deliveries, book: CrosswalkBook, *, threads: int = THREADS) -> None:
        self._deliveries = deliveries
        self._book = book
        self._loop = asyncio.get_running_loop()
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="api")
        self._most = threads * (1 + MOST_WAITING)
        self._busy = 0

    async def run(
        self,
        function: Callable[..., Any],
        arguments: Mapping[str, Any],
        *,
        operation: str,
        key: str | None,
        timeout_seconds: float,
    ) -> Any:
        """The function's answer. ``OutOfTime`` when it takes longer, ``Overloaded`` when no thread will be free in time."""
        try:
            async with asyncio.timeout(timeout_seconds) as timeout:
                if _is_async(function):
                    return await function(**arguments)
                deadline = self._loop.time() + timeout_seconds
                run = ApiRun(self._deliveries, self._book, self._loop, operation=operation, key=key, deadline=deadline)
                return await self._in_thread(run, function, arguments)
        except TimeoutError:
            if timeout.expired():
                raise OutOfTime from None
            raise

    async def _in_thread(self, run: ApiRun, function: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
        if self._busy >= self._most:
            raise Overloaded("every thread is busy and enough requests wait for one")
        self._busy += 1
        work = self._threads.submit(_running, run, function, arguments)
        # Counted until the thread is free, which after a time-out is later than the answer.
        work.add_done_callback(lambda _: self._loop.call_soon_threadsafe(self._freed))
        return await asyncio.wrap_future(work)

    def _freed(self) -> None:
        self._busy -= 1

    def close(self) -> None:
        """Begin nothing more; what runs comes to its end on its own."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _running(run: ApiRun, function: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
    leave = running_in(run)
    try:
        return function(**arguments)
    finally:
        leave()
