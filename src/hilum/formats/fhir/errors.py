"""What is wrong with FHIR content: findings by the issue types of FHIR R4, with the key of the invariant where there is one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hilum.formats.findings import Finding, FormatError

MAX_FINDINGS = 300
"""A document wrong in more places than this is wrong as a whole; what follows is not told."""


@dataclass(frozen=True, slots=True)
class FHIRFinding(Finding):
    """``code`` is of http://hl7.org/fhir/issue-type, ``location`` a FHIRPath such as ``Claim.item[0].net``.

    ``key`` names the invariant of the specification that does not hold (``bdl-7``, ``per-1``), or None.
    """

    key: str | None = None

    def details(self) -> Mapping[str, str | int]:
        return {"key": self.key} if self.key else {}


class FHIRError(FormatError):
    """Bytes that are no FHIR content in JSON, NDJSON or XML. ``code`` is of http://hl7.org/fhir/issue-type."""
