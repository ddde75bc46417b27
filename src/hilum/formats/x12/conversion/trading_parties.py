"""Buyers, sellers and their places between X12 (loops of N1, N2, N3, N4) and canonical parties."""

from __future__ import annotations

from collections.abc import Sequence

from hilum.formats.canonical import Identifier, Party
from hilum.formats.x12.document import Loop, value

SCHEMES = {
    "1": "duns",
    "9": "duns+4",
    "UL": "gln",
    "21": "hin",
    "11": "dea",
    "XX": "npi",
    "24": "tax-id",
    "FI": "tax-id",
    "15": "san",
    "33": "cage",
    "2": "scac",
    "91": "seller",
    "92": "buyer",
    "ZZ": "mutual",
}
"""Who gave a party its number, by qualifier (element 66); a qualifier without a word is the scheme itself."""

_QUALIFIERS = {word: qualifier for qualifier, word in SCHEMES.items() if qualifier != "24"}

BUYERS = ("BY", "OB", "SO")
SELLERS = ("SE", "SU", "VN")


def party(loops: Sequence[Loop], *roles: str) -> Party | None:
    """The party of the first of these roles (N101) that one of these loops has; None when none has it."""
    for role in roles:
        for loop in loops:
            if value(loop.first("N1"), 1) == role:
                return _party(loop)
    return None


def _party(loop: Loop) -> Party:
    name, place = loop.first("N1"), loop.first("N4")
    qualifier, number = value(name, 3), _text(value(name, 4))
    identifiers: tuple[Identifier, ...] = ()
    if number is not None:
        scheme = None if qualifier is None else SCHEMES.get(qualifier, qualifier)
        identifiers = (Identifier(value=number, scheme=scheme),)
    lines = [_text(value(segment, at)) for segment in loop.every("N3") for at in (1, 2)]
    return Party(
        name=_text(value(name, 2)),
        identifiers=identifiers,
        address_lines=tuple(line for line in lines if line is not None),
        city=_text(value(place, 1)),
        state=_text(value(place, 2)),
        postal_code=_text(value(place, 3)),
        country=_text(value(place, 4)),
    )


def _text(said: str | None) -> str | None:
    return None if said is None else said.strip() or None


def party_segments(role: str, told: Party | None) -> list[list[str | None]]:
    """The N1 loop of a party in a role; nothing for no party. Of its identifiers X12 has room for the first."""
    if told is None or (told.name is None and not told.identifiers):
        return []
    first = told.identifiers[0] if told.identifiers else None
    number: list[str | None] = []
    if first is not None:
        scheme = first.scheme
        known = _QUALIFIERS.get(scheme) if scheme is not None else "ZZ"
        own = scheme if scheme is not None and len(scheme) <= 2 and scheme.isalnum() else "ZZ"
        number = [own if known is None else known, first.value]
    segments: list[list[str | None]] = [["N1", role, told.name, *number]]
    lines = list(told.address_lines)
    segments += [["N3", *lines[at : at + 2]] for at in range(0, len(lines), 2)]
    place = (told.city, told.state, told.postal_code, told.country)
    if any(part is not None for part in place):
        segments.append(["N4", *place])
    return segments
