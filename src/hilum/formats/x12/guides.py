"""Which guide a transaction follows when its version does not say: three guides share the 837, two the 277."""

from __future__ import annotations

from functools import lru_cache

from hilum.formats.x12.definitions import available
from hilum.formats.x12.document import Transaction, value

_CLAIMS = {
    "005010": {"SV1": "005010X222A1", "SV2": "005010X223A2", "SV3": "005010X224A2"},
    "004010": {"SV1": "004010X098A1", "SV2": "004010X096A1", "SV3": "004010X097A1"},
}
"""The guides of professional, institutional and dental claims, by the segment that only their service lines have."""

_ACKNOWLEDGES = "TH"
"""BHT06 of a 277 that acknowledges claims (X214)."""


@lru_cache(maxsize=256)
def _known(set_id: str, guide: str) -> bool:
    return any(s == set_id and len(c) >= 10 and c[:10] == guide for s, c in available())


def version_of(transaction: Transaction) -> str:
    """The version to look a table up by: what the transaction says, or a guide it shows itself to follow.

    A group that names the release alone (``005010``) leaves open which of the guides of an 837 or 277 is meant.
    """
    set_id, version = transaction.set_id, transaction.version
    if set_id not in {"837", "277"} or _known(set_id, version[:10]):
        return version
    if set_id == "837":
        guides = _CLAIMS["005010" if version[:6] >= "005010" else "004010"]
        return next((guides[segment[0]] for segment in transaction.segments if segment[0] in guides), guides["SV1"])
    beginning = next((segment for segment in transaction.segments[:3] if segment[0] == "BHT"), None)
    if value(beginning, 6) == _ACKNOWLEDGES:
        return "005010X214"
    return version
