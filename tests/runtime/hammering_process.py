"""One process that takes from an allowance, or waits for its turns, as often as it can, and writes down when: run by the tests."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time

from hilum.runtime.allowances import Allowances, Leases
from hilum.runtime.rate import SharedPace
from hilum.store.pool import open_pool


async def take(url: str, key: str, per_minute: float, burst: int, quota: int, seconds: float, pause: float) -> None:
    """Prints the instants around every request that was allowed. The machine's monotonic clock is one for all processes."""
    pool = await open_pool(url, min_size=1, max_size=2, application_name="hammering")
    allowances = Allowances(pool, time_zone="America/Chicago", monotonic=time.monotonic)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    allowed, end = [], time.monotonic() + seconds
    while (before := time.monotonic()) < end:
        taken = await allowances.take(key, per_minute, burst, quota or None)
        if taken.allowed:
            allowed.append((before, time.monotonic()))
        await asyncio.sleep(pause if taken.allowed else min(taken.retry_after_seconds, 0.002))
    print(json.dumps(allowed), flush=True)
    await pool.close()


async def wait_for_turns(url: str, key: str, per_second: float, burst: int, seconds: float, callers: int) -> None:
    pool = await open_pool(url, min_size=1, max_size=2, application_name="hammering")
    pace = SharedPace(Leases(pool, time_zone="America/Chicago", monotonic=time.monotonic), key, per_second, burst=burst)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    begun: list[tuple[float, float]] = []
    end = time.monotonic() + seconds

    async def call() -> None:
        while time.monotonic() < end:
            instant = await pace.turn()
            begun.append((instant, instant))

    await asyncio.gather(*(call() for _ in range(callers)))
    print(json.dumps(begun), flush=True)
    await pool.close()


async def lease_and_die(url: str, key: str, per_minute: float, burst: int) -> None:
    """Takes until it holds tokens that it has not used, and is killed with them in hand."""
    pool = await open_pool(url, min_size=1, max_size=2, application_name="hammering")
    allowances = Allowances(pool, time_zone="America/Chicago", monotonic=time.monotonic)
    used = 0
    while True:
        used += (await allowances.take(key, per_minute, burst)).allowed
        purse = allowances._purses[key]
        if purse.lease is not None and purse.lease.granted - purse.spent >= 4:
            print(json.dumps({"used": used, "in_hand": purse.lease.granted - purse.spent}), flush=True)
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    work, url, key, *numbers = sys.argv[1:]
    given = [float(n) for n in numbers]
    if work == "take":
        asyncio.run(take(url, key, given[0], int(given[1]), int(given[2]), given[3], given[4]))
    elif work == "turns":
        asyncio.run(wait_for_turns(url, key, given[0], int(given[1]), given[2], int(given[3])))
    else:
        asyncio.run(lease_and_die(url, key, given[0], int(given[1])))
