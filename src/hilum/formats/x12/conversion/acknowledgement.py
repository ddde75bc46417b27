"""997, 999 and TA1 to what became of what we sent."""

from __future__ import annotations

from hilum.formats.canonical import AcknowledgedItem, Acknowledgement, Canonical
from hilum.formats.findings import FormatError
from hilum.formats.x12.conversion import Converter
from hilum.formats.x12.document import Interchange, Transaction, value
from hilum.formats.x12.matching import group_answer


def acknowledgement(transaction: Transaction) -> list[Canonical]:
    """The group and transactions that a 997 or 999 accepts or rejects; FormatError without an AK1 or an AK9."""
    answer = group_answer(transaction)
    if answer is None or answer.code is None:
        raise FormatError("3", "an acknowledgement without AK1 and AK9 answers nothing", "AK1")
    items = [
        AcknowledgedItem(
            level="group",
            reference=answer.control_number,
            set_id=answer.functional_id,
            accepted=answer.code in "AE",
            code=answer.code,
            reasons=answer.reasons,
        )
    ]
    items += [
        AcknowledgedItem(
            level="transaction",
            reference=one.control_number,
            set_id=one.set_id,
            accepted=one.code in ("A", "E"),
            code=one.code,
            reasons=(*one.reasons, *one.errors),
        )
        for one in answer.transactions
    ]
    # A claim that a 999 names goes the way of its transaction, with what is wrong in it.
    items += [
        AcknowledgedItem(
            level="claim",
            reference=claim,
            set_id=one.set_id,
            accepted=one.code in ("A", "E"),
            code=one.code,
            reasons=errors,
        )
        for one in answer.transactions
        for claim, errors in one.claims
    ]
    accepted = all(item.accepted for item in items)
    return [
        Acknowledgement(
            type=transaction.set_id, control_number=transaction.control_number, accepted=accepted, items=tuple(items)
        )
    ]


def interchange_acknowledgement(interchange: Interchange) -> Acknowledgement | None:
    """The interchanges that the TA1 segments of an interchange answer; None when it has none."""
    items = []
    for segment in interchange.acknowledgements:
        code, reason = value(segment, 4), value(segment, 5)
        items.append(
            AcknowledgedItem(
                level="interchange",
                reference=value(segment, 1),
                accepted=code in ("A", "E"),
                code="?" if code is None else code,
                reasons=() if reason in (None, "000") else (str(reason),),
            )
        )
    if not items:
        return None
    return Acknowledgement(
        type="TA1",
        control_number=interchange.control_number,
        accepted=all(item.accepted for item in items),
        items=tuple(items),
    )


CONVERTERS: dict[str, Converter] = {"997": acknowledgement, "999": acknowledgement}
