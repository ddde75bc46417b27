"""Heads outside the database: published where nobody replaces them, each proved to continue the one before."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.object_store import STORE_REFUSALS, ObjectStore, object_store

from hilum.audit.heads import HeadsDamaged
from hilum.audit.places import (
    BucketAddress,
    BucketPlace,
    FilePlace,
    HeadTaken,
    PlaceAway,
    PlaceUnusable,
    PublishedHead,
    chain_problems,
    is_chain,
    read_published,
)
from hilum.audit.publishing import HeadPublisher
from hilum.audit.signing import Signer
from hilum.audit.verify import verify_database
from hilum.runtime.overview import read_overview
from hilum.tower.metrics import exposition

__all__ = ["object_store"]

Publish = Callable[..., list[tuple[str, str]]]


@pytest.fixture
def publishes(office: Any) -> Publish:
    """Publish once to these places; the alarms that were raised."""

    def once(*places: Any) -> list[tuple[str, str]]:
        alarms: list[tuple[str, str]] = []

        async def alarm(place: str, text: str) -> None:
            alarms.append((place, text))

        publisher = HeadPublisher(office.pool, places, office.signer.public_key, office.clock, alarm=alarm)
        office.run(publisher.run_once())
        return alarms

    return once


@pytest.fixture
def worm(tmp_path: Path) -> FilePlace:
    return FilePlace(tmp_path / "worm" / "heads.jsonl")


def grows(office: Any, *subjects: str) -> None:
    office.records(*subjects)
    office.sequences()


def lag(office: Any, place: Any) -> Any:
    return office.rows("SELECT * FROM hilum.head_publication WHERE place = $1", place.name)[0]


def chain(worm: FilePlace) -> list[PublishedHead]:
    return read_published(worm.name)


def test_every_publication_continues_the_one_before(office: Any, publishes: Publish, worm: FilePlace) -> None:
    assert publishes(worm) == []
    for day in range(4):
        grows(office, *(f"w/{day}-{n}" for n in range(day * 3 + 1)))
        grows(office, f"w/more-{day}")
        assert publishes(worm) == []
        assert publishes(worm) == []  # Nothing new is nothing to publish.
    heads = chain(worm)
    assert [p.head.size for p in heads] == [2, 7, 15, 26]
    assert [p.previous for p in heads] == [None, 2, 7, 15]
    assert chain_problems(heads, office.signer.public_key) == []
    assert is_chain(Path(worm.name[5:])) and not is_chain(office.heads_file)
    assert (lag(office, worm)["size"], lag(office, worm)["failures"], lag(office, worm)["alarm"]) == (26, 0, None)


def test_a_head_that_was_taken_out_of_the_chain_is_missed(office: Any, publishes: Publish, worm: FilePlace) -> None:
    for number in range(3):
        grows(office, f"w/{number}")
        publishes(worm)
    first, second, third = chain(worm)
    assert "one was removed" in chain_problems([first, third], office.signer.public_key)[0]
    assert "a rollback or a fork" in chain_problems([first, third, second], office.signer.public_key)[-1]
    swapped = PublishedHead(third.head, second.head.size, ())
    assert "a fork" in chain_problems([first, second, swapped], office.signer.public_key)[0]
    stranger = Signer.open(office.directory / "stranger")
    assert "not signed by this key" in chain_problems([first], stranger.public_key)[0]


def test_a_database_that_was_set_back_raises_an_alarm_and_publishes_nothing(
    office: Any, publishes: Publish, worm: FilePlace
) -> None:
    grows(office, "w/1")
    grows(office, "w/2")
    publishes(worm)
    office.tampers("DELETE FROM hilum.audit_head WHERE size = 2")
    ((place, text),) = publishes(worm)
    assert place == worm.name and "knows 2 leaves but the database only 1: it was set back" in text
    assert lag(office, worm)["alarm"] == text
    assert publishes(worm) == []  # The same alarm is raised once.
    assert [p.head.size for p in chain(worm)] == [2]


def test_a_rewritten_history_is_a_fork_even_when_signed_with_the_logs_key(
    office: Any, publishes: Publish, worm: FilePlace
) -> None:
    grows(office, "w/1", "w/2")
    publishes(worm)
    for table in ("head", "range", "tile"):
        office.tampers(f"DELETE FROM hilum.audit_{table}")
    office.tampers("UPDATE hilum.audit_entry SET entry = entry || ' ' WHERE seq = 1")
    office.heads_file.unlink()
    office.sequences()
    ((_, text),) = publishes(worm)
    assert "is not the one published" in text
    grows(office, "w/3")
    assert publishes(worm) == []
    assert lag(office, worm)["alarm"] == text and len(chain(worm)) == 1


def test_a_fork_behind_an_unchanged_old_head_is_found_by_its_proof(
    office: Any, publishes: Publish, worm: FilePlace
) -> None:
    grows(office, *(f"w/{n}" for n in range(5)))
    publishes(worm)
    old = office.rows("SELECT * FROM hilum.audit_head")[0]
    for table in ("head", "range", "tile"):
        office.tampers(f"DELETE FROM hilum.audit_{table}")
    office.tampers("UPDATE hilum.audit_entry SET entry = entry || ' ' WHERE seq = 5")
    office.records("w/6")
    office.heads_file.unlink()
    office.sequences()
    office.tampers("INSERT INTO hilum.audit_head VALUES ($1, $2, $3, $4, $5)", *old.values())
    ((_, text),) = publishes(worm)
    assert "does not continue the head of 5 leaves" in text


def test_a_place_that_is_away_lags_visibly_and_catches_up(office: Any, publishes: Publish, tmp_path: Path) -> None:
    shelf = tmp_path / "shelf"
    shelf.write_text("a file where a folder should be")
    place = FilePlace(shelf / "heads.jsonl")
    grows(office, "w/1")
    assert publishes(place) == publishes(place) == []
    standing = lag(office, place)
    assert standing["failures"] == 2 and standing["size"] is None and "Not a directory" in standing["problem"]
    shelf.unlink()
    publishes(place)
    standing = lag(office, place)
    assert (standing["failures"], standing["problem"], standing["size"]) == (0, None, 1)


def test_how_far_a_place_lags_is_in_the_overview_and_in_the_metrics(
    office: Any, publishes: Publish, worm: FilePlace
) -> None:
    async def overview() -> Any:
        async with office.pool.acquire() as connection:
            return await read_overview(connection, None, office.clock)

    def metric(name: str) -> float:
        text = exposition(office.run(overview()), None).decode()
        return float(next(line for line in text.splitlines() if line.startswith(f"{name}{{")).rpartition(" ")[2])

    assert office.run(overview()).audit.published == ()
    grows(office, "w/1", "w/2")
    publishes(worm)
    (known,) = office.run(overview()).audit.published
    assert (known.place, known.size, known.unpublished, known.alarm) == (worm.name, 2, 0, None)
    assert known.head_at == office.run(overview()).audit.head_at
    grows(office, "w/3")
    office.records("w/4")
    assert metric("hilum_audit_unpublished_entries") == 2, "one under a newer head, one under none yet"
    assert metric("hilum_audit_published_head_timestamp_seconds") == known.head_at.timestamp()
    office.tampers("DELETE FROM hilum.audit_head WHERE size >= 2")
    publishes(worm)
    assert metric("hilum_audit_published_alarm") == 1


def test_a_garbled_place_is_a_problem_and_one_of_another_log_an_alarm(
    office: Any, publishes: Publish, worm: FilePlace
) -> None:
    grows(office, "w/1")
    path = Path(worm.name[5:])
    path.parent.mkdir()
    path.write_bytes(b'{"size":1}\n')
    assert publishes(worm) == [] and "is not a signed head" in lag(office, worm)["problem"]
    with pytest.raises(HeadsDamaged):
        read_published(worm.name)
    stranger = Signer.open(office.directory / "stranger")
    path.write_bytes(PublishedHead(stranger.sign(1, bytes(32), office.now), None).as_bytes() + b"\n")
    ((_, text),) = publishes(worm)
    assert "not signed by this log's key" in text


def test_verifying_with_heads_published_now_and_then_finds_a_log_that_was_cut_off(
    office: Any, publishes: Publish, worm: FilePlace, kinds: Any
) -> None:
    for number in range(6):
        grows(office, f"w/{number}")
        if number % 2:
            publishes(worm)

    def verifies() -> Any:
        heads = [p.head for p in chain(worm)]
        return office.run(verify_database(office.pool, public_key=office.signer.public_key, published=heads))

    assert verifies().whole and verifies().published_heads == 3
    (row,) = office.rows("SELECT hashes FROM hilum.audit_tile WHERE level = 0")
    office.tampers("DELETE FROM hilum.audit_head WHERE size > 5")
    office.tampers("DELETE FROM hilum.audit_range WHERE first_leaf >= 5")
    office.tampers("UPDATE hilum.audit_tile SET hashes = $1", row["hashes"][: 5 * 32])
    office.tampers("DELETE FROM hilum.audit_entry WHERE seq > 5")
    office.tampers("UPDATE hilum.audit_shard SET next_seq = 6")
    assert office.verifies(with_heads_file=False).whole
    report = verifies()
    assert kinds(report) == ["head-missing"] and "over 6 leaves" in report.first.text


# --- object store ------------------------------------------------------------------------------------------------


def bucket_place(store: ObjectStore, bucket: str, prefix: str = "lakeshore") -> BucketPlace:
    return BucketPlace(store.client, bucket, prefix, retain_days=2192)


def test_heads_in_a_locked_bucket_cannot_be_removed_or_replaced(
    office: Any, publishes: Publish, object_store: ObjectStore
) -> None:
    bucket = object_store.bucket("heads-locked", locked=True)
    place = bucket_place(object_store, bucket)
    for number in range(3):
        grows(office, f"w/{number}")
        assert publishes(place) == []
    names = object_store.names(bucket)
    assert [name.rsplit("-", 1)[1] for name in names] == ["3.json", "2.json", "1.json"]
    assert names[0].startswith("lakeshore/heads/")
    status = object_store.client.head_object(Bucket=bucket, Key=names[0])
    assert status["ObjectLockMode"] == "COMPLIANCE"
    assert status["ObjectLockRetainUntilDate"].astimezone(UTC) > datetime(2032, 11, 1, tzinfo=UTC)
    with pytest.raises(STORE_REFUSALS, match="AccessDenied"):
        object_store.client.delete_object(Bucket=bucket, Key=names[0], VersionId=status["VersionId"])
    heads = read_published(f"s3://{bucket}/lakeshore", object_store.client)
    assert [p.head.size for p in heads] == [1, 2, 3]
    assert chain_problems(heads, office.signer.public_key) == []


def test_an_overwritten_or_hidden_head_still_counts_as_it_was_published(
    office: Any, publishes: Publish, object_store: ObjectStore
) -> None:
    """Whoever may write the bucket can put a version on top or a delete marker; the first version is still there."""
    bucket = object_store.bucket("heads-hidden", locked=True)
    place = bucket_place(object_store, bucket)
    grows(office, "w/1")
    publishes(place)
    grows(office, "w/2")
    publishes(place)
    newest, oldest = object_store.names(bucket)
    object_store.client.put_object(Bucket=bucket, Key=oldest, Body=b"{}")
    object_store.client.delete_object(Bucket=bucket, Key=newest)
    assert [p.head.size for p in read_published(f"s3://{bucket}/lakeshore", object_store.client)] == [1, 2]
    office.tampers("DELETE FROM hilum.audit_head WHERE size = 2")
    ((_, text),) = publishes(place)
    assert "it was set back" in text


def test_put_if_absent_never_replaces_a_head(office: Any, object_store: ObjectStore) -> None:
    place = bucket_place(object_store, object_store.bucket("heads-plain"))
    place.publish(PublishedHead(office.signer.sign(5, b"a" * 32, office.now), None))
    place.publish(PublishedHead(office.signer.sign(5, b"a" * 32, office.now), None))
    with pytest.raises(HeadTaken, match="another head of 5 leaves"):
        place.publish(PublishedHead(office.signer.sign(5, b"b" * 32, office.now), None))
    assert place.newest().root == b"a" * 32


def test_a_store_that_refuses_or_hangs_is_away_and_tells_no_secret(office: Any, object_store: ObjectStore) -> None:
    with pytest.raises(PlaceAway, match="NoSuchBucket"):
        bucket_place(object_store, "nowhere").newest()
    wrong = BucketAddress.parse(f"s3://heads-plain?endpoint={object_store.url}").client("AKIA7:very-wrong-secret")
    with pytest.raises(PlaceAway) as refused:
        BucketPlace(wrong, "heads-plain", "", retain_days=1).newest()
    assert "very-wrong-secret" not in str(refused.value)
    slow = BucketAddress.parse(f"s3://heads-plain?endpoint={object_store.url}").client(
        object_store.secret, timeout_seconds=0.3
    )
    object_store.hang()
    try:
        with pytest.raises(PlaceAway, match="Timeout"):
            BucketPlace(slow, "heads-plain", "", retain_days=1).newest()
    finally:
        object_store.go_on()


@pytest.mark.parametrize(
    "address",
    ["http://bucket", "s3://", "s3://AKIA:secret@bucket/x", "s3://bucket?password=x", "s3://bucket?endpoint"],
)
def test_an_address_that_is_no_bucket_is_refused(address: str) -> None:
    with pytest.raises(ValueError) as refused:
        BucketAddress.parse(address)
    assert "secret" not in str(refused.value)


def test_a_buckets_credentials_are_a_pair() -> None:
    address = BucketAddress.parse(
        "s3://heads/lakeshore/?endpoint=http://127.0.0.1:9&region=eu-north-1&credentials=file:s"
    )
    assert (address.bucket, address.prefix, address.region, address.credentials) == (
        "heads",
        "lakeshore",
        "eu-north-1",
        "file:s",
    )
    with pytest.raises(PlaceUnusable, match="ACCESS_KEY:SECRET_KEY"):
        address.client("onlyone")
