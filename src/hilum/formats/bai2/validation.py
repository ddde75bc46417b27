"""Whether a BAI2 file adds up: control totals and counts, of each account (49), each group (98) and the file (99)."""

from __future__ import annotations

from decimal import Decimal

from hilum.formats.bai2.document import Bai2File, Trailer
from hilum.formats.bai2.findings import Code
from hilum.formats.findings import Finding

__all__ = ["validate"]

_MOST = 200


def validate(document: Bai2File) -> list[Finding]:
    """What does not add up, with the difference in the currency's units; at most 200 findings.

    A control total is the sum of all amounts below it as they are written (BAI2, 49-03, 98-03, 99-03): debits are not taken off.
    Counts include the record that counts.
    """
    found: list[Finding] = []
    if len({group.currency for group in document.groups}) > 1:
        found.append(
            Finding(Code.TOTAL, "groups are of several currencies, so the file's total says nothing", "99", "warning")
        )
    for at, group in enumerate(document.groups, start=1):
        for number, account in enumerate(group.accounts, start=1):
            if account.trailer is not None:
                found += _held(
                    account.trailer, f"group {at}, account {number}, 49", account.total, account.currency,
                    (("records", account.records),),
                )  # fmt: skip
        totals = sum((each.trailer.total for each in group.accounts if each.trailer is not None), Decimal(0))
        if group.trailer is not None:
            found += _held(
                group.trailer, f"group {at}, 98", totals, group.currency,
                (("accounts", len(group.accounts)), ("records", group.records)),
            )  # fmt: skip
    totals = sum((each.trailer.total for each in document.groups if each.trailer is not None), Decimal(0))
    if document.trailer is not None:
        currency = document.groups[0].currency if document.groups else "USD"
        found += _held(
            document.trailer, "99", totals, currency,
            (("groups", len(document.groups)), ("records", document.records)),
        )  # fmt: skip
    return found[:_MOST]


def _held(
    trailer: Trailer, place: str, total: Decimal, currency: str, counts: tuple[tuple[str, int], ...]
) -> list[Finding]:
    found = []
    if trailer.total != total:
        found.append(
            Finding(
                Code.TOTAL,
                f"the control total is {trailer.total} {currency}, what it controls is {total}: {abs(trailer.total - total)} too "
                + ("much" if trailer.total > total else "little"),
                place,
                line=trailer.line,
            )
        )
    for (what, counted), said in zip(counts, trailer.counts, strict=True):
        if said != counted:
            found.append(
                Finding(Code.COUNT, f"it counts {said} {what}, and there are {counted}", place, line=trailer.line)
            )
    return found
