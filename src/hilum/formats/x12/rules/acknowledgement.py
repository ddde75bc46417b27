"""997 and 999: the verdict on the group agrees with those on its transactions."""

from __future__ import annotations

from hilum.formats.x12.document import Transaction, value
from hilum.formats.x12.rules import Report, Rule


def counts(transaction: Transaction, report: Report) -> None:
    """AK904 is no more than AK903; AK5 that accept are no more than AK904, and none is rejected in a group that is accepted."""
    group = next((segment for segment in transaction.segments if segment[0] == "AK9"), None)
    answers = [segment for segment in transaction.segments if segment[0] in ("AK5", "IK5")]
    if group is None:
        return
    received, accepted = _count(value(group, 3)), _count(value(group, 4))
    if received is not None and accepted is not None and accepted > received:
        report(
            "ack-counts", "AK904, the accepted ones, is more than AK903, the received ones", segment=group, element=4
        )
    said = sum(value(segment, 1) in ("A", "E") for segment in answers)
    if accepted is not None and said > accepted:
        report("ack-counts", "more transactions are accepted than AK904 says", segment=group, element=4)
    if value(group, 1) == "A" and any(value(segment, 1) not in ("A", "E") for segment in answers):
        report("ack-verdict", "AK901 accepts the group, and a transaction in it is rejected", segment=group, element=1)


def _count(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 10 else None


RULES: dict[str, tuple[Rule, ...]] = {"997": (counts,), "999": (counts,)}
