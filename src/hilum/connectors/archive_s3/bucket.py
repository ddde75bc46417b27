"""A bucket that keeps packages: put only where there is none (If-None-Match), locked in COMPLIANCE mode until its time.

An object locked so can be removed by nobody, the account's owner included, before its retention ends (S3 Object Lock).
A bucket without Object Lock is refused. Of a name that has several versions the first counts: it is what was kept.
"""

from __future__ import annotations

import asyncio
import re
from base64 import b64encode
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, ClassVar

from hilum.audit.places import store_failures, why_failed
from hilum.authoring.archive import ArchiveConflict, ArchiveRefused, PackageRef
from hilum.authoring.failures import Unavailable
from hilum.model.ledger import DocumentRef

_DIGEST = re.compile(r"[0-9a-f]{64}")
_EXISTS = frozenset({"PreconditionFailed", "412"})
_DECIDED = frozenset(
    {
        "AccessDenied", "403", "InvalidAccessKeyId", "SignatureDoesNotMatch", "NoSuchBucket", "InvalidRequest",
        "InvalidArgument", "ObjectLockConfigurationNotFoundError", "AllAccessDisabled", "AccountProblem", "EntityTooLarge",
    }
)  # fmt: skip
"""What time does not mend: a person has to. Everything else is waited for."""


class ArchiveS3:
    """``client`` is boto3's, which blocks: it is called in threads. ``packages`` gives a package's bytes by its digest."""

    idempotent_commands: ClassVar[frozenset[str]] = frozenset()

    def __init__(
        self,
        client: Any,
        bucket: str,
        prefix: str,
        packages: Callable[[str], Awaitable[bytes]],
        *,
        clock: Callable[[], datetime],
        retain_days: int,
        system: str = "archive",
    ) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._packages = packages
        self._clock = clock
        self._retain = timedelta(days=retain_days)
        self._system = system
        self._locked = False

    async def keep(self, package: PackageRef, *, key: str) -> DocumentRef:
        """Keep a package. ArchiveConflict when other bytes stand under its name, ArchiveRefused for what a person mends."""
        content = await self._packages(package.digest)
        if sha256(content).hexdigest() != package.digest:
            raise ArchiveRefused(
                f"package {package.digest[:16]}", "its bytes do not give its name: it was altered here"
            )
        return await asyncio.to_thread(self._keep, package, content)

    async def find_keep(self, package: PackageRef, *, key: str) -> DocumentRef | None:
        """The package as it was kept before, or None."""
        return await self.kept(package.digest)

    async def kept(self, reference: str) -> DocumentRef | None:
        """The package under a reference, read and found whole; ArchiveConflict when it is not."""
        if not _DIGEST.fullmatch(reference):
            return None
        return await asyncio.to_thread(self._kept, reference)

    async def ping(self) -> None:
        await asyncio.to_thread(self._ask, "head_bucket")

    async def close(self) -> None:
        await asyncio.to_thread(self._client.close)

    def _name(self, digest: str) -> str:
        return f"{self._prefix}packages/{digest}.zip"

    def _keep(self, package: PackageRef, content: bytes) -> DocumentRef:
        self._need_lock()
        try:
            answer = self._client.put_object(
                Bucket=self._bucket,
                Key=self._name(package.digest),
                Body=content,
                ContentType="application/zip",
                ChecksumAlgorithm="SHA256",
                ChecksumSHA256=b64encode(sha256(content).digest()).decode(),
                IfNoneMatch="*",
                ObjectLockMode="COMPLIANCE",
                ObjectLockRetainUntilDate=self._clock() + self._retain,
            )
        except store_failures() as failure:
            if _code(failure) not in _EXISTS:
                raise self._told(failure) from failure
            standing = self._kept(package.digest)
            if standing is None:
                # It is there and cannot be read yet, or was hidden meanwhile: ask again.
                raise Unavailable(self._system, "the object store contradicts itself about an object") from None
            return standing
        return self._document(package.digest, str(answer.get("VersionId", "")))

    def _need_lock(self) -> None:
        """That what is put there stays: without Object Lock the bucket is no archive."""
        if self._locked:
            return
        found = self._ask("get_object_lock_configuration")
        if found.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") != "Enabled":
            raise ArchiveRefused(self._system, f"the bucket {self._bucket} has no Object Lock")
        self._locked = True

    def _kept(self, digest: str) -> DocumentRef | None:
        name = self._name(digest)
        first: str | None = None
        marker: dict[str, str] = {}
        while True:
            page = self._ask("list_object_versions", Prefix=name, **marker)
            for item in page.get("Versions", []):
                if item["Key"] == name:
                    first = item["VersionId"]
            if not page.get("IsTruncated"):
                break
            marker = {"KeyMarker": page["NextKeyMarker"], "VersionIdMarker": page.get("NextVersionIdMarker", "")}
        if first is None:
            return None
        which = {"VersionId": first} if first != "null" else {}
        body = self._ask("get_object", Key=name, **which)["Body"]
        try:
            content = body.read()
        except store_failures() as failure:
            raise self._told(failure) from failure
        if sha256(content).hexdigest() != digest:
            raise ArchiveConflict(f"package {digest[:16]}", "the object under its name holds other bytes")
        return self._document(digest, first)

    def _document(self, digest: str, version: str) -> DocumentRef:
        return DocumentRef(system=self._system, type="package", number=digest, id=version, state="kept")

    def _ask(self, operation: str, **how: Any) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = getattr(self._client, operation)(Bucket=self._bucket, **how)
        except store_failures() as failure:
            raise self._told(failure) from failure
        return answer

    def _told(self, failure: Exception) -> Exception:
        code = _code(failure)
        if code == "ObjectLockConfigurationNotFoundError":
            return ArchiveRefused(self._system, f"the bucket {self._bucket} has no Object Lock")
        if code in _DECIDED:
            return ArchiveRefused(self._system, f"the object store refuses: {code}")
        return Unavailable(self._system, why_failed(failure))


def _code(failure: Exception) -> str:
    """The store's own code, or its HTTP status; empty when the failure is no answer of it."""
    answer = getattr(failure, "response", None)
    if not isinstance(answer, dict):
        return ""
    code = str(answer.get("Error", {}).get("Code", ""))
    return code if code else str(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", ""))
