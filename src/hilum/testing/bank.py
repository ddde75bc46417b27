"""Statements as a bank reports them (BAI2 version 2), for tests and for days of a simulated hospital."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from hilum.formats.bai2 import is_debit

ROUTING = "031001234"


@dataclass(frozen=True)
class Credited:
    """One movement; ``amount`` is without a sign, its type code says the side. ``trace`` becomes a CCD addendum (TRN)."""

    reference: str
    amount: Decimal
    type_code: str = "142"
    trace: str = ""
    company: str = "1360000001"
    customer_reference: str = ""
    text: str = "HARBOR HEALTH PLAN HCCLAIMPMT"


def statement(
    moved: Sequence[Credited], *, account: str, day: date, number: int, opening: Decimal = Decimal(0)
) -> bytes:
    """One file with one account as of a day; its totals and counts are those of what it holds."""
    signed = [-each.amount if is_debit(each.type_code) else each.amount for each in moved]
    closing = opening + sum(signed, Decimal(0))
    records = [f"03,{account},USD,010,{_cents(opening)},,,015,{_cents(closing)},,/"]
    for each in moved:
        records.append(
            f"16,{each.type_code},{_cents(each.amount)},0,{each.reference},{each.customer_reference},{each.text}"
        )
        if each.trace:
            records.append(f"88,TRN*1*{each.trace}*{each.company}~")
    total = _cents(opening) + _cents(closing) + sum(_cents(each.amount) for each in moved)
    records.append(f"49,{total},{len(records) + 1}/")
    lines = [
        f"01,{ROUTING},LAKESHORE,{day:%y%m%d},0600,{number},,,2/",
        f"02,LAKESHORE,{ROUTING},1,{day:%y%m%d},2359,USD,2/",
        *records,
        f"98,{total},1,{len(records) + 2}/",
        f"99,{total},1,{len(records) + 4}/",
    ]
    return "".join(f"{line}\n" for line in lines).encode()


def _cents(amount: Decimal) -> int:
    return int(amount * 100)
