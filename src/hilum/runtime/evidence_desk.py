"""The desk: packages are assembled once for each request, and lie on the shelf until the archive has them.

To flows it is a system like any other, reached by deliveries; that it stands in the platform's own database is nobody's
business but the composition root's (decisions/0014).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import ClassVar

import asyncpg

from hilum.audit.evidence.assembling import NothingToPackage, Sources, TooMuchToPackage, assemble
from hilum.audit.evidence.shelf import (
    content_of,
    note_kept,
    shelve,
    shelved,
    the_request,
)
from hilum.audit.proofs import NoProof
from hilum.audit.signing import Signer
from hilum.authoring.archive import ArchiveRefused, NothingToArchive, PackageRef
from hilum.authoring.estate import Estate
from hilum.model.ledger import DocumentRef
from hilum.security.redaction import mask_hl7, mask_json
from hilum.security.sealing.protected import Protection

_ACTOR = "system:evidence"


class EvidenceDesk:
    """Plays the role ``authoring.archive.EvidenceDesk``."""

    idempotent_commands: ClassVar[frozenset[str]] = frozenset({"package", "record"})

    def __init__(self, pool: asyncpg.Pool, sources: Sources, *, clock: Callable[[], datetime]) -> None:
        self._pool = pool
        self._sources = sources
        self._clock = clock

    async def package(self, request: int, *, key: str) -> PackageRef:
        async with self._pool.acquire() as connection:
            found = await shelved(connection, request)
            if found is None:
                asked = await the_request(connection, request)
                if asked is None:
                    raise NothingToArchive(f"request {request}", "there is no such request")
                try:
                    made = await assemble(
                        connection, asked.scope, self._sources, at=asked.requested_at, made_by=asked.actor,
                        reason=asked.reason, with_payloads=asked.with_payloads,
                    )  # fmt: skip
                except (NothingToPackage, TooMuchToPackage, NoProof) as empty:
                    raise NothingToArchive(asked.scope.subject, str(empty)) from empty
                await shelve(connection, made, request=request, now=self._clock(), actor=_ACTOR)
                found = await shelved(connection, request)
        if found is None:
            raise NothingToArchive(f"request {request}", "its package is another request's: nothing new to archive")
        return PackageRef(digest=found.digest, subject=found.subject, size_bytes=found.size_bytes)

    async def record(self, package: PackageRef, kept: DocumentRef, *, key: str) -> DocumentRef:
        async with self._pool.acquire() as connection:
            await note_kept(
                connection, package.digest, kept_in=kept.system, kept_as=kept.number, now=self._clock(), actor=_ACTOR
            )
        return kept

    async def content(self, digest: str) -> bytes:
        """The bytes of a package, for the archive's connector."""
        async with self._pool.acquire() as connection:
            found = await content_of(connection, digest)
        if found is None:
            raise ArchiveRefused(f"package {digest[:16]}", "it is no longer on the shelf; ask for it anew")
        return found

    async def ping(self) -> None:
        await self._pool.fetchval("SELECT 1")

    async def close(self) -> None:
        pass


def sources_of(estate: Estate, signer: Signer, protection: Protection | None, policy_version: str = "") -> Sources:
    """What assembling needs, of this installation."""
    return Sources(estate, signer, show_source, protection, policy_version)


def show_source(raw: bytes) -> str:
    """A message as it may be shown, whatever it is."""
    return mask_json(raw) if raw.lstrip()[:1] in (b"{", b"[") else mask_hl7(raw)
