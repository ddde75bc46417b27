"""An outsider checks one entry with a handful of hashes; an insider finds it."""

from datetime import timedelta
from typing import Any

import pytest

from hilum.audit import merkle
from hilum.audit.proofs import InclusionProof, NoProof, consistency_proof, inclusion_proof, leaves_about
from hilum.audit.search import EntryFilter, find_entries
from hilum.audit.signing import Signer


def asks(office: Any, question: Any, *values: Any) -> Any:
    async def work() -> Any:
        async with office.pool.acquire() as connection:
            return await question(connection, *values)

    return office.run(work())


@pytest.fixture
def kept(office: Any) -> Any:
    """700 entries in two shards, under two heads."""
    office.records(*(f"w/{number}" for number in range(300)))
    office.sequences()
    office.records(*(f"m/1/{number}" for number in range(399)), "w/7", shard=1)
    office.sequences()
    return office


@pytest.mark.parametrize("leaf", [0, 255, 256, 299, 300, 511, 512, 698, 699])
def test_an_entry_is_proved_under_the_newest_head(kept: Any, leaf: int) -> None:
    proof = asks(kept, inclusion_proof, leaf)
    assert (proof.shard, proof.seq) == ((0, leaf + 1) if leaf < 300 else (1, leaf - 299))
    assert proof.head.size == 700
    assert len(proof.path) <= 10
    assert proof.problems(kept.signer.public_key) == []
    again = InclusionProof.from_fields(proof.as_fields())
    assert again == proof


def test_a_proof_of_a_changed_entry_or_under_another_key_does_not_hold(kept: Any, tmp_path: Any) -> None:
    kept.tampers("UPDATE hilum.audit_entry SET entry = entry || ' ' WHERE shard = 0 AND seq = 8")
    proof = asks(kept, inclusion_proof, 7)
    assert proof.problems(kept.signer.public_key) == ["entry 8 of shard 0 is not leaf 7 under the signed root"]
    other = Signer.open(tmp_path / "other")
    sound = asks(kept, inclusion_proof, 8)
    assert sound.problems(other.public_key) == ["the head of 700 leaves is not signed by this key"]


def test_what_is_not_under_a_head_has_no_proof(kept: Any) -> None:
    kept.records("w/new")
    with pytest.raises(NoProof, match="leaf 700 is not under a signed head"):
        asks(kept, inclusion_proof, 700)
    assert asks(kept, leaves_about, "w/new") == []


def test_all_leaves_about_a_subject_are_found_in_order(kept: Any) -> None:
    assert asks(kept, leaves_about, "w/7") == [7, 699]
    assert asks(kept, leaves_about, "m/1/0") == [300]


@pytest.mark.parametrize("old_size", [1, 256, 300, 512, 699, 700])
def test_an_older_tree_is_proved_to_be_the_beginning_of_the_newest(kept: Any, old_size: int) -> None:
    rows = kept.rows("SELECT hashes FROM hilum.audit_tile WHERE level = 0 ORDER BY tile")
    leaves = [leaf for row in rows for leaf in merkle.split(row["hashes"])]
    path, head = asks(kept, consistency_proof, old_size)
    assert merkle.verify_consistency(old_size, head.size, merkle.root(leaves[:old_size]), head.root, path)


def test_a_missing_tile_is_said_to_be_missing(kept: Any) -> None:
    kept.tampers("DELETE FROM hilum.audit_tile WHERE level = 1")
    with pytest.raises(NoProof, match="tile 0 of level 1 is missing"):
        asks(kept, inclusion_proof, 600)


def test_a_leaf_whose_range_was_removed_has_no_proof(kept: Any) -> None:
    kept.records("w/300")
    kept.sequences()
    kept.tampers("UPDATE hilum.audit_range SET count = count - 1 WHERE first_leaf = 300")
    with pytest.raises(NoProof, match="the entry of leaf 699 is missing"):
        asks(kept, inclusion_proof, 699)


@pytest.fixture
def told(office: Any) -> Any:
    """A morning: one entry an hour by changing actors, in two shards."""
    actions = ["work_item.opened", "work_item.released", "crosswalk.changed", "work_item.released"]
    for hour, action in enumerate(actions):
        office.appends([office.entry(f"w/{hour}", action)], shard=hour % 2)
        office.now += timedelta(hours=1)
    office.appends([office.entry("m/1/1", "message.accepted")], shard=1)
    return office


def subjects(office: Any, limit: int = 50, **wanted: Any) -> list[str]:
    return [found.subject for found in asks(office, find_entries, EntryFilter(**wanted), limit)]


def test_entries_are_listed_oldest_first_and_the_newest_when_limited(told: Any) -> None:
    assert subjects(told) == ["w/0", "w/1", "w/2", "w/3", "m/1/1"]
    assert subjects(told, limit=2) == ["w/3", "m/1/1"]
    assert subjects(told, subject="w/*", limit=2) == ["w/2", "w/3"]


def test_entries_are_found_by_subject_action_actor_and_time(told: Any) -> None:
    assert subjects(told, subject="w/1") == ["w/1"]
    assert subjects(told, subject="w/1*") == ["w/1"]
    assert subjects(told, action="work_item.released") == ["w/1", "w/3"]
    assert subjects(told, actor="person:jdoe", action="crosswalk.changed") == ["w/2"]
    assert subjects(told, actor="person:nobody") == []
    assert subjects(told, since=told.now - timedelta(hours=1)) == ["w/3", "m/1/1"]
    assert subjects(told, subject="w/*", since=told.now - timedelta(hours=1)) == ["w/3"]


def test_an_entry_that_cannot_be_read_is_listed_as_such(told: Any) -> None:
    told.tampers("UPDATE hilum.audit_entry SET entry = 'garbled' WHERE subject = 'w/2'")
    (found,) = asks(told, find_entries, EntryFilter(subject="w/2"))
    assert found.fields is None
    assert subjects(told, action="crosswalk.changed") == []
