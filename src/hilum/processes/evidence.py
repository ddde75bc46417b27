"""Evidence to the archive: what was asked for, or a month that ended, is assembled, kept write-once and recorded."""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, PositiveInt

from hilum.authoring import Contract, Key, flow, step
from hilum.authoring.archive import Archive, EvidenceDesk, PackageRef
from hilum.authoring.archive import ArchiveConflict as ArchiveConflict  # Raised by the archive and the desk; the
from hilum.authoring.archive import ArchiveRefused as ArchiveRefused  # estate must have their queue.
from hilum.authoring.archive import NothingToArchive as NothingToArchive
from hilum.model.ledger import DocumentRef

evidence = EvidenceDesk("evidence")
archive = Archive("archive")


class EvidenceRequested(Contract, version=1, identities=["number"], owner="compliance"):
    """Somebody, or the calendar, asked for a package to be archived. The platform's own event: no message brought it."""

    raised_by_platform = True

    number: Annotated[str, Key("evidence")]
    request: PositiveInt
    subject: str
    reason: str
    requested_by: str
    requested_at: AwareDatetime


@flow(
    on=EvidenceRequested,
    key="number",
    criticality="low",
    owner="compliance",
    recovery="The package was assembled once and keeps its name; release the case and it goes on from the step that failed.",
)
def archive_evidence(requested: EvidenceRequested) -> None:
    package = assemble(requested)
    document = keep(package)
    record(package, document)


@step
def assemble(requested: EvidenceRequested) -> PackageRef:
    return evidence.package(requested.request)


@step
def keep(package: PackageRef) -> DocumentRef:
    return archive.keep(package)


@step
def record(package: PackageRef, document: DocumentRef) -> DocumentRef:
    return evidence.record(package, document)
