"""The database that a command speaks to: by URL, that of the running platform, or the one asleep in the data directory."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import asyncpg
import orjson

from hilum.store.pool import open_pool
from hilum.store.postgres_server import EmbeddedPostgres, PostgresFailed, running_url


class NoDatabase(Exception):
    """There is no database to speak to; the text says where it was looked for and what to do."""


@asynccontextmanager
async def database(data: Path, url: str | None) -> AsyncIterator[asyncpg.Pool]:
    """A small pool on the platform's database. NoDatabase when there is none or it does not answer.

    Without ``url`` it is the database that ``runtime.json`` in ``data`` names, and when no platform is running there,
    the one under ``postgres``, started for as long as the command lasts.
    """
    async with AsyncExitStack() as stack:
        if url is not None:
            pool = await _connected(url)
        else:
            pool = await _of_running_platform(data)
            if pool is None:
                pool = await _connected(_awakened(data, stack))
        await stack.enter_async_context(pool)
        yield pool


async def _of_running_platform(data: Path) -> asyncpg.Pool | None:
    try:
        url = orjson.loads((data / "runtime.json").read_bytes())["database_url"]
    except FileNotFoundError:
        return None
    except (orjson.JSONDecodeError, KeyError, TypeError) as failure:
        raise NoDatabase(f"{data / 'runtime.json'} does not name a database_url: restart the platform") from failure
    try:
        return await _connected(url)
    except NoDatabase:
        # A platform that was killed leaves its runtime.json behind.
        if (data / "postgres").is_dir():
            return None
        raise


def _awakened(data: Path, stack: AsyncExitStack) -> str:
    folder = data / "postgres"
    if not folder.is_dir():
        raise NoDatabase(f"there is no platform in {data}: give --data or --database-url, or run hilum up")
    running = running_url(folder)
    if running is not None:
        return running
    try:
        return stack.enter_context(EmbeddedPostgres(folder)).url
    except PostgresFailed as failure:
        raise NoDatabase(str(failure)) from failure


async def _connected(url: str) -> asyncpg.Pool:
    try:
        # What a person asks for at the terminal may take as long as they care to wait.
        return await open_pool(url, max_size=4, application_name="hilum cli", statement_timeout_seconds=None)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as failure:
        # The URL may hold a password: it is not repeated.
        raise NoDatabase(f"the database does not answer: {type(failure).__name__}: {failure}") from failure
