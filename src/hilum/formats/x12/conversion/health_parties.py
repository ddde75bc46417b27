"""People and organizations of the health care sets (NM1 and N1 with what follows them) as canonical parties."""

from __future__ import annotations

from collections.abc import Iterable

from hilum.formats.canonical import Identifier, Party
from hilum.formats.x12.conversion.iso_dates import iso_date
from hilum.formats.x12.document import Loop, Segment, value

_SCHEMES = {
    "XX": "npi",
    "XV": "health-plan",
    "PI": "payer",
    "FI": "tax-id",
    "24": "tax-id",
    "EI": "tax-id",
    "TJ": "tax-id",
    "34": "ssn",
    "SY": "ssn",
    "MI": "member",
    "II": "health-identifier",
    "HN": "medicare",
    "MR": "medicaid",
    "46": "etin",
    "2U": "payer",
    "NF": "naic",
    "0B": "state-license",
    "1G": "upin",
    "PQ": "payee",
    "1W": "member",
    "Y4": "property-casualty-claim",
    "C": "insured-changed",
    "SV": "payer-provider",
    "PC": "payer-provider",
    "G2": "payer-provider",
    "LU": "location",
}


def scheme(qualifier: str | None) -> str | None:
    """A qualifier (element 66 or 128) in words, or as it is when it has none here."""
    return None if qualifier is None else _SCHEMES.get(qualifier, qualifier)


def named(name: Segment | None, beside: Iterable[Segment] = ()) -> Party | None:
    """The party of an NM1 or N1; ``beside`` are the segments of its loop (N3, N4, REF). None when there is no such segment."""
    if name is None:
        return None
    person = name[0] == "NM1"
    identified = (8, 9) if person else (3, 4)
    identifiers = []
    own = value(name, identified[1])
    if own is not None:
        identifiers.append(Identifier(value=own, scheme=scheme(value(name, identified[0]))))
    lines: tuple[str, ...] = ()
    place: Segment | None = None
    born: Segment | None = None
    for segment in beside:
        if segment[0] == "N3":
            lines = tuple(text for text in segment[1:3] if text)
        elif segment[0] == "N4":
            place = segment
        elif segment[0] == "DMG":
            born = segment
        elif segment[0] == "REF" and (number := value(segment, 2)) is not None:
            identifiers.append(Identifier(value=number, scheme=scheme(value(segment, 1))))
    return Party(
        name=value(name, 3 if person else 2),
        given_name=value(name, 4) if person and value(name, 2) == "1" else None,
        birth_date=iso_date(value(born, 2)),
        sex=value(born, 3),
        identifiers=tuple(identifiers),
        address_lines=lines,
        city=value(place, 1),
        state=value(place, 2),
        postal_code=value(place, 3),
        country=value(place, 4),
    )


def party(loop: Loop | None) -> Party | None:
    """The party of a loop that an NM1 or N1 opens; None when there is no such loop."""
    if loop is None or not loop.segments:
        return None
    return named(loop.segments[0], loop.segments[1:])


def first_of(loops: Iterable[Loop], entity: str) -> Loop | None:
    """The first of these loops whose NM1 or N1 names this entity (element 98)."""
    for loop in loops:
        if loop.segments and loop.segments[0][0] in {"NM1", "N1"} and value(loop.segments[0], 1) == entity:
            return loop
    return None
