"""What every archive keeps: each package once, whole, under its digest, replaced by nothing."""

from __future__ import annotations

import asyncio
import inspect
import os
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.connectors.archive_benches import ARCHIVE_BENCHES, ArchiveBench, Shelf, folder_bench, noon
from tests.object_store import STORE_REFUSALS, ObjectStore, object_store

from hilum.audit.places import BucketAddress
from hilum.authoring import Unavailable
from hilum.authoring.archive import Archive, ArchiveConflict, ArchiveRefused, PackageRef
from hilum.connectors.archive_folder import ArchiveFolder
from hilum.connectors.archive_s3 import ArchiveS3

__all__ = ["object_store"]


@pytest.fixture(params=ARCHIVE_BENCHES, ids=lambda make: make.__name__.removesuffix("_bench"))
def bench(request: pytest.FixtureRequest, tmp_path: Path, object_store: ObjectStore) -> ArchiveBench:
    made: ArchiveBench = request.param(tmp_path, object_store)
    return made


def does(bench: ArchiveBench, work: Any) -> Any:
    return asyncio.run(bench.connected(work))


def keeps(bench: ArchiveBench, package: PackageRef, key: str = "archive_evidence/EV-1/keep") -> Any:
    return does(bench, lambda archive: archive.keep(package, key=key))


def test_an_archive_has_an_async_method_for_each_operation_of_its_role(bench: ArchiveBench) -> None:
    connector = bench.connector()
    for name, stub in Archive.operations().items():
        method = getattr(connector, name)
        assert inspect.iscoroutinefunction(method), name
        assert list(inspect.signature(method).parameters) == list(inspect.signature(stub).parameters)[1:], name
    assert hasattr(connector, "find_keep") or "keep" in connector.idempotent_commands


def test_what_is_kept_is_found_and_whole(bench: ArchiveBench) -> None:
    package = bench.shelf.holds(b"PK package of U-1")
    document = keeps(bench, package)
    assert (document.type, document.number, document.state) == ("package", package.digest, "kept")
    assert bench.stored(package.digest) == [b"PK package of U-1"]
    assert does(bench, lambda archive: archive.kept(package.digest)).number == package.digest
    assert does(bench, lambda archive: archive.find_keep(package, key="any")).number == package.digest
    assert does(bench, lambda archive: archive.kept("0" * 64)) is None
    assert does(bench, lambda archive: archive.ping()) is None


def test_keeping_again_has_one_effect_and_the_same_answer(bench: ArchiveBench) -> None:
    package = bench.shelf.holds(b"PK twice")
    assert keeps(bench, package) == keeps(bench, package, key="another/key")
    assert bench.stored(package.digest) == [b"PK twice"]


def test_one_package_kept_by_four_at_once_is_kept_once(bench: ArchiveBench) -> None:
    package = bench.shelf.holds(b"PK race" * 10_000)

    async def crowd(archive: Any) -> Any:
        other = bench.connector()
        found = await asyncio.gather(*(a.keep(package, key="k") for a in (archive, other, archive, other)))
        await other.close()
        return found

    assert len({document.number for document in does(bench, crowd)}) == 1
    assert bench.stored(package.digest) == [b"PK race" * 10_000]


def test_other_bytes_under_its_name_are_a_conflict_for_a_person(bench: ArchiveBench) -> None:
    package = bench.shelf.holds(b"PK true")
    bench.replaces(package.digest, b"PK forged")
    with pytest.raises(ArchiveConflict, match="other bytes"):
        keeps(bench, package)
    assert bench.stored(package.digest)[0] == b"PK forged"
    with pytest.raises(ArchiveConflict):
        does(bench, lambda archive: archive.kept(package.digest))


def test_a_package_altered_on_the_shelf_is_not_kept(bench: ArchiveBench) -> None:
    package = bench.shelf.holds(b"PK true")
    bench.shelf.contents[package.digest] = b"PK altered"
    with pytest.raises(ArchiveRefused, match="altered"):
        keeps(bench, package)
    assert bench.stored(package.digest) == []


def test_an_archive_that_is_away_is_unavailable_and_later_is_not(bench: ArchiveBench) -> None:
    package = bench.shelf.holds(b"PK later")
    bench.goes_away()
    try:
        with pytest.raises(Unavailable) as away:
            keeps(bench, package)
        with pytest.raises(Unavailable):
            does(bench, lambda archive: archive.ping())
    finally:
        bench.comes_back()
    assert "secret" not in str(away.value).lower()
    assert keeps(bench, package).number == package.digest


@pytest.mark.parametrize("reference", ["../../etc/passwd", "", "..", "a" * 63, "A" * 64, "0" * 64 + "/x", "\x00" * 64])
def test_a_reference_that_is_no_digest_leads_nowhere(bench: ArchiveBench, reference: str) -> None:
    assert does(bench, lambda archive: archive.kept(reference)) is None
    with pytest.raises(ValueError):
        PackageRef(digest=reference, subject="x", size_bytes=0)


