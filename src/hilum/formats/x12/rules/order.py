"""Orders, their changes and the answers to both: 850, 860, 855, 865."""

from __future__ import annotations

from decimal import Decimal

from hilum.formats.x12.dates import real_date
from hilum.formats.x12.document import Loop, Segment, Transaction, value
from hilum.formats.x12.rules import Rule
from hilum.formats.x12.rules.item_numbers import check_item_numbers
from hilum.formats.x12.rules.line_amounts import allowances, extension, tolerance
from hilum.formats.x12.rules.report import Report, amount
from hilum.formats.x12.rules.totals import check_count, check_hash, check_line_numbers

_TOTALS = frozenset({"TT", "1"})
"""AMT01 of an order's total."""
_LINE = {"850": "PO1", "855": "PO1", "860": "POC", "865": "POC"}
_QUANTITY = {"PO1": 2, "POC": 3}

_KNOWN = "AI CA CB CC CE CF CG CH CI CT DI MU NC OA OC PC PQ PR QC QD QI RA RB RC RE RM RQ RS RZ TI"
CHANGES = frozenset(_KNOWN.split())
"""POC02 (element 670): what happens to a line."""
_NEEDS_QUANTITY = frozenset({"AI", "PQ", "QD", "QI", "RQ"})
_NEEDS_PRICE = frozenset({"PC"})

_QUANTITY_MAY_DIFFER = frozenset({"IC", "IQ"})
"""ACK01 of an acknowledgement that changes the quantity itself."""
_REFUSED = frozenset({"ID", "IR", "R1", "R2", "R3", "R4", "R5", "R6", "R7", "R8", "R9", "RJ"})


def check_lines(transaction: Transaction, report: Report) -> None:
    """Line count, hash total, line numbers and item numbers of the four sets."""
    root, set_id = transaction.root, transaction.set_id
    if root is None:
        return
    name = _LINE[set_id]
    lines = root.inside(name)
    ctt = next(iter(root.inside("CTT")), root).first("CTT")
    check_count(report, f"{set_id}-line-count", ctt, (len(lines),), f"{name} segments")
    if value(ctt, 2) is not None:
        ordered = [text for line in lines if (text := value(line.segments[0], _QUANTITY[name])) is not None]
        readings = [ordered]
        if set_id in ("855", "865"):
            answers = (loop.first("ACK") for line in lines for loop in line.inside("ACK"))
            readings.append([text for answer in answers if (text := value(answer, 2)) is not None])
        check_hash(report, f"{set_id}-hash-total", ctt, readings, "the quantities ordered")
    if set_id == "850":
        check_line_numbers(report, "850-line-number", lines, "PO1")
    elif set_id == "855":
        check_line_numbers(report, "855-line-number", lines, "PO1", "warning")
    check_item_numbers(report, lines)
    for line in lines:
        if line.loops:
            check_item_numbers(report, line.anywhere("SLN", "ACK", "SLN-ACK"))


def check_total(transaction: Transaction, report: Report) -> None:
    """``850-total``: an order's total (AMT*TT in the heading or with the CTT) is its lines, with or without allowances."""
    root, set_id = transaction.root, transaction.set_id
    if root is None:
        return
    totals = [
        segment
        for loop in (root, *root.inside("AMT", "CTT"))
        for segment in loop.every("AMT")
        if value(segment, 1) in _TOTALS
    ]
    if not totals:
        return
    exact: list[Decimal] = []
    extra = Decimal(0)
    for line in root.inside("PO1"):
        item = line.first("PO1")
        cost = extension(amount(item, 2), amount(item, 4), value(item, 5))
        on_line = allowances(line.inside("PO1-SAC"), cost)
        if cost is None or on_line is None:
            return
        exact.append(cost)
        extra += on_line
    lines = sum(exact, Decimal(0))
    on_order = allowances(root.inside("SAC"), lines)
    if not exact or on_order is None:
        return
    for segment in totals:
        said = amount(segment, 2)
        readings = (lines, lines + extra, lines + on_order, lines + extra + on_order)
        if said is not None and min(abs(said - reading) for reading in readings) > tolerance(exact):
            text = "the total is not the sum of the lines, with or without allowances and charges"
            report(f"{set_id}-total", text, segment=segment, element=2)


