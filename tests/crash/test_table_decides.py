"""A case that is ready is run, whatever the journal says of a run before: no case is ready for ever and run by nobody."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.runtime.case_parts import desk, office

from hilum.testing.faults import failing


def test_a_run_that_ended_beside_the_table_is_taken_up_where_its_journal_ends(
    database_url: str, tmp_path: Path
) -> None:
    """So it is when a worker wakes that was thought dead, and starts a case that its peer has just made ready again."""

    async def story() -> None:
        async with office(database_url, tmp_path / "diary") as o:
            await o.asks("N-1")
            assert await o.works() == {"N-1": "done"}
            await o.pool.execute("UPDATE flow_case SET state = 'ready', done_at = NULL")
            assert await o.works() == {"N-1": "done"}
            assert desk.lines() == ["N-1"]

    asyncio.run(story())


def test_a_run_whose_end_could_not_be_written_goes_on_when_its_worker_is_started_again(
    database_url: str, tmp_path: Path
) -> None:
    async def story() -> None:
        async with office(database_url, tmp_path / "diary") as o:
            await o.asks("N-1")
            with failing("case.finishing"):
                await o.dispatcher.run_once()
                await o.claims.run_once()
                for _ in range(1000):
                    if await o.pool.fetchval("SELECT count(*) FROM dbos.workflow_status WHERE status = 'ERROR'"):
                        break
                    await asyncio.sleep(0.01)
            assert await o.states() == {"N-1": "running"}
        async with office(database_url, tmp_path / "diary") as o:
            assert await o.works() == {"N-1": "done"}
            assert desk.lines() == ["N-1"]

    asyncio.run(story())
