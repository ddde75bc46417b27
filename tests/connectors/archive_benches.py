"""The two archives, each on what really keeps it: a folder of the disk, a bucket with Object Lock."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from tests.object_store import ObjectStore

from hilum.audit.places import BucketAddress
from hilum.authoring.archive import PackageRef
from hilum.connectors.archive_folder import ArchiveFolder
from hilum.connectors.archive_s3 import ArchiveS3

_buckets = itertools.count(1)


def noon() -> datetime:
    return datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@dataclass
class Shelf:
    """Where packages lie before the archive has them."""

    contents: dict[str, bytes] = field(default_factory=dict)

    def holds(self, content: bytes) -> PackageRef:
        digest = sha256(content).hexdigest()
        self.contents[digest] = content
        return PackageRef(digest=digest, subject="key/implant_usage/U-1", size_bytes=len(content))

    async def content(self, digest: str) -> bytes:
        return self.contents[digest]


@dataclass
class ArchiveBench:
    """An archive, the packages it is given, and a hand behind its back."""

    shelf: Shelf
    connector: Callable[[], Any]
    stored: Callable[[str], list[bytes]]
    """The bytes under a digest, every version, the first first."""
    replaces: Callable[[str, bytes], None]
    """Other bytes under a digest's name, as somebody with the administrator's rights would."""
    goes_away: Callable[[], None]
    comes_back: Callable[[], None]

    async def connected(self, work: Callable[[Any], Awaitable[Any]]) -> Any:
        connector = self.connector()
        try:
            return await work(connector)
        finally:
            await connector.close()


def folder_bench(directory: Path, store: ObjectStore) -> ArchiveBench:
    shelf = Shelf()
    folder = directory / "archive"

    def place(digest: str) -> Path:
        return folder / digest[:2] / f"{digest}.zip"

    def replace(digest: str, content: bytes) -> None:
        place(digest).parent.mkdir(parents=True, exist_ok=True)
        place(digest).unlink(missing_ok=True)
        place(digest).write_bytes(content)

    def away() -> None:
        folder.rename(directory / "unmounted") if folder.exists() else None
        folder.write_text("a file where the folder should be")

    def back() -> None:
        folder.unlink()
        (directory / "unmounted").rename(folder) if (directory / "unmounted").exists() else None

    return ArchiveBench(
        shelf,
        lambda: ArchiveFolder(folder, shelf.content, clock=noon),
        lambda digest: [place(digest).read_bytes()] if place(digest).exists() else [],
        replace,
        away,
        back,
    )


def bucket_bench(directory: Path, store: ObjectStore) -> ArchiveBench:
    shelf = Shelf()
    bucket = store.bucket(f"archive-{next(_buckets)}", locked=True)
    address = BucketAddress.parse(f"s3://{bucket}/lakeshore?endpoint={store.url}")

    def name(digest: str) -> str:
        return f"lakeshore/packages/{digest}.zip"

    def stored(digest: str) -> list[bytes]:
        versions = store.client.list_object_versions(Bucket=bucket, Prefix=name(digest)).get("Versions", [])
        return [
            store.client.get_object(Bucket=bucket, Key=v["Key"], VersionId=v["VersionId"])["Body"].read()
            for v in reversed(versions)
        ]

    return ArchiveBench(
        shelf,
        lambda: ArchiveS3(
            address.client(store.secret, timeout_seconds=0.5),
            bucket,
            "lakeshore",
            shelf.content,
            clock=noon,
            retain_days=2192,
        ),
        stored,
        lambda digest, content: store.client.put_object(Bucket=bucket, Key=name(digest), Body=content),
        store.hang,
        store.go_on,
    )


ARCHIVE_BENCHES = [folder_bench, bucket_bench]
