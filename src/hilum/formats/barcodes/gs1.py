"""GS1 element strings: application identifiers and their data (GS1 General Specifications 3 and 7.8)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from hilum.formats.barcodes.errors import UdiError

GS = "\x1d"
"""FNC1 as scanners send it: the end of an element of variable length."""

# Data shapes by application identifier: n digits, x any character of GS1's set, .. up to. Only identifiers that labels
# of devices and drugs carry; n stands for the digit that places the decimal point.
_SHAPES: dict[str, str] = {
    "00": "n18", "01": "n14", "02": "n14", "10": "x..20", "11": "n6", "12": "n6", "13": "n6", "15": "n6", "16": "n6",
    "17": "n6", "20": "n2", "21": "x..20", "22": "x..20", "235": "x..28", "240": "x..30", "241": "x..30", "242": "n..6",
    "243": "x..20", "250": "x..30", "251": "x..30", "253": "x..30", "254": "x..20", "30": "n..8", "37": "n..8",
    "400": "x..30", "401": "x..30", "402": "n17", "410": "n13", "411": "n13", "412": "n13", "413": "n13", "414": "n13",
    "415": "n13", "416": "n13", "417": "n13", "420": "x..20", "422": "n3", "7003": "n10", "710": "x..20", "711": "x..20",
    "712": "x..20", "713": "x..20", "714": "x..20", "715": "x..20", "716": "x..20", "7240": "x..20", "8003": "x..30",
    "8004": "x..30", "8005": "n6", "8006": "n18", "8008": "n..12", "8012": "x..20", "8013": "x..25", "8017": "n18",
    "8018": "n18", "8020": "x..25",
    **{f"{measure}{point}": "n6" for measure in (*range(310, 317), *range(320, 338)) for point in range(6)},
    **{str(own): "x..90" for own in range(91, 100)}, "90": "x..30",
}  # fmt: skip

_GTIN_LENGTHS = (8, 12, 13, 14)
_CHARACTERS = r"[!\"%&'()*+,\-./0-9:;<=>?A-Z_a-z]"
_PATTERNS = {
    identifier: (
        re.compile(rf"{'[0-9]' if kind[0] == 'n' else _CHARACTERS}+"),
        int(kind[1:].lstrip(".")),
        ".." not in kind,
    )
    for identifier, kind in _SHAPES.items()
}
_PRINTED = re.compile(r"\(([0-9]{2,4})\)")


def check_digit(digits: str) -> str:
    """The check digit that belongs behind ``digits`` (GS1 General Specifications 7.9): weights 3 and 1 from the right."""
    total = sum(int(digit) * (3 if place % 2 == 0 else 1) for place, digit in enumerate(reversed(digits)))
    return str(-total % 10)


def is_gtin(text: str) -> bool:
    """Whether the text is a GTIN of 8, 12, 13 or 14 digits with its right check digit."""
    return len(text) in _GTIN_LENGTHS and _all_digits(text) and check_digit(text[:-1]) == text[-1]


def two_digit_year(year: int, reference_year: int) -> int:
    """The year with these last two digits from 49 before to 50 after ``reference_year`` (7.12)."""
    full = reference_year - reference_year % 100 + year
    if full - reference_year > 50:
        return full - 100
    return full + 100 if full - reference_year < -49 else full


def elements(text: str) -> dict[str, str]:
    """The data of each application identifier, as scanned or as printed in parentheses; UdiError when it is no such string.

    Check digits are not looked at: ``misread`` does.
    """
    found: dict[str, str] = {}
    for identifier, data in _printed(text) if _PRINTED.match(text) else _scanned(text):
        if found.setdefault(identifier, data) != data:
            raise UdiError(f"application identifier {identifier} is there twice with different data")
    return found


# Identification keys of digits that end with a check digit (GS1 General Specifications 7.9).
_CHECKED = ("00", "01", "02", "402", "410", "411", "412", "413", "414", "415", "416", "417", "8017", "8018")


def misread(found: Mapping[str, str]) -> str | None:
    """The first application identifier whose check digit is wrong; None when all are right."""
    return next((ai for ai in _CHECKED if ai in found and check_digit(found[ai][:-1]) != found[ai][-1]), None)


def _printed(text: str) -> list[tuple[str, str]]:
    parts = _PRINTED.split(text)
    return [
        (identifier, _checked(identifier, data.strip(" " + GS)))
        for identifier, data in zip(parts[1::2], parts[2::2], strict=True)
    ]


def _scanned(text: str) -> list[tuple[str, str]]:
    found = []
    rest = text.lstrip(GS)
    while rest:
        identifier = next((rest[:size] for size in (2, 3, 4) if rest[:size] in _PATTERNS), None)
        if identifier is None:
            raise UdiError("the label is no GS1 element string: an application identifier is unknown")
        _, length, fixed = _PATTERNS[identifier]
        after = rest[len(identifier) :]
        data, rest = (after[:length], after[length:]) if fixed else after.partition(GS)[::2]
        found.append((identifier, _checked(identifier, data)))
        rest = rest.lstrip(GS)
    return found


def _checked(identifier: str, data: str) -> str:
    shape = _PATTERNS.get(identifier)
    if shape is None:
        raise UdiError("the label is no GS1 element string: an application identifier is unknown")
    pattern, length, fixed = shape
    if len(data) > length or (fixed and len(data) < length):
        raise UdiError(
            f"the data of application identifier {identifier} is not {'' if fixed else 'up to '}{length} characters long"
        )
    if pattern.fullmatch(data) is None:
        raise UdiError(f"the data of application identifier {identifier} is missing or has characters it may not have")
    return data


def _all_digits(text: str) -> bool:
    return text.isascii() and text.isdigit()
