"""What writers commit becomes one tree, whoever dies on the way."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from typing import Any

import asyncpg
import pytest

from hilum.audit import merkle
from hilum.audit.heads import HeadsFile
from hilum.audit.sequencer import AuditDamaged, Sequencer
from hilum.audit.signing import Signer
from hilum.audit.writer import append


def leaves_of(office: Any) -> list[bytes]:
    """The leaf hashes, recomputed from the entries in the order of integration."""
    rows = office.rows(
        "SELECT entry FROM hilum.audit_range r JOIN hilum.audit_entry e "
        "ON e.shard = r.shard AND e.seq >= r.first_seq AND e.seq < r.first_seq + r.count ORDER BY r.first_leaf, e.seq"
    )
    return [merkle.leaf_hash(row["entry"]) for row in rows]


def heads_of(office: Any) -> list[Any]:
    return office.rows("SELECT size, root, at FROM hilum.audit_head ORDER BY size")


async def becomes(sequencer: Sequencer, wanted: Callable[[str | None], bool]) -> str | None:
    """The sequencer's problem as soon as it is as wanted, within ten seconds."""
    for _ in range(1000):
        if wanted(sequencer.problem):
            return sequencer.problem
        await asyncio.sleep(0.01)
    raise TimeoutError(f"the sequencer's problem stayed {sequencer.problem!r}")


def test_entries_are_numbered_without_gaps_in_each_shard(office: Any) -> None:
    assert office.records("w/1", "w/2", "w/3") == [1, 2, 3]
    assert office.records("m/1/1", shard=1) == [1]
    assert office.records(*(f"w/{number}" for number in range(500))) == list(range(4, 504))
    assert office.records("w/4") == [504]
    stored = office.rows(
        "SELECT seq, subject, entry FROM hilum.audit_entry WHERE shard = 0 AND seq IN (3, 4) ORDER BY seq"
    )
    assert [row["subject"] for row in stored] == ["w/3", "w/0"]
    assert stored[0]["entry"] == office.entry("w/3").canonical()


def test_an_entry_outside_the_transaction_of_its_change_is_refused(office: Any) -> None:
    async def work() -> None:
        async with office.pool.acquire() as connection:
            await append(connection, [office.entry("w/1")])

    with pytest.raises(RuntimeError, match="inside the transaction"):
        office.run(work())


def test_a_change_that_is_rolled_back_leaves_no_entry_and_no_gap(office: Any) -> None:
    async def work() -> None:
        async with office.pool.acquire() as connection:
            transaction = connection.transaction()
            await transaction.start()
            await append(connection, [office.entry("w/1")])
            await transaction.rollback()

    office.run(work())
    assert office.records("w/2") == [1]


