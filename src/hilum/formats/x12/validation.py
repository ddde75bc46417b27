"""All checks of a transaction and of a document."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from hilum.formats.x12.document import Document, Transaction, X12Finding
from hilum.formats.x12.rules import Report, rules_for
from hilum.formats.x12.walker import walk

Codes = Mapping[str, Collection[str]]
FINDINGS_MAX = 500


def check(transaction: Transaction, codes: Codes | None = None) -> list[X12Finding]:
    """What is wrong inside a transaction, SNIP types 1 to 4: its structure, its elements, and the rules of its set.

    ``codes`` has the code lists that set tables name (``carc``, ``rarc`` ...; see ``hilum.formats.x12.codes``); a list that is
    not given is not checked. ``transaction.definition`` and ``transaction.root`` are set. Never raises.
    """
    found = walk(transaction, codes)
    if transaction.root is not None:
        report = Report(transaction)
        for rule in rules_for(transaction.set_id):
            rule(transaction, report)
        found += report.findings
    return found


def validate(document: Document, codes: Codes | None = None) -> list[X12Finding]:
    """What is wrong in a document: its envelopes, then each transaction. Never raises.

    After ``FINDINGS_MAX`` findings a transaction adds only its first error, so that none with an error is without a finding.
    """
    found: list[X12Finding] = []
    told: set[int | None] = {None}
    for finding in document.envelope_findings:
        if len(found) < FINDINGS_MAX or (finding.severity == "error" and finding.first_segment not in told):
            found.append(finding)
            told.add(finding.first_segment)
    for transaction in document.transactions:
        own = check(transaction, codes)
        room = FINDINGS_MAX - len(found)
        if len(own) > room:
            own = [finding for finding in own if finding.severity == "error"]
            own = own[:room] if room > 0 else own[: transaction.first_segment not in told]
        found += own
    return found
