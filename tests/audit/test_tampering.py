"""Every kind of row changed behind the log's back is found, and the right one is named."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hilum.audit import merkle
from hilum.audit.heads import HeadsFile
from hilum.audit.sequencer import AuditDamaged, Sequencer
from hilum.audit.signing import Signer

FORGED = b'{"action":"work_item.released","actor":"person:jdoe","at":"2026-11-21T08:00:00.000000Z","detail":{},"subject":"w/5","v":1}'


@pytest.fixture
def kept(office: Any) -> Any:
    """A log of ten entries, w/1 to w/10 on leaves 0 to 9, under three heads of 4, 8 and 10 leaves."""
    for numbers in (range(1, 5), range(5, 9), range(9, 11)):
        office.records(*(f"w/{number}" for number in numbers))
        office.sequences()
    return office


def test_a_whole_log_is_whole(kept: Any) -> None:
    report = kept.verifies()
    assert report.whole
    assert (report.leaves, report.heads, report.published_heads, report.pending) == (10, 3, 3, 0)
    assert report.newest_head.size == 10
    assert report.first is None


def test_an_empty_log_is_whole(office: Any) -> None:
    report = office.verifies()
    assert report.whole and report.leaves == report.heads == 0


def test_entries_not_yet_integrated_are_pending_not_damaged(kept: Any) -> None:
    kept.records("w/11", "w/12")
    kept.records("m/1/1", shard=1)
    report = kept.verifies()
    assert report.whole and report.pending == 3


def test_a_changed_entry_is_named(kept: Any, kinds: Any) -> None:
    kept.tampers("UPDATE hilum.audit_entry SET entry = $1 WHERE seq = 6", FORGED)
    report = kept.verifies()
    assert kinds(report) == ["entry-changed"]
    assert (report.first.leaf, report.first.shard, report.first.seq, report.first.subject) == (5, 0, 6, "w/6")
    assert "leaf 5, entry 6 of shard 0 (subject w/6) was changed" in report.first.text


def test_each_of_several_changed_entries_is_named_the_lowest_first(kept: Any) -> None:
    kept.tampers("UPDATE hilum.audit_entry SET entry = $1 WHERE seq IN (3, 6, 9)", FORGED)
    report = kept.verifies()
    assert [damage.seq for damage in report.damages] == [3, 6, 9]
    assert report.first.seq == 3


def test_a_changed_subject_is_named(kept: Any, kinds: Any) -> None:
    kept.tampers("UPDATE hilum.audit_entry SET subject = 'w/600' WHERE seq = 6")
    report = kept.verifies()
    assert kinds(report) == ["subject-changed"]
    assert report.first.leaf == 5 and "the entry itself is about 'w/6'" in report.first.text


def test_a_changed_stored_hash_is_told_from_a_changed_entry(kept: Any, kinds: Any) -> None:
    (row,) = kept.rows("SELECT hashes FROM hilum.audit_tile WHERE level = 0")
    hashes = row["hashes"][: 5 * 32] + merkle.leaf_hash(FORGED) + row["hashes"][6 * 32 :]
    kept.tampers("UPDATE hilum.audit_tile SET hashes = $1", hashes)
    report = kept.verifies()
    assert kinds(report) == ["tile-changed"]
    assert report.first.leaf == 5


def test_an_entry_changed_together_with_its_stored_hash_is_found_between_two_heads(kept: Any, kinds: Any) -> None:
    (row,) = kept.rows("SELECT hashes FROM hilum.audit_tile WHERE level = 0")
    hashes = row["hashes"][: 5 * 32] + merkle.leaf_hash(FORGED.replace(b"w/5", b"w/6")) + row["hashes"][6 * 32 :]
    kept.tampers("UPDATE hilum.audit_entry SET entry = $1 WHERE seq = 6", FORGED.replace(b"w/5", b"w/6"))
    kept.tampers("UPDATE hilum.audit_tile SET hashes = $1", hashes)
    report = kept.verifies()
    assert kinds(report) == ["leaves-changed"]
    assert report.first.leaf == 4
    assert "one of the 4 leaves from there to leaf 7" in report.first.text


def test_a_rewritten_log_with_recomputed_heads_lacks_the_signature(kept: Any, kinds: Any) -> None:
    """Everything inside the database is consistent again; only the key is not the log's."""
    kept.tampers("UPDATE hilum.audit_entry SET entry = $1 WHERE seq = 5", FORGED)
    for table in ("head", "range", "tile"):
        kept.tampers(f"DELETE FROM hilum.audit_{table}")
    thief = Sequencer(kept.pool, Signer.open(kept.directory / "thief"), kept.clock)
    assert kept.run(thief.run_once()) == 10
    report = kept.verifies()
    assert set(kinds(report)) == {"head-forged", "head-missing", "head-replaced"}