def test_recorded_rows_refuse_to_be_changed(office: Any) -> None:
    office.records("w/1")
    office.sequences()
    for statement in (
        "UPDATE hilum.audit_entry SET subject = 'w/2'",
        "DELETE FROM hilum.audit_entry",
        "TRUNCATE hilum.audit_range",
        "DELETE FROM hilum.audit_head",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
            office.run(office.pool.execute(statement))


def test_every_head_is_the_root_over_its_first_leaves(office: Any) -> None:
    sizes = [1, 2, 7, 300, 301]
    for before, size in zip([0, *sizes], sizes, strict=False):
        office.records(*(f"w/{number}" for number in range(before, size)), shard=size % 2)
        assert office.sequences() == size - before
    leaves = leaves_of(office)
    assert len(leaves) == 301
    assert [(row["size"], row["root"]) for row in heads_of(office)] == [
        (size, merkle.root(leaves[:size])) for size in sizes
    ]
    assert office.sequences() == 0
    assert len(heads_of(office)) == len(sizes)
    assert [head.size for head in HeadsFile(office.heads_file).read()] == sizes
    report = office.verifies()
    assert report.whole and report.leaves == 301 and report.heads == 5 and report.published_heads == 5


def test_more_than_a_batch_is_integrated_in_one_run(office: Any) -> None:
    for shard in (1, 2):
        for _ in range(3):
            office.records(*(f"m/{shard}/{number}" for number in range(2500)), shard=shard)
    assert office.sequences() == 15_000
    assert [row["size"] for row in heads_of(office)] == [10_000, 15_000]
    assert office.verifies().whole


def test_heads_never_step_back_in_time(office: Any) -> None:
    office.records("w/1")
    office.sequences()
    office.now -= timedelta(hours=1)
    office.records("w/2")
    office.sequences()
    first, second = heads_of(office)
    assert second["at"] == first["at"]


def test_writers_on_several_shards_lose_nothing_while_the_sequencer_runs(office: Any) -> None:
    async def writer(shard: int, rounds: int) -> list[tuple[int, int]]:
        written = []
        for number in range(rounds):
            async with office.pool.acquire() as connection:
                transaction = connection.transaction()
                await transaction.start()
                entries = [office.entry(f"m/{shard}/{number}.{place}") for place in range(1 + number % 90)]
                numbers = await append(connection, entries, shard=shard)
                await asyncio.sleep(0)
                if number % 7 == 3:
                    await transaction.rollback()
                else:
                    await transaction.commit()
                    written.extend((shard, seq) for seq in numbers)
        return written

    async def work() -> list[tuple[int, int]]:
        stop = asyncio.Event()
        standby = Sequencer(office.pool, office.signer, office.clock, heads_file=office.heads_file)
        sequencers = [asyncio.create_task(one.run(stop, 0.005)) for one in (office.sequencer, standby)]
        written = await asyncio.gather(*(writer(shard, 40) for shard in (0, 0, 1, 2)))
        stop.set()
        await asyncio.gather(*sequencers)
        return [number for numbers in written for number in numbers]

    written = office.run(work())
    assert office.sequencer.problem is None
    stored = office.rows("SELECT shard, seq FROM hilum.audit_entry")
    assert len(written) == len(set(written))
    assert {(row["shard"], row["seq"]) for row in stored} == set(written)
    leaves = leaves_of(office)
    heads = heads_of(office)
    assert len(leaves) == len(written) == heads[-1]["size"]
    assert len(heads) > 3
    for older, newer in pairwise(heads):
        proof = merkle.consistency_proof(leaves[: newer["size"]], older["size"])
        assert merkle.verify_consistency(older["size"], newer["size"], older["root"], newer["root"], proof)
    report = office.verifies()
    assert report.whole and report.pending == 0 and report.unpublished_heads == 0


def test_a_sequencer_killed_between_commit_and_publication_publishes_when_it_returns(office: Any) -> None:
    office.records("w/1")
    office.sequences()
    silent = Sequencer(office.pool, office.signer, office.clock)
    office.records("w/2")
    assert office.run(silent.run_once()) == 1
    report = office.verifies()
    assert report.whole and report.unpublished_heads == 1
    assert office.sequences() == 0
    assert [head.size for head in HeadsFile(office.heads_file).read()] == [1, 2]
    assert office.verifies().unpublished_heads == 0


def test_a_sequencer_whose_connection_dies_half_way_leaves_nothing_half_done(office: Any) -> None:
    office.records("w/1")
    office.sequences()
    office.records("w/2", "w/3")

    class DyingClock:
        """The head's time is asked for after ranges and tiles were written: the moment to be killed at."""

        def __call__(self) -> Any:
            raise ConnectionAbortedError("killed")

    dying = Sequencer(office.pool, office.signer, DyingClock(), heads_file=office.heads_file)
    with pytest.raises(ConnectionAbortedError):
        office.run(dying.run_once())
    assert [row["size"] for row in heads_of(office)] == [1]
    assert office.verifies().pending == 2
    assert office.sequences() == 2
    assert office.verifies().whole


def test_only_one_sequencer_works_at_a_time(office: Any) -> None:
    office.records("w/1")

    async def work() -> int:
        async with office.pool.acquire() as holder:
            await holder.execute("SELECT pg_advisory_lock(hashtextextended('hilum.audit.sequencer', 0))")
            integrated: int = await office.sequencer.run_once()
            await holder.execute("SELECT pg_advisory_unlock(hashtextextended('hilum.audit.sequencer', 0))")
            return integrated

    assert office.run(work()) == 0
    assert office.sequences() == 1


def test_an_entry_removed_before_integration_stops_its_shard_and_no_other(office: Any) -> None:
    office.records("w/1", "w/2", "w/3")
    office.records("m/1/1", shard=1)
    office.tampers("DELETE FROM hilum.audit_entry WHERE shard = 0 AND seq = 2")
    assert office.sequences() == 2
    assert "entry 2 of shard 0 was removed" in office.sequencer.problem
    office.records("m/1/2", shard=1)
    assert office.sequences() == 1
    report = office.verifies()
    assert report.first.kind == "entry-missing" and (report.first.shard, report.first.seq) == (0, 2)


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("UPDATE hilum.audit_tile SET hashes = sha256('forged') WHERE level = 0", "do not give the signed root"),
        ("DELETE FROM hilum.audit_tile", "tile 0 of level 0 is missing"),
        ("UPDATE hilum.audit_head SET root = sha256('forged')", "is not signed by this platform's key"),
        ("UPDATE hilum.audit_range SET count = 2", "shard 0 counts 1 entries but 2 are integrated"),
        ("UPDATE hilum.audit_range SET first_leaf = 1", "2 leaves are integrated but the newest head covers 1"),
        ("UPDATE hilum.audit_shard SET next_seq = 1", "counts 0 entries but 1 are integrated"),
    ],
)
def test_nothing_is_built_on_a_damaged_edge(office: Any, statement: str, reason: str) -> None:
    office.sequencer = Sequencer(office.pool, office.signer, office.clock)
    office.records("w/1")
    office.sequences()
    office.records("m/1/1", shard=1)
    office.tampers(statement)
    with pytest.raises(AuditDamaged, match=reason):
        office.sequences()
    assert [row["size"] for row in heads_of(office)] == [1]


def test_a_database_set_back_behind_its_published_heads_is_not_extended(office: Any) -> None:
    office.records("w/1")
    office.sequences()
    office.tampers("DELETE FROM hilum.audit_head")
    with pytest.raises(AuditDamaged, match="was set back"):
        office.sequences()


def test_another_key_does_not_go_on_where_this_one_stopped(office: Any) -> None:
    office.records("w/1")
    office.sequences()
    office.records("w/2")
    stranger = Sequencer(office.pool, Signer.open(office.directory / "elsewhere"), office.clock)
    with pytest.raises(AuditDamaged, match="put the right signing key in place"):
        office.run(stranger.run_once())


def test_a_running_sequencer_keeps_its_problem_in_words_and_recovers(office: Any) -> None:
    office.records("w/1")
    office.sequences()
    right = office.rows("SELECT hashes FROM hilum.audit_tile")[0]["hashes"]
    office.tampers("UPDATE hilum.audit_tile SET hashes = sha256('forged')")
    office.records("w/2")

    async def work() -> str:
        stop = asyncio.Event()
        running = asyncio.create_task(office.sequencer.run(stop, 0.01))
        problem = await becomes(office.sequencer, lambda problem: problem is not None)
        await office.pool.execute("UPDATE hilum.audit_tile SET hashes = $1", right)
        await becomes(office.sequencer, lambda problem: problem is None)
        stop.set()
        await running
        return str(problem)

    assert "do not give the signed root" in office.run(work())
    assert office.verifies().whole
