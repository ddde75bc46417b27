"""Evidence in the worker: the desk, the archive beside it, heads published outside, and the alarm when they disagree."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg

from hilum.app.told import now
from hilum.audit.heads import HeadsDamaged
from hilum.audit.places import BucketAddress, BucketPlace, FilePlace, HeadPlace, PlaceUnusable
from hilum.audit.publishing import HeadPublisher
from hilum.audit.sequencer import AuditDamaged, Sequencer
from hilum.audit.signing import Signer
from hilum.authoring.estate import Estate, SystemSpec
from hilum.authoring.estate_evidence import SIX_YEARS_DAYS
from hilum.authoring.estate_transport import ClientTls, EgressSpec
from hilum.connectors.archive_folder import ArchiveFolder
from hilum.connectors.archive_s3 import ArchiveS3
from hilum.runtime import work_items
from hilum.runtime.evidence_desk import EvidenceDesk
from hilum.security.certificates import Certificate
from hilum.security.egress_objects import guard_store, store_egress
from hilum.security.egress_services import MAX_ANSWER_BYTES
from hilum.security.renewing import Secret
from hilum.security.tls import client_context

Saw = Callable[[str, str, Certificate], None]
"""Told of a store, its host and the certificate by which it proved to be that."""


@dataclass(frozen=True)
class Home:
    """What connectors that reach nothing outside are made of: the data directory and the desks of this process.

    ``desks`` are the platform's own systems by the name of their kind of connector, such as ``revenue_desk``.
    """

    data: Path
    evidence: EvidenceDesk
    desks: Mapping[str, Any]
    saw: Saw | None = None  # Told of a store's certificate.


BuildAtHome = Callable[[SystemSpec, Mapping[str, Any], Home], Any]


def _desk(spec: SystemSpec, connect: Mapping[str, Any], home: Home) -> Any:
    return home.desks[connect["connector"]]


def _archive_folder(spec: SystemSpec, connect: Mapping[str, Any], home: Home) -> Any:
    return ArchiveFolder(home.data / connect["folder"], home.evidence.content, clock=now, system=spec.name)


def _archive_s3(spec: SystemSpec, connect: Mapping[str, Any], home: Home) -> Any:
    address = BucketAddress.parse(connect["bucket"])
    client = _guarded(
        address, home.data, home.saw, service=spec.name, egress=spec.egress, max_answer_bytes=_PACKAGE_BYTES,
        timeout_seconds=spec.policy.timeout_seconds,
    )  # fmt: skip
    return ArchiveS3(
        client, address.bucket, address.prefix, home.evidence.content, clock=now,
        retain_days=int(connect.get("retain_days", SIX_YEARS_DAYS)), system=spec.name,
    )  # fmt: skip


AT_HOME: dict[str, BuildAtHome] = {
    "approval_desk": _desk,
    "cash_desk": _desk,
    "claims_desk": _desk,
    "control_desk": _desk,
    "evidence_desk": _desk,
    "master_desk": _desk,
    "registration_desk": _desk,
    "revenue_desk": _desk,
    "archive_folder": _archive_folder,
    "archive_s3": _archive_s3,
}
"""Kinds of connector that have no address of a system: the platform's own desks, a folder, a bucket (behind a guard of its own)."""
_PACKAGE_BYTES = 1024 * 1024 * 1024


def _secret_of(address: BucketAddress, data: Path) -> Callable[[], str] | None:
    return None if address.credentials is None else Secret(address.credentials, data).now_or_kept


def _guarded(
    address: BucketAddress,
    data: Path,
    saw: Saw | None,
    *,
    service: str,
    egress: EgressSpec,
    max_answer_bytes: int,
    timeout_seconds: float = 10.0,
) -> Any:
    """A client of boto3 that connects to its bucket's store and nowhere else."""
    client = address.client(_secret_of(address, data), timeout_seconds=timeout_seconds)
    guard = store_egress(
        client, address.bucket, service=service, hosts=egress.hosts, networks=egress.ranges(),
        max_answer_bytes=max_answer_bytes,
        saw=(lambda host, certificate: saw(service, host, certificate)) if saw is not None else None,
    )  # fmt: skip
    return guard_store(client, guard, tls=client_context(store_tls(address, os.environ), data))


def store_tls(address: BucketAddress, environment: Mapping[str, str]) -> ClientTls:
    """By whom a store's certificate is believed: as its address says, or as ``AWS_CA_BUNDLE`` does, or as this machine does."""
    bundle = environment.get("AWS_CA_BUNDLE")
    given = address.authorities if address.authorities is not None else f"file:{bundle}" if bundle else None
    return ClientTls(authorities=given)


def head_places(estate: Estate, data: Path, saw: Saw | None = None) -> list[HeadPlace]:
    """The places of ``[evidence]``. PlaceUnusable when one is none."""
    spec = estate.evidence
    places: list[HeadPlace] = []
    for place in spec.publish_to:
        if place.startswith("file:"):
            places.append(FilePlace(data / place.removeprefix("file:")))
        elif place.startswith("s3:"):
            address = BucketAddress.parse(place)
            client = _guarded(
                address, data, saw, service=f"published heads in {address.bucket}", egress=EgressSpec(),
                max_answer_bytes=MAX_ANSWER_BYTES,
            )  # fmt: skip
            places.append(BucketPlace(client, address.bucket, address.prefix, retain_days=spec.lock_days))
        else:
            raise PlaceUnusable("a place of publish_to begins with file: or s3://")
    return places


class Watch:
    """Tells people when the log is not the one that was signed and published: a work item for each thing found."""

    def __init__(self, pool: asyncpg.Pool, estate: Estate) -> None:
        self._pool = pool
        self._estate = estate
        self._told: set[str] = set()

    async def alarm(self, place: str, text: str) -> None:
        queue = self._estate.evidence.queue
        found = work_items.Exceptional(
            queue=queue,
            cause=f"AuditLog:{place}",
            title=f"The audit log is not the one that was published: {place}",
            remedy="Run hilum audit verify --heads with the published heads. Find out who changed or restored the database; "
            "nothing is published there until the log continues it again.",
            due_hours=1,
            subject=f"audit/{place}",
            at_risk_usd=Decimal(0),
            detail=text,
            owner=self._estate.queues.get(queue, ""),
        )
        async with self._pool.acquire() as connection, connection.transaction():
            await work_items.join(connection, found, now=now(), actor="system:audit")

    def over(self, sequencer: Sequencer) -> Callable[[], Awaitable[int]]:
        """The sequencer's work, with an alarm when it refuses to go on."""

        async def run_once() -> int:
            try:
                count = await sequencer.run_once()
            except (AuditDamaged, HeadsDamaged) as damage:
                if str(damage) not in self._told:
                    self._told.add(str(damage))
                    await self.alarm("the platform's own heads", str(damage))
                raise
            self._told.clear()
            return count

        return run_once


def publisher_of(
    pool: asyncpg.Pool, estate: Estate, data: Path, signer: Signer, watch: Watch, saw: Saw | None = None
) -> HeadPublisher:
    return HeadPublisher(pool, head_places(estate, data, saw), signer.public_key, now, alarm=watch.alarm)