def test_a_log_rewritten_with_the_stolen_key_is_not_the_published_one(kept: Any, kinds: Any) -> None:
    kept.tampers("UPDATE hilum.audit_entry SET entry = $1 WHERE seq = 5", FORGED)
    for table in ("head", "range", "tile"):
        kept.tampers(f"DELETE FROM hilum.audit_{table}")
    thief = Sequencer(kept.pool, kept.signer, kept.clock)
    assert kept.run(thief.run_once()) == 10
    assert kept.verifies(with_heads_file=False).whole
    assert kinds(kept.verifies()) == ["head-missing", "head-missing", "head-replaced"]
    with pytest.raises(AuditDamaged, match="is not the one published"):
        kept.sequences()


def test_a_deleted_entry_is_named(kept: Any, kinds: Any) -> None:
    kept.tampers("DELETE FROM hilum.audit_entry WHERE seq = 6")
    report = kept.verifies()
    assert kinds(report) == ["entry-missing"]
    assert (report.first.leaf, report.first.shard, report.first.seq) == (5, 0, 6)


def test_a_deleted_tail_is_named_from_its_first_entry(kept: Any, kinds: Any) -> None:
    kept.tampers("DELETE FROM hilum.audit_entry WHERE seq > 7")
    report = kept.verifies()
    assert kinds(report) == ["entry-missing"] * 3
    assert (report.first.leaf, report.first.seq) == (7, 8)


def test_a_deleted_pending_entry_is_named(kept: Any, kinds: Any) -> None:
    kept.records("w/11", "w/12", "w/13")
    kept.tampers("DELETE FROM hilum.audit_entry WHERE seq = 12")
    report = kept.verifies()
    assert kinds(report) == ["entry-missing"]
    assert (report.first.shard, report.first.seq, report.pending) == (0, 12, 2)


def test_swapped_entries_are_both_named(kept: Any, kinds: Any) -> None:
    kept.tampers(
        "UPDATE hilum.audit_entry AS e SET subject = o.subject, entry = o.entry FROM hilum.audit_entry AS o "
        "WHERE e.seq IN (2, 7) AND o.seq = 9 - e.seq"
    )
    report = kept.verifies()
    assert kinds(report) == ["entry-changed", "entry-changed"]
    assert [(damage.seq, damage.subject) for damage in report.damages] == [(2, "w/7"), (7, "w/2")]


@pytest.mark.parametrize(
    ("shard", "seq", "kind"), [(0, 11, "entry-extra"), (0, 0, "entry-extra"), (7, 1, "shard-changed")]
)
def test_an_added_entry_is_named(kept: Any, kinds: Any, shard: int, seq: int, kind: str) -> None:
    kept.tampers("INSERT INTO hilum.audit_entry VALUES ($1, $2, 'w/5', $3)", shard, seq, FORGED)
    report = kept.verifies()
    assert kinds(report) == [kind]
    assert f"shard {shard}" in report.first.text


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ("root = sha256('forged')", "head-forged"),
        ("signature = signature || '\\x00'", "head-forged"),
        ("at = at + interval '1 second'", "head-forged"),
        ("key_id = 'ffffffffffffffff'", "head-forged"),
        ("size = 7", "head-forged"),
    ],
)
def test_a_forged_head_is_named(kept: Any, kinds: Any, change: str, kind: str) -> None:
    kept.tampers(f"UPDATE hilum.audit_head SET {change} WHERE size = 8")
    report = kept.verifies(with_heads_file=False)
    assert kinds(report) == [kind]


