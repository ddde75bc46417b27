"""A feed's batch: its events on their way to one system, cut where one is about two keys, and what became of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from hilum.authoring.contract import Contract
from hilum.authoring.failures import Rejected, Unavailable


@dataclass(slots=True)
class Item:
    """One event on its way to one system."""

    seq: int
    at: datetime
    key: str
    body: bytes
    idempotency_key: str
    event: Contract | None = None  # Until it is sent: what a refusal repeats of it is taken out of the refusal.
    receipt: str | None = None
    refused: Rejected | None = None
    joined: bool = False  # It is about two keys, so everything before it goes first and everything after it later.
    other: str = ""  # The second of them.


@dataclass(slots=True)
class Outcome:
    sent: list[Item] = field(default_factory=list)
    refused: list[Item] = field(default_factory=list)
    behind: list[Item] = field(default_factory=list)
    unavailable: Unavailable | None = None
    expired: bool = False  # The lease ran out before everything was sent; another worker may be sending.

    @property
    def broken_off(self) -> bool:
        return self.unavailable is not None or self.expired


def parts(items: list[Item]) -> Iterator[list[Item]]:
    """The batch cut before and after each event that is about two keys."""
    part: list[Item] = []
    for item in items:
        if item.joined:
            if part:
                yield part
            yield [item]
            part = []
        else:
            part.append(item)
    if part:
        yield part


def range_of(items: list[Item]) -> tuple[int, int]:
    seqs = [i.seq for i in items]
    return (min(seqs), max(seqs)) if seqs else (0, 0)