# --- folder ------------------------------------------------------------------------------------------------------


def test_a_file_in_the_folder_is_read_only_and_listed(tmp_path: Path, object_store: ObjectStore) -> None:
    bench = folder_bench(tmp_path, object_store)
    package = bench.shelf.holds(b"PK listed")
    keeps(bench, package)
    place = tmp_path / "archive" / package.digest[:2] / f"{package.digest}.zip"
    assert stat.S_IMODE(place.stat().st_mode) == 0o440
    assert [p.name for p in place.parent.iterdir()] == [place.name]  # No draft is left behind.
    (line,) = (tmp_path / "archive" / "manifest.jsonl").read_bytes().splitlines()
    assert orjson.loads(line) == {
        "digest": package.digest, "subject": "key/implant_usage/U-1", "size_bytes": 9,
        "kept_at": noon().isoformat(), "key": "archive_evidence/EV-1/keep",
    }  # fmt: skip


def test_a_link_where_a_package_should_be_is_not_followed(tmp_path: Path, object_store: ObjectStore) -> None:
    bench = folder_bench(tmp_path, object_store)
    package = bench.shelf.holds(b"PK linked")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"PK linked")
    place = tmp_path / "archive" / package.digest[:2] / f"{package.digest}.zip"
    place.parent.mkdir(parents=True)
    place.symlink_to(elsewhere)
    with pytest.raises(Unavailable, match="symbolic"):
        keeps(bench, package)


def test_a_full_disk_is_unavailable_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = Shelf()
    archive = ArchiveFolder(tmp_path / "archive", shelf.content, clock=noon)
    package = shelf.holds(b"PK full")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Unavailable, match="No space left"):
        asyncio.run(archive.keep(package, key="k"))
    assert list((tmp_path / "archive").rglob("*.*")) == []


# --- bucket ------------------------------------------------------------------------------------------------------


def test_an_object_is_locked_for_its_time_against_everybody(object_store: ObjectStore) -> None:
    bucket = object_store.bucket("archive-locked", locked=True)
    shelf = Shelf()
    archive = ArchiveS3(object_store.client, bucket, "", shelf.content, clock=noon, retain_days=2192)
    package = shelf.holds(b"PK locked")
    document = asyncio.run(archive.keep(package, key="k"))
    name = f"packages/{package.digest}.zip"
    status = object_store.client.head_object(Bucket=bucket, Key=name)
    assert status["ObjectLockMode"] == "COMPLIANCE"
    assert status["ObjectLockRetainUntilDate"].astimezone(UTC) == datetime(2032, 11, 21, 12, tzinfo=UTC)
    assert document.id == status["VersionId"]
    with pytest.raises(STORE_REFUSALS, match="AccessDenied"):
        object_store.client.delete_object(Bucket=bucket, Key=name, VersionId=document.id)


def test_a_version_put_on_top_and_a_delete_marker_hide_nothing(object_store: ObjectStore) -> None:
    bucket = object_store.bucket("archive-hidden", locked=True)
    shelf = Shelf()
    archive = ArchiveS3(object_store.client, bucket, "", shelf.content, clock=noon, retain_days=2192)
    package = shelf.holds(b"PK hidden")
    first = asyncio.run(archive.keep(package, key="k"))
    name = f"packages/{package.digest}.zip"
    object_store.client.put_object(Bucket=bucket, Key=name, Body=b"forged")
    object_store.client.delete_object(Bucket=bucket, Key=name)
    assert asyncio.run(archive.kept(package.digest)) == first
    assert asyncio.run(archive.find_keep(package, key="k")) == first


@pytest.mark.parametrize(
    ("bucket", "locked", "secret", "words"),
    [
        ("archive-unlocked", False, None, "has no Object Lock"),
        ("archive-nowhere", None, None, "NoSuchBucket"),
        ("archive-refusing", True, "AKIAUNKNOWN:wrong-secret-key", "InvalidAccessKeyId"),
    ],
)
def test_what_time_does_not_mend_is_a_persons(
    object_store: ObjectStore, bucket: str, locked: bool | None, secret: str | None, words: str
) -> None:
    if locked is not None:
        object_store.bucket(bucket, locked=locked)
    address = BucketAddress.parse(f"s3://{bucket}?endpoint={object_store.url}")
    client = address.client(object_store.secret if secret is None else secret)
    shelf = Shelf()
    archive = ArchiveS3(client, bucket, "", shelf.content, clock=noon, retain_days=1)
    with pytest.raises(ArchiveRefused, match=words) as refused:
        asyncio.run(archive.keep(shelf.holds(b"PK"), key="k"))
    assert "wrong-secret-key" not in str(refused.value)