def test_a_forged_newest_head_leaves_its_leaves_uncovered(kept: Any, kinds: Any) -> None:
    kept.tampers("UPDATE hilum.audit_head SET root = sha256('forged') WHERE size = 10")
    report = kept.verifies(with_heads_file=False)
    assert kinds(report) == ["head-forged", "head-missing"]
    assert report.first.leaf == 8 and "2 leaves from leaf 8" in report.first.text


def test_truncated_heads_are_missed_with_and_without_the_heads_file(kept: Any, kinds: Any) -> None:
    kept.tampers("DELETE FROM hilum.audit_head WHERE size = 10")
    assert kinds(kept.verifies(with_heads_file=False)) == ["head-missing"]
    report = kept.verifies()
    assert "1 published heads, the newest over 10 leaves" in report.damages[-1].text


def test_a_log_cut_off_cleanly_is_found_by_its_published_heads(kept: Any, kinds: Any) -> None:
    (row,) = kept.rows("SELECT hashes FROM hilum.audit_tile WHERE level = 0")
    kept.tampers("DELETE FROM hilum.audit_head WHERE size > 8")
    kept.tampers("DELETE FROM hilum.audit_range WHERE first_leaf >= 8")
    kept.tampers("UPDATE hilum.audit_tile SET hashes = $1", row["hashes"][: 8 * 32])
    kept.tampers("DELETE FROM hilum.audit_entry WHERE seq > 8")
    kept.tampers("UPDATE hilum.audit_shard SET next_seq = 9")
    assert kept.verifies(with_heads_file=False).whole
    report = kept.verifies()
    assert kinds(report) == ["head-missing"]
    assert "its end was cut off or it was set back" in report.first.text


def test_everything_removed_is_found_by_the_published_heads(kept: Any, kinds: Any) -> None:
    for table in ("head", "range", "tile", "entry", "shard"):
        kept.tampers(f"DELETE FROM hilum.audit_{table}")
    assert kept.verifies(with_heads_file=False).whole
    assert kinds(kept.verifies()) == ["head-missing"]


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM hilum.audit_range WHERE first_leaf = 4",
        "DELETE FROM hilum.audit_range WHERE first_leaf = 8",
        "UPDATE hilum.audit_range SET count = 5 WHERE first_leaf = 4",
        "UPDATE hilum.audit_range SET count = 3 WHERE first_leaf = 4",
        "UPDATE hilum.audit_range SET count = 2000000000 WHERE first_leaf = 8",
        "UPDATE hilum.audit_range SET shard = 3 WHERE first_leaf = 4",
        "UPDATE hilum.audit_range SET first_seq = 4 WHERE first_leaf = 4",
        "UPDATE hilum.audit_range SET first_seq = 4000 WHERE first_leaf = 4",
        "UPDATE hilum.audit_range SET first_leaf = -4 WHERE first_leaf = 0",
        "UPDATE hilum.audit_range SET first_leaf = 4000 WHERE first_leaf = 8",
        "INSERT INTO hilum.audit_range VALUES (10, 0, 11, 5)",
    ],
)
def test_a_changed_range_is_found(kept: Any, kinds: Any, statement: str) -> None:
    kept.tampers(statement)
    assert "range-changed" in kinds(kept.verifies())


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("UPDATE hilum.audit_shard SET next_seq = 9", "shard-changed"),
        ("UPDATE hilum.audit_shard SET next_seq = 12", "entry-missing"),
        ("DELETE FROM hilum.audit_shard", "shard-changed"),
        ("DELETE FROM hilum.audit_tile", "range-changed"),
        ("INSERT INTO hilum.audit_tile VALUES (1, 0, sha256('forged'))", "tile-changed"),
        (
            "INSERT INTO hilum.audit_head SELECT 1000000000000, root, at, key_id, signature FROM hilum.audit_head LIMIT 1",
            "head-forged",
        ),
    ],
)
def test_what_surrounds_the_entries_is_checked_as_well(kept: Any, kinds: Any, statement: str, kind: str) -> None:
    kept.tampers(statement)
    assert kind in kinds(kept.verifies())


