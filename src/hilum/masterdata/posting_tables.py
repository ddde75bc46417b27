"""The posting tables of an estate: which accounts a financial movement goes between, and what a payer's reason codes mean.

``posting_rules.csv`` has ``rule,kind,reason,charge_class,facility,payer_class,debit,credit,cost_centre,valid_from,valid_to``; an
empty condition asks nothing, empty accounts make a memorandum; a column ``sequence`` may be added, in which ``later`` asks for payers that
decided after another one. ``adjustment_kinds.csv`` has ``group,reason,kind``: claim adjustment
group (CO, PR, OA, PI, CR), reason code (CARC) or nothing for every other one of the group, and the kind its movements are of.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hilum.masterdata.tables import RowFault, TableUnreadable, is_whole, period, read_records
from hilum.model.posting import LATER_PAYER, PostingBook, PostingRule, PostingRules, ambiguous

RULES_FILE, KINDS_FILE = "tables/posting_rules.csv", "tables/adjustment_kinds.csv"
RULE_COLUMNS = (
    "rule", "kind", "reason", "charge_class", "facility", "payer_class", "debit", "credit", "cost_centre",
    "valid_from", "valid_to",
)  # fmt: skip
KIND_COLUMNS = ("group", "reason", "kind")
GROUPS = frozenset({"CO", "PR", "OA", "PI", "CR"})


@dataclass(frozen=True)
class RuleTable:
    """The usable rules, each with its line, and what is wrong with others."""

    rules: tuple[PostingRule, ...]
    lines: Mapping[str, int]
    faults: tuple[RowFault, ...]


@dataclass(frozen=True)
class KindTable:
    """What adjustments are, by (group, reason); the reason "" stands for every other one of the group."""

    kinds: Mapping[tuple[str, str], str]
    faults: tuple[RowFault, ...]


def read_rules(root: Path, file: str) -> RuleTable:
    """Read the posting rules; ``TableUnreadable`` when the file has no rows to speak of."""
    rules: list[PostingRule] = []
    lines: dict[str, int] = {}
    faults: list[RowFault] = []
    for line, cells in read_records(root, file, RULE_COLUMNS):
        rule = _rule(line, cells, faults)
        if rule is None:
            continue
        if rule.number in lines:
            faults.append(RowFault(line, f"The rule {rule.number} stands twice.", "Give each row a number of its own."))
            continue
        lines[rule.number] = line
        rules.append(rule)
    for one, other in ambiguous(rules):
        faults.append(
            RowFault(
                lines[other.number],
                f"The rules {one.number} and {other.number} look at the same movements on the same days.",
                "End the earlier one with valid_to the day before, or let one of them ask for more.",
            )
        )
    return RuleTable(tuple(rules), lines, tuple(faults))


def read_kinds(root: Path, file: str) -> KindTable:
    """Read what adjustments are; ``TableUnreadable`` when the file has no rows to speak of."""
    kinds: dict[tuple[str, str], str] = {}
    faults: list[RowFault] = []
    for line, cells in read_records(root, file, KIND_COLUMNS):
        if not is_whole(line, cells, KIND_COLUMNS, faults):
            continue
        key = (cells["group"], cells["reason"])
        if cells["group"] not in GROUPS or not cells["kind"]:
            faults.append(
                RowFault(line, "The row has no kind, or a group that is none.", f"Groups: {', '.join(sorted(GROUPS))}.")
            )
        elif key in kinds:
            faults.append(RowFault(line, f"{'-'.join(filter(None, key))} stands twice.", "Remove one of the rows."))
        else:
            kinds[key] = cells["kind"]
    return KindTable(kinds, tuple(faults))


def read_book(root: Path, rules: str = RULES_FILE, kinds: str = KINDS_FILE) -> PostingBook:
    """Both tables of the estate at ``root``. ``TableUnreadable`` also for one faulty row: nothing is posted by half a table."""
    rule_table, kind_table = read_rules(root, rules), read_kinds(root, kinds)
    for file, faults in ((rules, rule_table.faults), (kinds, kind_table.faults)):
        if faults:
            raise TableUnreadable(f"{file}:{faults[0].line}: {faults[0].what} {faults[0].do}")
    read = {file: (root / file).read_bytes() for file in (rules, kinds)}
    digest = hashlib.sha256(b"\x1f".join(read.values())).hexdigest()
    texts = {file: content.decode("utf-8") for file, content in read.items()}
    return PostingBook(PostingRules(rule_table.rules), kind_table.kinds, digest, texts)


def _rule(line: int, cells: dict[str, str], faults: list[RowFault]) -> PostingRule | None:
    if not is_whole(line, cells, RULE_COLUMNS, faults):
        return None
    if not cells["rule"] or not cells["kind"]:
        faults.append(RowFault(line, "The row has no rule number or no kind.", "Fill it in or remove the row."))
        return None
    if bool(cells["debit"]) != bool(cells["credit"]) or (cells["debit"] and cells["debit"] == cells["credit"]):
        faults.append(
            RowFault(
                line,
                f"The rule {cells['rule']} does not go between two accounts.",
                "Name both, two different ones, or neither for a memorandum.",
            )
        )
        return None
    days = period(line, cells, faults)
    if days is None:
        return None
    sequence = cells.get("sequence", "")
    if sequence not in ("", LATER_PAYER):
        faults.append(
            RowFault(
                line,
                f"The rule {cells['rule']} asks for the sequence {sequence!r}, which is none.",
                f"Write {LATER_PAYER}, or nothing for every payer.",
            )
        )
        return None
    return PostingRule(
        number=cells["rule"], kind=cells["kind"], debit=cells["debit"], credit=cells["credit"], reason=cells["reason"],
        charge_class=cells["charge_class"], facility=cells["facility"], payer_class=cells["payer_class"],
        sequence=sequence, cost_centre=cells["cost_centre"], valid_from=days[0], valid_to=days[1],
    )  # fmt: skip
