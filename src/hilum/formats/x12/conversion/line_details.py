"""What orders, answers, ship notices and invoices share: dates, numbers, texts, allowances and taxes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from hilum.formats.canonical import Allowance, Tax
from hilum.formats.findings import FormatError
from hilum.formats.x12.dates import real_date
from hilum.formats.x12.document import Loop, Segment, value
from hilum.formats.x12.rules.line_amounts import allowance
from hilum.formats.x12.rules.report import amount

_ANY = "ZZZZ"
"""The charge code that says nothing; it stands where a code is required and none is known."""


def needed(said: str | None, place: str, what: str) -> str:
    """The text, or FormatError naming the place that a document of this kind cannot do without."""
    if said is None:
        raise FormatError("1", f"{what} is missing, without which this says nothing", place)
    return said


def iso_date(said: str | None) -> str | None:
    """CCYYMMDD or YYMMDD as ISO 8601, a year without its century from 1966 to 2065; None for what is no date."""
    if said is None or not real_date(text := said.strip()):
        return None
    if len(text) == 6:
        text = ("19" if text[:2] >= "66" else "20") + text
    return f"{text[:4]}-{text[4:6]}-{text[6:]}"


def x12_date(said: str | None, place: str, what: str) -> str:
    """An ISO 8601 date as CCYYMMDD; FormatError when there is none, or it is no date."""
    text = needed(said, place, what)[:10].replace("-", "")
    if len(text) != 8 or not text.isdigit():
        raise FormatError("8", f"{what} is no date", place)
    return text


def dated(segments: Iterable[Segment], *kinds: str) -> str | None:
    """The date of the first of these kinds (DTM01) among DTM segments, as ISO 8601."""
    told = {value(segment, 1): value(segment, 2) for segment in reversed(list(segments))}
    return next((found for kind in kinds if (found := iso_date(told.get(kind))) is not None), None)


def plain(number: Decimal | None) -> str | None:
    """A number as element type R has it: no exponent, no needless zeros."""
    if number is None:
        return None
    return format(number.normalize(), "f") if number else "0"


def cents(number: Decimal, place: str) -> str:
    """An amount as element type N2 has it; FormatError when it has fractions of a cent."""
    whole = number * 100
    if whole != whole.to_integral_value():
        raise FormatError("6", "the amount has fractions of a cent, for which this place has no room", place)
    return str(int(whole))


def description(loops: Sequence[Loop]) -> str | None:
    """The free-form descriptions (PID05) of these loops, one after the other; None when there is none."""
    texts = [text.strip() for loop in loops for pid in loop.every("PID") if (text := value(pid, 5)) is not None]
    return " ".join(texts) or None


def allowances(loops: Iterable[Loop], base: Decimal | None) -> tuple[Allowance, ...]:
    """The allowances and charges of these loops; those without an amount, or settled elsewhere, are none."""
    found = []
    for loop in loops:
        for segment in loop.every("SAC"):
            size = allowance(segment, base)
            if size:
                code = value(segment, 2)
                code = value(segment, 4) if code is None else code
                found.append(
                    Allowance(
                        charge=size > 0,
                        amount=abs(size),
                        code=None if code == _ANY else code,
                        text=value(segment, 15),
                    )
                )
    return tuple(found)


def taxes(loops: Iterable[Loop]) -> tuple[Tax, ...]:
    """The taxes (TXI) of these loops that have an amount."""
    return tuple(
        Tax(amount=size, kind=value(segment, 1), rate_percent=amount(segment, 3))
        for loop in loops
        for segment in loop.every("TXI")
        if (size := amount(segment, 2)) is not None
    )


def allowance_segments(told: Iterable[Allowance]) -> list[list[str | None]]:
    """SAC segments; one without a code gets the one that says nothing."""
    written: list[list[str | None]] = []
    for part in told:
        segment: list[str | None] = ["SAC", "C" if part.charge else "A", _ANY if part.code is None else part.code]
        segment += [None, None, cents(part.amount, "SAC05")]
        if part.text is not None:
            segment += [None] * 9 + [part.text]
        written.append(segment)
    return written


def tax_segments(told: Iterable[Tax]) -> list[list[str | None]]:
    """TXI segments; a tax of no kind is ``TX``, all taxes."""
    return [["TXI", "TX" if tax.kind is None else tax.kind, plain(tax.amount), plain(tax.rate_percent)] for tax in told]
