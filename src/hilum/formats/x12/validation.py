"""All checks of a transaction and of a document."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from hilum.formats.x12.definitions import functional_ids
from hilum.formats.x12.document import Document, Transaction, X12Finding, value
from hilum.formats.x12.envelope import transaction_finding
from hilum.formats.x12.rules import Report, rules_for
from hilum.formats.x12.walker import walk

Codes = Mapping[str, Collection[str]]
FINDINGS_MAX = 500


def check(transaction: Transaction, codes: Codes | None = None) -> list[X12Finding]:
    """What is wrong inside a transaction, SNIP types 1 to 4: its structure, its elements, and the rules of its set.

    ``codes`` has the code lists that set tables name (``carc``, ``rarc`` ...; see ``hilum.formats.x12.codes``); a list that is
    not given is not checked. ``transaction.definition`` and ``transaction.root`` are set. Never raises.
    """
    found = [*_group_findings(transaction), *walk(transaction, codes)]
    if transaction.root is not None:
        report = Report(transaction)
        for rule in rules_for(transaction.set_id):
            rule(transaction, report)
        found += report.findings
    return found


def _group_findings(transaction: Transaction) -> list[X12Finding]:
    """A transaction in a group of another kind (GS01), or of another guide than the group's (ST03 and GS08, addenda apart)."""
    found = []
    kinds = functional_ids(transaction.set_id)
    if transaction.functional_id is not None and kinds and transaction.functional_id not in kinds:
        text = f"the group (GS01) is not for this transaction set, which belongs into {' or '.join(sorted(kinds))}"
        found.append(transaction_finding(transaction, "18", text, "ST", 1))
    said = value(transaction.segments[0], 3)
    if (
        said is not None
        and len(transaction.group_version) >= 10
        and said.strip()[:10] != transaction.group_version[:10]
    ):
        text = "ST03 says another implementation guide than the group (GS08)"
        found.append(transaction_finding(transaction, "19", text, "ST", 3))
    return found


def validate(document: Document, codes: Codes | None = None) -> list[X12Finding]:
    """What is wrong in a document: its envelopes, then each transaction. Never raises.

    After ``FINDINGS_MAX`` findings a transaction adds only its first error and the first of each kind of balance that it does
    not keep, so that none with an error is without a finding and no amount that does not add up is overlooked.
    """
    found: list[X12Finding] = []
    told: set[int | None] = {None}
    for finding in document.envelope_findings:
        if len(found) < FINDINGS_MAX or (finding.severity == "error" and finding.first_segment not in told):
            found.append(finding)
            told.add(finding.first_segment)
    for transaction in document.transactions:
        own = check(transaction, codes)
        room = max(FINDINGS_MAX - len(found), 0)
        found += own if len(own) <= room else _pressing(own, room, transaction.first_segment not in told)
    return found


def _pressing(own: list[X12Finding], room: int, untold: bool) -> list[X12Finding]:
    """Of too many findings the first errors there is room for, and whatever room there is the first of each lost balance."""
    errors = [finding for finding in own if finding.severity == "error"]
    kept = errors[: max(room, int(untold))]
    said = {finding.code for finding in kept}
    for finding in errors[len(kept) :]:
        if finding.level == "balance" and finding.code not in said:
            said.add(finding.code)
            kept.append(finding)
    return kept
