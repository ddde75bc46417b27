"""A platform that writes and sequences until it is killed; it says on standard output what was committed.

Run by test_killed_sequencer: ``python writing_platform.py URL AUDIT_DIRECTORY``.
"""

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path

import asyncpg

from hilum.audit.entry import Entry
from hilum.audit.sequencer import Sequencer
from hilum.audit.signing import Signer
from hilum.audit.writer import append


async def write(pool: asyncpg.Pool, shard: int) -> None:
    number = 0
    while True:
        number += 1
        entries = [
            Entry(datetime.now(UTC), "system:intake", "message.accepted", f"w/{shard}/{number}.{place}")
            for place in range(number % 70 + 1)
        ]
        async with pool.acquire() as connection, connection.transaction():
            numbers = await append(connection, entries, shard=shard)
        print(shard, numbers[0], numbers[-1], flush=True)


async def main(url: str, directory: Path) -> None:
    async with asyncpg.create_pool(url, min_size=1, max_size=4) as pool:
        sequencer = Sequencer(
            pool, Signer.open(directory), lambda: datetime.now(UTC), heads_file=directory / "heads.jsonl"
        )
        await asyncio.gather(sequencer.run(asyncio.Event(), 0.003), write(pool, 1), write(pool, 2))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
