"""Posting tables lead to accounts that exist, and every adjustment group of a payer is something."""

from __future__ import annotations

from collections.abc import Iterator

from hilum.governance.loader import Loaded
from hilum.governance.problems import EstateProblem
from hilum.masterdata.posting_tables import GROUPS, KINDS_FILE, RULES_FILE, read_kinds, read_rules
from hilum.masterdata.tables import TableUnreadable, read_targets

ACCOUNTS = "tables/accounts.csv:account"
COST_CENTRES = "tables/cost_centres.csv:cost_centre"


def posting_problems(loaded: Loaded) -> Iterator[EstateProblem]:
    """Nothing for an estate without revenue books."""
    estate = loaded.estate
    if not any(spec.connect.get("connector") == "revenue_desk" for spec in estate.systems.values()):
        return
    try:
        rules, kinds = read_rules(estate.root, RULES_FILE), read_kinds(estate.root, KINDS_FILE)
        accounts, centres = read_targets(estate.root, ACCOUNTS), read_targets(estate.root, COST_CENTRES)
    except TableUnreadable as error:
        yield EstateProblem(
            str(error).partition(" ")[0],
            f"The revenue books cannot post: {error}.",
            f"Write {RULES_FILE}, {KINDS_FILE} and tables/accounts.csv.",
        )
        return
    for file, faults in ((RULES_FILE, rules.faults), (KINDS_FILE, kinds.faults)):
        for fault in faults:
            yield EstateProblem(f"{file}:{fault.line}", fault.what, fault.do)
    for rule in rules.rules:
        where = f"{RULES_FILE}:{rules.lines[rule.number]}"
        for account in (rule.debit, rule.credit):
            if account and account not in accounts:
                yield EstateProblem(
                    where,
                    f"The rule {rule.number} posts to the account {account}, which is not in {ACCOUNTS}.",
                    "Add the account there and in the ERP, or correct it here.",
                )
        if rule.cost_centre and rule.cost_centre not in centres:
            yield EstateProblem(
                where,
                f"The rule {rule.number} posts to the cost centre {rule.cost_centre}, which is not in {COST_CENTRES}.",
                "Add the cost centre there and in the ERP, or correct it here.",
            )
        if rule.facility and rule.facility not in estate.facilities:
            yield EstateProblem(
                where,
                f"The rule {rule.number} is for {rule.facility}, which is no facility of the estate.",
                f"Write one of {', '.join(sorted(estate.facilities))}, or leave it empty for the whole network.",
            )
    ruled = {rule.kind for rule in rules.rules}
    for kind in sorted(set(kinds.kinds.values()) - ruled):
        yield EstateProblem(
            KINDS_FILE, f"Adjustments can be {kind}, and no posting rule is for it.", f"Add a rule to {RULES_FILE}."
        )
    for group in sorted(group for group in GROUPS if (group, "") not in kinds.kinds):
        yield EstateProblem(
            KINDS_FILE,
            f"An adjustment of the group {group} with a reason that is not listed is nothing.",
            f"Add a row with the group {group} and no reason.",
        )
