"""A folder that keeps packages: each file is written once, under its digest, and never opened for writing again.

A package takes its name by a hard link when all of it is on disk, so a name is either there whole or not at all, and an
existing one is never replaced. ``manifest.jsonl`` lists what was kept and when, each before its file. The folder is as safe as its disk: mount
one that the platform's administrators cannot rewrite, or use ``archive_s3`` with Object Lock.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import ClassVar, TypeVar

import orjson

from hilum.authoring.archive import ArchiveConflict, ArchiveRefused, PackageRef
from hilum.authoring.failures import Unavailable
from hilum.model.ledger import DocumentRef

T = TypeVar("T")
MANIFEST = "manifest.jsonl"
_DIGEST = re.compile(r"[0-9a-f]{64}")
_READ_ONLY = 0o440


class ArchiveFolder:
    """``packages`` gives the bytes of a package by its digest; ``clock`` the time that the manifest notes."""

    idempotent_commands: ClassVar[frozenset[str]] = frozenset()

    def __init__(
        self,
        folder: Path,
        packages: Callable[[str], Awaitable[bytes]],
        *,
        clock: Callable[[], datetime],
        system: str = "archive",
    ) -> None:
        self._folder = folder
        self._packages = packages
        self._clock = clock
        self._system = system

    async def keep(self, package: PackageRef, *, key: str) -> DocumentRef:
        """Keep a package. ArchiveConflict when other bytes stand under its name, ArchiveRefused when it is not itself."""
        content = await self._packages(package.digest)
        if sha256(content).hexdigest() != package.digest:
            raise ArchiveRefused(
                f"package {package.digest[:16]}", "its bytes do not give its name: it was altered here"
            )
        return await asyncio.to_thread(self._away_or, self._keep, package, content, key)

    async def find_keep(self, package: PackageRef, *, key: str) -> DocumentRef | None:
        """The package as it was kept before, or None."""
        return await self.kept(package.digest)

    async def kept(self, reference: str) -> DocumentRef | None:
        """The package under a reference, read and found whole; ArchiveConflict when it is not."""
        if not _DIGEST.fullmatch(reference):
            return None
        return await asyncio.to_thread(self._away_or, self._kept, reference)

    async def ping(self) -> None:
        await asyncio.to_thread(self._away_or, self._reachable)

    async def close(self) -> None:
        pass

    def _away_or(self, work: Callable[..., T], *arguments: object) -> T:
        try:
            return work(*arguments)
        except OSError as failure:
            raise Unavailable(self._system, f"the folder cannot be used: {failure.strerror}") from failure

    def _reachable(self) -> None:
        self._folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        if not os.access(self._folder, os.W_OK | os.X_OK):
            raise PermissionError(13, "no right to write")

    def _place(self, digest: str) -> Path:
        return self._folder / digest[:2] / f"{digest}.zip"

    def _document(self, digest: str) -> DocumentRef:
        return DocumentRef(system=self._system, type="package", number=digest, state="kept")

    def _kept(self, digest: str) -> DocumentRef | None:
        place = self._place(digest)
        try:
            descriptor = os.open(place, os.O_RDONLY | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        with os.fdopen(descriptor, "rb") as file:
            content = file.read()
        if sha256(content).hexdigest() != digest:
            raise ArchiveConflict(f"package {digest[:16]}", "the file under its name holds other bytes")
        return self._document(digest)

    def _keep(self, package: PackageRef, content: bytes, key: str) -> DocumentRef:
        self._reachable()
        place = self._place(package.digest)
        standing = self._kept(package.digest)
        if standing is not None:
            return standing
        place.parent.mkdir(mode=0o750, exist_ok=True)
        draft = place.with_name(f".{package.digest}.{os.urandom(8).hex()}.part")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fchmod(file.fileno(), _READ_ONLY)
                os.fsync(file.fileno())
            # A crash may leave a line without its file, never a file without its line.
            self._note(package, key)
            try:
                os.link(draft, place)
            except FileExistsError:
                # Another process was first with the same package, or somebody put something else there.
                found = self._kept(package.digest)
                assert found is not None
                return found
        finally:
            with suppress(FileNotFoundError):
                draft.unlink()
        for folder in (place.parent, self._folder):
            _sync(folder)
        return self._document(package.digest)

    def _note(self, package: PackageRef, key: str) -> None:
        line = {
            "digest": package.digest,
            "subject": package.subject,
            "size_bytes": package.size_bytes,
            "kept_at": self._clock().isoformat(),
            "key": key,
        }
        manifest = self._folder / MANIFEST
        descriptor = os.open(manifest, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o640)
        try:
            os.write(descriptor, orjson.dumps(line) + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