def check_dates(transaction: Transaction, report: Report) -> None:
    """``850-dates``: a window does not close before it opens, and nothing is wanted before it was ordered."""
    root = transaction.root
    if root is None:
        return
    ordered = _day(root.first("BEG"), 5)
    for loop in (root, *root.inside("PO1")):
        if len(loop.segments) == 1:
            continue
        dates = {value(segment, 1): segment for segment in loop.every("DTM")}
        if not dates:
            continue
        for opens, closes in (("064", "063"), ("037", "038"), ("064", "001"), ("037", "001")):
            if _before(_day(dates.get(closes), 2), _day(dates.get(opens), 2)):
                text = "the window closes before it opens"
                report("850-dates", text, loop=loop, segment=dates[closes], element=2)
        for kind in ("002", "010", "001"):
            if _before(_day(dates.get(kind), 2), ordered):
                text = "this is wanted before it was ordered"
                report("850-dates", text, loop=loop, segment=dates[kind], element=2, severity="warning")


def _day(segment: Segment | None, at: int) -> str | None:
    said = value(segment, at)
    return said if said is not None and real_date(said) else None


def _before(day: str | None, other: str | None) -> bool:
    return day is not None and other is not None and len(day) == len(other) and day < other


def check_changes(transaction: Transaction, report: Report) -> None:
    """``860-change``: a change code that is known, with what it changes."""
    root, set_id = transaction.root, transaction.set_id
    if root is None:
        return
    for line in root.inside("POC"):
        change = line.first("POC")
        code = value(change, 2)
        if code is None:
            continue
        if code not in CHANGES:
            _note(report, f"{set_id}-change", "this change code is not known", line, change, 2)
        if set_id != "860":
            continue
        if code in _NEEDS_QUANTITY and amount(change, 3) is None:
            text = "this change of a quantity says no quantity"
            report("860-change", text, loop=line, segment=change, element=3, snip=4)
        if code in _NEEDS_PRICE and amount(change, 6) is None:
            report("860-change", "this change of a price says no price", loop=line, segment=change, element=6, snip=4)
        if code == "AI" and value(change, 9) is None and line.first("LIN") is None and line.first("PID") is None:
            report("860-change", "an added line names no item", loop=line, segment=change, element=9, snip=4)
        if code != "AI" and value(change, 1) is None and value(change, 9) is None:
            text = "a changed line has neither a number nor an item"
            report("860-change", text, loop=line, segment=change, element=1, snip=4)


def check_answers(transaction: Transaction, report: Report) -> None:
    """``855-quantity``: what is accepted, backordered and refused of a line adds up to what was ordered."""
    root, set_id = transaction.root, transaction.set_id
    if root is None:
        return
    name = _LINE[set_id]
    changed = False
    for line in root.inside(name):
        item = line.first(name)
        answers = [answer for loop in line.inside("ACK") if (answer := loop.first("ACK")) is not None]
        if not answers:
            continue
        codes = {value(answer, 1) for answer in answers}
        changed = changed or not codes <= {"IA", "AC", "AR", None}
        ordered, unit = amount(item, _QUANTITY[name]), value(item, 3 if name == "PO1" else 5)
        given = [amount(answer, 2) for answer in answers]
        units = {value(answer, 3) for answer in answers}
        if ordered is None or codes & _QUANTITY_MAY_DIFFER or not units <= {unit, None}:
            continue
        told = [quantity for quantity in given if quantity is not None]
        total = sum(told, Decimal(0))
        refused = codes <= _REFUSED and total == 0
        if len(told) == len(given) and total != ordered and not refused:
            text = "the quantities of the answers do not add up to the quantity ordered"
            report(f"{set_id}-quantity", text, loop=line, segment=item, element=_QUANTITY[name])
    header = root.first("BAK" if set_id == "855" else "BCA")
    if value(header, 2) in ("AD", "AT", "AK") and changed:
        _note(report, f"{set_id}-status", "the whole is accepted as it is, but a line is not", None, header, 2)


def _note(report: Report, code: str, text: str, loop: Loop | None, segment: Segment | None, element: int) -> None:
    report(code, text, loop=loop, segment=segment, element=element, snip=4, severity="warning")


RULES: dict[str, tuple[Rule, ...]] = {
    "850": (check_lines, check_total, check_dates),
    "855": (check_lines, check_total, check_answers),
    "860": (check_lines, check_changes),
    "865": (check_lines, check_changes, check_answers),
}