def test_a_changed_inner_node_is_named(office: Any, kinds: Any) -> None:
    office.records(*(f"w/{number}" for number in range(600)))
    office.sequences()
    office.tampers("UPDATE hilum.audit_tile SET hashes = hashes || sha256('forged') WHERE level = 1")
    report = office.verifies()
    assert kinds(report) == ["tile-changed"]
    assert "tile 0 of level 1 does not follow" in report.first.text


def test_changed_message_bytes_are_named(kept: Any, kinds: Any) -> None:
    for seq in range(1, 6):
        kept.receives(seq, b"MSH|^~\\&|ST-MARY|KNEE-99|%d" % seq)
    kept.sequences()
    assert kept.verifies().messages_checked == 5
    kept.tampers("UPDATE hilum.message SET raw = raw || 'x' WHERE seq >= 3")
    report = kept.verifies()
    assert kinds(report) == ["message-changed"] * 3
    assert (report.first.leaf, report.first.subject) == (12, "m/1/3")
    assert "message m/1/3 was changed" in report.first.text


def test_a_removed_message_is_named_unless_its_retention_had_ended(kept: Any, kinds: Any) -> None:
    for seq in range(1, 6):
        kept.receives(seq, b"MSH|%d" % seq)
    kept.sequences()
    kept.tampers("DELETE FROM hilum.message WHERE seq <= 3")
    assert kinds(kept.verifies()) == ["message-missing"] * 3
    kept.appends([kept.entry("m/1", "message.expired", through_seq=2)])
    kept.sequences()
    report = kept.verifies()
    assert kinds(report) == ["message-missing"]
    assert (report.first.subject, report.messages_expired, report.messages_checked) == ("m/1/3", 2, 3)


def test_a_heads_file_that_is_gone_or_garbled_is_told(kept: Any, kinds: Any) -> None:
    text = kept.heads_file.read_bytes()
    kept.heads_file.write_bytes(text.replace(b'"size":8', b'"size":"8"'))
    assert kinds(kept.verifies()) == ["heads-file"]
    kept.heads_file.write_bytes(b"".join(text.splitlines(keepends=True)[::2]))
    assert kinds(kept.verifies()) == ["heads-file"]
    kept.heads_file.unlink()
    assert kinds(kept.verifies()) == ["heads-file"]


def test_a_shortened_heads_file_is_told_by_what_it_no_longer_vouches_for(kept: Any) -> None:
    heads = list(HeadsFile(kept.heads_file).read())
    kept.heads_file.unlink()
    HeadsFile(kept.heads_file).append(heads[:1])
    assert kept.verifies().unpublished_heads == 2


def test_a_report_counts_every_damage_and_keeps_a_hundred(office: Any) -> None:
    office.records(*(f"w/{number}" for number in range(300)))
    office.sequences()
    office.tampers("UPDATE hilum.audit_entry SET entry = $1", FORGED)
    report = office.verifies()
    # One of the entries is what all were changed to.
    assert report.damage_count == 299 and len(report.damages) == 100
    assert report.first.seq == 1


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_flipped_bit_of_any_row_is_found(kept: Any, data: st.DataObject) -> None:
    table, column, key, places = data.draw(
        st.sampled_from(
            [
                ("entry", "entry", "seq", list(range(1, 11))),
                ("tile", "hashes", "tile", [0]),
                ("head", "root", "size", [4, 8, 10]),
                ("head", "signature", "size", [4, 8, 10]),
            ]
        )
    )
    place = data.draw(st.sampled_from(places))
    ((before,),) = kept.rows(f"SELECT {column} FROM hilum.audit_{table} WHERE {key} = $1", place)
    bit = data.draw(st.integers(0, len(before) * 8 - 1))
    after = bytearray(before)
    after[bit // 8] ^= 1 << bit % 8
    change = f"UPDATE hilum.audit_{table} SET {column} = $1 WHERE {key} = $2"
    kept.tampers(change, bytes(after), place)
    report = kept.verifies(with_heads_file=False)
    kept.tampers(change, before, place)
    assert not report.whole
    if table == "entry":
        assert report.first.seq == place
    assert kept.verifies().whole
