"""What a FHIR sender is answered: an OperationOutcome with one issue per finding (R4 chapter 2.31)."""

from __future__ import annotations

from collections.abc import Sequence

from hilum.formats.fhir.document import Document, Resource, build
from hilum.formats.findings import Finding

_ISSUE_TYPES = frozenset(
    [
        "invalid",
        "structure",
        "required",
        "value",
        "invariant",
        "security",
        "login",
        "unknown",
        "expired",
        "forbidden",
        "suppressed",
        "processing",
        "not-supported",
        "duplicate",
        "multiple-matches",
        "not-found",
        "deleted",
        "too-long",
        "code-invalid",
        "extension",
        "too-costly",
        "business-rule",
        "conflict",
        "transient",
        "lock-error",
        "no-store",
        "exception",
        "timeout",
        "incomplete",
        "throttled",
        "informational",
    ]
)


def acknowledge(document: Document | None, findings: Sequence[Finding]) -> Document:
    """An OperationOutcome: ``document`` is what was read, or None when it could not be.

    Without findings it says that all is well. Texts and places are those of the findings, which hold nothing of the content.
    """
    issues: list[Resource] = []
    for finding in findings:
        issue: Resource = {
            "severity": finding.severity,
            "code": finding.code if finding.code in _ISSUE_TYPES else "invalid",
            "diagnostics": finding.text if finding.line is None else f"Line {finding.line}: {finding.text}",
        }
        if finding.location:
            issue["expression"] = [finding.location]
        issues.append(issue)
    if not issues:
        kind = document.type if document is not None and document.type is not None else "content"
        text = f"The {kind} is valid R4." if kind.isalpha() and len(kind) < 64 else "The content is valid R4."
        issues = [{"severity": "information", "code": "informational", "diagnostics": text}]
    return build(
        {"resourceType": "OperationOutcome", "issue": issues},
        form="xml" if document and document.form == "xml" else "json",
    )
