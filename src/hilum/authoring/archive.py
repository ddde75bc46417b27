"""The compliance archive and the desk that assembles what it keeps: roles of the shipped evidence process."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from hilum.authoring.failures import Rejected
from hilum.authoring.system import System, command, question
from hilum.model.ledger import DocumentRef


class ArchiveConflict(Rejected, queue="compliance", due_hours=4):
    """Something else stands in the archive under this package's name: find out who wrote it, then release."""


class ArchiveRefused(Rejected, queue="compliance"):
    """Correct the archive's settings or rights (bucket, Object Lock, folder), then release."""


class NothingToArchive(Rejected, queue="compliance"):
    """What was asked for is not known, too much for one package, or not under a signed head yet: ask for less, or release later."""


class PackageRef(BaseModel):
    """An assembled package: its name is the SHA-256 of its bytes, in hexadecimal."""

    model_config = ConfigDict(frozen=True)

    digest: str = Field(pattern=r"^[0-9a-f]{64}$")
    subject: str
    size_bytes: int = Field(ge=0)


class Archive(System):
    """The compliance archive: keeps what it is given for as long as documentation has to be kept, and replaces nothing."""

    @command
    def keep(self, package: PackageRef, key: str | None = None) -> DocumentRef:
        """Keep a package; the result's number is the archive's reference. Keeping the same package again changes nothing."""
        raise AssertionError("answered by the run")

    @question
    def kept(self, reference: str) -> DocumentRef | None:
        """The package kept under a reference, its bytes read and found whole; None when there is none."""
        raise AssertionError("answered by the run")


class EvidenceDesk(System):
    """The platform's own desk: assembles packages from its record and notes where they are kept."""

    @command
    def package(self, request: int, key: str | None = None) -> PackageRef:
        """The package of a request, assembled once: the same request gives the same package."""
        raise AssertionError("answered by the run")

    @command
    def record(self, package: PackageRef, kept: DocumentRef, key: str | None = None) -> DocumentRef:
        """Note where a package is kept, in the audit log too; the result is that document."""
        raise AssertionError("answered by the run")
