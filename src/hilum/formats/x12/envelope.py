"""What a TA1, an AK9 or an AK5 says of an envelope: X12.5 and X12.6 for ISA to IEA, X12.22 for GS to GE, ST to SE.

Control numbers are compared as the texts they are, counts as numbers. An ISA whose elements are not padded is a warning: it
can be read, but not by who reads at fixed places.
"""

from __future__ import annotations

import re

from hilum.formats.findings import Severity
from hilum.formats.x12.dates import real_date, real_time
from hilum.formats.x12.document import Group, Interchange, Segment, Transaction, X12Finding, value

_ISA_LENGTHS = (2, 10, 2, 10, 2, 15, 2, 15, 6, 4, 1, 5, 9, 1, 1, 1)
_ISA_CODES = (
    "010",
    "011",
    "012",
    "013",
    "005",
    "006",
    "007",
    "008",
    "014",
    "015",
    "016",
    "017",
    "018",
    "019",
    "020",
    "027",
)
_ISA_VALUES: dict[int, re.Pattern[str]] = {
    1: re.compile(r"0[0-9]"),
    3: re.compile(r"0[0-9]"),
    5: re.compile(r"[A-Z0-9]{2}"),
    7: re.compile(r"[A-Z0-9]{2}"),
    6: re.compile(r".*\S.*"),
    8: re.compile(r".*\S.*"),
    10: re.compile(r"(?:[01][0-9]|2[0-3])[0-5][0-9]"),
    12: re.compile(r"00[0-9]{3}"),
    13: re.compile(r"[0-9]+"),
    14: re.compile(r"[01]"),
    15: re.compile(r"[PTI]"),
    16: re.compile(r".", re.DOTALL),
}


def interchange_finding(
    code: str, text: str, line: int, segment: str | None, element: int | None = None, severity: Severity = "error"
) -> X12Finding:
    """A finding about an interchange, ``code`` of the TA105 list."""
    place = f"{segment}{element:02d}" if segment and element else segment
    return X12Finding(code, text, place, severity, line, level="interchange", segment=segment, element=element)


def group_finding(code: str, text: str, line: int, segment: str, element: int | None = None) -> X12Finding:
    """A finding about a group, ``code`` of the AK905 list."""
    place = f"{segment}{element:02d}" if element else segment
    return X12Finding(code, text, place, "error", line, level="group", segment=segment, element=element)


def transaction_finding(
    transaction: Transaction, code: str, text: str, segment: str, element: int | None = None
) -> X12Finding:
    """A finding about the ST or SE of a transaction, ``code`` of the AK502 list."""
    number = 1 if segment == "ST" else len(transaction.segments)
    place = f"{segment}{element:02d}" if element else segment
    return X12Finding(
        code,
        text,
        place,
        "error",
        transaction.line_of(number),
        level="transaction",
        transaction=transaction.control_number,
        segment=segment,
        segment_number=number,
        element=element,
        first_segment=transaction.first_segment,
    )


def header_findings(interchange: Interchange) -> list[X12Finding]:
    """What is wrong with an ISA by itself."""
    found = []
    header, line = interchange.header, interchange.line
    for place, (length, code) in enumerate(zip(_ISA_LENGTHS, _ISA_CODES, strict=True), 1):
        text = header[place]
        rule = _ISA_VALUES.get(place)
        if (rule is not None and rule.fullmatch(text.strip()) is None) or (place == 9 and not real_date(text.strip())):
            found.append(interchange_finding(code, f"ISA{place:02d} has no valid value", line, "ISA", place))
        elif len(text) != length:
            found.append(
                interchange_finding(
                    code, f"ISA{place:02d} has {len(text)} characters, not {length}", line, "ISA", place, "warning"
                )
            )
    if interchange.version >= "00402" and interchange.separators.repetition is None:
        found.append(
            interchange_finding("016", "ISA11 is no repetition separator, and none is used", line, "ISA", 11, "warning")
        )
    return found


def trailer_findings(interchange: Interchange, groups: int, line: int) -> list[X12Finding]:
    """What is wrong with an IEA: missing, another control number, another count of groups."""
    trailer = interchange.trailer
    if trailer is None:
        return [interchange_finding("023", "the interchange ends without an IEA", line, "IEA")]
    found = []
    if value(trailer, 2) != interchange.control_number:
        found.append(interchange_finding("001", "IEA02 is not the control number in ISA13", line, "IEA", 2))
    if not _counts(trailer, groups):
        found.append(interchange_finding("021", f"IEA01 is not the number of groups, {groups}", line, "IEA", 1))
    return found


def group_header_findings(group: Group) -> list[X12Finding]:
    """What is wrong with a GS by itself."""
    header, line = group.header, group.line
    found = []
    if re.fullmatch(r"[0-9]{1,9}", control := header[6] if len(header) > 6 else "") is None:
        text = "GS06 is no number of up to nine digits" if control else "GS06, the control number, is missing"
        found.append(group_finding("6", text, line, "GS", 6))
    if re.fullmatch(r"[A-Z]{2}", value(header, 1) or " ") is None:
        found.append(group_finding("1", "GS01 is no functional identifier", line, "GS", 1))
    if re.fullmatch(r"[0-9]{6}[A-Z0-9]{0,6}", group.version) is None:
        found.append(group_finding("2", "GS08 is no version of the standard", line, "GS", 8))
    if not real_date(value(header, 4) or " "):
        found.append(interchange_finding("024", "GS04 is no date", line, "GS", 4))
    if not real_time(value(header, 5) or " "):
        found.append(interchange_finding("024", "GS05 is no time", line, "GS", 5))
    return found


def group_trailer_findings(group: Group, transactions: int, line: int) -> list[X12Finding]:
    """What is wrong with a GE: missing, another control number, another count of transactions."""
    trailer = group.trailer
    if trailer is None:
        return [group_finding("3", "the group ends without a GE", line, "GE")]
    found = []
    if value(trailer, 2) != group.control_number:
        found.append(group_finding("4", "GE02 is not the control number in GS06", line, "GE", 2))
    if not _counts(trailer, transactions):
        found.append(group_finding("5", f"GE01 is not the number of transactions, {transactions}", line, "GE", 1))
    return found


def transaction_findings(transaction: Transaction, left_out: int = 0) -> list[X12Finding]:
    """What is wrong with an ST and its SE, of which ``left_out`` segments between them were not kept."""
    found = []
    if left_out:
        text = f"the transaction is longer than can be kept: {left_out:,} of its segments were not read"
        found.append(transaction_finding(transaction, "5", text, "ST"))
    header, trailer = transaction.segments[0], transaction.segments[-1]
    if re.fullmatch(r"[A-Z0-9]{3}", value(header, 1) or " ") is None:
        found.append(transaction_finding(transaction, "6", "ST01 is no transaction set identifier", "ST", 1))
    if value(header, 2) is None:
        found.append(transaction_finding(transaction, "7", "ST02, the control number, is missing", "ST", 2))
    if trailer[0] != "SE":
        found.append(transaction_finding(transaction, "2", "the transaction ends without an SE", "SE"))
        return found
    if value(trailer, 2) != value(header, 2):
        found.append(transaction_finding(transaction, "3", "SE02 is not the control number in ST02", "SE", 2))
    actual = len(transaction.segments) + left_out
    if not _counts(trailer, actual):
        found.append(transaction_finding(transaction, "4", f"SE01 is not the number of segments, {actual}", "SE", 1))
    return found


def _counts(trailer: Segment, actual: int) -> bool:
    said = value(trailer, 1)
    return said is not None and re.fullmatch(r"[0-9]{1,10}", said) is not None and int(said) == actual
