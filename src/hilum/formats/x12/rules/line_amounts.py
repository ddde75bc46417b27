"""What a line costs, what allowances and charges come to, and how far a total may be off by rounding.

An extension is quantity times unit price, divided by what the basis code (element 639) says the price is for. Systems
round each extension to the cent before they add, or add first: a total may therefore be off by half a cent for each line
whose exact extension is no whole number of cents, and not at all when there is none.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from hilum.formats.x12.document import Loop, Segment, value
from hilum.formats.x12.rules.report import amount

_PRICE_FOR = {"HP": Decimal(100), "TP": Decimal(1000), "PN": Decimal(10)}
"""How many units a price is for, by basis of unit price; one where the code does not say."""
_FREE = frozenset({"NC", "NE"})
"""Bases of a line that costs nothing on this document: no charge, price not established."""
_CENT = Decimal("0.01")
_HALF_CENT = Decimal("0.005")
NOT_ON_THIS_DOCUMENT = frozenset({"01", "03", "04", "15"})
"""Methods of handling (SAC12) that settle an allowance elsewhere: bill back, vendor's check, credit to the account, information."""


def implied(segment: Segment | None, at: int) -> Decimal | None:
    """An amount with two implied decimals (type N2): ``1999`` is 19.99; None when absent or no whole number."""
    number = amount(segment, at)
    if number is None or number != number.to_integral_value():
        return None
    return number * _CENT


def unit_price(price: Decimal | None, basis: str | None) -> Decimal | None:
    """The price of one unit, where the basis code says that the price is for ten, a hundred or a thousand, or for nothing."""
    if basis in _FREE:
        return Decimal(0)
    divisor = _PRICE_FOR.get(basis) if basis is not None else None
    return price if price is None or divisor is None else price / divisor


def extension(quantity: Decimal | None, price: Decimal | None, basis: str | None) -> Decimal | None:
    """The exact amount of a line; None when quantity or price is not said."""
    if basis in _FREE:
        return Decimal(0)
    each = unit_price(price, basis)
    return None if quantity is None or each is None else quantity * each


def tolerance(extensions: Iterable[Decimal]) -> Decimal:
    """How far a total of these may be off: half a cent for each that is no whole number of cents, and as much for the sum."""
    inexact = sum(1 for exact in extensions if not _is_whole_cents(exact))
    return _HALF_CENT * (inexact + 1) if inexact else Decimal(0)


def _is_whole_cents(exact: Decimal) -> bool:
    hundredfold = exact * 100
    return hundredfold == int(hundredfold)


def allowance(segment: Segment, base: Decimal | None) -> Decimal | None:
    """What a SAC adds (charge) or takes (allowance, negative); zero when it is settled elsewhere; None when it does not say.

    ``base`` is the amount that a percent (SAC07) without an amount (SAC05) is of.
    """
    kind = value(segment, 1)
    if kind not in ("A", "C") or value(segment, 12) in NOT_ON_THIS_DOCUMENT:
        return Decimal(0)
    size = implied(segment, 5)
    if size is None:
        rate, quantity, percent = amount(segment, 8), amount(segment, 10), amount(segment, 7)
        if rate is not None and quantity is not None:
            size = rate * quantity
        elif percent is not None and base is not None:
            size = (base * percent).to_integral_value() * _CENT
    if size is None:
        return None
    return size if kind == "C" else -size


def allowances(loops: Iterable[Loop], base: Decimal | None) -> Decimal | None:
    """The sum of the SAC segments of these loops; None when one of them does not say its amount."""
    total = Decimal(0)
    for loop in loops:
        for segment in loop.every("SAC"):
            size = allowance(segment, base)
            if size is None:
                return None
            total += size
    return total


def off_and_on(loops: Iterable[Loop], base: Decimal | None) -> tuple[Decimal, Decimal] | None:
    """(allowances as a negative amount, charges) of the SAC segments of these loops; None when one does not say its amount."""
    off, on = Decimal(0), Decimal(0)
    for loop in loops:
        for segment in loop.every("SAC"):
            size = allowance(segment, base)
            if size is None:
                return None
            if size < 0:
                off += size
            else:
                on += size
    return off, on
