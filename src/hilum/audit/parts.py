"""The parts of a log in the order in which it is read, from a database or from an export."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from hilum.audit.signing import SignedHead


@dataclass(frozen=True, slots=True)
class RangeRow:
    """Leaves ``first_leaf`` and following are the entries ``first_seq`` and following of ``shard``."""

    first_leaf: int
    shard: int
    first_seq: int
    count: int


class Leaf(NamedTuple):
    """One leaf as stored. What is missing is None: the range row (shard and seq), the entry, the hash in its tile."""

    leaf: int
    shard: int | None
    seq: int | None
    subject: str | None
    entry: bytes | None
    hashed: bytes | None


LogPart = RangeRow | Sequence[Leaf] | SignedHead
"""A head comes right after the last of the leaves it covers; a range row right before its first leaf."""
